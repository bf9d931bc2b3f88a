//! Who gets what: a test for each row of the table, people first.

use serde_json::json;

use super::world::path;
use super::{World, rendered};
use crate::plan::input::Standing;
use crate::plan::rules::{AdoptInactive, OnDrift, Stale};

#[test]
fn joiner_is_created() {
    let mut world = World::new();
    world.person("ana");
    insta::assert_snapshot!(rendered(&world.plan()), @"create ana NewInScope; POST");
}

#[test]
fn joiner_who_is_there_is_adopted_and_patched() {
    let mut world = World::new();
    world.person("ana").titled("Clerk").at_target();
    world.person("ana").titled("Boss");
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt ana (u-ana) Matched; links u-ana; PATCH title:Clerk→Boss");
}

#[test]
fn match_that_agrees_is_adopted_without_a_call() {
    let mut world = World::new();
    world.person("ana").at_target();
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt ana (u-ana) Matched; links u-ana");
}

#[test]
fn inactive_match_is_switched_on() {
    let mut world = World::new();
    world.person("ana").at_target().inactive();
    insta::assert_snapshot!(rendered(&world.plan()), @"reactivate ana (u-ana) Matched; links u-ana; PATCH active=true");
    world.rules.adopt_inactive = AdoptInactive::Hold;
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! reactivate ana (u-ana) PossibleRehire: the matching resource is inactive, and `adopt_inactive` is "hold"
    "#);
}

#[test]
fn match_by_address_alone_is_adopted() {
    let mut world = World::new();
    world.person("ana").mailed("ana.m@example.com");
    let emails = r#"emails[type eq "home"].value"#;
    world.user("u1", &[("userName", "am"), (emails, "Ana.M@example.com")]);
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt ana (u1) Matched; links u1; PATCH emails:→[{primary:true,type:work,value:ana.m}] externalId:→ana userName:am→ana");
}

#[test]
fn foreign_external_id_is_kept_unless_taken_over() {
    let mut world = World::new();
    world.person("ana");
    world.user(
        "u1",
        &[("userName", "ana@example.com"), ("externalId", "HR-7")],
    );
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt ana (u1) Matched; links u1, which keeps externalId HR-7");
    world.rules.take_over = true;
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt ana (u1) Matched; links u1; PATCH externalId:HR-7→ana");
}

#[test]
fn keys_that_find_different_resources_are_held() {
    let mut world = World::new();
    world.person("ana");
    world.user("u1", &[("userName", "ana@example.com")]);
    world.user("u2", &[("userName", "old"), ("externalId", "ana")]);
    insta::assert_snapshot!(rendered(&world.plan()), @"! adopt ana AmbiguousMatch: 2 resources match externalId, userName");
}

#[test]
fn match_with_the_external_id_of_another_record_is_held() {
    let mut world = World::new();
    world.person("ana");
    world.person("bo");
    world.user(
        "u1",
        &[("userName", "ana@example.com"), ("externalId", "bo")],
    );
    world.rules.match_on = vec![path("userName")];
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    create bo NewInScope; POST
    ! adopt ana (u1) AmbiguousMatch: the matching resource carries the externalId of staff bo
    "#);
}

#[test]
fn rehire_with_an_equal_key_takes_the_link_over() {
    let mut world = World::new();
    world
        .person("ana")
        .rehire_key("7")
        .linked()
        .deactivated()
        .gone();
    world.person("ana2").named("ana").rehire_key("7");
    insta::assert_snapshot!(rendered(&world.plan()), @"reactivate ana (u-ana) Rehired; links u-ana of ana; PATCH active=true externalId:ana→ana2");
}

/// The old record goes and the new one comes in the same read: one action, not two.
#[test]
fn rehire_before_the_leaver_was_switched_off_is_one_action() {
    let mut world = World::new();
    world.person("ana").rehire_key("7").linked().gone();
    world.person("ana2").named("ana").rehire_key("7");
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt ana (u-ana) Rehired; links u-ana of ana; PATCH externalId:ana→ana2");
}

