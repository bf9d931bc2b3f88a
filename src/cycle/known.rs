//! What the snapshot knows of a target, unless it turns out to be of another target.
//!
//! Links are bound to the target's fingerprint. When that has changed, everything is read as
//! unknown, so that the plan rebuilds by adoption; the store itself is only reset by apply.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;
use crate::snapshot::{
    Intent, Link, MemberEdge, Open, Progress, SnapshotError, TargetStore, Totals,
};

/// A target's part of the snapshot as this cycle may believe it.
#[derive(Clone)]
pub(super) struct Known {
    store: TargetStore,
    progress: Progress,
    void: bool,
}

impl Known {
    pub(super) fn new(store: TargetStore, fingerprint: &str) -> Result<Self, SnapshotError> {
        let progress = store.progress()?;
        let void = !progress.fingerprint.is_empty() && progress.fingerprint != fingerprint;
        let progress = if void {
            Progress {
                lost: true,
                rebuilding: true,
                ..Progress::default()
            }
        } else {
            progress
        };
        Ok(Self {
            store,
            progress,
            void,
        })
    }

    /// Whether the links are those of another target.
    pub(super) fn is_void(&self) -> bool {
        self.void
    }

    pub(super) fn store(&self) -> &TargetStore {
        &self.store
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(super) fn totals(&self) -> Result<Totals, SnapshotError> {
        self.unless_void(|store| store.totals())
    }

    pub(super) fn link(&self, record: &RecordKey) -> Result<Option<Link>, SnapshotError> {
        self.unless_void(|store| store.link(record))
    }

    pub(super) fn linked(&self) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        self.unless_void(|store| store.links().map(|link| link.map(|(key, _)| key)).collect())
    }

    pub(super) fn owner(
        &self,
        kind: Kind,
        resource: &ResourceId,
    ) -> Result<Option<RecordKey>, SnapshotError> {
        self.unless_void(|store| store.owner(kind, resource))
    }

    pub(super) fn owners_of(
        &self,
        kind: Kind,
        path: &AttributePath,
        folded: &str,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        self.unless_void(|store| store.owners_of(kind, path, folded))
    }

    pub(super) fn members(
        &self,
        group: &RecordKey,
    ) -> Result<BTreeMap<ResourceId, MemberEdge>, SnapshotError> {
        self.unless_void(|store| store.members(group))
    }

    pub(super) fn groups_with(
        &self,
        member: &ResourceId,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        self.unless_void(|store| store.groups_with(member))
    }

    pub(super) fn intents(&self) -> Result<BTreeMap<RecordKey, Intent>, SnapshotError> {
        self.unless_void(|store| store.intents())
    }

    pub(super) fn open(&self) -> Result<BTreeMap<RecordKey, Open>, SnapshotError> {
        self.unless_void(|store| store.open())
    }

    fn unless_void<T: Default>(
        &self,
        read: impl FnOnce(&TargetStore) -> Result<T, SnapshotError>,
    ) -> Result<T, SnapshotError> {
        if self.void {
            Ok(T::default())
        } else {
            read(&self.store)
        }
    }
}
