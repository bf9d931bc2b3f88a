//! A group's member list while it is staged.
//!
//! An edge belongs to its group: only what the group's own list says adds or removes it, so
//! that a member who goes and comes back is where the list still has them. The list's digest
//! is a sum over the members, so that a change of one member costs one.

use std::collections::BTreeSet;

use provisor_connectors::{Kind, MemberKey, Members, SourceId};

use super::digest::Digest;
use super::item::{self, EdgeRow, Hash, Item, What};
use super::read_members;
use super::stage::Stage;
use crate::snapshot::codec;
use crate::snapshot::key;
use crate::snapshot::store::SnapshotError;
use crate::snapshot::table::Table;

/// A member list that was never read to its end. Any other value is a sum over the members.
pub(super) const UNKNOWN_MEMBERS: u64 = 0;
/// What the sum of a known list starts from: an empty list is known, too.
const KNOWN_MEMBERS: u64 = 1;

impl Stage {
    /// Stages what differs in a group's member list and returns the new digest of the list.
    pub(super) fn offer_members(
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

    pub(super) fn present_members(
        &self,
        group: &Hash,
    ) -> Result<BTreeSet<MemberKey>, SnapshotError> {
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

    pub(super) fn put_edge(
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

    fn member_digest(&self, member: &MemberKey) -> u64 {
        let bytes = [b"member\0".as_slice(), &key::member_bytes(member)].concat();
        members_part(self.tables().digest(&[&bytes]))
    }
}

/// The half of a digest that stands for members.
pub(super) fn members_part(digest: Digest) -> u64 {
    let mut half = [0; 8];
    half.copy_from_slice(&digest[8..]);
    u64::from_be_bytes(half)
}

/// A content digest with the second half replaced.
pub(super) fn with_members(mut content: Digest, members: u64) -> Digest {
    content[8..].copy_from_slice(&members.to_be_bytes());
    content
}
