//! The audit log: one JSON line a write, numbered, hash-chained, append-only.
//!
//! Carries source and resource ids, the change, the reason, attribute names, the request id
//! and the outcome; values only with `audit_values = true`. Never a secret. Every record
//! names the last flushed generation of the store, so that a database that went back in time
//! is noticed.
//!
//! A line is `{seq, time, prev, …, hash}`: `hash` is SHA-256 over `prev`, the hash of the line
//! before, and the line's own text without `hash`. Whoever changes, removes or
//! inserts a line breaks the chain from there on. Cutting off the end does not: keep copies.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod chain;
mod read;
pub mod remembered;
#[cfg(test)]
mod tests;

pub use chain::{AuditProblem, Verified, verify};
pub use read::{Content, Filter, Record, records};

/// What the first line names as the hash of the line before it.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The note about a last line that a crash cut short.
const TORN: &str = "torn tail set aside";
/// The log's name in the state directory.
pub const FILE_NAME: &str = "audit.jsonl";
/// How much of the end is read at a time, to find the last line.
const TAIL: u64 = 64 * 1024;

/// What one record says, besides its number, time and chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The target's name.
    pub target: String,
    /// `user` or `group`.
    pub kind: provisor_connectors::Kind,
    /// The record's source name, where there is a record.
    pub source: Option<String>,
    /// The record's source id.
    pub source_id: Option<String>,
    /// The resource's id, once known.
    pub resource_id: Option<String>,
    /// The change.
    pub change: String,
    /// The reason.
    pub reason: String,
    /// The method sent; `None` for an adoption without a request.
    pub method: Option<String>,
    /// Names of the attributes written (`members` for memberships).
    pub attributes: Vec<String>,
    /// Values, only with `audit_values = true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Value>,
    /// The request id that was sent.
    pub request_id: Option<String>,
    /// `done`, `failed` or `in_doubt`.
    pub outcome: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The store's last flushed generation.
    pub generation: u64,
}

/// A line without its hash.
#[derive(Serialize)]
struct Fields<'a> {
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    prev: &'a str,
    #[serde(flatten)]
    said: Said<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Said<'a> {
    Entry(&'a Entry),
    Note {
        note: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        generation: Option<u64>,
    },
}

/// The open log.
pub struct Audit {
    file: Arc<File>,
    path: PathBuf,
    /// The number of the last line.
    seq: u64,
    /// The hash of the last line.
    hash: String,
    last_generation: Option<u64>,
    /// The length of the whole lines: where the next one starts.
    end: u64,
    /// Something may follow the whole lines: a line that was cut short, or what a write that
    /// failed has left.
    torn: bool,
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The system refused.
    #[error("cannot {action} the audit log {}", path.display())]
    Io {
        /// "open", "append to" …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The last line is whole and is not one that provisor wrote.
    #[error(
        "cannot continue the audit log {}: its last line is not a record of it; move the file \
         away to start a new one",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
    },
}

impl Audit {
    /// Opens `audit.jsonl` in the state directory and continues its chain. A last line cut
    /// short by a crash is set aside as `audit.torn-<seq>`, noted in the chain, and not an
    /// error. Reads only the end of the file: [`verify`] checks all of it.
    pub fn open(state_dir: &Path) -> Result<Self, AuditError> {
        let path = state_dir.join(FILE_NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open", &path))?;
        // The name must be as durable as what is written under it.
        File::open(state_dir)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error("open", &path))?;
        let length = file.metadata().map_err(io_error("read", &path))?.len();
        let end = last_line_end(&file, length).map_err(io_error("read", &path))?;
        let last = last_line(&file, end).map_err(io_error("read", &path))?;
        let mut audit = Self {
            file: Arc::new(file),
            path,
            seq: 0,
            hash: BEGINNING.to_owned(),
            last_generation: None,
            end,
            torn: length > end,
        };
        if let Some(line) = last {
            let unusable = || AuditError::Unusable {
                path: audit.path.clone(),
            };
            let line = chain::parse(&line).map_err(|_| unusable())?;
            audit.seq = line.seq;
            audit.hash = line.hash;
            audit.last_generation = line.generation;
        }
        if length > end {
            audit.set_aside(state_dir, length)?;
        }
        Ok(audit)
    }

    /// From here on nothing can be appended, as on a disk that was made read-only.
    #[cfg(test)]
    pub(crate) fn make_read_only(&mut self) {
        self.file = Arc::new(File::open(&self.path).expect("it was opened before"));
    }

    /// From here on nothing becomes durable: a device has nothing to sync.
    #[cfg(test)]
    pub(crate) fn refuse_to_sync(&mut self) {
        self.file = Arc::new(File::open("/dev/null").expect("it is always there"));
    }

