//! Commits against a store on disk: the indexes and totals must follow the links.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use provisor_connectors::{Kind, RecordKey, SourceId};
use serde_json::json;
use tempfile::TempDir;

use super::{Contested, Progress, Spent, TargetChange, TargetStore, Totals};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId};
use crate::snapshot::link::{Due, Intent, Link, MemberEdge, Open, Origin};
use crate::snapshot::store::{Store, open_at};

fn new_target() -> (TempDir, Store, TargetStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(&folder.path().join("state"), None).unwrap().store;
    let target = store.target("demo");
    (folder, store, target)
}

fn record(kind: Kind, id: &str) -> RecordKey {
    RecordKey {
        source: "staff".to_owned(),
        kind,
        id: SourceId::new(id),
    }
}

fn person(id: &str) -> RecordKey {
    record(Kind::User, id)
}

fn group(id: &str) -> RecordKey {
    record(Kind::Group, id)
}

fn resource(id: &str) -> ResourceId {
    ResourceId(id.to_owned())
}

fn link(resource: &str, values: &[(&str, &str)]) -> Box<Link> {
    Box::new(Link {
        resource: ResourceId(resource.to_owned()),
        origin: Origin::Created,
        acknowledged: values
            .iter()
            .map(|(path, value)| (path.parse().unwrap(), json!(value)))
            .collect(),
        active: true,
        deactivated: None,
        foreign_external_id: None,
        unsettled: false,
        missing: false,
        own_forms: BTreeMap::new(),
        sent: BTreeSet::new(),
        keys_sent: BTreeMap::new(),
    })
}

fn at(minute: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 9, minute, 0).unwrap()
}

fn owners(target: &TargetStore, path: &str, folded: &str) -> Vec<String> {
    let path: AttributePath = path.parse().unwrap();
    let found = target.owners_of(Kind::User, &path, folded).unwrap();
    found
        .into_iter()
        .map(|record| record.id.to_string())
        .collect()
}

use TargetChange::{
    CloseIntent, DropLink, DropMember, DropOpen, ForgetSpent, PutIntent, PutLink, PutMember,
    PutOpen, PutProgress, Spend, SpendAgain,
};

#[test]
fn a_link_is_found_by_record_by_resource_and_by_value() {
    let (_folder, store, target) = new_target();
    let ana = link(
        "r1",
        &[
            ("userName", "Ana@Example.com"),
            ("emails[type eq \"work\"].value", "ana@example.com"),
            ("title", "Engineer"),
        ],
    );
    target
        .commit(vec![PutLink(person("u1"), ana.clone())])
        .unwrap();
    assert_eq!(target.link(&person("u1")).unwrap(), Some(*ana));
    assert_eq!(
        target.owner(Kind::User, &resource("r1")).unwrap(),
        Some(person("u1"))
    );
    assert_eq!(target.owner(Kind::Group, &resource("r1")).unwrap(), None);
    assert_eq!(owners(&target, "userName", "ana@example.com"), ["u1"]);
    assert_eq!(
        owners(&target, "emails[type eq \"work\"].value", "ana@example.com"),
        ["u1"]
    );
    assert!(owners(&target, "title", "Engineer").is_empty(), "not a key");
    assert!(owners(&store.target("demo2"), "userName", "ana@example.com").is_empty());
    store.verify().unwrap();
}

