//! From what Graph shows of a user to a record. Pure.
//!
//! A property that is not shown was never set or has not changed, one that is `null` was cleared
//! (Graph, `user: delta`); a user without a name is one that may not be seen, and no news of
//! anybody. Must not ask anything.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use uuid::Uuid;

use super::answer::{Item, Related, Removed, removed};
use super::properties::{ENABLED, ID, MANAGER, UPN, WITHIN, Wanted};
use crate::source::{Attributes, Kind, Lifecycle, Members, Record, SourceId, Value};

/// What it means that a property is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// It has no value: the object was read as a whole.
    Cleared,
    /// It is as it was.
    Unchanged,
}

/// What was said of a user in one round of changes; the last word counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    pub(super) item: Item,
    manager: Option<Option<Uuid>>,
    pub(super) removed: Option<Removed>,
}

impl Heard {
    /// Takes one more word. `manager` is what `manager@delta` lists.
    pub(super) fn take(&mut self, item: Item, manager: Option<&[Related]>) {
        self.removed = removed(&item);
        if self.removed.is_some() {
            // Nothing but the id stands there, which clears nothing.
            return;
        }
        for related in manager.into_iter().flatten().filter(|it| it.is_removed) {
            if self.manager.is_none() || self.manager == Some(Some(related.id)) {
                self.manager = Some(None);
            }
        }
        for related in manager.into_iter().flatten().filter(|it| !it.is_removed) {
            self.manager = Some(Some(related.id));
        }
        self.item.extend(item);
    }

    /// The manager, where something was said of one.
    pub(super) fn manager(&self) -> Option<Option<Uuid>> {
        self.manager
    }
}

/// Whether this shows a user. Without the permission to see one, Graph shows the id and nothing
/// else ("limited information"); everybody has a user principal name.
pub(super) fn is_shown(item: &Item) -> bool {
    let name = item.get(UPN).and_then(Json::as_str);
    name.is_some_and(|name| !name.is_empty())
}

/// What is said of a user's life; `None`: nothing.
pub(super) fn lifecycle(item: &Item) -> Option<Lifecycle> {
    match item.get(ENABLED)? {
        Json::Bool(true) => Some(Lifecycle::Active),
        Json::Bool(false) => Some(Lifecycle::Disabled),
        _ => Some(Lifecycle::Unknown),
    }
}

/// The attributes in use, without the manager. `before` is what was known.
pub(super) fn attributes(
    wanted: &BTreeSet<String>,
    id: Uuid,
    item: &Item,
    before: &Attributes,
    absent: Absent,
) -> Attributes {
    let mut attributes = Attributes::default();
    for name in wanted.iter().filter(|name| *name != MANAGER) {
        let said = if name == ID {
            Some(vec![Value::Text(id.to_string())])
        } else {
            match WITHIN.iter().find(|(inner, _)| inner == name) {
                None => item.get(name).map(values),
                // The outer one is shown as a whole.
                Some((inner, outer)) => item
                    .get(*outer)
                    .map(|outer| outer.get(*inner).map(values).unwrap_or_default()),
            }
        };
        let values = match (said, absent) {
            (Some(values), _) => values,
            (None, Absent::Cleared) => Vec::new(),
            (None, Absent::Unchanged) => before.values(name).to_vec(),
        };
        put(&mut attributes, name, values);
    }
    attributes
}

/// Sets who somebody's manager is, if that is in use.
pub(super) fn set_manager(attributes: &mut Attributes, wanted: &Wanted, manager: Option<Uuid>) {
    if wanted.wants_manager() {
        let values = manager.map(|id| Value::Text(id.to_string()));
        put(attributes, MANAGER, values.into_iter().collect());
    }
}

/// The manager that is known.
pub(super) fn known_manager(attributes: &Attributes) -> Option<Uuid> {
    match attributes.values(MANAGER) {
        [Value::Text(id)] => Uuid::try_parse(id).ok(),
        _ => None,
    }
}

pub(super) fn put(attributes: &mut Attributes, name: &str, values: Vec<Value>) {
    match values.is_empty() {
        true => attributes.0.remove(name),
        false => attributes.0.insert(name.to_owned(), values),
    };
}

/// The values of a property, trimmed; none of `null`, of empty text, and of what has no value
/// that a record could hold.
fn values(json: &Json) -> Vec<Value> {
    match json {
        Json::Array(list) => list.iter().filter_map(value).collect(),
        one => value(one).into_iter().collect(),
    }
}

fn value(json: &Json) -> Option<Value> {
    match json {
        Json::Bool(value) => Some(Value::Boolean(*value)),
        Json::Number(number) => Some(match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Text(number.to_string()),
        }),
        Json::String(text) => {
            let text = text.trim();
            (!text.is_empty()).then(|| Value::Text(text.to_owned()))
        }
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

pub(super) fn source_id(id: Uuid) -> SourceId {
    SourceId::new(id.to_string())
}

pub(super) fn record(id: Uuid, lifecycle: Lifecycle, attributes: Attributes) -> Record {
    Record {
        kind: Kind::User,
        id: source_id(id),
        lifecycle,
        attributes,
        members: Members::Complete(BTreeSet::new()),
    }
}

#[cfg(test)]
mod tests;
