//! Everything a plan is made from, as plain values. The same input gives the same plan.
//!
//! Filled by the cycle, which reads the mirror, the links and the target. Nothing here may
//! be read lazily: a planner that can look things up is not pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use provisor_connectors::{Kind, Lifecycle, RecordKey};

use super::rules::Rules;
use crate::mapping::MappingError;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId};
use crate::scope::Verdict;
use crate::snapshot::link::{Intent, Link};
use crate::target::profile::Profile;

/// One target's input.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The target's name.
    pub target: &'a str,
    /// The time of this cycle.
    pub now: DateTime<Utc>,
    /// The target's rules.
    pub rules: &'a Rules,
    /// What the target can do.
    pub profile: &'a Profile,
    /// Paths that keep their last value when the source has none.
    pub keep_when_empty: &'a BTreeSet<AttributePath>,
    /// People to look at.
    pub people: BTreeMap<RecordKey, Candidate>,
    /// Groups to look at.
    pub groups: BTreeMap<RecordKey, GroupCandidate>,
    /// What was seen of `/Users`.
    pub observed_users: Observed,
    /// What was seen of `/Groups`.
    pub observed_groups: Observed,
    /// Linked people and groups, looked at or not.
    pub linked: u64,
    /// The snapshot was lost: what is left over at the target may be of people who left.
    pub snapshot_lost: bool,
    /// Every record is looked at: what no record claims is nobody's.
    pub full: bool,
    /// Every source of the target was read completely: who is gone is in none of them.
    pub complete: bool,
    /// Why the time is not to be relied on, in words: whatever only time decides waits.
    pub clock_doubt: Option<String>,
}

/// A record, or a link whose record is gone, with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// What the source says.
    pub standing: Standing,
    /// What the mapping makes of it; `None` when there is nothing to map (gone).
    pub desired: Option<Result<AttributeMap, MappingError>>,
    /// Its link at this target.
    pub link: Option<Link>,
    /// The linked resource is confirmed to be gone from the target.
    pub missing: bool,
    /// A create whose answer was never seen.
    pub intent: Option<Intent>,
    /// False while it backs off after a failure: its claims count, but it is not acted on.
    pub due: bool,
    /// Somebody switched the resource off at the target, as the last listing showed.
    pub suspended: bool,
    /// The value of `rehire_key`, if it has one.
    pub rehire_key: Option<String>,
    /// Whom the source names as the manager; not in `desired`, which holds plain values.
    pub manager: Option<Referenced>,
    /// Records of other sources that are the same person.
    pub joined: Vec<RecordKey>,
    /// Why nobody can tell which person this is (`join_key`): it waits.
    pub contested: Option<String>,
}

/// Somebody whom a record refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referenced {
    /// Who, as the source names them; they need not exist.
    pub record: RecordKey,
    /// Their resource, unless it is known to be missing. People who left keep theirs.
    pub resource: Option<ResourceId>,
    /// Without a resource they may still get one, or one cannot tell: what the target has
    /// now stays until then.
    pub awaited: bool,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupCandidate {
    /// The group itself.
    pub group: Candidate,
    /// The people in it who are in scope and not gone. Nested groups are flattened; or else
    /// those of them that are pushed themselves are members beside the people.
    pub members: BTreeSet<RecordKey>,
    /// The resources of those of them who are linked.
    pub member_resources: BTreeMap<RecordKey, ResourceId>,
    /// The edges that provisor owns at the target, with the record behind each resource.
    pub owned: BTreeMap<ResourceId, OwnedEdge>,
}

/// An edge provisor owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedEdge {
    /// Whose resource it is, as far as the links know.
    pub record: Option<RecordKey>,
    /// It was sent, and not acknowledged: it may be there or not.
    pub sent: bool,
    /// The resource is known to be gone: whatever the target still shows is nobody.
    pub orphaned: bool,
    /// The scope of the person, or what becomes of the group, cannot be told: the edge stays.
    pub unknown: bool,
    /// The member is protected: the edge stays.
    pub protected: Option<ProtectedMember>,
}

