//! People gone for long: who is deleted, who is forgotten, and what keeps that from happening.

use std::time::Duration;

use super::{World, rendered};
use crate::plan::action::Limit;
use crate::plan::guard::Base;
use crate::plan::input::Standing;
use crate::plan::plan;

const DELETED: &str = "delete ana (u-ana) GoneFromSource; DELETE in Deletions";

fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * 24 * 60 * 60))
}

/// A target that deletes after 30 days, and forgets after a year.
fn patient() -> World {
    let mut world = World::new();
    world.rules.delete_after = days(30);
    world.rules.forget_after = days(365);
    world
}

/// The plan for Ana, and whether she is forgotten.
fn outcome(world: &World) -> (String, bool) {
    let planned = world.plan();
    let forgotten = planned.forgotten.iter().map(|record| record.id.as_str());
    let forgotten: Vec<&str> = forgotten.collect();
    assert!(forgotten.is_empty() || forgotten == ["ana"]);
    (rendered(&planned), !forgotten.is_empty())
}

fn nothing() -> (String, bool) {
    (String::new(), false)
}

#[test]
fn the_long_gone_are_deleted_and_time_counts_from_what_came_last() {
    // Days since they were deactivated, and since they were found to be gone.
    let table = [
        (29, 29, false),
        (30, 30, true),
        (400, 30, true),
        (400, 29, false),
        (29, 400, false),
        (30, 31, true),
        // A clock that was wrong once.
        (-10, 400, false),
    ];
    for (deactivated, gone, deleted) in table {
        let mut world = patient();
        world
            .person("ana")
            .linked()
            .gone_for(0)
            .aged(deactivated, gone);
        let expected = if deleted { DELETED } else { "" };
        assert_eq!(
            outcome(&world),
            (expected.to_owned(), false),
            "{deactivated} {gone}"
        );
    }
}

#[test]
fn without_the_settings_nobody_is_deleted_or_forgotten() {
    let mut world = World::new();
    world.person("ana").linked().gone_for(10_000);
    assert_eq!(outcome(&world), nothing());
}

#[test]
fn only_the_gone_are_deleted_however_long_ago_they_were_switched_off() {
    for standing in [
        Standing::Disabled,
        Standing::SoftDeleted,
        Standing::OutOfScope,
    ] {
        let mut world = patient();
        world.person("ana").linked().gone_for(1000).stands(standing);
        assert_eq!(outcome(&world), nothing());
    }
    let mut world = patient();
    world.person("ana").linked().gone_for(1000).unknown();
    assert_eq!(
        outcome(&world).0,
        ". ana (u-ana) ScopeUnknown: not read",
        "unknown is not absent"
    );
}

#[test]
fn whoever_was_never_deactivated_by_us_or_not_found_gone_yet_stays() {
    // Suspended by somebody else, and then gone.
    let mut world = patient();
    world.person("ana").linked().inactive().gone();
    assert_eq!(outcome(&world), nothing());
    let mut world = patient();
    world.person("ana").linked().deactivated().gone();
    assert_eq!(outcome(&world), nothing());
}

#[test]
fn nothing_is_done_while_a_source_is_unread_or_a_failure_is_backed_off() {
    let mut world = patient();
    world.person("ana").linked().gone_for(1000);
    world.complete = false;
    assert_eq!(outcome(&world), nothing());
    world.complete = true;
    world.person("ana").backing_off();
    assert_eq!(outcome(&world), nothing());
}

#[test]
fn who_was_not_looked_at_is_not_deleted() {
    let mut world = patient();
    world.person("ana").linked().gone_for(30);
    world.lists = false;
    assert_eq!(outcome(&world), nothing());
}

#[test]
fn who_was_switched_on_again_is_switched_off_again() {
    let mut world = patient();
    world.person("ana").linked().gone_for(1000).active();
    assert_eq!(
        outcome(&world).0,
        "deactivate ana (u-ana) Drifted; PATCH active=false"
    );
}

#[test]
fn another_key_at_the_target_is_held_and_never_deleted() {
    let mut world = patient();
    world.person("ana").linked().gone_for(30);
    let user = world.users.values_mut().next().unwrap();
    let name = super::world::path("userName");
    user.attributes
        .insert(name, serde_json::json!("zoe@example.com"));
    insta::assert_snapshot!(outcome(&world).0, @"! delete ana (u-ana) AmbiguousMatch: its userName at the target is another one by now, so it may be somebody else; nothing is deleted, do it there if it is right");
    let user = world.users.values_mut().next().unwrap();
    user.attributes.clear();
    insta::assert_snapshot!(outcome(&world).0, @"! delete ana (u-ana) AmbiguousMatch: the target shows neither its userName nor its externalId, so it may be somebody else; nothing is deleted, do it there if it is right");
}

#[test]
fn keys_are_compared_as_the_protocol_has_it() {
    // userNames whatever their case, an externalId exactly; one that is hidden is no other.
    let table = [
        ("userName", Some("ANA@example.com"), true),
        ("externalId", Some("ANA"), false),
        ("externalId", None, true),
        ("userName", None, true),
    ];
    for (name, value, deleted) in table {
        let mut world = patient();
        world.person("ana").linked().gone_for(30);
        let user = world.users.values_mut().next().unwrap();
        let path = super::world::path(name);
        match value {
            Some(value) => user.attributes.insert(path, serde_json::json!(value)),
            None => user.attributes.remove(&path),
        };
        assert_eq!(outcome(&world).0 == DELETED, deleted, "{name} {value:?}");
    }
    let mut world = patient();
    world
        .person("ana")
        .linked()
        .foreign_external_id("HR-7")
        .gone_for(30);
    assert_eq!(outcome(&world).0, DELETED);
}

