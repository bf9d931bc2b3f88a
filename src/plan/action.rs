//! A plan and its parts: plain values, immutable once made, serialisable, versioned.
//!
//! Nothing here decides anything; the deciding is in the sibling modules, the doing in
//! `apply`. Must not do I/O and must not know the wire dialect of a target.

use std::collections::BTreeSet;

use provisor_connectors::{Kind, RecordKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::drift::PutBack;
use crate::scim::message::Operation;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId};

/// The version of the plan's serialised form.
pub const PLAN_VERSION: u32 = 1;

/// What one cycle would do at one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The target's name in the configuration.
    pub target: String,
    /// In the order of DESIGN: the order in which subjects are printed.
    pub actions: Vec<Action>,
    /// The order in which userNames change hands: indices into `actions`. Unlike the other
    /// phases, releases run one after another.
    pub releases: Vec<Release>,
    /// What waits for a person.
    pub held: Vec<Held>,
    /// What is shown; nothing waits.
    pub listed: Vec<Listed>,
    /// Linked subjects without an action.
    pub unchanged: u64,
    /// Names the held set of `OverLimit` and `ProbableLeaver`; `None` when it is empty.
    pub held_id: Option<String>,
}

/// One step of freeing userNames, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// This action's userName becomes a temporary one: its first request.
    Temporary(usize),
    /// This action's own request.
    Rename(usize),
}

impl Release {
    /// Which action it is a step of.
    pub fn action(self) -> usize {
        match self {
            Self::Temporary(index) | Self::Rename(index) => index,
        }
    }
}

/// Whom an action, a held or a listed item is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// User or group.
    pub kind: Kind,
    /// The record; `None` for a resource that no record claims.
    pub record: Option<RecordKey>,
    /// The resource; `None` before it is created.
    pub resource: Option<ResourceId>,
    /// For people who read: the userName or displayName.
    pub name: String,
}

/// One resource's net change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Whom it is about.
    pub subject: Subject,
    /// The first that applies of create, delete, deactivate, reactivate, adopt, patch.
    pub change: Change,
    /// Why.
    pub reason: Reason,
    /// Set when this action also makes the link: what was found at the target.
    pub adoption: Option<Adoption>,
    /// Old and new value of each attribute this action changes, for people who read and for
    /// the guards. Old is what the target shows, as far as this cycle looked; else what it last
    /// acknowledged.
    pub differences: Vec<Difference>,
    /// What to send, in order. Empty when adopting something that already agrees.
    pub requests: Vec<Request>,
    /// What this action would spend of the guards' limits.
    pub costs: Vec<Cost>,
}

impl Action {
    /// The paths at which the source changed nothing and the target shows something else.
    pub fn drifted(&self) -> BTreeSet<&AttributePath> {
        let requests = self.requests.iter();
        requests
            .flat_map(|request| request.acknowledge.put_back.keys())
            .collect()
    }
}

/// The kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// POST.
    Create,
    /// DELETE.
    Delete,
    /// `active` becomes false.
    Deactivate,
    /// `active` becomes true.
    Reactivate,
    /// An existing resource gets its link.
    Adopt,
    /// Attributes or members change.
    Patch,
}

/// Why an action is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// In scope and active, and not at the target.
    NewInScope,
    /// In scope and active, and found at the target.
    Matched,
    /// The same person came back under another key.
    Rehired,
    /// Mapped values differ from what was last acknowledged.
    AttributesChanged,
    /// The group's members differ.
    MembersChanged,
    /// Entitled again.
    Returned,
    /// The linked resource is no longer at the target.
    MissingAtTarget,
    /// Switched off in the source.
    DisabledAtSource,
    /// In the source's recycle bin.
    SoftDeleted,
    /// No longer in the source.
    GoneFromSource,
    /// No longer in the target's scope.
    LeftScope,
    /// Never linked, not entitled, active at the target.
    Stale,
    /// Switched on at the target although not entitled; or the target shows other values or
    /// fewer members than it acknowledged, and the source changed nothing.
    Drifted,
    /// Left over at the target after the snapshot was lost.
    ProbableLeaver,
}

/// The link that an action makes besides its change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adoption {
    /// The resource found.
    pub resource: ResourceId,
    /// What the target holds now of what the mapping sets: the link starts from here.
    pub found: AttributeMap,
    /// Whether it is active now.
    pub active: bool,
    /// Members found in place that the source has too.
    pub members: Vec<ResourceId>,
    /// Its externalId, where it is not ours: kept and reported.
    pub foreign_external_id: Option<String>,
    /// The record that owned the link until now (`Rehired`).
    pub moved_from: Option<RecordKey>,
    /// What was found is as it should be: a later change of it overwrites nobody's value.
    #[serde(default)]
    pub settled: bool,
}

/// One attribute's old and new value; `None` is unassigned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Which attribute.
    pub path: AttributePath,
    /// What the target shows or last acknowledged, or what was found on adoption.
    pub old: Option<Value>,
    /// What it becomes.
    pub new: Option<Value>,
}

/// One call, without any choice left in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// When it is its turn.
    pub phase: Phase,
    /// Its turn within the phase. Requests of one turn may run side by side; a later one may
    /// refer to what an earlier one creates.
    #[serde(default, skip_serializing_if = "is_first")]
    pub wave: u32,
    /// What to send, but for `manager`.
    pub write: Write,
    /// The manager to be sent and acknowledged besides, who is created by the same plan: the
    /// id is known when it is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<RecordKey>,
    /// What the snapshot records once the target has acknowledged it.
    pub acknowledge: Acknowledge,
}

