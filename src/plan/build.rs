//! Building actions: from a decision to the requests, differences and costs it means.
//!
//! Every action of a plan is made here, so that what is sent, what is shown, what is
//! recorded and what is counted cannot drift apart.

use std::collections::BTreeSet;

use provisor_connectors::{Kind, RecordKey};

use super::action::{
    Acknowledge, Action, Adoption, Change, Difference, Held, HeldReason, Limit, Phase, Reason,
    Request, Subject, Write,
};
use super::costs::{changes_identifier, cost, patch_costs};
use super::drift::{Present, shown_at};
use super::input::{Candidate, Input, Standing};
use super::references::{self, Wanted};
use crate::scim::difference::operations;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId, is_same, read_path};
use crate::snapshot::link::Link;
use crate::target::profile::{Profile, name_path};

/// Whom an action is about; the name is the wanted userName or displayName, else the
/// acknowledged one, else the source id.
pub(super) fn subject(
    record: &RecordKey,
    resource: Option<ResourceId>,
    candidate: &Candidate,
) -> Subject {
    let path = name_path(record.kind);
    let desired = candidate.mapped().and_then(|desired| desired.get(&path));
    let acknowledged = || {
        candidate
            .link
            .as_ref()
            .and_then(|link| link.acknowledged.get(&path))
    };
    let sought = || candidate.sought()?.get(&path);
    let name = desired.or_else(acknowledged).or_else(sought);
    let name = name.and_then(|name| name.as_str());
    Subject {
        kind: record.kind,
        record: Some(record.clone()),
        resource,
        name: name.unwrap_or(record.id.as_str()).to_owned(),
    }
}

/// Whom an item about a resource of nobody is about.
pub(super) fn unclaimed(kind: Kind, listed: &Listed) -> Subject {
    let path = name_path(kind);
    let name = read_path(&listed.json, &path).and_then(|name| name.as_str());
    Subject {
        kind,
        record: None,
        resource: Some(listed.id.clone()),
        name: name.unwrap_or(&listed.id.0).to_owned(),
    }
}

/// Something that waits, and that no approval releases.
pub(super) fn held(
    subject: Subject,
    change: Change,
    reason: HeldReason,
    detail: impl Into<String>,
) -> Held {
    Held {
        subject,
        change,
        reason,
        limit: None,
        detail: detail.into(),
        action: None,
    }
}

/// Why a create whose answer was lost is not sent again at once.
pub(super) const IN_DOUBT: &str =
    "the answer to its creation was lost; it is looked for again once the target has settled";

/// The reason for which somebody who is not entitled is switched off.
pub(super) fn leaving(standing: &Standing) -> Reason {
    match standing {
        Standing::SoftDeleted => Reason::SoftDeleted,
        Standing::Disabled => Reason::DisabledAtSource,
        Standing::Gone => Reason::GoneFromSource,
        Standing::OutOfScope | Standing::Entitled | Standing::Unknown(_) => Reason::LeftScope,
    }
}

/// The desired values of a linked record, less what must stay as it is: a foreign
/// externalId, and values kept when the source has none.
pub(super) fn keep_what_stays(
    desired: &AttributeMap,
    link: &Link,
    input: &Input<'_>,
) -> AttributeMap {
    let mut desired = desired.clone();
    if link.foreign_external_id.is_some() && !input.rules.take_over {
        desired.remove(&AttributePath::external_id());
    }
    for path in input.keep_when_empty {
        if let Some(value) = link.acknowledged.get(path) {
            desired.entry(path.clone()).or_insert_with(|| value.clone());
        }
    }
    desired
}

/// A creation; `again`, in place of a resource that is missing.
pub(super) fn create(
    subject: Subject,
    wanted: impl Into<Wanted>,
    again: bool,
    phase: Phase,
) -> Action {
    let wanted = wanted.into();
    let (reason, costs) = if again {
        (Reason::MissingAtTarget, vec![cost(Limit::Recreations)])
    } else {
        (Reason::NewInScope, Vec::new())
    };
    let differences = differences(&AttributeMap::new(), &wanted);
    let write = Write::Create {
        attributes: wanted.values.clone(),
        members: Vec::new(),
    };
    let acknowledge = Acknowledge {
        attributes: Some(wanted.values),
        active: Some(true),
        ..Acknowledge::default()
    };
    Action {
        subject,
        change: Change::Create,
        reason,
        adoption: None,
        differences,
        requests: vec![Request {
            manager: wanted.pending,
            ..Request::new(phase, write, acknowledge)
        }],
        costs,
    }
}

