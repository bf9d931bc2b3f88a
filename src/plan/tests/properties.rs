//! What holds for every directory, every history and every target.
//!
//! A history is a few directories, one after the other, with somebody meddling at the target
//! in between. Each is planned, checked, applied to a strict target and planned again.

mod history;
mod plans;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use provisor_connectors::{Kind, RecordKey};
use serde_json::Value;

use history::{GROUPS, History, PEOPLE, history, take_step, world_before};
use plans::{check_claims, check_keys, check_long_gone, check_plan, found_by, must_stay};

use super::world::{Person, key, path};
use super::{World, rendered};
use crate::plan::action::{Action, Change, Limit, ListedReason, Plan, Reference, Subject, Write};
use crate::plan::guard::{Base, allowed};
use crate::plan::input::Standing;
use crate::plan::rules::Limits;
use crate::plan::{plan, references};
use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;

/// Everybody is as the source has it, but for whom the plan held, listed or saw refused.
fn check_outcome(world: &World, plan: &Plan, refused: &BTreeSet<usize>) {
    let mut excepted: BTreeSet<&str> = BTreeSet::new();
    let subjects = plan.held.iter().map(|held| &held.subject);
    let left_alone = plan.listed.iter().filter(|listed| {
        matches!(
            listed.reason,
            ListedReason::Protected | ListedReason::SuspendedAtTarget
        )
    });
    let refusals = refused.iter().map(|index| &plan.actions[*index].subject);
    let subjects = subjects.chain(left_alone.map(|listed| &listed.subject));
    for subject in subjects.chain(refusals) {
        excepted.extend(subject.record.as_ref().map(|record| record.id.as_str()));
    }
    // Whoever had one of the deleted as a manager is told by the next plan: a limit may still hold
    // a deletion, and then nothing may follow from it.
    let mut to_be_told = excepted.clone();
    to_be_told.extend(whom_it_deletes(plan).map(|record| record.id.as_str()));
    for (id, person) in &world.people {
        if excepted.contains(id.as_str()) || person.standing.is_unknown() {
            continue;
        }
        let link = person.link.as_ref();
        let user = link.and_then(|link| world.users.get(&link.resource));
        if !person.standing.is_entitled() {
            assert!(user.is_none_or(|user| !user.active), "{id} is still active");
            continue;
        }
        let user = user.unwrap_or_else(|| panic!("{id} is not there"));
        assert!(user.active, "{id} is not active");
        let mut desired = person.mapped();
        if link.unwrap().foreign_external_id.is_some() && !world.rules.take_over {
            desired.insert(
                path("externalId"),
                user.attributes[&path("externalId")].clone(),
            );
        }
        let mut plain = user.attributes.clone();
        let manager = plain.remove(&AttributePath::manager());
        assert_eq!(plain, desired, "{id}");
        check_manager(world, id, manager.as_ref(), &to_be_told);
    }
    // Who was switched off when the plan was made is not put back into a group: the first full
    // cycle after they have returned does it.
    let inactive = world.people.iter().filter(|(_, person)| {
        let link = person.link.as_ref();
        link.is_some_and(|link| !link.active)
    });
    let returning = plan.actions.iter();
    let returning = returning.filter(|action| action.change == Change::Reactivate);
    let returning = returning.filter_map(|action| action.subject.record.as_ref());
    let mut off: BTreeSet<&str> = inactive.map(|(id, _)| id.as_str()).collect();
    off.extend(returning.map(|record| record.id.as_str()));
    for (id, group) in &world.groups {
        if !excepted.contains(id.as_str()) && group.person.standing.is_entitled() {
            check_members(world, id, &excepted, &off);
        }
    }
}

/// Whom a plan deletes.
fn whom_it_deletes(plan: &Plan) -> impl Iterator<Item = &RecordKey> {
    let actions = plan.actions.iter();
    let deletions = actions.filter(|action| action.change == Change::Delete);
    deletions.filter_map(|action| action.subject.record.as_ref())
}

/// A manager who is at the target is referred to; who is not, and will not come, is not.
fn check_manager(world: &World, id: &str, found: Option<&Value>, excepted: &BTreeSet<&str>) {
    let Some(manager) = &world.people[id].manager else {
        return assert_eq!(found, None, "{id}");
    };
    let person = &world.people[manager];
    let link = person.link.as_ref();
    match link.filter(|link| world.users.contains_key(&link.resource)) {
        Some(link) => {
            let expected = references::to(&link.resource.0);
            assert_eq!(found, Some(&expected), "{id} reports to {manager}");
        }
        // They may still come, or were there: what was written of them stays.
        None if link.is_some() || person.standing.is_unknown() => {}
        None if excepted.contains(manager.as_str()) => {}
        None => assert_eq!(found, None, "{id} does not report to {manager}"),
    }
}

