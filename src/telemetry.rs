//! Logs: one subscriber, on stderr, for the whole process.
//!
//! Levels are named by what the operator must do. error: act now. warn: look at it soon.
//! info: nothing, it is history. debug and trace: for finding a fault; only from `debug`
//! downwards may a log line hold personal data, and no level may hold a secret.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The variable that replaces the level given by `-q` and `-v`: `provisor=debug`.
pub const FILTER_VARIABLE: &str = "PROVISOR_LOG";

/// Libraries that write headers, bodies or stored values, and so secrets, below `info`. Whatever the
/// variable says, that is never shown.
const TELL_TOO_MUCH: [&str; 9] = [
    "h2",
    "hyper",
    "hyper_util",
    "lber",
    "ldap3",
    "reqwest",
    "rustls",
    "sled",
    "tower",
];

/// How much is logged when the variable does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verbosity(LevelFilter);

impl Verbosity {
    /// From `-q` and the number of `-v`. Without either, only warnings and errors.
    pub fn new(quiet: bool, verbose: u8) -> Self {
        Self(match (quiet, verbose) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => LevelFilter::WARN,
            (false, 1) => LevelFilter::INFO,
            (false, 2) => LevelFilter::DEBUG,
            (false, _) => LevelFilter::TRACE,
        })
    }
}

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The variable is not a filter.
    #[error("`{FILTER_VARIABLE}` is not a filter such as `info` or `provisor=debug`: {problem}")]
    Filter {
        /// What is wrong. Text, because the library's error repeats itself as its own cause.
        problem: String,
    },
    /// Something in this process logs already.
    #[error("logging has already been started")]
    Started(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging to stderr. Once per process.
pub fn start(verbosity: Verbosity) -> Result<(), TelemetryError> {
    let chosen = choose(std::env::var(FILTER_VARIABLE).ok().as_deref(), verbosity)?;
    let safe = filter_fn(|metadata| may_show(metadata.target(), *metadata.level()));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_filter(chosen.and(safe));
    tracing_subscriber::registry().with(lines).try_init()?;
    Ok(())
}

/// What was asked for: the variable, or else our own parts at the given level and everybody
/// else at `warn`.
fn choose(variable: Option<&str>, verbosity: Verbosity) -> Result<EnvFilter, TelemetryError> {
    match variable.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => EnvFilter::builder().parse(text).map_err(refuse),
        None => Ok(EnvFilter::default()
            .add_directive(LevelFilter::WARN.into())
            // What goes wrong with a connection is an error of ours, and said once.
            .add_directive(ours("ldap3", Verbosity(LevelFilter::OFF))?)
            // What it refuses is the error of whoever connects, and was said twice otherwise.
            .add_directive(ours(
                "rustls_platform_verifier",
                Verbosity(LevelFilter::OFF),
            )?)
            .add_directive(ours("provisor", verbosity)?)
            .add_directive(ours("provisor_connectors", verbosity)?)),
    }
}

fn ours(library: &str, verbosity: Verbosity) -> Result<Directive, TelemetryError> {
    format!("{library}={}", verbosity.0).parse().map_err(refuse)
}

fn refuse(error: tracing_subscriber::filter::ParseError) -> TelemetryError {
    TelemetryError::Filter {
        problem: error.to_string(),
    }
}

fn may_show(target: &str, level: Level) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    level <= Level::INFO || !TELL_TOO_MUCH.contains(&library)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variable: Option<&str>, quiet: bool, verbose: u8) -> String {
        choose(variable, Verbosity::new(quiet, verbose))
            .unwrap()
            .to_string()
    }

    #[test]
    fn flags_set_our_own_level_and_leave_libraries_at_warn() {
        let text = chosen(None, false, 2);
        assert!(text.contains("provisor=debug"), "{text}");
        assert!(text.split(',').any(|part| part == "warn"), "{text}");
        assert!(chosen(None, true, 0).contains("provisor=error"));
    }

    #[test]
    fn the_variable_replaces_the_flags() {
        assert_eq!(chosen(Some(" provisor=trace "), true, 0), "provisor=trace");
    }

    #[test]
    fn no_setting_makes_the_http_stack_print_headers() {
        assert!(!may_show("h2::codec::framed_read", Level::DEBUG));
        assert!(!may_show("hyper_util::client::legacy::pool", Level::TRACE));
        assert!(may_show("hyper_util::client::legacy::pool", Level::INFO));
        assert!(may_show("provisor::target::client", Level::TRACE));
    }

    #[test]
    fn nonsense_names_the_variable() {
        let error = choose(Some("provisor=loud"), Verbosity::new(false, 0)).unwrap_err();
        assert!(error.to_string().contains("PROVISOR_LOG"));
    }
}
