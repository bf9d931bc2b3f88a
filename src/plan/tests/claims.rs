//! Who may have a userName or another key that several want.

use super::world::path;
use super::{World, rendered};
use crate::plan::action::HeldReason;

#[test]
fn who_comes_back_waits_for_whoever_has_their_key_now() {
    let mut world = World::staff(&["ana", "bo"]);
    world.person("ana").deactivated();
    world.person("bo").named("ana").linked();
    insta::assert_snapshot!(
        rendered(&world.plan()),
        @"! reactivate ana (u-ana) DuplicateKey: userName is also claimed by staff bo"
    );
}

/// It was to be taken from Bo when Ana came with it, and the target refused that.
#[test]
fn key_that_two_have_and_both_should_have_holds_both() {
    let mut world = World::staff(&["ana"]);
    world.person("bo").known_as("ana").linked();
    world.person("ana").titled("Boss");
    world.person("bo").titled("Boss");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! patch ana (u-ana) DuplicateKey: externalId is also claimed by staff bo
    ! patch bo (u-bo) DuplicateKey: externalId is also claimed by staff ana
    "#);
    // Bo is still to let go of it, which is none of Ana's business.
    world.person("bo").known_as("bo").backing_off();
    insta::assert_snapshot!(
        rendered(&world.plan()),
        @"patch ana (u-ana) AttributesChanged; PATCH title:→Boss"
    );
}

/// Anybody may read the mail of several.
#[test]
fn address_that_several_have_holds_nobody() {
    let mut world = World::new();
    for id in ["ana", "bo"] {
        world.person(id).mailed("desk@example.com").linked();
        world.person(id).titled("Boss");
    }
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch ana (u-ana) AttributesChanged; PATCH title:→Boss
    patch bo (u-bo) AttributesChanged; PATCH title:→Boss
    "#);
    world.person("bo").without("title");
    let work = r#"emails[type eq "work"].value"#;
    world
        .person("ana")
        .without("title")
        .edited(work, "ana@example.com");
    assert!(rendered(&world.plan()).starts_with("patch ana (u-ana) Drifted"));
}

/// Somebody at the target gave Ana another name, Bo got hers, and now both should have it.
#[test]
fn name_is_not_put_back_while_somebody_has_it() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").edited("userName", "anna@example.com");
    world.person("bo").named("ana").linked();
    let waits = "! patch ana (u-ana) DuplicateKey: userName is also claimed by staff bo";
    assert_eq!(rendered(&world.plan()), waits);
    world.person("bo").unmappable();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! patch ana (u-ana) DuplicateKey: userName is also claimed by staff bo
    ! patch ana (u-bo) MappingFailed: `title`: it has several values
    "#);
    // Only who has no better right than Ana must wait for her.
    let mut world = World::staff(&["ana"]);
    world.person("ana").edited("userName", "anna@example.com");
    world.person("bo").named("ana");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch ana (u-ana) Drifted; PATCH userName:anna→ana
    ! create ana DuplicateKey: userName is also claimed by staff ana
    "#);
}

#[test]
fn owner_of_a_shared_key_keeps_it() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").titled("Boss");
    world.person("bo").named("ANA");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch ana (u-ana) AttributesChanged; PATCH title:→Boss
    ! create ANA DuplicateKey: userName is also claimed by staff ana
    "#);
}

#[test]
fn shared_key_without_an_owner_holds_all() {
    let mut world = World::new();
    world.person("ana");
    world.person("bo").named("ana");
    world.person("cy");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    create cy NewInScope; POST
    ! create ana DuplicateKey: userName is also claimed by staff bo
    ! create ana DuplicateKey: userName is also claimed by staff ana
    "#);
}

/// Nobody shares a value, yet two find the same resource, by different keys.
#[test]
fn two_records_that_match_one_resource_are_held() {
    let mut world = World::new();
    world.person("ana");
    world.person("bo");
    world.user(
        "u1",
        &[("userName", "ana@example.com"), ("externalId", "bo")],
    );
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! adopt ana (u1) DuplicateKey: 2 records match the same resource
    ! adopt bo (u1) DuplicateKey: 2 records match the same resource
    "#);
    // Whether Bo is entitled cannot be told: Bo's claim stands.
    world.person("bo").unknown();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! adopt ana (u1) DuplicateKey: 2 records match the same resource
    . bo ScopeUnknown: not read
    "#);
}

#[test]
fn whoever_waits_keeps_a_name_from_the_next() {
    let mut world = World::staff(&["ana", "bo", "cy"]);
    // Bo keeps "bo", so Ana cannot have it, so Cy cannot have "ana".
    world.person("ana").named("bo");
    world.person("cy").named("ana");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! patch bo (u-ana) DuplicateKey: userName is also claimed by staff bo
    ! patch ana (u-cy) DuplicateKey: userName is also claimed by staff ana
    "#);
}

#[test]
fn whoever_is_left_alone_keeps_a_name_from_the_next() {
    let staying: [fn(&mut World); 4] = [
        |world| drop(world.person("ana").backing_off()),
        |world| drop(world.person("ana").inactive()),
        |world| drop(world.person("ana").unmappable()),
        |world| world.profile.required.push(path("title")),
    ];
    for stay in staying {
        let mut world = World::staff(&["ana"]);
        world.person("bo").titled("Boss").linked();
        world.person("ana").named("anna");
        world.person("bo").named("ana");
        stay(&mut world);
        let planned = world.plan();
        assert_eq!(planned.plan.actions, [], "{}", rendered(&planned));
        let held = planned.plan.held.iter().find(|held| {
            held.subject
                .resource
                .as_ref()
                .is_some_and(|id| id.0 == "u-bo")
        });
        assert_eq!(held.unwrap().reason, HeldReason::DuplicateKey);
    }
}

#[test]
fn joiner_may_have_a_name_only_when_its_owner_lets_go() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").named("anna");
    world.person("ana2").named("ana");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch anna (u-ana) AttributesChanged; PATCH userName:ana→anna in Releases
    create ana NewInScope; POST
    "#);
    world.profile.required.push(path("title"));
    world.person("ana2").titled("Boss");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! patch anna (u-ana) MissingRequired: `title` is required by the target and maps to nothing
    ! create ana DuplicateKey: userName is also claimed by staff ana
    "#);
}

#[test]
fn claims_of_the_unknown_stand() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").unknown();
    world.person("bo").named("cy").unknown();
    world.person("ana2").named("ana");
    world.person("cy");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! create ana DuplicateKey: userName is also claimed by staff ana
    ! create cy DuplicateKey: userName is also claimed by staff bo
    . ana (u-ana) ScopeUnknown: not read
    . cy ScopeUnknown: not read
    "#);
}
