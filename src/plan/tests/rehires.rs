//! A link that moves from the record of somebody who left to that of the same person: all in
//! one plan, and nothing of the former record stays behind.

use super::{World, rendered};
use crate::plan::action::Limit;
use crate::plan::rules::Stale;

/// Ana left, and is back under another record of the same badge.
fn rehire() -> World {
    let mut world = World::new();
    world.rules.rehire_key = Some("badge".to_owned());
    world.person("ana").rehire_key("7").linked().disabled();
    world.person("ana-2").named("ana").rehire_key("7");
    world
}

/// Applies the plan, and says what is left to do.
fn rest(world: &mut World) -> String {
    let planned = world.plan();
    assert!(world.apply(&planned.plan).is_empty());
    rendered(&world.plan())
}

#[test]
fn former_records_values_are_cleared() {
    let mut world = World::new();
    world.rules.rehire_key = Some("badge".to_owned());
    world.person("bo").linked();
    world.person("ana").titled("Boss").rehire_key("7").linked();
    world.person("ana").disabled();
    world.person("ana-2").named("ana").rehire_key("7");
    let title = |world: &World| {
        let user = world.users.values().next().unwrap();
        user.attributes.get(&super::world::path("title")).cloned()
    };
    assert!(title(&world).is_some());
    assert_eq!(rest(&mut world), "");
    assert_eq!(title(&world), None);
}

#[test]
fn what_is_kept_when_empty_is_kept() {
    let mut world = rehire();
    let title = super::world::path("title");
    let link = world.people.get_mut("ana").unwrap().link.as_mut().unwrap();
    link.acknowledged.insert(title.clone(), "Boss".into());
    let user = world.users.values_mut().next().unwrap();
    user.attributes.insert(title.clone(), "Boss".into());
    world.keep_when_empty.insert(title.clone());
    assert_eq!(rest(&mut world), "");
    let user = world.users.values().next().unwrap();
    assert_eq!(user.attributes[&title], "Boss");
}

#[test]
fn foreign_external_id_is_still_kept() {
    let mut world = rehire();
    world.person("ana").foreign_external_id("theirs");
    assert_eq!(rest(&mut world), "");
    let user = world.users.values().next().unwrap();
    assert_eq!(user.attributes[&super::world::path("externalId")], "theirs");
}

#[test]
fn groups_of_the_former_record_do_not_pass_on() {
    let mut world = rehire();
    world.group("admins").of(&["ana"]).linked();
    world.group("new").of(&["ana"]);
    world.group("staff").of(&["ana-2"]).linked();
    let members = |world: &World, group: &str| {
        let group = &world.groups[group].person.link.as_ref().unwrap().resource;
        world.shells[group].members.len()
    };
    let planned = world.plan();
    assert!(!rendered(&planned).contains("create new (new); POST u-ana"));
    assert!(world.apply(&planned.plan).is_empty());
    assert_eq!(rendered(&world.plan()), "");
    assert_eq!(members(&world, "admins"), 0);
    assert_eq!(members(&world, "new"), 0);
    assert_eq!(members(&world, "staff"), 1);
}

#[test]
fn groups_of_the_former_record_stay_while_the_move_is_held() {
    let mut world = rehire();
    world.person("ana").deactivated();
    world.group("admins").of(&["ana"]).linked();
    world.limit(Limit::Reactivations, Some(0), None);
    let planned = world.plan();
    assert!(planned.plan.actions.is_empty(), "{}", rendered(&planned));
    // Here only the values wait, and the link moves.
    world.limit(Limit::Reactivations, None, None);
    world.limit(Limit::Overwrites, Some(0), None);
    let planned = world.plan();
    assert!(world.apply(&planned.plan).is_empty());
    let left = &world.plan().plan.actions;
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn manager_who_is_found_only_to_be_switched_off_is_named_at_once() {
    let mut world = World::new();
    world.rules.stale = Stale::Deactivate;
    world.person("bo").at_target().disabled();
    world.person("ana").led_by(Some("bo"));
    assert_eq!(rest(&mut world), "");
}

#[test]
fn reports_of_the_former_record_lose_the_reference_at_once() {
    let mut world = rehire();
    world.person("bo").led_by(Some("ana"));
    assert_eq!(rest(&mut world), "");
    let bo = &world.people["bo"].link.as_ref().unwrap().acknowledged;
    assert!(!bo.contains_key(&crate::scim::path::AttributePath::manager()));
}
