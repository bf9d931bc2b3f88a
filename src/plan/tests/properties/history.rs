//! Histories: what directories say one after the other, and who meddles at the target.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use crate::plan::input::Standing;
use crate::plan::rules::{Nested, Stale, WhenGone};
use crate::plan::tests::World;
use crate::plan::tests::world::{TargetUser, path};

pub(super) const PEOPLE: usize = 7;
/// The first so many are of one source, the others of another.
const STAFF: usize = 5;
pub(super) const GROUPS: usize = 3;

/// What a directory says of one person.
#[derive(Debug, Clone)]
pub(super) struct PersonSays {
    standing: Standing,
    name: usize,
    title: Option<u8>,
    mapped: bool,
    /// Of the other source: its externalId is mapped from a number that staff have as well.
    shares_id: bool,
    manager: Option<usize>,
}

/// What a directory says of one group.
#[derive(Debug, Clone)]
pub(super) struct GroupSays {
    standing: Standing,
    name: usize,
    members: BTreeSet<usize>,
    inner: BTreeSet<usize>,
}

/// One step of a history.
#[derive(Debug, Clone)]
pub(super) struct Step {
    people: Vec<PersonSays>,
    groups: Vec<GroupSays>,
    /// The other source could not be read.
    partners_unread: bool,
    meddling: Vec<Meddling>,
    days: i64,
    doubt: bool,
    complete: bool,
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
    settings: Settings,
    /// What `rehire_key` reads of each person, if it is set.
    badges: Option<Vec<Option<u8>>>,
    /// Days after which the gone are deleted, and forgotten.
    patience: (Option<u64>, Option<u64>),
    pub(super) steps: Vec<Step>,
}

/// How the target is configured.
#[derive(Debug, Clone)]
struct Settings {
    stale: Stale,
    take_over: bool,
    when_gone: WhenGone,
    nested: Nested,
    authoritative: bool,
    members_per_request: usize,
}

fn settings() -> impl Strategy<Value = Settings> {
    let stale = prop_oneof![Just(Stale::List), Just(Stale::Deactivate)];
    let nested = prop_oneof![Just(Nested::Flatten), Just(Nested::Direct)];
    let when_gone = prop_oneof![
        Just(WhenGone::Empty),
        Just(WhenGone::Keep),
        Just(WhenGone::Delete)
    ];
    let all = (
        stale,
        any::<bool>(),
        when_gone,
        nested,
        any::<bool>(),
        1..4_usize,
    );
    all.prop_map(
        |(stale, take_over, when_gone, nested, authoritative, members_per_request)| Settings {
            stale,
            take_over,
            when_gone,
            nested,
            authoritative,
            members_per_request,
        },
    )
}

