//! One target's part of the store: what was acknowledged, what is open, what was spent.
//!
//! Reading is here, writing in `commit.rs`, keys in `place.rs`. Decides nothing about when a
//! link is made or dropped; it keeps the indexes and totals true to the links.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::commit::Commit;
use super::codec;
use super::key;
use super::link::{Intent, Link, MemberEdge, Open};
use super::store::{SnapshotError, Store};
use super::table::{Table, Tables};
use crate::scim::message::Capabilities;
use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;
use crate::target::dialect::Dialect;

mod commit;
mod place;
#[cfg(test)]
mod tests;

/// Where a target stands. One value, replaced whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// What the links are bound to (base_url, tenant; the sandbox: its folder).
    pub fingerprint: String,
    /// Digest of mapping, scope, groups, match, preset and engine version: a change means
    /// that every record is looked at again.
    pub settings_digest: String,
    /// Per source, the mirror generation up to which every change was looked at.
    pub seen: BTreeMap<String, u64>,
    /// When the last full cycle ended well.
    pub last_full: Option<DateTime<Utc>>,
    /// A source could not be read in the last full cycle: it is owed another.
    pub full_owed: bool,
    /// When the last cycle ended, and its closing line.
    pub last_cycle: Option<(DateTime<Utc>, String)>,
    /// The error that ended the last cycle, if one did.
    pub last_error: Option<String>,
    /// True until a complete read and a complete listing are committed after a lost snapshot.
    pub rebuilding: bool,
    /// Halve the guards' limits for the next plan (lost snapshot, changed mapping or scope).
    pub halve_limits: bool,
    /// What the target last said of itself.
    pub capabilities: Option<Capabilities>,
    /// What its answers have taught of its ways.
    pub dialect: Dialect,
    /// How many resources the last complete listing had, per kind.
    pub listed: BTreeMap<Kind, u64>,
    /// Scope groups once resolved: configured name to the group's key.
    pub scope_pins: BTreeMap<String, RecordKey>,
    /// The last plan's held set: its id, and what `status` shows of it.
    pub held_id: Option<String>,
    /// Digests of the actions of that set.
    pub held_digests: BTreeSet<String>,
    /// One line per held item of the last cycle, for `status`. Keys and names of attributes.
    pub held: Vec<String>,
    /// Held items that rest on what a listing showed, serialised: they stay held until the
    /// next full cycle looks again, or their record changes.
    pub held_until_full: Vec<serde_json::Value>,
    /// The snapshot was lost, and not everything left over is accounted for yet.
    pub lost: bool,
    /// While rebuilding: the lost links were to this very target, so what the audit log says of
    /// them counts.
    pub audit_remembers: bool,
    /// By kind and match key, whether a filter on it has found somebody who is known to be
    /// there; not yet tried where absent. Every full cycle forgets it.
    pub filters: BTreeMap<Kind, BTreeMap<AttributePath, bool>>,
    /// The next cycle that looks for anything lists: a filter has missed something.
    pub distrust_filters: bool,
    /// Limits in force because they held something: limit name to the amount allowed then.
    pub limits_in_force: BTreeMap<String, u64>,
    /// What `approve` released, oldest first, as far as it has not been done yet.
    pub approvals: Vec<Approval>,
    /// Whom an operator protects by `accounts apply`: resource ids, in lower case.
    pub protected: BTreeSet<String>,
    /// Why the time was not to be relied on when the target last told its own, in words.
    pub clock_doubt: Option<String>,
    /// (time, active and linked people, linked member edges) after each cycle in which it
    /// changed: the guards' base. At most 24 hours and one older.
    pub base: Vec<BasePoint>,
    /// The number of the audit log's last record when the last cycle ended: a log that ends
    /// before it has lost records.
    pub audited: u64,
}

/// The guards' base at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasePoint {
    /// When the cycle ended.
    pub at: DateTime<Utc>,
    /// People linked and active.
    pub people: u64,
    /// Groups linked.
    pub groups: u64,
    /// Member edges owned.
    pub members: u64,
}

/// A released held set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The held set that was approved.
    pub held_id: String,
    /// Digests of the actions released.
    pub actions: BTreeSet<String>,
    /// Whom they are about: their memberships follow.
    pub people: BTreeSet<RecordKey>,
    /// When; it expires after 24 hours.
    pub at: DateTime<Utc>,
}

/// Counts kept beside the links, in the same transactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Linked people.
    pub users: u64,
    /// Linked people whose last acknowledged state is active.
    pub active_users: u64,
    /// Linked groups.
    pub groups: u64,
    /// Member edges.
    pub members: u64,
}

/// A guarded amount spent: what the rolling window counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The limit's name.
    pub limit: String,
    /// How much.
    pub amount: u64,
    /// The group, for members removed.
    pub group: Option<RecordKey>,
}

