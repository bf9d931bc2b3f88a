//! Creations whose answer was lost: whose it is what they may have made. Most of these were found by
//! the simulation. What is said to make one fail was tried.

use std::time::Duration;

use super::world::path;
use super::{World, rendered};
use crate::plan::input::Standing;
use crate::plan::rules::{Stale, WhenGone};

/// Fails when a refused create is in doubt: the same answer would come again.
#[test]
fn refused_create_is_sent_again_where_nothing_is_found() {
    let mut world = World::new();
    world.person("ana").in_doubt(5).refused();
    insta::assert_snapshot!(rendered(&world.plan()), @"create ana NewInScope; POST");
}

/// Something on the way may have repeated the call. Fails when `is_made` takes a refusal for proof
/// that nothing was made.
#[test]
fn what_a_refused_create_has_made_after_all_is_switched_off() {
    let mut world = World::new();
    world.person("ana").in_doubt(5).refused().at_target().gone();
    insta::assert_snapshot!(rendered(&world.plan()), @"deactivate ana (u-ana) GoneFromSource; links u-ana; PATCH active=false");
}

/// What the creation set is ours to clear, should they return without it. Fails when `found` looks
/// at the mapping alone (worlds 21193 and 28354: a manager who has left).
#[test]
fn what_a_lost_create_has_set_is_known_of_who_leaves() {
    let mut world = World::new();
    world.person("ana").titled("Nurse").in_doubt(5).at_target();
    world.person("ana").without("title").disabled();
    let planned = world.plan();
    assert_eq!(
        rendered(&planned),
        "deactivate ana (u-ana) DisabledAtSource; links u-ana; PATCH active=false"
    );
    let found = planned.plan.actions[0]
        .adoption
        .as_ref()
        .map(|it| &it.found);
    assert!(found.is_some_and(|found| found.contains_key(&path("title"))));
}

/// Fails when `is_made` asks for an intent alone, or not for the one before it.
#[test]
fn what_was_there_before_a_create_is_not_switched_off_with_it() {
    let mut world = World::new();
    world.rules.stale = Stale::List;
    world.person("ana").known_as("another").at_target();
    world.person("ana").known_as("ana").in_doubt(5).gone();
    world.person("bo").without("externalId").at_target();
    world
        .person("bo")
        .known_as("bo")
        .in_doubt(5)
        .refused()
        .gone();
    // The first was refused, and of the second the answer was lost.
    world.person("cy").without("externalId").at_target();
    world
        .person("cy")
        .known_as("cy")
        .in_doubt(60)
        .refused()
        .in_doubt(5)
        .gone();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    . ana (u-ana) Stale: never linked, not entitled and active at the target
    . bo (u-bo) Stale: never linked, not entitled and active at the target
    . cy (u-cy) Stale: never linked, not entitled and active at the target
    "#);
}

/// Fails when `may_adopt` counts rivals for a resource that carries our externalId.
#[test]
fn what_a_lost_create_has_made_is_its_records_whoever_has_the_name_by_now() {
    let mut world = World::new();
    world.person("ana").at_target().in_doubt(5);
    world.person("ana").named("bo");
    world.person("bo").named("ana");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    adopt bo (u-ana) Matched; links u-ana; PATCH userName:ana→bo
    ! adopt ana (u-ana) DuplicateKey: 2 records match the same resource
    "#);
}

/// Fails when `as_made` keeps nothing of what the creation named.
#[test]
fn members_that_a_lost_creation_named_are_ours_to_take_out() {
    let mut world = World::staff(&["ana", "bo", "cy"]);
    world
        .group("eng")
        .of(&["ana"])
        .at_target(&["u-ana", "u-bo", "u-cy"])
        .in_doubt_with(&["u-ana", "u-bo"]);
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt eng (g-eng) Matched; links g-eng with u-ana; PATCH -u-bo");
}

/// Fails when `join` adopts what a creation of ours made as if somebody else had.
#[test]
fn value_that_a_lost_creation_set_and_is_dropped_since_is_cleared() {
    let mut world = World::new();
    world
        .person("ana")
        .titled("Boss")
        .at_target()
        .in_doubt(5)
        .without("title");
    world
        .person("bo")
        .titled("Boss")
        .at_target()
        .without("title");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    adopt ana (u-ana) Matched; links u-ana; PATCH title:Boss→
    adopt bo (u-bo) Matched; links u-bo
    "#);
}

