//! Who is recognised as unchanged without a record.

use provisor_connectors::{Content, Coverage, Cursor, Kind, Lifecycle, Members};

use super::{SOURCE, at, batch, group, new_store, people, read, stage, user};

#[test]
fn an_unchanged_read_publishes_only_a_new_cursor() {
    let (_folder, store) = new_store();
    let changes = || {
        vec![
            user("u1", "a"),
            group("g1", Members::Complete(people(&["u1"]))),
        ]
    };
    read(&store, changes());
    let flushed = store.flush().unwrap();
    let view = read(&store, changes());
    assert_eq!(view.generation(), 1);
    assert_eq!(
        store.flush().unwrap(),
        flushed,
        "nothing was written at all"
    );

    let cursor = Cursor("later".to_owned());
    stage(&store, changes(), Coverage::Complete)
        .publish(Some(&cursor))
        .unwrap();
    assert_eq!(store.cursor(SOURCE).unwrap(), Some(cursor));
    assert_eq!(store.view(SOURCE).unwrap().generation(), 1);
}

/// A person with a title, written down by somebody who would rather not build them.
fn content(title: &str) -> Content {
    let mut content = Content::default();
    content.start(&Lifecycle::Active);
    content.attribute("title");
    content.text(title);
    content
}

#[test]
fn who_is_recognised_as_unchanged_is_there_and_nothing_is_written() {
    let (_folder, store) = new_store();
    let first = vec![user("1", "A"), user("2", "B"), user("3", "C")];
    read(&store, first);
    let stage = store.stage(SOURCE, None).unwrap();
    let unchanged = stage.unchanged();
    assert!(unchanged.confirms("1", &content("A")));
    assert!(unchanged.confirms("2", &content("B")));
    assert!(unchanged.confirms("3", &content("C")));
    let staged = stage.finish(&batch(Coverage::Complete), at(2)).unwrap();
    assert_eq!(staged.generation(), 1, "nothing changed");
    assert_eq!(staged.living(Kind::User), 3);
}

#[test]
fn only_who_is_there_with_this_very_content_is_recognised() {
    let (_folder, store) = new_store();
    read(&store, vec![user("1", "A"), user("2", "B")]);
    read(&store, vec![user("1", "A")]);
    let stage = store.stage(SOURCE, None).unwrap();
    let unchanged = stage.unchanged();
    assert!(!unchanged.confirms("1", &content("B")), "another title");
    assert!(!unchanged.confirms("2", &content("B")), "gone");
    assert!(!unchanged.confirms("3", &content("A")), "never there");
    // Not recognised and not offered either: whoever is left out of a complete read is gone.
    let staged = stage.finish(&batch(Coverage::Complete), at(3)).unwrap();
    assert_eq!(staged.living(Kind::User), 0);
}

#[test]
fn a_change_offered_beside_unchanged_people_touches_nobody_else() {
    let (_folder, store) = new_store();
    read(&store, vec![user("1", "A"), user("2", "B")]);
    let mut stage = store.stage(SOURCE, None).unwrap();
    assert!(stage.unchanged().confirms("1", &content("A")));
    stage.offer(vec![user("2", "C")]).unwrap();
    let staged = stage.finish(&batch(Coverage::Complete), at(2)).unwrap();
    assert_eq!(staged.generation(), 2);
    let changed = staged.view().changed_since(1).unwrap();
    let changed: Vec<&str> = changed.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(changed, ["2"]);
}
