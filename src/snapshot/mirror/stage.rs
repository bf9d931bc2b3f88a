//! Taking a read into the mirror: compare with the digests, stage what differs, find who is
//! gone.
//!
//! Everything is written under the generation after the published one, where only the
//! stage's own view looks. Nothing here publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use provisor_connectors::{
    Batch, Change, Content, Coverage, Kind, Lifecycle, MemberKey, Record, Unchanged,
};

use super::collect::{self, Published, TRANSACTION_KEYS};
use super::digest::{Digest, DigestTable, Said};
use super::edges::{UNKNOWN_MEMBERS, members_part, with_members};
use super::item::{self, Hash, Item, What};
use super::staged::{Staged, Staging};
use super::writing::Writing;
use super::{MirrorRow, read_row};
use crate::snapshot::codec;
use crate::snapshot::store::{Shared, SnapshotError};
use crate::snapshot::table::{Table, Tables, Writes};

/// An attribute that at least this many records had, and none has now, has vanished.
const VANISHED_FROM: u64 = 20;

/// Takes one read of one source. Dropped without [`Stage::finish`], nothing has happened.
pub struct Stage {
    /// Before `staging`, because what is dropped first is waited for: nothing may be written when
    /// what was is discarded.
    writing: Writing,
    pub(super) staging: Staging,
    published: Published,
    in_use: Option<BTreeSet<String>>,
    digests: Arc<Mutex<BTreeMap<Kind, DigestTable>>>,
    content: Content,
    counts: BTreeMap<Kind, BTreeMap<String, u64>>,
    soft_deleted: u64,
    writes: Writes,
}

impl Stage {
    /// See [`crate::snapshot::Store::stage`].
    pub(in crate::snapshot) fn begin(
        shared: &Arc<Shared>,
        source: &str,
        in_use: Option<BTreeSet<String>>,
    ) -> Result<Self, SnapshotError> {
        let mut staging = Staging::claim(shared, source)?;
        collect::discard(&shared.tables, source)?;
        collect::collect(shared, source)?;
        let published = collect::published(&shared.tables, source)?;
        staging.generation = published.generation + 1;
        let mut digests = BTreeMap::new();
        for kind in Kind::ALL {
            let table = DigestTable::load(&shared.tables, source, kind, published.generation)?;
            digests.insert(kind, table);
        }
        Ok(Self {
            writing: Writing::default(),
            staging,
            counts: published.attributes.clone(),
            soft_deleted: published.soft_deleted,
            published,
            in_use,
            digests: Arc::new(Mutex::new(digests)),
            content: Content::default(),
            writes: Writes::new(),
        })
    }

    /// Recognises people who are as the published mirror has them, for a source that would
    /// rather not build them. A yes counts as having been offered. Good for this read only.
    pub fn unchanged(&self) -> Unchanged {
        let shared = Arc::clone(&self.staging.shared);
        let digests = Arc::clone(&self.digests);
        Unchanged::new(move |person, content| {
            let hash = item::hash_id_text(&shared.tables, person);
            let digest = content_digest(&shared.tables, content);
            table(&mut lock(&digests), Kind::User).confirm(&hash, &digest)
        })
    }

    /// Compares what arrived with the mirror's digests and stages what differs. Blocking.
    pub fn offer(&mut self, changes: Vec<Change>) -> Result<(), SnapshotError> {
        for change in changes {
            match change {
                Change::Upsert(record) => self.upsert(record)?,
                Change::Present(kind, id) => {
                    let hash = item::hash_id(self.tables(), &id);
                    if self.digest_of(kind, &hash).is_none() {
                        return Err(SnapshotError::Value {
                            what: Table::Rows.what(),
                            problem: format!(
                                "the source says that {kind} {id} is as it was, and it was not \
                                 there; read this source from the beginning"
                            ),
                        });
                    }
                    self.mark(kind, &hash, Said::There);
                }
                Change::Removal(kind, id) => {
                    let hash = item::hash_id(self.tables(), &id);
                    self.mark(kind, &hash, Said::Gone);
                }
            }
        }
        Ok(())
    }

