//! Groups and their members: the last rows of the table.

use serde_json::json;

use super::world::path;
use super::{World, rendered};
use crate::plan::action::{Change, Write};
use crate::plan::input::Standing;
use crate::plan::rules::WhenGone;

#[test]
fn group_is_created_with_those_who_are_linked_or_come_with_it() {
    let mut world = World::staff(&["ana"]);
    world.person("bo");
    world.person("cy").unmappable();
    world.group("eng").of(&["ana", "bo", "cy"]);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    create bo NewInScope; POST
    create eng NewInScope; POST +u-ana +pending:bo
    ! create cy MappingFailed: `title`: it has several values
    "#);
}

#[test]
fn group_that_is_there_is_adopted_and_nobody_is_removed() {
    let mut world = World::staff(&["ana", "bo", "cy"]);
    world
        .group("eng")
        .of(&["ana", "bo"])
        .at_target(&["u-ana", "u-cy"]);
    insta::assert_snapshot!(rendered(&world.plan()), @"adopt eng (g-eng) Matched; links g-eng with u-ana; PATCH +u-bo");
}

/// Cy, who waits for Ana's key, finds Bo's resource by a name as well; it becomes Bo's.
#[test]
fn foreign_member_goes_with_the_plan_that_tells_whose_they_are() {
    let mut world = World::staff(&["ana"]);
    world.rules.groups.authoritative = true;
    world
        .person("bo")
        .at_target()
        .edited("userName", "cy@example.com");
    world.person("cy").known_as("ana");
    world.group("eng").linked();
    world.group("eng").at_target(&["u-bo"]);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    adopt bo (u-bo) Matched; links u-bo; PATCH userName:cy→bo
    patch eng (g-eng) MembersChanged; PATCH -u-bo
    ! create cy DuplicateKey: externalId is also claimed by staff ana
    "#);
    let plan = world.plan().plan;
    assert!(world.apply(&plan).is_empty());
    assert_eq!(world.plan().plan.actions, []);
}

#[test]
fn adopted_person_in_place_is_an_edge_of_ours() {
    let mut world = World::new();
    world.person("ana").at_target();
    world.group("eng").of(&["ana"]).at_target(&["u-ana"]);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    adopt ana (u-ana) Matched; links u-ana
    adopt eng (g-eng) Matched; links g-eng with u-ana
    "#);
}

#[test]
fn name_and_members_change_in_one_call() {
    let mut world = World::staff(&["ana", "bo", "cy"]);
    world
        .group("eng")
        .of(&["ana", "bo"])
        .linked()
        .of(&["bo", "cy"])
        .named("Engineers");
    insta::assert_snapshot!(rendered(&world.plan()), @"patch Engineers (g-eng) AttributesChanged; PATCH displayName:eng→Engineers +u-cy -u-ana");
}

#[test]
fn only_edges_of_ours_are_removed() {
    let mut world = World::staff(&["ana", "bo"]);
    world.group("eng").of(&["ana"]).linked().of(&[]);
    let shell = world.shells.values_mut().next().unwrap();
    shell.members.extend(world.users.keys().cloned());
    insta::assert_snapshot!(rendered(&world.plan()), @"patch eng (g-eng) MembersChanged; PATCH -u-ana");
}

#[test]
fn memberships_follow_the_scope_and_stay_with_the_disabled_and_the_unknown() {
    let mut world = World::staff(&["ana", "bo", "cy", "di"]);
    world.group("eng").of(&["ana", "bo", "cy", "di"]).linked();
    world.person("ana").disabled();
    world.person("bo").stands(Standing::OutOfScope);
    world.person("cy").unknown();
    world.person("di").gone();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    deactivate ana (u-ana) DisabledAtSource; PATCH active=false
    deactivate bo (u-bo) LeftScope; PATCH active=false
    deactivate di (u-di) GoneFromSource; PATCH active=false
    patch eng (g-eng) MembersChanged; PATCH -u-bo -u-di
    . cy (u-cy) ScopeUnknown: not read
    "#);
}

#[test]
fn protected_members_are_not_stripped() {
    let mut world = World::staff(&["ana", "bo"]);
    world.group("eng").of(&["ana", "bo"]).linked().of(&[]);
    world.protect("u-ana");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch eng (g-eng) MembersChanged; PATCH -u-bo
    . ana (u-ana) Protected: stays in eng: `protect` names u-ana
    "#);
    // Nor by deleting the group around them.
    world.rules.groups.when_gone = WhenGone::Delete;
    world.group("eng").stands(Standing::Gone);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch eng (g-eng) GoneFromSource; PATCH -u-bo
    . ana (u-ana) Protected: stays in eng: `protect` names u-ana
    "#);
}

#[test]
fn member_who_is_made_again_is_added_and_the_id_that_nobody_has_taken_out() {
    let mut world = World::staff(&["ana", "bo"]);
    world.group("eng").of(&["ana", "bo"]).linked();
    world.person("bo").vanished();
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    create bo MissingAtTarget; POST
    patch eng (g-eng) MembersChanged; PATCH +pending:bo -u-bo
    "#);
    let plan = world.plan().plan;
    world.apply(&plan);
    assert_eq!(world.plan().plan.actions, []);
}

