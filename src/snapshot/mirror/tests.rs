//! Reads are staged and published against a store on disk.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeZone, Utc};
use provisor_connectors::{
    Attributes, Batch, Change, Coverage, Cursor, Kind, Lifecycle, MemberKey, Members, Record,
    RecordKey, SourceId, Value,
};
use tempfile::TempDir;

use super::{MirrorRow, Stage, Staged, View};
use crate::snapshot::store::{SnapshotError, Store, open_at};

mod edges;
mod model;
mod unchanged;

const SOURCE: &str = "staff";

fn new_store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(&folder.path().join("state"), None).unwrap().store;
    (folder, store)
}

fn reopen(folder: &TempDir, store: Store) -> Store {
    drop(store);
    open_at(&folder.path().join("state"), None).unwrap().store
}

fn at(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, day, 0, 0, 0).unwrap()
}

fn id(text: &str) -> SourceId {
    SourceId::new(text)
}

fn user(key: &str, title: &str) -> Change {
    Change::Upsert(Record {
        kind: Kind::User,
        id: id(key),
        lifecycle: Lifecycle::Active,
        attributes: titled(title),
        members: Members::Complete(BTreeSet::new()),
    })
}

fn titled(title: &str) -> Attributes {
    let values = vec![Value::Text(title.to_owned())];
    Attributes(BTreeMap::from([("title".to_owned(), values)]))
}

fn group(key: &str, members: Members) -> Change {
    Change::Upsert(Record {
        kind: Kind::Group,
        id: id(key),
        lifecycle: Lifecycle::Active,
        attributes: Attributes::default(),
        members,
    })
}

fn people(keys: &[&str]) -> BTreeSet<MemberKey> {
    keys.iter().map(|key| person(key)).collect()
}

fn person(key: &str) -> MemberKey {
    MemberKey {
        kind: Kind::User,
        id: id(key),
    }
}

fn batch(coverage: Coverage) -> Batch {
    Batch {
        tells_lifecycle: true,
        coverage: Kind::ALL.into_iter().map(|kind| (kind, coverage)).collect(),
        cursor: None,
        voided: false,
        unanswered: BTreeMap::new(),
        warnings: Vec::new(),
    }
}

fn stage(store: &Store, changes: Vec<Change>, coverage: Coverage) -> Staged {
    let mut stage: Stage = store.stage(SOURCE, None).unwrap();
    stage.offer(changes).unwrap();
    stage.finish(&batch(coverage), at(1)).unwrap()
}

fn read(store: &Store, changes: Vec<Change>) -> View {
    stage(store, changes, Coverage::Complete)
        .publish(None)
        .unwrap();
    store.view(SOURCE).unwrap()
}

fn read_changes(store: &Store, changes: Vec<Change>) -> View {
    stage(store, changes, Coverage::Changes)
        .publish(None)
        .unwrap();
    store.view(SOURCE).unwrap()
}

fn row(view: &View, key: &str) -> MirrorRow {
    view.row(Kind::User, &id(key)).unwrap().expect("a row")
}

fn title(view: &View, key: &str) -> String {
    row(view, key).attributes.values("title")[0].to_string()
}

fn keys(records: BTreeSet<RecordKey>) -> Vec<String> {
    records
        .into_iter()
        .map(|record| format!("{} {}", record.kind, record.id))
        .collect()
}

fn groups_of(view: &View, key: &str) -> Vec<String> {
    let groups = view.groups_of(&person(key)).unwrap();
    groups.iter().map(ToString::to_string).collect()
}

fn members(view: &View, key: &str) -> BTreeSet<MemberKey> {
    view.members(&id(key)).unwrap()
}

#[test]
fn a_read_is_visible_when_it_is_published_and_not_before() {
    let (_folder, store) = new_store();
    let staged = stage(&store, vec![user("u1", "a")], Coverage::Complete);
    assert_eq!(staged.generation(), 1);
    assert_eq!(staged.living(Kind::User), 1);
    assert_eq!(title(&staged.view(), "u1"), "a");
    let published = store.view(SOURCE).unwrap();
    assert_eq!(published.generation(), 0);
    assert_eq!(published.row(Kind::User, &id("u1")).unwrap(), None);

    let cursor = Cursor("c1".to_owned());
    staged.publish(Some(&cursor)).unwrap();
    assert_eq!(store.cursor(SOURCE).unwrap(), Some(cursor));
    assert_eq!(title(&store.view(SOURCE).unwrap(), "u1"), "a");
    assert_eq!(
        published.row(Kind::User, &id("u1")).unwrap(),
        None,
        "an old view stays as it was"
    );
    store.verify().unwrap();
}

