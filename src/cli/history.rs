//! `history`: the audit log, filtered; and whether it is still as it was written.
//!
//! Reads the file and nothing else: no lock, so that it works while a sync runs, and never
//! more than one line at a time, because a log grows for years.

use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

use super::args::{Format, HistoryArguments};
use super::exit::Exit;
use super::render::text::printable;
use super::sync::find_target;
use super::terminal::{Stop, Terminal};
use crate::audit::{self, AuditProblem, Content, Entry, Filter, Record};
use crate::config::Config;

/// How much is put together before it is printed.
const PRINTED_AT_ONCE: usize = 64 * 1024;

/// Runs `provisor history`.
pub(super) fn run(
    arguments: &HistoryArguments,
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Exit, Stop> {
    let path = config.state_dir.join(audit::FILE_NAME);
    let exists = path.try_exists().map_err(|source| {
        Stop::failed(
            AuditProblem::Io {
                path: path.clone(),
                source,
            }
            .into(),
        )
    })?;
    if !exists {
        terminal.warn(&format!("there is no audit log yet: {}", path.display()));
    }
    if arguments.verify {
        return Ok(verify(&path, exists, arguments.format, terminal));
    }
    let now = Utc::now();
    if let Some(target) = &arguments.target
        && let Err(stop) = find_target(config, target)
    {
        // What was done at a target that is no longer configured can still be asked for.
        for line in stop.chain() {
            terminal.warn(&line);
        }
    }
    let filter = Filter {
        target: arguments.target.clone(),
        subject: arguments.person.clone(),
        since: arguments.since.map(|moment| moment.seen_from(now)),
        until: arguments.until.map(|moment| moment.seen_from(now)),
        change: arguments.change.clone(),
        failed: arguments.failed,
    };
    let mut printer = Printer::new(arguments.format, terminal);
    let mut exit = Exit::Done;
    if exists {
        for record in audit::records(&path).map_err(|problem| Stop::failed(problem.into()))? {
            match record {
                Ok(record) if filter.takes(&record) => printer.show(&record),
                Ok(_) => {}
                Err(problem) => {
                    exit = Exit::Failed;
                    printer.complain(&problem);
                    // The file itself does not answer any more.
                    if matches!(problem, AuditProblem::Io { .. }) {
                        break;
                    }
                }
            }
            if !printer.terminal.is_read() {
                break;
            }
        }
    }
    printer.end();
    Ok(exit)
}

/// What `history --verify --format json` prints.
#[derive(Debug, Serialize)]
struct Verdict {
    version: u32,
    /// How many lines there are; null when the chain is broken.
    records: Option<u64>,
    /// The first line that is not as it was written; null when all are.
    line: Option<u64>,
    problem: Option<String>,
}

fn verify(path: &Path, exists: bool, format: Format, terminal: &mut Terminal) -> Exit {
    let mut verdict = Verdict {
        version: 1,
        records: Some(0),
        line: None,
        problem: None,
    };
    let mut exit = Exit::Done;
    if exists {
        match audit::verify(path) {
            Ok(verified) => verdict.records = Some(verified.records),
            Err(problem) => {
                exit = Exit::Failed;
                verdict.records = None;
                if let AuditProblem::Broken { line, problem, .. } = &problem {
                    verdict.line = Some(*line);
                    verdict.problem = Some((*problem).to_owned());
                } else {
                    verdict.problem = Some(problem.to_string());
                }
                terminal.error(
                    None,
                    &chain_of(&problem),
                    Some(
                        "up to the line before, nothing was changed; compare the file with a copy \
                         to see what was",
                    ),
                );
            }
        }
    }
    match (format, verdict.records) {
        (Format::Json, _) => {
            let text =
                serde_json::to_string_pretty(&verdict).expect("the document has only text keys");
            terminal.print(&format!("{text}\n"));
        }
        (Format::Text, Some(1)) => terminal.print("1 record, the chain is whole\n"),
        (Format::Text, Some(records)) => {
            terminal.print(&format!("{records} records, the chain is whole\n"));
        }
        (Format::Text, None) => {}
    }
    exit
}

/// What is wrong with the log, and why.
pub(super) fn chain_of(problem: &AuditProblem) -> Vec<String> {
    let mut chain = vec![problem.to_string()];
    let mut source = std::error::Error::source(problem);
    while let Some(cause) = source {
        chain.push(cause.to_string());
        source = cause.source();
    }
    chain
}

/// Prints records as they come: lines of text, or the elements of one document.
struct Printer<'a> {
    terminal: &'a mut Terminal,
    format: Format,
    ready: String,
    shown: u64,
}

