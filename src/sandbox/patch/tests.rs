use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::scim::difference::operations;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, read_path, to_json};
use crate::scim::{ENTERPRISE_SCHEMA, USER_SCHEMA};

fn ana() -> Map<String, Value> {
    let json = json!({
        "schemas": [USER_SCHEMA],
        "userName": "ana",
        "name": {"givenName": "Ana", "familyName": "Silva"},
        "emails": [
            {"type": "work", "value": "ana@example.com", "primary": true},
            {"type": "home", "value": "ana@home.example"},
        ],
    });
    json.as_object().expect("an object").clone()
}

fn patch(kind: Kind, resource: &Map<String, Value>, operations: Value) -> Result<Value, Refusal> {
    let body = json!({"schemas": [PATCH_SCHEMA], "Operations": operations});
    apply(kind, resource, &body).map(Value::Object)
}

fn patched(operation: Value) -> Value {
    let mut json = patch(Kind::User, &ana(), json!([operation])).expect("the patch should apply");
    json.as_object_mut().expect("an object").remove("schemas");
    json
}

fn refused(operation: Value) -> (u16, &'static str) {
    let refusal = patch(Kind::User, &ana(), json!([operation])).expect_err("it should be refused");
    (refusal.status, refusal.scim_type.unwrap_or(""))
}

#[test]
fn an_element_is_added_once() {
    let home = json!([{"type": "home", "value": "ana@home.example"}]);
    let add = json!({"op": "Add", "path": "emails", "value": home});
    assert_eq!(patched(add)["emails"], ana()["emails"]);
    let other = json!({"type": "other", "value": "x@example.com", "primary": true});
    let emails = patched(json!({"op": "add", "path": "emails", "value": other}))["emails"].clone();
    assert_eq!(emails.as_array().map(Vec::len), Some(3));
    assert_eq!(
        emails[0]["primary"],
        json!(false),
        "a new primary takes over"
    );
}

#[test]
fn a_sub_attribute_of_the_selected_element_changes() {
    let path = "emails[type eq \"WORK\"].value";
    let after = patched(json!({"op": "replace", "path": path, "value": "new@example.com"}));
    assert_eq!(after["emails"][0]["value"], "new@example.com");
    assert_eq!(after["emails"][1], ana()["emails"][1]);
    let after = patched(json!({"op": "remove", "path": "emails[type eq \"work\"]"}));
    assert_eq!(after["emails"].as_array().map(Vec::len), Some(1));
}

#[test]
fn add_merges_a_complex_attribute_and_replace_replaces_it() {
    let value = json!({"middleName": "B"});
    let after = patched(json!({"op": "add", "path": "name", "value": value}));
    assert_eq!(
        after["name"],
        json!({"givenName": "Ana", "familyName": "Silva", "middleName": "B"})
    );
    let after = patched(json!({"op": "replace", "path": "name", "value": value}));
    assert_eq!(after["name"], value);
}

#[test]
fn without_a_path_the_value_names_the_attributes() {
    let after = patched(json!({"op": "replace", "value": {
        "TITLE": "Engineer",
        ENTERPRISE_SCHEMA: {"department": "R&D"},
    }}));
    assert_eq!(after["title"], "Engineer");
    assert_eq!(after[ENTERPRISE_SCHEMA]["department"], "R&D");
}

#[test]
fn an_emptied_extension_leaves_the_schemas() {
    let path = format!("{ENTERPRISE_SCHEMA}:department");
    let add = json!({"op": "add", "path": path, "value": "R&D"});
    let with = patch(Kind::User, &ana(), json!([add])).unwrap();
    assert_eq!(with["schemas"], json!([USER_SCHEMA, ENTERPRISE_SCHEMA]));
    let with = with.as_object().unwrap();
    let without = patch(Kind::User, with, json!([{"op": "remove", "path": path}])).unwrap();
    assert_eq!(without, Value::Object(ana()));
}

#[test]
fn removing_what_is_not_there_succeeds() {
    for path in [
        "title",
        "emails[type eq \"x\"]",
        "phoneNumbers",
        "name.middleName",
    ] {
        let after = patched(json!({"op": "remove", "path": path}));
        assert_eq!(after["emails"], ana()["emails"], "{path}");
    }
}