#[test]
fn a_replaced_link_leaves_no_trace_in_the_indexes() {
    let (_folder, store, target) = new_target();
    target
        .commit(vec![PutLink(
            person("u1"),
            link("r1", &[("userName", "old@example.com")]),
        )])
        .unwrap();
    let mut new = link("r2", &[("userName", "new@example.com")]);
    new.active = false;
    target.commit(vec![PutLink(person("u1"), new)]).unwrap();
    assert_eq!(target.owner(Kind::User, &resource("r1")).unwrap(), None);
    assert_eq!(
        target.owner(Kind::User, &resource("r2")).unwrap(),
        Some(person("u1"))
    );
    assert!(owners(&target, "userName", "old@example.com").is_empty());
    let totals = target.totals().unwrap();
    assert_eq!((totals.users, totals.active_users), (1, 0));

    target.commit(vec![DropLink(person("u1"))]).unwrap();
    assert_eq!(target.owner(Kind::User, &resource("r2")).unwrap(), None);
    assert!(owners(&target, "userName", "new@example.com").is_empty());
    assert_eq!(target.totals().unwrap(), Totals::default());
    store.verify().unwrap();
}

/// More than have room in one bundle of the index.
#[test]
fn a_value_that_hundreds_have_finds_each_of_them() {
    let (_folder, store, target) = new_target();
    let shared = "noreply@example.com";
    let path = "emails[type eq \"work\"].value";
    let names: Vec<String> = (100..400).map(|number| format!("u{number}")).collect();
    for name in &names {
        let link = link(&format!("r-{name}"), &[("userName", name), (path, shared)]);
        target.commit(vec![PutLink(person(name), link)]).unwrap();
    }
    assert_eq!(owners(&target, path, shared), names);

    let (moved, left) = names.split_at(150);
    for name in moved.iter().rev() {
        let other = link(&format!("r-{name}"), &[("userName", name), (path, name)]);
        target.commit(vec![PutLink(person(name), other)]).unwrap();
        assert_eq!(owners(&target, path, name), [name.as_str()]);
    }
    assert_eq!(owners(&target, path, shared), left);
    let drops = left.iter().map(|name| DropLink(person(name))).collect();
    target.commit(drops).unwrap();
    assert!(owners(&target, path, shared).is_empty());
    store.verify().unwrap();
}

#[test]
fn a_link_moves_to_a_rehired_record_in_either_order() {
    for drop_first in [true, false] {
        let (_folder, _store, target) = new_target();
        let values = [("userName", "ana@example.com")];
        target
            .commit(vec![PutLink(person("old"), link("r1", &values))])
            .unwrap();
        let mut changes = vec![
            DropLink(person("old")),
            PutLink(person("new"), link("r1", &values)),
        ];
        if !drop_first {
            changes.reverse();
        }
        target.commit(changes).unwrap();
        assert_eq!(
            target.owner(Kind::User, &resource("r1")).unwrap(),
            Some(person("new"))
        );
        assert_eq!(owners(&target, "userName", "ana@example.com"), ["new"]);
        assert_eq!(target.totals().unwrap().users, 1);
    }
}

#[test]
fn member_edges_are_found_from_both_ends_and_counted_once() {
    let (_folder, store, target) = new_target();
    let (eng, ops) = (group("eng"), group("ops"));
    target
        .commit(vec![
            PutLink(eng.clone(), link("g1", &[("displayName", "Engineering")])),
            PutMember(eng.clone(), resource("r1"), MemberEdge::Found),
            PutMember(eng.clone(), resource("r1"), MemberEdge::Added),
            PutMember(eng.clone(), resource("r2"), MemberEdge::Added),
            PutMember(ops.clone(), resource("r1"), MemberEdge::Added),
            DropMember(ops.clone(), resource("r9")),
        ])
        .unwrap();
    assert_eq!(target.totals().unwrap().members, 3);
    let members = target.members(&eng).unwrap();
    assert_eq!(members[&resource("r1")], MemberEdge::Added);
    assert_eq!(
        target.groups_with(&resource("r1")).unwrap(),
        BTreeSet::from([eng.clone(), ops.clone()])
    );

    target.commit(vec![DropLink(eng.clone())]).unwrap();
    assert!(target.members(&eng).unwrap().is_empty());
    assert_eq!(
        target.groups_with(&resource("r1")).unwrap(),
        BTreeSet::from([ops])
    );
    assert_eq!(target.totals().unwrap().members, 1);
    store.verify().unwrap();
}