impl Request {
    /// A request in its phase's first turn that refers to nobody new.
    pub fn new(phase: Phase, write: Write, acknowledge: Acknowledge) -> Self {
        Self {
            phase,
            wave: 0,
            write,
            manager: None,
            acknowledge,
        }
    }

    /// When it is its turn in a plan.
    pub fn turn(&self) -> (Phase, u32) {
        (self.phase, self.wave)
    }
}

fn is_first(wave: &u32) -> bool {
    *wave == 0
}

/// The order of a plan, coarsest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Deactivations, before anything else.
    Leavers,
    /// userNames freed for others: renames to a temporary name, and renames away.
    Releases,
    /// Creations of people.
    Joiners,
    /// Switching on again.
    Reactivations,
    /// Patches of people.
    Movers,
    /// Creations and patches of groups, without removals that belong to memberships.
    Groups,
    /// Membership chunks beyond the first request of a group.
    Memberships,
    /// References to what this plan created, where an earlier request could not have them.
    References,
    /// Deletions.
    Deletions,
}

/// What to send, before any dialect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// POST a new resource.
    Create {
        /// Its values.
        attributes: AttributeMap,
        /// Members of a new group.
        members: Vec<Reference>,
    },
    /// PATCH the subject.
    Patch {
        /// `active`, where it changes.
        active: Option<bool>,
        /// Attribute operations.
        operations: Vec<Operation>,
        /// Members to add.
        add: Vec<Reference>,
        /// Members to remove.
        remove: Vec<ResourceId>,
    },
    /// DELETE the subject.
    Delete,
}

/// A reference to another resource: known, or created by the same plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// Its id is known.
    Linked(ResourceId),
    /// This plan creates it; the id is known when it is applied.
    Pending(RecordKey),
}

/// What the link becomes when the target acknowledges a request. `None`: as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Acknowledge {
    /// The link's acknowledged values.
    pub attributes: Option<AttributeMap>,
    /// The link's `active`.
    pub active: Option<bool>,
    /// Member edges that provisor now owns.
    pub members_added: Vec<Reference>,
    /// Member edges that are gone.
    pub members_removed: Vec<ResourceId>,
    /// Where this request puts back what the source did not change: what the target showed.
    #[serde(default, skip_serializing_if = "PutBack::is_empty")]
    pub put_back: PutBack,
}

/// The rails. Each has a limit in the configuration, of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Deactivations on inferred evidence: `GoneFromSource`, `LeftScope`, `Stale`, `Drifted`.
    Deactivations,
    /// Deactivations on explicit evidence: `DisabledAtSource`, `SoftDeleted`.
    ExplicitDeactivations,
    /// Deletions of people.
    Deletions,
    /// Groups deleted or emptied.
    GroupDeletions,
    /// Members removed, per group and per target.
    MembersRemoved,
    /// userName or externalId changed.
    Identifiers,
    /// Values of others overwritten: on adoption, and where drift is put back.
    Overwrites,
    /// Values cleared.
    Cleared,
    /// Reactivations.
    Reactivations,
    /// Creations in place of a resource that is missing.
    Recreations,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Limit; 10] = [
        Limit::Deactivations,
        Limit::ExplicitDeactivations,
        Limit::Deletions,
        Limit::GroupDeletions,
        Limit::MembersRemoved,
        Limit::Identifiers,
        Limit::Overwrites,
        Limit::Cleared,
        Limit::Reactivations,
        Limit::Recreations,
    ];

    /// Its name in the configuration and in reports: `members_removed`.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Deactivations => "deactivations",
            Limit::ExplicitDeactivations => "explicit_deactivations",
            Limit::Deletions => "deletions",
            Limit::GroupDeletions => "group_deletions",
            Limit::MembersRemoved => "members_removed",
            Limit::Identifiers => "identifiers",
            Limit::Overwrites => "overwrites",
            Limit::Cleared => "cleared",
            Limit::Reactivations => "reactivations",
            Limit::Recreations => "recreations",
        }
    }
}

/// What an action spends of one limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Which limit.
    pub limit: Limit,
    /// How much: 1 for most; for `members_removed` the number of members.
    pub amount: u64,
}

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Whom it is about.
    pub subject: Subject,
    /// The change that waits.
    pub change: Change,
    /// Why it waits.
    pub reason: HeldReason,
    /// For `OverLimit`: which limit.
    pub limit: Option<Limit>,
    /// In words, with what to do. Names keys and attributes.
    pub detail: String,
    /// The withheld action, where there is one: what `approve` releases.
    pub action: Option<Box<Action>>,
}

/// Why something waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HeldReason {
    /// More than a limit allows.
    OverLimit,
    /// Several resources match, or keys disagree.
    AmbiguousMatch,
    /// The match belongs to somebody who left.
    PossibleRehire,
    /// Two records claim one key.
    DuplicateKey,
    /// A required attribute maps to nothing.
    MissingRequired,
    /// An expression failed.
    MappingFailed,
    /// Left over after the snapshot was lost.
    ProbableLeaver,
    /// A create whose answer was lost, not settled yet.
    InDoubt,
    /// Only the clock says so, and the clock is in doubt.
    ClockDoubt,
}

/// Something that is shown; nothing waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Whom it is about.
    pub subject: Subject,
    /// Why it is shown.
    pub reason: ListedReason,
    /// In words.
    pub detail: String,
}

/// Why something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ListedReason {
    /// Not entitled, never linked, active at the target.
    Stale,
    /// At the target, in no source.
    Unlinked,
    /// Protected: not deactivated, deleted or stripped.
    Protected,
    /// Somebody switched them off at the target.
    SuspendedAtTarget,
    /// The target shows something else than it acknowledged, and nothing is written for it.
    Drifted,
    /// The source could not be read, or the scope could not be told.
    ScopeUnknown,
}
