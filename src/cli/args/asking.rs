//! What can be typed to ask: about one person, about a target's people, about the past.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};

use super::Format;

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArguments {
    /// A source id, SOURCE/ID, a userName, an e-mail address or a resource id
    pub(in crate::cli) person: String,
    /// Only at this target
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) target: Option<String>,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) format: Format,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(in crate::cli) struct AccountsArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<AccountsCommand>,
    /// The target whose people are listed
    #[arg(required = true)]
    pub(in crate::cli) target: Option<String>,
    /// Only whom a record owns
    #[arg(long)]
    pub(in crate::cli) linked: bool,
    /// Only who is active, was never linked, and belongs to somebody who is not entitled
    #[arg(long)]
    pub(in crate::cli) stale: bool,
    /// Only who belongs to nobody in a source
    #[arg(long)]
    pub(in crate::cli) unlinked: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) format: Listing,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AccountsCommand {
    /// Do what the rows of a CSV file say; show it first with --dry-run
    ///
    /// The columns are `action` (link, unlink, protect, unprotect, deactivate, or empty for
    /// nothing), `source_id` and `resource_id`; `target` and `source` where there are several.
    /// Others are ignored, so that what `accounts TARGET --format csv` prints can be edited.
    Apply {
        /// The file
        file: PathBuf,
        /// Show what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// How a list is printed on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Listing {
    // For people.
    Table,
    // For spreadsheets, and for `accounts apply`.
    Csv,
    // One document, for programs.
    Json,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArguments {
    /// Only this target's
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) target: Option<String>,
    /// Only about this person or group: a source id or a resource id
    #[arg(long, value_name = "KEY")]
    pub(in crate::cli) person: Option<String>,
    /// Not before: a moment (2026-11-21T09:30:00Z), or how long ago (2h, 7d)
    #[arg(long, value_name = "WHEN")]
    pub(in crate::cli) since: Option<Moment>,
    /// Before: a moment, or how long ago
    #[arg(long, value_name = "WHEN")]
    pub(in crate::cli) until: Option<Moment>,
    /// Only this change
    #[arg(long, value_name = "CHANGE", value_parser = CHANGES)]
    pub(in crate::cli) change: Option<String>,
    /// Only what was not done: failed, or in doubt
    #[arg(long)]
    pub(in crate::cli) failed: bool,
    /// Check every line and the chain that joins them, and show nothing else
    #[arg(long, conflicts_with_all = ["target", "person", "since", "until", "change", "failed"])]
    pub(in crate::cli) verify: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) format: Format,
}

/// The changes that an audit record can be about: those of a plan, and what a person does
/// with `accounts apply`.
const CHANGES: [&str; 10] = [
    "create",
    "adopt",
    "patch",
    "deactivate",
    "reactivate",
    "delete",
    "link",
    "unlink",
    "protect",
    "unprotect",
];

/// A moment as somebody types it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Moment {
    /// A date and time with its zone.
    At(DateTime<Utc>),
    /// So long ago.
    Ago(Duration),
}

impl Moment {
    /// When that was, seen from `now`. What is too long ago to say is the beginning of time.
    pub(in crate::cli) fn seen_from(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Moment::At(moment) => moment,
            Moment::Ago(duration) => chrono::Duration::from_std(duration)
                .ok()
                .and_then(|duration| now.checked_sub_signed(duration))
                .unwrap_or(DateTime::<Utc>::MIN_UTC),
        }
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Ok(Moment::At(moment.with_timezone(&Utc)));
        }
        humantime::parse_duration(text)
            .map(Moment::Ago)
            .map_err(|_| "write a moment such as 2026-11-21T09:30:00Z, or how long ago: 2h, 7d")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_with_its_zone_or_how_long_ago() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        let table = [
            ("2026-11-21T09:30:00+01:00", "2026-11-21T08:30:00Z"),
            ("2h", "2026-11-21T10:00:00Z"),
            ("1d 1h", "2026-11-20T11:00:00Z"),
        ];
        for (typed, meant) in table {
            let moment: Moment = typed.parse().unwrap();
            let meant: DateTime<Utc> = meant.parse().unwrap();
            assert_eq!(moment.seen_from(now), meant, "{typed}");
        }
        // Without a zone it could be any of twenty-four moments.
        for typed in ["2026-11-21 09:30:00", "yesterday", "2"] {
            assert!(typed.parse::<Moment>().is_err(), "{typed}");
        }
        let ages: Moment = "999999999y".parse().unwrap();
        assert!(ages.seen_from(now) < now);
    }
}
