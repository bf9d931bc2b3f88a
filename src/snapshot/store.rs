//! The store as a whole: opening, locking, integrity, flushing.

use std::path::{Path, PathBuf};

use super::mirror::{Stage, View};
use super::target::TargetStore;

/// The open store. Cheap to clone; blocking.
#[derive(Clone)]
pub struct Store {
    _private: (),
}

/// What opening found.
pub struct Opened {
    /// The store, empty when it is new or was lost.
    pub store: Store,
    /// In what condition it was.
    pub condition: Condition,
}

/// In what condition a state directory was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There was nothing: a first run.
    New,
    /// As it was left.
    Intact,
    /// There was something, and it is missing, damaged or older than it should be. The text
    /// says what was seen and where the remains were put.
    Lost(String),
}

impl Store {
    /// Opens or creates the store in a state directory (created 0700; one that is owned by
    /// another user is refused). Takes the lock: a second process is refused, and the error
    /// names the first one's process id and command. `audit_generation` is the flush generation that the last audit
    /// record names; a database below it is lost.
    pub fn open(
        _state_dir: &Path,
        _audit_generation: Option<u64>,
    ) -> Result<Opened, SnapshotError> {
        unimplemented!()
    }

    /// The published mirror of a source.
    pub fn view(&self, _source: &str) -> Result<View, SnapshotError> {
        unimplemented!()
    }

    /// The cursor published with the mirror.
    pub fn cursor(
        &self,
        _source: &str,
    ) -> Result<Option<provisor_connectors::Cursor>, SnapshotError> {
        unimplemented!()
    }

    /// Starts staging a read of a source; discards what an earlier process left unpublished.
    /// `attributes` are the names in use; others are not kept (`None` keeps all).
    pub fn stage(
        &self,
        _source: &str,
        _attributes: Option<std::collections::BTreeSet<String>>,
    ) -> Result<Stage, SnapshotError> {
        unimplemented!()
    }

    /// One target's part.
    pub fn target(&self, _name: &str) -> TargetStore {
        unimplemented!()
    }

    /// Names of sources and targets the store knows, to notice a renamed one.
    pub fn names(&self) -> Result<(Vec<String>, Vec<String>), SnapshotError> {
        unimplemented!()
    }

    /// Makes everything committed so far durable (database flush, fsync, and the generation
    /// number in its own file), and returns the flush generation.
    pub fn flush(&self) -> Result<u64, SnapshotError> {
        unimplemented!()
    }

    /// Forgets tombstones and versions that no target needs: `seen` is the smallest
    /// generation that every target of the source has looked at.
    pub fn forget_tombstones(&self, _source: &str, _seen: u64) -> Result<(), SnapshotError> {
        unimplemented!()
    }
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another process has it.
    #[error("the state directory {} is in use by process {owner}; wait for it, or stop it", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Process id and command of the other process.
        owner: String,
    },
    /// The directory belongs to somebody else, or others can read it.
    #[error("the state directory {} {problem}", path.display())]
    Untrusted {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// "create", "lock", "write" …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database refused.
    #[error("the snapshot cannot {action}")]
    Database {
        /// "commit", "flush", "read" …
        action: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A stored value cannot be read.
    #[error("the snapshot holds a {what} that cannot be read: {problem}")]
    Value {
        /// Which kind of value.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}