#[test]
fn group_that_somebody_deleted_is_made_again_with_its_members() {
    let mut world = World::staff(&["ana", "bo"]);
    world
        .group("eng")
        .of(&["ana", "bo"])
        .linked()
        .vanished()
        .of(&["ana"]);
    insta::assert_snapshot!(rendered(&world.plan()), @"create eng MissingAtTarget; POST +u-ana");
    let plan = world.plan().plan;
    world.apply(&plan);
    assert_eq!(world.plan().plan.actions, []);
}

#[test]
fn group_that_leaves_is_emptied_kept_or_deleted() {
    let mut world = World::staff(&["ana"]);
    world
        .group("eng")
        .of(&["ana"])
        .linked()
        .stands(Standing::Gone);
    world.group("ops").of(&["ana"]).linked().adopted();
    world.group("ops").stands(Standing::OutOfScope);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch eng (g-eng) GoneFromSource; PATCH -u-ana
    patch ops (g-ops) LeftScope; PATCH -u-ana
    "#);
    world.rules.groups.when_gone = WhenGone::Delete;
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    delete eng (g-eng) GoneFromSource; DELETE in Deletions
    patch ops (g-ops) LeftScope; PATCH -u-ana
    "#);
    world.rules.groups.when_gone = WhenGone::Keep;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

#[test]
fn protected_group_is_left_alone() {
    let mut world = World::staff(&["ana"]);
    world
        .group("eng")
        .of(&["ana"])
        .linked()
        .stands(Standing::Gone);
    world.protect("ENG");
    insta::assert_snapshot!(rendered(&world.plan()), @". eng (g-eng) Protected: not emptied (GoneFromSource): `protect` names eng");
}

#[test]
fn groups_whose_names_collide_are_held() {
    let mut world = World::new();
    world.group("eng").named("Team");
    world.group("ops").named("team");
    world.group("it").linked();
    world.group("it2").named("it");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! create Team DuplicateKey: displayName is also claimed by staff ops
    ! create it DuplicateKey: displayName is also claimed by staff it
    ! create team DuplicateKey: displayName is also claimed by staff eng
    "#);
}

#[test]
fn groups_that_match_one_resource_are_held() {
    let mut world = World::new();
    world.group("eng").named("Engineers").at_target(&[]);
    // The target's group has the name of one and, by another mapping, the key of the other.
    let shell = world.shells.values_mut().next().unwrap();
    shell.attributes.insert(path("externalId"), json!("k-2"));
    world.group("ops");
    let ops = world.groups.get_mut("ops").unwrap();
    let desired = ops.person.desired.as_mut().unwrap();
    desired.insert(path("externalId"), json!("k-2"));
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    ! adopt Engineers (g-eng) DuplicateKey: 2 records match the same group
    ! adopt ops (g-eng) DuplicateKey: 2 records match the same group
    "#);
}

#[test]
fn group_of_an_owner_who_is_not_pushed_any_more_is_held() {
    let mut world = World::new();
    world
        .group("eng")
        .named("Team")
        .linked()
        .stands(Standing::OutOfScope);
    world.group("eng2").named("Team");
    insta::assert_snapshot!(rendered(&world.plan()), @"! adopt Team (g-eng) DuplicateKey: the matching group belongs to staff eng");
}

#[test]
fn nothing_happens_to_an_unknown_group() {
    let mut world = World::staff(&["ana"]);
    world.group("eng").of(&["ana"]).linked();
    world
        .group("eng")
        .of(&[])
        .stands(Standing::Unknown("not read".to_owned()));
    insta::assert_snapshot!(rendered(&world.plan()), @". eng (g-eng) ScopeUnknown: not read");
}

#[test]
fn groups_of_nobody_are_listed() {
    let mut world = World::new();
    world.group("eng").at_target(&[]);
    world.groups.clear();
    insta::assert_snapshot!(rendered(&world.plan()), @". eng (g-eng) Unlinked: in no source");
}

#[test]
fn members_beyond_one_request_follow_in_chunks() {
    let mut world = World::staff(&["a", "b", "c", "d", "e"]);
    world.profile.members_per_request = 2;
    world.group("eng").of(&["a", "b", "c", "d", "e"]);
    world
        .group("ops")
        .of(&["a", "b", "c"])
        .linked()
        .of(&["d", "e"]);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    create eng NewInScope; POST +u-a +u-b; PATCH +u-c +u-d in Memberships; PATCH +u-e in Memberships
    patch ops (g-ops) MembersChanged; PATCH -u-a -u-b; PATCH +u-d -u-c in Memberships; PATCH +u-e in Memberships
    "#);
    let plan = world.plan().plan;
    for request in plan.actions.iter().flat_map(|action| &action.requests) {
        let count = match &request.write {
            Write::Create { members, .. } => members.len(),
            Write::Patch { add, remove, .. } => add.len() + remove.len(),
            Write::Delete => 0,
        };
        assert!(count <= 2);
    }
    world.apply(&plan);
    assert_eq!(world.plan().plan.actions, []);
}

#[test]
fn emptied_group_that_comes_back_is_filled_again() {
    let mut world = World::staff(&["ana"]);
    world
        .group("eng")
        .of(&["ana"])
        .linked()
        .stands(Standing::OutOfScope);
    let plan = world.plan().plan;
    world.apply(&plan);
    assert_eq!(world.plan().plan.actions, []);
    world.group("eng").stands(Standing::Entitled);
    let plan = world.plan().plan;
    assert_eq!(plan.actions[0].change, Change::Patch);
    insta::assert_snapshot!(rendered(&world.plan()), @"patch eng (g-eng) MembersChanged; PATCH +u-ana");
}
