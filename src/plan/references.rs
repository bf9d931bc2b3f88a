//! References between people: who is somebody's manager at the target.
//!
//! A manager who is at the target is a plain value, `{"value": id}`. One whom the same plan
//! creates is pending: the request names the record, and gets the id when it is applied.
//! Nothing here looks anybody up.

mod waves;

use std::collections::BTreeSet;

use provisor_connectors::RecordKey;
use serde_json::{Value, json};

use super::action::{Action, Change, Reference, Request, Write};
use super::input::{Candidate, Input, Referenced};
use super::people::People;
use crate::scim::message::{Op, Operation};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId, read_path};

pub(super) use waves::settle;

/// What somebody should be at the target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// Everything whose value is known. While a manager is pending, the one they have now.
    pub(super) values: AttributeMap,
    /// The manager, where the plan creates them.
    pub(super) pending: Option<RecordKey>,
}

impl From<AttributeMap> for Wanted {
    fn from(values: AttributeMap) -> Self {
        Self {
            values,
            pending: None,
        }
    }
}

/// Adds the manager to somebody's plain values. `people` tells whom this plan links, and
/// whose link it moves; `before` is the reference that the target has now.
pub(super) fn with_manager(
    mut values: AttributeMap,
    candidate: &Candidate,
    people: &People,
    input: &Input<'_>,
    before: Option<Value>,
) -> Wanted {
    let Some(manager) = &candidate.manager else {
        return values.into();
    };
    // Whose link this plan drops, the next would not know any more as anybody's manager.
    let is_forgotten = people.forgotten.contains(&manager.record);
    let seen_missing = is_missing(manager, input) && !is_forgotten;
    let mut pending = None;
    let resource = resource_of(manager, people, input);
    // Whom this plan deletes nobody is given as a manager; whoever has them loses them with that.
    let is_given = |id: &&ResourceId| before == Some(to(&id.0));
    let goes = people.deleted.contains(&manager.record);
    let resource = resource.filter(|id| !goes || is_given(id));
    let value = match (people.coming.get(&manager.record), resource) {
        (Some(Reference::Pending(record)), _) => {
            pending = Some(record.clone());
            before
        }
        (Some(Reference::Linked(id)), _) | (None, Some(id)) => Some(to(&id.0)),
        (None, None) if manager.awaited || seen_missing => before,
        (None, None) => None,
    };
    values.extend(value.map(|value| (AttributePath::manager(), value)));
    Wanted { values, pending }
}

/// Whether somebody's manager is known and at the target, or known to be none: then what
/// [`with_manager`] wants is not just what was there before.
pub(super) fn is_settled(candidate: &Candidate, people: &People, input: &Input<'_>) -> bool {
    let Some(manager) = &candidate.manager else {
        return true;
    };
    match people.coming.get(&manager.record) {
        Some(Reference::Pending(_)) => false,
        Some(Reference::Linked(_)) => true,
        None => {
            let is_forgotten = people.forgotten.contains(&manager.record);
            is_forgotten || resource_of(manager, people, input).is_some()
        }
    }
}

/// A manager's resource, unless it is gone, or this plan gives it to another record or drops the
/// link to it.
fn resource_of<'a>(
    manager: &'a Referenced,
    people: &People,
    input: &Input<'_>,
) -> Option<&'a ResourceId> {
    let moved = people.moved.contains(&manager.record);
    let forgotten = people.forgotten.contains(&manager.record);
    let resource = manager.resource.as_ref();
    resource.filter(|_| !moved && !forgotten && !is_missing(manager, input))
}

/// Whether a manager's resource is confirmed to be gone from the target.
fn is_missing(manager: &Referenced, input: &Input<'_>) -> bool {
    let person = input.people.get(&manager.record);
    person.is_some_and(|person| person.missing)
}

/// A reference to a resource (RFC 7643 §4.3).
pub fn to(id: &str) -> Value {
    json!({ "value": id })
}

/// How a reference to what the plan creates is shown.
pub fn pending(record: &RecordKey) -> Value {
    to(&format!("pending:{}", record.id))
}

/// The manager that a resource has at the target, without what servers add to it.
pub(super) fn found(listed: &Listed) -> Option<Value> {
    let path = AttributePath::manager().join("value");
    match read_path(&listed.json, &path)? {
        Value::String(id) => Some(to(id)),
        Value::Number(id) => Some(to(&id.to_string())),
        _ => None,
    }
}

/// The request with its pending manager filled in, as `manager_of` knows them; without, where
/// it does not.
pub fn fill_in(request: &Request, manager_of: impl FnOnce(&RecordKey) -> Option<Value>) -> Request {
    let mut request = request.clone();
    let Some(manager) = request.manager.take().as_ref().and_then(manager_of) else {
        return request;
    };
    let path = AttributePath::manager();
    let attributes = request.acknowledge.attributes.get_or_insert_default();
    let before = attributes.insert(path.clone(), manager.clone());
    match &mut request.write {
        Write::Create { attributes, .. } => {
            attributes.insert(path, manager);
        }
        Write::Patch { operations, .. } => operations.push(Operation {
            op: if before.is_some() {
                Op::Replace
            } else {
                Op::Add
            },
            path: path.to_string(),
            value: Some(manager),
        }),
        Write::Delete => {}
    }
    request
}

/// Takes out references to people whom the plan does not create after all, and what is then
/// empty.
pub(super) fn drop_absent(actions: &mut Vec<Action>) {
    let created: BTreeSet<RecordKey> = actions
        .iter()
        .filter(|action| action.change == Change::Create)
        .filter_map(|action| action.subject.record.clone())
        .collect();
    let absent = |record: &RecordKey| !created.contains(record);
    let path = AttributePath::manager();
    actions.retain_mut(|action| {
        let mut dropped = false;
        for request in &mut action.requests {
            dropped |= request.manager.take_if(|record| absent(record)).is_some();
        }
        if dropped {
            action.differences.retain(|each| each.path != path);
            action.requests.retain(|request| !is_empty(request));
        }
        !dropped || !action.requests.is_empty() || action.adoption.is_some()
    });
}

/// Whether a request refers to anybody whom the same plan creates.
pub fn are_pending(request: &Request) -> bool {
    let members = match &request.write {
        Write::Create { members, .. } => members.as_slice(),
        Write::Patch { add, .. } => add,
        Write::Delete => &[],
    };
    let added = &request.acknowledge.members_added;
    let pending = |reference: &Reference| matches!(reference, Reference::Pending(_));
    request.manager.is_some() || members.iter().chain(added).any(pending)
}

/// Whether nothing would be sent.
pub fn is_empty(request: &Request) -> bool {
    let nothing = match &request.write {
        Write::Patch {
            active,
            operations,
            add,
            remove,
        } => active.is_none() && operations.is_empty() && add.is_empty() && remove.is_empty(),
        Write::Create { .. } | Write::Delete => false,
    };
    nothing && request.manager.is_none()
}