fn check_members(world: &World, id: &str, excepted: &BTreeSet<&str>, off: &BTreeSet<&str>) {
    let group = &world.groups[id];
    let (people, inner) = world.contents(id);
    let link = group.person.link.as_ref().expect("it is pushed");
    let shell = &world.shells[&link.resource];
    assert_eq!(shell.attributes, group.person.mapped());
    for (member, person) in &world.people {
        let Some(link) = &person.link else { continue };
        if !world.users.contains_key(&link.resource) || person.standing.is_unknown() {
            continue;
        }
        let out = matches!(person.standing, Standing::Gone | Standing::OutOfScope);
        if people.contains(member.as_str()) && !out {
            assert!(
                shell.members.contains(&link.resource) || off.contains(member.as_str()),
                "{member} is not in {id}"
            );
        } else if !excepted.contains(member.as_str()) {
            assert!(
                !group.owned.contains(&link.resource),
                "{member} is still in {id}"
            );
        }
    }
    for (other, person) in world.groups.iter().map(|(id, group)| (id, &group.person)) {
        let Some(link) = &person.link else { continue };
        if person.standing.is_unknown() || excepted.contains(other.as_str()) {
            continue;
        }
        let is_inner = inner.contains(other.as_str()) && person.standing.is_entitled();
        let is_there = shell.members.contains(&link.resource);
        assert_eq!(is_there, is_inner, "{other} in {id}");
    }
    if world.rules.groups.authoritative {
        for member in shell.members.iter().filter(|id| !group.owned.contains(*id)) {
            let waits = world.users.get(member).is_some_and(|user| {
                found_by(world, user)
                    .any(|(id, person)| excepted.contains(id) || person.standing.is_unknown())
            });
            assert!(
                waits || must_stay(world, member),
                "{member} is still in {id}"
            );
        }
    }
}

/// Nobody is refused a name but by somebody who is not ours to rename, or was refused too.
fn check_refusals(world: &World, plan: &Plan, refused: &BTreeSet<usize>) {
    let name = path("userName");
    let records: BTreeSet<_> = refused
        .iter()
        .map(|index| &plan.actions[*index].subject)
        .filter(|subject| subject.kind == Kind::User)
        .filter_map(|subject| subject.record.clone())
        .collect();
    for record in &records {
        let wanted = &world.people[record.id.as_str()].mapped()[&name];
        let holders = world
            .users
            .iter()
            .filter(|(_, user)| user.attributes[&name] == *wanted);
        for (holder, _) in holders {
            let owner = world.owner_of(holder).map(|(owner, _)| owner);
            let explained = owner.is_none_or(|owner| {
                let standing = &world.people[owner].standing;
                !standing.is_entitled() || records.contains(&key(Kind::User, owner))
            });
            assert!(explained, "{wanted} is still with {owner:?}");
        }
    }
}

/// Forgotten are those whose time has come, and those who are not there to be deleted.
fn check_forgotten(world: &World, person: &Person) {
    let link = person.link.as_ref().expect("linked");
    let there = world.users.contains_key(&link.resource);
    let after = match there {
        true => world.rules.forget_after,
        false => world.rules.delete_after.or(world.rules.forget_after),
    };
    check_long_gone(world, person, after);
}

/// Edges at the target that are not ours, of groups and people that are still there.
fn foreign_edges(world: &World) -> BTreeSet<(ResourceId, ResourceId)> {
    let mut edges = BTreeSet::new();
    for (shell, group) in &world.shells {
        let ours = world.groups.values().find(|ours| {
            let link = ours.person.link.as_ref();
            link.is_some_and(|link| link.resource == *shell)
        });
        let foreign = |member: &&ResourceId| ours.is_none_or(|ours| !ours.owned.contains(*member));
        let members = group.members.iter().filter(foreign);
        edges.extend(members.map(|member| (shell.clone(), member.clone())));
    }
    edges
}

/// Whether an action puts nobody else into a group, and does nothing else.
fn only_adds(action: &Action, members: &BTreeSet<ResourceId>) -> bool {
    action.requests.iter().all(|request| match &request.write {
        Write::Patch {
            active: None,
            operations,
            add,
            remove,
        } => {
            let mut add = add.iter();
            operations.is_empty()
                && remove.is_empty()
                && add.all(|it| matches!(it, Reference::Linked(id) if members.contains(id)))
        }
        _ => false,
    })
}

