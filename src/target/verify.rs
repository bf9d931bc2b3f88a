//! Did it take? What a resource shows after a change, held against what was changed. Pure.
//!
//! A yes of a server is not proof (DESIGN §10): the first time an attribute is changed at a
//! target, and whenever the answer shows who is active, the resource itself is looked at.

use std::collections::BTreeMap;

use serde_json::Value;

use super::dialect::{Change, current_members};
use crate::scim::message::{Op, Operation, read_bool};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, is_same, member, read_path};

/// What a resource shows of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It took: the value, or the target's own form of it.
    Took,
    /// Nothing is shown there.
    Unshown,
    /// Nothing that could be relied on is ever shown there.
    Hidden,
    /// What was there before is still there.
    Not,
}

/// What is known besides the resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The values before the change.
    pub(super) before: &'a AttributeMap,
    /// Whether the members that are shown are all of them.
    pub(super) members_shown: bool,
}

/// The changes that switching on or off, each path and the members are, by name.
pub(super) fn points(change: &Change<'_>) -> Vec<String> {
    let mut points = Vec::new();
    points.extend(change.active.map(active_point));
    points.extend(change.operations.iter().map(point));
    points.extend((!change.add.is_empty()).then(|| ADDED.to_owned()));
    points.extend((!change.remove.is_empty()).then(|| REMOVED.to_owned()));
    points
}

const ADDED: &str = "members";
const REMOVED: &str = "-members";

/// The name of switching on or off.
pub(super) fn active_point(active: bool) -> String {
    format!("active={active}")
}

/// The attribute that a point is about.
pub(super) fn attribute_of(point: &str) -> &str {
    let point = point.strip_prefix('-').unwrap_or(point);
    match point.split_once('=') {
        Some((attribute, _)) if attribute == "active" => attribute,
        _ => point,
    }
}

fn point(operation: &Operation) -> String {
    match operation.op {
        Op::Remove => format!("-{}", operation.path),
        Op::Add | Op::Replace => operation.path.clone(),
    }
}

/// What the resource shows of each change.
pub(super) fn look(
    change: &Change<'_>,
    shown: &Listed,
    known: Known<'_>,
) -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    if let Some(active) = change.active {
        let took = if shown.active == active {
            Seen::Took
        } else {
            Seen::Not
        };
        seen.insert(active_point(active), took);
    }
    for operation in change.operations {
        seen.insert(point(operation), look_at(operation, shown, known.before));
    }
    let members = current_members(shown);
    let told = |took: bool| match (known.members_shown, took) {
        (false, _) => Seen::Hidden,
        (true, true) => Seen::Took,
        (true, false) => Seen::Not,
    };
    if !change.add.is_empty() {
        let is_there = |id: &String| members.contains(&id.to_ascii_lowercase());
        seen.insert(ADDED.to_owned(), told(change.add.iter().all(is_there)));
    }
    if !change.remove.is_empty() {
        let mut removed = change.remove.iter();
        let gone = removed.all(|id| !members.contains(&id.0.to_ascii_lowercase()));
        seen.insert(REMOVED.to_owned(), told(gone));
    }
    seen
}

fn look_at(operation: &Operation, shown: &Listed, before: &AttributeMap) -> Seen {
    let Ok(path) = operation.path.parse::<AttributePath>() else {
        return Seen::Hidden;
    };
    let before = before.get(&path);
    let json = &shown.json;
    match operation.value.as_ref() {
        // Never returned (RFC 7643 §4.1.1); and whether a target keeps our key harms nobody.
        _ if path.attribute == "password" => Seen::Hidden,
        None => match read_path(json, &path) {
            Some(found) if before.is_some_and(|before| says(&path, before, found)) => Seen::Not,
            // What the target puts in its place is its own.
            _ => Seen::Took,
        },
        Some(Value::Array(elements)) => {
            let all = elements
                .iter()
                .all(|element| is_shown(json, &path, element));
            if all { Seen::Took } else { Seen::Unshown }
        }
        Some(Value::Object(fields)) => {
            let each = fields.iter().map(|(name, value)| {
                let sub = path.join(name);
                let before = before.and_then(|before| member(before, name));
                compare(&sub, value, read_path(json, &sub), before)
            });
            each.max_by_key(|seen| match seen {
                Seen::Took => 0,
                Seen::Hidden => 1,
                Seen::Unshown => 2,
                Seen::Not => 3,
            })
            .unwrap_or(Seen::Hidden)
        }
        Some(value) => {
            let seen = compare(&path, value, read_path(json, &path), before);
            let own_key = path == AttributePath::external_id();
            if own_key && seen == Seen::Unshown {
                Seen::Hidden
            } else {
                seen
            }
        }
    }
}

fn compare(
    path: &AttributePath,
    ours: &Value,
    shown: Option<&Value>,
    before: Option<&Value>,
) -> Seen {
    match shown {
        None => Seen::Unshown,
        Some(shown) if says(path, ours, shown) => Seen::Took,
        Some(shown) if before.is_some_and(|before| says(path, before, shown)) => Seen::Not,
        // Neither ours nor what was there: the target's own form of ours.
        Some(_) => Seen::Took,
    }
}

fn says(path: &AttributePath, value: &Value, shown: &Value) -> bool {
    let as_truth = value.is_boolean() && read_bool(shown) == value.as_bool();
    as_truth || is_same(path, value, shown)
}

/// Whether an attribute shows an element with this element's value.
fn is_shown(json: &Value, path: &AttributePath, element: &Value) -> bool {
    let Some(shown) = read_path(json, path) else {
        return false;
    };
    let wanted = member(element, "value").unwrap_or(element);
    let says = |found: &Value| says(path, wanted, member(found, "value").unwrap_or(found));
    match shown {
        Value::Array(elements) => elements.iter().any(says),
        single => says(single),
    }
}
