//! What is published of a source, and the removal of versions that nobody needs: staged ones
//! that were never published, superseded ones, forgotten tombstones.
//!
//! A superseded version stays while anyone looks at an older generation ([`Pins`]): a record
//! must never seem absent because its version was collected under a reader.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use provisor_connectors::{Cursor, Kind, RecordKey};
use serde::{Deserialize, Serialize};

use super::item::{self, What};
use crate::snapshot::codec;
use crate::snapshot::key;
use crate::snapshot::store::{Shared, SnapshotError};
use crate::snapshot::table::{Table, Tables, Writes};

/// How many keys go into one transaction (sled is at its best between 100 and 500).
pub(super) const TRANSACTION_KEYS: usize = 300;

/// The one key by which a source's generation becomes visible.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::snapshot) struct Published {
    /// The generation to read; 0 before the first.
    pub(in crate::snapshot) generation: u64,
    /// Where the read of this generation ended.
    pub(in crate::snapshot) cursor: Option<Cursor>,
    /// Records that are not gone.
    pub(super) living: BTreeMap<Kind, u64>,
    /// How many of the people are in a recycle bin.
    pub(super) soft_deleted: u64,
    /// How many living records have each attribute; who is in a recycle bin shows nothing.
    pub(super) attributes: BTreeMap<Kind, BTreeMap<String, u64>>,
    /// Whether that read could tell who is active.
    pub(super) tells_lifecycle: bool,
    /// Up to which generation superseded versions are removed.
    pub(super) collected: u64,
}

/// What is published of a source; the default when nothing is.
pub(in crate::snapshot) fn published(
    tables: &Tables,
    source: &str,
) -> Result<Published, SnapshotError> {
    let published = tables.get_json(Table::Sources, &key::text(source))?;
    Ok(published.unwrap_or_default())
}

/// Replaces what is published of a source.
pub(super) fn put_published(
    tables: &Tables,
    source: &str,
    published: &Published,
) -> Result<(), SnapshotError> {
    let payload = codec::to_json(Table::Sources.what(), published)?;
    let writes = Writes::from([((Table::Sources, key::text(source)), Some(payload))]);
    tables.writer().apply(&writes)
}

/// Removes everything staged above the published generation.
pub(super) fn discard(tables: &Tables, source: &str) -> Result<(), SnapshotError> {
    let first = published(tables, source)?.generation + 1;
    let mut writes = Writes::new();
    for what in What::ALL {
        for note in item::notes(tables, source, what, first, u64::MAX) {
            let note = note?;
            for (table, prefix) in note.item.places(source) {
                writes.insert((table, item::versioned(prefix, note.generation)), None);
            }
            writes.insert((Table::Changes, note.key), None);
            apply_if_full(tables, &mut writes)?;
        }
    }
    tables.writer().apply(&writes)
}

/// Removes versions that the published generation supersedes, unless somebody looks at an
/// older generation: then a later call does.
pub(super) fn collect(shared: &Shared, source: &str) -> Result<(), SnapshotError> {
    let tables = &shared.tables;
    let mut published = published(tables, source)?;
    let busy = shared
        .pins
        .oldest(source)
        .is_some_and(|oldest| oldest < published.generation);
    if busy || published.collected == published.generation {
        return Ok(());
    }
    // Nothing is older than the first generation.
    let first = (published.collected + 1).max(2);
    let mut writes = Writes::new();
    for what in What::ALL {
        for note in item::notes(tables, source, what, first, published.generation) {
            let note = note?;
            let last = note.generation - 1;
            item::remove_versions(tables, source, &note.item, 0, last, &mut writes)?;
            apply_if_full(tables, &mut writes)?;
        }
    }
    tables.writer().apply(&writes)?;
    published.collected = published.generation;
    put_published(tables, source, &published)
}

/// Removes tombstones of generations up to `seen`, but of those who are to be kept.
pub(in crate::snapshot) fn forget_tombstones(
    shared: &Shared,
    source: &str,
    seen: u64,
    kept: impl Fn(&RecordKey) -> Result<bool, SnapshotError>,
) -> Result<(), SnapshotError> {
    let tables = &shared.tables;
    let seen = seen.min(published(tables, source)?.generation);
    if shared
        .pins
        .oldest(source)
        .is_some_and(|oldest| oldest < seen)
    {
        return Ok(());
    }
    let mut writes = Writes::new();
    for what in What::TOMBSTONES {
        for note in item::notes(tables, source, what, 0, seen) {
            let note = note?;
            if let (What::Gone, [record]) = (what, note.records.as_slice())
                && kept(&RecordKey {
                    source: source.to_owned(),
                    kind: record.kind,
                    id: record.id.clone(),
                })?
            {
                continue;
            }
            let last = note.generation;
            item::remove_versions(tables, source, &note.item, 0, last, &mut writes)?;
            apply_if_full(tables, &mut writes)?;
        }
    }
    tables.writer().apply(&writes)
}

fn apply_if_full(tables: &Tables, writes: &mut Writes) -> Result<(), SnapshotError> {
    if writes.len() >= TRANSACTION_KEYS {
        tables.writer().apply(writes)?;
        writes.clear();
    }
    Ok(())
}

/// Generations that somebody is looking at, with how many do.
#[derive(Debug, Clone, Default)]
pub(in crate::snapshot) struct Pins {
    held: Arc<Mutex<BTreeMap<(String, u64), usize>>>,
}

/// Keeps the versions of one generation while it lives.
#[derive(Debug)]
pub(super) struct Pin {
    pins: Pins,
    place: (String, u64),
}

impl Pins {
    /// Keeps a generation of a source.
    pub(super) fn pin(&self, source: &str, generation: u64) -> Arc<Pin> {
        let place = (source.to_owned(), generation);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held.entry(place.clone()).or_default() += 1;
        Arc::new(Pin {
            pins: self.clone(),
            place,
        })
    }

    /// The oldest generation of a source that anybody looks at.
    fn oldest(&self, source: &str) -> Option<u64> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.keys()
            .find(|(name, _)| name == source)
            .map(|(_, generation)| *generation)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self
            .pins
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.place);
            }
        }
    }
}