#[test]
fn a_group_whose_resource_was_made_anew_starts_without_edges() {
    let (_folder, _store, target) = new_target();
    let eng = group("eng");
    target
        .commit(vec![
            PutLink(eng.clone(), link("g1", &[])),
            PutMember(eng.clone(), resource("r1"), MemberEdge::Added),
        ])
        .unwrap();
    target
        .commit(vec![PutLink(eng.clone(), link("g1", &[]))])
        .unwrap();
    assert_eq!(
        target.members(&eng).unwrap().len(),
        1,
        "the same resource keeps them"
    );
    target
        .commit(vec![PutLink(eng.clone(), link("g2", &[]))])
        .unwrap();
    assert!(target.members(&eng).unwrap().is_empty());
}

#[test]
fn a_large_group_is_dropped_whole() {
    let (_folder, store, target) = new_target();
    let eng = group("eng");
    let mut changes = vec![PutLink(eng.clone(), link("g1", &[]))];
    for number in 0..1_000 {
        let member = resource(&format!("r{number}"));
        changes.push(PutMember(eng.clone(), member, MemberEdge::Added));
    }
    target.commit(changes).unwrap();
    assert_eq!(target.totals().unwrap().members, 1_000);
    target.commit(vec![DropLink(eng.clone())]).unwrap();
    assert!(target.members(&eng).unwrap().is_empty());
    assert!(target.groups_with(&resource("r7")).unwrap().is_empty());
    assert_eq!(target.totals().unwrap(), Totals::default());
    store.verify().unwrap();
}

#[test]
fn links_come_in_the_order_of_their_keys() {
    let (_folder, _store, target) = new_target();
    let mut records = vec![group("a"), person("u10"), person("u1"), person("u2")];
    let changes = records
        .iter()
        .map(|record| PutLink(record.clone(), link(&format!("r-{}", record.id), &[])));
    target.commit(changes.collect()).unwrap();
    records.sort();
    let found: Vec<RecordKey> = target.links().map(|pair| pair.unwrap().0).collect();
    assert_eq!(found, records);
}

#[test]
fn intents_and_open_rows_are_closed_by_record() {
    let (_folder, _store, target) = new_target();
    let intent = Intent {
        at: at(0),
        attributes: AttributeMap::from([(AttributePath::user_name(), json!("ana@example.com"))]),
        members: BTreeSet::new(),
        refused: false,
        earlier: None,
    };
    let open = Open {
        why: "OverLimit".to_owned(),
        due: Due::Now,
        attempts: 0,
        failed: false,
        awaits: None,
    };
    target
        .commit(vec![
            PutIntent(person("u1"), Box::new(intent.clone())),
            PutIntent(person("u2"), Box::new(intent.clone())),
            PutOpen(person("u1"), open.clone()),
        ])
        .unwrap();
    assert_eq!(
        target.open().unwrap(),
        BTreeMap::from([(person("u1"), open)])
    );
    target
        .commit(vec![
            PutLink(person("u1"), link("r1", &[])),
            CloseIntent(person("u1")),
            DropOpen(person("u1")),
        ])
        .unwrap();
    assert_eq!(
        target.intents().unwrap(),
        BTreeMap::from([(person("u2"), intent)])
    );
    assert!(target.open().unwrap().is_empty());
}

