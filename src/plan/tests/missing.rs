//! What is gone from the target, or was taken for that: whose memberships are left there, and what
//! becomes of a resource that is seen again. What is said to make one fail was tried.

use super::{World, rendered};
use crate::plan::rules::Stale;
use crate::plan::{Planned, plan};

/// A group that shows the id of somebody who is no more.
fn haunted() -> World {
    let mut world = World::staff(&["ana"]);
    world.group("eng").of(&["ana"]).linked().haunted_by("u-old");
    world
}

/// Fails when `removable` leaves alone what is orphaned.
#[test]
fn id_of_nobody_is_taken_out_of_a_group_that_shows_it() {
    insta::assert_snapshot!(rendered(&haunted().plan()), @"patch eng (g-eng) MembersChanged; PATCH -u-old");
}

/// Fails when `is_orphaned` is not asked.
#[test]
fn id_of_nobody_stays_until_a_listing_shows_it() {
    let mut world = haunted();
    world.lists = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

/// Fails when `is_shown_for_nobody` does not ask who is listed, and the second part when
/// `not_joined` does not.
#[test]
fn id_that_somebody_has_again_stays() {
    let mut world = haunted();
    world.user("u-old", &[("userName", "another@example.com")]);
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @". another (u-old) Unlinked: in no source; active");
    assert_eq!(forgotten(&planned), ["u-old"]);
}

/// Fails when `not_joined` leaves out what is orphaned.
#[test]
fn membership_of_nobody_that_is_not_shown_is_forgotten() {
    let mut world = haunted();
    let shell = world.shells.values_mut().next().unwrap();
    shell.members.retain(|id| id.0 != "u-old");
    let planned = world.plan();
    insta::assert_snapshot!(rendered(&planned), @"");
    assert_eq!(forgotten(&planned), ["u-old"]);
}

/// Also where only the member's link says that they are no more (world 44262). Fails when `not_joined`
/// asks the edge alone.
#[test]
fn membership_of_somebody_missing_that_is_not_shown_is_forgotten() {
    let mut world = World::staff(&["ana", "bo"]);
    world.group("eng").of(&["ana", "bo"]).linked();
    world.person("bo").missing().vanished().disabled();
    let shell = world.shells.values_mut().next().unwrap();
    shell.members.retain(|id| id.0 != "u-bo");
    let mut input = world.input();
    for group in input.groups.values_mut() {
        for edge in group.owned.values_mut() {
            edge.orphaned = false;
        }
    }
    let planned = plan(&input, &world.window, None);
    insta::assert_snapshot!(rendered(&planned), @"");
    assert_eq!(forgotten(&planned), ["u-bo"]);
}

/// Whose edges the cycle forgets when it closes.
fn forgotten(planned: &Planned) -> Vec<&str> {
    let noted = planned.noted.values();
    let forgotten = noted.flat_map(|noted| &noted.not_joined);
    forgotten.map(|id| id.0.as_str()).collect()
}

/// Taken for gone after a 404, and listed all the same, under another name by now. Fails when `stale`
/// takes the record's own link for somebody else's, and when `is_linked` does not make it ours.
#[test]
fn what_was_taken_for_gone_is_switched_off() {
    let mut world = World::new();
    world.rules.stale = Stale::List;
    world
        .person("ana")
        .linked()
        .missing()
        .edited("userName", "a@example.com")
        .disabled();
    insta::assert_snapshot!(rendered(&world.plan()), @"deactivate ana (u-ana) DisabledAtSource; links u-ana; PATCH active=false");
}

/// Fails when `is_linked` goes by the id alone.
#[test]
fn another_who_has_the_id_of_who_was_gone_is_listed() {
    let mut world = World::new();
    world.rules.stale = Stale::List;
    world
        .person("ana")
        .linked()
        .missing()
        .edited("externalId", "HR-7")
        .disabled();
    insta::assert_snapshot!(rendered(&world.plan()), @". ana (u-ana) Stale: never linked, not entitled and active at the target");
}

/// Fails when `unlinked` takes whoever has a link for somebody's.
#[test]
fn what_was_taken_for_gone_and_nobody_finds_is_shown() {
    let mut world = World::new();
    let ana = world.person("ana").linked().missing();
    ana.edited("userName", "a@example.com").gone();
    insta::assert_snapshot!(rendered(&world.plan()), @". a (u-ana) Unlinked: was of staff ana until the target did not know it, and has other keys by now");
}
