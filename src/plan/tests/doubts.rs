//! What was sent and not acknowledged: it may have happened or not, and nobody is wronged either
//! way. Each of these was found by the simulation.

use std::time::Duration;

use super::{World, rendered};
use crate::plan::rules::Stale;

/// Fails when `is_suspended` asks `link.active` alone.
#[test]
fn who_may_have_been_switched_off_by_us_is_switched_on() {
    let mut world = World::new();
    world.person("ana").linked().perhaps_switched().inactive();
    world.person("bo").linked().perhaps_switched();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    reactivate ana (u-ana) Returned; PATCH active=true
    reactivate bo (u-bo) Returned; PATCH active=true
    "#);
}

/// Fails when a reactivation is not noted before it is sent: the link says inactive then.
#[test]
fn who_may_have_been_switched_on_by_us_is_switched_off_without_a_listing() {
    let mut world = World::new();
    world.lists = false;
    world.person("ana").linked().perhaps_switched().gone();
    insta::assert_snapshot!(rendered(&world.plan()), @"deactivate ana (u-ana) GoneFromSource; PATCH active=false");
}

/// Fails when `Moments::of` takes the note of a deactivation for one that happened.
#[test]
fn who_may_be_active_is_not_deleted_for_being_gone_long_enough() {
    let mut world = World::new();
    world.rules.delete_after = Some(Duration::from_secs(86_400));
    world
        .person("ana")
        .linked()
        .deactivated()
        .gone_for(30)
        .perhaps_switched()
        .aged(30, 30);
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

/// Fails when a refused create is in doubt: the same answer would come again.
#[test]
fn refused_create_is_sent_again_where_nothing_is_found() {
    let mut world = World::new();
    world.person("ana").in_doubt(5).refused();
    insta::assert_snapshot!(rendered(&world.plan()), @"create ana NewInScope; POST");
}

/// Fails when a refusal closes the intent: something on the way may have repeated the call.
#[test]
fn what_a_refused_create_has_made_after_all_is_switched_off() {
    let mut world = World::new();
    world.person("ana").in_doubt(5).refused().at_target().gone();
    insta::assert_snapshot!(rendered(&world.plan()), @"deactivate ana (u-ana) GoneFromSource; links u-ana; PATCH active=false");
}

/// Fails when `is_made` asks for an intent alone.
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
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    . ana (u-ana) Stale: never linked, not entitled and active at the target
    . bo (u-bo) Stale: never linked, not entitled and active at the target
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

/// Fails when `patch` takes a member that was sent for one that is there.
#[test]
fn member_who_was_sent_is_added_again_or_taken_out() {
    let mut world = World::staff(&["ana", "bo"]);
    world.lists = false;
    world
        .group("eng")
        .of(&["ana"])
        .linked()
        .of(&["ana", "bo"])
        .sent(&["u-bo"]);
    insta::assert_snapshot!(rendered(&world.plan()), @"patch eng (g-eng) MembersChanged; PATCH +u-bo");
    world.group("eng").of(&["ana"]);
    insta::assert_snapshot!(rendered(&world.plan()), @"patch eng (g-eng) MembersChanged; PATCH -u-bo");
}

/// Fails when `lost` does not look at what the group shows.
#[test]
fn member_who_was_sent_and_has_not_come_is_not_taken_out() {
    let mut world = World::staff(&["ana", "bo"]);
    world.group("eng").of(&["ana"]).linked().sent(&["u-bo"]);
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

/// Fails when `adopt` owns nothing of what it finds, or all of it.
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

/// Fails when `leaver` forgets what the listing shows: the next cycle would switch them off again.
#[test]
fn deactivation_that_turns_out_to_have_happened_is_noted() {
    let mut world = World::new();
    world
        .person("ana")
        .linked()
        .perhaps_switched()
        .inactive()
        .gone();
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @"");
    assert!(planned.noted.values().all(|noted| noted.is_off));
    assert_eq!(planned.noted.len(), 1);
}

/// Fails without `may_be_a_rehire`: they would be locked out until a listing succeeds.
#[test]
fn who_is_rehired_keeps_the_resource_while_nobody_can_look_at_it() {
    let mut world = World::new();
    world.lists = false;
    world.person("ana").rehire_key("7").linked().gone();
    world
        .person("ana2")
        .named("ana")
        .rehire_key("7")
        .backing_off();
    insta::assert_snapshot!(rendered(&world.plan()), @"");
    world.person("ana2").rehire_key("8");
    insta::assert_snapshot!(rendered(&world.plan()), @"deactivate ana (u-ana) GoneFromSource; PATCH active=false");
}