#[test]
fn spending_is_counted_in_its_window() {
    let (_folder, store, target) = new_target();
    let spent = |amount| Spent {
        limit: "deactivations".to_owned(),
        amount,
        group: None,
    };
    target
        .commit(vec![
            Spend(at(0), spent(1)),
            Spend(at(5), spent(2)),
            Spend(at(5), spent(3)),
        ])
        .unwrap();
    target.commit(vec![Spend(at(5), spent(4))]).unwrap();
    let amounts = |from| -> Vec<u64> {
        let found = target.spent_since(from).unwrap();
        found.iter().map(|(_, spent)| spent.amount).collect()
    };
    assert_eq!(amounts(at(0)), [1, 2, 3, 4]);
    assert_eq!(amounts(at(5)), [2, 3, 4]);
    assert_eq!(amounts(at(5) + TimeDelta::milliseconds(1)), [0_u64; 0]);
    let past_the_key = TimeDelta::nanoseconds(999);
    assert!(target.keeps_spending(at(0) + past_the_key).unwrap());
    target.commit(vec![ForgetSpent(at(5))]).unwrap();
    assert!(!target.keeps_spending(at(0)).unwrap());
    assert!(target.keeps_spending(at(5)).unwrap());
    assert_eq!(amounts(at(0)), [2, 3, 4]);
    store.verify().unwrap();
}

#[test]
fn what_is_spent_again_counts_once_and_from_then_on() {
    let (_folder, store, target) = new_target();
    let spent = Spent {
        limit: "deactivations".to_owned(),
        amount: 1,
        group: None,
    };
    let counts = |from| target.spent_since(from).unwrap().len();
    target
        .commit(vec![
            Spend(at(0), spent.clone()),
            Spend(at(0), spent.clone()),
        ])
        .unwrap();
    target
        .commit(vec![SpendAgain(at(0), at(5), spent.clone())])
        .unwrap();
    assert_eq!((counts(at(0)), counts(at(5))), (2, 1));
    // Nothing is written over where one was taken away.
    target.commit(vec![Spend(at(0), spent.clone())]).unwrap();
    target.commit(vec![Spend(at(0), spent.clone())]).unwrap();
    assert_eq!((counts(at(0)), counts(at(5))), (4, 1));
    // What was forgotten meanwhile is counted anew.
    target
        .commit(vec![SpendAgain(at(1), at(6), spent)])
        .unwrap();
    assert_eq!((counts(at(0)), counts(at(5))), (5, 2));
    store.verify().unwrap();
}

#[test]
fn a_reset_forgets_what_was_linked_and_keeps_what_was_spent() {
    let (_folder, store, target) = new_target();
    let progress = Progress {
        fingerprint: "https://scim.example.com".to_owned(),
        ..Progress::default()
    };
    let mut changes = vec![
        PutLink(group("eng"), link("g1", &[])),
        PutMember(group("eng"), resource("r1"), MemberEdge::Added),
        PutMember(group("unlinked"), resource("r1"), MemberEdge::Found),
        PutProgress(Box::new(progress.clone())),
        Spend(
            at(0),
            Spent {
                limit: "deletions".to_owned(),
                amount: 1,
                group: None,
            },
        ),
    ];
    for number in 0..400 {
        let name = format!("user{number}@example.com");
        changes.push(PutLink(
            person(&format!("u{number}")),
            link(&format!("r{number}"), &[("userName", &name)]),
        ));
    }
    target.commit(changes).unwrap();
    let other = store.target("demo2");
    other
        .commit(vec![PutLink(person("u1"), link("r1", &[]))])
        .unwrap();

    target.reset().unwrap();
    assert_eq!(target.links().count(), 0);
    assert_eq!(target.totals().unwrap(), Totals::default());
    assert_eq!(target.owner(Kind::User, &resource("r1")).unwrap(), None);
    assert!(owners(&target, "userName", "user1@example.com").is_empty());
    assert!(target.groups_with(&resource("r1")).unwrap().is_empty());
    assert_eq!(target.progress().unwrap(), progress);
    assert_eq!(target.spent_since(at(0)).unwrap().len(), 1);
    assert_eq!(other.links().count(), 1, "another target is not touched");
    assert_eq!(store.names().unwrap().1, ["demo", "demo2"]);
    store.verify().unwrap();
}

