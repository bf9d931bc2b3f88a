//! Random sequences of reads against a model of what the mirror should hold.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use provisor_connectors::{Change, Coverage, Kind, MemberKey, Members};

use super::{SOURCE, group, id, keys, new_store, person, stage, user};
use crate::snapshot::mirror::View;

/// What the mirror should hold: people with their title, groups with their members.
#[derive(Debug, Clone, Default)]
struct Model {
    titles: BTreeMap<u8, u8>,
    groups: BTreeMap<u8, BTreeSet<u8>>,
}

fn a_model() -> impl Strategy<Value = Model> {
    let titles = prop::collection::btree_map(0..8_u8, 0..3_u8, 0..8);
    let lists =
        prop::collection::btree_map(0..3_u8, prop::collection::btree_set(0..8_u8, 0..5), 0..3);
    (titles, lists).prop_map(|(titles, groups)| Model { titles, groups })
}

fn name(number: u8) -> String {
    format!("n{number}")
}

fn names(numbers: &BTreeSet<u8>) -> BTreeSet<MemberKey> {
    numbers
        .iter()
        .map(|number| person(&name(*number)))
        .collect()
}

fn complete(model: &Model) -> Vec<Change> {
    let users = model
        .titles
        .iter()
        .map(|(key, title)| user(&name(*key), &name(*title)));
    let groups = model
        .groups
        .iter()
        .map(|(key, list)| group(&name(*key), Members::Complete(names(list))));
    users.chain(groups).collect()
}

/// The same step as a source that reads only changes tells it.
fn difference(from: &Model, to: &Model) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in from
        .titles
        .keys()
        .filter(|key| !to.titles.contains_key(key))
    {
        changes.push(Change::Removal(Kind::User, id(&name(*key))));
    }
    for key in from
        .groups
        .keys()
        .filter(|key| !to.groups.contains_key(key))
    {
        changes.push(Change::Removal(Kind::Group, id(&name(*key))));
    }
    for (key, title) in &to.titles {
        if from.titles.get(key) != Some(title) {
            changes.push(user(&name(*key), &name(*title)));
        }
    }
    for (key, list) in &to.groups {
        let members = match from.groups.get(key) {
            Some(old) => Members::Changed {
                added: names(&(list - old)),
                removed: names(&(old - list)),
            },
            None => Members::Complete(names(list)),
        };
        changes.push(group(&name(*key), members));
    }
    changes
}

fn observed(view: &View) -> Model {
    let living = |kind| {
        view.rows(kind)
            .map(|row| row.unwrap())
            .filter(|row| row.gone_since.is_none())
            .map(|row| (row.id.as_str()[1..].parse::<u8>().unwrap(), row))
            .collect::<Vec<_>>()
    };
    let titles = living(Kind::User)
        .into_iter()
        .map(|(key, row)| {
            (
                key,
                row.attributes.values("title")[0].to_string()[1..]
                    .parse()
                    .unwrap(),
            )
        })
        .collect();
    let groups = living(Kind::Group)
        .into_iter()
        .map(|(key, row)| {
            let list = view.members(&row.id).unwrap();
            for member in &list {
                assert!(
                    view.groups_of(member).unwrap().contains(&row.id),
                    "both sides agree"
                );
            }
            (
                key,
                list.iter()
                    .map(|member| member.id.as_str()[1..].parse().unwrap())
                    .collect(),
            )
        })
        .collect();
    Model { titles, groups }
}

fn differing(from: &Model, to: &Model) -> BTreeSet<String> {
    let mut changed = BTreeSet::new();
    for key in 0..8 {
        if from.titles.get(&key) != to.titles.get(&key) {
            changed.insert(format!("user {}", name(key)));
        }
        let (old, new) = (from.groups.get(&key), to.groups.get(&key));
        if old != new {
            changed.insert(format!("group {}", name(key)));
            let empty = BTreeSet::new();
            for member in old.unwrap_or(&empty) ^ new.unwrap_or(&empty) {
                changed.insert(format!("user {}", name(member)));
            }
        }
    }
    changed
}

#[derive(Debug, Clone, Copy)]
enum How {
    Complete,
    Changes,
    Dropped,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_mirror_is_what_was_read(
        steps in prop::collection::vec(
            (a_model(), prop::sample::select(vec![How::Complete, How::Changes, How::Dropped]), any::<bool>()),
            1..7,
        )
    ) {
        let (_folder, store) = new_store();
        let mut now = Model::default();
        let mut held: Vec<(View, Model)> = Vec::new();
        for (next, how, hold) in steps {
            let before = store.view(SOURCE).unwrap().generation();
            let (changes, coverage) = match how {
                How::Changes => (difference(&now, &next), Coverage::Changes),
                How::Complete | How::Dropped => (complete(&next), Coverage::Complete),
            };
            let staged = stage(&store, changes, coverage);
            if let How::Dropped = how {
                drop(staged);
            } else {
                staged.publish(None).unwrap();
                let view = store.view(SOURCE).unwrap();
                let told: BTreeSet<String> =
                    keys(view.changed_since(before).unwrap()).into_iter().collect();
                prop_assert_eq!(told, differing(&now, &next));
                now = next;
                if hold {
                    held.push((view, now.clone()));
                }
            }
            let seen = observed(&store.view(SOURCE).unwrap());
            prop_assert_eq!(&seen.titles, &now.titles);
            prop_assert_eq!(&seen.groups, &now.groups);
        }
        for (view, model) in &held {
            let seen = observed(view);
            prop_assert_eq!(&seen.titles, &model.titles);
            prop_assert_eq!(&seen.groups, &model.groups);
        }
        held.clear();
        let last = store.view(SOURCE).unwrap().generation();
        store.forget_tombstones(SOURCE, last, |_| Ok(false)).unwrap();
        let seen = observed(&store.view(SOURCE).unwrap());
        prop_assert_eq!(&seen.titles, &now.titles);
        prop_assert_eq!(&seen.groups, &now.groups);
        store.verify().unwrap();
    }
}
