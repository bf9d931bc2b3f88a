//! Microsoft's own description of what Graph has: the properties of an entity type, and their
//! types. The file holds the part that is needed, with its licence.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

const TEXT: &str = include_str!("graph-v1.0.xml");

/// The properties of a type, by name, with their types as written; those of its base types
/// included. Relations are among them, with the type `→`.
pub(super) fn properties(of_type: &str) -> Arc<BTreeMap<String, String>> {
    static READ: Mutex<BTreeMap<String, Arc<BTreeMap<String, String>>>> =
        Mutex::new(BTreeMap::new());
    let mut all = READ.lock().expect("nobody panics with it");
    let read = all.entry(of_type.to_owned());
    Arc::clone(read.or_insert_with(|| Arc::new(read_properties(of_type))))
}

fn read_properties(of_type: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut next = Some(of_type.to_owned());
    while let Some(name) = next.take() {
        let start = ["EntityType", "ComplexType"]
            .iter()
            .find_map(|kind| TEXT.find(&format!("<{kind} Name=\"{name}\"")))
            .unwrap_or_else(|| panic!("the metadata lacks `{name}`"));
        let text = &TEXT[start..];
        let end = text.find("</EntityType>").into_iter();
        let end = end.chain(text.find("</ComplexType>")).min();
        let text = &text[..end.expect("the type ends")];
        let head = &text[..text.find('>').expect("a tag ends")];
        next = attribute(head, "BaseType").map(|base| base.trim_start_matches("graph.").to_owned());
        for line in text.lines().map(str::trim) {
            let Some(name) = attribute(line, "Name") else {
                continue;
            };
            if line.starts_with("<Property ") {
                let of_type = attribute(line, "Type").expect("a property has a type");
                found.insert(name, of_type);
            } else if line.starts_with("<NavigationProperty ") {
                found.insert(name, "→".to_owned());
            }
        }
    }
    found
}

/// What the simulator serves has the names and types that Microsoft's description says.
pub(super) fn check(of_type: &str, properties: &Map<String, Value>) {
    let known = self::properties(of_type);
    for (name, value) in properties {
        let of_type = known.get(name);
        let fits = of_type.is_some_and(|of_type| fits(value, of_type));
        assert!(fits, "`{name}` is {of_type:?}, and {value} is not");
    }
}

/// Whether a value is one of this type.
fn fits(value: &Value, of_type: &str) -> bool {
    match (of_type, value) {
        (_, Value::Null) => !of_type.starts_with("Collection("),
        ("Edm.String", Value::String(_)) => true,
        ("Edm.Boolean", Value::Bool(_)) => true,
        ("Edm.Int32", Value::Number(_)) => true,
        ("Edm.DateTimeOffset", Value::String(text)) => {
            chrono::DateTime::parse_from_rfc3339(text).is_ok()
        }
        ("Edm.Guid", Value::String(text)) => uuid::Uuid::try_parse(text).is_ok(),
        ("Collection(Edm.String)", Value::Array(list)) => list.iter().all(Value::is_string),
        (of_type, Value::Array(list)) if of_type.starts_with("Collection(graph.") => {
            let of_each = &of_type["Collection(".len()..of_type.len() - 1];
            list.iter().all(|each| fits(each, of_each))
        }
        // The file has only some of the complex types.
        (of_type, Value::Object(_)) if of_type.starts_with("graph.") && !is_described(of_type) => {
            true
        }
        (of_type, Value::Object(object)) if of_type.starts_with("graph.") => {
            let properties = properties(of_type.trim_start_matches("graph."));
            object
                .iter()
                .all(|(name, value)| properties.get(name).is_some_and(|it| fits(value, it)))
        }
        _ => false,
    }
}

fn is_described(of_type: &str) -> bool {
    let name = of_type.trim_start_matches("graph.");
    TEXT.contains(&format!("<ComplexType Name=\"{name}\""))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let mark = format!(" {name}=\"");
    let from = tag.find(&mark)? + mark.len();
    let length = tag[from..].find('"')?;
    Some(tag[from..from + length].to_owned())
}

#[test]
fn the_metadata_is_read_with_its_base_types() {
    let user = properties("user");
    assert_eq!(user["accountEnabled"], "Edm.Boolean");
    assert_eq!(user["businessPhones"], "Collection(Edm.String)");
    assert_eq!(user["deletedDateTime"], "Edm.DateTimeOffset");
    assert_eq!(user["id"], "Edm.String");
    assert_eq!(user["manager"], "→");
    assert!(fits(&serde_json::json!(true), &user["accountEnabled"]));
    assert!(!fits(&serde_json::json!("true"), &user["accountEnabled"]));
}

#[test]
fn what_is_misspelt_or_of_another_type_is_found() {
    let caught = |of_type: &'static str, object: Value| {
        let object = object.as_object().cloned().expect("an object");
        std::panic::catch_unwind(|| check(of_type, &object)).is_err()
    };
    let role = |id: &str| serde_json::json!({"appRoles": [{"id": id, "isEnabled": true}]});
    assert!(!caught("user", serde_json::json!({"jobTitle": "x"})));
    assert!(caught("user", serde_json::json!({"jobTitel": "x"})));
    assert!(caught("user", serde_json::json!({"jobTitle": true})));
    assert!(caught("group", serde_json::json!({"groupTypes": null})));
    assert!(!caught(
        "servicePrincipal",
        role("3f8e7a52-1f0e-4f43-9a1c-0d6c0f6f3a11")
    ));
    assert!(caught("servicePrincipal", role("Admin")));
}
