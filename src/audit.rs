//! The audit log: one JSON line a write, numbered, hash-chained, append-only.
//!
//! Carries source and resource ids, the change, the reason, attribute names, the request id
//! and the outcome; values only with `audit_values = true`. Never a secret. Every record
//! names the last flushed generation of the store, so that a database that went back in time
//! is noticed.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// The open log.
pub struct Audit {
    _private: (),
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
        source: std::io::Error,
    },
}

impl Audit {
    /// Opens `audit.jsonl` in the state directory and continues its chain. A last line cut
    /// short by a crash is set aside, noted in the chain, and not an error.
    pub fn open(_state_dir: &Path) -> Result<Self, AuditError> {
        unimplemented!()
    }

    /// The generation that the last record names; `None` when the log is empty.
    pub fn last_generation(&self) -> Option<u64> {
        unimplemented!()
    }

    /// Appends a record. Not durable before [`Audit::sync`].
    pub fn append(&mut self, _now: DateTime<Utc>, _entry: Entry) -> Result<(), AuditError> {
        unimplemented!()
    }

    /// fsync.
    pub fn sync(&mut self) -> Result<(), AuditError> {
        unimplemented!()
    }
}
