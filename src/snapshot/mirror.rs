//! The mirror: provisor's copy of a source's records and group edges, each row stamped with
//! the generation that last changed it.
//!
//! A read is staged under a new generation, made durable, then published by one key. Nothing
//! staged is visible to anyone but its own [`View`]; a restart discards it.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use provisor_connectors::{Attributes, Kind, Lifecycle, MemberKey, RecordKey, SourceId};
use serde::{Deserialize, Serialize};

use self::collect::Pin;
use self::item::{EdgeRow, Hash, What};
use super::codec;
use super::store::{Shared, SnapshotError};
use super::table::{Table, Tables};

pub(super) mod collect;
mod digest;
mod edges;
mod item;
mod stage;
mod staged;
#[cfg(test)]
mod tests;
mod writing;

pub use stage::Stage;
pub use staged::Staged;

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

/// What a [`MirrorRow`]'s key needs of it.
#[derive(Deserialize)]
struct RowId {
    id: SourceId,
}

/// The mirror of one source at one generation. Cheap to clone. The generation stays readable
/// while any clone lives, whatever is published meanwhile.
#[derive(Clone)]
pub struct View {
    shared: Arc<Shared>,
    source: Arc<str>,
    generation: u64,
    _pin: Arc<Pin>,
}

impl View {
    /// The mirror at a generation that is published or being staged.
    fn at(shared: &Arc<Shared>, source: &str, generation: u64) -> Self {
        Self {
            shared: Arc::clone(shared),
            source: source.into(),
            generation,
            _pin: shared.pins.pin(source, generation),
        }
    }

    /// The published mirror.
    pub(super) fn published(shared: &Arc<Shared>, source: &str) -> Result<Self, SnapshotError> {
        // Nothing may be collected between reading the generation and pinning it.
        let _everything = shared.pins.pin(source, 0);
        let generation = collect::published(&shared.tables, source)?.generation;
        Ok(Self::at(shared, source, generation))
    }

    /// The source's name.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The generation; 0 when the source was never read.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// One record; tombstones included.
    pub fn row(&self, kind: Kind, id: &SourceId) -> Result<Option<MirrorRow>, SnapshotError> {
        let hash = item::hash_id(&self.shared.tables, id);
        read_row(
            &self.shared.tables,
            &self.source,
            kind,
            &hash,
            self.generation,
        )
    }

    /// Every record of a kind, tombstones included, in an unspecified but stable order.
    pub fn rows(
        &self,
        kind: Kind,
    ) -> Box<dyn Iterator<Item = Result<MirrorRow, SnapshotError>> + '_> {
        let prefix = item::kind_prefix(&self.source, kind);
        Box::new(
            item::newest_of_each(&self.shared.tables, Table::Rows, &prefix, self.generation)
                .map(|payload| codec::from_json(Table::Rows.what(), &payload?)),
        )
    }

    /// The keys of every record of a kind, tombstones included, without building the records.
    pub fn keys(
        &self,
        kind: Kind,
    ) -> impl Iterator<Item = Result<RecordKey, SnapshotError>> + use<'_> {
        let prefix = item::kind_prefix(&self.source, kind);
        item::newest_of_each(&self.shared.tables, Table::Rows, &prefix, self.generation).map(
            move |payload| {
                let row: RowId = codec::from_json(Table::Rows.what(), &payload?)?;
                Ok(RecordKey {
                    source: self.source.to_string(),
                    kind,
                    id: row.id,
                })
            },
        )
    }

    /// Direct members of a group. A member may be gone, or unknown to the source: an edge is
    /// what the group's list says, and a record that comes back finds its memberships.
    pub fn members(&self, group: &SourceId) -> Result<BTreeSet<MemberKey>, SnapshotError> {
        let hash = item::hash_id(&self.shared.tables, group);
        read_members(&self.shared.tables, &self.source, &hash, self.generation)
    }

    /// Groups that have this record as a direct member.
    pub fn groups_of(&self, member: &MemberKey) -> Result<BTreeSet<SourceId>, SnapshotError> {
        let tables = &self.shared.tables;
        let hash = item::hash_id(tables, &member.id);
        let prefix = item::member_prefix(&self.source, member.kind, &hash);
        let mut groups = BTreeSet::new();
        for payload in item::newest_of_each(tables, Table::MemberOf, &prefix, self.generation) {
            let edge: EdgeRow = codec::from_json(Table::MemberOf.what(), &payload?)?;
            if edge.present {
                groups.insert(edge.group);
            }
        }
        Ok(groups)
    }

    /// Records whose row changed after `generation`, and both ends of every member edge that
    /// did (the group, and the member). Costs what changed, not what there is.
    pub fn changed_since(&self, generation: u64) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut changed = BTreeSet::new();
        if generation >= self.generation {
            return Ok(changed);
        }
        for what in What::RECORDS {
            let tables = &self.shared.tables;
            for note in item::notes(tables, &self.source, what, generation + 1, self.generation) {
                changed.extend(note?.records.into_iter().map(|record| RecordKey {
                    source: self.source.to_string(),
                    kind: record.kind,
                    id: record.id,
                }));
            }
        }
        Ok(changed)
    }
}

/// The newest version of a record not above a generation.
fn read_row(
    tables: &Tables,
    source: &str,
    kind: Kind,
    hash: &Hash,
    generation: u64,
) -> Result<Option<MirrorRow>, SnapshotError> {
    let mut prefix = item::kind_prefix(source, kind);
    prefix.extend_from_slice(hash);
    item::newest(tables, Table::Rows, prefix, generation)?
        .map(|payload| codec::from_json(Table::Rows.what(), &payload))
        .transpose()
}

/// A group's members at a generation.
fn read_members(
    tables: &Tables,
    source: &str,
    group: &Hash,
    generation: u64,
) -> Result<BTreeSet<MemberKey>, SnapshotError> {
    let prefix = item::group_prefix(source, group);
    let mut members = BTreeSet::new();
    for payload in item::newest_of_each(tables, Table::Edges, &prefix, generation) {
        let edge: EdgeRow = codec::from_json(Table::Edges.what(), &payload?)?;
        if edge.present {
            members.insert(edge.member);
        }
    }
    Ok(members)
}
