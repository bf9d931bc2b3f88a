//! Evaluating a filter on a resource's JSON.
//!
//! What RFC 7644 leaves open: `ne` on an unassigned attribute is true, and on a multi-valued
//! one it is true when any value differs. Values of different types are never equal.

use std::cmp::Ordering;

use chrono::DateTime;
use serde_json::Value;

use super::{Attribute, Filter, Operator};
use crate::scim::resource::{is_unassigned, member};
use crate::scim::{GROUP_SCHEMA, USER_SCHEMA};

/// Whether a resource, or an element of a multi-valued attribute, fulfils a filter.
pub fn matches(filter: &Filter, json: &Value) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| matches(part, json)),
        Filter::Or(parts) => parts.iter().any(|part| matches(part, json)),
        Filter::Not(part) => !matches(part, json),
        Filter::Present(attribute) => !values(json, attribute).is_empty(),
        Filter::Compare(attribute, operator, expected) => {
            let exact = is_case_exact(attribute);
            let values = values(json, attribute);
            let holds = |value: &&Value| holds(value, *operator, expected, exact);
            match (operator, expected) {
                (Operator::Equal, Value::Null) => values.is_empty(),
                (Operator::NotEqual, Value::Null) => !values.is_empty(),
                (Operator::NotEqual, _) => values.is_empty() || values.iter().any(holds),
                _ => values.iter().any(holds),
            }
        }
        Filter::Element(attribute, inner) => {
            elements(json, attribute).any(|element| matches(inner, element))
        }
    }
}

/// The order of two values of one type; texts without regard to case unless `exact`. Used by
/// filters and by `sortBy`.
pub fn compare(left: &Value, right: &Value, exact: bool) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            // Dates are compared as moments, whatever their offsets (RFC 7643 §2.3.5).
            if let (Ok(left), Ok(right)) = (
                DateTime::parse_from_rfc3339(left),
                DateTime::parse_from_rfc3339(right),
            ) {
                return Some(left.cmp(&right));
            }
            match exact {
                true => Some(left.cmp(right)),
                false => Some(left.to_lowercase().cmp(&right.to_lowercase())),
            }
        }
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn holds(value: &Value, operator: Operator, expected: &Value, exact: bool) -> bool {
    let order = || compare(value, expected, exact);
    let texts = |test: fn(&str, &str) -> bool| match (value, expected) {
        (Value::String(value), Value::String(expected)) if exact => test(value, expected),
        (Value::String(value), Value::String(expected)) => {
            test(&value.to_lowercase(), &expected.to_lowercase())
        }
        _ => false,
    };
    match operator {
        Operator::Equal => order() == Some(Ordering::Equal),
        Operator::NotEqual => order() != Some(Ordering::Equal),
        Operator::Contains => texts(|value, expected| value.contains(expected)),
        Operator::StartsWith => texts(|value, expected| value.starts_with(expected)),
        Operator::EndsWith => texts(|value, expected| value.ends_with(expected)),
        Operator::Greater => order() == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
        Operator::Less => order() == Some(Ordering::Less),
        Operator::LessOrEqual => order().is_some_and(Ordering::is_le),
    }
}

/// The assigned values that a filter's attribute names. A multi-valued complex attribute
/// without a sub-attribute stands for its `value` (RFC 7644 §3.4.2.2).
fn values<'a>(json: &'a Value, attribute: &Attribute) -> Vec<&'a Value> {
    elements(json, attribute)
        .filter_map(|element| match (&attribute.sub, element) {
            (Some(sub), element) => member(element, sub),
            (None, Value::Object(_)) => member(element, "value").or(Some(element)),
            (None, plain) => Some(plain),
        })
        .filter(|value| !is_unassigned(value))
        .collect()
}

fn elements<'a>(
    json: &'a Value,
    Attribute { schema, name, .. }: &Attribute,
) -> impl Iterator<Item = &'a Value> {
    let container = match schema {
        Some(urn) if is_core(urn) => Some(json),
        Some(urn) => member(json, urn),
        None => Some(json),
    };
    let value = container.and_then(|container| match container {
        // Inside brackets, `value` of a plain element is the element.
        Value::Object(_) => member(container, name),
        plain => name.eq_ignore_ascii_case("value").then_some(plain),
    });
    match value {
        Some(Value::Array(elements)) => elements.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    }
    .iter()
}

/// Whether a URN is that of a core schema, whose attributes stand at the top.
pub(crate) fn is_core(urn: &str) -> bool {
    [USER_SCHEMA, GROUP_SCHEMA]
        .iter()
        .any(|core| core.eq_ignore_ascii_case(urn))
}

/// Case-exact by RFC 7643 §3.1 and §2.3.7: keys, `meta`, and references.
fn is_case_exact(attribute: &Attribute) -> bool {
    let is = |name: &str, known: &[&str]| known.iter().any(|k| k.eq_ignore_ascii_case(name));
    is(
        &attribute.name,
        &["id", "externalId", "meta", "$ref", "password"],
    ) || attribute
        .sub
        .as_deref()
        .is_some_and(|sub| is(sub, &["$ref"]))
        || (is(&attribute.name, &["members", "groups", "manager"])
            && attribute
                .sub
                .as_deref()
                .is_none_or(|sub| is(sub, &["value"])))
}
