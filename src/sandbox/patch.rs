//! Applying a PATCH to a resource's JSON (RFC 7644 §3.5.2), to the letter.
//!
//! Pure, and atomic: the result is a new object, or nothing. Must not know other resources;
//! whether a member exists is for the state to say.
//!
//! Where the RFC leaves a choice: `replace` on a complex attribute replaces all of it, `add`
//! merges into it; an element that is added again (same `value` and `type`) is merged, not
//! repeated; `remove` of what is not there succeeds, so that a repeated request does.

mod place;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use self::place::{Place, Shape};
use super::refusal::Refusal;
use super::schema::{Kind, Mutability};
use super::validate;
use crate::scim::PATCH_SCHEMA;
use crate::scim::filter::{Filter, matches};
use crate::scim::message::Op;
use crate::scim::resource::{is_unassigned, member};

/// The resource after a PATCH body's operations.
pub(super) fn apply(
    kind: Kind,
    resource: &Map<String, Value>,
    body: &Value,
) -> Result<Map<String, Value>, Refusal> {
    let announced = member(body, "schemas")
        .and_then(Value::as_array)
        .is_some_and(|schemas| {
            schemas
                .iter()
                .filter_map(Value::as_str)
                .any(|urn| urn.eq_ignore_ascii_case(PATCH_SCHEMA))
        });
    if !announced {
        return Err(Refusal::bad(
            "invalidSyntax",
            format!("`schemas` must list {PATCH_SCHEMA}"),
        ));
    }
    let operations = member(body, "Operations")
        .and_then(Value::as_array)
        .filter(|operations| !operations.is_empty())
        .ok_or_else(|| {
            Refusal::bad(
                "invalidSyntax",
                "`Operations` must be an array that is not empty",
            )
        })?;
    let mut patched = resource.clone();
    for operation in operations {
        apply_one(kind, &mut patched, operation)?;
    }
    validate::finish(kind, &mut patched)?;
    Ok(patched)
}

fn apply_one(
    kind: Kind,
    resource: &mut Map<String, Value>,
    operation: &Value,
) -> Result<(), Refusal> {
    let op = read_op(operation)?;
    let value = member(operation, "value");
    let value = match (op, value) {
        (Op::Remove, _) => &Value::Null,
        (_, Some(value)) => value,
        (_, None) => return Err(Refusal::bad("invalidValue", "`value` is missing")),
    };
    match (member(operation, "path"), op) {
        (Some(Value::String(path)), _) => {
            let place = place::find(kind, path)?;
            change(resource, &place, op, value)
        }
        (Some(Value::Null) | None, Op::Remove) => {
            Err(Refusal::bad("noTarget", "`remove` needs a `path`"))
        }
        (Some(Value::Null) | None, _) => {
            let Value::Object(fields) = value else {
                let detail = "without a `path`, `value` must be an object of attributes";
                return Err(Refusal::bad("invalidValue", detail));
            };
            for (name, value) in fields {
                if !name.eq_ignore_ascii_case("schemas") {
                    change(resource, &place::find_plain(kind, name)?, op, value)?;
                }
            }
            Ok(())
        }
        (Some(_), _) => Err(Refusal::bad("invalidPath", "`path` must be a text")),
    }
}

/// The verb, in any case: the RFC has them in lower case, clients in the wild do not.
fn read_op(operation: &Value) -> Result<Op, Refusal> {
    let op = member(operation, "op")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match op.to_ascii_lowercase().as_str() {
        "add" => Ok(Op::Add),
        "replace" => Ok(Op::Replace),
        "remove" => Ok(Op::Remove),
        _ => Err(Refusal::bad(
            "invalidSyntax",
            "`op` must be \"add\", \"replace\" or \"remove\"",
        )),
    }
}

fn change(
    resource: &mut Map<String, Value>,
    place: &Place,
    op: Op,
    value: &Value,
) -> Result<(), Refusal> {
    if place.mutability() == Mutability::ReadOnly {
        return Err(Refusal::bad(
            "mutability",
            format!("`{place}` is read-only"),
        ));
    }
    let removes = op == Op::Remove || (op == Op::Replace && is_unassigned(value));
    if removes && place.is_required() {
        let detail = format!("`{place}` is required and cannot be removed");
        return Err(Refusal::bad("mutability", detail));
    }
    let Some(extension) = &place.extension else {
        return change_attribute(resource, place, op, value);
    };
    let urn = resource
        .keys()
        .find(|name| name.eq_ignore_ascii_case(extension))
        .unwrap_or(extension)
        .clone();
    let mut inner = match resource.remove(&urn) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    if place.shape == Shape::WholeExtension {
        let given = match op {
            Op::Remove => Map::new(),
            _ => validate::extension(extension, value)?,
        };
        if op != Op::Add {
            inner.clear();
        }
        inner.extend(given);
    } else {
        change_attribute(&mut inner, place, op, value)?;
    }
    if !inner.is_empty() {
        resource.insert(urn, Value::Object(inner));
    }
    Ok(())
}

