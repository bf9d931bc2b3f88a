//! What each form of a write looks like, and which is next.

use serde_json::json;

use super::*;
use crate::scim::message::{Op, Operation};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, read_listed};

fn operation(op: Op, path: &str, value: Option<serde_json::Value>) -> Operation {
    Operation {
        op,
        path: path.to_owned(),
        value,
    }
}

fn refused(status: u16, scim_type: &str) -> TargetError {
    TargetError::Refused {
        method: "PATCH",
        path: "/Users/{id}".to_owned(),
        status,
        scim_type: (!scim_type.is_empty()).then(|| scim_type.to_owned()),
        detail: None,
        retry_after: None,
    }
}

const NOTHING: Change<'_> = Change {
    active: None,
    operations: &[],
    add: &[],
    remove: &[],
};

#[test]
fn a_user_is_created_active_and_without_an_id() {
    let attributes = AttributeMap::from([(AttributePath::user_name(), json!("ana@example.com"))]);
    let body = create_body(Kind::User, &attributes, &[]);
    assert_eq!(
        body,
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "ana@example.com",
            "active": true,
        })
    );
}

#[test]
fn a_group_is_created_with_members_only_where_it_has_some() {
    let attributes = AttributeMap::from([(AttributePath::display_name(), json!("Staff"))]);
    let empty = create_body(Kind::Group, &attributes, &[]);
    assert_eq!(
        empty,
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": "Staff",
        })
    );
    let members = ["u1".to_owned(), "pending:7".to_owned()];
    let full = create_body(Kind::Group, &attributes, &members);
    assert_eq!(
        full["members"],
        json!([{"value": "u1"}, {"value": "pending:7"}])
    );
}

#[test]
fn a_patch_is_ordered_and_removes_members_one_by_one() {
    let change = Change {
        active: Some(false),
        operations: &[operation(Op::Replace, "title", Some(json!("Engineer")))],
        add: &["u3".to_owned(), "u4".to_owned()],
        remove: &[ResourceId("u1".to_owned()), ResourceId("u\"2".to_owned())],
    };
    assert_eq!(
        patch_body(&change, Removal::Filter),
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [
                {"op": "replace", "path": "active", "value": false},
                {"op": "replace", "path": "title", "value": "Engineer"},
                {"op": "remove", "path": "members[value eq \"u1\"]"},
                {"op": "remove", "path": "members[value eq \"u\\\"2\"]"},
                {"op": "add", "path": "members", "value": [{"value": "u3"}, {"value": "u4"}]},
            ],
        })
    );
    // Only a preset asks for the form that empties groups at RFC-strict servers.
    let by_list = patch_body(&change, Removal::ValueList);
    assert_eq!(
        by_list["Operations"][2],
        json!({"op": "remove", "path": "members", "value": [{"value": "u1"}, {"value": "u\"2"}]})
    );
}

#[test]
fn without_paths_a_part_is_replaced_by_the_whole() {
    let shown = read_listed(json!({
        "id": "u1",
        "Emails": [{"type": "home", "value": "theirs@example.com"}],
        "name": {"familyName": "Lee", "givenName": "Ana"},
    }));
    let operations = [
        operation(
            Op::Replace,
            r#"emails[type eq "work"].value"#,
            Some(json!("w@example.com")),
        ),
        operation(Op::Replace, "name.givenName", Some(json!("Alba"))),
        operation(Op::Remove, "title", None),
    ];
    let change = Change {
        operations: &operations,
        ..NOTHING
    };
    assert!(pathless_needs_current(&change));
    assert_eq!(
        pathless_body(&change, shown.as_ref())["Operations"],
        json!([{"op": "replace", "value": {
            "Emails": [
                {"type": "home", "value": "theirs@example.com"},
                {"type": "work", "value": "w@example.com"},
            ],
            "name": {"familyName": "Lee", "givenName": "Alba"},
            "title": null,
        }}])
    );
}

#[test]
fn a_whole_resource_keeps_what_nobody_meant_to_change() {
    let shown = read_listed(json!({
        "id": "g1", "schemas": ["s"], "meta": {"version": "1"}, "x-theirs": [1],
        "members": [{"value": "U1", "display": "Ana"}, {"value": "u2"}, {"value": "theirs"}],
    }));
    let change = Change {
        add: &["u3".to_owned(), "u1".to_owned()],
        remove: &[ResourceId("u2".to_owned())],
        ..NOTHING
    };
    assert_eq!(
        whole_body(Kind::Group, &change, &shown.unwrap()),
        json!({
            "id": "g1", "schemas": ["s"], "x-theirs": [1],
            "members": [{"value": "U1"}, {"value": "theirs"}, {"value": "u3"}],
        })
    );
}

