//! From a planned write to the body that this target understands. Pure.
//!
//! A whole attribute or resource is made from what the target shows now: what nobody meant to
//! change stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::Kind;
use serde_json::{Map, Value, json};

use super::{Manner, Removal};
use crate::scim::message::{Op, Operation};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId, member, to_json};
use crate::scim::{GROUP_SCHEMA, PATCH_SCHEMA, USER_SCHEMA, change, filter};

/// A change of one resource.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Switched on or off.
    pub active: Option<bool>,
    /// Attributes, in the default dialect.
    pub operations: &'a [Operation],
    /// Members to add.
    pub add: &'a [String],
    /// Members to remove.
    pub remove: &'a [ResourceId],
}

impl Change<'_> {
    /// Whether a boolean is sent.
    pub(super) fn has_booleans(&self) -> bool {
        let values = self.operations.iter().filter_map(|it| it.value.as_ref());
        self.active.is_some() || values.into_iter().any(has_boolean)
    }
}

fn has_boolean(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::Array(elements) => elements.iter().any(has_boolean),
        Value::Object(fields) => fields.values().any(has_boolean),
        _ => false,
    }
}

/// The body of a POST. `members` are ids (or, in a preview, `pending:SOURCE_ID`).
///
/// A user is created active: only the entitled are created. A group without members has no
/// `members`, because an empty list means the same (RFC 7643 §2.5) and is refused by some.
pub fn create_body(kind: Kind, attributes: &AttributeMap, members: &[String]) -> Value {
    let schema = match kind {
        Kind::User => USER_SCHEMA,
        Kind::Group => GROUP_SCHEMA,
    };
    let mut body = to_json(schema, attributes);
    if kind == Kind::User {
        body["active"] = Value::Bool(true);
    }
    if !members.is_empty() {
        body["members"] = member_values(members);
    }
    body
}

/// The body of a PATCH with paths: `active` first, then attributes, member removals, member
/// additions.
///
/// Each removal is an operation of its own with a filter. A `remove` with a value list, for
/// which RFC-strict servers empty the whole group, is made for [`Removal::ValueList`] only.
pub fn patch_body(change: &Change<'_>, removal: Removal) -> Value {
    let removals: Vec<Operation> = match removal {
        Removal::Filter | Removal::List => change
            .remove
            .iter()
            .map(|id| {
                let path = format!("members[{}]", filter::equals("value", &id.0));
                operation(Op::Remove, &path, None)
            })
            .collect(),
        Removal::ValueList if change.remove.is_empty() => Vec::new(),
        Removal::ValueList => {
            let ids: Vec<String> = change.remove.iter().map(|id| id.0.clone()).collect();
            let values = Some(member_values(&ids));
            vec![operation(Op::Remove, "members", values)]
        }
    };
    let additions = (!change.add.is_empty())
        .then(|| operation(Op::Add, "members", Some(member_values(change.add))));
    patch_of(
        attribute_operations(change)
            .chain(removals)
            .chain(additions),
    )
}

/// The body of a PATCH that replaces `members` by who stays, for who cannot be taken out
/// singly.
pub(in crate::target) fn patch_with_list(change: &Change<'_>, shown: &Listed) -> Value {
    let members = new_members(change, shown);
    let list = operation(Op::Replace, "members", Some(Value::Array(members)));
    patch_of(attribute_operations(change).chain([list]))
}

/// Whether a PATCH without paths can only be made from what is there now: a part of an
/// attribute is replaced by the whole of it.
pub(in crate::target) fn pathless_needs_current(change: &Change<'_>) -> bool {
    let is_plain = |operation: &Operation| {
        let path: Result<AttributePath, _> = operation.path.parse();
        let plain = path.is_ok_and(|path| {
            path.schema.is_none() && path.selector.is_none() && path.sub.is_none()
        });
        let value = operation.value.as_ref();
        plain && value.is_some_and(|it| !it.is_array() && !it.is_object())
    };
    !change.remove.is_empty() || !change.operations.iter().all(is_plain)
}

/// The body of a PATCH without paths: whole attributes, made from what is there now where
/// only a part of one changes.
pub(in crate::target) fn pathless_body(change: &Change<'_>, shown: Option<&Listed>) -> Value {
    let nothing = json!({});
    let before = shown.map_or(&nothing, |shown| &shown.json);
    let mut after = before.clone();
    let mut values = Map::new();
    if let Some(active) = change.active {
        values.insert("active".to_owned(), json!(active));
    }
    let mut touched = BTreeMap::new();
    for operation in change.operations {
        if let Ok(path) = operation.path.parse::<AttributePath>() {
            change::apply(&mut after, operation);
            touched.insert(change::touched(before, &path), path);
        }
    }
    for (name, path) in touched {
        let several = path.selector.is_some() || member(before, &name).is_some_and(Value::is_array);
        // Unassigned: there is no `remove` without a path (RFC 7643 §2.5).
        let none = if several { json!([]) } else { Value::Null };
        let value = member(&after, &name).cloned().unwrap_or(none);
        values.insert(name, value);
    }
    let mut operations = Vec::new();
    let mut added = Map::new();
    match shown {
        Some(shown) if !change.remove.is_empty() => {
            let members = Value::Array(new_members(change, shown));
            values.insert("members".to_owned(), members);
        }
        _ if !change.add.is_empty() => {
            added.insert("members".to_owned(), member_values(change.add));
        }
        _ => {}
    }
    for (op, values) in [("replace", values), ("add", added)] {
        if !values.is_empty() {
            operations.push(json!({ "op": op, "value": values }));
        }
    }
    json!({ "schemas": [PATCH_SCHEMA], "Operations": operations })
}