/// The id of the person of this number.
fn person_id(number: usize) -> String {
    let prefix = if number < STAFF { "" } else { "x-" };
    format!("{prefix}p{number}")
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        8 => Just(Standing::Entitled),
        1 => Just(Standing::Disabled),
        1 => Just(Standing::SoftDeleted),
        2 => Just(Standing::Gone),
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
        prop::bool::weighted(0.2),
        prop::option::weighted(0.4, 0..PEOPLE),
    );
    let people = (prop::collection::vec(person, PEOPLE), names(PEOPLE)).prop_map(|(all, names)| {
        let named = all.into_iter().zip(names);
        named
            .map(
                |((standing, title, mapped, shares_id, manager), name)| PersonSays {
                    standing,
                    name,
                    title,
                    mapped,
                    shares_id,
                    manager,
                },
            )
            .collect()
    });
    let members = prop::collection::btree_set(0..PEOPLE, 0..PEOPLE);
    let inner = prop::collection::btree_set(0..GROUPS, 0..3);
    let group = (standing(), members, inner);
    let groups = (prop::collection::vec(group, GROUPS), names(GROUPS)).prop_map(|(all, names)| {
        let named = all.into_iter().zip(names);
        named
            .map(|((standing, members, inner), name)| GroupSays {
                standing,
                name,
                members,
                inner,
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
    let unread = prop::bool::weighted(0.15);
    let time = (
        0..20_i64,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.9),
    );
    let all = (people, groups, unread, meddling, time);
    all.prop_map(
        |(people, groups, partners_unread, meddling, (days, doubt, complete))| Step {
            people,
            groups,
            partners_unread,
            meddling,
            days,
            doubt,
            complete,
        },
    )
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let found = (
        0..PEOPLE + 2,
        prop::option::of(0..PEOPLE + 2),
        any::<bool>(),
    );
    // Few numbers, so that one who comes often has that of one who left.
    let badges = prop::collection::vec(prop::option::weighted(0.8, 0..2_u8), PEOPLE);
    (
        prop::collection::vec(found, 0..5),
        prop::collection::btree_set(0..PEOPLE, 0..2),
        settings(),
        prop::option::of(badges),
        (prop::option::of(1..15_u64), prop::option::of(15..40_u64)),
        prop::collection::vec(step(), 1..5),
    )
        .prop_map(
            |(found, protected, settings, badges, patience, steps)| History {
                found,
                protected,
                settings,
                badges,
                patience,
                steps,
            },
        )
}

pub(super) fn world_before(history: &History) -> World {
    let mut world = World::new();
    let settings = &history.settings;
    world.rules.stale = settings.stale;
    world.rules.take_over = settings.take_over;
    world.rules.groups.when_gone = settings.when_gone;
    world.rules.groups.nested = settings.nested;
    world.rules.groups.authoritative = settings.authoritative;
    world.profile.members_per_request = settings.members_per_request;
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    world.rules.delete_after = history.patience.0.map(days);
    world.rules.forget_after = history.patience.1.map(days);
    for number in &history.protected {
        world.protect(&person_id(*number));
    }
    for (number, badge) in history.badges.iter().flatten().enumerate() {
        world.rules.rehire_key = Some("badge".to_owned());
        let person = world.person(&person_id(number));
        // Nobody succeeds the protected: by a source id, protection ends with the link, and what
        // it kept goes one plan later.
        let protected = history.protected.contains(&number);
        if let Some(badge) = badge.filter(|_| !protected) {
            person.rehire_key(&badge.to_string());
        }
    }
    let mut names = BTreeSet::new();
    for (number, (name, external_id, active)) in history.found.iter().enumerate() {
        if names.insert(name) {
            let name = format!("n{name}@example.com");
            // A protection that ends with a value lets go one plan later; not a story for here.
            let ends = |number: &usize| settings.take_over && history.protected.contains(number);
            let external_id = external_id.filter(|number| !ends(number)).map(person_id);
            let mut attributes = vec![("userName", name.as_str())];
            attributes.extend(external_id.as_deref().map(|id| ("externalId", id)));
            world.user(&format!("found-{number}"), &attributes).active = *active;
        }
    }
    world
}

pub(super) fn take_step(world: &mut World, step: &Step) {
    world.pass(step.days);
    world.complete = step.complete;
    world.clock_doubt = step.doubt.then(|| "the clock is wrong".to_owned());
    for (number, says) in step.people.iter().enumerate() {
        let id = person_id(number);
        let staff = number < STAFF;
        // A protection that ends with a value lets go one plan later; not a story for here.
        let shared = number.checked_sub(STAFF).map(person_id);
        let shared = shared.filter(|id| says.shares_id && !world.rules.protect.contains(id));
        let mut person = world.person(&id).without_error(&id);
        person = person.named(&format!("n{}", says.name));
        person = match says.title {
            Some(title) => person.titled(&format!("t{title}")),
            None => person.without("title"),
        };
        person = person.known_as(shared.as_ref().unwrap_or(&id));
        if !says.mapped {
            person = person.unmappable();
        }
        // A source only knows its own people.
        let manager = says.manager.filter(|manager| (*manager < STAFF) == staff);
        person = person.led_by(manager.map(person_id).as_deref());
        person.stands(match step.partners_unread && !staff {
            true => Standing::Unknown("not read".to_owned()),
            false => says.standing.clone(),
        });
    }
    for (number, says) in step.groups.iter().enumerate() {
        let members: Vec<String> = says.members.iter().map(|id| person_id(*id)).collect();
        let inner: Vec<String> = says.inner.iter().map(|id| format!("g{id}")).collect();
        let inner: Vec<&str> = inner.iter().map(String::as_str).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let group = world.group(&format!("g{number}")).of(&members);
        let group = group
            .containing(&inner)
            .named(&format!("team {}", says.name));
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
