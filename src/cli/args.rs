//! What can be typed. Only shapes and help texts; what the commands do is in their modules.

mod asking;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(super) use asking::{
    AccountsArguments, AccountsCommand, ExplainArguments, HistoryArguments, Listing,
};

use crate::sandbox::{Fault, FaultHelp};

const EXIT_CODES: &str = "\
Exit codes:
  0  done, nothing failed
  1  a source or target could not be reached or read, or the state is unusable
  2  a usage or configuration error, or a secret that is not set
  3  some changes failed; the rest were applied
  4  something is held and waits for a person
  5  `sync --check` found something to do";

/// Keeps apps in agreement with a directory over SCIM 2.0
///
/// Reads users and groups, compares them with what was last pushed, and sends each app the
/// fewest calls that make it agree. Start with `provisor sync --dry-run`.
#[derive(Debug, Parser)]
#[command(name = "provisor", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// Configuration file; else $PROVISOR_CONFIG, else /etc/provisor/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say more; twice for everything, which includes personal data
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// When to colour; `auto` is on a terminal, unless $NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Arguments {
    /// How this program is called again with the same configuration, ready for a shell: what
    /// a printed command begins with.
    pub(super) fn again(&self) -> String {
        match &self.config {
            None => "provisor".to_owned(),
            Some(path) => format!("provisor --config {}", quote(&path.to_string_lossy())),
        }
    }
}

/// A word as a shell takes it.
fn quote(word: &str) -> String {
    let plain = |character: char| {
        character.is_alphanumeric() || matches!(character, '/' | '.' | '_' | '-' | '+' | '=' | ',')
    };
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Validate the configuration, connect to every source and target, say what each can do
    Check,
    /// Run one cycle: read the sources, plan, and send what is needed
    Sync(SyncArguments),
    /// Show where each target stands, what is held, who fails and why
    Status(StatusArguments),
    /// Release what a target holds, if it is still planned exactly so
    Approve(ApproveArguments),
    /// Show everything known about one person, why, and what would be sent now
    Explain(ExplainArguments),
    /// List who is at a target and whose they are, or do something about chosen ones
    Accounts(AccountsArguments),
    /// Show the audit log, or check that nobody changed it
    History(HistoryArguments),
    /// Serve the embedded SCIM service provider, to try things out
    Sandbox(SandboxArguments),
    /// Print manual pages, shell completions, the configuration's schema or reference, or a preset
    Generate(GenerateArguments),
}

