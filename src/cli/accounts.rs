//! `accounts`: who is at a target and whose they are; and `accounts apply`, which does what a
//! person wrote beside some of them.
//!
//! Reads the sources, as a preview does, and lists the target. Decides nothing: the engine
//! tells the states, and refuses or holds what a row asks for.

mod apply;
mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use chrono::Utc;
use serde::Serialize;

use super::args::{AccountsArguments, AccountsCommand, Listing};
use super::exit::Exit;
use super::progress::Bars;
use super::render::text::printable;
use super::session::{self, Connected, Session};
use super::sync::find_target;
use super::terminal::{Stop, Terminal};
use crate::apply::report::Failure;
use crate::config::{Config, TargetConfig};
use crate::cycle::accounts::{Resident, State, Survey};
use crate::cycle::{self, Readings};
use crate::snapshot::Origin;
pub use file::rows as read_account_rows;

/// Runs `provisor accounts`.
pub(super) async fn run(
    arguments: &AccountsArguments,
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Exit, Stop> {
    if let Some(AccountsCommand::Apply { file, dry_run }) = &arguments.command {
        return apply::run(file, *dry_run, config, terminal).await;
    }
    let name = arguments.target.as_deref().unwrap_or_default();
    let target = find_target(config, name)?;
    let mut desk = Desk::open(config, vec![target], terminal).await?;
    let connected = session::connect(target)
        .await
        .map_err(|failure| Stop::from(&failure))?;
    let surveyed = desk.survey(target, &connected, terminal).await;
    let closed = connected.close().await;
    let survey = surveyed.map_err(|failure| Stop::from(&failure))?;
    closed.map_err(|failure| Stop::from(&failure))?;

    let shown: Vec<&Resident> = survey
        .residents
        .iter()
        .filter(|resident| is_asked_for(resident.state, arguments))
        .collect();
    let text = match arguments.format {
        Listing::Table => table(&shown),
        Listing::Csv => csv(name, &shown),
        Listing::Json => json(name, &shown),
    };
    terminal.print(&text);
    Ok(desk.exit)
}

/// What listing needs: the state, and the sources as they are now.
struct Desk {
    session: Session,
    readings: Readings,
    /// Failed, when a source could not be read.
    exit: Exit,
}

impl Desk {
    async fn open(
        config: &Config,
        targets: Vec<&TargetConfig>,
        terminal: &mut Terminal,
    ) -> Result<Self, Stop> {
        let session = Session::open(config)?;
        for warning in &session.warnings {
            terminal.warn(warning);
        }
        let sources = session::build_sources(config, &targets);
        session::check_names(&targets, &sources).await?;
        let in_use: Vec<_> = config
            .targets
            .values()
            .map(|target| target.target.clone())
            .collect();
        let bars = Bars::new(terminal.bars);
        let read = {
            let (store, whole) = (&session.store, BTreeSet::new());
            cycle::read_sources(store, &sources, &in_use, &whole, Utc::now(), &bars).await
        };
        bars.clear();
        let readings = read.map_err(|failure| Stop::from(&failure))?;
        let mut exit = Exit::Done;
        for (source, failure) in readings.failures() {
            terminal.error(Some(&format!("source {source}")), &failure.chain, None);
            exit = exit.and(failure.kind.into());
        }
        Ok(Self {
            session,
            readings,
            exit,
        })
    }

    async fn survey(
        &mut self,
        target: &TargetConfig,
        connected: &Connected,
        terminal: &Terminal,
    ) -> Result<Survey, Failure> {
        let bars = Bars::new(terminal.bars);
        let survey = cycle::accounts::survey(
            &self.session.store,
            &self.readings,
            &target.target,
            &connected.client,
            Utc::now(),
            &bars,
        )
        .await;
        bars.clear();
        survey
    }
}

/// Without a flag everybody is; several flags add up.
fn is_asked_for(state: State, arguments: &AccountsArguments) -> bool {
    let AccountsArguments {
        linked,
        stale,
        unlinked,
        ..
    } = arguments;
    let any = *linked || *stale || *unlinked;
    match state {
        _ if !any => true,
        State::Linked | State::Missing => *linked,
        State::Stale => *stale,
        State::Unlinked => *unlinked,
        State::Matching | State::Held => false,
    }
}

fn table(residents: &[&Resident]) -> String {
    let widest = residents
        .iter()
        .map(|resident| printable(&resident.name).chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    let mut counts: BTreeMap<State, u64> = BTreeMap::new();
    for resident in residents {
        *counts.entry(resident.state).or_default() += 1;
        let record = resident.record.as_ref();
        let record = record.map_or_else(|| "-".to_owned(), |it| format!("{}/{}", it.source, it.id));
        let _ = writeln!(
            text,
            "{:8}  {:8}  {:widest$}  {} -> {}  {}",
            resident.state.name(),
            if resident.active {
                "active"
            } else {
                "inactive"
            },
            printable(&resident.name),
            printable(&record),
            printable(&resident.resource.0),
            printable(&resident.detail),
        );
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{count} {}", state.name()))
        .collect();
    if counts.is_empty() {
        return "nobody\n".to_owned();
    }
    let _ = writeln!(text, "\n{}", counts.join(", "));
    text
}

/// One resident in CSV and JSON. The first column is for a person to fill in.
#[derive(Debug, Serialize)]
struct Line<'a> {
    action: &'static str,
    target: &'a str,
    state: &'static str,
    active: bool,
    name: &'a str,
    source: Option<&'a str>,
    source_id: Option<&'a str>,
    resource_id: &'a str,
    origin: Option<Origin>,
    detail: &'a str,
}

impl<'a> Line<'a> {
    fn new(target: &'a str, resident: &'a Resident) -> Self {
        let Resident {
            resource,
            name,
            active,
            state,
            record,
            origin,
            detail,
        } = resident;
        Self {
            action: "",
            target,
            state: state.name(),
            active: *active,
            name,
            source: record.as_ref().map(|record| record.source.as_str()),
            source_id: record.as_ref().map(|record| record.id.as_str()),
            resource_id: &resource.0,
            origin: *origin,
            detail,
        }
    }
}

const COLUMNS: [&str; 10] = [
    "action",
    "target",
    "state",
    "active",
    "name",
    "source",
    "source_id",
    "resource_id",
    "origin",
    "detail",
];

fn csv(target: &str, residents: &[&Resident]) -> String {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    let written = writer.write_record(COLUMNS).and_then(|()| {
        residents
            .iter()
            .try_for_each(|resident| writer.serialize(Line::new(target, resident)))
    });
    written.expect("rows of plain values can be written into memory");
    let bytes = writer.into_inner().expect("memory can be flushed");
    String::from_utf8(bytes).expect("the columns are text")
}

fn json(target: &str, residents: &[&Resident]) -> String {
    let mut lines = Vec::new();
    for resident in residents {
        let mut line = serde_json::to_value(Line::new(target, resident))
            .expect("the document has only text keys");
        if let Some(line) = line.as_object_mut() {
            line.remove("action");
            line.remove("target");
        }
        lines.push(line);
    }
    let document = serde_json::json!({ "version": 1, "target": target, "accounts": lines });
    let text = serde_json::to_string_pretty(&document).expect("the document has only text keys");
    format!("{text}\n")
}

/// A path as it is shown in an error.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
