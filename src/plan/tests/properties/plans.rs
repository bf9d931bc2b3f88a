//! What may be in a plan: nothing for who must be left alone, and nothing that two claim.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use provisor_connectors::{Kind, RecordKey};

use super::records;
use crate::plan::action::{Action, Change, Plan, Write};
use crate::plan::input::Standing;
use crate::plan::tests::World;
use crate::plan::tests::world::{Person, TargetUser, key, now, path};
use crate::scim::resource::{ResourceId, fold};

/// What no plan ever does, whatever came before.
pub(super) fn check_plan(world: &World, plan: &Plan) {
    let mut touched = BTreeSet::new();
    for action in &plan.actions {
        let record = action
            .subject
            .record
            .as_ref()
            .map(|record| record.id.as_str());
        let resource = action.subject.resource.clone();
        let about = (
            action.subject.kind,
            resource.is_none().then_some(record),
            resource,
        );
        assert!(touched.insert(about), "two actions about one resource");
        match action.subject.kind {
            Kind::User => check_person(world, action, record),
            Kind::Group => check_group(world, action, record.expect("groups are of records")),
        }
    }
}

fn check_person(world: &World, action: &Action, record: Option<&str>) {
    let person = &world.people[record.expect("nobody else is acted on")];
    let entitled = person.standing.is_entitled();
    assert!(!person.standing.is_unknown(), "touches the unknown");
    let removes = matches!(action.change, Change::Deactivate | Change::Delete);
    assert_eq!(entitled, !removes);
    let resource = action.subject.resource.as_ref();
    let owner = resource.and_then(|resource| world.owner_of(resource));
    if let Some((owner, _)) = owner.filter(|(owner, _)| Some(*owner) != record) {
        let standing = &world.people[owner].standing;
        assert!(
            !standing.is_entitled() && !standing.is_unknown(),
            "takes from {owner}"
        );
        let badge = &person.rehire_key;
        assert!(
            badge.is_some() && *badge == world.people[owner].rehire_key,
            "takes from {owner}, who may be somebody else"
        );
    }
    if removes {
        let protected = world.rules.protect.contains(record.unwrap());
        assert!(!protected, "switches off the protected");
    }
    if action.change == Change::Delete {
        let link = person
            .link
            .as_ref()
            .expect("only what is linked is deleted");
        assert!(!world.users[&link.resource].active, "deletes the active");
        check_long_gone(world, person, world.rules.delete_after);
    }
}

/// Nothing but time decides, and only of those who are gone and whom we switched off.
pub(super) fn check_long_gone(world: &World, person: &Person, after: Option<Duration>) {
    assert_eq!(person.standing, Standing::Gone);
    assert!(world.complete && world.clock_doubt.is_none());
    let link = person.link.as_ref().expect("linked");
    let deactivated = link.deactivated.as_ref().expect("deactivated by us");
    let gone = deactivated.gone_since.expect("found gone");
    let since = now() - TimeDelta::from_std(after.expect("configured")).unwrap();
    assert!(deactivated.at <= since && gone <= since, "too early");
}

fn check_group(world: &World, action: &Action, record: &str) {
    let group = &world.groups[record];
    assert!(!group.person.standing.is_unknown(), "touches the unknown");
    let may_go =
        |resource: &ResourceId| group.owned.contains(resource) || world.rules.groups.authoritative;
    for request in &action.requests {
        match &request.write {
            Write::Patch { add, remove, .. } => {
                assert!(add.len() + remove.len() <= world.profile.members_per_request);
                for resource in remove {
                    assert!(may_go(resource), "removes an edge of somebody else");
                    assert!(!must_stay(world, resource), "strips who must stay");
                }
            }
            Write::Create { members, .. } => {
                assert!(members.len() <= world.profile.members_per_request);
            }
            Write::Delete => {
                // Whoever is not in it, because they never came or are no more, is not stripped.
                let shell = action.subject.resource.as_ref();
                let shell = shell.and_then(|resource| world.shells.get(resource));
                let is_in = |resource: &&ResourceId| {
                    shell.is_none_or(|shell| shell.members.contains(*resource))
                };
                let mut owned = group.owned.iter().filter(is_in);
                assert!(
                    !owned.any(|resource| must_stay(world, resource)),
                    "deletes around"
                );
            }
        }
    }
}