#[test]
fn an_unpublished_read_leaves_nothing_behind() {
    let (_folder, store) = new_store();
    read(&store, vec![user("u1", "a")]);
    drop(stage(&store, vec![user("u2", "b")], Coverage::Complete));
    // The last of them starts a write.
    let mut unfinished = store.stage(SOURCE, None).unwrap();
    unfinished
        .offer((0..450).map(|n| user(&format!("x{n}"), "b")).collect())
        .unwrap();
    drop(unfinished);

    let view = read(&store, vec![user("u1", "a")]);
    assert_eq!(view.generation(), 1, "nothing changed since");
    assert_eq!(view.rows(Kind::User).count(), 1);
    assert!(view.changed_since(1).unwrap().is_empty());
    store.verify().unwrap();
}

#[test]
fn what_a_dead_process_staged_is_discarded_by_the_next_one() {
    let (folder, store) = new_store();
    read(&store, vec![user("u1", "a")]);
    // A process that dies runs no destructor.
    std::mem::forget(stage(&store, vec![user("u2", "b")], Coverage::Complete));
    let copy = folder.path().join("copy");
    copy_folder(&folder.path().join("state"), &copy);

    let store = open_at(&copy, None).unwrap().store;
    assert_eq!(store.view(SOURCE).unwrap().rows(Kind::User).count(), 1);
    let view = read(&store, vec![user("u1", "c")]);
    assert_eq!(view.generation(), 2);
    assert_eq!(title(&view, "u1"), "c");
    assert_eq!(view.row(Kind::User, &id("u2")).unwrap(), None);
    assert_eq!(keys(view.changed_since(1).unwrap()), ["user u1"]);
    store.verify().unwrap();
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let copy = to.join(file.file_name());
        if file.path().is_dir() {
            copy_folder(&file.path(), &copy);
        } else {
            std::fs::copy(file.path(), copy).unwrap();
        }
    }
}

#[test]
fn a_record_that_a_source_calls_present_stays() {
    let (_folder, store) = new_store();
    read(&store, vec![user("u1", "a"), user("u2", "a")]);
    let view = read(&store, vec![Change::Present(Kind::User, id("u1"))]);
    assert_eq!(row(&view, "u1").gone_since, None);
    assert_eq!(row(&view, "u2").gone_since, Some(at(1)));
}

#[test]
fn a_record_that_was_never_there_cannot_be_present() {
    let (_folder, store) = new_store();
    let mut stage = store.stage(SOURCE, None).unwrap();
    let error = stage
        .offer(vec![Change::Present(Kind::User, id("u1"))])
        .unwrap_err();
    assert!(error.to_string().contains("from the beginning"), "{error}");
}

#[test]
fn who_is_gone_leaves_a_tombstone_and_may_come_back() {
    let (_folder, store) = new_store();
    read(&store, vec![user("u1", "a"), user("u2", "a")]);
    let gone = read(&store, vec![user("u2", "a")]);
    assert_eq!(row(&gone, "u1").gone_since, Some(at(1)));
    assert_eq!(title(&gone, "u1"), "a", "a tombstone keeps what was known");
    assert_eq!(keys(gone.changed_since(1).unwrap()), ["user u1"]);

    let still_gone = read(&store, vec![user("u2", "a")]);
    assert_eq!(
        still_gone.generation(),
        2,
        "gone once is not a change twice"
    );

    let back = read(&store, vec![user("u1", "a"), user("u2", "a")]);
    assert_eq!(row(&back, "u1").gone_since, None);
    assert_eq!(keys(back.changed_since(2).unwrap()), ["user u1"]);
    store.verify().unwrap();
}

#[test]
fn a_read_of_changes_takes_nobody_for_gone_but_whom_it_names() {
    let (_folder, store) = new_store();
    read(&store, vec![user("u1", "a"), user("u2", "a")]);
    let view = read_changes(
        &store,
        vec![Change::Removal(Kind::User, id("u2")), user("u3", "a")],
    );
    assert_eq!(row(&view, "u1").gone_since, None);
    assert_eq!(row(&view, "u2").gone_since, Some(at(1)));
    assert_eq!(row(&view, "u3").gone_since, None);
}

