//! One target's part of the store.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};
use serde::{Deserialize, Serialize};

use super::link::{Intent, Link, MemberEdge, Open};
use super::store::SnapshotError;
use crate::scim::message::Capabilities;
use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;

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
    /// The next cycle that looks for anything lists: a filter has missed something.
    pub distrust_filters: bool,
    /// Limits in force because they held something: limit name to the amount allowed then.
    pub limits_in_force: BTreeMap<String, u64>,
    /// What `approve` released and has not been done yet.
    pub approval: Option<Approval>,
    /// (time, active and linked people, linked member edges) after each cycle in which it
    /// changed: the guards' base. At most 24 hours and one older.
    pub base: Vec<BasePoint>,
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
    /// Makes or replaces a record's link. Its previous resource loses its owner.
    PutLink(RecordKey, Box<Link>),
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
    /// Drops spending before this moment.
    ForgetSpent(DateTime<Utc>),
    /// Replaces the target's progress.
    PutProgress(Box<Progress>),
}

/// One target's links, members, intents, open rows and progress. Cheap to clone; blocking.
#[derive(Clone)]
pub struct TargetStore {
    _private: (),
}

impl TargetStore {
    /// The target's name.
    pub fn name(&self) -> &str {
        unimplemented!()
    }

    /// Where the target stands; the default before its first cycle.
    pub fn progress(&self) -> Result<Progress, SnapshotError> {
        unimplemented!()
    }

    /// Counts of what is linked.
    pub fn totals(&self) -> Result<Totals, SnapshotError> {
        unimplemented!()
    }

    /// A record's link.
    pub fn link(&self, _record: &RecordKey) -> Result<Option<Link>, SnapshotError> {
        unimplemented!()
    }

    /// Every link, in the order of the keys.
    pub fn links(&self) -> Box<dyn Iterator<Item = Result<(RecordKey, Link), SnapshotError>> + '_> {
        unimplemented!()
    }

    /// The record that owns a resource of a kind.
    pub fn owner(
        &self,
        _kind: Kind,
        _resource: &ResourceId,
    ) -> Result<Option<RecordKey>, SnapshotError> {
        unimplemented!()
    }

    /// Records whose link's acknowledged value at `path`, folded, is `folded`. Kept for
    /// `externalId`, `userName`, `displayName` (groups) and every path under `emails`.
    pub fn owners_of(
        &self,
        _kind: Kind,
        _path: &AttributePath,
        _folded: &str,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        unimplemented!()
    }

    /// The member edges of a group that provisor owns.
    pub fn members(
        &self,
        _group: &RecordKey,
    ) -> Result<BTreeMap<ResourceId, MemberEdge>, SnapshotError> {
        unimplemented!()
    }

    /// Groups in which provisor owns an edge to this resource.
    pub fn groups_with(&self, _member: &ResourceId) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        unimplemented!()
    }

    /// Open intents.
    pub fn intents(&self) -> Result<BTreeMap<RecordKey, Intent>, SnapshotError> {
        unimplemented!()
    }

    /// Open rows.
    pub fn open(&self) -> Result<BTreeMap<RecordKey, Open>, SnapshotError> {
        unimplemented!()
    }

    /// Spending at or after a moment.
    pub fn spent_since(&self, _from: DateTime<Utc>) -> Result<Vec<Spent>, SnapshotError> {
        unimplemented!()
    }

    /// Commits changes together (split into transactions of a few hundred keys only between
    /// changes; callers keep what belongs together small). Not durable before [`TargetStore::flush`].
    pub fn commit(&self, _changes: Vec<TargetChange>) -> Result<(), SnapshotError> {
        unimplemented!()
    }

    /// Makes everything committed so far durable, and returns the flush generation.
    pub fn flush(&self) -> Result<u64, SnapshotError> {
        unimplemented!()
    }

    /// Forgets every link, member, intent and open row: the target is another one now.
    pub fn reset(&self) -> Result<(), SnapshotError> {
        unimplemented!()
    }
}