fn run(history: &History) {
    let mut world = world_before(history);
    let (mut owing, mut returned) = (BTreeSet::new(), BTreeSet::new());
    for step in &history.steps {
        take_step(&mut world, step);
        let mut waiting = None;
        let mut rounds = 0;
        while let Some(left) = run_once(&mut world, waiting.as_ref(), &mut owing, &mut returned) {
            waiting = Some(left);
            rounds += 1;
            assert!(rounds <= PEOPLE + GROUPS, "it never ends");
        }
    }
}

/// Plans and applies once. Returns who waits: held, because somebody has what they want, or
/// refused by the target. `None` when there is nothing left to do. After the first plan of a
/// step, only those who waited may be acted on, and the groups they are in. `owing` are those
/// whom the target has refused and not yet let have what they should; `returned`, whom the last
/// plan has switched on: they alone may be put back into what the app had taken them out of.
fn run_once(
    world: &mut World,
    waited: Option<&BTreeSet<RecordKey>>,
    owing: &mut BTreeSet<RecordKey>,
    returned: &mut BTreeSet<ResourceId>,
) -> Option<BTreeSet<RecordKey>> {
    let planned = world.plan();
    let plan = &planned.plan;
    check_plan(world, plan);
    check_claims(world, plan);
    let acts_on: BTreeSet<RecordKey> = records(plan.actions.iter().map(|it| &it.subject));
    if let Some(waited) = waited {
        let mut people = acts_on.iter().filter(|record| record.kind == Kind::User);
        // Who waited may be the manager of others, or get what was the resource of one.
        let former = |action: &Action| action.adoption.as_ref()?.moved_from.clone();
        let former: BTreeSet<RecordKey> = plan.actions.iter().filter_map(former).collect();
        let reports_to_one = |record: &RecordKey| {
            let manager = world.people[record.id.as_str()].manager.as_ref();
            let manager = manager.map(|manager| key(Kind::User, manager));
            manager.is_some_and(|it| waited.contains(&it) || former.contains(&it))
        };
        assert!(
            people.all(|record| waited.contains(record) || reports_to_one(record)),
            "{}",
            rendered(&planned)
        );
        let groups_alone = acts_on.iter().all(|record| record.kind == Kind::Group);
        let contains_one = |record: &RecordKey| {
            let (_, inner) = world.contents(record.id.as_str());
            inner
                .iter()
                .any(|id| acts_on.contains(&key(Kind::Group, id)))
        };
        let puts_back = |record: &RecordKey| {
            let mut actions = plan.actions.iter();
            let action = actions.find(|it| it.subject.record.as_ref() == Some(record));
            action.is_some_and(|action| only_adds(action, returned))
        };
        let expected = |record: &RecordKey| {
            waited.contains(record) || contains_one(record) || puts_back(record)
        };
        assert!(
            !groups_alone || acts_on.iter().all(expected),
            "{}",
            rendered(&planned)
        );
    }
    for record in &planned.forgotten {
        check_forgotten(world, &world.people[record.id.as_str()]);
    }
    let mut foreign = foreign_edges(world);
    // Who is deleted is in no group any more.
    let deleted = |action: &&Action| action.change == Change::Delete;
    let deleted = plan.actions.iter().filter(deleted);
    let deleted: BTreeSet<&ResourceId> = deleted
        .filter_map(|action| action.subject.resource.as_ref())
        .collect();
    foreign.retain(|(_, member)| !deleted.contains(member));
    if world.rules.groups.authoritative {
        foreign.retain(|(_, member)| must_stay(world, member));
    }
    let refused = world.apply(plan);
    let switched_on = |action: &&Action| action.change == Change::Reactivate;
    let switched_on = plan.actions.iter().filter(switched_on);
    *returned = switched_on
        .filter_map(|action| action.subject.resource.clone())
        .collect();
    world.close(&planned);
    world.note(&planned);
    check_refusals(world, plan, &refused);
    check_outcome(world, plan, &refused);
    for (shell, member) in foreign {
        let group = world.shells.get(&shell);
        let kept = group.is_none_or(|group| group.members.contains(&member));
        assert!(kept, "{member} of somebody else was taken out of {shell}");
    }
    let refused = records(refused.iter().map(|index| &plan.actions[*index].subject));
    owing.retain(|record| !acts_on.contains(record));
    owing.extend(refused.iter().cloned());
    check_keys(world, owing);
    let mut held = records(plan.held.iter().map(|held| &held.subject));
    // Several matched somebody who left; this plan may have taken one of them away.
    let stale = plan
        .listed
        .iter()
        .filter(|it| it.reason == ListedReason::Stale);
    held.extend(records(stale.map(|listed| &listed.subject)));
    // Whoever lost their link to a rehire may match something else that is theirs.
    let adoptions = plan.actions.iter().filter_map(|it| it.adoption.as_ref());
    held.extend(adoptions.filter_map(|adoption| adoption.moved_from.clone()));
    // Whoever reported to one of the deleted is told now.
    held.extend(whom_it_deletes(plan).cloned());
    let done = acts_on.is_subset(&refused);
    (!done).then(|| refused.into_iter().chain(held).collect())
}

