//! Writing a target's part: each change with its indexes and totals in one transaction.
//!
//! A commit holds the right to write from its first read to its last write, and reads
//! through what it has not written yet. It splits into transactions only between changes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Spent, TargetChange, Totals, malformed, place};
use crate::scim::path::AttributePath;
use crate::scim::resource::{self, ResourceId};
use crate::snapshot::codec;
use crate::snapshot::key;
use crate::snapshot::link::{Link, MemberEdge};
use crate::snapshot::store::SnapshotError;
use crate::snapshot::table::{Table, Tables, Writer, Writes};

/// How many keys go into one transaction (sled is at its best between 100 and 500).
const TRANSACTION_KEYS: usize = 300;

/// A commit in progress.
pub(super) struct Commit<'a> {
    tables: &'a Tables,
    target: &'a str,
    writer: Writer<'a>,
    writes: Writes,
    totals: Totals,
    totals_before: Totals,
}

impl<'a> Commit<'a> {
    /// Waits for the right to write.
    pub(super) fn begin(tables: &'a Tables, target: &'a str) -> Result<Self, SnapshotError> {
        let writer = tables.writer();
        let totals: Option<Totals> = tables.get_json(Table::Progress, &place::totals(target))?;
        let totals = totals.unwrap_or_default();
        Ok(Self {
            tables,
            target,
            writer,
            writes: Writes::new(),
            totals,
            totals_before: totals,
        })
    }

    /// Makes one change.
    pub(super) fn make(&mut self, change: TargetChange) -> Result<(), SnapshotError> {
        let target = self.target;
        match change {
            TargetChange::PutLink(record, link) => self.put_link(&record, &link)?,
            TargetChange::LinkMade(record, link) => {
                if self.owner(record.kind, &link.resource)?.is_some() {
                    self.doubt_edges(&link.resource)?;
                    if let Some((other, its)) = self.other_owner(&record, &link.resource)?
                        && !its.missing
                    {
                        self.drop_link(&other)?;
                    }
                }
                self.put_link(&record, &link)?;
            }
            TargetChange::DropLink(record) => self.drop_link(&record)?,
            TargetChange::PutMember(group, member, edge) => {
                self.put_member(&group, &member, edge)?
            }
            TargetChange::DropMember(group, member) => self.drop_member(&group, &member)?,
            TargetChange::PutIntent(record, intent) => {
                self.put(Table::Intents, place::record(target, &record), &intent)?;
            }
            TargetChange::CloseIntent(record) => {
                self.remove(Table::Intents, place::record(target, &record));
            }
            TargetChange::PutOpen(record, open) => {
                self.put(Table::Open, place::record(target, &record), &open)?;
            }
            TargetChange::DropOpen(record) => {
                self.remove(Table::Open, place::record(target, &record));
            }
            TargetChange::Spend(at, spent) => self.spend(at, &spent)?,
            TargetChange::SpendAgain(before, at, spent) => {
                for bytes in self.keys(Table::Spent, &place::spent(target, before))? {
                    if self.get::<Spent>(Table::Spent, &bytes)?.as_ref() == Some(&spent) {
                        self.remove(Table::Spent, bytes);
                        break;
                    }
                }
                self.spend(at, &spent)?;
            }
            TargetChange::ForgetSpent(before) => {
                let end = place::spent(target, before);
                for bytes in self.keys(Table::Spent, &key::text(target))? {
                    if bytes >= end {
                        break;
                    }
                    self.remove(Table::Spent, bytes);
                }
            }
            TargetChange::PutProgress(progress) => {
                self.put(Table::Progress, place::progress(target), &progress)?;
            }
        }
        self.apply_if_full()
    }

