use chrono::Utc;
use serde_json::json;

use super::*;
use crate::sandbox::schema::Kind;

fn change(state: &State, id: &str) -> Change {
    let attributes = json!({"userName": id});
    let attributes = attributes.as_object().expect("an object").clone();
    let now = Utc::now();
    match state.ids_hold(id) {
        true => {
            let current = state.get(Kind::User, id).expect("it is there");
            let mut attributes = attributes;
            attributes.insert("title".to_owned(), json!(current.etag()));
            let change = state.replace(current, attributes, now).expect("valid");
            change.expect("a change")
        }
        false => state
            .create(Kind::User, id.to_owned(), attributes, now)
            .expect("valid"),
    }
}

impl State {
    fn ids_hold(&self, id: &str) -> bool {
        self.get(Kind::User, id).is_ok()
    }
}

fn append(opened: &mut Opened, ids: &[&str]) {
    for id in ids {
        let change = change(&opened.state, id);
        opened.state.apply(change.clone());
        let (written, heard) = oneshot::channel();
        opened.journal.append(Record {
            changes: vec![change],
            request: "{}".to_owned(),
            written,
        });
        heard.blocking_recv().expect("an answer").expect("written");
    }
}

fn ids(state: &State) -> Vec<String> {
    state.all().map(|resource| resource.id.clone()).collect()
}

#[test]
fn a_torn_last_line_is_dropped_and_the_rest_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open(folder.path()).unwrap();
    append(&mut opened, &["a", "b"]);
    opened.journal.finish();
    for name in [RESOURCES, REQUESTS] {
        let path = folder.path().join(name);
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"put\":{\"order\":2,");
        fs::write(&path, text).unwrap();
    }

    let mut opened = open(folder.path()).unwrap();
    assert_eq!(ids(&opened.state), ["a", "b"]);
    assert_eq!(opened.requests, 2);
    append(&mut opened, &["c"]);
    opened.journal.finish();
    let opened = open(folder.path()).unwrap();
    assert_eq!(ids(&opened.state), ["a", "b", "c"]);
    assert_eq!(opened.requests, 3);
    opened.journal.finish();
}

#[test]
fn a_damaged_line_in_the_middle_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open(folder.path()).unwrap();
    append(&mut opened, &["a", "b"]);
    opened.journal.finish();
    let path = folder.path().join(RESOURCES);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("nonsense\n{text}")).unwrap();
    match open(folder.path()).map(|_| ()) {
        Err(SandboxError::Damaged { line: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_folder_serves_one_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path()).unwrap();
    let second = open(folder.path()).map(|_| ());
    assert!(
        matches!(second, Err(SandboxError::InUse { .. })),
        "{second:?}"
    );
    opened.journal.finish();
    open(folder.path()).unwrap().journal.finish();
}

#[test]
fn a_long_journal_is_rewritten_to_what_is_alive() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open(folder.path()).unwrap();
    append(&mut opened, &["a", "b"]);
    let path = folder.path().join(RESOURCES);
    let line = serde_json::to_string(&change(&opened.state, "a")).unwrap();
    opened.journal.finish();
    let mut file = create_options().open(&path).unwrap();
    file.write_all(format!("{line}\n").repeat(SMALL).as_bytes())
        .unwrap();

    let opened = open(folder.path()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    assert_eq!(ids(&opened.state), ["a", "b"]);
    assert_eq!(opened.state.next_order(), 2);
    opened.journal.finish();
    assert_eq!(ids(&open(folder.path()).unwrap().state), ["a", "b"]);
}