    /// Ends the read: works out who is gone, stages tombstones (`now` is their `gone_since`),
    /// and makes everything durable. Blocking.
    pub fn finish(mut self, batch: &Batch, now: DateTime<Utc>) -> Result<Staged, SnapshotError> {
        // Whoever is gone now may have been staged as present by this very read.
        self.settle()?;
        for kind in Kind::ALL {
            let complete = batch.coverage.get(&kind) == Some(&Coverage::Complete);
            let gone = table(&mut lock(&self.digests), kind).take_gone(complete);
            for hash in gone {
                self.bury(kind, hash, now)?;
            }
            let pages: Vec<_> = table(&mut lock(&self.digests), kind)
                .changed_pages()
                .collect();
            for (bucket, page) in pages {
                self.put_version(Item::Page(kind, bucket), What::Page, page, &[], None)?;
            }
        }
        self.settle()?;
        if self.staging.wrote {
            self.staging.shared.flush()?;
        }

        let complete = |kind: &Kind| batch.coverage.get(kind) == Some(&Coverage::Complete);
        let vanished = Kind::ALL
            .into_iter()
            .filter(complete)
            .map(|kind| (kind, self.vanished(kind)))
            .filter(|(_, names)| !names.is_empty())
            .collect();
        for counts in self.counts.values_mut() {
            counts.retain(|_, count| *count > 0);
        }
        // A first read is published even when it found nothing: the source was read.
        let changed = self.staging.wrote || self.published.generation == 0;
        let next = Published {
            generation: self.published.generation + u64::from(changed),
            cursor: None,
            living: lock(&self.digests)
                .iter()
                .map(|(kind, table)| (*kind, table.len()))
                .collect(),
            soft_deleted: self.soft_deleted,
            attributes: self.counts,
            tells_lifecycle: batch.tells_lifecycle,
            collected: self.published.collected,
        };
        Ok(Staged {
            staging: self.staging,
            before: self.published,
            next,
            vanished,
        })
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.staging.shared.tables
    }

    fn digest_of(&self, kind: Kind, hash: &Hash) -> Option<(Digest, Said)> {
        table(&mut lock(&self.digests), kind).get(hash)
    }

    fn mark(&self, kind: Kind, hash: &Hash, said: Said) {
        table(&mut lock(&self.digests), kind).mark(hash, said);
    }

    fn upsert(&mut self, record: Record) -> Result<(), SnapshotError> {
        let Record {
            kind,
            id,
            lifecycle,
            mut attributes,
            members,
        } = record;
        let in_use = self.in_use.as_ref();
        attributes.0.retain(|name, values| {
            !values.is_empty() && in_use.is_none_or(|names| names.contains(name))
        });
        let hash = item::hash_id(self.tables(), &id);
        let before = self.digest_of(kind, &hash);
        if before.is_some_and(|(_, said)| said == Said::There) {
            // Offered twice in one read: the comparison must see what the first one staged.
            self.settle()?;
        }
        let before = before.map(|(digest, _)| digest);
        self.content.record(&lifecycle, &attributes);
        let content = content_digest(self.tables(), self.content.bytes());
        let members_before = before.map_or(UNKNOWN_MEMBERS, members_part);
        let digest = match kind {
            Kind::User => content,
            Kind::Group => {
                let part = self.offer_members(&id, &hash, members, members_before)?;
                with_members(content, part)
            }
        };
        if before == Some(digest) {
            self.mark(kind, &hash, Said::There);
            return Ok(());
        }
        let members_known = kind == Kind::User || members_part(digest) != UNKNOWN_MEMBERS;
        let known_before = kind == Kind::User || members_before != UNKNOWN_MEMBERS;
        let content_before = before.map(|before| match kind {
            Kind::User => before,
            Kind::Group => with_members(before, UNKNOWN_MEMBERS),
        });
        let content_now = match kind {
            Kind::User => content,
            Kind::Group => with_members(content, UNKNOWN_MEMBERS),
        };
        if content_before != Some(content_now) || members_known != known_before {
            if before.is_some() {
                let old = self.living_row(kind, &hash)?;
                self.count(kind, &old, false);
            }
            let row = MirrorRow {
                id,
                lifecycle,
                attributes,
                gone_since: None,
                generation: self.staging.generation,
                members_known,
            };
            self.count(kind, &row, true);
            self.put_row(kind, hash, &row, before.is_some())?;
        }
        table(&mut lock(&self.digests), kind).put(hash, digest);
        Ok(())
    }

    /// Stages the tombstone of a record that was there, and cuts a group's edges.
    fn bury(&mut self, kind: Kind, hash: Hash, now: DateTime<Utc>) -> Result<(), SnapshotError> {
        let mut row = self.living_row(kind, &hash)?;
        self.count(kind, &row, false);
        if kind == Kind::Group {
            for member in self.present_members(&hash)? {
                self.put_edge(&row.id, &hash, &member, false)?;
            }
            row.members_known = false;
        }
        row.gone_since = Some(now);
        row.generation = self.staging.generation;
        self.put_row(kind, hash, &row, true)
    }

