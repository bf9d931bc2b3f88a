//! The store as a whole: opening, locking, integrity, flushing.
//!
//! Everything here blocks; async callers use `spawn_blocking`. Decides nothing about what a
//! lost snapshot means: it only says that it is lost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use provisor_connectors::{Cursor, RecordKey};

use super::generation::GenerationFile;
use super::key;
use super::lock::{self, Lock};
use super::mirror::collect::{self, Pins};
use super::mirror::{Stage, View};
use super::open;
use super::table::{Table, Tables};
use super::target::TargetStore;

/// The open store. Cheap to clone; blocking.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What all handles share. The lock is last: it is let go after the database.
pub(super) struct Shared {
    /// The tables.
    pub(super) tables: Box<Tables>,
    /// Sources that are being staged.
    pub(super) staging: Mutex<BTreeSet<String>>,
    /// Generations that somebody is looking at.
    pub(super) pins: Pins,
    flushes: Mutex<Flushes>,
    /// The generation of the last flush, for whoever must not wait for one under way.
    flushed: AtomicU64,
    lock: Lock,
}

struct Flushes {
    generation: u64,
    file: GenerationFile,
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
    /// says what was seen and where the remains were put. Every opening says so again until
    /// the first [`Store::flush`]: note the loss in every target's progress before that.
    Lost(String),
}

impl Store {
    /// Takes a state directory for this process, before anything in it is opened: created
    /// 0700; one that is owned by another user is refused. A second process is refused, and
    /// the error names the first one's process id and command.
    pub fn lock(state_dir: &Path) -> Result<Lock, SnapshotError> {
        lock::prepare(state_dir)?;
        lock::take(state_dir)
    }

    /// Opens or creates the store in a directory that this process has. `audit_generation` is
    /// the flush generation that the last audit record names; a database below it is lost.
    pub fn open(lock: Lock, audit_generation: Option<u64>) -> Result<Opened, SnapshotError> {
        let ready = open::open(lock.state_dir(), audit_generation)?;
        let store = Store {
            shared: Arc::new(Shared {
                tables: ready.tables,
                staging: Mutex::default(),
                pins: Pins::default(),
                flushes: Mutex::new(Flushes {
                    generation: ready.flushed,
                    file: ready.generation_file,
                }),
                flushed: AtomicU64::new(ready.flushed),
                lock,
            }),
        };
        Ok(Opened {
            store,
            condition: ready.condition,
        })
    }

    /// The state directory, which the audit log is in too.
    pub(super) fn state_dir(&self) -> &Path {
        self.shared.lock.state_dir()
    }

    /// The published mirror of a source.
    pub fn view(&self, source: &str) -> Result<View, SnapshotError> {
        View::published(&self.shared, source)
    }

    /// The cursor published with the mirror.
    pub fn cursor(&self, source: &str) -> Result<Option<Cursor>, SnapshotError> {
        Ok(collect::published(&self.shared.tables, source)?.cursor)
    }

    /// Starts staging a read of a source; discards what an earlier process left unpublished.
    /// `attributes` are the names in use; others are not kept (`None` keeps all). One stage
    /// of a source at a time: a second is [`SnapshotError::Staging`].
    pub fn stage(
        &self,
        source: &str,
        attributes: Option<BTreeSet<String>>,
    ) -> Result<Stage, SnapshotError> {
        Stage::begin(&self.shared, source, attributes)
    }

    /// One target's part.
    pub fn target(&self, name: &str) -> TargetStore {
        TargetStore::new(self.clone(), name)
    }

    /// Names of sources and targets the store knows, to notice a renamed one.
    pub fn names(&self) -> Result<(Vec<String>, Vec<String>), SnapshotError> {
        Ok((
            self.names_in(Table::Sources)?,
            self.names_in(Table::Progress)?,
        ))
    }

    /// Makes everything committed so far durable (database flush, fsync, and the generation
    /// number in its own file), and returns the flush generation. Free when nothing was
    /// committed since the last one.
    pub fn flush(&self) -> Result<u64, SnapshotError> {
        self.shared.flush()
    }

    /// The generation of the last flush. Never one that is still under way.
    pub fn flushed_generation(&self) -> u64 {
        self.shared.flushed.load(Ordering::SeqCst)
    }

    /// Forgets tombstones and versions that no target needs: `seen` is the smallest
    /// generation that every target of the source has looked at; `kept` are people of whom
    /// somebody still has to know that they left. Leaves them for a later call while somebody
    /// looks at an older generation.
    pub fn forget_tombstones(
        &self,
        source: &str,
        seen: u64,
        kept: impl Fn(&RecordKey) -> Result<bool, SnapshotError>,
    ) -> Result<(), SnapshotError> {
        collect::forget_tombstones(&self.shared, source, seen, kept)
    }

    /// Reads the whole store and compares it with the counts and sums that every commit
    /// keeps. An error means that values were lost or changed on disk: treat the snapshot as
    /// lost. Takes seconds for a million records, and commits wait meanwhile.
    pub fn verify(&self) -> Result<(), SnapshotError> {
        open::guarded(|| self.shared.tables.verify()).unwrap_or_else(|| {
            Err(SnapshotError::Value {
                what: "page of the database",
                problem: "reading it failed".to_owned(),
            })
        })
    }

    /// The tables, for the other files of this module.
    pub(super) fn tables(&self) -> &Tables {
        &self.shared.tables
    }

    fn names_in(&self, table: Table) -> Result<Vec<String>, SnapshotError> {
        let mut names = BTreeSet::new();
        for pair in self.shared.tables.prefix(table, &[]) {
            let (key, _) = pair?;
            names.extend(key::take_text(&mut key.as_slice()));
        }
        Ok(names.into_iter().collect())
    }
}

impl Shared {
    /// See [`Store::flush`].
    pub(super) fn flush(&self) -> Result<u64, SnapshotError> {
        let mut flushes = self.flushes.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tables.is_dirty() {
            let next = flushes.generation + 1;
            self.tables.flush(next)?;
            flushes.file.record(next)?;
            flushes.generation = next;
            self.flushed.store(next, Ordering::SeqCst);
        }
        Ok(flushes.generation)
    }
}

/// What to do about damage that opening did not show. It is not done by itself: what was read
/// until then may have been acted on, and a person should know.
pub(super) const REMEDY: &str = "move `db` out of the state directory and run again: everything \
    is rebuilt by adoption, and nobody is deactivated before that is done";

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
    /// A newer version of provisor wrote this state.
    #[error(
        "the snapshot holds a {what} in version {version} of the format, which a newer provisor \
         wrote; use that version again"
    )]
    Newer {
        /// Which kind of value.
        what: &'static str,
        /// Its version.
        version: u8,
    },
    /// The source is being staged already.
    #[error("a read of `{name}` is being staged already; let it end first")]
    Staging {
        /// The source's name.
        name: String,
    },
    /// A stored value cannot be read.
    #[error("the snapshot holds a {what} that cannot be read: {problem}; {REMEDY}")]
    Value {
        /// Which kind of value.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// Takes and opens a directory in one go.
#[cfg(test)]
pub(super) fn open_at(
    state_dir: &Path,
    audit_generation: Option<u64>,
) -> Result<Opened, SnapshotError> {
    Store::open(Store::lock(state_dir)?, audit_generation)
}
