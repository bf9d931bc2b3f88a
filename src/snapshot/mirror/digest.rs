//! Compact digests of a source's records: what tells a changed record from an unchanged one
//! without reading it.
//!
//! On disk in pages, so that a change rewrites a few kilobytes and a million load in a
//! fraction of a second; in memory one sorted list. A record that is gone has no digest.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::Kind;

use super::item::{self, Hash};
use crate::snapshot::store::SnapshotError;
use crate::snapshot::table::{Table, Tables};

/// Digest of a record's content. A group's second half stands for its members.
pub(super) type Digest = [u8; 16];

/// An id hash and a digest.
const PAIR: usize = 32;

/// What the running read said of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing yet.
    Nothing,
    /// It is there.
    There,
    /// It is gone.
    Gone,
}

/// The digests of one kind.
#[derive(Debug, Default)]
pub(super) struct DigestTable {
    /// As published, sorted.
    known: Vec<(Hash, Digest, Said)>,
    /// Where in `known` the hashes with the same first two bytes start, and where they end:
    /// one look into memory instead of twenty.
    starts: Vec<u32>,
    /// New in this read.
    fresh: BTreeMap<Hash, (Digest, Said)>,
    changed_pages: BTreeSet<u16>,
}

impl DigestTable {
    /// Loads the pages of a generation.
    pub(super) fn load(
        tables: &Tables,
        source: &str,
        kind: Kind,
        generation: u64,
    ) -> Result<Self, SnapshotError> {
        let mut known: Vec<(Hash, Digest, Said)> = Vec::new();
        let prefix = item::kind_prefix(source, kind);
        for page in item::newest_of_each(tables, Table::Pages, &prefix, generation) {
            let page = page?;
            let (pairs, rest) = page.as_chunks::<PAIR>();
            for pair in pairs {
                let (id, digest) = pair.split_at(16);
                let mut entry = (Hash::default(), Digest::default(), Said::Nothing);
                entry.0.copy_from_slice(id);
                entry.1.copy_from_slice(digest);
                if known.last().is_some_and(|last| last.0 >= entry.0) {
                    return Err(malformed());
                }
                known.push(entry);
            }
            if !rest.is_empty() {
                return Err(malformed());
            }
        }
        let mut table = Self {
            known,
            ..Self::default()
        };
        table.index();
        Ok(table)
    }

    /// Notes that a record is there, if it has this very digest.
    pub(super) fn confirm(&mut self, id: &Hash, digest: &Digest) -> bool {
        let Some(position) = self.position(id) else {
            return false;
        };
        let (_, known, said) = &mut self.known[position];
        let same = known == digest;
        if same {
            *said = Said::There;
        }
        same
    }

    /// A record's digest and what the read said of it so far; `None` for one that was not
    /// there and is not new either.
    pub(super) fn get(&self, id: &Hash) -> Option<(Digest, Said)> {
        match self.position(id) {
            Some(position) => {
                let (_, digest, said) = self.known[position];
                Some((digest, said))
            }
            None => self.fresh.get(id).copied(),
        }
    }

    /// Notes what the read says of a record that has a digest.
    pub(super) fn mark(&mut self, id: &Hash, said: Said) {
        match self.position(id) {
            Some(position) => self.known[position].2 = said,
            None => {
                if let Some(entry) = self.fresh.get_mut(id) {
                    entry.1 = said;
                }
            }
        }
    }

    /// Sets the digest of a record that is there.
    pub(super) fn put(&mut self, id: Hash, digest: Digest) {
        self.changed_pages.insert(bucket(&id));
        match self.position(&id) {
            Some(position) => self.known[position] = (id, digest, Said::There),
            None => {
                self.fresh.insert(id, (digest, Said::There));
            }
        }
    }

    /// Takes out everything said to be gone and, after a complete read, everything nothing
    /// was said of. Returns their ids.
    pub(super) fn take_gone(&mut self, complete: bool) -> Vec<Hash> {
        let is_gone = |said: Said| said == Said::Gone || (complete && said == Said::Nothing);
        let mut gone = Vec::new();
        self.known.retain(|(id, _, said)| {
            if is_gone(*said) {
                gone.push(*id);
            }
            !is_gone(*said)
        });
        self.fresh.retain(|id, (_, said)| {
            if is_gone(*said) {
                gone.push(*id);
            }
            !is_gone(*said)
        });
        self.changed_pages.extend(gone.iter().map(bucket));
        self.index();
        gone
    }

    /// How many records there are.
    pub(super) fn len(&self) -> u64 {
        (self.known.len() + self.fresh.len()) as u64
    }

    /// The pages that differ from what was loaded, with their new content.
    pub(super) fn changed_pages(&self) -> impl Iterator<Item = (u16, Vec<u8>)> + '_ {
        self.changed_pages.iter().map(|&bucket| {
            let mut page: BTreeMap<&Hash, &Digest> = BTreeMap::new();
            let low = first_of(bucket);
            let start = self.known.partition_point(|(id, ..)| *id < low);
            let known = self.known[start..].iter();
            page.extend(
                known
                    .take_while(|(id, ..)| self::bucket(id) == bucket)
                    .map(|(id, digest, _)| (id, digest)),
            );
            page.extend(
                self.fresh
                    .range(low..)
                    .take_while(|(id, _)| self::bucket(id) == bucket)
                    .map(|(id, (digest, _))| (id, digest)),
            );
            let pairs = page.into_iter();
            (
                bucket,
                pairs
                    .flat_map(|(id, digest)| [*id, *digest].concat())
                    .collect(),
            )
        })
    }

    fn position(&self, id: &Hash) -> Option<usize> {
        let first = first_two(id);
        let start = *self.starts.get(first)? as usize;
        let end = *self.starts.get(first + 1)? as usize;
        let part = &self.known[start..end];
        // Hashes are spread evenly: the third byte tells where about, and what is beside that place
        // is in the same piece of memory.
        let mut at = part.len() * usize::from(id[2]) / 256;
        while at > 0 && part[at - 1].0 >= *id {
            at -= 1;
        }
        while part.get(at).is_some_and(|(known, ..)| known < id) {
            at += 1;
        }
        let is_here = part.get(at).is_some_and(|(known, ..)| known == id);
        is_here.then_some(start + at)
    }

    fn index(&mut self) {
        self.starts.clear();
        for (position, (id, ..)) in self.known.iter().enumerate() {
            // A snapshot of four thousand million records is not to be expected.
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            self.starts
                .resize(self.starts.len().max(first_two(id) + 1), position);
        }
        let end = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.starts.resize(1 << 16, end);
        self.starts.push(end);
    }
}

/// Which page a record is on: the first twelve bits of its hash. 4,096 pages of 250 for a
/// million records; a small source has nearly a page a record, which costs nothing either.
fn bucket(id: &Hash) -> u16 {
    u16::from_be_bytes([id[0], id[1]]) >> 4
}

fn first_two(id: &Hash) -> usize {
    usize::from(u16::from_be_bytes([id[0], id[1]]))
}

fn first_of(bucket: u16) -> Hash {
    let mut id = Hash::default();
    id[..2].copy_from_slice(&(bucket << 4).to_be_bytes());
    id
}

fn malformed() -> SnapshotError {
    SnapshotError::Value {
        what: Table::Pages.what(),
        problem: "it is not a sorted list of digests".to_owned(),
    }
}