    /// The number of the last record; 0 when the log is empty.
    pub fn last_number(&self) -> u64 {
        self.seq
    }

    /// The generation that the last record names; `None` when the log is empty.
    pub fn last_generation(&self) -> Option<u64> {
        self.last_generation
    }

    /// Appends a record. Not durable before [`Audit::sync`]. After an error nothing counts as
    /// appended: the next record takes its place.
    pub fn append(&mut self, now: DateTime<Utc>, entry: Entry) -> Result<(), AuditError> {
        self.append_all(&[(now, entry)])
    }

    /// Appends records, each with its time, in one write: all of them or, after an error, none.
    pub fn append_all(&mut self, entries: &[(DateTime<Utc>, Entry)]) -> Result<(), AuditError> {
        let lines = entries
            .iter()
            .map(|(time, entry)| (Some(*time), Said::Entry(entry)));
        self.append_lines(lines)?;
        if let Some((_, entry)) = entries.last() {
            self.last_generation = Some(entry.generation);
        }
        Ok(())
    }

    /// Makes every record durable (fdatasync: the file's times may stay behind).
    pub fn sync(&mut self) -> Result<(), AuditError> {
        self.syncing()()
    }

    /// As [`Audit::sync`], of the records until now, to be done while others are appended.
    pub fn syncing(&self) -> impl FnOnce() -> Result<(), AuditError> + Send + use<> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        move || file.sync_data().map_err(io_error("sync", &path))
    }

    fn append_lines<'e>(
        &mut self,
        lines: impl Iterator<Item = (Option<DateTime<Utc>>, Said<'e>)>,
    ) -> Result<(), AuditError> {
        let (mut seq, mut hash) = (self.seq, self.hash.clone());
        let mut text = String::new();
        for (time, said) in lines {
            seq += 1;
            let fields = Fields {
                seq,
                time: time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)),
                prev: &hash,
                said,
            };
            let (line, own) = chain::seal(&fields, &hash)
                .map_err(|error| io_error("append to", &self.path)(error.into()))?;
            hash = own;
            text.push_str(&line);
        }
        // At a position of our own, not "at the end": what a failed write left is not kept.
        if self.torn {
            let cut = self.file.set_len(self.end);
            cut.map_err(io_error("append to", &self.path))?;
        }
        let written = self.file.write_all_at(text.as_bytes(), self.end);
        self.torn = written.is_err();
        written.map_err(io_error("append to", &self.path))?;
        self.end += text.len() as u64;
        self.seq = seq;
        self.hash = hash;
        Ok(())
    }

    /// Moves what follows the last whole line into a file of its own and notes that. The
    /// note has no time: opening is not told what time it is.
    fn set_aside(&mut self, state_dir: &Path, length: u64) -> Result<(), AuditError> {
        let torn = state_dir.join(format!("audit.torn-{}", self.seq + 1));
        let mut tail = vec![0; usize::try_from(length - self.end).unwrap_or(usize::MAX)];
        self.file
            .read_exact_at(&mut tail, self.end)
            .map_err(io_error("read", &self.path))?;
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&torn)
            .and_then(|mut file| {
                file.write_all(&tail)?;
                file.sync_all()
            })
            .map_err(io_error("set aside the end of", &torn))?;
        let said = Said::Note {
            note: TORN,
            generation: self.last_generation,
        };
        self.append_lines(std::iter::once((None, said)))?;
        self.sync()
    }
}

/// Where the last whole line ends: after the last line feed.
fn last_line_end(file: &File, length: u64) -> io::Result<u64> {
    let found = find_line_feed_before(file, length)?;
    Ok(found.map_or(0, |position| position + 1))
}

/// The last whole line, without its line feed.
fn last_line(file: &File, end: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(feed) = end.checked_sub(1) else {
        return Ok(None);
    };
    let start = find_line_feed_before(file, feed)?.map_or(0, |position| position + 1);
    // Not one of ours: refused by its form, without reading all of it into memory.
    let start = start.max(feed.saturating_sub(read::LONGEST_LINE));
    let mut line = vec![0; usize::try_from(feed - start).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut line, start)?;
    Ok(Some(line))
}

/// The position of the last line feed before `end`.
fn find_line_feed_before(file: &File, mut end: u64) -> io::Result<Option<u64>> {
    while end > 0 {
        let start = end.saturating_sub(TAIL);
        let mut part = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut part, start)?;
        if let Some(position) = part.iter().rposition(|&byte| byte == b'\n') {
            return Ok(Some(start + position as u64));
        }
        end = start;
    }
    Ok(None)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuditError + use<> {
    let path = path.to_owned();
    move |source| AuditError::Io {
        action,
        path,
        source,
    }
}
