//! Listing: filter, order, page, and which attributes are returned (RFC 7644 §3.4.2, §3.9).

use std::cmp::Ordering;

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::refusal::Refusal;
use super::schema::Kind;
use super::state::{Resource, State};
use crate::scim::LIST_SCHEMA;
use crate::scim::filter::{self, Attribute, Filter, Operator, compare, is_core};
use crate::scim::resource::member;

/// Resources on a page when the client does not say.
const DEFAULT_COUNT: usize = 100;
/// The most resources on a page, whatever the client says.
pub(super) const MAX_COUNT: usize = 1000;

/// What a client asks of a listing or of a single resource.
#[derive(Debug, Default)]
pub(super) struct Query {
    filter: Option<Filter>,
    sort_by: Option<Attribute>,
    descending: bool,
    start_index: Option<i64>,
    count: Option<i64>,
    attributes: Vec<String>,
    excluded: Vec<String>,
}

impl Query {
    /// Reads a URL's query. Unknown parameters are ignored.
    pub(super) fn from_url(query: &str) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = match name.as_ref() {
                "attributes" | "excludedAttributes" => json!(value.split(',').collect::<Vec<_>>()),
                _ => json!(value),
            };
            asked.set(&name, &value)?;
        }
        Ok(asked)
    }

    /// Reads the body of a `.search` (RFC 7644 §3.4.3).
    pub(super) fn from_body(body: &Value) -> Result<Self, Refusal> {
        let Value::Object(fields) = body else {
            return Err(Refusal::bad(
                "invalidSyntax",
                "the body is not a JSON object",
            ));
        };
        let mut asked = Self::default();
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            asked.set(name, value)?;
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), Refusal> {
        let wrong = || Refusal::bad("invalidValue", format!("`{name}` has no usable value"));
        let text = || value.as_str().ok_or_else(wrong);
        let number = || match value {
            Value::Number(number) => number.as_i64().ok_or_else(wrong),
            Value::String(text) => text.trim().parse().map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        let list = || -> Result<Vec<String>, Refusal> {
            let names = value.as_array().ok_or_else(wrong)?.iter();
            names
                .map(|name| name.as_str().map(str::trim).ok_or_else(wrong))
                .filter(|name| *name != Ok(""))
                .map(|name| name.map(str::to_owned))
                .collect()
        };
        match name {
            "filter" => {
                let filter = filter::parse(text()?)
                    .map_err(|error| Refusal::bad("invalidFilter", error.to_string()))?;
                self.filter = Some(filter);
            }
            "sortBy" => {
                let attribute = filter::parse_attribute(text()?)
                    .map_err(|error| Refusal::bad("invalidPath", error.to_string()))?;
                self.sort_by = Some(attribute);
            }
            "sortOrder" => self.descending = text()?.eq_ignore_ascii_case("descending"),
            "startIndex" => self.start_index = Some(number()?),
            "count" => self.count = Some(number()?),
            "attributes" => self.attributes = list()?,
            "excludedAttributes" => self.excluded = list()?,
            _ => {}
        }
        Ok(())
    }

    /// One page of the resources of these kinds.
    pub(super) fn list(&self, state: &State, kinds: &[Kind], base: &str) -> Value {
        let of_kind = state
            .all()
            .filter(|resource| kinds.contains(&resource.kind));
        let mut found: Vec<&Resource> = match &self.filter {
            None => of_kind.collect(),
            Some(filter) => of_kind
                .filter(|resource| self.matches(filter, state, resource, base))
                .collect(),
        };
        if let Some(sort_by) = &self.sort_by {
            sort(&mut found, sort_by, self.descending);
        }
        // Below 1 counts as 1, a negative count as 0 (RFC 7644 §3.4.2.4).
        let start = usize::try_from(self.start_index.unwrap_or(1))
            .unwrap_or(1)
            .max(1);
        let count = match self.count {
            Some(count) => usize::try_from(count).unwrap_or(0).min(MAX_COUNT),
            None => DEFAULT_COUNT,
        };
        let page = found.iter().skip(start - 1).take(count);
        let page: Vec<Value> = page
            .map(|resource| self.project(state.render(resource, base)))
            .collect();
        json!({
            "schemas": [LIST_SCHEMA],
            "totalResults": found.len(),
            "startIndex": start,
            "itemsPerPage": page.len(),
            "Resources": page,
        })
    }

    fn matches(&self, filter: &Filter, state: &State, resource: &Resource, base: &str) -> bool {
        // Rendering is most of the work, and looking for one key in many is what clients do.
        match matches_plain(filter, resource) {
            Some(answer) => answer,
            None => filter::matches(filter, &state.render(resource, base)),
        }
    }

    /// Leaves out of a rendered resource what was not asked for. `id` and `schemas` always
    /// stay (RFC 7643 §7, `returned`).
    pub(super) fn project(&self, json: Value) -> Value {
        if self.attributes.is_empty() && self.excluded.is_empty() {
            return json;
        }
        let Value::Object(fields) = json else {
            return json;
        };
        if self.attributes.is_empty() {
            return Value::Object(exclude(fields, &self.excluded));
        }
        let mut kept = Map::new();
        for always in ["schemas", "id"] {
            if let Some(value) = fields.get(always) {
                kept.insert(always.to_owned(), value.clone());
            }
        }
        let fields = Value::Object(fields);
        for path in &self.attributes {
            include(&mut kept, &fields, path);
        }
        Value::Object(kept)
    }
}

