//! Resources as flat maps of path to value, and their JSON form.
//!
//! The flat form is what is mapped, compared, acknowledged and stored: one entry a value,
//! so that the difference of two resources is the smallest patch. `active`, `members` and
//! `id` are never in it; they have their own life.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::message::read_bool;
use super::path::{AttributePath, Parts, Selector};
use crate::text;

/// The values of a resource, by path. Empty values are not in the map: `null`, `""` and `[]`
/// all mean "unassigned" (RFC 7643 §2.5).
///
/// Clones share what is in them until one is changed: what was mapped for somebody is in the plan,
/// in the request, in the intent and in the link.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttributeMap(Arc<BTreeMap<AttributePath, Value>>);

impl AttributeMap {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Deref for AttributeMap {
    type Target = BTreeMap<AttributePath, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for AttributeMap {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl FromIterator<(AttributePath, Value)> for AttributeMap {
    fn from_iter<I: IntoIterator<Item = (AttributePath, Value)>>(values: I) -> Self {
        Self(Arc::new(values.into_iter().collect()))
    }
}

impl<const N: usize> From<[(AttributePath, Value); N]> for AttributeMap {
    fn from(values: [(AttributePath, Value); N]) -> Self {
        values.into_iter().collect()
    }
}

impl IntoIterator for AttributeMap {
    type Item = (AttributePath, Value);
    type IntoIter = btree_map::IntoIter<AttributePath, Value>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<'a> IntoIterator for &'a AttributeMap {
    type Item = (&'a AttributePath, &'a Value);
    type IntoIter = btree_map::Iter<'a, AttributePath, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// The service provider's key of a resource: opaque, case-exact (RFC 7643 §3.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceId(pub String);

impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A resource as a target gave it, read once and leniently.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its `id`.
    pub id: ResourceId,
    /// `active`; absent reads as true, strings "true"/"False" are understood.
    pub active: bool,
    /// Ids in `members` (groups); `None` when the attribute was absent from the answer.
    pub members: Option<Vec<ResourceId>>,
    /// The whole JSON object, to be read with [`read_path`].
    pub json: Value,
}

/// Reads a resource's JSON object. `None` when it has no usable `id`.
pub fn read_listed(json: Value) -> Option<Listed> {
    let id = read_id(member(&json, "id")?)?;
    let active = member(&json, "active").and_then(read_bool).unwrap_or(true);
    let members = member(&json, "members").map(|members| match members {
        Value::Array(members) => members.iter().filter_map(read_member).collect(),
        single => read_member(single).into_iter().collect(),
    });
    Some(Listed {
        id,
        active,
        members,
        json,
    })
}

/// An id as text, or as the integer that some servers write.
fn read_id(value: &Value) -> Option<ResourceId> {
    match value {
        Value::String(id) if !id.is_empty() => Some(ResourceId(id.clone())),
        Value::Number(id) => Some(ResourceId(id.to_string())),
        _ => None,
    }
}

/// `{"value": id}`, or the bare id.
fn read_member(value: &Value) -> Option<ResourceId> {
    read_id(member(value, "value").unwrap_or(value))
}

/// Finds the value at a path, names compared without regard to case. `None` when it is
/// absent or empty. `emails[type eq "work"].value` finds the element's value; `emails.value`
/// that of the primary element, else of the first that has one.
pub fn read_path<'a>(json: &'a Value, path: &AttributePath) -> Option<&'a Value> {
    let Parts {
        schema,
        attribute,
        selector,
        sub,
    } = &**path;
    let container = match schema {
        Some(schema) => member(json, schema)?,
        None => json,
    };
    let Some(value) = member(container, attribute) else {
        // Some servers write `"name.givenName": …` flat.
        let flat = format!("{attribute}.{}", sub.as_deref()?);
        return member(container, &flat).filter(|value| !is_unassigned(value));
    };
    let read_sub = |element: &'a Value| match sub {
        Some(sub) => member(element, sub)
            // A plain `"manager": "id"` or `"emails": ["…"]` stands for its value.
            .or_else(|| (sub == "value" && !element.is_object()).then_some(element)),
        None => Some(element),
    };
    let found = |element: &'a Value| read_sub(element).filter(|value| !is_unassigned(value));
    match (selector, value) {
        (Some(selector), Value::Array(elements)) => elements
            .iter()
            .filter(|element| selects(selector, element))
            .find_map(found),
        (Some(selector), single) if selects(selector, single) => found(single),
        (Some(_), _) => None,
        (None, Value::Array(elements)) if sub.is_some() => elements
            .iter()
            .filter(|element| member(element, "primary").and_then(read_bool) == Some(true))
            .chain(elements)
            .find_map(found),
        (None, value) => found(value),
    }
}

/// Whether a selector picks this element. `type` holds keywords (`work`), which RFC 7643 §8.7
/// declares not case-exact; anything else is compared as it is.
pub(super) fn selects(selector: &Selector, element: &Value) -> bool {
    let Some(value) = member(element, &selector.attribute).and_then(Value::as_str) else {
        return false;
    };
    match selector.attribute.as_str() {
        "type" => value.to_lowercase() == selector.value.to_lowercase(),
        _ => value == selector.value,
    }
}

/// Finds a member of an object, its name compared without regard to case; the exact spelling
/// wins where both are there (RFC 7643 §2.1).
pub(crate) fn member<'a>(json: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = json.as_object()?;
    fields.get(name).or_else(|| {
        fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// Whether a value means "unassigned": `null`, `""`, `[]` (RFC 7643 §2.5), and `{}`, which
/// holds nothing either.
pub fn is_unassigned(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// All e-mail addresses of a resource, in order.
pub fn read_emails(json: &Value) -> Vec<&str> {
    let elements = match member(json, "emails") {
        Some(Value::Array(elements)) => elements.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    elements
        .iter()
        .filter_map(|element| member(element, "value").unwrap_or(element).as_str())
        .filter(|address| !address.is_empty())
        .collect()
}

/// Writes a flat map as a JSON object: nested names, `{"type":…,"value":…}` elements of which
/// the first of an attribute (in the order of the paths) is `primary`, extensions under their
/// URN, and `schemas` listing `core_schema` and exactly the extensions that hold data.
pub fn to_json(core_schema: &str, attributes: &AttributeMap) -> Value {
    let mut resource = Map::new();
    let mut schemas = vec![core_schema];
    for (path, value) in attributes {
        let container = match path.schema.as_deref() {
            Some(schema) => {
                if !schemas.contains(&schema) {
                    schemas.push(schema);
                }
                object_at(&mut resource, schema)
            }
            None => &mut resource,
        };
        write_path(container, path, value);
    }
    resource.insert("schemas".to_owned(), json!(schemas));
    Value::Object(resource)
}

fn write_path(container: &mut Map<String, Value>, path: &AttributePath, value: &Value) {
    let Parts {
        schema: _,
        attribute,
        selector,
        sub,
    } = &**path;
    match (selector, sub) {
        (None, None) => {
            container.insert(attribute.clone(), value.clone());
        }
        (None, Some(sub)) => {
            object_at(container, attribute).insert(sub.clone(), value.clone());
        }
        (Some(selector), sub) => {
            let elements = array_at(container, attribute);
            let element = element_at(elements, selector);
            for (name, value) in sub_values(sub.as_deref(), value) {
                element.insert(name.to_owned(), value.clone());
            }
        }
    }
}

/// What a path under a selector sets in its element. A whole element given as an object sets
/// its members; one given as a plain value sets `value`.
pub(super) fn sub_values<'a>(sub: Option<&'a str>, value: &'a Value) -> Vec<(&'a str, &'a Value)> {
    match (sub, value) {
        (None, Value::Object(fields)) => fields
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect(),
        (sub, value) => vec![(sub.unwrap_or("value"), value)],
    }
}

fn object_at<'a>(container: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let slot = container.entry(name).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("it was just made an object")
}

fn array_at<'a>(container: &'a mut Map<String, Value>, name: &str) -> &'a mut Vec<Value> {
    let slot = container.entry(name).or_insert(Value::Null);
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut().expect("it was just made an array")
}

/// The selected element, made where it is missing; the first one made is `primary`.
fn element_at<'a>(elements: &'a mut Vec<Value>, selector: &Selector) -> &'a mut Map<String, Value> {
    let found = elements
        .iter()
        .position(|element| selects(selector, element) && element.is_object());
    let at = found.unwrap_or_else(|| {
        let mut element = Map::new();
        element.insert(selector.attribute.clone(), json!(selector.value));
        if elements.is_empty() {
            element.insert("primary".to_owned(), json!(true));
        }
        elements.push(Value::Object(element));
        elements.len() - 1
    });
    elements[at]
        .as_object_mut()
        .expect("selected elements are objects")
}

