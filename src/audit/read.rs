//! Reading the log: its records in order, filtered, one line at a time.
//!
//! Believes what the lines say; whether they were changed is for [`super::verify`] to tell.
//! Takes no lock, so that asking never waits for a running sync: a last line without its
//! line feed is one that is being written, and is left out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Entry;
use super::chain::AuditProblem;

/// No line of ours is longer: a group's members are not in it, and a person's values are
/// bounded by the source. A longer one must not fill the memory.
pub(super) const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// One line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was written; a note about a torn tail has no time.
    pub time: Option<DateTime<Utc>>,
    /// What it says.
    pub content: Content,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A write, or a link made or dropped.
    Entry(Box<Entry>),
    /// A remark of the log about itself.
    Note(String),
}

/// Which records to show. What is `None`, or false, does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this target.
    pub target: Option<String>,
    /// About the record or the resource with this id, exactly.
    pub subject: Option<String>,
    /// Not before this moment.
    pub since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Of this change.
    pub change: Option<String>,
    /// Whose outcome is not `done`.
    pub failed: bool,
}

impl Filter {
    /// Whether a record is one of those asked for. A note passes only where nothing was.
    pub fn takes(&self, record: &Record) -> bool {
        let Content::Entry(entry) = &record.content else {
            return *self == Self::default();
        };
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        let about = |wanted: &String| {
            [&entry.source_id, &entry.resource_id]
                .into_iter()
                .any(|id| id.as_ref() == Some(wanted))
        };
        is(&self.target, &entry.target)
            && is(&self.change, &entry.change)
            && self.subject.as_ref().is_none_or(about)
            && (!self.failed || entry.outcome != "done")
            && self
                .since
                .is_none_or(|since| record.time.is_some_and(|time| time >= since))
            && self
                .until
                .is_none_or(|until| record.time.is_some_and(|time| time < until))
    }
}

/// Every record of the log, in order, read as it is asked for. An unreadable line is an
/// error of that line alone; the next call goes on behind it.
pub fn records(
    path: &Path,
) -> Result<impl Iterator<Item = Result<Record, AuditProblem>>, AuditProblem> {
    let mut lines = Lines::open(path)?;
    Ok(std::iter::from_fn(move || {
        match lines.next_line() {
            Err(problem) => Some(Err(problem)),
            Ok(None) => None,
            // Somebody is writing it just now.
            Ok(Some(line)) if !line.whole => None,
            Ok(Some(line)) => {
                let record = parse(line.text);
                let number = lines.number;
                Some(record.map_err(|problem| lines.broken(number, problem)))
            }
        }
    }))
}

/// The lines of a log, one in memory at a time.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    text: Vec<u8>,
    /// The number of the line read last, from 1.
    pub(super) number: u64,
}

/// One line, without its line feed.
pub(super) struct RawLine<'a> {
    pub(super) text: &'a [u8],
    /// It ends in a line feed.
    pub(super) whole: bool,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, AuditProblem> {
        let file = File::open(path).map_err(|source| problem_of(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::new(file),
            text: Vec::new(),
            number: 0,
        })
    }

    /// The next line; `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<RawLine<'_>>, AuditProblem> {
        self.text.clear();
        let read = (&mut self.reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut self.text)
            .map_err(|source| problem_of(&self.path, source))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let whole = self.text.last() == Some(&b'\n');
        if whole {
            self.text.pop();
        } else if read as u64 == LONGEST_LINE {
            return Err(self.broken(self.number, "it is longer than any record"));
        }
        Ok(Some(RawLine {
            text: &self.text,
            whole,
        }))
    }

    pub(super) fn broken(&self, line: u64, problem: &'static str) -> AuditProblem {
        AuditProblem::Broken {
            path: self.path.clone(),
            line,
            problem,
        }
    }
}

fn problem_of(path: &Path, source: io::Error) -> AuditProblem {
    AuditProblem::Io {
        path: path.to_owned(),
        source,
    }
}

fn parse(text: &[u8]) -> Result<Record, &'static str> {
    let value: Value = serde_json::from_slice(text).map_err(|_| "it is not a JSON object")?;
    let seq = value["seq"].as_u64().ok_or("it has no `seq`")?;
    let time = match &value["time"] {
        Value::Null => None,
        time => {
            let time = time
                .as_str()
                .and_then(|time| DateTime::parse_from_rfc3339(time).ok());
            Some(
                time.ok_or("its `time` is not a moment")?
                    .with_timezone(&Utc),
            )
        }
    };
    let content = match value["note"].as_str() {
        Some(note) => Content::Note(note.to_owned()),
        None => Content::Entry(Box::new(
            serde_json::from_value(value).map_err(|_| "it is not a record of this log")?,
        )),
    };
    Ok(Record { seq, time, content })
}
