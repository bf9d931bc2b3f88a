//! Histories: what directories say one after the other, and who meddles at the target.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use crate::plan::input::Standing;
use crate::plan::rules::{Stale, WhenGone};
use crate::plan::tests::World;
use crate::plan::tests::world::{TargetUser, path};

pub(super) const PEOPLE: usize = 7;
pub(super) const GROUPS: usize = 3;

/// What a directory says of one person.
#[derive(Debug, Clone)]
pub(super) struct PersonSays {
    standing: Standing,
    name: usize,
    title: Option<u8>,
    mapped: bool,
}

/// What a directory says of one group.
#[derive(Debug, Clone)]
pub(super) struct GroupSays {
    standing: Standing,
    name: usize,
    members: BTreeSet<usize>,
}

/// One step of a history.
#[derive(Debug, Clone)]
pub(super) struct Step {
    people: Vec<PersonSays>,
    groups: Vec<GroupSays>,
    meddling: Vec<Meddling>,
}

/// What somebody does at the target, to the resource of this number.
#[derive(Debug, Clone)]
pub(super) enum Meddling {
    Toggle(usize),
    Delete(usize),
    Join(usize, usize),
    /// Takes the resource of this number out of a group.
    Leave(usize, usize),
    /// Gives another title to whoever has one.
    Entitle(usize, u8),
    /// Gives another userName that nobody has.
    Rename(usize),
}

/// A target before provisor came, settings, and what happens then.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// userName and, of some, the externalId; and whether they are active.
    found: Vec<(usize, Option<usize>, bool)>,
    protected: BTreeSet<usize>,
    settings: (bool, bool, WhenGone, usize),
    pub(super) steps: Vec<Step>,
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        8 => Just(Standing::Entitled),
        1 => Just(Standing::Disabled),
        1 => Just(Standing::SoftDeleted),
        1 => Just(Standing::Gone),
        1 => Just(Standing::OutOfScope),
        1 => Just(Standing::Unknown("not read".to_owned())),
    ]
}

