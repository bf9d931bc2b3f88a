//! What calls came to, on its way into the snapshot and the audit log.
//!
//! What ends within a moment is written down together: a transaction and a write to a file cost
//! the same for one as for many. A kill before that loses what waits here; the intents of such
//! creates say that they are in doubt, and everything else is sent again. So little waits, not
//! much longer than a write takes, and nothing when the next call to the same resource is made.
//! Must not know what a call means.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use provisor_connectors::RecordKey;
use tokio::task::spawn_blocking;

use super::report::Failure;
use super::{Applier, failed};
use crate::audit::{Audit, Entry};
use crate::snapshot::{Contested, SnapshotError, TargetChange, TargetStore};

/// How many adoptions are written down together: a transaction of some hundred keys.
const TOGETHER: usize = 32;

/// What waits to be written down.
#[derive(Default)]
pub(crate) struct Ledger {
    waiting: Mutex<Waiting>,
    /// Held by whoever commits: what waited first is committed first.
    committing: Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    /// Of each call.
    changes: Vec<Vec<TargetChange>>,
    entries: Vec<(DateTime<Utc>, Entry)>,
    /// Creations that were answered with what is another record's.
    contested: Contested,
    /// Why something was lost that waited: nothing counts as written down from then on.
    lost: Option<Failure>,
}

impl Ledger {
    /// What the snapshot is to know of one call.
    pub(super) fn add_changes(&self, changes: Vec<TargetChange>) {
        if !changes.is_empty() {
            self.waiting().changes.push(changes);
        }
    }

    /// What the audit log is to say, and of when: after [`Ledger::add_changes`] of the same call.
    /// The generation is named when it is written.
    pub(super) fn add_entry(&self, at: DateTime<Utc>, entry: Entry) {
        self.waiting().entries.push((at, entry));
    }

    /// Whether enough waits to be worth writing down.
    pub(super) fn is_full(&self) -> bool {
        let waiting = self.waiting();
        waiting.changes.len().max(waiting.entries.len()) >= TOGETHER
    }

    /// As long as this is held nothing is written down, as while the disk is slow.
    #[cfg(test)]
    pub(super) fn hold_up(&self) -> MutexGuard<'_, ()> {
        self.committing.lock().expect("nobody panicked")
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the snapshot what waits for it.
    fn commit(&self, store: &TargetStore) -> Result<(), SnapshotError> {
        let _order = self
            .committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let changes = std::mem::take(&mut self.waiting().changes);
        if changes.is_empty() {
            return Ok(());
        }
        let contested = store
            .commit_all(changes)
            .inspect_err(|error| self.waiting().lost = Some(failed(error)))?;
        self.waiting().contested.extend(contested);
        Ok(())
    }

    /// Whose resource the answer to a record's creation has named, where that is another's. Known
    /// once it was written down.
    pub(super) fn owner_of_what_was_made(&self, record: &RecordKey) -> Option<RecordKey> {
        self.waiting().contested.get(record).cloned()
    }

    /// Writes down what waits, on the caller's thread.
    fn write_down(
        &self,
        store: &TargetStore,
        audit: &tokio::sync::Mutex<Audit>,
    ) -> Result<(), Failure> {
        // Another target may flush meanwhile: whoever has the log names the generation, so that
        // generations never go back along the chain.
        let mut audit = audit.blocking_lock();
        // Before the changes: of each of them those wait already, and are committed first.
        let mut entries = std::mem::take(&mut self.waiting().entries);
        let committed = self.commit(store).map_err(|error| failed(&error));
        let lost = self.waiting().lost.clone();
        lost.map_or(committed, Err)?;
        if entries.is_empty() {
            return Ok(());
        }
        for (_, entry) in &mut entries {
            entry.generation = store.flushed_generation();
        }
        audit.append_all(&entries).map_err(|error| {
            let failure = failed(&error);
            self.waiting().lost = Some(failure.clone());
            failure
        })
    }
}

impl Applier<'_> {
    /// Writes everything down that waits: what is acknowledged first, then what the audit log
    /// says of it. Once that has failed it fails again, for all whose calls ended meanwhile.
    /// On a thread of its own: other calls go on.
    pub(super) async fn write_down(&self) -> Result<(), Failure> {
        let (store, audit) = (self.store.clone(), Arc::clone(self.audit));
        let ledger = Arc::clone(&self.ledger);
        let written = spawn_blocking(move || ledger.write_down(&store, &audit));
        written.await.unwrap_or_else(|error| {
            // Nobody knows how far it came.
            let failure = failed(&error);
            self.ledger.waiting().lost = Some(failure.clone());
            Err(failure)
        })
    }

    /// The snapshot, for whoever has to see what other calls came to.
    pub(super) fn settled_store(&self) -> Result<&TargetStore, SnapshotError> {
        self.ledger.commit(self.store)?;
        Ok(self.store)
    }
}