fn records<'a>(subjects: impl Iterator<Item = &'a Subject>) -> BTreeSet<RecordKey> {
    subjects
        .filter_map(|subject| subject.record.clone())
        .collect()
}

/// What a plan spends of each limit.
fn spending(plan: &Plan) -> BTreeMap<Limit, u64> {
    let mut spent = BTreeMap::new();
    for action in &plan.actions {
        for cost in &action.costs {
            *spent.entry(cost.limit).or_default() += cost.amount;
        }
    }
    spent
}

fn limits() -> impl Strategy<Value = BTreeMap<Limit, (u64, u64)>> {
    let each = (0..4_u64, 0..3_u64);
    prop::collection::vec(each, Limit::ALL.len())
        .prop_map(|all| Limit::ALL.into_iter().zip(all).collect())
}

proptest! {
    // 256 cases each, or as many as `PROPTEST_CASES` says.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_converge(history in history()) {
        run(&history);
    }

    #[test]
    fn no_plan_exceeds_an_allowance(
        history in history(),
        limits in limits(),
        (halve, base) in (any::<bool>(), 0..40_u64),
    ) {
        let mut world = world_before(&history);
        for step in &history.steps {
            world.rules.limits = Limits(BTreeMap::new());
            world.window.spent.clear();
            take_step(&mut world, step);
            let free = world.plan().plan;
            for (limit, (count, spent)) in &limits {
                world.limit(*limit, Some(*count), Some(10.0));
                world.window.spent.insert(*limit, *spent);
            }
            world.window.halve = halve;
            world.window.base = Base { people: base, groups: base, members: base };
            let planned = world.plan();
            check_plan(&world, &planned.plan);
            let people = |action: &&Action| action.subject.kind == Kind::User;
            let adopted = free.actions.iter().filter(people);
            let adopted = adopted.filter(|action| action.adoption.is_some()).count() as u64;
            for (limit, amount) in spending(&planned.plan) {
                let base = match limit {
                    Limit::GroupDeletions | Limit::MembersRemoved => base,
                    _ => base + adopted,
                };
                let most = allowed(&world.rules.limits, limit, base, halve).unwrap();
                prop_assert!(amount + limits[&limit].1 <= most, "{limit:?} {}", rendered(&planned));
            }
            // A guard only holds: whatever goes on was planned without it, or is a part of it.
            for action in &planned.plan.actions {
                let subjects: Vec<_> = free.actions.iter().map(|free| &free.subject).collect();
                prop_assert!(subjects.contains(&&action.subject));
            }
            // What goes on in spite of the guards can be applied, and names stay unique.
            let refused = world.apply(&planned.plan);
            check_refusals(&world, &planned.plan, &refused);
        }
    }

    #[test]
    fn order_of_the_input_is_irrelevant(history in history(), seed in any::<prop::sample::Index>()) {
        let mut world = world_before(&history);
        for step in &history.steps {
            take_step(&mut world, step);
        }
        let straight = world.input();
        let mut shuffled = world.input();
        shuffled.people = turned(&straight.people, seed);
        shuffled.groups = turned(&straight.groups, seed);
        shuffled.observed_users.resources = turned(&straight.observed_users.resources, seed);
        let rules = {
            // Which key is named first decides nothing: every key must agree.
            let mut rules = world.rules.clone();
            rules.match_on.reverse();
            rules
        };
        shuffled.rules = &rules;
        let text = |input| serde_json::to_string(&plan(input, &world.window, None).plan).unwrap();
        prop_assert_eq!(text(&straight), text(&shuffled));
    }
}

/// The same map, filled in another order.
fn turned<K: Ord + Clone, V: Clone>(
    map: &BTreeMap<K, V>,
    seed: prop::sample::Index,
) -> BTreeMap<K, V> {
    let mut all: Vec<(K, V)> = map
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !all.is_empty() {
        let by = seed.index(all.len());
        all.rotate_left(by);
    }
    all.into_iter().rev().collect()
}
