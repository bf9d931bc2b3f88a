//! What calls came to, on its way into the snapshot and the audit log.
//!
//! Calls that end at the same time are written down together: a transaction and a write to a
//! file cost the same for one as for many. A kill before that loses what waits here; the
//! intents of such creates say that they are in doubt, and everything else is sent again. So
//! little waits, never while the target is waited for, and nothing when the next call to
//! the same resource is made. Must not know what a call means.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::report::Failure;
use super::{Applier, failed};
use crate::audit::Entry;
use crate::snapshot::{SnapshotError, TargetChange, TargetStore};

/// How many calls are written down together at most, however many may be under way: a
/// transaction of some hundred keys.
pub(super) const TOGETHER: usize = 32;

/// What waits to be written down.
#[derive(Default)]
pub(crate) struct Ledger {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Of each call.
    changes: Vec<Vec<TargetChange>>,
    entries: Vec<(DateTime<Utc>, Entry)>,
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

    /// What the audit log is to say, and of when. The generation is named when it is written.
    pub(super) fn add_entry(&self, at: DateTime<Utc>, entry: Entry) {
        self.waiting().entries.push((at, entry));
    }

    /// Whether enough waits to be worth writing down.
    pub(super) fn is_full(&self) -> bool {
        let waiting = self.waiting();
        waiting.changes.len().max(waiting.entries.len()) >= TOGETHER
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Applier<'_> {
    /// Writes everything down that waits: what is acknowledged first, then what the audit log
    /// says of it. Once that has failed it fails again, for all whose calls ended meanwhile.
    pub(super) async fn write_down(&self) -> Result<(), Failure> {
        let settled = self.settled_store().map_err(|error| failed(&error));
        let mut entries = {
            let mut waiting = self.ledger.waiting();
            if let Some(failure) = waiting.lost.clone().or(settled.err()) {
                return Err(failure);
            }
            std::mem::take(&mut waiting.entries)
        };
        if entries.is_empty() {
            return Ok(());
        }
        // Another target may flush meanwhile: whoever has the log names the generation, so that
        // generations never go back along the chain.
        let mut audit = self.audit.lock().await;
        for (_, entry) in &mut entries {
            entry.generation = self.store.flushed_generation();
        }
        audit.append_all(&entries).map_err(|error| {
            let failure = failed(&error);
            self.ledger.waiting().lost = Some(failure.clone());
            failure
        })
    }

    /// The snapshot, for whoever has to see what other calls came to.
    pub(super) fn settled_store(&self) -> Result<&TargetStore, SnapshotError> {
        let mut waiting = self.ledger.waiting();
        let changes = std::mem::take(&mut waiting.changes);
        if !changes.is_empty() {
            self.store
                .commit_all(changes)
                .inspect_err(|error| waiting.lost = Some(failed(error)))?;
        }
        Ok(self.store)
    }
}

#[cfg(test)]
mod tests;