/// Folds a value for comparison: text that is not case-exact (RFC 7643 §2.2 makes that the
/// default; §4.1 says so of `userName` and e-mails) in lower case and Normalization Form C,
/// everything else as it is. Keys and references are case-exact: `externalId`, `id`, `meta`,
/// `manager`, `members`, URLs, certificates and passwords.
pub fn fold(path: &AttributePath, value: &Value) -> String {
    match value {
        Value::String(text) if is_case_exact(path) => text.clone(),
        Value::String(text) => text::fold(text),
        other => other.to_string(),
    }
}

/// The value as it is sent: text in Normalization Form C, unless the path holds ids or other
/// things that compare byte by byte.
pub fn normalized(path: &AttributePath, value: Value) -> Value {
    match value {
        Value::String(text) if !is_case_exact(path) => match text::nfc(&text) {
            Cow::Borrowed(_) => Value::String(text),
            Cow::Owned(composed) => Value::String(composed),
        },
        other => other,
    }
}

/// Whether two values at a path are the same, so that nobody needs to write one over the
/// other: text in another form, and userNames and addresses in another case as well.
pub fn is_same(path: &AttributePath, left: &Value, right: &Value) -> bool {
    let key = path.attribute == "userName" || path.attribute == "emails";
    match (left, right) {
        (Value::String(left), Value::String(right)) if !is_case_exact(path) => match key {
            true => text::is_same(left, right),
            false => text::nfc(left) == text::nfc(right),
        },
        (left, right) => left == right,
    }
}

fn is_case_exact(path: &AttributePath) -> bool {
    path.sub.as_deref() == Some("$ref")
        || matches!(
            path.attribute.as_str(),
            "id" | "externalId"
                | "meta"
                | "manager"
                | "members"
                | "groups"
                | "profileUrl"
                | "photos"
                | "x509Certificates"
                | "password"
        )
}
