//! What is printed of a record; reading and filtering are tested with the audit log.

use provisor_connectors::Kind;

use super::*;

fn record(entry: Entry) -> Record {
    Record {
        seq: 7,
        time: Some("2026-11-21T09:30:00.250Z".parse().unwrap()),
        content: Content::Entry(Box::new(entry)),
    }
}

fn entry() -> Entry {
    Entry {
        target: "demo".to_owned(),
        kind: Kind::User,
        source: Some("staff".to_owned()),
        source_id: Some("u1".to_owned()),
        resource_id: Some("r9".to_owned()),
        change: "patch".to_owned(),
        reason: "AttributesChanged".to_owned(),
        method: Some("PATCH".to_owned()),
        attributes: vec!["title".to_owned(), "nickName".to_owned()],
        values: None,
        request_id: None,
        outcome: "done".to_owned(),
        status: Some(200),
        generation: 3,
    }
}

fn text_of(record: &Record) -> String {
    let mut text = String::new();
    line(&mut text, record);
    text
}

#[test]
fn a_line_says_when_where_what_whom_and_why() {
    assert_eq!(
        text_of(&record(entry())),
        "2026-11-21T09:30:00.250Z  demo  done    patch       user   staff/u1 -> r9  \
         AttributesChanged  PATCH 200  title nickName\n"
    );
}

#[test]
fn what_was_not_sent_or_is_of_no_record_has_dashes() {
    let entry = Entry {
        source: None,
        source_id: None,
        method: None,
        status: None,
        attributes: Vec::new(),
        change: "adopt".to_owned(),
        ..entry()
    };
    assert_eq!(
        text_of(&record(entry)),
        "2026-11-21T09:30:00.250Z  demo  done    adopt       user   - -> r9  AttributesChanged\n"
    );
}

#[test]
fn an_id_cannot_steer_the_terminal() {
    let entry = Entry {
        resource_id: Some("\u{1b}[2J".to_owned()),
        ..entry()
    };
    assert!(!text_of(&record(entry)).contains('\u{1b}'));
}

#[test]
fn a_note_has_all_the_keys_of_a_record() {
    let keys = |record: &Record| -> Vec<String> {
        let shown = serde_json::to_value(Shown::new(record)).unwrap();
        shown.as_object().unwrap().keys().cloned().collect()
    };
    let note = Record {
        seq: 1,
        time: None,
        content: Content::Note("torn tail set aside".to_owned()),
    };
    assert_eq!(keys(&note), keys(&record(entry())));
}