#[test]
fn whoever_may_be_one_of_several_people_waits() {
    let mut world = patient();
    world.person("ana").linked().gone_for(1000);
    let mut input = world.input();
    let ana = input.people.values_mut().next().unwrap();
    ana.contested = Some("two have her number".to_owned());
    let planned = plan(&input, &world.window, None);
    assert_eq!(rendered(&planned), "");
    assert!(planned.forgotten.is_empty());
}

#[test]
fn the_protected_are_not_deleted() {
    let mut world = patient();
    world.person("ana").linked().gone_for(30);
    world.protect("u-ana");
    assert_eq!(
        outcome(&world).0,
        ". ana (u-ana) Protected: not deleted (GoneFromSource): `protect` names u-ana"
    );
}

#[test]
fn what_is_not_there_any_more_is_only_forgotten() {
    let mut world = patient();
    world.person("ana").linked().gone_for(30).vanished();
    assert_eq!(outcome(&world), (String::new(), true));
    let mut world = patient();
    world.person("ana").linked().gone_for(29).vanished();
    assert_eq!(outcome(&world), nothing(), "before that it means nothing");
}

#[test]
fn a_doubtful_clock_holds_what_only_time_decides_and_nothing_else() {
    let mut world = patient();
    world.person("ana").linked().gone_for(1000);
    world.person("bo").linked().gone();
    world.clock_doubt = Some("the clock is wrong".to_owned());
    insta::assert_snapshot!(outcome(&world).0, @r"
    deactivate bo (u-bo) GoneFromSource; PATCH active=false
    ! delete ana (u-ana) ClockDoubt: only time says that it is due, and the clock is wrong
    ");
    let planned = world.plan();
    assert_eq!(planned.plan.held_id, None, "there is nothing to approve");
    world.rules.delete_after = None;
    assert!(!outcome(&world).1, "forgetting waits");
}

#[test]
fn the_long_gone_are_forgotten_without_a_request() {
    for (gone, forgotten) in [(364, false), (365, true)] {
        let mut world = patient();
        world.rules.delete_after = None;
        world.person("ana").linked().gone_for(gone);
        // Nobody needs to be seen for that.
        world.lists = false;
        assert_eq!(outcome(&world), (String::new(), forgotten), "{gone}");
    }
}

#[test]
fn who_is_forgotten_is_nobodys_manager_any_more() {
    for reported_before in [false, true] {
        let mut world = patient();
        world.rules.delete_after = None;
        world.person("ana").linked().gone_for(364);
        world.person("bo").led_by(Some("ana"));
        if reported_before {
            let plan = world.plan().plan;
            world.apply(&plan);
        }
        world.person("ana").aged(365, 365);
        let planned = world.plan();
        assert_eq!(planned.forgotten.len(), 1);
        world.apply(&planned.plan);
        world.close(&planned);
        assert_eq!(world.plan().plan.actions, [], "{reported_before}");
    }
}

#[test]
fn who_is_still_to_be_deleted_is_not_forgotten() {
    let mut world = patient();
    world.person("ana").linked().gone_for(1000);
    assert_eq!(outcome(&world), (DELETED.to_owned(), false));
    world.lists = false;
    assert_eq!(outcome(&world), nothing());
    // What will never be deleted is, and no person needs to look at it any more.
    world.lists = true;
    let user = world.users.values_mut().next().unwrap();
    let name = super::world::path("userName");
    user.attributes
        .insert(name, serde_json::json!("zoe@example.com"));
    assert_eq!(outcome(&world), (String::new(), true));
    let mut world = patient();
    world.person("ana").linked().gone_for(1000);
    world.lists = true;
    world.protect("ana");
    assert!(outcome(&world).1);
}

#[test]
fn somebody_entitled_who_may_be_the_same_person_is_settled_first() {
    let mut world = patient();
    world.person("ana").linked().gone_for(1000);
    world.person("ana2").named("ana");
    insta::assert_snapshot!(outcome(&world).0, @"! adopt ana (u-ana) PossibleRehire: the matching resource belongs to staff ana, who is not entitled any more; if this is the same person, set `rehire_key`");
    world.person("ana").rehire_key("7");
    world.person("ana2").rehire_key("7");
    insta::assert_snapshot!(outcome(&world).0, @"reactivate ana (u-ana) Rehired; links u-ana of ana; PATCH active=true externalId:ana→ana2");
}

#[test]
fn deletions_have_their_limit_and_wait_for_an_approval() {
    let mut world = patient();
    for name in ["ana", "bo", "cy"] {
        world.person(name).linked().gone_for(30);
    }
    world.limit(Limit::Deletions, None, Some(2.0));
    world.window.base = Base {
        people: 100,
        ..Base::default()
    };
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @r"
    ! delete ana (u-ana) OverLimit deletions: 2 allows
    ! delete bo (u-bo) OverLimit deletions: 2 allows
    ! delete cy (u-cy) OverLimit deletions: 2 allows
    ");
    let held_id = planned.plan.held_id.unwrap();
    let released = world.release(&held_id, Some("ana"));
    insta::assert_snapshot!(rendered(&released), @r"
    delete ana (u-ana) GoneFromSource; DELETE in Deletions
    ! delete bo (u-bo) OverLimit deletions: 2 allows
    ! delete cy (u-cy) OverLimit deletions: 2 allows
    ");
}