/// One change of a target's part. Those of one [`TargetStore::commit`] happen together.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetChange {
    /// Makes or replaces a record's link. Its previous resource loses its owner, and a group's
    /// edges, which were those of the previous resource, are forgotten.
    PutLink(RecordKey, Box<Link>),
    /// As `PutLink`, of what a creation has made. Where that is another record's, everything that
    /// the call came to is left out but what it spends: see [`Contested`].
    LinkMade(RecordKey, Box<Link>),
    /// Forgets a record's link and the edges of its group.
    DropLink(RecordKey),
    /// Owns a member edge.
    PutMember(RecordKey, ResourceId, MemberEdge),
    /// Forgets a member edge.
    DropMember(RecordKey, ResourceId),
    /// A create is about to be sent.
    PutIntent(RecordKey, Box<Intent>),
    /// The create is known to have happened, or not to have happened.
    CloseIntent(RecordKey),
    /// Look again.
    PutOpen(RecordKey, Open),
    /// Nothing more to look at.
    DropOpen(RecordKey),
    /// Counts towards a guard's rolling window.
    Spend(DateTime<Utc>, Spent),
    /// What was counted at the first moment counts from the second one on, once.
    SpendAgain(DateTime<Utc>, DateTime<Utc>, Spent),
    /// Drops spending before this moment.
    ForgetSpent(DateTime<Utc>),
    /// Replaces the target's progress.
    PutProgress(Box<Progress>),
}

/// Records whose creation was answered with a resource that is another record's, and whose. It is
/// so as long as that one is linked, not known to be missing, and switched on; or else the target
/// has given its id away, and its link goes.
pub type Contested = BTreeMap<RecordKey, RecordKey>;

/// One target's links, members, intents, open rows and progress. Cheap to clone; blocking.
#[derive(Clone)]
pub struct TargetStore {
    store: Store,
    name: Arc<str>,
}

impl TargetStore {
    /// See [`Store::target`].
    pub(super) fn new(store: Store, name: &str) -> Self {
        Self {
            store,
            name: name.into(),
        }
    }

    /// The target's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The state directory, which the audit log is in too.
    pub fn state_dir(&self) -> &Path {
        self.store.state_dir()
    }

    /// Where the target stands; the default before its first cycle.
    pub fn progress(&self) -> Result<Progress, SnapshotError> {
        let progress = self
            .tables()
            .get_json(Table::Progress, &place::progress(&self.name))?;
        Ok(progress.unwrap_or_default())
    }

    /// Counts of what is linked.
    pub fn totals(&self) -> Result<Totals, SnapshotError> {
        let totals = self
            .tables()
            .get_json(Table::Progress, &place::totals(&self.name))?;
        Ok(totals.unwrap_or_default())
    }

    /// A record's link.
    pub fn link(&self, record: &RecordKey) -> Result<Option<Link>, SnapshotError> {
        self.tables()
            .get_json(Table::Links, &place::record(&self.name, record))
    }

