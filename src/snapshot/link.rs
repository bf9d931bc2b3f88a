//! The values kept per target: links, member edges, intents, open rows. Plain data, which
//! the planner may use; no I/O here.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, Utc};
use provisor_connectors::RecordKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, fold};

/// A record's resource at one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The resource. One owner per resource.
    pub resource: ResourceId,
    /// How the link came to be.
    pub origin: Origin,
    /// The mapped values that the target last acknowledged.
    pub acknowledged: AttributeMap,
    /// The `active` that the target last acknowledged. Always true for groups.
    pub active: bool,
    /// Set while provisor's own deactivation stands; and, with `active`, from before the call
    /// that switches off or on again is sent until it is acknowledged: either may be so.
    pub deactivated: Option<Deactivation>,
    /// The resource's externalId, where it is not ours: kept, and reported.
    pub foreign_external_id: Option<String>,
    /// Adopted, and the first patch is not acknowledged yet: until then a change of what was
    /// found is an overwrite, whichever cycle makes it.
    #[serde(default)]
    pub unsettled: bool,
    /// The target answered 404 for this resource: match again when the person is entitled.
    pub missing: bool,
    /// What the target shows in place of values that it acknowledged. Where it still shows
    /// that, there is nothing to put back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own_forms: BTreeMap<AttributePath, OwnForm>,
    /// Paths of which nothing is acknowledged, and at which values were sent all the same: they
    /// may be there, and are ours then. From before the call until it is acknowledged.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sent: BTreeSet<AttributePath>,
    /// Values of `externalId`, `userName` and a group's `displayName` that were sent in place of
    /// what is acknowledged, folded: the resource may have one of them by now, and is the same.
    /// From before the call until it is acknowledged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys_sent: BTreeMap<AttributePath, BTreeSet<String>>,
}

impl Link {
    /// Whether the target acknowledged it as active, and nothing was sent since that may have
    /// switched it off.
    pub fn is_surely_active(&self) -> bool {
        self.active && self.deactivated.is_none()
    }

    /// Whether a value found at a key is `known`, or was sent in place of it.
    pub fn may_have(&self, key: &AttributePath, known: &Value, found: &Value) -> bool {
        let found = fold(key, found);
        let sent = self.keys_sent.get(key);
        fold(key, known) == found || sent.is_some_and(|sent| sent.contains(&found))
    }

    /// What a deactivation which is not acknowledged has spent: when, to the microsecond as
    /// spending is kept, and of which limit. It counts while that spending does.
    pub fn spending(&self) -> Option<(DateTime<Utc>, &str)> {
        let switched = self.deactivated.as_ref().filter(|_| self.active)?;
        Some((switched.at.trunc_subsecs(6), switched.spent.as_deref()?))
    }
}

/// What a target shows in place of a value that it acknowledged. At the path `members`, the
/// ids that it does not show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnForm {
    /// The value; `None` when it shows none.
    pub shown: Option<Value>,
    /// How that is known.
    pub told: Told,
}

/// How a target's own form of a value is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Its answer to our write showed it: it writes such values in its own way.
    ByAnswer,
    /// It showed it before we put ours back. If a later listing shows it again, that write did
    /// not help, and another would not either.
    BeforePutBack,
}

/// How a link came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// provisor created the resource.
    Created,
    /// provisor found it.
    Adopted,
}

/// That provisor switched a resource off, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deactivation {
    /// The reason's name, for people who read.
    pub reason: String,
    /// When it was acknowledged.
    pub at: DateTime<Utc>,
    /// Since when cycles have found the record gone from its source, without a break. `None`
    /// while it is not gone, and while the clock was in doubt.
    #[serde(default)]
    pub gone_since: Option<DateTime<Utc>>,
    /// The limit that the call has spent, at `at`, while it is about to switch off and is not
    /// acknowledged: it may have happened, and is not spent again when it is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<String>,
}

/// A member edge at the target that provisor added, or found where the source has it too.
/// Its key is (group record, member's resource).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberEdge {
    /// provisor added it.
    Added,
    /// It was there, and the source has it too.
    Found,
    /// About to be added: until that is acknowledged it may be there or not. It is added again
    /// where the source has it, and removed where it has not.
    Sent,
    /// The member's resource is no more. Most apps take it out of their groups with that; some
    /// go on showing its id. Taken out when a listing shows that, and else forgotten.
    Orphaned,
}

impl MemberEdge {
    /// What becomes of it when the member's resource is gone, where that is news.
    pub fn orphaned(self) -> Option<Self> {
        (self != Self::Orphaned).then_some(Self::Orphaned)
    }

    /// What becomes of it when the resource is seen to be there after all: it may be or not.
    pub fn found_again(self) -> Option<Self> {
        (self == Self::Orphaned).then_some(Self::Sent)
    }
}

/// A create about to be sent. While it is open, the answer may be lost: *in doubt*.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// When it was made durable.
    pub at: DateTime<Utc>,
    /// The values it sends: what to look for.
    pub attributes: AttributeMap,
    /// The members that a group is created with: if it happened, they are ours to remove.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub members: BTreeSet<ResourceId>,
    /// The answer was 409: something has the key. That may be what this very call has made, if
    /// something on the way repeated it; but only what carries our externalId is.
    #[serde(default)]
    pub refused: bool,
    /// One that was refused and is still open, which this one stands in for: it is put back when
    /// this call is known not to have made anything, for that says nothing of the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Box<Intent>>,
}

/// A subject that a cycle must look at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Why, in the words of a reason or an error, which may be the server's own.
    pub why: String,
    /// When.
    pub due: Due,
    /// Failed attempts so far.
    pub attempts: u32,
    /// True when the last attempt failed (as opposed to held or listed).
    pub failed: bool,
    /// Somebody it refers to who is not at the target: it is settled but for them, and looked
    /// at when they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<RecordKey>,
}

/// When an open subject is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// In every cycle.
    Now,
    /// Not before this moment.
    At(DateTime<Utc>),
    /// At this moment, because only time decides. Until then it is not even looked at.
    Moment(DateTime<Utc>),
    /// In the next full cycle.
    FullCycle,
}

/// An open row's subject together with the row.
pub type OpenRow = (RecordKey, Open);