/// A patch of exactly the difference; `None` when there is none.
pub(super) fn patch(
    subject: Subject,
    link: &Link,
    present: Present,
    wanted: impl Into<Wanted>,
) -> Option<Action> {
    let wanted = wanted.into();
    let Present {
        values, put_back, ..
    } = present;
    let mut before = &values;
    let mut differences = differences(before, &wanted);
    if differences.is_empty() {
        // Somebody else wrote just what the source says now: it is still to be acknowledged.
        before = &link.acknowledged;
        differences = self::differences(before, &wanted);
    }
    if differences.is_empty() {
        return None;
    }
    let mut costs = patch_costs(&differences, &put_back.keys().collect());
    let overwrites = link.unsettled && differences.iter().any(|each| each.old.is_some());
    if overwrites && !costs.contains(&cost(Limit::Overwrites)) {
        costs.push(cost(Limit::Overwrites));
    }
    let drifted = differences
        .iter()
        .all(|each| put_back.contains_key(&each.path));
    // What is only put back was acknowledged before; what is there already was perhaps not, and a
    // manager that is filled in when this is sent joins all the rest.
    let is_news = wanted.pending.is_some() || wanted.values != link.acknowledged;
    let phase = match subject.kind {
        Kind::User => Phase::Movers,
        Kind::Group => Phase::Groups,
    };
    let write = Write::Patch {
        active: None,
        operations: operations(before, &wanted.values),
        add: Vec::new(),
        remove: Vec::new(),
    };
    let acknowledge = Acknowledge {
        attributes: is_news.then_some(wanted.values),
        put_back,
        ..Acknowledge::default()
    };
    Some(Action {
        subject,
        change: Change::Patch,
        reason: if drifted {
            Reason::Drifted
        } else {
            Reason::AttributesChanged
        },
        adoption: None,
        differences,
        requests: vec![Request {
            manager: wanted.pending,
            ..Request::new(phase, write, acknowledge)
        }],
        costs,
    })
}

/// Switching on again, with whatever changed in between.
pub(super) fn reactivate(subject: Subject, present: Present, wanted: Wanted) -> Action {
    let Present {
        values, put_back, ..
    } = present;
    let differences = differences(&values, &wanted);
    let mut costs = patch_costs(&differences, &put_back.keys().collect());
    costs.push(cost(Limit::Reactivations));
    let write = Write::Patch {
        active: Some(true),
        operations: operations(&values, &wanted.values),
        add: Vec::new(),
        remove: Vec::new(),
    };
    let acknowledge = Acknowledge {
        attributes: Some(wanted.values),
        active: Some(true),
        put_back,
        ..Acknowledge::default()
    };
    Action {
        subject,
        change: Change::Reactivate,
        reason: Reason::Returned,
        adoption: None,
        differences,
        requests: vec![Request {
            manager: wanted.pending,
            ..Request::new(Phase::Reactivations, write, acknowledge)
        }],
        costs,
    }
}

/// Switching off: `active` and nothing else.
pub(super) fn deactivate(subject: Subject, reason: Reason, profile: &Profile) -> Action {
    let limit = match reason {
        _ if profile.deactivation_destroys => Limit::Deletions,
        Reason::DisabledAtSource | Reason::SoftDeleted => Limit::ExplicitDeactivations,
        _ => Limit::Deactivations,
    };
    let write = Write::Patch {
        active: Some(false),
        operations: Vec::new(),
        add: Vec::new(),
        remove: Vec::new(),
    };
    let acknowledge = Acknowledge {
        active: Some(false),
        ..Acknowledge::default()
    };
    Action {
        subject,
        change: Change::Deactivate,
        reason,
        adoption: None,
        differences: Vec::new(),
        requests: vec![Request::new(Phase::Leavers, write, acknowledge)],
        costs: vec![cost(limit)],
    }
}

/// Making the lost link of somebody who should not be at the target again. Sends nothing: the
/// next plan finds them linked, and switches them off for this reason.
pub(super) fn restore_link(
    subject: Subject,
    listed: &Listed,
    found: AttributeMap,
    reason: Reason,
) -> Action {
    Action {
        subject,
        change: Change::Adopt,
        reason,
        adoption: Some(Adoption {
            settled: true,
            ..adoption(listed, found, None)
        }),
        differences: Vec::new(),
        requests: Vec::new(),
        costs: Vec::new(),
    }
}

/// Deleting somebody who is gone for good.
pub(super) fn delete(subject: Subject) -> Action {
    Action {
        subject,
        change: Change::Delete,
        reason: Reason::GoneFromSource,
        adoption: None,
        differences: Vec::new(),
        requests: vec![Request::new(
            Phase::Deletions,
            Write::Delete,
            Acknowledge::default(),
        )],
        costs: vec![cost(Limit::Deletions)],
    }
}