fn change_attribute(
    container: &mut Map<String, Value>,
    place: &Place,
    op: Op,
    value: &Value,
) -> Result<(), Refusal> {
    let name = place.name_in(container);
    let current = container.remove(&name).unwrap_or(Value::Null);
    let multiple = place.is_multiple(&current);
    let changed = match (&place.filter, &place.sub) {
        (None, None) if multiple => change_list(place, current, op, value)?,
        (None, None) => change_single(place, current, op, value)?,
        (filter, sub) if multiple => {
            change_elements(place, current, filter.as_ref(), sub.as_deref(), op, value)?
        }
        (Some(_), _) => {
            let detail = format!("`{place}`: only multi-valued attributes take brackets");
            return Err(Refusal::bad("invalidPath", detail));
        }
        (None, Some(sub)) => {
            let mut fields = match current {
                Value::Object(fields) => fields,
                _ => Map::new(),
            };
            set_sub(place, &mut fields, sub, op, value)?;
            Value::Object(fields)
        }
    };
    if !is_unassigned(&changed) {
        container.insert(name, changed);
    }
    Ok(())
}

/// A single-valued attribute as a whole.
fn change_single(place: &Place, current: Value, op: Op, value: &Value) -> Result<Value, Refusal> {
    if op == Op::Remove {
        return Ok(Value::Null);
    }
    let given = place.check(value)?.unwrap_or(Value::Null);
    Ok(match (op, current, given) {
        (Op::Add, Value::Object(mut current), Value::Object(given)) => {
            current.extend(given);
            Value::Object(current)
        }
        (Op::Add, current, Value::Null) => current,
        (_, _, given) => given,
    })
}

/// A multi-valued attribute as a whole.
fn change_list(place: &Place, current: Value, op: Op, value: &Value) -> Result<Value, Refusal> {
    let given = match (op, value) {
        (Op::Remove, _) => return Ok(Value::Null),
        // One element may be given without its array (RFC 7644 §3.5.2.1, first example).
        (_, Value::Object(_)) => place.check(&Value::Array(vec![value.clone()]))?,
        (_, value) => place.check(value)?,
    };
    let given = match given {
        Some(Value::Array(given)) => given,
        _ => Vec::new(),
    };
    if op == Op::Replace {
        return Ok(Value::Array(given));
    }
    let mut elements = match current {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    };
    // Groups have thousands of members: comparing each with each would take too long.
    let mut known: BTreeMap<String, usize> = elements
        .iter()
        .enumerate()
        .map(|(at, element)| (element_key(element), at))
        .collect();
    for element in given {
        if validate::is_primary(&element) {
            clear_primary(&mut elements);
        }
        match (known.get(&element_key(&element)), element) {
            (Some(at), Value::Object(given)) => {
                if let Some(fields) = elements[*at].as_object_mut() {
                    fields.extend(given);
                }
            }
            (Some(_), _) => {}
            (None, element) => {
                known.insert(element_key(&element), elements.len());
                elements.push(element);
            }
        }
    }
    Ok(Value::Array(elements))
}

/// What makes two elements the same: `value` and `type`, or all of an element without `value`.
fn element_key(element: &Value) -> String {
    match element.get("value") {
        Some(value) => format!("{value} {}", element.get("type").unwrap_or(&Value::Null)),
        None => element.to_string(),
    }
}

/// At most one element is primary (RFC 7644 §3.5.2): a new one takes it from the others.
fn clear_primary(elements: &mut [Value]) {
    for element in elements.iter_mut().filter(|e| validate::is_primary(e)) {
        element["primary"] = Value::Bool(false);
    }
}

/// Elements that a filter selects, or all of them, as a whole or one sub-attribute.
fn change_elements(
    place: &Place,
    current: Value,
    filter: Option<&Filter>,
    sub: Option<&str>,
    op: Op,
    value: &Value,
) -> Result<Value, Refusal> {
    let mut elements = match current {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    };
    let selected: Vec<bool> = elements
        .iter()
        .map(|element| filter.is_none_or(|filter| matches(filter, element)))
        .collect();
    if op == Op::Remove && sub.is_none() {
        let mut selected = selected.into_iter();
        elements.retain(|_| !selected.next().unwrap_or(false));
        return Ok(Value::Array(elements));
    }
    if op != Op::Remove && !selected.contains(&true) {
        let detail = format!("`{place}` selects nothing");
        return Err(Refusal::bad("noTarget", detail));
    }
    for at in (0..elements.len()).filter(|at| selected[*at]) {
        let mut element = elements[at].as_object().cloned().unwrap_or_default();
        match sub {
            Some(sub) => set_sub(place, &mut element, sub, op, value)?,
            None => {
                let given = place.check_element(value)?;
                if op == Op::Replace {
                    element.clear();
                }
                element.extend(given);
            }
        }
        let element = Value::Object(element);
        if validate::is_primary(&element) && !validate::is_primary(&elements[at]) {
            clear_primary(&mut elements);
        }
        elements[at] = element;
    }
    elements.retain(|element| !is_unassigned(element));
    Ok(Value::Array(elements))
}

fn set_sub(
    place: &Place,
    fields: &mut Map<String, Value>,
    sub: &str,
    op: Op,
    value: &Value,
) -> Result<(), Refusal> {
    let known = place.sub_attribute();
    let name = known.map_or(sub, |known| known.name).to_owned();
    let given = match (op, known) {
        (Op::Remove, _) => None,
        (_, Some(known)) => validate::value(known, value)?,
        (_, None) => (!is_unassigned(value)).then(|| value.clone()),
    };
    // An immutable sub-attribute may be set once, and stays (RFC 7643 §7).
    if place.mutability() == Mutability::Immutable
        && fields
            .get(&name)
            .is_some_and(|old| Some(old) != given.as_ref())
    {
        return Err(Refusal::bad(
            "mutability",
            format!("`{place}` cannot be changed"),
        ));
    }
    match given {
        Some(given) => {
            fields.insert(name, given);
        }
        None => {
            fields.remove(&name);
        }
    }
    Ok(())
}
