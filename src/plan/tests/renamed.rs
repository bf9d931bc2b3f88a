//! Who is called otherwise since a creation whose answer was lost, or whose name is another's since:
//! what was made is known by what was sent.

use super::world::path;
use super::{World, rendered};

/// Renamed at the source before anybody knew what became of the creation. Fails without
/// `find_as_sent`: a second one would be made, and who leaves would stay switched on.
#[test]
fn what_a_lost_create_has_made_is_known_by_what_was_sent() {
    let mut world = World::new();
    for id in ["ana", "bo"] {
        let lost = world.person(id).without("externalId").at_target();
        lost.in_doubt(60).named(&format!("{id}-new"));
    }
    world.person("bo").disabled();
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    adopt ana-new (u-ana) Matched; links u-ana; PATCH userName:ana→ana-new
    deactivate bo-new (u-bo) DisabledAtSource; links u-bo; PATCH active=false
    ");
}

/// Whatever has the name that was sent, and was there before. Fails when `find_as_sent` does not ask
/// whether our creation may have made it.
#[test]
fn what_another_has_made_is_not_known_by_what_was_sent() {
    let mut world = World::new();
    world.person("ana").known_as("HR-7").at_target();
    let lost = world.person("ana").known_as("ana").in_doubt(60);
    lost.named("ana-new");
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    create ana-new NewInScope; POST
    . ana (u-ana) Unlinked: in no source; active
    ");
}

/// Ana takes his name, which the target refuses as long as he has it. Fails when `find` knows what
/// was made for him by the records that are there only: he would stay for as long as she tries.
#[test]
fn what_was_made_for_who_left_is_told_from_whoever_takes_their_name() {
    let mut world = World::staff(&["ana"]);
    world.person("bo").at_target().in_doubt(5).gone();
    world.person("ana").named("bo");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch bo (u-ana) AttributesChanged; PATCH userName:ana→bo
    deactivate bo (u-bo) GoneFromSource; links u-bo; PATCH active=false
    "#);
}

/// Nothing was made for Ana, and Bo has the name by now, at a target that shows no externalId. Fails when
/// `find_as_sent` takes what is linked: she would wait for as long as he has it.
#[test]
fn what_is_linked_to_another_is_not_known_by_what_was_sent() {
    let mut world = World::new();
    world.person("ana").named("bo").without("externalId");
    world.person("ana").in_doubt(60).named("ana");
    world.person("bo").without("externalId").linked();
    insta::assert_snapshot!(rendered(&world.plan()), @"create ana NewInScope; POST");
}

/// A group whose creation was lost, and that is called otherwise since, at a target that keeps no
/// externalId of a group.
fn lost_and_renamed_group() -> World {
    let mut world = World::staff(&["ana"]);
    let lost = world.group("eng").of(&["ana"]).at_target(&["u-ana"]);
    lost.in_doubt_with(&["u-ana"]).named("engineering");
    let shell = world.shells.values_mut().next().unwrap();
    shell.attributes.remove(&path("externalId"));
    world
}

/// Fails without `find_as_sent` of groups: a second group would be made, and whoever leaves it would
/// stay in the first.
#[test]
fn group_that_a_lost_create_has_made_is_known_by_what_was_sent() {
    insta::assert_snapshot!(rendered(&lost_and_renamed_group().plan()), @"adopt engineering (g-eng) Matched; links g-eng with u-ana; PATCH displayName:eng→engineering externalId:→eng");
}

/// It was there before. Fails when `find_as_sent` of groups does not ask whether the creation was
/// refused.
#[test]
fn group_of_another_is_not_known_by_what_was_sent() {
    let mut world = lost_and_renamed_group();
    let group = world.groups.get_mut("eng").unwrap();
    group.person.intent.as_mut().unwrap().refused = true;
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    create engineering NewInScope; POST +u-ana
    . eng (g-eng) Unlinked: in no source
    ");
}

/// Another group has the name by now. Fails when `find_as_sent` of groups takes what is linked.
#[test]
fn group_that_is_linked_to_another_is_not_known_by_what_was_sent() {
    let mut world = World::staff(&["ana"]);
    world.group("eng2").named("eng").of(&["ana"]).linked();
    world.profile.keeps_external_id = false;
    for shell in world.shells.values_mut() {
        shell.attributes.remove(&path("externalId"));
    }
    let lost = world.group("eng").in_doubt_with(&["u-ana"]);
    lost.named("engineering");
    insta::assert_snapshot!(rendered(&world.plan()), @"! create engineering InDoubt: the answer to its creation was lost; it is looked for again once the target has settled");
}