#[test]
fn members_are_a_set() {
    let group = json!({"displayName": "Staff", "members": [{"value": "a"}, {"value": "b"}]});
    let group = group.as_object().unwrap();
    let members = |operation: Value| {
        patch(Kind::Group, group, json!([operation])).unwrap()["members"].clone()
    };
    let add = json!({"op": "add", "path": "members", "value": [{"value": "b"}, {"value": "c"}]});
    assert_eq!(
        members(add),
        json!([{"value": "a"}, {"value": "b"}, {"value": "c"}])
    );
    let remove = json!({"op": "remove", "path": "members[value eq \"a\"]"});
    assert_eq!(members(remove), json!([{"value": "b"}]));
    // Without a filter, `value` is not looked at: everybody goes (RFC 7644 §3.5.2.2).
    let all = json!({"op": "remove", "path": "members", "value": [{"value": "a"}]});
    assert_eq!(members(all), Value::Null);
    let change = json!([{"op": "replace", "path": "members[value eq \"a\"].value", "value": "z"}]);
    let refusal = patch(Kind::Group, group, change).unwrap_err();
    assert_eq!(refusal.scim_type, Some("mutability"));
}

#[test]
fn refusals_carry_the_type_of_the_rfc() {
    let replace =
        |path: &str, value: Value| refused(json!({"op": "replace", "path": path, "value": value}));
    assert_eq!(
        replace("emails[type eq \"x\"].value", json!("y")),
        (400, "noTarget")
    );
    assert_eq!(replace("emails[type eq", json!("y")), (400, "invalidPath"));
    assert_eq!(replace("nickname2", json!("y")), (400, "invalidPath"));
    assert_eq!(
        replace("name[givenName pr]", json!({})),
        (400, "invalidPath")
    );
    assert_eq!(replace("active", json!("False")), (400, "invalidValue"));
    assert_eq!(replace("title", json!("")), (400, "invalidValue"));
    assert_eq!(replace("id", json!("y")), (400, "mutability"));
    assert_eq!(replace("groups", json!([])), (400, "mutability"));
    assert_eq!(
        refused(json!({"op": "remove", "path": "userName"})),
        (400, "mutability")
    );
    assert_eq!(refused(json!({"op": "remove"})), (400, "noTarget"));
    assert_eq!(
        refused(json!({"op": "add", "path": "title"})),
        (400, "invalidValue")
    );
    assert_eq!(
        refused(json!({"op": "copy", "path": "title"})),
        (400, "invalidSyntax")
    );
}

#[test]
fn one_bad_operation_spoils_all() {
    let result = patch(
        Kind::User,
        &ana(),
        json!([
            {"op": "replace", "path": "title", "value": "Engineer"},
            {"op": "replace", "path": "id", "value": "x"},
        ]),
    );
    assert!(result.is_err());
    assert!(apply(Kind::User, &ana(), &json!({"Operations": []})).is_err());
}

/// Paths of every shape that a mapping sets; no attribute both as a whole and in parts.
const PATHS: &[&str] = &[
    "title",
    "name.givenName",
    "name.familyName",
    "emails[type eq \"work\"].value",
    "emails[type eq \"work\"].display",
    "emails[type eq \"home\"].value",
    "emails[type eq \"home\"].display",
    "phoneNumbers[type eq \"a\\\"b\\\\\"].value",
    "addresses[type eq \"work\"].locality",
    "addresses[type eq \"work\"].country",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    "urn:example:2.0:User:floor",
    "urn:example:2.0:User:badges[type eq \"door\"].value",
];

fn attributes() -> impl Strategy<Value = AttributeMap> {
    let values = proptest::collection::vec(proptest::option::of("[a-c]"), PATHS.len());
    values.prop_map(|values| {
        let named = (AttributePath::user_name(), json!("ana"));
        let set = PATHS
            .iter()
            .zip(values)
            .filter_map(|(path, value)| Some((path.parse().expect("a valid path"), json!(value?))));
        std::iter::once(named).chain(set).collect()
    })
}

proptest! {
    #[test]
    fn the_difference_leads_from_one_to_the_other(old in attributes(), new in attributes()) {
        let before = to_json(USER_SCHEMA, &old);
        let operations = operations(&old, &new);
        prop_assert_eq!(operations.is_empty(), old == new);
        let after = if operations.is_empty() {
            before
        } else {
            let operations = serde_json::to_value(operations).unwrap();
            patch(Kind::User, before.as_object().unwrap(), operations).unwrap()
        };
        for path in old.keys().chain(new.keys()) {
            prop_assert_eq!(read_path(&after, path), new.get(path), "{}", path);
        }
        let expected = to_json(USER_SCHEMA, &new);
        prop_assert_eq!(after.as_object().unwrap().keys().collect::<Vec<_>>(),
            expected.as_object().unwrap().keys().collect::<Vec<_>>());
    }
}