/// Linking what was found, and patching what differs. A foreign externalId is kept unless
/// `take_over`; an inactive person is switched on. `former` is what was acknowledged of the
/// record whose link moves: of that, what the new one has no value for is cleared.
pub(super) fn adopt(
    subject: Subject,
    listed: &Listed,
    wanted: impl Into<Wanted>,
    former: &AttributeMap,
    take_over: bool,
    reason: Reason,
) -> Action {
    let mut wanted = wanted.into();
    let external_id = AttributePath::external_id();
    let present = read_path(&listed.json, &external_id).and_then(|value| value.as_str());
    let ours = wanted
        .values
        .get(&external_id)
        .and_then(|value| value.as_str());
    let foreign = present
        .filter(|present| Some(*present) != ours)
        .map(str::to_owned);
    if foreign.is_some() && !take_over {
        wanted.values.remove(&external_id);
    }
    let mut found = values_of_either(listed, &wanted.values, former);
    if foreign.is_some() && !take_over {
        found.remove(&external_id);
    }
    let kind = subject.kind;
    let differences = differences(&found, &wanted);
    let switch_on = kind == Kind::User && !listed.active;
    let mut costs = Vec::new();
    if differences
        .iter()
        .any(|difference| difference.old.is_some())
    {
        costs.push(cost(Limit::Overwrites));
    }
    if differences.iter().any(changes_identifier) {
        costs.push(cost(Limit::Identifiers));
    }
    if differences
        .iter()
        .any(|difference| difference.new.is_none())
    {
        costs.push(cost(Limit::Cleared));
    }
    if switch_on {
        costs.push(cost(Limit::Reactivations));
    }
    let mut requests = Vec::new();
    if switch_on || !differences.is_empty() {
        let phase = match (kind, switch_on) {
            (Kind::Group, _) => Phase::Groups,
            (Kind::User, true) => Phase::Reactivations,
            (Kind::User, false) => Phase::Movers,
        };
        let write = Write::Patch {
            active: switch_on.then_some(true),
            operations: operations(&found, &wanted.values),
            add: Vec::new(),
            remove: Vec::new(),
        };
        let acknowledge = Acknowledge {
            attributes: Some(wanted.values),
            active: switch_on.then_some(true),
            ..Acknowledge::default()
        };
        requests.push(Request {
            manager: wanted.pending,
            ..Request::new(phase, write, acknowledge)
        });
    }
    let kept = foreign.filter(|_| !take_over);
    Action {
        subject,
        change: if switch_on {
            Change::Reactivate
        } else {
            Change::Adopt
        },
        reason,
        adoption: Some(Adoption {
            settled: differences.is_empty(),
            ..adoption(listed, found, kept)
        }),
        differences,
        requests,
        costs,
    }
}

/// The link that an adoption makes.
pub(super) fn adoption(
    listed: &Listed,
    found: AttributeMap,
    foreign_external_id: Option<String>,
) -> Adoption {
    Adoption {
        resource: listed.id.clone(),
        found,
        active: listed.active,
        members: Vec::new(),
        foreign_external_id,
        moved_from: None,
        settled: false,
    }
}

/// What a resource holds of what the mapping (or a lost create) would set for a record. Of one that
/// such a create `made`, also what that has set and the mapping would not any more: it is ours to
/// clear, should they return.
pub(super) fn found(listed: &Listed, candidate: &Candidate, made: bool) -> AttributeMap {
    let nothing = AttributeMap::new();
    let intent = candidate.intent.as_ref().filter(|_| made);
    let sent = intent.map_or(&nothing, |intent| &intent.attributes);
    values_of_either(listed, candidate.sought().unwrap_or(&nothing), sent)
}

/// Old and new values of everything that differs, in the order of the paths. A manager whom
/// the plan creates is shown as pending.
fn differences(old: &AttributeMap, wanted: &Wanted) -> Vec<Difference> {
    let mut new = wanted.values.clone();
    if let Some(record) = &wanted.pending {
        new.insert(AttributePath::manager(), references::pending(record));
    }
    let paths: BTreeSet<&AttributePath> = old.keys().chain(new.keys()).collect();
    paths
        .into_iter()
        .filter(|path| old.get(path) != new.get(path))
        .map(|path| Difference {
            path: path.clone(),
            old: old.get(path).cloned(),
            new: new.get(path).cloned(),
        })
        .collect()
}

/// The values a resource holds at the wanted paths, and at those that were ours before.
fn values_of_either(listed: &Listed, wanted: &AttributeMap, former: &AttributeMap) -> AttributeMap {
    let mut found = values_found(listed, wanted);
    for (path, value) in values_found(listed, former) {
        found.entry(path).or_insert(value);
    }
    found
}

/// The values a resource holds at the wanted paths. A userName or address in another case
/// (RFC 7643 §4.1), or text in another Unicode form, is the same one and no reason to write.
fn values_found(listed: &Listed, wanted: &AttributeMap) -> AttributeMap {
    let mut found = AttributeMap::new();
    for (path, wanted) in wanted {
        if let Some(shown) = shown_at(listed, path) {
            let same = is_same(path, wanted, &shown);
            found.insert(path.clone(), if same { wanted.clone() } else { shown });
        }
    }
    found
}