/// Mostly a permutation, so that names change hands; sometimes two want the same.
fn names(count: usize) -> impl Strategy<Value = Vec<usize>> {
    let own: Vec<usize> = (0..count).collect();
    prop_oneof![
        3 => Just(own).prop_shuffle(),
        1 => prop::collection::vec(0..count + 2, count),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let person = (
        standing(),
        prop::option::of(0..3_u8),
        prop::bool::weighted(0.95),
    );
    let people = (prop::collection::vec(person, PEOPLE), names(PEOPLE)).prop_map(|(all, names)| {
        let named = all.into_iter().zip(names);
        named
            .map(|((standing, title, mapped), name)| PersonSays {
                standing,
                name,
                title,
                mapped,
            })
            .collect()
    });
    let members = prop::collection::btree_set(0..PEOPLE, 0..PEOPLE);
    let group = (standing(), members);
    let groups = (prop::collection::vec(group, GROUPS), names(GROUPS)).prop_map(|(all, names)| {
        let named = all.into_iter().zip(names);
        named
            .map(|((standing, members), name)| GroupSays {
                standing,
                name,
                members,
            })
            .collect()
    });
    let meddling = prop_oneof![
        (0..PEOPLE).prop_map(Meddling::Toggle),
        (0..PEOPLE).prop_map(Meddling::Delete),
        (0..PEOPLE, 0..GROUPS).prop_map(|(who, group)| Meddling::Join(who, group)),
        (0..PEOPLE, 0..GROUPS).prop_map(|(who, group)| Meddling::Leave(who, group)),
        (0..PEOPLE, 0..3_u8).prop_map(|(who, title)| Meddling::Entitle(who, title)),
        (0..PEOPLE).prop_map(Meddling::Rename),
    ];
    let meddling = prop::collection::vec(meddling, 0..3);
    (people, groups, meddling).prop_map(|(people, groups, meddling)| Step {
        people,
        groups,
        meddling,
    })
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let found = (
        0..PEOPLE + 2,
        prop::option::of(0..PEOPLE + 2),
        any::<bool>(),
    );
    let when_gone = prop_oneof![
        Just(WhenGone::Empty),
        Just(WhenGone::Keep),
        Just(WhenGone::Delete)
    ];
    (
        prop::collection::vec(found, 0..5),
        prop::collection::btree_set(0..PEOPLE, 0..2),
        (any::<bool>(), any::<bool>(), when_gone, 1..4_usize),
        prop::collection::vec(step(), 1..4),
    )
        .prop_map(|(found, protected, settings, steps)| History {
            found,
            protected,
            settings,
            steps,
        })
}

pub(super) fn world_before(history: &History) -> World {
    let mut world = World::new();
    let (stale, take_over, when_gone, members_per_request) = history.settings;
    if stale {
        world.rules.stale = Stale::Deactivate;
    }
    world.rules.take_over = take_over;
    world.rules.groups.when_gone = when_gone;
    world.profile.members_per_request = members_per_request;
    for number in &history.protected {
        world.protect(&format!("p{number}"));
    }
    let mut names = BTreeSet::new();
    for (number, (name, external_id, active)) in history.found.iter().enumerate() {
        if names.insert(name) {
            let name = format!("n{name}@example.com");
            let external_id = external_id.map(|id| format!("p{id}"));
            let mut attributes = vec![("userName", name.as_str())];
            attributes.extend(external_id.as_deref().map(|id| ("externalId", id)));
            world.user(&format!("found-{number}"), &attributes).active = *active;
        }
    }
    world
}

pub(super) fn take_step(world: &mut World, step: &Step) {
    for (number, says) in step.people.iter().enumerate() {
        let id = format!("p{number}");
        let mut person = world.person(&id).without_error(&id);
        person = person.named(&format!("n{}", says.name));
        person = match says.title {
            Some(title) => person.titled(&format!("t{title}")),
            None => person.without("title"),
        };
        if !says.mapped {
            person = person.unmappable();
        }
        person.stands(says.standing.clone());
    }
    for (number, says) in step.groups.iter().enumerate() {
        let members: Vec<String> = says.members.iter().map(|id| format!("p{id}")).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let group = world.group(&format!("g{number}")).of(&members);
        let group = group.named(&format!("team {}", says.name));
        group.stands(says.standing.clone());
    }
    for meddling in &step.meddling {
        meddle(world, meddling);
    }
}

fn meddle(world: &mut World, meddling: &Meddling) {
    let (Meddling::Toggle(number)
    | Meddling::Delete(number)
    | Meddling::Join(number, _)
    | Meddling::Leave(number, _)
    | Meddling::Entitle(number, _)
    | Meddling::Rename(number)) = meddling;
    let Some(id) = world.users.keys().nth(*number).cloned() else {
        return;
    };
    match meddling {
        Meddling::Toggle(_) => {
            let user = world.users.get_mut(&id).unwrap();
            user.active = !user.active;
        }
        Meddling::Delete(_) => {
            world.users.remove(&id);
            for shell in world.shells.values_mut() {
                shell.members.remove(&id);
            }
        }
        Meddling::Leave(_, group) => {
            if let Some(shell) = world.shells.values_mut().nth(*group) {
                shell.members.remove(&id);
            }
        }
        Meddling::Entitle(_, title) => {
            let user = world.users.get_mut(&id).unwrap();
            if let Some(present) = user.attributes.get_mut(&path("title")) {
                *present = json!(format!("m{title}"));
            }
        }
        Meddling::Rename(number) => {
            let name = json!(format!("m{number}@example.com"));
            let taken = |user: &TargetUser| user.attributes[&path("userName")] == name;
            if !world.users.values().any(taken) {
                let user = world.users.get_mut(&id).unwrap();
                user.attributes.insert(path("userName"), name);
            }
        }
        Meddling::Join(_, group) => {
            if let Some(shell) = world.shells.values_mut().nth(*group) {
                shell.members.insert(id);
            }
        }
    }
}