#[test]
fn a_kind_that_was_not_read_stands() {
    let (_folder, store) = new_store();
    read(
        &store,
        vec![
            user("u1", "a"),
            group("g1", Members::Complete(people(&["u1"]))),
        ],
    );
    let mut only_groups = batch(Coverage::Complete);
    only_groups.coverage.remove(&Kind::User);
    let stage = store.stage(SOURCE, None).unwrap();
    stage
        .finish(&only_groups, at(1))
        .unwrap()
        .publish(None)
        .unwrap();
    let view = store.view(SOURCE).unwrap();
    assert_eq!(row(&view, "u1").gone_since, None);
    assert!(
        view.row(Kind::Group, &id("g1"))
            .unwrap()
            .unwrap()
            .gone_since
            .is_some()
    );
}

#[test]
fn the_last_word_of_one_read_counts() {
    let (_folder, store) = new_store();
    let removal = |key| Change::Removal(Kind::User, id(key));
    read(&store, vec![user("u1", "a"), user("u2", "a")]);
    let view = read_changes(
        &store,
        vec![
            removal("u1"),
            user("u1", "b"),
            user("u2", "b"),
            removal("u2"),
            user("u3", "a"),
            user("u3", "b"),
            user("u4", "a"),
            removal("u4"),
        ],
    );
    assert_eq!(title(&view, "u1"), "b");
    assert_eq!(row(&view, "u1").gone_since, None);
    assert_eq!(row(&view, "u2").gone_since, Some(at(1)));
    assert_eq!(title(&view, "u3"), "b");
    assert_eq!(row(&view, "u4").gone_since, Some(at(1)));
    store.forget_tombstones(SOURCE, 2, |_| Ok(false)).unwrap();
    assert_eq!(keys(view.changed_since(1).unwrap()), ["user u1", "user u3"]);
    store.verify().unwrap();
}

#[test]
fn twenty_records_make_an_attribute_vanish_and_nineteen_do_not() {
    for (count, expected) in [(19, false), (20, true)] {
        let (_folder, store) = new_store();
        let with = |title: &str| -> Vec<Change> {
            (0..count)
                .map(|number| user(&format!("u{number}"), title))
                .collect()
        };
        read(&store, with("a"));
        let without: Vec<Change> = (0..count)
            .map(|number| {
                Change::Upsert(Record {
                    kind: Kind::User,
                    id: id(&format!("u{number}")),
                    lifecycle: Lifecycle::Active,
                    attributes: Attributes::default(),
                    members: Members::Complete(BTreeSet::new()),
                })
            })
            .collect();
        let staged = stage(&store, without.clone(), Coverage::Complete);
        assert_eq!(
            staged.vanished().contains_key(&Kind::User),
            expected,
            "{count} records"
        );
        drop(staged);

        let mut one_left = without.clone();
        one_left[0] = user("u0", "a");
        let staged = stage(&store, one_left, Coverage::Complete);
        assert!(staged.vanished().is_empty(), "one still has it");
        drop(staged);

        let staged = stage(&store, without.clone(), Coverage::Changes);
        assert!(
            staged.vanished().is_empty(),
            "only a complete read can say so"
        );
        drop(staged);

        let mut unused = store.stage(SOURCE, Some(BTreeSet::new())).unwrap();
        unused.offer(without).unwrap();
        let staged = unused.finish(&batch(Coverage::Complete), at(1)).unwrap();
        assert!(staged.vanished().is_empty(), "nobody uses it any more");
    }
}

/// Fails when `count` takes no notice of the lifecycle: an old recycle bin would make a source that
/// finds nobody any more look like one that has somebody, with every attribute.
#[test]
fn who_is_in_a_recycle_bin_is_no_sign_that_a_source_has_people() {
    let (_folder, store) = new_store();
    let in_the_bin = |change: Change| match change {
        Change::Upsert(record) => Change::Upsert(Record {
            lifecycle: Lifecycle::SoftDeleted { since: None },
            ..record
        }),
        other => other,
    };
    let people = |count: usize| (0..count).map(|number| user(&format!("u{number}"), "a"));
    let staged = stage(&store, people(20).collect(), Coverage::Complete);
    assert_eq!(staged.present_people(), 20);
    staged.publish(None).unwrap();
    let left = || people(2).map(in_the_bin).collect();
    let staged = stage(&store, left(), Coverage::Complete);
    assert_eq!(staged.living(Kind::User), 2);
    assert_eq!(staged.present_people(), 0);
    assert!(staged.vanished().contains_key(&Kind::User));
    staged.publish(None).unwrap();
    // Of those who were in it, one comes back and the other is gone.
    let staged = stage(&store, people(1).collect(), Coverage::Complete);
    assert_eq!(staged.present_people(), 1);
    staged.publish(None).unwrap();
    assert_eq!(
        stage(&store, Vec::new(), Coverage::Complete).present_people(),
        0
    );
}

