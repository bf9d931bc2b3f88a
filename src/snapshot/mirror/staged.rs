//! The end of a read: publishing it by one key, or discarding it.
//!
//! Nothing staged is visible before [`Staged::publish`], and nothing of it is left when it is
//! dropped instead. Compares nothing: that is the stage's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use provisor_connectors::{Cursor, Kind};

use super::View;
use super::collect::{self, Published};
use crate::snapshot::store::{Shared, SnapshotError};

/// A finished, durable, unpublished read. Dropped without [`Staged::publish`] it is discarded.
pub struct Staged {
    pub(super) staging: Staging,
    pub(super) before: Published,
    pub(super) next: Published,
    pub(super) vanished: BTreeMap<Kind, BTreeSet<String>>,
}

impl Staged {
    /// The generation that this read would publish; the published one when nothing changed.
    pub fn generation(&self) -> u64 {
        self.next.generation
    }

    /// Living (not gone) records per kind after this read.
    pub fn living(&self, kind: Kind) -> u64 {
        self.next.living.get(&kind).copied().unwrap_or(0)
    }

    /// People whom the source has: those in its recycle bin are of an earlier time, and no sign that
    /// it was looked for anybody else.
    pub fn present_people(&self) -> u64 {
        self.living(Kind::User)
            .saturating_sub(self.next.soft_deleted)
    }

    /// Attributes that 20 or more records of the last published read had and none of this
    /// one has, per kind. Only attributes in use, and kinds that were read completely.
    pub fn vanished(&self) -> BTreeMap<Kind, BTreeSet<String>> {
        self.vanished.clone()
    }

    /// Whether the last published read could tell who is active, and this one cannot.
    pub fn lost_lifecycle(&self) -> bool {
        self.before.tells_lifecycle && !self.next.tells_lifecycle
    }

    /// The mirror as it would be.
    pub fn view(&self) -> View {
        View::at(
            &self.staging.shared,
            &self.staging.source,
            self.generation(),
        )
    }

    /// Publishes the generation together with the cursor, by one key, durably; then removes
    /// superseded versions.
    pub fn publish(mut self, cursor: Option<&Cursor>) -> Result<(), SnapshotError> {
        let shared = Arc::clone(&self.staging.shared);
        let source = self.staging.source.clone();
        self.next.cursor = cursor.cloned();
        if self.next == self.before {
            return Ok(());
        }
        collect::put_published(&shared.tables, &source, &self.next)?;
        // From here on nothing may discard what was staged.
        self.staging.wrote = false;
        shared.flush()?;
        if let Err(error) = collect::collect(&shared, &source) {
            // The read is published; the next stage collects what is left.
            tracing::warn!(source, %error, "superseded versions could not be removed yet");
        }
        Ok(())
    }
}

/// The right to stage a source. Dropped, it discards what was written and not published.
pub(super) struct Staging {
    pub(super) shared: Arc<Shared>,
    pub(super) source: String,
    /// Under which everything is written.
    pub(super) generation: u64,
    /// Whether anything was.
    pub(super) wrote: bool,
}

impl Staging {
    pub(super) fn claim(shared: &Arc<Shared>, source: &str) -> Result<Self, SnapshotError> {
        let mut staging = shared
            .staging
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !staging.insert(source.to_owned()) {
            return Err(SnapshotError::Staging {
                name: source.to_owned(),
            });
        }
        Ok(Self {
            shared: Arc::clone(shared),
            source: source.to_owned(),
            generation: 0,
            wrote: false,
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.wrote
            && let Err(error) = collect::discard(&self.shared.tables, &self.source)
        {
            tracing::warn!(source = self.source, %error, "an unpublished read is still there; the next read removes it");
        }
        let mut staging = self
            .shared
            .staging
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        staging.remove(&self.source);
    }
}