    fn living_row(&self, kind: Kind, hash: &Hash) -> Result<MirrorRow, SnapshotError> {
        let source = &self.staging.source;
        read_row(self.tables(), source, kind, hash, self.staging.generation)?
            .filter(|row| row.gone_since.is_none())
            .ok_or_else(|| SnapshotError::Value {
                what: Table::Rows.what(),
                problem: "it has a digest and no row".to_owned(),
            })
    }

    fn put_row(
        &mut self,
        kind: Kind,
        hash: Hash,
        row: &MirrorRow,
        existed: bool,
    ) -> Result<(), SnapshotError> {
        let (what, opposite) = match row.gone_since {
            None => (What::Row, What::Gone),
            Some(_) => (What::Gone, What::Row),
        };
        let record = MemberKey {
            kind,
            id: row.id.clone(),
        };
        let payload = codec::to_json(Table::Rows.what(), row)?;
        let opposite = existed.then_some(opposite);
        self.put_version(Item::Row(kind, hash), what, payload, &[record], opposite)
    }

    /// Stages a version and its note. `opposite` is a note that an earlier offer of the same
    /// read may have left for the same item.
    pub(super) fn put_version(
        &mut self,
        item: Item,
        what: What,
        payload: Vec<u8>,
        records: &[MemberKey],
        opposite: Option<What>,
    ) -> Result<(), SnapshotError> {
        let generation = self.staging.generation;
        let source = &self.staging.source;
        for (table, prefix) in item.places(source) {
            let version = item::versioned(prefix, generation);
            self.writes.insert((table, version), Some(payload.clone()));
        }
        let note = match what {
            What::Page => Vec::new(),
            _ => codec::to_json(Table::Changes.what(), &records)?,
        };
        if let Some(opposite) = opposite {
            let key = item::change_key(source, opposite, generation, &item);
            self.writes.insert((Table::Changes, key), None);
        }
        let key = item::change_key(source, what, generation, &item);
        self.writes.insert((Table::Changes, key), Some(note));
        if self.writes.len() >= TRANSACTION_KEYS {
            self.apply()?;
        }
        Ok(())
    }

    /// Writes what was put together, while the next is.
    fn apply(&mut self) -> Result<(), SnapshotError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.staging.wrote = true;
        let shared = Arc::clone(&self.staging.shared);
        let writes = std::mem::take(&mut self.writes);
        let write = move || shared.tables.writer().apply(&writes);
        self.writing.start(write)
    }

    /// Writes everything that is staged until now, for whoever reads it.
    fn settle(&mut self) -> Result<(), SnapshotError> {
        self.apply()?;
        self.writing.wait()
    }

    fn count(&mut self, kind: Kind, row: &MirrorRow, more: bool) {
        let counted = |count: u64| match more {
            true => count + 1,
            false => count.saturating_sub(1),
        };
        if matches!(row.lifecycle, Lifecycle::SoftDeleted { .. }) {
            self.soft_deleted = counted(self.soft_deleted);
            return;
        }
        let counts = self.counts.entry(kind).or_default();
        for name in row.attributes.0.keys() {
            let count = counts.entry(name.clone()).or_default();
            *count = counted(*count);
        }
    }

    fn vanished(&self, kind: Kind) -> BTreeSet<String> {
        let now = self.counts.get(&kind);
        let is_left = |name: &String| {
            now.and_then(|now| now.get(name))
                .is_some_and(|count| *count > 0)
        };
        let is_used = |name: &String| {
            self.in_use
                .as_ref()
                .is_none_or(|names| names.contains(name))
        };
        let before = self.published.attributes.get(&kind);
        before
            .into_iter()
            .flatten()
            .filter(|(name, count)| **count >= VANISHED_FROM && is_used(name) && !is_left(name))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// The digest of a person's content, or of a group's without its members.
fn content_digest(tables: &Tables, content: &[u8]) -> Digest {
    // A digest of a row is never one of an id, whatever an id may look like.
    tables.digest(&[b"row\0", content])
}

/// Nothing in here panics half-way, so what a poisoned lock holds is whole.
fn lock(
    digests: &Mutex<BTreeMap<Kind, DigestTable>>,
) -> MutexGuard<'_, BTreeMap<Kind, DigestTable>> {
    digests.lock().unwrap_or_else(PoisonError::into_inner)
}

fn table(digests: &mut BTreeMap<Kind, DigestTable>, kind: Kind) -> &mut DigestTable {
    digests.entry(kind).or_default()
}
