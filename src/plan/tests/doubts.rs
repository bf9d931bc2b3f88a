//! What was sent and not acknowledged: it may have happened or not, and nobody is wronged either
//! way. Most of these were found by the simulation. What is said to make one fail was tried.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use provisor_connectors::Kind;

use super::world::{key, now, path};
use super::{World, rendered};
use crate::plan::action::Limit;
use crate::plan::input::Standing;
use crate::plan::rules::WhenGone;
use crate::plan::{Planned, plan};
use crate::scim::resource::ResourceId;

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

/// Fails when `leaver` asks whether they are surely active.
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

/// Fails when `lost` does not look at what the group shows, or when nothing is noted of it
/// (world 5578).
#[test]
fn member_who_was_sent_and_has_not_come_is_not_taken_out() {
    let mut world = World::staff(&["ana", "bo"]);
    world.group("eng").of(&["ana"]).linked().sent(&["u-bo"]);
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @"");
    // Nor by the next cycle, which does not look.
    world.note(&planned);
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

/// Fails when `shown_members` believes that a group is empty at a target that shows no members at all:
/// he would be in it for good, and by our doing.
#[test]
fn member_who_was_sent_is_taken_out_where_no_members_are_shown() {
    let mut world = World::staff(&["ana", "bo"]);
    world.group("eng").of(&[]).linked().sent(&["u-bo"]);
    insta::assert_snapshot!(rendered(&world.plan()), @"patch eng (g-eng) MembersChanged; PATCH -u-bo");
}

/// Fails when `patch` puts in again whoever was sent, and when that they came is not noted.
#[test]
fn member_who_was_sent_and_has_come_is_not_put_in_again() {
    let mut world = World::staff(&["ana", "bo"]);
    world.group("eng").of(&["ana", "bo"]).linked();
    world.group("eng").sent(&["u-bo"]);
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @"");
    // Nor by the next cycle, which does not look.
    world.note(&planned);
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

/// Fails when those who have not come are counted among those who stay (world 9066).
#[test]
fn group_that_somebody_was_sent_into_in_vain_is_deleted_at_once() {
    let mut world = World::staff(&["ana", "bo"]);
    world.group("eng").of(&["ana"]).linked().sent(&["u-bo"]);
    world.group("eng").stands(Standing::OutOfScope);
    world.rules.groups.when_gone = WhenGone::Delete;
    insta::assert_snapshot!(rendered(&world.plan()), @"delete eng (g-eng) LeftScope; DELETE in Deletions");
    // Without a listing they may be in it, and go with it.
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"delete eng (g-eng) LeftScope; DELETE in Deletions");
}

/// Fails when the edge of somebody who was deleted keeps the group, for the sake of `protect`.
#[test]
fn group_of_somebody_protected_who_is_no_more_is_deleted() {
    let mut world = World::staff(&["ana"]);
    world.protect("ana");
    world.group("eng").of(&["ana"]).linked();
    world.group("eng").stands(Standing::Gone);
    world.rules.groups.when_gone = WhenGone::Delete;
    let planned = world.plan();
    let deleted = |planned: &Planned| rendered(planned).contains("DELETE");
    assert!(!deleted(&planned), "{}", rendered(&planned));
    world.users.remove(&ResourceId("u-ana".to_owned()));
    let planned = world.plan();
    assert!(deleted(&planned), "{}", rendered(&planned));
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

/// Fails without `may_be_rehired`: they would be locked out until a listing succeeds.
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
    insta::assert_snapshot!(rendered(&world.plan()), @"! deactivate ana (u-ana) PossibleRehire: `rehire_key` says that staff ana2 may be the same person, and this cycle could not look at the resource for them");
    world.person("ana2").rehire_key("8");
    insta::assert_snapshot!(rendered(&world.plan()), @"deactivate ana (u-ana) GoneFromSource; PATCH active=false");
}

/// Nor where somebody else's lookup has shown the resource, while the newcomer's own turn has not come
/// (world 43936). Fails when `leaver` asks only about what was not seen.
#[test]
fn who_is_rehired_keeps_the_resource_that_another_lookup_has_shown() {
    let mut world = World::new();
    world.person("ana").rehire_key("7").linked().gone();
    let newcomer = world.person("ana2").named("ana");
    newcomer.rehire_key("7").backing_off();
    let mut input = world.input();
    input.full = false;
    input.observed_users.complete = false;
    assert!(!input.observed_users.resources.is_empty());
    let planned = plan(&input, &world.window, None);
    insta::assert_snapshot!(rendered(&planned), @"! deactivate ana (u-ana) PossibleRehire: `rehire_key` says that staff ana2 may be the same person, and this cycle could not look at the resource for them");
}