    /// Before changes that belong together: they are in one transaction then, unless they are
    /// more than half of one by themselves.
    pub(super) fn make_room(&mut self) -> Result<(), SnapshotError> {
        if self.writes.len() >= TRANSACTION_KEYS / 2 {
            self.apply()?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn end(mut self) -> Result<(), SnapshotError> {
        self.apply()
    }

    /// Removes everything but progress and spending. Every transaction leaves indexes and
    /// totals true.
    pub(super) fn forget_everything(&mut self) -> Result<(), SnapshotError> {
        let prefix = key::text(self.target);
        for bytes in self.keys(Table::Links, &prefix)? {
            let record = record_of(Table::Links, &bytes[prefix.len()..])?;
            self.make(TargetChange::DropLink(record))?;
        }
        // Edges of groups without a link: an adoption under way.
        for bytes in self.keys(Table::Members, &prefix)? {
            let (group, member) = edge_of(&bytes[prefix.len()..])?;
            self.make(TargetChange::DropMember(group, member))?;
        }
        for table in [Table::Intents, Table::Open] {
            for bytes in self.keys(table, &prefix)? {
                self.remove(table, bytes);
                self.apply_if_full()?;
            }
        }
        Ok(())
    }

    /// Whose creation was answered with what is another record's, and whose: see
    /// [`super::Contested`].
    pub(super) fn contested(
        &self,
        changes: &[TargetChange],
    ) -> Result<Option<(RecordKey, RecordKey)>, SnapshotError> {
        for change in changes {
            if let TargetChange::LinkMade(record, link) = change
                && let Some((other, its)) = self.other_owner(record, &link.resource)?
                && !its.missing
                && its.active
            {
                return Ok(Some((record.clone(), other)));
            }
        }
        Ok(None)
    }

    /// The record that a resource belongs to.
    fn owner(&self, kind: Kind, resource: &ResourceId) -> Result<Option<RecordKey>, SnapshotError> {
        let bytes = place::owner(self.tables, self.target, kind, resource);
        self.get(Table::Owners, &bytes)
    }

    /// The other record that a resource belongs to, and its link to it.
    fn other_owner(
        &self,
        record: &RecordKey,
        resource: &ResourceId,
    ) -> Result<Option<(RecordKey, Link)>, SnapshotError> {
        let owner = self.owner(record.kind, resource)?;
        let Some(other) = owner.filter(|owner| owner != record) else {
            return Ok(None);
        };
        let link = self.link(&other)?.filter(|it| it.resource == *resource);
        Ok(link.map(|link| (other, link)))
    }

    /// Writes of the indexes only what is another than before: most changes leave them alone.
    fn put_link(&mut self, record: &RecordKey, link: &Link) -> Result<(), SnapshotError> {
        let old = self.link(record)?;
        let mut found = BTreeSet::new();
        if let Some(old) = &old {
            if old.resource != link.resource {
                self.free(record, &old.resource)?;
                self.drop_members_of(record)?;
            }
            self.count(record.kind, old, false);
            found = self.indexed(record, old);
        }
        self.count(record.kind, link, true);
        let wanted = self.indexed(record, link);
        for bytes in found.difference(&wanted) {
            self.remove(Table::Values, bytes.clone());
        }
        for bytes in wanted.difference(&found) {
            self.put(Table::Values, bytes.clone(), &())?;
        }
        // Also where the resource is the same: another record may have owned it meanwhile. Whose is
        // missing does not take it back.
        if !(link.missing && self.other_owner(record, &link.resource)?.is_some()) {
            let owner = place::owner(self.tables, self.target, record.kind, &link.resource);
            self.put(Table::Owners, owner, record)?;
        }
        self.put(Table::Links, place::record(self.target, record), link)
    }

    /// A resource is made under an id that was somebody's: the target may have kept that one's
    /// memberships, or not.
    fn doubt_edges(&mut self, resource: &ResourceId) -> Result<(), SnapshotError> {
        let prefix = place::member(self.target, resource);
        for bytes in self.keys(Table::GroupsWith, &prefix)? {
            let group = record_of(Table::GroupsWith, &bytes[prefix.len()..])?;
            self.put_member(&group, resource, MemberEdge::Sent)?;
        }
        Ok(())
    }

    fn drop_link(&mut self, record: &RecordKey) -> Result<(), SnapshotError> {
        // First, because a large group's edges may be written in transactions of their own:
        // a crash between them leaves a link with too few edges, which are found again.
        self.drop_members_of(record)?;
        let Some(old) = self.link(record)? else {
            return Ok(());
        };
        self.free(record, &old.resource)?;
        self.count(record.kind, &old, false);
        for bytes in self.indexed(record, &old) {
            self.remove(Table::Values, bytes);
        }
        self.remove(Table::Links, place::record(self.target, record));
        Ok(())
    }

    fn spend(&mut self, at: DateTime<Utc>, spent: &Spent) -> Result<(), SnapshotError> {
        let mut bytes = place::spent(self.target, at);
        let start = bytes.len();
        // After the last one: those before it may have been taken away.
        let last = self.keys(Table::Spent, &bytes)?.pop_last();
        let last = last.and_then(|last| Some(u64::from_be_bytes(*last[start..].first_chunk()?)));
        let number = last.map_or(0, |last| last.wrapping_add(1));
        bytes.extend_from_slice(&number.to_be_bytes());
        self.put(Table::Spent, bytes, spent)
    }

    /// Takes a resource's owner away, if it is this record. A link that moved has its
    /// resource's new owner there already.
    fn free(&mut self, record: &RecordKey, resource: &ResourceId) -> Result<(), SnapshotError> {
        let bytes = place::owner(self.tables, self.target, record.kind, resource);
        if self.owner(record.kind, resource)?.as_ref() == Some(record) {
            self.remove(Table::Owners, bytes);
        }
        Ok(())
    }

    fn put_member(
        &mut self,
        group: &RecordKey,
        member: &ResourceId,
        edge: MemberEdge,
    ) -> Result<(), SnapshotError> {
        let bytes = place::edge(self.target, group, member);
        if self.get::<MemberEdge>(Table::Members, &bytes)?.is_none() {
            self.totals.members += 1;
        }
        self.put(Table::Members, bytes, &edge)?;
        let reverse = place::reverse_edge(self.target, group, member);
        self.put(Table::GroupsWith, reverse, &())
    }

    fn drop_member(&mut self, group: &RecordKey, member: &ResourceId) -> Result<(), SnapshotError> {
        let bytes = place::edge(self.target, group, member);
        if self.get::<MemberEdge>(Table::Members, &bytes)?.is_some() {
            self.totals.members = self.totals.members.saturating_sub(1);
        }
        self.remove(Table::Members, bytes);
        let reverse = place::reverse_edge(self.target, group, member);
        self.remove(Table::GroupsWith, reverse);
        Ok(())
    }

    fn drop_members_of(&mut self, group: &RecordKey) -> Result<(), SnapshotError> {
        if group.kind != Kind::Group {
            return Ok(());
        }
        let edges = self.keys(Table::Members, &place::record(self.target, group))?;
        let is_large = edges.len() * 2 > TRANSACTION_KEYS;
        let skipped = key::text(self.target).len();
        for bytes in edges {
            let (_, member) = edge_of(&bytes[skipped..])?;
            self.drop_member(group, &member)?;
            if is_large {
                self.apply_if_full()?;
            }
        }
        Ok(())
    }

    fn link(&self, record: &RecordKey) -> Result<Option<Link>, SnapshotError> {
        self.get(Table::Links, &place::record(self.target, record))
    }

    /// Keys of the value index that a link has.
    fn indexed(&self, record: &RecordKey, link: &Link) -> BTreeSet<Vec<u8>> {
        let manager = AttributePath::manager();
        link.acknowledged
            .iter()
            .filter(|(path, _)| {
                **path == manager
                    || path.schema.is_none()
                        && match path.attribute.as_str() {
                            "externalId" | "userName" | "emails" => true,
                            "displayName" => record.kind == Kind::Group,
                            _ => false,
                        }
            })
            .map(|(path, value)| {
                let folded = resource::fold(path, value);
                let mut bytes = place::value(self.tables, self.target, record.kind, path, &folded);
                key::push_record(&mut bytes, record);
                bytes
            })
            .collect()
    }

    fn count(&mut self, kind: Kind, link: &Link, more: bool) {
        let totals = &mut self.totals;
        let change = |count: &mut u64| {
            *count = match more {
                true => *count + 1,
                false => count.saturating_sub(1),
            };
        };
        match kind {
            Kind::Group => change(&mut totals.groups),
            Kind::User => {
                change(&mut totals.users);
                if link.active {
                    change(&mut totals.active_users);
                }
            }
        }
    }

    /// What is under a key, this commit's own changes included.
    fn get<T: DeserializeOwned>(
        &self,
        table: Table,
        bytes: &[u8],
    ) -> Result<Option<T>, SnapshotError> {
        match self.writes.get(&(table, bytes.to_vec())) {
            Some(Some(payload)) => Ok(Some(codec::from_json(table.what(), payload)?)),
            Some(None) => Ok(None),
            None => self.tables.get_json(table, bytes),
        }
    }

    /// The keys under a prefix, this commit's own changes included.
    fn keys(&self, table: Table, prefix: &[u8]) -> Result<BTreeSet<Vec<u8>>, SnapshotError> {
        let mut keys = BTreeSet::new();
        for pair in self.tables.prefix(table, prefix) {
            keys.insert(pair?.0);
        }
        let mine = self.writes.range((table, prefix.to_vec())..);
        for ((_, bytes), payload) in
            mine.take_while(|((other, bytes), _)| *other == table && bytes.starts_with(prefix))
        {
            match payload {
                Some(_) => keys.insert(bytes.clone()),
                None => keys.remove(bytes),
            };
        }
        Ok(keys)
    }

    fn put<T: Serialize>(
        &mut self,
        table: Table,
        bytes: Vec<u8>,
        value: &T,
    ) -> Result<(), SnapshotError> {
        let payload = codec::to_json(table.what(), value)?;
        self.writes.insert((table, bytes), Some(payload));
        Ok(())
    }

    fn remove(&mut self, table: Table, bytes: Vec<u8>) {
        self.writes.insert((table, bytes), None);
    }

    fn apply_if_full(&mut self) -> Result<(), SnapshotError> {
        if self.writes.len() >= TRANSACTION_KEYS {
            self.apply()?;
        }
        Ok(())
    }

    fn apply(&mut self) -> Result<(), SnapshotError> {
        if self.totals != self.totals_before {
            let totals = self.totals;
            self.put(Table::Progress, place::totals(self.target), &totals)?;
        }
        self.writer.apply(&self.writes)?;
        self.writes.clear();
        self.totals_before = self.totals;
        Ok(())
    }
}

fn record_of(table: Table, mut bytes: &[u8]) -> Result<RecordKey, SnapshotError> {
    key::take_record(&mut bytes).ok_or_else(|| malformed(table))
}

fn edge_of(mut bytes: &[u8]) -> Result<(RecordKey, ResourceId), SnapshotError> {
    let edge = key::take_record(&mut bytes)
        .and_then(|group| Some((group, ResourceId(key::take_text(&mut bytes)?))));
    edge.ok_or_else(|| malformed(Table::Members))
}
