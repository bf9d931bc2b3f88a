//! What the mirror keeps in versions, and under which keys: rows, edges, pages of digests.
//!
//! A version's key ends in its generation. For every version the change index has one key,
//! (source, what, generation, item), through which new versions are found, discarded,
//! collected and forgotten. Keys only; no decisions here.

use provisor_connectors::{Kind, MemberKey, SourceId};
use serde::{Deserialize, Serialize};

use crate::snapshot::key;
use crate::snapshot::store::SnapshotError;
use crate::snapshot::table::{Table, Tables, Writes};

/// A keyed digest of a source id: fixed in size, and of no use without the state key.
pub(super) type Hash = [u8; 16];

/// Something that has versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// A record.
    Row(Kind, Hash),
    /// A member edge: group, member's kind, member.
    Edge(Hash, Kind, Hash),
    /// A page of digests: kind, bucket.
    Page(Kind, u16),
}

/// What a generation did to an item. The numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The record is there.
    Row = 1,
    /// The record is gone.
    Gone = 2,
    /// The edge is there.
    Edge = 3,
    /// The edge is no longer there.
    Cut = 4,
    /// The page was rewritten.
    Page = 5,
}

impl What {
    pub(super) const ALL: [What; 5] = [What::Row, What::Gone, What::Edge, What::Cut, What::Page];

    /// Those that people and groups are changed by.
    pub(super) const RECORDS: [What; 4] = [What::Row, What::Gone, What::Edge, What::Cut];

    /// Those that say that something is not there.
    pub(super) const TOMBSTONES: [What; 2] = [What::Gone, What::Cut];
}

/// A member edge as it is stored, from both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EdgeRow {
    pub(super) group: SourceId,
    pub(super) member: MemberKey,
    pub(super) present: bool,
}

/// One key of the change index.
#[derive(Debug, Clone)]
pub(super) struct ChangeNote {
    pub(super) item: Item,
    pub(super) generation: u64,
    /// The records concerned: the row's, or both ends of the edge.
    pub(super) records: Vec<MemberKey>,
    /// The key itself.
    pub(super) key: Vec<u8>,
}

impl Item {
    /// Where versions of this item are kept: table, and key without the generation.
    pub(super) fn places(&self, source: &str) -> Vec<(Table, Vec<u8>)> {
        match self {
            Item::Row(..) => vec![(Table::Rows, self.key(source))],
            Item::Page(..) => vec![(Table::Pages, self.key(source))],
            Item::Edge(group, kind, member) => {
                let mut reverse = member_prefix(source, *kind, member);
                reverse.extend_from_slice(group);
                vec![(Table::Edges, self.key(source)), (Table::MemberOf, reverse)]
            }
        }
    }

    /// What can have happened to this item.
    fn whats(&self) -> &'static [What] {
        match self {
            Item::Row(..) => &[What::Row, What::Gone],
            Item::Edge(..) => &[What::Edge, What::Cut],
            Item::Page(..) => &[What::Page],
        }
    }

    fn key(&self, source: &str) -> Vec<u8> {
        let mut bytes = key::text(source);
        self.push(&mut bytes);
        bytes
    }

    fn push(&self, bytes: &mut Vec<u8>) {
        match self {
            Item::Row(kind, id) => {
                bytes.push(key::kind_byte(*kind));
                bytes.extend_from_slice(id);
            }
            Item::Edge(group, kind, member) => {
                bytes.extend_from_slice(group);
                bytes.push(key::kind_byte(*kind));
                bytes.extend_from_slice(member);
            }
            Item::Page(kind, bucket) => {
                bytes.push(key::kind_byte(*kind));
                bytes.extend_from_slice(&bucket.to_be_bytes());
            }
        }
    }

    fn take(what: What, mut bytes: &[u8]) -> Option<Self> {
        let hash = |bytes: &mut &[u8]| -> Option<Hash> {
            let (hash, rest) = bytes.split_first_chunk::<16>()?;
            *bytes = rest;
            Some(*hash)
        };
        Some(match what {
            What::Row | What::Gone => Item::Row(key::take_kind(&mut bytes)?, hash(&mut bytes)?),
            What::Edge | What::Cut => Item::Edge(
                hash(&mut bytes)?,
                key::take_kind(&mut bytes)?,
                hash(&mut bytes)?,
            ),
            What::Page => {
                let kind = key::take_kind(&mut bytes)?;
                let (bucket, _) = bytes.split_first_chunk::<2>()?;
                Item::Page(kind, u16::from_be_bytes(*bucket))
            }
        })
    }
}

/// Keys of all rows, or pages, of a kind start with this.
pub(super) fn kind_prefix(source: &str, kind: Kind) -> Vec<u8> {
    let mut prefix = key::text(source);
    prefix.push(key::kind_byte(kind));
    prefix
}

/// Keys of all edges of a group start with this.
pub(super) fn group_prefix(source: &str, group: &Hash) -> Vec<u8> {
    let mut prefix = key::text(source);
    prefix.extend_from_slice(group);
    prefix
}

