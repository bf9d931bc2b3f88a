//! Checking what a client sends against the schemas, and settling its spelling.
//!
//! Strict: names must be known and values of their type, so that a client's mistakes show.
//! Extensions other than the enterprise one are kept as they are: a client may be tried with
//! its own. Read-only attributes are ignored (RFC 7644 §3.3).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::schema::{self, Attribute, Kind, Mutability, Type};
use crate::scim::ENTERPRISE_SCHEMA;
use crate::scim::resource::member;

/// The body of a POST or PUT as it is kept: canonical names, nothing unassigned, no
/// read-only attributes, `schemas` with exactly the extensions that hold data.
pub(super) fn resource(kind: Kind, body: &Value) -> Result<Map<String, Value>, Refusal> {
    let Value::Object(fields) = body else {
        return Err(Refusal::bad(
            "invalidSyntax",
            "the body is not a JSON object",
        ));
    };
    let listed = listed_schemas(body)?;
    let lists = |urn: &str| listed.iter().any(|listed| listed.eq_ignore_ascii_case(urn));
    if !lists(kind.schema()) {
        return Err(Refusal::bad(
            "invalidSyntax",
            format!("`schemas` must list {}", kind.schema()),
        ));
    }
    let mut kept = Map::new();
    for (name, value) in fields {
        if name.eq_ignore_ascii_case("schemas") || value.is_null() {
            continue;
        }
        if is_urn(name) {
            let urn = extension_urn(kind, name)?;
            if !lists(urn) {
                return Err(Refusal::bad(
                    "invalidSyntax",
                    format!("`schemas` must list {urn}, because the body has data of it"),
                ));
            }
            let extension = self::extension(urn, value)?;
            if !extension.is_empty() {
                kept.insert(urn.to_owned(), Value::Object(extension));
            }
            continue;
        }
        let attribute = kind.attribute(name).ok_or_else(|| {
            let kind = kind.name();
            Refusal::bad(
                "invalidSyntax",
                format!("a {kind} has no attribute `{name}`"),
            )
        })?;
        if attribute.mutability != Mutability::ReadOnly
            && let Some(value) = self::value(attribute, value)?
        {
            kept.insert(attribute.name.to_owned(), value);
        }
    }
    if kind == Kind::User {
        kept.entry("active").or_insert(Value::Bool(true));
    }
    finish(kind, &mut kept)?;
    Ok(kept)
}

/// What must hold of a resource however it came about; renews its `schemas`.
pub(super) fn finish(kind: Kind, resource: &mut Map<String, Value>) -> Result<(), Refusal> {
    let name = kind.naming_attribute();
    if !resource.contains_key(name) {
        return Err(Refusal::bad(
            "invalidValue",
            format!("`{name}` is required"),
        ));
    }
    let extensions = resource.keys().filter(|name| is_urn(name));
    let schemas: Vec<&str> = std::iter::once(kind.schema())
        .chain(extensions.map(String::as_str))
        .collect();
    let schemas = json!(schemas);
    resource.insert("schemas".to_owned(), schemas);
    Ok(())
}

fn listed_schemas(body: &Value) -> Result<Vec<&str>, Refusal> {
    member(body, "schemas")
        .and_then(Value::as_array)
        .and_then(|schemas| schemas.iter().map(Value::as_str).collect())
        .ok_or_else(|| Refusal::bad("invalidSyntax", "`schemas` must be an array of URNs"))
}

/// Whether a body's member is an extension rather than an attribute.
pub(super) fn is_urn(name: &str) -> bool {
    name.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
}

/// The canonical URN of an extension that this kind may have.
pub(super) fn extension_urn(kind: Kind, urn: &str) -> Result<&str, Refusal> {
    match (urn.eq_ignore_ascii_case(ENTERPRISE_SCHEMA), kind) {
        (true, Kind::User) => Ok(ENTERPRISE_SCHEMA),
        (true, Kind::Group) => Err(Refusal::bad(
            "invalidSyntax",
            "the enterprise extension belongs to users",
        )),
        (false, _) => Ok(urn),
    }
}

