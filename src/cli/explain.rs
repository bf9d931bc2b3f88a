//! `explain`: one person, from the record to what would be sent now. For "why does she still
//! have access".
//!
//! Reads what the last sync published and asks neither source nor target. This command
//! exists to show personal data, so it does: on stdout, and nowhere else.

mod json;
pub(super) mod text;

use std::collections::BTreeMap;

use anyhow::anyhow;
use chrono::Utc;
use provisor_connectors::RecordKey;

use super::args::{ExplainArguments, Format};
use super::exit::Exit;
use super::history::chain_of;
use super::render::text::printable;
use super::session;
use super::sync::find_target;
use super::terminal::{Stop, Terminal};
use crate::apply::report::Failure;
use crate::audit::{self, AuditProblem, Content, Record};
use crate::config::{Config, TargetConfig};
use crate::cycle::Readings;
use crate::cycle::explain::{self, Explained, Person, Search};
use crate::snapshot::{MirrorRow, Store};

/// How many of the last writes are shown for each target.
const WRITES: usize = 5;

/// All that is shown of one person.
pub(super) struct Answer<'a> {
    pub(super) record: RecordKey,
    pub(super) name: String,
    /// What the mirror has; `None` when only a link is left.
    pub(super) row: Option<MirrorRow>,
    pub(super) targets: Vec<AtTarget<'a>>,
}

/// One target's part.
pub(super) struct AtTarget<'a> {
    pub(super) config: &'a TargetConfig,
    pub(super) explained: Explained,
    /// The last writes, oldest first.
    pub(super) writes: Vec<Record>,
}

/// Runs `provisor explain`.
pub(super) fn run(
    arguments: &ExplainArguments,
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Exit, Stop> {
    let targets: Vec<&TargetConfig> = match &arguments.target {
        Some(name) => vec![find_target(config, name)?],
        None => config.targets.values().collect(),
    };
    let Some(store) = session::open_to_read(config, terminal)? else {
        return Err(never_read());
    };
    let refused = |failure: Failure| Stop::from(&failure);
    let readings = Readings::published(&store, config.sources.keys()).map_err(refused)?;
    let built: Vec<_> = targets.iter().map(|it| it.target.clone()).collect();
    let search =
        explain::find_person(&store, &readings, &built, &arguments.person).map_err(refused)?;
    let record = match one_of(&search, &arguments.person) {
        Ok(record) => record,
        Err(stop) => {
            show_others(&search, arguments.format, terminal);
            return Err(stop);
        }
    };
    let mut damage = Vec::new();
    let answer = Answer {
        name: search.found[&record].clone(),
        row: explain::record_of(&readings, &record).map_err(refused)?,
        targets: explain_each(config, &store, &readings, &targets, &record, &mut damage)?,
        record,
    };
    match arguments.format {
        Format::Text => terminal.print(&text::answer(&answer, terminal.colour, &terminal.again)),
        Format::Json => terminal.print(&json::answer(&answer)),
    }
    for problem in &damage {
        terminal.error(None, &chain_of(problem), None);
    }
    Ok(match damage.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

/// The one person that a key names; an error that says how many it does, and no name.
pub(super) fn one_of(search: &Search, wanted: &str) -> Result<RecordKey, Stop> {
    let mut found = search.found.keys();
    match (found.next(), found.next()) {
        (Some(record), None) => Ok(record.clone()),
        (None, _) => Err(Stop::failed(anyhow!("nobody is known as `{wanted}`")).hint(
            "name a source id, a userName, an e-mail address or a resource id; whom no sync \
             has read yet is not known",
        )),
        (Some(first), Some(_)) => Err(Stop::usage(anyhow!(
            "`{wanted}` names {} people",
            search.found.len()
        ))
        .hint(format!(
            "say which one by source and id, such as `{}/{}`",
            first.source, first.id
        ))),
    }
}

fn never_read() -> Stop {
    Stop::failed(anyhow!("no source was ever read"))
        .hint("run `provisor sync --dry-run` first, then `provisor sync`")
}

/// Whom the key could have meant, on stdout: names belong nowhere else.
pub(super) fn show_others(search: &Search, format: Format, terminal: &mut Terminal) {
    match format {
        Format::Json => terminal.print(&json::nobody(search)),
        Format::Text => {
            let mut text = String::new();
            let lists = [("", &search.found), ("similar: ", &search.near)];
            for (lead, people) in lists {
                for (record, name) in people {
                    text.push_str(&format!(
                        "{lead}{}  {}\n",
                        printable(name),
                        printable(&format!("{}/{}", record.source, record.id))
                    ));
                }
            }
            terminal.print(&text);
        }
    }
}

/// Explains a person at every target that reads one of their sources.
fn explain_each<'a>(
    config: &Config,
    store: &Store,
    readings: &Readings,
    targets: &[&'a TargetConfig],
    record: &RecordKey,
    damage: &mut Vec<AuditProblem>,
) -> Result<Vec<AtTarget<'a>>, Stop> {
    let now = Utc::now();
    let built: Vec<_> = targets.iter().map(|it| it.target.clone()).collect();
    let person =
        Person::new(store, readings, &built, record).map_err(|failure| Stop::from(&failure))?;
    let mut explained = Vec::new();
    for target in targets {
        if let Some(record) = person.at(&target.target) {
            let at = explain::explain(store, readings, &target.target, record, now)
                .map_err(|failure| Stop::from(&failure))?;
            explained.push(AtTarget {
                config: target,
                explained: at,
                writes: Vec::new(),
            });
        }
    }
    let mut writes = last_writes(config, record, &explained, damage)?;
    for at in &mut explained {
        at.writes = writes.remove(&at.explained.target).unwrap_or_default();
    }
    Ok(explained)
}

/// The last writes about a record, or about the resource it is linked to, by target. A line that
/// is not as it was written is left out and noted as damage.
fn last_writes(
    config: &Config,
    record: &RecordKey,
    explained: &[AtTarget<'_>],
    damage: &mut Vec<AuditProblem>,
) -> Result<BTreeMap<String, Vec<Record>>, Stop> {
    let mut writes: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    let path = config.state_dir.join(audit::FILE_NAME);
    let refused = |problem: AuditProblem| Stop::failed(problem.into());
    for line in audit::records(&path).map_err(refused)? {
        let line = match line {
            Ok(line) => line,
            Err(problem @ AuditProblem::Io { .. }) => return Err(refused(problem)),
            Err(problem) => {
                damage.push(problem);
                continue;
            }
        };
        let Content::Entry(entry) = &line.content else {
            continue;
        };
        let Some(at) = explained
            .iter()
            .find(|at| at.explained.target == entry.target)
        else {
            continue;
        };
        let by_record = entry.source.as_ref() == Some(&record.source)
            && entry.source_id.as_deref() == Some(record.id.as_str());
        let link = at.explained.link.as_ref();
        let by_resource =
            link.is_some_and(|link| entry.resource_id.as_deref() == Some(link.resource.0.as_str()));
        if entry.kind == record.kind && (by_record || by_resource) {
            let last = writes.entry(entry.target.clone()).or_default();
            if last.len() == WRITES {
                last.remove(0);
            }
            last.push(line);
        }
    }
    Ok(writes)
}

#[cfg(test)]
mod tests;