/// Fails without `left_over`: they would be in the group for good, and by our doing.
#[test]
fn group_that_a_lost_creation_has_made_and_that_is_gone_is_emptied() {
    let mut world = World::staff(&["ana", "bo"]);
    world
        .group("eng")
        .of(&[])
        .at_target(&["u-ana", "u-bo"])
        .in_doubt_with(&["u-ana"])
        .stands(Standing::Gone);
    insta::assert_snapshot!(rendered(&world.plan()), @"patch eng (g-eng) GoneFromSource; links g-eng; PATCH -u-ana");
    world.rules.groups.when_gone = WhenGone::Delete;
    insta::assert_snapshot!(rendered(&world.plan()), @"delete eng (g-eng) GoneFromSource; links g-eng; DELETE in Deletions");
    world.rules.groups.when_gone = WhenGone::Keep;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

/// Fails when `left_over` leaves open what has come to nothing: it would be looked for in every cycle.
#[test]
fn group_that_a_lost_creation_has_not_made_and_that_is_gone_is_not_looked_for_again() {
    let mut world = World::staff(&["ana"]);
    let group = world.group("eng").of(&[]).in_doubt_with(&["u-ana"]);
    group.stands(Standing::Gone);
    assert!(world.plan().closed_intents.is_empty());
    world.rules.settle = Duration::ZERO;
    let closed = world.plan().closed_intents;
    assert_eq!(closed.len(), 1);
    world
        .group("eng")
        .stands(Standing::Unknown("not read".to_owned()));
    assert!(world.plan().closed_intents.is_empty());
    world.group("eng").stands(Standing::Gone);
    world.lists = false;
    assert!(world.plan().closed_intents.is_empty());
}

/// Fails when `find` asks the keys alone: both would wait for a person.
#[test]
fn lost_creations_whose_names_were_swapped_are_each_their_own() {
    let mut world = World::new();
    world.person("ana").at_target().in_doubt(5).named("bo");
    world.person("bo").at_target().in_doubt(5).named("ana");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    adopt bo (u-ana) Matched; links u-ana; PATCH userName:ana→renaming-ana-ana in Releases; PATCH userName:ana→bo in Releases
    adopt ana (u-bo) Matched; links u-bo; PATCH userName:bo→ana in Releases
    "#);
}

/// Fails when `made` is empty: newcomers get what was made for people who have left. Found in
/// world 793.
#[test]
fn what_a_lost_creation_of_a_leaver_has_made_is_nobody_elses() {
    let mut world = World::new();
    world
        .person("ana")
        .titled("Boss")
        .at_target()
        .in_doubt(5)
        .gone();
    world.person("bo").at_target().in_doubt(5).disabled();
    world.person("ana2").named("ana").rehire_key("7");
    world.person("bo2").named("bo");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    deactivate ana (u-ana) GoneFromSource; links u-ana; PATCH active=false
    deactivate bo (u-bo) DisabledAtSource; links u-bo; PATCH active=false
    ! adopt ana (u-ana) PossibleRehire: the matching resource belongs to staff ana, who is not entitled any more; if this is the same person, set `rehire_key`
    ! adopt bo (u-bo) PossibleRehire: the matching resource belongs to staff bo, who is not entitled any more; if this is the same person, set `rehire_key`
    "#);
    // As from a link: what it set and is not wanted any more is cleared, and its key replaced.
    world.person("ana").rehire_key("7");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    adopt ana (u-ana) Rehired; links u-ana of ana; PATCH externalId:ana→ana2 title:Boss→
    deactivate bo (u-bo) DisabledAtSource; links u-bo; PATCH active=false
    ! adopt bo (u-bo) PossibleRehire: the matching resource belongs to staff bo, who is not entitled any more; if this is the same person, set `rehire_key`
    "#);
}

/// Fails when `made` is empty: one is told to delete the group, and the other to adopt it.
#[test]
fn group_that_a_lost_creation_has_made_is_nobody_elses() {
    let mut world = World::staff(&["ana", "bo"]);
    world.rules.groups.when_gone = WhenGone::Delete;
    world
        .group("eng")
        .of(&[])
        .at_target(&["u-ana", "u-bo"])
        .in_doubt_with(&["u-ana"])
        .stands(Standing::Gone);
    world.group("eng2").named("eng").of(&["bo"]);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    delete eng (g-eng) GoneFromSource; links g-eng; DELETE in Deletions
    ! adopt eng (g-eng) DuplicateKey: the matching group belongs to staff eng
    "#);
}