#[test]
fn attributes_that_are_not_in_use_are_neither_kept_nor_compared() {
    let (_folder, store) = new_store();
    let read = |text: &str| {
        let mut stage = store
            .stage(SOURCE, Some(BTreeSet::from(["mail".to_owned()])))
            .unwrap();
        stage.offer(vec![user("u1", text)]).unwrap();
        stage
            .finish(&batch(Coverage::Complete), at(1))
            .unwrap()
            .publish(None)
            .unwrap();
        store.view(SOURCE).unwrap()
    };
    assert!(row(&read("a"), "u1").attributes.0.is_empty());
    assert_eq!(read("b").generation(), 1);
}

#[test]
fn a_view_keeps_its_generation_while_others_publish() {
    let (_folder, store) = new_store();
    let old = read(&store, vec![user("u1", "a"), user("u2", "a")]);
    read(&store, vec![user("u1", "b")]);
    let new = read(&store, vec![user("u1", "c")]);
    assert_eq!(title(&old, "u1"), "a");
    assert_eq!(row(&old, "u2").gone_since, None);
    assert_eq!(old.rows(Kind::User).count(), 2);
    assert_eq!(title(&new, "u1"), "c");

    // Nobody looks at it any more: the next read collects it, and only the newest is left.
    drop((old, new));
    let view = read(&store, vec![user("u1", "c")]);
    assert_eq!(title(&view, "u1"), "c");
    let versions = view.shared.tables.prefix(super::Table::Rows, &[]).count();
    assert_eq!(versions, 2);
    store.verify().unwrap();
}

#[test]
fn a_source_is_staged_once_at_a_time() {
    let (_folder, store) = new_store();
    let first = store.stage(SOURCE, None).unwrap();
    assert!(matches!(
        store.stage(SOURCE, None),
        Err(SnapshotError::Staging { .. })
    ));
    store.stage("other", None).unwrap();
    drop(first);
    store.stage(SOURCE, None).unwrap();
}

#[test]
fn tombstones_are_forgotten_when_every_target_has_seen_them() {
    let (folder, store) = new_store();
    let list = Members::Complete(people(&["u1"]));
    read(&store, vec![user("u1", "a"), group("g1", list)]);
    drop(read(
        &store,
        vec![group("g1", Members::Complete(BTreeSet::new()))],
    ));
    store.forget_tombstones(SOURCE, 1, |_| Ok(false)).unwrap();
    assert!(
        row(&store.view(SOURCE).unwrap(), "u1").gone_since.is_some(),
        "not seen yet"
    );

    store.forget_tombstones(SOURCE, 2, |_| Ok(false)).unwrap();
    let view = store.view(SOURCE).unwrap();
    assert_eq!(view.row(Kind::User, &id("u1")).unwrap(), None);
    assert_eq!(
        view.shared.tables.prefix(super::Table::Edges, &[]).count(),
        0
    );
    drop(view);
    store.verify().unwrap();

    let store = reopen(&folder, store);
    let view = read(&store, vec![user("u1", "a")]);
    assert_eq!(row(&view, "u1").gone_since, None);
    store.verify().unwrap();
}

#[test]
fn tombstones_of_people_who_are_kept_stay() {
    let (_folder, store) = new_store();
    read(
        &store,
        vec![user("u1", "a"), user("u2", "a"), user("u3", "a")],
    );
    drop(read(&store, vec![user("u3", "a")]));
    store
        .forget_tombstones(SOURCE, 2, |record| Ok(record.id.as_str() == "u1"))
        .unwrap();
    let view = store.view(SOURCE).unwrap();
    assert!(row(&view, "u1").gone_since.is_some());
    assert_eq!(view.row(Kind::User, &id("u2")).unwrap(), None);
    assert_eq!(row(&view, "u3").gone_since, None);
    drop(view);
    store.verify().unwrap();
}

#[test]
fn sources_do_not_see_each_other() {
    let (_folder, store) = new_store();
    read(&store, vec![user("u1", "a")]);
    let mut other = store.stage("staff2", None).unwrap();
    other.offer(vec![user("u2", "b")]).unwrap();
    other
        .finish(&batch(Coverage::Complete), at(1))
        .unwrap()
        .publish(None)
        .unwrap();
    let view = store.view(SOURCE).unwrap();
    assert_eq!(view.rows(Kind::User).count(), 1);
    assert_eq!(row(&view, "u1").gone_since, None);
    assert_eq!(store.names().unwrap().0, ["staff", "staff2"]);
}

// Fails without the comparison of digests in `DigestTable::confirm`.