    /// Every link, in the order of the keys.
    pub fn links(&self) -> Box<dyn Iterator<Item = Result<(RecordKey, Link), SnapshotError>> + '_> {
        Box::new(self.by_record(Table::Links))
    }

    /// The record that owns a resource of a kind.
    pub fn owner(
        &self,
        kind: Kind,
        resource: &ResourceId,
    ) -> Result<Option<RecordKey>, SnapshotError> {
        let key = place::owner(self.tables(), &self.name, kind, resource);
        self.tables().get_json(Table::Owners, &key)
    }

    /// Records whose link's acknowledged value at `path`, folded, is `folded`. Kept for
    /// `externalId`, `userName`, `displayName` (groups) and every path under `emails`.
    pub fn owners_of(
        &self,
        kind: Kind,
        path: &AttributePath,
        folded: &str,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let prefix = place::value(self.tables(), &self.name, kind, path, folded);
        self.ends(Table::Values, &prefix, key::take_record)
            .collect()
    }

    /// The member edges of a group that provisor owns.
    pub fn members(
        &self,
        group: &RecordKey,
    ) -> Result<BTreeMap<ResourceId, MemberEdge>, SnapshotError> {
        let prefix = place::record(&self.name, group);
        self.tables()
            .prefix(Table::Members, &prefix)
            .map(|pair| {
                let (found, payload) = pair?;
                let member = key::take_text(&mut &found[prefix.len()..])
                    .ok_or_else(|| malformed(Table::Members))?;
                let edge = codec::from_json(Table::Members.what(), &payload)?;
                Ok((ResourceId(member), edge))
            })
            .collect()
    }

    /// Groups in which provisor owns an edge to this resource.
    pub fn groups_with(&self, member: &ResourceId) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let prefix = place::member(&self.name, member);
        self.ends(Table::GroupsWith, &prefix, key::take_record)
            .collect()
    }

    /// What makes another of each edge to a resource, where `turn` says so.
    pub fn turn_edges(
        &self,
        member: &ResourceId,
        turn: impl Fn(MemberEdge) -> Option<MemberEdge>,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        let mut changes = Vec::new();
        for group in self.groups_with(member)? {
            if let Some(edge) = self.member(&group, member)?.and_then(&turn) {
                changes.push(TargetChange::PutMember(group, member.clone(), edge));
            }
        }
        Ok(changes)
    }

    /// One member edge of a group that provisor owns.
    pub fn member(
        &self,
        group: &RecordKey,
        member: &ResourceId,
    ) -> Result<Option<MemberEdge>, SnapshotError> {
        let key = place::edge(&self.name, group, member);
        self.tables().get_json(Table::Members, &key)
    }

    /// The open intent of a record.
    pub fn intent(&self, record: &RecordKey) -> Result<Option<Intent>, SnapshotError> {
        let key = place::record(&self.name, record);
        self.tables().get_json(Table::Intents, &key)
    }

    /// Open intents.
    pub fn intents(&self) -> Result<BTreeMap<RecordKey, Intent>, SnapshotError> {
        self.by_record(Table::Intents).collect()
    }

    /// Open rows.
    pub fn open(&self) -> Result<BTreeMap<RecordKey, Open>, SnapshotError> {
        self.by_record(Table::Open).collect()
    }

    /// Spending at or after a moment, oldest first, each with its own moment to the microsecond.
    pub fn spent_since(
        &self,
        from: DateTime<Utc>,
    ) -> Result<Vec<(DateTime<Utc>, Spent)>, SnapshotError> {
        let prefix = key::text(&self.name);
        self.tables()
            .range(
                Table::Spent,
                place::spent(&self.name, from),
                key::after(&prefix),
            )
            .map(|pair| {
                let (found, payload) = pair?;
                let at = place::take_moment(&mut &found[prefix.len()..])
                    .ok_or_else(|| malformed(Table::Spent))?;
                Ok((at, codec::from_json(Table::Spent.what(), &payload)?))
            })
            .collect()
    }

    /// Whether what was spent at a moment, to the microsecond, is not forgotten yet.
    pub fn keeps_spending(&self, at: DateTime<Utc>) -> Result<bool, SnapshotError> {
        let mut kept = self
            .tables()
            .prefix(Table::Spent, &place::spent(&self.name, at));
        Ok(kept.next().transpose()?.is_some())
    }

    /// Commits changes together (split into transactions of a few hundred keys only between
    /// changes; callers keep what belongs together small). Not durable before
    /// [`TargetStore::flush`].
    pub fn commit(&self, changes: Vec<TargetChange>) -> Result<(), SnapshotError> {
        self.commit_all(vec![changes]).map(drop)
    }

    /// As [`TargetStore::commit`] of each, one after another, in fewer transactions.
    pub fn commit_all(&self, all: Vec<Vec<TargetChange>>) -> Result<Contested, SnapshotError> {
        let mut commit = Commit::begin(self.tables(), &self.name)?;
        let mut contested = Contested::new();
        for mut changes in all {
            commit.make_room()?;
            if let Some((record, owner)) = commit.contested(&changes)? {
                contested.insert(record, owner);
                changes.retain(|change| matches!(change, TargetChange::Spend(..)));
            }
            for change in changes {
                commit.make(change)?;
            }
        }
        commit.end()?;
        Ok(contested)
    }

    /// See [`Store::flushed_generation`].
    pub fn flushed_generation(&self) -> u64 {
        self.store.flushed_generation()
    }

    /// Makes everything committed so far durable, and returns the flush generation.
    pub fn flush(&self) -> Result<u64, SnapshotError> {
        self.store.flush()
    }

    /// Forgets every link, member, intent and open row: the target is another one now.
    /// Progress and spending stay. In several transactions: repeat it after a crash.
    pub fn reset(&self) -> Result<(), SnapshotError> {
        let mut commit = Commit::begin(self.tables(), &self.name)?;
        commit.forget_everything()?;
        commit.end()
    }

    /// From here on nothing can be committed, as when the disk gives back something else than it
    /// was given.
    #[cfg(test)]
    pub(crate) fn damage_totals(&self) -> Result<(), SnapshotError> {
        let totals = (Table::Progress, place::totals(&self.name));
        let writes = [(totals, Some(b"no totals".to_vec()))].into();
        self.tables().writer().apply(&writes)
    }

    fn tables(&self) -> &Tables {
        self.store.tables()
    }

    /// The values of a table whose keys are (target, record).
    fn by_record<T: DeserializeOwned>(
        &self,
        table: Table,
    ) -> impl Iterator<Item = Result<(RecordKey, T), SnapshotError>> + use<T> {
        let prefix = key::text(&self.name);
        let skipped = prefix.len();
        self.tables().prefix(table, &prefix).map(move |pair| {
            let (found, payload) = pair?;
            let record =
                key::take_record(&mut &found[skipped..]).ok_or_else(|| malformed(table))?;
            Ok((record, codec::from_json(table.what(), &payload)?))
        })
    }

    /// What the keys under a prefix end in.
    fn ends<T>(
        &self,
        table: Table,
        prefix: &[u8],
        take: fn(&mut &[u8]) -> Option<T>,
    ) -> impl Iterator<Item = Result<T, SnapshotError>> + use<T> {
        let skipped = prefix.len();
        self.tables().prefix(table, prefix).map(move |pair| {
            let (found, _) = pair?;
            take(&mut &found[skipped..]).ok_or_else(|| malformed(table))
        })
    }
}

fn malformed(table: Table) -> SnapshotError {
    SnapshotError::Value {
        what: table.what(),
        problem: "its key is malformed".to_owned(),
    }
}
