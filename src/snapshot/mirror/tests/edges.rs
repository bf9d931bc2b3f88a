//! What a read says of memberships.

use std::collections::BTreeSet;

use provisor_connectors::{Kind, Members};

use super::super::View;
use super::{group, groups_of, id, keys, members, new_store, people, read, read_changes, user};

#[test]
fn edges_change_one_by_one_and_both_ends_are_told() {
    let (_folder, store) = new_store();
    let users = || vec![user("u1", "a"), user("u2", "a"), user("u3", "a")];
    let with = |keys: &[&str]| {
        let mut changes = users();
        changes.push(group("g1", Members::Complete(people(keys))));
        changes
    };
    read(&store, with(&["u1", "u2"]));
    let view = read(&store, with(&["u2", "u3"]));
    assert_eq!(members(&view, "g1"), people(&["u2", "u3"]));
    assert_eq!(groups_of(&view, "u1"), Vec::<String>::new());
    assert_eq!(groups_of(&view, "u3"), ["g1"]);
    assert_eq!(
        keys(view.changed_since(1).unwrap()),
        ["user u1", "user u3", "group g1"]
    );
    let group_row = view.row(Kind::Group, &id("g1")).unwrap().unwrap();
    assert_eq!(group_row.generation, 1, "the row itself did not change");
    store.verify().unwrap();
}

#[test]
fn changed_members_are_applied_to_the_list() {
    let (_folder, store) = new_store();
    let changed = |added: &[&str], removed: &[&str]| {
        let members = Members::Changed {
            added: people(added),
            removed: people(removed),
        };
        vec![group("g1", members)]
    };
    read(
        &store,
        vec![group("g1", Members::Complete(people(&["u1", "u2"])))],
    );
    let view = read_changes(&store, changed(&["u3", "u1"], &["u2", "u9"]));
    assert_eq!(members(&view, "g1"), people(&["u1", "u3"]));
    assert_eq!(
        keys(view.changed_since(1).unwrap()),
        ["user u2", "user u3", "group g1"]
    );

    // The digest followed: the same list read completely is no change.
    let same = read(
        &store,
        vec![group("g1", Members::Complete(people(&["u1", "u3"])))],
    );
    assert_eq!(same.generation(), 2);
}

#[test]
fn an_unknown_member_list_leaves_the_members_and_is_not_taken_for_a_known_one() {
    let (_folder, store) = new_store();
    let known = |view: &View, key: &str| {
        view.row(Kind::Group, &id(key))
            .unwrap()
            .unwrap()
            .members_known
    };
    let first = read(
        &store,
        vec![
            group("g1", Members::Complete(people(&["u1"]))),
            group("g2", Members::Unknown),
        ],
    );
    assert!(known(&first, "g1"));
    assert!(!known(&first, "g2"));

    let second = read(
        &store,
        vec![group("g1", Members::Unknown), group("g2", Members::Unknown)],
    );
    assert_eq!(second.generation(), 1);
    assert_eq!(members(&second, "g1"), people(&["u1"]));

    let empty = || Members::Complete(BTreeSet::new());
    let third = read(
        &store,
        vec![group("g1", Members::Unknown), group("g2", empty())],
    );
    assert!(known(&third, "g2"), "an empty list that was read is known");
    assert_eq!(keys(third.changed_since(1).unwrap()), ["group g2"]);
}

#[test]
fn a_group_that_is_gone_loses_its_edges_and_a_member_that_is_gone_does_not() {
    let (_folder, store) = new_store();
    let list = || Members::Complete(people(&["u1"]));
    read(
        &store,
        vec![user("u1", "a"), group("g1", list()), group("g2", list())],
    );
    let view = read(&store, vec![group("g2", list())]);
    assert_eq!(groups_of(&view, "u1"), ["g2"]);
    assert!(members(&view, "g1").is_empty());

    let back = read(
        &store,
        vec![user("u1", "a"), group("g1", list()), group("g2", list())],
    );
    assert_eq!(groups_of(&back, "u1"), ["g1", "g2"]);
    store.verify().unwrap();
}
