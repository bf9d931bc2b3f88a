//! Taking a read into the mirror: compare with the digests, stage what differs, find who is
//! gone, publish.
//!
//! Two rules carry this file. Nothing staged is visible before [`Staged::publish`] writes one
//! key. And an edge belongs to its group: only what a group's own list says adds or removes
//! it, so that a member who goes and comes back is where the list still has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};
use provisor_connectors::{
    Attributes, Batch, Change, Coverage, Cursor, Kind, Lifecycle, MemberKey, Members, Record,
    SourceId,
};

use super::collect::{self, Published, TRANSACTION_KEYS};
use super::digest::{Digest, DigestTable, Said};
use super::item::{self, EdgeRow, Hash, Item, What};
use super::{MirrorRow, View};
use crate::snapshot::codec;
use crate::snapshot::key;
use crate::snapshot::store::{Shared, SnapshotError};
use crate::snapshot::table::{Table, Tables, Writes};

/// An attribute that at least this many records had, and none has now, has vanished.
const VANISHED_FROM: u64 = 20;
/// A member list that was never read to its end. Any other value is a sum over the members.
const UNKNOWN_MEMBERS: u64 = 0;
/// What the sum of a known list starts from: an empty list is known, too.
const KNOWN_MEMBERS: u64 = 1;