/// Whom a creation is answered with the resource of. Fails when `commit_all` does not ask whether what
/// was made is contested, and, in this order, when it does not ask whether the other is switched on,
/// and whether it is missing.
#[test]
fn what_a_creation_has_made_is_nobody_elses() {
    let (_folder, _store, target) = new_target();
    let (ana, bo) = (person("ana"), person("bo"));
    let spent = Spent {
        limit: "recreations".to_owned(),
        amount: 1,
        group: None,
    };
    let made = || {
        vec![
            TargetChange::LinkMade(bo.clone(), link("r1", &[("userName", "bo")])),
            TargetChange::CloseIntent(bo.clone()),
            TargetChange::Spend(at(0), spent.clone()),
        ]
    };
    let intent = Intent {
        at: at(0),
        attributes: AttributeMap::new(),
        members: BTreeSet::new(),
        refused: false,
        earlier: None,
    };
    let intent = TargetChange::PutIntent(bo.clone(), Box::new(intent));
    let owner = || {
        let owner = target.owner(Kind::User, &resource("r1"));
        owner.unwrap()
    };

    let anas = link("r1", &[("userName", "ana")]);
    let linked = TargetChange::PutLink(ana.clone(), anas.clone());
    target.commit(vec![linked, intent]).unwrap();
    let contested = target.commit_all(vec![made()]).unwrap();
    assert_eq!(contested, Contested::from([(bo.clone(), ana.clone())]));
    assert_eq!(
        (target.link(&bo).unwrap(), owner()),
        (None, Some(ana.clone()))
    );
    assert!(target.intent(&bo).unwrap().is_some(), "it stays in doubt");
    assert_eq!(target.spent_since(at(0)).unwrap().len(), 1);

    // Switched off by us, and there for somebody else: the id was given away.
    let mut off = anas.clone();
    off.active = false;
    target
        .commit(vec![TargetChange::PutLink(ana.clone(), off)])
        .unwrap();
    assert!(target.commit_all(vec![made()]).unwrap().is_empty());
    assert_eq!(owner(), Some(bo.clone()));
    assert_eq!(target.link(&ana).unwrap(), None);
    assert!(target.intent(&bo).unwrap().is_none());

    // Gone, and there for somebody else. What the other had is still to be known of them.
    let mut gone = anas;
    gone.missing = true;
    let lost = TargetChange::DropLink(bo.clone());
    target
        .commit(vec![lost, TargetChange::PutLink(ana.clone(), gone)])
        .unwrap();
    assert!(target.commit_all(vec![made()]).unwrap().is_empty());
    assert_eq!(owner(), Some(bo));
    assert!(target.link(&ana).unwrap().is_some());
}

/// Ana is missing, and Bo was made under her id. Fails when `put_link` gives what is missing its
/// resource back, and, of the membership, without `doubt_edges`: what the target has made of it only
/// a listing tells.
#[test]
fn what_is_made_under_the_id_of_the_missing_stays_whose_it_is() {
    let (_folder, store, target) = new_target();
    let (ana, bo) = (person("ana"), person("bo"));
    let mut gone = link("r1", &[("userName", "ana")]);
    gone.missing = true;
    let put_gone = || TargetChange::PutLink(ana.clone(), gone.clone());
    let edge = TargetChange::PutMember(group("eng"), resource("r1"), MemberEdge::Orphaned);
    target.commit(vec![put_gone(), edge]).unwrap();
    let made = TargetChange::LinkMade(bo.clone(), link("r1", &[("userName", "bo")]));
    target.commit_all(vec![vec![made]]).unwrap();
    let edge = target.member(&group("eng"), &resource("r1")).unwrap();
    assert_eq!(edge, Some(MemberEdge::Sent));
    target.commit(vec![put_gone()]).unwrap();
    let owner = || target.owner(Kind::User, &resource("r1")).unwrap();
    assert_eq!(owner(), Some(bo.clone()));
    target.commit(vec![TargetChange::DropLink(ana)]).unwrap();
    assert_eq!(owner(), Some(bo));
    store.verify().unwrap();
}