#[test]
fn texts_for_booleans_and_references_for_members_where_the_target_wants_them() {
    let manner = Manner {
        text_booleans: true,
        member_refs: true,
        ..Manner::default()
    };
    let change = Change {
        active: Some(false),
        add: &["u1".to_owned()],
        ..NOTHING
    };
    let mut body = patch_body(&change, Removal::Filter);
    finish(&mut body, manner, |id| {
        Some(format!("https://app.example/Users/{id}"))
    });
    assert_eq!(
        body["Operations"],
        json!([
            {"op": "replace", "path": "active", "value": "False"},
            {"op": "add", "path": "members", "value": [
                {"value": "u1", "$ref": "https://app.example/Users/u1"},
            ]},
        ])
    );
}

#[test]
fn only_a_refusal_of_the_form_leads_to_another() {
    let title = [operation(Op::Replace, "title", Some(json!("Boss")))];
    let plain = Change {
        operations: &title,
        ..NOTHING
    };
    let off = Change {
        active: Some(false),
        ..NOTHING
    };
    let gone = [ResourceId("u1".to_owned())];
    let removal = Change {
        remove: &gone,
        ..NOTHING
    };
    let letter = Manner::default();
    let form = |form| Manner { form, ..letter };
    let list = Manner {
        removal: Removal::List,
        ..letter
    };
    let texts = Manner {
        text_booleans: true,
        ..letter
    };
    for (status, scim_type, change, next) in [
        (501, "", &plain, Some((form(Form::Whole), true))),
        (405, "", &plain, Some((form(Form::Whole), true))),
        (
            400,
            "invalidPath",
            &plain,
            Some((form(Form::NoPaths), true)),
        ),
        (
            400,
            "invalidSyntax",
            &plain,
            Some((form(Form::NoPaths), true)),
        ),
        // An element may be missing in this resource only: nothing to remember.
        (400, "noTarget", &plain, Some((form(Form::NoPaths), false))),
        (400, "invalidValue", &off, Some((texts, true))),
        (400, "invalidValue", &plain, None),
        (400, "", &plain, None),
        (400, "uniqueness", &plain, None),
        (501, "", &removal, Some((list, true))),
        (400, "", &removal, Some((list, true))),
        (401, "", &plain, None),
        (403, "", &plain, None),
        (404, "", &removal, None),
        (409, "uniqueness", &plain, None),
        (412, "", &plain, None),
        (429, "", &plain, None),
        (500, "", &removal, None),
    ] {
        assert_eq!(
            letter.after_refusal(&refused(status, scim_type), change),
            next,
            "{status} {scim_type}"
        );
    }
    // There is nothing after a PUT, and never a list of values to remove.
    let whole = form(Form::Whole);
    assert_eq!(whole.after_refusal(&refused(501, ""), &plain), None);
    assert_eq!(whole.after_nothing(&plain), None);
}

#[test]
fn a_yes_that_changed_nothing_leads_to_the_least_harmful_form_first() {
    let gone = [ResourceId("u1".to_owned())];
    let change = Change {
        remove: &gone,
        ..NOTHING
    };
    let mut manner = Manner::default();
    let mut forms = Vec::new();
    while let Some(next) = manner.after_nothing(&change) {
        forms.push((next.form, next.removal));
        manner = next;
    }
    assert_eq!(
        forms,
        [
            (Form::Paths, Removal::List),
            (Form::NoPaths, Removal::List),
            (Form::Whole, Removal::List),
        ]
    );
}

#[test]
fn what_was_seen_in_one_manner_counts_in_no_other() {
    let mut learned = Learned::default();
    learned.verified.insert("title".to_owned());
    let texts = Manner {
        text_booleans: true,
        ..Manner::default()
    };
    learned.note_manner(texts);
    assert_eq!((learned.manner, learned.verified.len()), (Some(texts), 0));
    learned.verified.insert("title".to_owned());
    learned.note_manner(texts);
    assert_eq!(learned.verified.len(), 1);
}