#[derive(Debug, Args)]
pub(super) struct SyncArguments {
    /// Only this target
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// Show the plan and send nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Like --dry-run, and exit with 5 if there is anything to do
    #[arg(long)]
    pub(super) check: bool,
    /// Read and list everything on both sides, whatever the schedule says
    #[arg(long)]
    pub(super) full: bool,
    /// One person, now, with every step: a source id, SOURCE/ID, a userName, an e-mail address
    /// or a resource id
    #[arg(long, value_name = "KEY", conflicts_with = "full")]
    pub(super) user: Option<String>,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct ApproveArguments {
    /// The target that holds something
    pub(super) target: String,
    /// The id of the held set, as `sync` and `status` show it
    pub(super) held_id: String,
    /// Release one person or group only: a source id, a resource id, or a name
    #[arg(long, value_name = "KEY")]
    pub(super) only: Option<String>,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct SandboxArguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
    /// The folder that keeps its resources and the log of its requests
    #[arg(long, value_name = "DIR")]
    pub(super) state: PathBuf,
    /// The file that holds the bearer token; made, with a random one, when it is missing
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: PathBuf,
    /// A way to misbehave; may be given several times
    #[arg(long = "fault", value_name = "NAME[:ARGS]")]
    pub(super) faults: Vec<Fault>,
    /// Make the same ids again in the same order, for tests; 0 makes them random
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct GenerateArguments {
    #[command(subcommand)]
    pub(super) what: Generated,
}

#[derive(Debug, Subcommand)]
pub(super) enum Generated {
    /// The manual page
    Man {
        /// Write a page for each command into this folder instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// The JSON Schema of the configuration, for editors
    Schema,
    /// Every key of the configuration, explained, as Markdown
    Reference,
    /// A preset as it is shipped
    Preset {
        /// Its name
        name: String,
    },
}

/// How results are printed on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // For people.
    Text,
    // One document, for programs.
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    // On a terminal, unless $NO_COLOR says no.
    Auto,
    Always,
    Never,
}

/// Reads the arguments. The error is also how `clap` hands over help and version.
pub(super) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Arguments, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    Arguments::from_arg_matches(&matches)
}

/// The command line with the parts that are only known at run time.
pub(super) fn command() -> clap::Command {
    Arguments::command().mut_subcommand("sandbox", |sandbox| sandbox.after_help(list_faults()))
}

fn list_faults() -> String {
    let mut text = String::from("Faults:");
    for FaultHelp { usage, help, .. } in Fault::all() {
        let _ = write!(text, "\n  {usage}\n          {help}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Arguments, clap::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn global_options_stand_on_either_side_of_the_command() {
        for line in [
            "provisor --config a.toml -v sync --dry-run",
            "provisor sync --dry-run --config a.toml -v",
        ] {
            let arguments = parse_line(line).unwrap();
            assert_eq!(
                arguments.config.as_deref(),
                Some(std::path::Path::new("a.toml"))
            );
            assert_eq!(arguments.verbose, 1);
            assert!(matches!(
                arguments.command,
                Command::Sync(SyncArguments { dry_run: true, .. })
            ));
        }
    }

    #[test]
    fn quiet_and_verbose_exclude_each_other() {
        assert_eq!(
            parse_line("provisor -q -v check").unwrap_err().exit_code(),
            2
        );
    }

    #[test]
    fn a_wrong_word_is_a_usage_error_that_suggests_the_right_one() {
        let error = parse_line("provisor snyc").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("sync"), "{error}");
    }

    #[test]
    fn the_help_of_the_sandbox_lists_every_fault() {
        let help = parse_line("provisor sandbox --help")
            .unwrap_err()
            .to_string();
        for fault in Fault::all() {
            assert!(help.contains(fault.usage), "{help}");
        }
    }

    #[test]
    fn accounts_lists_a_target_or_applies_a_file() {
        let listed = parse_line("provisor accounts demo --stale --format csv").unwrap();
        assert!(matches!(
            listed.command,
            Command::Accounts(AccountsArguments {
                command: None,
                stale: true,
                ..
            })
        ));
        let applied = parse_line("provisor accounts apply rows.csv --dry-run").unwrap();
        assert!(matches!(
            applied.command,
            Command::Accounts(AccountsArguments {
                command: Some(AccountsCommand::Apply { dry_run: true, .. }),
                ..
            })
        ));
        assert_eq!(parse_line("provisor accounts").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_printed_command_names_the_same_configuration() {
        let again = |line: &[&str]| parse(line.iter().map(OsString::from)).unwrap().again();
        assert_eq!(again(&["provisor", "sync"]), "provisor");
        assert_eq!(
            again(&["provisor", "--config", "etc/demo.toml", "sync"]),
            "provisor --config etc/demo.toml"
        );
        assert_eq!(
            again(&["provisor", "sync", "--config", "it's my.toml"]),
            r"provisor --config 'it'\''s my.toml'"
        );
    }

    #[test]
    fn one_person_is_not_everybody() {
        let error = parse_line("provisor sync --user ana --full").unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_check_of_the_whole_log_is_not_filtered() {
        let error = parse_line("provisor history --verify --target demo").unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn an_unknown_fault_is_a_usage_error() {
        let error =
            parse_line("provisor sandbox --state s --token-file t --fault boredom").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("boredom"), "{error}");
    }
}
