use serde_json::json;

use super::*;
use crate::scim::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA};

fn path(text: &str) -> AttributePath {
    text.parse().expect("a valid path")
}

fn map(values: &[(&str, Value)]) -> AttributeMap {
    values
        .iter()
        .map(|(text, value)| (path(text), value.clone()))
        .collect()
}

#[test]
fn a_listed_resource_is_read_leniently() {
    let listed = read_listed(json!({
        "ID": 42, "Active": "False",
        "Members": [{"Value": "a"}, "b", {"value": 7}, {"display": "no value"}],
    }))
    .unwrap();
    assert_eq!(listed.id, ResourceId("42".to_owned()));
    assert!(!listed.active);
    let members: Vec<String> = listed.members.unwrap().into_iter().map(|id| id.0).collect();
    assert_eq!(members, ["a", "b", "7"]);
}

#[test]
fn absent_is_told_from_empty() {
    let read = |json: Value| read_listed(json).unwrap();
    assert!(
        read(json!({"id": "1"})).active,
        "absent active means active"
    );
    assert_eq!(read(json!({"id": "1"})).members, None);
    assert_eq!(
        read(json!({"id": "1", "members": []})).members,
        Some(vec![])
    );
    assert_eq!(
        read(json!({"id": "1", "members": null})).members,
        Some(vec![])
    );
    for unusable in [
        json!({}),
        json!({"id": ""}),
        json!({"id": null}),
        json!(["id"]),
    ] {
        assert_eq!(read_listed(unusable.clone()), None, "{unusable}");
    }
}

#[test]
fn paths_find_values_in_any_spelling() {
    let json = json!({
        "username": "ana",
        "Name": {"givenname": "Ana", "familyName": ""},
        "emails": [
            {"type": "home", "value": "ana@home.example"},
            {"type": "Work", "display": "Ana"},
            {"type": "WORK", "value": "ana@example.com", "primary": "true"},
        ],
        "title": null,
        "phoneNumbers": [],
        "nick.name": "flat",
        "URN:ietf:params:scim:schemas:extension:enterprise:2.0:user":
            {"Department": "R&D", "manager": "m1"},
    });
    let read = |text: &str| read_path(&json, &path(text)).cloned();
    assert_eq!(read("userName"), Some(json!("ana")));
    assert_eq!(read("name.givenName"), Some(json!("Ana")));
    assert_eq!(read("name.familyName"), None);
    assert_eq!(read("title"), None);
    assert_eq!(read("phoneNumbers"), None);
    assert_eq!(
        read("emails[type eq \"work\"].value"),
        Some(json!("ana@example.com"))
    );
    assert_eq!(read("emails[type eq \"other\"].value"), None);
    assert_eq!(read("emails.value"), Some(json!("ana@example.com")));
    assert_eq!(read("nick.name"), Some(json!("flat")));
    assert_eq!(
        read(&format!("{ENTERPRISE_SCHEMA}:department")),
        Some(json!("R&D"))
    );
    assert_eq!(
        read(&format!("{ENTERPRISE_SCHEMA}:manager.value")),
        Some(json!("m1"))
    );
}

#[test]
fn other_selectors_are_exact() {
    let json = json!({"roles": [{"value": "Admin", "display": "A"}]});
    assert!(read_path(&json, &path("roles[value eq \"Admin\"].display")).is_some());
    assert!(read_path(&json, &path("roles[value eq \"admin\"].display")).is_none());
}

#[test]
fn every_address_is_found() {
    let json = json!({"Emails": [{"value": "a@example.com"}, {"type": "x"}, "b@example.com"]});
    assert_eq!(read_emails(&json), ["a@example.com", "b@example.com"]);
    assert_eq!(
        read_emails(&json!({"emails": "c@example.com"})),
        ["c@example.com"]
    );
    assert_eq!(read_emails(&json!({})), Vec::<&str>::new());
}

#[test]
fn a_user_is_written_nested() {
    let attributes = map(&[
        ("userName", json!("ana")),
        ("name.givenName", json!("Ana")),
        ("name.familyName", json!("Silva")),
        ("emails[type eq \"home\"].value", json!("ana@home.example")),
        ("emails[type eq \"work\"].value", json!("ana@example.com")),
        ("emails[type eq \"work\"].display", json!("Ana")),
        ("roles", json!(["admin"])),
        (&format!("{ENTERPRISE_SCHEMA}:department"), json!("R&D")),
        (
            &format!("{ENTERPRISE_SCHEMA}:manager"),
            json!({"value": "m1"}),
        ),
        ("urn:example:2.0:User:floor", json!(3)),
    ]);
    assert_eq!(
        to_json(USER_SCHEMA, &attributes),
        json!({
            "schemas": [USER_SCHEMA, "urn:example:2.0:User", ENTERPRISE_SCHEMA],
            "userName": "ana",
            "name": {"givenName": "Ana", "familyName": "Silva"},
            "emails": [
                {"type": "home", "value": "ana@home.example", "primary": true},
                {"type": "work", "value": "ana@example.com", "display": "Ana"},
            ],
            "roles": ["admin"],
            ENTERPRISE_SCHEMA: {"department": "R&D", "manager": {"value": "m1"}},
            "urn:example:2.0:User": {"floor": 3},
        })
    );
}

#[test]
fn only_schemas_with_data_are_listed() {
    assert_eq!(
        to_json(GROUP_SCHEMA, &map(&[("displayName", json!("Staff"))])),
        json!({"schemas": [GROUP_SCHEMA], "displayName": "Staff"})
    );
}

#[test]
fn folding_keeps_keys_and_references_exact() {
    let folded = |text: &str| fold(&path(text), &json!("Ana@Example.COM"));
    assert_eq!(folded("userName"), "ana@example.com");
    assert_eq!(folded("emails[type eq \"work\"].value"), "ana@example.com");
    assert_eq!(folded("externalId"), "Ana@Example.COM");
    assert_eq!(
        folded(&format!("{ENTERPRISE_SCHEMA}:manager.value")),
        "Ana@Example.COM"
    );
    assert_eq!(fold(&path("title"), &json!(7)), "7");
}

#[test]
fn values_are_the_same_in_either_form_but_ids_are_not() {
    let composed = json!("Zo\u{eb}");
    let apart = json!("Zoe\u{308}");
    let large = json!("ZO\u{cb}");
    let work = r#"emails[type eq "work"].value"#;
    let table = [
        ("userName", true, true),
        (work, true, true),
        ("title", true, false),
        ("externalId", false, false),
        ("profileUrl", false, false),
    ];
    for (name, forms, cases) in table {
        let path = path(name);
        assert_eq!(is_same(&path, &composed, &apart), forms, "{name}");
        assert_eq!(is_same(&path, &composed, &large), cases, "{name}");
        let kept = normalized(&path, apart.clone()) == apart;
        assert_eq!(kept, !forms, "{name}");
    }
    assert!(!is_same(&path("title"), &json!("7"), &json!(7)));
}