/// Answers `userName eq "…"` and its like without rendering; `None` for any other filter.
fn matches_plain(filter: &Filter, resource: &Resource) -> Option<bool> {
    let Filter::Compare(attribute, Operator::Equal, expected @ Value::String(_)) = filter else {
        return None;
    };
    if attribute.schema.is_some() || attribute.sub.is_some() {
        return None;
    }
    let name = ["userName", "displayName", "externalId"]
        .into_iter()
        .find(|name| name.eq_ignore_ascii_case(&attribute.name))?;
    let value = resource.attributes.get(name);
    let exact = name == "externalId";
    Some(value.is_some_and(|value| compare(value, expected, exact) == Some(Ordering::Equal)))
}

/// Sorts by one attribute; resources without it come last, whatever the direction, and equal
/// ones stay in order of creation (RFC 7644 §3.4.2.3).
fn sort(found: &mut [&Resource], sort_by: &Attribute, descending: bool) {
    let key = |resource: &Resource| {
        let container = match &sort_by.schema {
            Some(urn) if !is_core(urn) => resource.attributes.get(urn).cloned(),
            _ => Some(Value::Object(resource.attributes.clone())),
        };
        let value = member(&container?, &sort_by.name)?.clone();
        match (&sort_by.sub, value) {
            (Some(sub), value) => member(&value, sub).cloned(),
            (None, value) => Some(value),
        }
    };
    found.sort_by(|left, right| match (key(left), key(right)) {
        (Some(left), Some(right)) => {
            let order = compare(&left, &right, false).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
        (left, right) => right.is_some().cmp(&left.is_some()),
    });
}

/// Copies what a path names, under its name in the resource.
fn include(kept: &mut Map<String, Value>, fields: &Value, path: &str) {
    let Some((from, name, sub)) = locate(fields, path) else {
        return;
    };
    let Some(urn) = from else {
        return copy(kept, fields, &name, sub.as_deref());
    };
    let into = kept.entry(urn).or_insert_with(|| json!({}));
    if let (Some(into), Some(source)) = (into.as_object_mut(), member(fields, urn)) {
        copy(into, source, &name, sub.as_deref());
    }
}

fn copy(into: &mut Map<String, Value>, source: &Value, name: &str, sub: Option<&str>) {
    let Some((name, value)) = member_named(source, name) else {
        return;
    };
    let picked = match sub {
        None => Some(value.clone()),
        Some(sub) => pick(value, sub),
    };
    let Some(picked) = picked else {
        return;
    };
    match (into.get_mut(name), picked) {
        // `name.givenName,name.familyName` add up.
        (Some(known), picked) => merge(known, picked),
        (None, picked) => {
            into.insert(name.to_owned(), picked);
        }
    }
}

fn pick(value: &Value, sub: &str) -> Option<Value> {
    match value {
        Value::Array(elements) => {
            let picked = elements
                .iter()
                .map(|element| pick(element, sub).unwrap_or(json!({})));
            Some(picked.collect())
        }
        value => member_named(value, sub).map(|(name, value)| json!({ name: value })),
    }
}

fn merge(known: &mut Value, picked: Value) {
    match (known, picked) {
        (Value::Object(known), Value::Object(picked)) => known.extend(picked),
        (Value::Array(known), Value::Array(picked)) => {
            for (known, picked) in known.iter_mut().zip(picked) {
                merge(known, picked);
            }
        }
        (known, picked) => *known = picked,
    }
}

fn exclude(mut fields: Map<String, Value>, excluded: &[String]) -> Map<String, Value> {
    for path in excluded {
        let Some((from, name, sub)) = locate(&Value::Object(fields.clone()), path)
            .map(|(from, name, sub)| (from.map(str::to_owned), name, sub))
        else {
            continue;
        };
        let container = match &from {
            Some(urn) => fields.get_mut(urn).and_then(Value::as_object_mut),
            None if matches!(name.as_str(), "id" | "schemas") => None,
            None => Some(&mut fields),
        };
        match (container, sub) {
            (Some(container), None) => {
                container.remove(&name);
            }
            (Some(container), Some(sub)) => {
                if let Some(value) = container.get_mut(&name) {
                    drop_sub(value, &sub);
                }
            }
            (None, _) => {}
        }
    }
    fields
}

fn drop_sub(value: &mut Value, sub: &str) {
    match value {
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| drop_sub(element, sub)),
        Value::Object(fields) => fields.retain(|name, _| !name.eq_ignore_ascii_case(sub)),
        _ => {}
    }
}

/// Where a path leads in a resource: the extension, the name as it is spelled there, the
/// sub-attribute. An extension's URN alone is a name at the top.
fn locate<'a>(fields: &'a Value, path: &str) -> Option<(Option<&'a str>, String, Option<String>)> {
    if let Some((name, _)) = member_named(fields, path) {
        return Some((None, name.to_owned(), None));
    }
    let Attribute { schema, name, sub } = filter::parse_attribute(path).ok()?;
    match schema.filter(|urn| !is_core(urn)) {
        None => member_named(fields, &name).map(|(name, _)| (None, name.to_owned(), sub)),
        Some(urn) => {
            let (urn, inner) = member_named(fields, &urn)?;
            let (name, _) = member_named(inner, &name)?;
            Some((Some(urn), name.to_owned(), sub))
        }
    }
}

/// Finds a member and its own spelling.
fn member_named<'a>(json: &'a Value, name: &str) -> Option<(&'a str, &'a Value)> {
    json.as_object()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(key, value)| (key.as_str(), value))
}
