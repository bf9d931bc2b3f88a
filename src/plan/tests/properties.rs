//! What holds for every directory, every history and every target.
//!
//! A history is a few directories, one after the other, with somebody meddling at the target
//! in between. Each is planned, checked, applied to a strict target and planned again.

mod history;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use provisor_connectors::{Kind, RecordKey};

use history::{GROUPS, History, PEOPLE, history, take_step, world_before};

use super::world::{key, path};
use super::{World, rendered};
use crate::plan::action::{Action, Change, Limit, ListedReason, Plan, Subject, Write};
use crate::plan::guard::{Base, allowed};
use crate::plan::input::Standing;
use crate::plan::plan;
use crate::plan::rules::Limits;
use crate::scim::resource::ResourceId;

/// What no plan ever does, whatever came before.
fn check_plan(world: &World, plan: &Plan) {
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
    assert_eq!(entitled, action.change != Change::Deactivate);
    let resource = action.subject.resource.as_ref();
    let owner = resource.and_then(|resource| world.owner_of(resource));
    if let Some((owner, _)) = owner.filter(|(owner, _)| Some(*owner) != record) {
        let standing = &world.people[owner].standing;
        assert!(
            !standing.is_entitled() && !standing.is_unknown(),
            "takes from {owner}"
        );
    }
    if action.change == Change::Deactivate {
        let protected = world.rules.protect.contains(record.unwrap());
        assert!(!protected, "switches off the protected");
    }
}

fn check_group(world: &World, action: &Action, record: &str) {
    let group = &world.groups[record];
    assert!(!group.person.standing.is_unknown(), "touches the unknown");
    let must_stay = |resource: &ResourceId| {
        let owner = world.owner_of(resource).map(|(owner, _)| owner);
        owner.is_some_and(|owner| {
            let unknown = world.people[owner].standing.is_unknown();
            unknown || world.rules.protect.contains(owner)
        })
    };
    for request in &action.requests {
        match &request.write {
            Write::Patch { add, remove, .. } => {
                assert!(add.len() + remove.len() <= world.profile.members_per_request);
                for resource in remove {
                    assert!(
                        group.owned.contains(resource),
                        "removes an edge of somebody else"
                    );
                    assert!(!must_stay(resource), "strips somebody who must stay");
                }
            }
            Write::Create { members, .. } => {
                assert!(members.len() <= world.profile.members_per_request);
            }
            Write::Delete => assert!(!group.owned.iter().any(must_stay), "deletes around them"),
        }
    }
}

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
        assert_eq!(user.attributes, desired, "{id}");
    }
    for (id, group) in &world.groups {
        if !excepted.contains(id.as_str()) && group.person.standing.is_entitled() {
            check_members(world, id, &excepted);
        }
    }
}

fn check_members(world: &World, id: &str, excepted: &BTreeSet<&str>) {
    let group = &world.groups[id];
    let link = group.person.link.as_ref().expect("it is pushed");
    let shell = &world.shells[&link.resource];
    assert_eq!(shell.attributes, group.person.mapped());
    for (member, person) in &world.people {
        let Some(link) = &person.link else { continue };
        if !world.users.contains_key(&link.resource) || person.standing.is_unknown() {
            continue;
        }
        let out = matches!(person.standing, Standing::Gone | Standing::OutOfScope);
        if group.members.contains(member) && !out {
            assert!(
                shell.members.contains(&link.resource),
                "{member} is not in {id}"
            );
        } else if !excepted.contains(member.as_str()) {
            assert!(
                !group.owned.contains(&link.resource),
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

fn run(history: &History) {
    let mut world = world_before(history);
    for step in &history.steps {
        take_step(&mut world, step);
        let mut waiting = None;
        let mut rounds = 0;
        while let Some(left) = run_once(&mut world, waiting.as_ref()) {
            waiting = Some(left);
            rounds += 1;
            assert!(rounds <= PEOPLE + GROUPS, "it never ends");
        }
    }
}

/// Plans and applies once. Returns who waits: held, because somebody has what they want, or
/// refused by the target. `None` when there is nothing left to do. After the first plan of a
/// step, only those who waited may be acted on, and the groups they are in.
fn run_once(
    world: &mut World,
    waited: Option<&BTreeSet<RecordKey>>,
) -> Option<BTreeSet<RecordKey>> {
    let planned = world.plan();
    let plan = &planned.plan;
    check_plan(world, plan);
    let acts_on: BTreeSet<RecordKey> = records(plan.actions.iter().map(|it| &it.subject));
    if let Some(waited) = waited {
        let mut people = acts_on.iter().filter(|record| record.kind == Kind::User);
        assert!(
            people.all(|record| waited.contains(record)),
            "{}",
            rendered(&planned)
        );
        let groups_alone = acts_on.iter().all(|record| record.kind == Kind::Group);
        assert!(
            !groups_alone || acts_on.is_subset(waited),
            "{}",
            rendered(&planned)
        );
    }
    let foreign = foreign_edges(world);
    let refused = world.apply(plan);
    world.note(&planned);
    check_refusals(world, plan, &refused);
    check_outcome(world, plan, &refused);
    for (shell, member) in foreign {
        let group = world.shells.get(&shell);
        let kept = group.is_none_or(|group| group.members.contains(&member));
        assert!(kept, "{member} of somebody else was taken out of {shell}");
    }
    let refused = records(refused.iter().map(|index| &plan.actions[*index].subject));
    let mut held = records(plan.held.iter().map(|held| &held.subject));
    // Several matched somebody who left; this plan may have taken one of them away.
    let stale = plan
        .listed
        .iter()
        .filter(|it| it.reason == ListedReason::Stale);
    held.extend(records(stale.map(|listed| &listed.subject)));
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
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

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
