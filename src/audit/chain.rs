//! The chain of the audit log: sealing a line, reading one, checking all of them.
//!
//! Needs no key: it shows that a log was changed, not that somebody forged all of it. Reads
//! line by line; a log may be larger than memory.

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::{Map, Value};

use super::BEGINNING;
use super::read::Lines;

/// What stands between a line's other fields and its hash.
const HASH_NAME: &str = ",\"hash\":\"";
/// How long the end of a line is that holds the hash: name, 64 digits, quote and brace.
const HASH_PART: usize = HASH_NAME.len() + 64 + 2;

/// A log whose chain is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many lines it has, notes included.
    pub records: u64,
}

/// Where and how a chain is broken.
#[derive(Debug, thiserror::Error)]
pub enum AuditProblem {
    /// The file cannot be read.
    #[error("cannot read the audit log {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line is not what was written, or is not where it was written.
    #[error("{}:{line}: {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Checks the whole log: every number, every link of the chain, every hash.
pub fn verify(path: &Path) -> Result<Verified, AuditProblem> {
    let mut lines = Lines::open(path)?;
    let mut prev = BEGINNING.to_owned();
    let mut records = 0;
    loop {
        let line = match lines.next_line()? {
            None => return Ok(Verified { records }),
            Some(line) if line.whole => parse(line.text),
            Some(_) => Err("the line is cut short"),
        };
        let number = records + 1;
        let line = line.map_err(|problem| lines.broken(number, problem))?;
        if line.seq != number {
            return Err(lines.broken(
                number,
                "the number is not the one that follows: lines are missing or were added",
            ));
        }
        if line.prev != prev {
            return Err(lines.broken(number, "it does not continue the line before it"));
        }
        prev = line.hash;
        records = number;
    }
}

/// One line, its own hash checked.
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) prev: String,
    pub(super) hash: String,
    /// The store's flush generation it names.
    pub(super) generation: Option<u64>,
}

/// Reads a line and checks it against its own hash.
pub(super) fn parse(text: &[u8]) -> Result<Line, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
    let start = text.len().checked_sub(HASH_PART).ok_or("it is too short")?;
    let (rest, end) = text
        .split_at_checked(start)
        .ok_or("it does not end in a hash")?;
    let hash = end
        .strip_prefix(HASH_NAME)
        .and_then(|end| end.strip_suffix("\"}"))
        .ok_or("it does not end in a hash")?;
    let fields: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| "it is not a JSON object")?;
    let prev = fields
        .get("prev")
        .and_then(Value::as_str)
        .ok_or("it has no `prev`")?;
    if hash_of(prev, &format!("{rest}}}")) != hash {
        return Err("it was changed: its hash does not fit");
    }
    Ok(Line {
        seq: fields
            .get("seq")
            .and_then(Value::as_u64)
            .ok_or("it has no `seq`")?,
        prev: prev.to_owned(),
        hash: hash.to_owned(),
        generation: fields.get("generation").and_then(Value::as_u64),
    })
}

/// Makes the line that follows the one with the hash `prev`, which `fields` names, and its own
/// hash. The hash is taken over the text as it is written, so that checking needs no second
/// opinion on how JSON is spelled.
pub(super) fn seal(fields: &impl Serialize, prev: &str) -> serde_json::Result<(String, String)> {
    let rest = serde_json::to_string(fields)?;
    let hash = hash_of(prev, &rest);
    let open = rest.strip_suffix('}').unwrap_or(&rest);
    Ok((format!("{open}{HASH_NAME}{hash}\"}}\n"), hash))
}

/// SHA-256 in hexadecimal digits.
fn hash_of(prev: &str, rest: &str) -> String {
    let mut context = Context::new(&SHA256);
    context.update(prev.as_bytes());
    context.update(rest.as_bytes());
    let digest = context.finish();
    let digits = digest.as_ref().iter();
    let digits = digits.flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}
