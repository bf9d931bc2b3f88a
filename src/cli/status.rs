//! `status`: where each target stands, what is held, who fails and why. Reads the snapshot
//! and connects to nothing.

use std::fmt::Write as _;

use chrono::{DateTime, Local, SecondsFormat, Utc};
use provisor_connectors::Kind;
use serde::Serialize;

use super::args::{Format, StatusArguments};
use super::exit::Exit;
use super::render::text::{approve_command, printable};
use super::session;
use super::terminal::{Stop, Terminal};
use crate::config::{Config, TargetConfig};
use crate::snapshot::{Due, SnapshotError, Store};

/// How many failing people are named in text.
const SHOWN: usize = 20;

/// The document of `status --format json`. Every key is always present.
#[derive(Debug, Serialize)]
struct Document {
    version: u32,
    targets: Vec<TargetStatus>,
}

/// One target. Times are RFC 3339.
#[derive(Debug, Serialize)]
struct TargetStatus {
    target: String,
    enabled: bool,
    /// Null before the first cycle.
    last_cycle: Option<LastCycle>,
    last_full: Option<String>,
    last_error: Option<String>,
    /// Null without a schedule.
    next_cycle: Option<String>,
    /// The snapshot was lost, and is being made again from what is at the target.
    rebuilding: bool,
    linked: Linked,
    held_id: Option<String>,
    held: Vec<String>,
    failing: Vec<Failing>,
}

#[derive(Debug, Serialize)]
struct LastCycle {
    at: String,
    result: String,
}

#[derive(Debug, Default, Serialize)]
struct Linked {
    users: u64,
    active_users: u64,
    groups: u64,
    members: u64,
}

#[derive(Debug, Serialize)]
struct Failing {
    source: String,
    kind: Kind,
    source_id: String,
    why: String,
    attempts: u32,
    /// A moment, `next cycle`, or `next full cycle`.
    next_attempt: String,
}

/// Runs `provisor status`. What is held or failing is shown, not turned into an exit code:
/// that is `sync`'s to say.
pub(super) fn run(
    arguments: &StatusArguments,
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Exit, Stop> {
    let store = session::open_to_read(config, terminal)?;
    let now = Utc::now();
    let targets = config
        .targets
        .values()
        .map(|target| read(target, store.as_ref(), now))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Stop::failed(error.into()))?;
    match arguments.format {
        Format::Json => {
            let document = Document {
                version: 1,
                targets,
            };
            let text =
                serde_json::to_string_pretty(&document).expect("the document has only text keys");
            terminal.print(&format!("{text}\n"));
        }
        Format::Text => {
            let blocks: Vec<String> = targets
                .iter()
                .map(|target| render(target, &terminal.again))
                .collect();
            terminal.print(&blocks.join("\n"));
        }
    }
    Ok(Exit::Done)
}

fn read(
    target: &TargetConfig,
    store: Option<&Store>,
    now: DateTime<Utc>,
) -> Result<TargetStatus, SnapshotError> {
    let name = target.target.name.clone();
    let mut status = TargetStatus {
        target: name.clone(),
        enabled: target.enabled,
        last_cycle: None,
        last_full: None,
        last_error: None,
        next_cycle: next_cycle(target, now),
        rebuilding: false,
        linked: Linked::default(),
        held_id: None,
        held: Vec::new(),
        failing: Vec::new(),
    };
    let Some(store) = store else {
        return Ok(status);
    };
    let part = store.target(&name);
    let progress = part.progress()?;
    let totals = part.totals()?;
    status.last_cycle = progress.last_cycle.map(|(at, line)| LastCycle {
        at: stamp(at),
        result: without_name(&line, &name).to_owned(),
    });
    status.last_full = progress.last_full.map(stamp);
    status.last_error = progress.last_error;
    status.rebuilding = progress.rebuilding;
    status.held_id = progress.held_id;
    status.held = progress.held;
    status.linked = Linked {
        users: totals.users,
        active_users: totals.active_users,
        groups: totals.groups,
        members: totals.members,
    };
    status.failing = part
        .open()?
        .into_iter()
        .filter(|(_, open)| open.failed)
        .map(|(key, open)| Failing {
            source: key.source,
            kind: key.kind,
            source_id: key.id.as_str().to_owned(),
            why: open.why,
            attempts: open.attempts,
            next_attempt: match open.due {
                Due::Now => "next cycle".to_owned(),
                Due::At(moment) | Due::Moment(moment) => stamp(moment),
                Due::FullCycle => "next full cycle".to_owned(),
            },
        })
        .collect();
    Ok(status)
}

/// Schedules are in the machine's own time, as crontab's are.
fn next_cycle(target: &TargetConfig, now: DateTime<Utc>) -> Option<String> {
    let schedule = target.schedule.as_ref().filter(|_| target.enabled)?;
    let next = schedule.after(&now.with_timezone(&Local)).next()?;
    Some(next.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn stamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A closing line begins with the target's name, which the block already has.
fn without_name<'a>(line: &'a str, name: &str) -> &'a str {
    line.strip_prefix(name)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(line)
}

