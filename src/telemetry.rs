//! Logs: one subscriber, on stderr, for the whole process.
//!
//! Levels are named by what the operator must do. error: act now. warn: look at it soon.
//! info: nothing, it is history. debug and trace: for finding a fault; only from `debug`
//! downwards may a log line hold personal data, and no level may hold a secret.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// The variable that replaces the level given by `-q` and `-v`: `provisor=debug`.
pub const FILTER_VARIABLE: &str = "PROVISOR_LOG";

/// Libraries that would write headers or bodies, and so secrets, below this level. Whatever
/// the variable says, they stay at `info`.
const CAPPED: [&str; 6] = [
    "h2=info",
    "hyper=info",
    "hyper_util=info",
    "reqwest=info",
    "rustls=info",
    "tower=info",
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
    Started(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Starts logging to stderr. Once per process.
pub fn start(verbosity: Verbosity) -> Result<(), TelemetryError> {
    let filter = build_filter(std::env::var(FILTER_VARIABLE).ok().as_deref(), verbosity)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init()
        .map_err(TelemetryError::Started)
}

fn build_filter(variable: Option<&str>, verbosity: Verbosity) -> Result<EnvFilter, TelemetryError> {
    let mut filter = match variable.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => EnvFilter::builder()
            .parse(text)
            .map_err(|error| refuse(&error))?,
        None => EnvFilter::default()
            .add_directive(LevelFilter::WARN.into())
            .add_directive(ours("provisor", verbosity)?)
            .add_directive(ours("provisor_connectors", verbosity)?),
    };
    for directive in CAPPED {
        // A library that was asked for less than `info` by the default stays there.
        if variable.is_some_and(|text| !text.trim().is_empty()) {
            filter = filter.add_directive(parse(directive)?);
        }
    }
    Ok(filter)
}

fn ours(library: &str, verbosity: Verbosity) -> Result<Directive, TelemetryError> {
    parse(&format!("{library}={}", verbosity.0))
}

fn parse(text: &str) -> Result<Directive, TelemetryError> {
    text.parse().map_err(|error| refuse(&error))
}

fn refuse(error: &dyn std::error::Error) -> TelemetryError {
    TelemetryError::Filter {
        problem: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(variable: Option<&str>, quiet: bool, verbose: u8) -> String {
        build_filter(variable, Verbosity::new(quiet, verbose))
            .unwrap()
            .to_string()
    }

    #[test]
    fn flags_set_our_own_level_and_leave_libraries_at_warn() {
        let text = filter(None, false, 2);
        assert!(text.contains("provisor=debug"), "{text}");
        assert!(text.split(',').any(|part| part == "warn"), "{text}");
        assert!(filter(None, true, 0).contains("provisor=error"));
    }

    #[test]
    fn the_variable_replaces_the_flags() {
        let text = filter(Some("provisor=trace"), true, 0);
        assert!(text.contains("provisor=trace"), "{text}");
        assert!(!text.contains("error"), "{text}");
    }

    #[test]
    fn no_setting_makes_the_http_stack_print_headers() {
        let text = filter(Some("trace,h2=trace,hyper=debug"), false, 0);
        for capped in CAPPED {
            assert!(text.split(',').any(|part| part == capped), "{text}");
        }
        assert!(!text.contains("h2=trace"), "{text}");
    }

    #[test]
    fn nonsense_names_the_variable() {
        let error = build_filter(Some("provisor=loud"), Verbosity::new(false, 0)).unwrap_err();
        assert!(error.to_string().contains("PROVISOR_LOG"));
    }
}