/// The answer to the former record's patch was lost. Fails when `join` forgets what it has sent.
#[test]
fn rehire_clears_what_was_sent_to_the_former_record_and_has_come() {
    let mut world = World::new();
    world
        .person("ana")
        .titled("Boss")
        .rehire_key("7")
        .linked()
        .sent("title")
        .gone();
    let link = world.people.get_mut("ana").unwrap().link.as_mut().unwrap();
    link.acknowledged.remove(&path("title"));
    world.person("ana2").named("ana").rehire_key("7");
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt ana (u-ana) Rehired; links u-ana of ana; PATCH externalId:ana→ana2 title:Boss→");
    world.keep_when_empty.insert(path("title"));
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt ana (u-ana) Rehired; links u-ana of ana; PATCH externalId:ana→ana2");
}

#[test]
fn rehire_without_proof_is_held_and_the_leaver_leaves() {
    let mut world = World::new();
    world.person("ana").rehire_key("7").linked().gone();
    world.person("ana2").named("ana").rehire_key("8");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    deactivate ana (u-ana) GoneFromSource; PATCH active=false
    ! adopt ana (u-ana) PossibleRehire: the matching resource belongs to staff ana, who is not entitled any more; if this is the same person, set `rehire_key`
    "#);
}

#[test]
fn match_of_an_entitled_or_unknown_owner_is_held() {
    let mut world = World::new();
    world.rules.drift.default = OnDrift::Leave;
    world.person("ana").linked().mailed("a@example.com");
    // Somebody renamed Ana at the target.
    let user = world.users.values_mut().next().unwrap();
    user.attributes
        .insert(path("userName"), json!("bo@example.com"));
    world.person("bo");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch ana (u-ana) AttributesChanged; PATCH emails:→[{primary:true,type:work,value:a}]
    ! adopt bo (u-ana) DuplicateKey: the matching resource belongs to staff ana
    "#);
    world.person("ana").unknown();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! adopt bo (u-ana) DuplicateKey: the matching resource belongs to staff ana
    . ana (u-ana) ScopeUnknown: not read
    "#);
}

#[test]
fn missing_required_and_failed_mapping_hold_the_whole_record() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").titled("Boss").without("userName");
    world.person("bo").unmappable();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! patch ana (u-ana) MissingRequired: `userName` is required by the target and maps to nothing
    ! create bo MappingFailed: `title`: it has several values
    "#);
}

#[test]
fn mover_is_patched_by_exactly_the_difference() {
    let mut world = World::new();
    world.person("ana").titled("Clerk").with_nick("A").linked();
    world.person("ana").titled("Boss").without("nickName");
    insta::assert_snapshot!(rendered(&world.plan()), @"patch ana (u-ana) AttributesChanged; PATCH title:Clerk→Boss nickName:A→");
    world.keep_when_empty.insert(path("nickName"));
    insta::assert_snapshot!(rendered(&world.plan()), @"patch ana (u-ana) AttributesChanged; PATCH title:Clerk→Boss");
}

#[test]
fn linked_foreign_external_id_is_left_alone() {
    let mut world = World::staff(&["ana"]);
    world
        .person("ana")
        .foreign_external_id("HR-7")
        .titled("Boss");
    insta::assert_snapshot!(rendered(&world.plan()), @"patch ana (u-ana) AttributesChanged; PATCH title:→Boss");
}

#[test]
fn returner_is_switched_on_again_with_what_changed() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").deactivated().titled("Boss");
    insta::assert_snapshot!(rendered(&world.plan()), @"reactivate ana (u-ana) Returned; PATCH active=true title:→Boss");
}

#[test]
fn suspended_at_the_target_is_left_alone() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").inactive().titled("Boss");
    insta::assert_snapshot!(rendered(&world.plan()), @". ana (u-ana) SuspendedAtTarget: switched off at the target by somebody else; left alone");
}

#[test]
fn missing_at_the_target_is_matched_again_or_created() {
    let mut world = World::staff(&["ana", "bo"]);
    world.person("ana").vanished();
    world.person("bo").vanished();
    world.user("u1", &[("userName", "bo@example.com")]);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    create ana MissingAtTarget; POST
    adopt bo (u1) Matched; links u1; PATCH externalId:→bo
    "#);
}