/// Takes one read of one source. Dropped without [`Stage::finish`], nothing has happened.
pub struct Stage {
    staging: Staging,
    published: Published,
    in_use: Option<BTreeSet<String>>,
    digests: BTreeMap<Kind, DigestTable>,
    counts: BTreeMap<Kind, BTreeMap<String, u64>>,
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
            staging,
            counts: published.attributes.clone(),
            published,
            in_use,
            digests,
            writes: Writes::new(),
        })
    }

    /// Compares what arrived with the mirror's digests and stages what differs. Blocking.
    pub fn offer(&mut self, changes: Vec<Change>) -> Result<(), SnapshotError> {
        for change in changes {
            match change {
                Change::Upsert(record) => self.upsert(record)?,
                Change::Present(kind, id) => {
                    let hash = item::hash_id(self.tables(), &id);
                    if self.digests(kind).get(&hash).is_none() {
                        return Err(SnapshotError::Value {
                            what: Table::Rows.what(),
                            problem: format!(
                                "the source says that {kind} {id} is as it was, and it was not \
                                 there; read this source from the beginning"
                            ),
                        });
                    }
                    self.digests(kind).mark(&hash, Said::There);
                }
                Change::Removal(kind, id) => {
                    let hash = item::hash_id(self.tables(), &id);
                    self.digests(kind).mark(&hash, Said::Gone);
                }
            }
        }
        Ok(())
    }

    /// Ends the read: works out who is gone, stages tombstones (`now` is their `gone_since`),
    /// and makes everything durable. Blocking.
    pub fn finish(mut self, batch: &Batch, now: DateTime<Utc>) -> Result<Staged, SnapshotError> {
        // Whoever is gone now may have been staged as present by this very read.
        self.apply()?;
        for kind in Kind::ALL {
            let complete = batch.coverage.get(&kind) == Some(&Coverage::Complete);
            for hash in self.digests(kind).take_gone(complete) {
                self.bury(kind, hash, now)?;
            }
            let pages: Vec<_> = self.digests(kind).changed_pages().collect();
            for (bucket, page) in pages {
                self.put_version(Item::Page(kind, bucket), What::Page, page, &[], None)?;
            }
        }
        self.apply()?;
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
            living: self
                .digests
                .iter()
                .map(|(kind, table)| (*kind, table.len()))
                .collect(),
            attributes: self.counts,
            collected: self.published.collected,
        };
        Ok(Staged {
            staging: self.staging,
            before: self.published,
            next,
            vanished,
        })
    }

    fn tables(&self) -> &Tables {
        &self.staging.shared.tables
    }

    fn digests(&mut self, kind: Kind) -> &mut DigestTable {
        self.digests.entry(kind).or_default()
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
        let before = self.digests(kind).get(&hash);
        if before.is_some_and(|(_, said)| said == Said::There) {
            // Offered twice in one read: the comparison must see what the first one staged.
            self.apply()?;
        }
        let before = before.map(|(digest, _)| digest);
        let content = self.content_digest(&lifecycle, &attributes)?;
        let members_before = before.map_or(UNKNOWN_MEMBERS, members_part);
        let digest = match kind {
            Kind::User => content,
            Kind::Group => {
                let part = self.offer_members(&id, &hash, members, members_before)?;
                with_members(content, part)
            }
        };
        if before == Some(digest) {
            self.digests(kind).mark(&hash, Said::There);
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
                self.count(kind, &old.attributes, false);
            }
            self.count(kind, &attributes, true);
            let row = MirrorRow {
                id,
                lifecycle,
                attributes,
                gone_since: None,
                generation: self.staging.generation,
                members_known,
            };
            self.put_row(kind, hash, &row, before.is_some())?;
        }
        self.digests(kind).put(hash, digest);
        Ok(())
    }

    /// Stages what differs in a group's member list and returns the new digest of the list.
    fn offer_members(
        &mut self,
        group: &SourceId,
        hash: &Hash,
        members: Members,
        before: u64,
    ) -> Result<u64, SnapshotError> {
        match members {
            Members::Unknown => Ok(before),
            Members::Complete(members) => {
                let part = members.iter().fold(KNOWN_MEMBERS, |sum, member| {
                    sum.wrapping_add(self.member_digest(member))
                });
                if part != before {
                    let present = self.present_members(hash)?;
                    for member in members.difference(&present) {
                        self.put_edge(group, hash, member, true)?;
                    }
                    for member in present.difference(&members) {
                        self.put_edge(group, hash, member, false)?;
                    }
                }
                Ok(part)
            }
            Members::Changed { added, removed } => {
                let mut part = before;
                // One named in both is there: the list of those that are there wins.
                let removed = removed.difference(&added).map(|member| (member, false));
                for (member, present) in added.iter().map(|member| (member, true)).chain(removed) {
                    if self.is_present(hash, member)? == present {
                        continue;
                    }
                    self.put_edge(group, hash, member, present)?;
                    let digest = self.member_digest(member);
                    part = match (before, present) {
                        // Changes to an unknown list leave it unknown.
                        (UNKNOWN_MEMBERS, _) => UNKNOWN_MEMBERS,
                        (_, true) => part.wrapping_add(digest),
                        (_, false) => part.wrapping_sub(digest),
                    };
                }
                Ok(part)
            }
        }
    }

    /// Stages the tombstone of a record that was there, and cuts a group's edges.
    fn bury(&mut self, kind: Kind, hash: Hash, now: DateTime<Utc>) -> Result<(), SnapshotError> {
        let mut row = self.living_row(kind, &hash)?;
        self.count(kind, &row.attributes, false);
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

    fn present_members(&self, group: &Hash) -> Result<BTreeSet<MemberKey>, SnapshotError> {
        let source = &self.staging.source;
        read_members(self.tables(), source, group, self.staging.generation)
    }

    fn is_present(&self, group: &Hash, member: &MemberKey) -> Result<bool, SnapshotError> {
        let tables = self.tables();
        let mut prefix = item::group_prefix(&self.staging.source, group);
        prefix.push(key::kind_byte(member.kind));
        prefix.extend_from_slice(&item::hash_id(tables, &member.id));
        let payload = item::newest(tables, Table::Edges, prefix, self.staging.generation)?;
        let edge: Option<EdgeRow> = payload
            .map(|payload| codec::from_json(Table::Edges.what(), &payload))
            .transpose()?;
        Ok(edge.is_some_and(|edge| edge.present))
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

    fn put_edge(
        &mut self,
        group: &SourceId,
        hash: &Hash,
        member: &MemberKey,
        present: bool,
    ) -> Result<(), SnapshotError> {
        let member_hash = item::hash_id(self.tables(), &member.id);
        let edge = EdgeRow {
            group: group.clone(),
            member: member.clone(),
            present,
        };
        let ends = [
            MemberKey {
                kind: Kind::Group,
                id: group.clone(),
            },
            member.clone(),
        ];
        let (what, opposite) = match present {
            true => (What::Edge, What::Cut),
            false => (What::Cut, What::Edge),
        };
        let payload = codec::to_json(Table::Edges.what(), &edge)?;
        let item = Item::Edge(*hash, member.kind, member_hash);
        self.put_version(item, what, payload, &ends, Some(opposite))
    }

    /// Stages a version and its note. `opposite` is a note that an earlier offer of the same
    /// read may have left for the same item.
    fn put_version(
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

    fn apply(&mut self) -> Result<(), SnapshotError> {
        if !self.writes.is_empty() {
            self.staging.wrote = true;
            self.staging.shared.tables.writer().apply(&self.writes)?;
            self.writes.clear();
        }
        Ok(())
    }

    fn count(&mut self, kind: Kind, attributes: &Attributes, more: bool) {
        let counts = self.counts.entry(kind).or_default();
        for name in attributes.0.keys() {
            let count = counts.entry(name.clone()).or_default();
            *count = match more {
                true => *count + 1,
                false => count.saturating_sub(1),
            };
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

    fn content_digest(
        &self,
        lifecycle: &Lifecycle,
        attributes: &Attributes,
    ) -> Result<Digest, SnapshotError> {
        // JSON of an ordered map: one text for one content.
        let mut bytes = b"row\0".to_vec();
        bytes.extend(codec::to_json(
            Table::Rows.what(),
            &(lifecycle, attributes),
        )?);
        Ok(self.tables().digest(&bytes))
    }

    fn member_digest(&self, member: &MemberKey) -> u64 {
        let bytes = [b"member\0".as_slice(), &key::member_bytes(member)].concat();
        members_part(self.tables().digest(&bytes))
    }
}

/// A finished, durable, unpublished read. Dropped without [`Staged::publish`] it is discarded.
pub struct Staged {
    staging: Staging,
    before: Published,
    next: Published,
    vanished: BTreeMap<Kind, BTreeSet<String>>,
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

    /// Attributes that 20 or more records of the last published read had and none of this
    /// one has, per kind. Only attributes in use, and kinds that were read completely.
    pub fn vanished(&self) -> BTreeMap<Kind, BTreeSet<String>> {
        self.vanished.clone()
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
struct Staging {
    shared: Arc<Shared>,
    source: String,
    generation: u64,
    wrote: bool,
}

impl Staging {
    fn claim(shared: &Arc<Shared>, source: &str) -> Result<Self, SnapshotError> {
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

/// The newest version of a record not above a generation.
pub(super) fn read_row(
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
pub(super) fn read_members(
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

/// The half of a digest that stands for members.
fn members_part(digest: Digest) -> u64 {
    let mut half = [0; 8];
    half.copy_from_slice(&digest[8..]);
    u64::from_be_bytes(half)
}

/// A content digest with the second half replaced.
fn with_members(mut content: Digest, members: u64) -> Digest {
    content[8..].copy_from_slice(&members.to_be_bytes());
    content
}