/// Whether nobody may take this resource out of a group: it is protected, or that of somebody
/// of whom nothing can be told, or may be.
pub(super) fn must_stay(world: &World, resource: &ResourceId) -> bool {
    if let Some((owner, link)) = world.owner_of(resource) {
        let unknown = world.people[owner].standing.is_unknown();
        // Protection is by externalId as well, and the one that was there before us is kept.
        let foreign = link.foreign_external_id.as_deref();
        let mut names = foreign.into_iter().chain([owner]);
        return unknown || names.any(|name| world.rules.protect.contains(name));
    }
    if let Some((_, group)) = world.group_at(resource) {
        return group.person.standing.is_unknown();
    }
    let Some(user) = world.users.get(resource) else {
        return false;
    };
    let external_id = user.attributes.get(&path("externalId"));
    external_id
        .and_then(|id| id.as_str())
        .is_some_and(|id| world.rules.protect.contains(id))
        || found_by(world, user).any(|(_, person)| person.standing.is_unknown())
}

/// The people without a resource who have a key of this one.
pub(super) fn found_by<'a>(
    world: &'a World,
    user: &'a TargetUser,
) -> impl Iterator<Item = (&'a str, &'a Person)> {
    let is_without = |person: &Person| {
        let link = person.link.as_ref();
        link.is_none_or(|link| !world.users.contains_key(&link.resource))
    };
    let unlinked = world
        .people
        .iter()
        .filter(move |(_, person)| is_without(person));
    let shares_key = |person: &Person| {
        let desired = person.desired.as_ref();
        desired.is_ok_and(|desired| {
            KEYS.iter().map(|key| path(key)).any(|key| {
                let value = user.attributes.get(&key);
                value.is_some() && value == desired.get(&key)
            })
        })
    };
    unlinked
        .filter(move |(_, person)| shares_key(person))
        .map(|(id, person)| (id.as_str(), person))
}

/// What tells people apart.
const KEYS: [&str; 2] = ["externalId", "userName"];

/// Whoever wants a key that another record has, or wants as well, waits, from whichever source
/// they are. The plan may act on one of those who want it: on the one who has it now.
pub(super) fn check_claims(world: &World, plan: &Plan) {
    let acted_on = records(plan.actions.iter().map(|action| &action.subject));
    let entitled = |person: &&Person| person.standing.is_entitled() && person.desired.is_ok();
    for key_path in KEYS.map(path) {
        let mut wanted: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (id, person) in world.people.iter().filter(|(_, person)| entitled(person)) {
            let value = fold(&key_path, &person.mapped()[&key_path]);
            wanted.entry(value).or_default().push(id);
        }
        for (value, claimants) in wanted.into_iter().filter(|(_, all)| all.len() > 1) {
            for id in claimants {
                let link = world.people[id].link.as_ref();
                let link = link.filter(|link| world.users.contains_key(&link.resource));
                let held = link.and_then(|link| link.acknowledged.get(&key_path));
                let owns = held.is_some_and(|held| fold(&key_path, held) == value);
                assert!(
                    owns || !acted_on.contains(&key(Kind::User, id)),
                    "{id} is given {value}, which others want"
                );
            }
        }
    }
}

/// No two people who should be at the target have one key there. Who was refused another key
/// still has the one that the plan had given away, and of whom nobody knows which key they
/// should have keeps the one they have.
pub(super) fn check_keys(world: &World, owing: &BTreeSet<RecordKey>) {
    let name = path("externalId");
    let mut seen = BTreeSet::new();
    for (id, person) in &world.people {
        let entitled = person.standing.is_entitled() && person.desired.is_ok();
        let counts = entitled && !owing.contains(&key(Kind::User, id));
        let link = person.link.as_ref().filter(|_| counts);
        // What was there before us may repeat itself.
        let link = link.filter(|link| link.foreign_external_id.is_none());
        // Whom only somebody else switched on again has the key that they left with.
        let link = link.filter(|link| link.active);
        let user = link.and_then(|link| world.users.get(&link.resource));
        if let Some(user) = user.filter(|user| user.active) {
            let value = user.attributes.get(&name).map(ToString::to_string);
            assert!(
                value.is_none() || seen.insert(value.clone()),
                "{id} shares {value:?}"
            );
        }
    }
}
