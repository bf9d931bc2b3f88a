//! PATCH operations applied to a resource's JSON, for servers that want a whole attribute or a
//! whole resource: everything that no operation names stays as it was.
//!
//! Pure, lenient, and only for operations that provisor made itself.

use serde_json::{Map, Value, json};

use super::message::{Op, Operation};
use super::path::{AttributePath, Selector};
use super::resource::{is_unassigned, selects, sub_values};

/// Applies an operation. `None` when its path is none of ours; the resource is then unchanged.
pub fn apply(resource: &mut Value, operation: &Operation) -> Option<()> {
    let path: AttributePath = operation.path.parse().ok()?;
    let value = operation
        .value
        .as_ref()
        .filter(|_| operation.op != Op::Remove);
    let root = resource.as_object_mut()?;
    let Some(urn) = &path.schema else {
        change(root, &path, operation.op, value);
        return Some(());
    };
    let key = key_in(root, urn);
    let mut extension = match root.remove(&key) {
        Some(Value::Object(extension)) => extension,
        _ => Map::new(),
    };
    change(&mut extension, &path, operation.op, value);
    if !extension.is_empty() {
        root.insert(key, Value::Object(extension));
        announce(root, urn);
    }
    Some(())
}

/// The member of a resource that an operation changes: a core attribute's name or an
/// extension's URN, as the resource spells it.
pub fn touched(resource: &Value, path: &AttributePath) -> String {
    let name = path.schema.as_ref().unwrap_or(&path.attribute);
    match resource.as_object() {
        Some(fields) => key_in(fields, name),
        None => name.clone(),
    }
}

/// Names an extension in `schemas` (RFC 7643 §3.1), once.
fn announce(root: &mut Map<String, Value>, urn: &str) {
    let key = key_in(root, "schemas");
    if let Some(Value::Array(schemas)) = root.get_mut(&key) {
        let named = |schema: &Value| {
            let schema = schema.as_str();
            schema.is_some_and(|schema| schema.eq_ignore_ascii_case(urn))
        };
        if !schemas.iter().any(named) {
            schemas.push(json!(urn));
        }
    }
}

fn change(fields: &mut Map<String, Value>, path: &AttributePath, op: Op, value: Option<&Value>) {
    let key = key_in(fields, &path.attribute);
    let current = fields.remove(&key).unwrap_or(Value::Null);
    let changed = match (&path.selector, &path.sub) {
        (None, None) => change_whole(current, op, value),
        (None, Some(sub)) => change_sub(current, sub, value),
        (Some(selector), sub) => change_element(current, selector, sub.as_deref(), value),
    };
    if !is_unassigned(&changed) {
        fields.insert(key, changed);
    }
}

fn change_whole(current: Value, op: Op, value: Option<&Value>) -> Value {
    match (op, current, value) {
        (_, _, None) => Value::Null,
        (Op::Add, Value::Array(mut elements), Some(Value::Array(given))) => {
            for element in given {
                if !elements.contains(element) {
                    elements.push(element.clone());
                }
            }
            Value::Array(elements)
        }
        (Op::Add, Value::Object(mut fields), Some(Value::Object(given))) => {
            fields.extend(given.clone());
            Value::Object(fields)
        }
        (_, _, Some(value)) => value.clone(),
    }
}

fn change_sub(current: Value, sub: &str, value: Option<&Value>) -> Value {
    let mut fields = match current {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    set(&mut fields, sub, value);
    Value::Object(fields)
}

fn change_element(
    current: Value,
    selector: &Selector,
    sub: Option<&str>,
    value: Option<&Value>,
) -> Value {
    let mut elements = match current {
        Value::Array(elements) => elements,
        Value::Null => Vec::new(),
        single => vec![single],
    };
    let Some(value) = value else {
        match sub {
            None => elements.retain(|element| !selects(selector, element)),
            Some(sub) => {
                for element in elements.iter_mut().filter(|it| selects(selector, it)) {
                    if let Some(fields) = element.as_object_mut() {
                        set(fields, sub, None);
                    }
                }
            }
        }
        return Value::Array(elements);
    };
    let found = elements
        .iter()
        .position(|element| selects(selector, element) && element.is_object());
    let at = found.unwrap_or_else(|| {
        let mut element = json!({ &selector.attribute: selector.value });
        if elements.is_empty() {
            element["primary"] = json!(true);
        }
        elements.push(element);
        elements.len() - 1
    });
    if let Some(fields) = elements[at].as_object_mut() {
        for (name, value) in sub_values(sub, value) {
            set(fields, name, Some(value));
        }
    }
    Value::Array(elements)
}

fn set(fields: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    let key = key_in(fields, name);
    match value {
        Some(value) => {
            fields.insert(key, value.clone());
        }
        None => {
            fields.remove(&key);
        }
    }
}

/// A name as the object spells it: names are not case-exact (RFC 7643 §2.1).
fn key_in(fields: &Map<String, Value>, name: &str) -> String {
    if fields.contains_key(name) {
        return name.to_owned();
    }
    let mut keys = fields.keys();
    let found = keys.find(|key| key.eq_ignore_ascii_case(name));
    found.cloned().unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(mut resource: Value, op: Op, path: &str, value: Option<Value>) -> Value {
        let path = path.to_owned();
        apply(&mut resource, &Operation { op, path, value }).expect("a path of ours");
        resource
    }

    #[test]
    fn what_no_operation_names_stays() {
        let before = json!({
            "id": "u1", "Title": "Engineer", "x-theirs": {"a": 1},
            "emails": [{"type": "home", "value": "h@example.com"}],
        });
        let after = changed(before, Op::Replace, "title", Some(json!("Boss")));
        let after = changed(
            after,
            Op::Replace,
            r#"emails[type eq "work"].value"#,
            Some(json!("w@example.com")),
        );
        assert_eq!(
            after,
            json!({
                "id": "u1", "Title": "Boss", "x-theirs": {"a": 1},
                "emails": [
                    {"type": "home", "value": "h@example.com"},
                    {"type": "work", "value": "w@example.com"},
                ],
            })
        );
    }

    #[test]
    fn an_extension_comes_with_its_urn_and_goes_when_it_is_empty() {
        let urn = crate::scim::ENTERPRISE_SCHEMA;
        let path = format!("{urn}:department");
        let before = json!({"schemas": ["a"]});
        let with = changed(before, Op::Add, &path, Some(json!("R&D")));
        assert_eq!(
            with,
            json!({"schemas": ["a", urn], urn: {"department": "R&D"}})
        );
        let without = changed(with, Op::Remove, &path, None);
        assert_eq!(without.get(urn), None);
    }

    #[test]
    fn an_element_added_again_is_there_once() {
        let home = json!([{"type": "home", "value": "h@example.com"}]);
        let once = changed(json!({}), Op::Add, "emails", Some(home.clone()));
        let twice = changed(once, Op::Add, "emails", Some(home.clone()));
        assert_eq!(twice, json!({ "emails": home }));
        let none = changed(twice, Op::Remove, r#"emails[type eq "home"]"#, None);
        assert_eq!(none, json!({}));
    }
}