/// Whom a refused call was to switch on is linked all the same. Fails when `link_adopted` leaves
/// out whom it switches on: then nobody knows whose membership it is that the group has got.
/// Found by `histories_converge`.
#[test]
fn who_could_not_be_switched_on_stays_in_a_group_while_nothing_can_be_told() {
    let mut world = World::new();
    world.person("ana").at_target().inactive().named("bo");
    world.person("bo").linked().named("cy");
    world.user("stranger", &[("userName", "cy@example.com")]);
    world.group("eng").of(&[]).linked().of(&["ana"]);
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @r#"
    reactivate bo (u-ana) Matched; links u-ana; PATCH active=true userName:ana→bo in Releases
    patch cy (u-bo) AttributesChanged; PATCH userName:bo→cy in Releases
    patch eng (g-eng) MembersChanged; PATCH +u-ana
    . cy (stranger) Unlinked: in no source; active
    "#);
    assert_eq!(world.apply(&planned.plan).len(), 2);
    world.person("ana").unknown();
    world.person("bo").named("bo");
    world.group("eng").of(&[]);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    . bo (u-ana) ScopeUnknown: not read
    . cy (stranger) Unlinked: in no source; active
    "#);
    world.person("ana").stands(Standing::Entitled).named("ana");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    reactivate ana (u-ana) Returned; PATCH active=true
    patch eng (g-eng) MembersChanged; PATCH -u-ana
    . cy (stranger) Unlinked: in no source; active
    "#);
    world.person("ana").gone();
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    deactivate ana (u-ana) GoneFromSource; PATCH active=false
    patch eng (g-eng) MembersChanged; PATCH -u-ana
    "#);
}

/// Fails when `present` does not look at what was sent, or at what the listing shows of it.
#[test]
fn value_that_was_sent_and_is_dropped_since_is_cleared_where_it_has_come() {
    let mut world = World::new();
    world.person("ana").titled("Boss").linked();
    let link = world.people.get_mut("ana").unwrap().link.as_mut().unwrap();
    link.acknowledged.remove(&path("title"));
    world.person("ana").sent("title").without("title");
    world.person("bo").linked().sent("title");
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @"patch ana (u-ana) AttributesChanged; PATCH title:Boss→");
    let noted: Vec<_> = planned.noted.values().map(|it| &it.not_come).collect();
    assert_eq!(noted, [&BTreeSet::from([path("title")])]);
    world.keep_when_empty.insert(path("title"));
    insta::assert_snapshot!(rendered(&world.plan()), @"");
    world.keep_when_empty.clear();
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

/// Fails when `leaver` notes it of our own deactivations alone: the next cycle, which does not
/// list, would switch them off.
#[test]
fn who_was_suspended_by_others_and_leaves_is_noted_as_off() {
    let mut world = World::new();
    world.person("ana").linked().inactive().gone();
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @"");
    world.note(&planned);
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
    world.lists = true;
    world.person("ana").stands(Standing::Entitled);
    insta::assert_snapshot!(rendered(&world.plan()), @". ana (u-ana) SuspendedAtTarget: switched off at the target by somebody else; left alone");
}

/// Two who are switched off again, and what that has spent is in the window.
fn twice_spent() -> World {
    let mut world = World::staff(&["ana", "bo", "cy"]);
    world.limit(Limit::Deactivations, Some(2), None);
    world.window.spent.insert(Limit::Deactivations, 2);
    world.window.spent_at.insert(now());
    for name in ["ana", "bo"] {
        world.person(name).perhaps_switched().gone();
        let link = world.people.get_mut(name).unwrap().link.as_mut().unwrap();
        let switched = link.deactivated.as_mut().unwrap();
        switched.spent = Some("deactivations".to_owned());
        switched.at = now() + TimeDelta::nanoseconds(999);
    }
    world
}

/// Fails when `exceeded` counts what the window holds already: nobody could be tried again.
#[test]
fn deactivations_that_may_have_happened_are_counted_once() {
    let mut world = twice_spent();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    deactivate ana (u-ana) GoneFromSource; PATCH active=false
    deactivate bo (u-bo) GoneFromSource; PATCH active=false
    "#);
    world.person("cy").gone();
    let held = world.plan().plan.held.len();
    assert_eq!(held, 3, "all of a kind wait over a limit");
}

/// While the clock was ahead, what they had spent was forgotten. Fails when `spent_before` only
/// looks at the link: both would be counted nowhere.
#[test]
fn what_was_forgotten_is_counted_anew() {
    let mut world = twice_spent();
    world.window.spent.clear();
    world.window.spent_at.clear();
    world.person("cy").gone();
    let held = world.plan().plan.held.len();
    assert_eq!(held, 3, "three, where two are allowed");
}

/// After a lost snapshot the audit log remembers two resources as ana's, of which she has one.
/// Fails when `unlinked` takes everybody who is remembered for somebody whom no source has: her
/// link would move to the other.
#[test]
fn a_remembered_resource_does_not_take_the_link_of_somebody_who_is_there() {
    let mut world = World::staff(&["ana"]);
    world.snapshot_lost = true;
    let remembered = ["u-old", "u-older"].map(|id| {
        world.user(id, &[("externalId", "old"), ("userName", id)]);
        ResourceId(id.to_owned())
    });
    let mut input = world.input();
    let ana = key(Kind::User, "ana");
    let gone = key(Kind::User, "gone");
    let owners = remembered.into_iter().zip([ana, gone]);
    input.observed_users.remembered.extend(owners);
    insta::assert_snapshot!(rendered(&plan(&input, &world.window, None)), @r#"
    adopt u-older (u-older) GoneFromSource; links u-older
    . u-old (u-old) Unlinked: carries the externalId of staff ana, whose keys do not match it
    "#);
}

/// Fails when only what adds to the window can exceed a limit.
#[test]
fn what_was_spent_is_not_sent_again_over_a_limit_that_was_lowered() {
    let mut world = twice_spent();
    world.limit(Limit::Deactivations, Some(0), None);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! deactivate ana (u-ana) OverLimit deactivations: 0 allows
    ! deactivate bo (u-bo) OverLimit deactivations: 0 allows
    "#);
}
