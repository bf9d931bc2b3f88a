//! The mirror: provisor's copy of a source's records and group edges, each row stamped with
//! the generation that last changed it.
//!
//! A read is staged under a new generation, made durable, then published by one key. Nothing
//! staged is visible to anyone but its own [`View`]; a restart discards it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use provisor_connectors::{
    Attributes, Batch, Change, Cursor, Kind, Lifecycle, MemberKey, RecordKey, SourceId,
};
use serde::{Deserialize, Serialize};

use super::store::SnapshotError;

/// One record as the mirror keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MirrorRow {
    /// The record's key in its source.
    pub id: SourceId,
    /// What the source last said about its life.
    pub lifecycle: Lifecycle,
    /// Its attributes in use.
    pub attributes: Attributes,
    /// A tombstone: since when a complete read no longer has it.
    pub gone_since: Option<DateTime<Utc>>,
    /// The generation that last changed this row.
    pub generation: u64,
    /// Groups: whether the member list has ever been read to its end.
    pub members_known: bool,
}

/// Takes one read of one source. Dropped without [`Stage::finish`], nothing has happened.
pub struct Stage {
    _private: (),
}

impl Stage {
    /// Compares what arrived with the mirror's digests and stages what differs. Blocking.
    pub fn offer(&mut self, _changes: Vec<Change>) -> Result<(), SnapshotError> {
        unimplemented!()
    }

    /// Ends the read: works out who is gone, stages tombstones (`now` is their `gone_since`),
    /// and makes everything durable. Blocking.
    pub fn finish(self, _batch: &Batch, _now: DateTime<Utc>) -> Result<Staged, SnapshotError> {
        unimplemented!()
    }
}

/// A finished, durable, unpublished read. Dropped without [`Staged::publish`] it is discarded.
pub struct Staged {
    _private: (),
}

impl Staged {
    /// The generation that this read would publish; the published one when nothing changed.
    pub fn generation(&self) -> u64 {
        unimplemented!()
    }

    /// Living (not gone) records per kind after this read.
    pub fn living(&self, _kind: Kind) -> u64 {
        unimplemented!()
    }

    /// Attributes that 20 or more records of the last published read had and none of this
    /// one has, per kind.
    pub fn vanished(&self) -> BTreeMap<Kind, BTreeSet<String>> {
        unimplemented!()
    }

    /// The mirror as it would be.
    pub fn view(&self) -> View {
        unimplemented!()
    }

    /// Publishes the generation together with the cursor, by one key, durably; then removes
    /// superseded versions.
    pub fn publish(self, _cursor: Option<&Cursor>) -> Result<(), SnapshotError> {
        unimplemented!()
    }
}

/// The mirror of one source at one generation. Cheap to clone.
#[derive(Clone)]
pub struct View {
    _private: (),
}

impl View {
    /// The source's name.
    pub fn source(&self) -> &str {
        unimplemented!()
    }

    /// The generation; 0 when the source was never read.
    pub fn generation(&self) -> u64 {
        unimplemented!()
    }

    /// One record; tombstones included.
    pub fn row(&self, _kind: Kind, _id: &SourceId) -> Result<Option<MirrorRow>, SnapshotError> {
        unimplemented!()
    }

    /// Every record of a kind, tombstones included, in an unspecified but stable order.
    pub fn rows(
        &self,
        _kind: Kind,
    ) -> Box<dyn Iterator<Item = Result<MirrorRow, SnapshotError>> + '_> {
        unimplemented!()
    }

    /// Direct members of a group.
    pub fn members(&self, _group: &SourceId) -> Result<BTreeSet<MemberKey>, SnapshotError> {
        unimplemented!()
    }

    /// Groups that have this record as a direct member.
    pub fn groups_of(&self, _member: &MemberKey) -> Result<BTreeSet<SourceId>, SnapshotError> {
        unimplemented!()
    }

    /// Records whose row changed after `generation`, and both ends of every member edge that
    /// did (the group, and the member).
    pub fn changed_since(&self, _generation: u64) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        unimplemented!()
    }
}