fn render(status: &TargetStatus, again: &str) -> String {
    let TargetStatus {
        target,
        enabled,
        last_cycle,
        last_full,
        last_error,
        next_cycle,
        rebuilding,
        linked,
        held_id,
        held,
        failing,
    } = status;
    let mut text = String::new();
    let paused = if *enabled { "" } else { " (not enabled)" };
    let _ = writeln!(
        text,
        "{target}: {} people linked ({} active), {} groups with {} members{paused}",
        linked.users, linked.active_users, linked.groups, linked.members
    );
    match last_cycle {
        Some(LastCycle { at, result }) => {
            let _ = writeln!(text, "  last cycle  {at}  {}", printable(result));
        }
        None => text.push_str("  last cycle  never\n"),
    }
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "  {label:10}  {}", printable(value));
    };
    if let Some(at) = last_full {
        line("last full", at);
    }
    if let Some(error) = last_error {
        line("last error", error);
    }
    if let Some(next) = next_cycle {
        line("next cycle", next);
    }
    if *rebuilding {
        line(
            "rebuilding",
            "the snapshot was lost; nobody is deactivated until it is whole",
        );
    }
    for held in held {
        line("held", held);
    }
    if let Some(held_id) = held_id {
        line("release", &approve_command(again, target, held_id));
    }
    for failing in failing.iter().take(SHOWN) {
        let Failing {
            source,
            kind,
            source_id,
            why,
            attempts,
            next_attempt,
        } = failing;
        let tries = if *attempts == 1 {
            "attempt"
        } else {
            "attempts"
        };
        line(
            "failing",
            &format!(
                "{kind} {source_id} of {source}: {why} ({attempts} {tries}, next: {next_attempt})"
            ),
        );
    }
    if failing.len() > SHOWN {
        let more = failing.len() - SHOWN;
        line(
            "failing",
            &format!("… and {more} more (use --format json for all)"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use provisor_connectors::{RecordKey, SourceId};

    use super::*;
    use crate::snapshot::{Open, TargetChange};

    fn status() -> TargetStatus {
        TargetStatus {
            target: "demo".to_owned(),
            enabled: true,
            last_cycle: None,
            last_full: None,
            last_error: None,
            next_cycle: None,
            rebuilding: false,
            linked: Linked::default(),
            held_id: None,
            held: Vec::new(),
            failing: Vec::new(),
        }
    }

    #[test]
    fn a_target_that_never_ran_says_so() {
        assert_eq!(
            render(&status(), "provisor"),
            "demo: 0 people linked (0 active), 0 groups with 0 members\n  last cycle  never\n"
        );
    }

    #[test]
    fn what_waits_and_what_fails_is_shown_with_what_to_do() {
        let mut status = status();
        status.linked = Linked {
            users: 41,
            active_users: 40,
            groups: 2,
            members: 7,
        };
        status.last_cycle = Some(LastCycle {
            at: "2026-11-22T08:00:00Z".to_owned(),
            result: "1 created, 1 failed".to_owned(),
        });
        status.held = vec!["user s-9: OverLimit (deactivations)".to_owned()];
        status.held_id = Some("5f3a".to_owned());
        status.failing = vec![Failing {
            source: "staff".to_owned(),
            kind: Kind::User,
            source_id: "s-4".to_owned(),
            why: "POST /Users: 403".to_owned(),
            attempts: 3,
            next_attempt: "2026-11-22T09:00:00Z".to_owned(),
        }];
        assert_eq!(
            render(&status, "provisor --config demo.toml"),
            "\
demo: 41 people linked (40 active), 2 groups with 7 members
  last cycle  2026-11-22T08:00:00Z  1 created, 1 failed
  held        user s-9: OverLimit (deactivations)
  release     provisor --config demo.toml approve demo 5f3a
  failing     user s-4 of staff: POST /Users: 403 (3 attempts, next: 2026-11-22T09:00:00Z)
"
        );
    }

    #[test]
    fn what_failed_is_read_with_its_next_attempt_and_what_waits_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provisor.toml");
        let text = r#"
            state_dir = "state"
            [sources.staff.csv]
            users = "people.csv"
            [targets.demo]
            preset = "sandbox"
            source = "staff"
        "#;
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path).unwrap();
        let store = Store::open(Store::lock(&config.state_dir).unwrap(), None)
            .unwrap()
            .store;
        let part = store.target("demo");
        let now = DateTime::from_timestamp(1_763_769_600, 0).unwrap();
        let open = |id: &str, due, failed| {
            let key = RecordKey {
                source: "staff".to_owned(),
                kind: Kind::User,
                id: SourceId::new(id),
            };
            let row = Open {
                why: "POST /Users: 403".to_owned(),
                due,
                attempts: 1,
                failed,
                awaits: None,
            };
            TargetChange::PutOpen(key, row)
        };
        part.commit(vec![
            open("a", Due::Now, true),
            open("b", Due::At(now), true),
            open("c", Due::FullCycle, true),
            open("held", Due::Now, false),
        ])
        .unwrap();

        let status = read(&config.targets["demo"], Some(&store), now).unwrap();
        let failing: Vec<_> = status
            .failing
            .iter()
            .map(|failing| (failing.source_id.as_str(), failing.next_attempt.as_str()))
            .collect();
        assert_eq!(
            failing,
            [
                ("a", "next cycle"),
                ("b", "2025-11-22T00:00:00Z"),
                ("c", "next full cycle")
            ]
        );
    }

    #[test]
    fn the_name_is_not_said_twice() {
        assert_eq!(without_name("demo: 1 created", "demo"), "1 created");
        assert_eq!(without_name("1 created", "demo"), "1 created");
    }
}