/// The body of a PUT: the resource as the target shows it, with the change in it. What only
/// the target may write is left out.
pub(in crate::target) fn whole_body(kind: Kind, change: &Change<'_>, shown: &Listed) -> Value {
    let mut body = shown.json.clone();
    for operation in change.operations {
        change::apply(&mut body, operation);
    }
    let Value::Object(fields) = &mut body else {
        return body;
    };
    let read_only: &[&str] = match kind {
        Kind::User => &["meta", "groups"],
        Kind::Group => &["meta"],
    };
    fields.retain(|name, _| !read_only.iter().any(|it| name.eq_ignore_ascii_case(it)));
    if let Some(active) = change.active {
        fields.retain(|name, _| !name.eq_ignore_ascii_case("active"));
        fields.insert("active".to_owned(), json!(active));
    }
    if !change.add.is_empty() || !change.remove.is_empty() {
        fields.retain(|name, _| !name.eq_ignore_ascii_case("members"));
        let members = Value::Array(new_members(change, shown));
        fields.insert("members".to_owned(), members);
    }
    body
}

/// Writes booleans as text and gives members their `$ref`, where the target wants that.
/// `location` tells where a member is; what it does not know is left as it is.
pub(in crate::target) fn finish(
    body: &mut Value,
    manner: Manner,
    location: impl Fn(&str) -> Option<String>,
) {
    if manner.text_booleans {
        write_booleans(body);
    }
    if manner.member_refs {
        name_members(body, &location);
    }
}

fn write_booleans(value: &mut Value) {
    match value {
        Value::Bool(true) => *value = json!("True"),
        Value::Bool(false) => *value = json!("False"),
        Value::Array(elements) => elements.iter_mut().for_each(write_booleans),
        Value::Object(fields) => fields.values_mut().for_each(write_booleans),
        _ => {}
    }
}

fn name_members(body: &mut Value, location: &impl Fn(&str) -> Option<String>) {
    let name = |members: &mut Value| {
        for element in members.as_array_mut().into_iter().flatten() {
            let Some(fields) = element.as_object_mut() else {
                continue;
            };
            let id = fields.get("value").and_then(Value::as_str);
            if let Some(place) = id.and_then(location) {
                fields.entry("$ref").or_insert(json!(place));
            }
        }
    };
    if let Some(members) = body.get_mut("members") {
        name(members);
    }
    let operations = body.get_mut("Operations").and_then(Value::as_array_mut);
    for operation in operations.into_iter().flatten() {
        let whole = operation.get("path").and_then(Value::as_str) == Some("members");
        let removes = operation.get("op").and_then(Value::as_str) == Some("remove");
        let Some(value) = operation.get_mut("value").filter(|_| !removes) else {
            continue;
        };
        if whole {
            name(value);
        } else if let Some(members) = value.get_mut("members") {
            name(members);
        }
    }
}

/// The ids of the members that a resource shows; lower case, because some servers spell one
/// id in two ways.
pub(in crate::target) fn current_members(shown: &Listed) -> BTreeSet<String> {
    let members = shown.members.iter().flatten();
    members.map(|id| id.0.to_ascii_lowercase()).collect()
}

/// The members after a change: who is shown and stays, and who comes. Of what is shown of a
/// member, only its id and place are sent back; the rest follows from them.
fn new_members(change: &Change<'_>, shown: &Listed) -> Vec<Value> {
    let leaving: BTreeSet<String> = change
        .remove
        .iter()
        .map(|id| id.0.to_ascii_lowercase())
        .collect();
    let mut there = BTreeSet::new();
    let mut members = Vec::new();
    let shown = member(&shown.json, "members").and_then(Value::as_array);
    let added = change.add.iter().map(|id| json!({ "value": id }));
    for element in shown.into_iter().flatten().cloned().chain(added) {
        let id = member(&element, "value").unwrap_or(&element);
        let id = match id {
            Value::String(id) => id.to_ascii_lowercase(),
            other => other.to_string(),
        };
        if !leaving.contains(&id) && there.insert(id) {
            members.push(match element {
                Value::Object(mut fields) => {
                    fields.retain(|name, _| matches!(name.as_str(), "value" | "$ref"));
                    Value::Object(fields)
                }
                bare => json!({ "value": bare }),
            });
        }
    }
    members
}

fn attribute_operations(change: &Change<'_>) -> impl Iterator<Item = Operation> {
    let active = change.active;
    let active = active.map(|value| operation(Op::Replace, "active", Some(Value::Bool(value))));
    active.into_iter().chain(change.operations.iter().cloned())
}

fn patch_of(operations: impl Iterator<Item = Operation>) -> Value {
    let operations: Vec<Operation> = operations.collect();
    json!({ "schemas": [PATCH_SCHEMA], "Operations": operations })
}

fn operation(op: Op, path: &str, value: Option<Value>) -> Operation {
    Operation {
        op,
        path: path.to_owned(),
        value,
    }
}

fn member_values(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}