/// Whose membership `protect` keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedMember {
    /// For people who read: the userName or displayName.
    pub name: String,
    /// The key by which `protect` names them.
    pub key: String,
}

/// What was seen of one endpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Resources, by id.
    pub resources: BTreeMap<ResourceId, Listed>,
    /// True after a complete listing: what is not here does not exist.
    pub complete: bool,
    /// Which record owns a seen resource, as the links know.
    pub owners: BTreeMap<ResourceId, RecordKey>,
    /// Which living record of the target's sources a seen resource's externalId names.
    pub external_owners: BTreeMap<ResourceId, RecordKey>,
    /// After a lost snapshot: whose resource a seen one was, by the audit log and by its own
    /// externalId. Only of sources that were read.
    pub remembered: BTreeMap<ResourceId, RecordKey>,
}

/// What the source says about a record: the first that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// In the source's recycle bin.
    SoftDeleted,
    /// Switched off in the source.
    Disabled,
    /// No longer in the source.
    Gone,
    /// Cannot be told, for this reason.
    Unknown(String),
    /// Not for this target.
    OutOfScope,
    /// In scope and active.
    Entitled,
}

impl Standing {
    /// Settles what the source says. `gone` and `lifecycle` come from the mirror;
    /// `unreadable` is why the source could not be read in this cycle.
    pub fn settle(
        lifecycle: Lifecycle,
        gone: bool,
        unreadable: Option<&str>,
        scope: Verdict,
    ) -> Self {
        if let Some(why) = unreadable {
            return Self::Unknown(why.to_owned());
        }
        match (lifecycle, gone, scope) {
            // Of who is gone, the lifecycle is history: also of who was deleted softly before.
            (_, true, _) => Self::Gone,
            (Lifecycle::SoftDeleted { .. }, _, _) => Self::SoftDeleted,
            (Lifecycle::Disabled, _, _) => Self::Disabled,
            (Lifecycle::Unknown, _, _) => {
                Self::Unknown("the source does not say whether the record is active".to_owned())
            }
            (Lifecycle::Active, _, Verdict::Unknown(why)) => Self::Unknown(why),
            (Lifecycle::Active, _, Verdict::Out) => Self::OutOfScope,
            (Lifecycle::Active, _, Verdict::In) => Self::Entitled,
        }
    }

    /// In scope and active.
    pub fn is_entitled(&self) -> bool {
        matches!(self, Self::Entitled)
    }

    /// Nothing may happen to it.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

impl Candidate {
    /// The link, unless its resource is known to be gone.
    pub fn standing_link(&self) -> Option<&Link> {
        self.link
            .as_ref()
            .filter(|link| !link.missing && !self.missing)
    }

    /// What it should be at the target, where the mapping could tell.
    pub fn mapped(&self) -> Option<&AttributeMap> {
        self.desired.as_ref()?.as_ref().ok()
    }

    /// What to look for at the target: what it should be, or what a lost create sent.
    pub fn sought(&self) -> Option<&AttributeMap> {
        let intended = self.intent.as_ref().map(|intent| &intent.attributes);
        self.mapped().or(intended)
    }
}

impl Input<'_> {
    /// What was seen of the endpoint of a kind.
    pub fn observed(&self, kind: Kind) -> &Observed {
        match kind {
            Kind::User => &self.observed_users,
            Kind::Group => &self.observed_groups,
        }
    }

    /// Whether the target can no longer surprise us with what this create made.
    pub fn is_settled(&self, intent: &Intent) -> bool {
        let settle = Duration::from_std(self.rules.settle).unwrap_or(Duration::MAX);
        self.now.signed_duration_since(intent.at) >= settle
    }

    /// Whether a create may still have happened although its answer was lost: it is sent
    /// again only after the settling time and a conclusive absence. One that was refused because
    /// its key is taken would be so again.
    pub fn is_in_doubt(&self, kind: Kind, candidate: &Candidate) -> bool {
        let Some(intent) = candidate.intent.as_ref().filter(|intent| !intent.refused) else {
            return false;
        };
        let conclusive = self.observed(kind).complete;
        !conclusive || !self.is_settled(intent)
    }
}