/// An extension's object as it is kept.
pub(super) fn extension(urn: &str, value: &Value) -> Result<Map<String, Value>, Refusal> {
    let Value::Object(fields) = value else {
        return Err(Refusal::bad(
            "invalidValue",
            format!("{urn} must hold an object"),
        ));
    };
    if urn != ENTERPRISE_SCHEMA {
        return Ok(fields
            .iter()
            .filter(|(_, value)| !value.is_null() && **value != json!([]))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect());
    }
    let mut kept = Map::new();
    for (name, value) in fields {
        // Some clients repeat the URN inside; it says nothing new.
        if name.eq_ignore_ascii_case("schemas") {
            continue;
        }
        let attribute = schema::find(schema::ENTERPRISE, name)
            .ok_or_else(|| Refusal::bad("invalidSyntax", format!("{urn} has no `{name}`")))?;
        if let Some(value) = self::value(attribute, value)? {
            kept.insert(attribute.name.to_owned(), value);
        }
    }
    Ok(kept)
}

/// An attribute's value as it is kept; `None` when it is unassigned.
pub(super) fn value(attribute: &Attribute, value: &Value) -> Result<Option<Value>, Refusal> {
    if value.is_null() {
        return Ok(None);
    }
    if !attribute.multiple {
        return single(attribute, value);
    }
    let Value::Array(given) = value else {
        return Err(wrong(attribute, "an array"));
    };
    let mut elements = Vec::with_capacity(given.len());
    let mut seen = BTreeSet::new();
    for element in given {
        if let Some(element) = single(attribute, element)?
            && seen.insert(element.to_string())
        {
            elements.push(element);
        }
    }
    let primaries = elements
        .iter()
        .filter(|element| is_primary(element))
        .count();
    if primaries > 1 {
        let name = attribute.name;
        return Err(Refusal::bad(
            "invalidValue",
            format!("only one element of `{name}` may be primary"),
        ));
    }
    Ok((!elements.is_empty()).then_some(Value::Array(elements)))
}

/// Whether an element is the primary one (RFC 7643 §2.4).
pub(super) fn is_primary(element: &Value) -> bool {
    element.get("primary") == Some(&Value::Bool(true))
}

/// A single value, or one element of a multi-valued attribute.
pub(super) fn single(attribute: &Attribute, value: &Value) -> Result<Option<Value>, Refusal> {
    let fits = match (attribute.kind, value) {
        (_, Value::Null) => return Ok(None),
        (Type::Complex, Value::Object(fields)) => return complex(attribute, fields),
        (Type::Complex, _) => return Err(wrong(attribute, "an object")),
        (Type::Boolean, value) => value.is_boolean(),
        (Type::Integer, value) => value.is_i64(),
        (Type::Text | Type::Reference | Type::Binary, value) => {
            value.as_str().is_some_and(|text| !text.is_empty())
        }
    };
    if fits {
        return Ok(Some(value.clone()));
    }
    Err(wrong(
        attribute,
        match attribute.kind {
            Type::Boolean => "true or false",
            Type::Integer => "an integer",
            _ => "a text that is not empty",
        },
    ))
}

fn complex(attribute: &Attribute, fields: &Map<String, Value>) -> Result<Option<Value>, Refusal> {
    let mut kept = Map::new();
    for (name, value) in fields {
        let sub = schema::find(attribute.subs, name).ok_or_else(|| {
            let attribute = attribute.name;
            Refusal::bad(
                "invalidSyntax",
                format!("`{attribute}` has no sub-attribute `{name}`"),
            )
        })?;
        if sub.mutability != Mutability::ReadOnly
            && let Some(value) = self::value(sub, value)?
        {
            kept.insert(sub.name.to_owned(), value);
        }
    }
    if attribute.name == "members" {
        // What a member is follows from its id; only `display` is the client's to say.
        kept.retain(|name, _| matches!(name.as_str(), "value" | "display"));
        if !kept.contains_key("value") {
            return Err(Refusal::bad("invalidValue", "each member needs a `value`"));
        }
    }
    Ok((!kept.is_empty()).then_some(Value::Object(kept)))
}

fn wrong(attribute: &Attribute, expected: &str) -> Refusal {
    let name = attribute.name;
    Refusal::bad("invalidValue", format!("`{name}` must be {expected}"))
}
