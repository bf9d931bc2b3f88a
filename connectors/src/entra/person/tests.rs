use serde_json::json;

use super::*;

fn item(json: Json) -> Item {
    json.as_object().cloned().unwrap()
}

fn wanted(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn text(text: &str) -> Vec<Value> {
    vec![Value::Text(text.to_owned())]
}

#[test]
fn null_clears_and_what_is_not_shown_is_as_it_was() {
    let names = wanted(&[
        "mail",
        "jobTitle",
        "surname",
        "businessPhones",
        "costCenter",
        "id",
    ]);
    let id = Uuid::from_u128(7);
    let mut before = Attributes::default();
    for name in ["mail", "jobTitle", "surname", "costCenter"] {
        put(&mut before, name, text("before"));
    }
    let shown = item(json!({
        "mail": null, "jobTitle": " Boss ", "businessPhones": ["1", "2"],
        "employeeOrgData": {"division": "x"}, "city": "Zug",
    }));
    let changed = attributes(&names, id, &shown, &before, Absent::Unchanged);
    assert_eq!(changed.values("mail"), []);
    assert_eq!(changed.values("jobTitle"), text("Boss"));
    assert_eq!(changed.values("surname"), text("before"));
    assert_eq!(changed.values("costCenter"), [], "its whole was shown");
    assert_eq!(changed.values("businessPhones").len(), 2);
    assert_eq!(changed.values("id"), text(&id.to_string()));
    assert_eq!(changed.values("city"), [], "it is not in use");
    let whole = attributes(&names, id, &shown, &before, Absent::Cleared);
    assert_eq!(whole.values("surname"), []);
}

#[test]
fn who_is_switched_on_is_said_by_true_and_off_by_false_and_by_nothing_else() {
    let said = |json: Json| lifecycle(&item(json!({ ENABLED: json })));
    assert_eq!(said(json!(true)), Some(Lifecycle::Active));
    assert_eq!(said(json!(false)), Some(Lifecycle::Disabled));
    assert_eq!(said(json!(null)), Some(Lifecycle::Unknown));
    assert_eq!(said(json!("true")), Some(Lifecycle::Unknown));
    assert_eq!(lifecycle(&item(json!({}))), None);
}

#[test]
fn the_last_word_counts_and_a_removal_clears_nothing() {
    let id = |number| Uuid::from_u128(number);
    let related = |number: u128, is_removed| Related {
        id: id(number),
        of_type: None,
        is_removed,
    };
    let mut heard = Heard::default();
    heard.take(
        item(json!({"mail": "a", "city": "x"})),
        Some(&[related(1, false)]),
    );
    heard.take(item(json!({"@removed": {"reason": "changed"}})), None);
    assert_eq!(heard.removed, Some(Removed::Changed));
    assert_eq!(heard.item.get("mail"), Some(&json!("a")));
    heard.take(item(json!({"mail": null})), None);
    assert_eq!(heard.removed, None);
    assert_eq!(heard.item.get("mail"), Some(&Json::Null));
    assert_eq!(heard.item.get("city"), Some(&json!("x")));
    assert_eq!(heard.manager(), Some(Some(id(1))));
    // The former one goes, whatever the order.
    heard.take(Item::new(), Some(&[related(2, false), related(1, true)]));
    assert_eq!(heard.manager(), Some(Some(id(2))));
    heard.take(Item::new(), Some(&[related(1, true)]));
    assert_eq!(heard.manager(), Some(Some(id(2))));
    heard.take(Item::new(), Some(&[related(2, true)]));
    assert_eq!(heard.manager(), Some(None));
}

#[test]
fn an_id_alone_shows_nobody() {
    assert!(is_shown(&item(json!({ UPN: "ana@example.com" }))));
    for hidden in [json!({}), json!({ UPN: null }), json!({ UPN: "" })] {
        assert!(!is_shown(&item(hidden)));
    }
}