#[test]
fn leavers_are_switched_off_for_their_reason() {
    let mut world = World::staff(&["ana", "bo", "cy", "di"]);
    world.person("ana").disabled();
    world.person("bo").gone();
    world.person("cy").stands(Standing::OutOfScope);
    world.person("di").stands(Standing::SoftDeleted);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    deactivate ana (u-ana) DisabledAtSource; PATCH active=false
    deactivate bo (u-bo) GoneFromSource; PATCH active=false
    deactivate cy (u-cy) LeftScope; PATCH active=false
    deactivate di (u-di) SoftDeleted; PATCH active=false
    "#);
}

#[test]
fn leaver_is_sent_nothing_but_active_and_does_not_wait_for_back_off() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").titled("Boss").disabled().backing_off();
    insta::assert_snapshot!(rendered(&world.plan()), @"deactivate ana (u-ana) DisabledAtSource; PATCH active=false");
}

#[test]
fn leaver_who_is_off_already_or_missing_needs_nothing() {
    let mut world = World::staff(&["ana", "bo", "cy"]);
    world.person("ana").deactivated().gone();
    world.person("bo").inactive().disabled();
    world.person("cy").vanished().disabled();
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

#[test]
fn leaver_who_was_switched_on_is_switched_off_again() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").deactivated().gone().active();
    insta::assert_snapshot!(rendered(&world.plan()), @"deactivate ana (u-ana) Drifted; PATCH active=false");
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

#[test]
fn not_entitled_and_never_linked_is_nothing_or_stale() {
    let mut world = World::new();
    world.person("ana").disabled();
    world.person("bo").at_target().inactive();
    world.person("bo").disabled();
    world.person("cy").at_target().stands(Standing::OutOfScope);
    world.person("di").at_target().stands(Standing::SoftDeleted);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    . cy (u-cy) Stale: never linked, not entitled and active at the target
    . di (u-di) Stale: never linked, not entitled and active at the target
    "#);
    world.rules.stale = Stale::Deactivate;
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    deactivate cy (u-cy) Stale; links u-cy; PATCH active=false
    deactivate di (u-di) Stale; links u-di; PATCH active=false
    "#);
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

/// Two leavers shared an address; only one of them may switch its owner off.
#[test]
fn stale_resource_of_two_records_is_switched_off_once() {
    let mut world = World::new();
    world.rules.stale = Stale::Deactivate;
    let desk = r#"emails[type eq "work"].value"#;
    world.person("ana").mailed("desk@example.com").disabled();
    world.person("bo").mailed("desk@example.com").disabled();
    world.user("u1", &[("userName", "desk"), (desk, "desk@example.com")]);
    insta::assert_snapshot!(rendered(&world.plan()), @"deactivate ana (u1) Stale; links u1; PATCH active=false");
}

#[test]
fn stale_resource_that_somebody_may_be_entitled_to_is_left_alone() {
    for standing in [Standing::Entitled, Standing::Unknown("not read".to_owned())] {
        let mut world = World::new();
        world.rules.stale = Stale::Deactivate;
        world.person("ana").disabled();
        world.person("bo").stands(standing);
        world.user(
            "u1",
            &[("userName", "ana@example.com"), ("externalId", "bo")],
        );
        assert_eq!(
            world
                .plan()
                .plan
                .actions
                .iter()
                .filter(|it| it.adoption.is_none())
                .count(),
            0
        );
        assert!(!rendered(&world.plan()).contains("deactivate"));
    }
}

#[test]
fn nothing_happens_to_the_unknown() {
    let mut world = World::staff(&["ana", "bo"]);
    world.person("ana").titled("Boss").unknown();
    world.person("bo").deactivated().unknown();
    world.person("cy").unknown();
    world.person("di").at_target().unknown();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    . ana (u-ana) ScopeUnknown: not read
    . bo (u-bo) ScopeUnknown: not read
    . cy ScopeUnknown: not read
    . di ScopeUnknown: not read
    "#);
}

#[test]
fn resources_of_nobody_are_listed() {
    let mut world = World::new();
    world.user("u1", &[("userName", "guest")]);
    world.user("u2", &[("userName", "robot")]).active = false;
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    . guest (u1) Unlinked: in no source; active
    . robot (u2) Unlinked: in no source; inactive
    "#);
}

/// Fails when `unlinked` does not ask whether every source was read.
#[test]
fn lost_snapshot_suspects_nobody_while_a_source_cannot_be_read() {
    let mut world = World::new();
    world.snapshot_lost = true;
    world.complete = false;
    world.person("e1").linked();
    world.user("u3", &[("userName", "cy"), ("externalId", "e3")]);
    insta::assert_snapshot!(rendered(&world.plan()), @". cy (u3) Unlinked: in no source, as far as that can be told; active");
}

#[test]
fn lost_snapshot_suspects_only_what_looks_like_ours_and_is_in_no_source() {
    let mut world = World::new();
    world.snapshot_lost = true;
    world.person("e1").at_target();
    world.person("e2").at_target().unmappable();
    world.user("u3", &[("userName", "cy"), ("externalId", "e3")]);
    world.user("u4", &[("userName", "guest"), ("externalId", "HR-7")]);
    world.user("u5", &[("userName", "robot")]);
    world
        .user("u6", &[("userName", "off"), ("externalId", "e6")])
        .active = false;
    world.user("u7", &[("userName", "breakglass"), ("externalId", "e7")]);
    world.protect("BreakGlass");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    adopt e1 (u-e1) Matched; links u-e1
    ! create e2 MappingFailed: `title`: it has several values
    ! deactivate cy (u3) ProbableLeaver: the snapshot was lost; in no source, active, and its externalId looks like one of ours
    . e2 (u-e2) Unlinked: carries the externalId of staff e2, whose keys do not match it
    . guest (u4) Unlinked: in no source; active
    . robot (u5) Unlinked: in no source; active
    . off (u6) Unlinked: in no source; inactive
    . breakglass (u7) Protected: in no source, but protected
    "#);
}

#[test]
fn protection_is_a_veto_by_every_key() {
    let keys = ["ana", "u-ana", "Ana@Example.com", "a@example.com"];
    for key in keys {
        let mut world = World::new();
        world.person("ana").mailed("a@example.com").linked().gone();
        world.protect(key);
        let planned = world.plan();
        assert_eq!(planned.plan.actions, [], "{key}");
        assert!(rendered(&planned).contains("Protected"), "{key}");
    }
    let mut world = World::staff(&["ana"]);
    world.person("ana").foreign_external_id("HR-7").gone();
    world.protect("HR-7");
    insta::assert_snapshot!(rendered(&world.plan()), @". ana (u-ana) Protected: not deactivated (GoneFromSource): `protect` names HR-7");
}

#[test]
fn create_in_doubt_waits_until_it_is_settled_and_not_found() {
    let mut world = World::new();
    world.person("ana").in_doubt(29);
    insta::assert_snapshot!(rendered(&world.plan()), @"! create ana InDoubt: the answer to its creation was lost; it is looked for again once the target has settled");
    world.person("ana").in_doubt(30);
    insta::assert_snapshot!(rendered(&world.plan()), @"create ana NewInScope; POST");
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"! create ana InDoubt: the answer to its creation was lost; it is looked for again once the target has settled");
}

#[test]
fn create_in_doubt_that_happened_is_adopted_or_undone() {
    let mut world = World::new();
    world.person("ana").in_doubt(5).at_target();
    world.person("bo").in_doubt(5).at_target().gone();
    world.person("cy").in_doubt(60).gone();
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @r#"
    adopt ana (u-ana) Matched; links u-ana
    deactivate bo (u-bo) GoneFromSource; links u-bo; PATCH active=false
    "#);
    let closed: Vec<&str> = planned
        .closed_intents
        .iter()
        .map(|it| it.id.as_str())
        .collect();
    assert_eq!(closed, ["cy"]);
}

#[test]
fn back_off_puts_everything_off_but_leaving() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").titled("Boss").backing_off();
    world.person("bo").backing_off();
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

#[test]
fn unchanged_counts_what_is_linked_and_left_alone() {
    let mut world = World::staff(&["ana", "bo", "cy"]);
    world.person("ana").titled("Boss");
    world.person("cy").rehire_key("7").gone().deactivated();
    world.person("cy2").named("cy").rehire_key("7");
    world.person("di");
    assert_eq!(world.plan().plan.actions.len(), 3);
    assert_eq!(world.plan().plan.unchanged, 1);
}