/// Keys of all reverse edges of a member start with this.
pub(super) fn member_prefix(source: &str, kind: Kind, member: &Hash) -> Vec<u8> {
    let mut prefix = kind_prefix(source, kind);
    prefix.extend_from_slice(member);
    prefix
}

/// The digest that stands for a source id in keys.
pub(super) fn hash_id(tables: &Tables, id: &SourceId) -> Hash {
    hash_id_text(tables, id.as_str())
}

/// The digest that stands for a source id that is not one yet.
pub(super) fn hash_id_text(tables: &Tables, id: &str) -> Hash {
    tables.digest(&[b"id\0", id.as_bytes()])
}

/// A version's key.
pub(super) fn versioned(mut prefix: Vec<u8>, generation: u64) -> Vec<u8> {
    prefix.extend_from_slice(&generation.to_be_bytes());
    prefix
}

/// The change index's key of a version.
pub(super) fn change_key(source: &str, what: What, generation: u64, item: &Item) -> Vec<u8> {
    let mut bytes = change_prefix(source, what, generation);
    item.push(&mut bytes);
    bytes
}

fn change_prefix(source: &str, what: What, generation: u64) -> Vec<u8> {
    let mut bytes = key::text(source);
    bytes.push(what as u8);
    versioned(bytes, generation)
}

/// The notes of one kind of change in generations from `first` to `last`, both included.
pub(super) fn notes(
    tables: &Tables,
    source: &str,
    what: What,
    first: u64,
    last: u64,
) -> impl Iterator<Item = Result<ChangeNote, SnapshotError>> + use<> {
    let skipped = key::text(source).len() + 1;
    let from = change_prefix(source, what, first);
    let to = key::after(&change_prefix(source, what, last));
    tables.range(Table::Changes, from, to).map(move |pair| {
        let (bytes, payload) = pair?;
        let records = match what {
            What::Page => Vec::new(),
            _ => crate::snapshot::codec::from_json(Table::Changes.what(), &payload)?,
        };
        let mut rest = &bytes[skipped..];
        let parsed = key::take_u64(&mut rest)
            .and_then(|generation| Some((generation, Item::take(what, rest)?)));
        let (generation, item) = parsed.ok_or_else(malformed)?;
        Ok(ChangeNote {
            item,
            generation,
            records,
            key: bytes,
        })
    })
}

/// Removes the versions of an item from `first` to `last`, both included, and their notes.
pub(super) fn remove_versions(
    tables: &Tables,
    source: &str,
    item: &Item,
    first: u64,
    last: u64,
    writes: &mut Writes,
) -> Result<(), SnapshotError> {
    for (table, prefix) in item.places(source) {
        let from = versioned(prefix.clone(), first);
        let to = key::after(&versioned(prefix.clone(), last));
        for pair in tables.range(table, from, to) {
            let (found, _) = pair?;
            let mut end = &found[prefix.len()..];
            let generation = key::take_u64(&mut end).ok_or_else(malformed)?;
            writes.insert((table, found), None);
            for what in item.whats() {
                let note = change_key(source, *what, generation, item);
                writes.insert((Table::Changes, note), None);
            }
        }
    }
    Ok(())
}

/// The payload of the newest version of one item, not above a generation. `prefix` is its
/// key without the generation.
pub(super) fn newest(
    tables: &Tables,
    table: Table,
    prefix: Vec<u8>,
    generation: u64,
) -> Result<Option<Vec<u8>>, SnapshotError> {
    let to = key::after(&versioned(prefix.clone(), generation));
    // There are hardly ever more than two, and going backwards is not safe (see sled.rs).
    let last = tables.range(table, prefix, to).last().transpose()?;
    Ok(last.map(|(_, payload)| payload))
}

/// For every item under a prefix, the payload of its newest version not above a generation.
pub(super) fn newest_of_each(
    tables: &Tables,
    table: Table,
    prefix: &[u8],
    generation: u64,
) -> impl Iterator<Item = Result<Vec<u8>, SnapshotError>> + use<> {
    let mut pairs = tables.prefix(table, prefix);
    let mut best: Option<(Vec<u8>, Vec<u8>)> = None;
    let mut ended = false;
    std::iter::from_fn(move || {
        while !ended {
            let (mut bytes, payload) = match pairs.next() {
                Some(Ok(pair)) => pair,
                Some(Err(error)) => {
                    ended = true;
                    return Some(Err(error));
                }
                None => {
                    ended = true;
                    break;
                }
            };
            let Some(version) = bytes.len().checked_sub(8) else {
                ended = true;
                return Some(Err(malformed()));
            };
            let mut end = &bytes[version..];
            if key::take_u64(&mut end).is_none_or(|found| found > generation) {
                continue;
            }
            bytes.truncate(version);
            let replaced = best.replace((bytes, payload));
            if let (Some((old, payload)), Some((new, _))) = (replaced, &best)
                && old != *new
            {
                return Some(Ok(payload));
            }
        }
        best.take().map(|(_, payload)| Ok(payload))
    })
}

fn malformed() -> SnapshotError {
    SnapshotError::Value {
        what: Table::Changes.what(),
        problem: "its key is malformed".to_owned(),
    }
}