impl<'a> Printer<'a> {
    fn new(format: Format, terminal: &'a mut Terminal) -> Self {
        let ready = match format {
            Format::Text => String::new(),
            Format::Json => "{\"version\":1,\"records\":[".to_owned(),
        };
        Self {
            terminal,
            format,
            ready,
            shown: 0,
        }
    }

    fn show(&mut self, record: &Record) {
        match self.format {
            Format::Text => line(&mut self.ready, record),
            Format::Json => {
                let comma = if self.shown == 0 { "" } else { "," };
                let shown = serde_json::to_string(&Shown::new(record))
                    .expect("the document has only text keys");
                let _ = write!(self.ready, "{comma}\n{shown}");
            }
        }
        self.shown += 1;
        if self.ready.len() >= PRINTED_AT_ONCE {
            self.print();
        }
    }

    /// Says what is wrong with a line, after what came before it.
    fn complain(&mut self, problem: &AuditProblem) {
        self.print();
        self.terminal.error(None, &chain_of(problem), None);
    }

    fn end(mut self) {
        if self.format == Format::Json {
            self.ready
                .push_str(if self.shown == 0 { "]}\n" } else { "\n]}\n" });
        }
        self.print();
    }

    fn print(&mut self) {
        self.terminal.print(&self.ready);
        self.ready.clear();
    }
}

/// One record in JSON. Every key is always present.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    seq: u64,
    time: Option<String>,
    target: Option<&'a str>,
    kind: Option<provisor_connectors::Kind>,
    source: Option<&'a str>,
    source_id: Option<&'a str>,
    resource_id: Option<&'a str>,
    change: Option<&'a str>,
    reason: Option<&'a str>,
    method: Option<&'a str>,
    attributes: &'a [String],
    values: Option<&'a Value>,
    request_id: Option<&'a str>,
    outcome: Option<&'a str>,
    status: Option<u16>,
    generation: Option<u64>,
    note: Option<&'a str>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(record: &'a Record) -> Self {
        let (entry, note) = match &record.content {
            Content::Entry(entry) => (Some(entry.as_ref()), None),
            Content::Note(note) => (None, Some(note.as_str())),
        };
        Self {
            seq: record.seq,
            time: record.time.map(stamp),
            target: entry.map(|entry| entry.target.as_str()),
            kind: entry.map(|entry| entry.kind),
            source: entry.and_then(|entry| entry.source.as_deref()),
            source_id: entry.and_then(|entry| entry.source_id.as_deref()),
            resource_id: entry.and_then(|entry| entry.resource_id.as_deref()),
            change: entry.map(|entry| entry.change.as_str()),
            reason: entry.map(|entry| entry.reason.as_str()),
            method: entry.and_then(|entry| entry.method.as_deref()),
            attributes: entry.map_or(&[], |entry| &entry.attributes),
            values: entry.and_then(|entry| entry.values.as_ref()),
            request_id: entry.and_then(|entry| entry.request_id.as_deref()),
            outcome: entry.map(|entry| entry.outcome.as_str()),
            status: entry.and_then(|entry| entry.status),
            generation: entry.map(|entry| entry.generation),
            note,
        }
    }
}

/// One record as a line of text.
pub(super) fn line(text: &mut String, record: &Record) {
    let time = record.time.map_or_else(|| "-".to_owned(), stamp);
    let said = match &record.content {
        Content::Note(note) => format!("{time}  note: {note}"),
        Content::Entry(entry) => {
            let Entry {
                target,
                kind,
                source,
                source_id,
                resource_id,
                change,
                reason,
                method,
                attributes,
                values: _,
                request_id: _,
                outcome,
                status,
                generation: _,
            } = entry.as_ref();
            let record = match (source, source_id) {
                (Some(source), Some(id)) => format!("{source}/{id}"),
                _ => "-".to_owned(),
            };
            let resource = resource_id.as_deref().unwrap_or("-");
            let call = match (method, status) {
                (None, _) => String::new(),
                (Some(method), None) => format!("  {method}"),
                (Some(method), Some(status)) => format!("  {method} {status}"),
            };
            let names = if attributes.is_empty() {
                String::new()
            } else {
                format!("  {}", attributes.join(" "))
            };
            format!(
                "{time}  {target}  {outcome:6}  {change:10}  {:5}  {record} -> {resource}  \
                 {reason}{call}{names}",
                kind.to_string()
            )
        }
    };
    text.push_str(&printable(&said));
    text.push('\n');
}

fn stamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
