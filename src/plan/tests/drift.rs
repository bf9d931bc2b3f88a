//! Drift: what is put back, what is only shown, and what is no drift at all.

use provisor_connectors::Kind;
use serde_json::json;

use super::world::{key, path};
use super::{World, rendered};
use crate::plan::action::Limit;
use crate::plan::drift::{PutBack, remember};
use crate::plan::input::Referenced;
use crate::plan::plan;
use crate::plan::rules::OnDrift;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, read_listed};
use crate::snapshot::link::{Link, Told};

/// Ana and Bo, both with a title and a nickname.
fn staff() -> World {
    let mut world = World::new();
    world.person("ana").titled("Boss").with_nick("An").linked();
    world.person("bo").titled("Clerk").with_nick("Bo").linked();
    world
}

/// Plans, applies, and closes the cycle.
fn cycle(world: &mut World) -> String {
    let planned = world.plan();
    assert!(world.apply(&planned.plan).is_empty(), "nothing is refused");
    world.note(&planned);
    rendered(&planned)
}

#[test]
fn edited_and_emptied_values_are_put_back() {
    let mut world = staff();
    world.person("ana").edited("title", "Queen");
    world.person("bo").emptied("title");
    insta::assert_snapshot!(cycle(&mut world), @r"
    patch ana (u-ana) Drifted; PATCH title:Queen→Boss
    patch bo (u-bo) Drifted; PATCH title:→Clerk
    ");
    insta::assert_snapshot!(cycle(&mut world), @"");
}

#[test]
fn only_a_complete_listing_of_a_full_cycle_tells() {
    let mut world = staff();
    world.person("ana").edited("title", "Queen");
    let unchanged = |change: &dyn Fn(&mut crate::plan::input::Input<'_>)| {
        let mut input = world.input();
        change(&mut input);
        rendered(&plan(&input, &world.window, None))
    };
    assert_eq!(unchanged(&|input| input.full = false), "");
    assert_eq!(
        unchanged(&|input| input.observed_users.complete = false),
        ""
    );
}

#[test]
fn what_is_put_back_goes_with_what_the_source_changed() {
    let mut world = staff();
    world
        .person("ana")
        .edited("title", "Queen")
        .with_nick("Annie");
    insta::assert_snapshot!(rendered(&world.plan()), @"patch ana (u-ana) AttributesChanged; PATCH nickName:An→Annie title:Queen→Boss");
    world.person("ana").deactivated();
    insta::assert_snapshot!(rendered(&world.plan()), @"reactivate ana (u-ana) Returned; PATCH active=true nickName:An→Annie title:Queen→Boss");
}

#[test]
fn both_sides_changed_one_value() {
    let mut world = staff();
    world.person("ana").edited("title", "Queen").titled("Chief");
    world.person("bo").emptied("title").titled("Cook");
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    patch ana (u-ana) AttributesChanged; PATCH title:Queen→Chief
    patch bo (u-bo) AttributesChanged; PATCH title:→Cook
    ");
    // The source's change is no overwrite of somebody else's value, whenever it is seen.
    world.limit(Limit::Overwrites, Some(0), None);
    assert!(world.plan().plan.held.is_empty());
}

/// Somebody at the target was quicker than we: nothing differs, but it is not ours yet.
#[test]
fn value_that_is_there_already_is_acknowledged_with_one_write() {
    let mut world = staff();
    world.person("ana").edited("title", "Chief").titled("Chief");
    insta::assert_snapshot!(cycle(&mut world), @"patch ana (u-ana) AttributesChanged; PATCH title:Boss→Chief");
    insta::assert_snapshot!(cycle(&mut world), @"");
}

/// Fails when what is only put back acknowledges nothing.
#[test]
fn value_that_is_there_already_is_acknowledged_with_what_is_put_back() {
    let mut world = staff();
    world
        .person("ana")
        .edited("title", "Queen")
        .edited("nickName", "Annie")
        .with_nick("Annie");
    insta::assert_snapshot!(cycle(&mut world), @"patch ana (u-ana) Drifted; PATCH title:Queen→Boss");
    insta::assert_snapshot!(cycle(&mut world), @"");
}

#[test]
fn another_spelling_of_the_same_is_no_drift() {
    let mut world = staff();
    let mail = r#"emails[type eq "work"].value"#;
    world
        .person("bo")
        .mailed("bo@example.com")
        .titled("Zoe\u{301}")
        .linked();
    world.person("ana").edited("userName", "ANA@Example.com");
    world
        .person("bo")
        .edited(mail, "Bo@example.com")
        .edited("title", "Zo\u{e9}");
    insta::assert_snapshot!(rendered(&world.plan()), @"");
    world.person("ana").edited("title", "BOSS");
    insta::assert_snapshot!(rendered(&world.plan()), @"patch ana (u-ana) Drifted; PATCH title:BOSS→Boss");
}

#[test]
fn element_that_is_gone_is_added_as_a_whole() {
    let mut world = staff();
    world.person("ana").mailed("ana@example.com").linked();
    world
        .person("ana")
        .emptied(r#"emails[type eq "work"].value"#);
    world.person("bo").mailed("bo@example.com").linked();
    insta::assert_snapshot!(rendered(&world.plan()), @"patch ana (u-ana) Drifted; PATCH emails:→[{primary:true,type:work,value:ana}]");
}

#[test]
fn drift_is_listed_or_left_where_the_rules_say_so() {
    let mut world = staff();
    world.rules.drift.default = OnDrift::List;
    world
        .rules
        .drift
        .by_path
        .insert(path("nickName"), OnDrift::Leave);
    world
        .person("ana")
        .edited("title", "Queen")
        .edited("nickName", "Q");
    insta::assert_snapshot!(rendered(&world.plan()), @". ana (u-ana) Drifted: the target shows another title; left alone");
    // Not either when there is something else to write.
    world.person("ana").named("anna");
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    patch anna (u-ana) AttributesChanged; PATCH userName:ana→anna
    . anna (u-ana) Drifted: the target shows another title; left alone
    ");
}

/// A server that writes titles in its own way, and does not say so in its answers.
#[test]
fn value_that_does_not_stick_is_the_targets_own_form() {
    let mut world = staff();
    world.person("ana").edited("title", "boss");
    insta::assert_snapshot!(cycle(&mut world), @"patch ana (u-ana) Drifted; PATCH title:boss→Boss");
    for _ in 0..2 {
        world.person("ana").edited("title", "boss");
        assert_eq!(
            cycle(&mut world),
            ". ana (u-ana) Drifted: the target keeps its own form of title"
        );
    }
    world.person("ana").edited("title", "Queen");
    insta::assert_snapshot!(cycle(&mut world), @"patch ana (u-ana) Drifted; PATCH title:Queen→Boss");
    world.person("ana").titled("Chief");
    world.person("ana").edited("title", "Queen");
    insta::assert_snapshot!(cycle(&mut world), @"patch ana (u-ana) AttributesChanged; PATCH title:Queen→Chief");
}

#[test]
fn same_edit_after_a_cycle_that_saw_ours_is_an_edit() {
    let mut world = staff();
    for _ in 0..2 {
        world.person("ana").edited("title", "Queen");
        assert_eq!(
            cycle(&mut world),
            "patch ana (u-ana) Drifted; PATCH title:Queen→Boss"
        );
        assert_eq!(cycle(&mut world), "");
    }
}

#[test]
fn attribute_that_nobody_shows_is_not_returned() {
    let mut world = staff();
    world.person("ana").emptied("title");
    world.person("bo").emptied("title");
    insta::assert_snapshot!(rendered(&world.plan()), @"");
    // Of one person alone it cannot be told: tried once.
    let mut world = World::new();
    world.person("ana").titled("Boss").linked();
    world.person("ana").emptied("title");
    insta::assert_snapshot!(cycle(&mut world), @"patch ana (u-ana) Drifted; PATCH title:→Boss");
    world.person("ana").emptied("title");
    insta::assert_snapshot!(cycle(&mut world), @". ana (u-ana) Drifted: the target keeps its own form of title");
}

#[test]
fn external_id_that_became_foreign_is_kept_unless_taken_over() {
    let mut world = staff();
    world.person("ana").edited("externalId", "HR-7");
    world.person("bo").emptied("externalId");
    world.rules.take_over = true;
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    patch ana (u-ana) Drifted; PATCH externalId:HR-7→ana
    patch bo (u-bo) Drifted; PATCH externalId:→bo
    ");
    world.rules.take_over = false;
    insta::assert_snapshot!(cycle(&mut world), @r"
    patch bo (u-bo) Drifted; PATCH externalId:→bo
    . ana (u-ana) Drifted: another system wrote its own externalId over ours; kept, because `take_over` is not set
    ");
    insta::assert_snapshot!(cycle(&mut world), @"");
    world.person("ana").titled("Chief");
    insta::assert_snapshot!(cycle(&mut world), @"patch ana (u-ana) AttributesChanged; PATCH title:Boss→Chief");
    world.rules.take_over = true;
    insta::assert_snapshot!(cycle(&mut world), @"patch ana (u-ana) AttributesChanged; PATCH externalId:HR-7→ana");
    // It is ours again, also if `take_over` goes.
    world.rules.take_over = false;
    insta::assert_snapshot!(cycle(&mut world), @"");
}

#[test]
fn overwriting_is_held_and_what_the_source_changed_goes_on() {
    let mut world = staff();
    world.limit(Limit::Overwrites, Some(0), None);
    world
        .person("ana")
        .edited("title", "Queen")
        .with_nick("Annie");
    world.person("bo").emptied("title");
    let held = world.plan();
    insta::assert_snapshot!(rendered(&held), @r"
    patch ana (u-ana) AttributesChanged; PATCH nickName:An→Annie
    patch bo (u-bo) Drifted; PATCH title:→Clerk
    ! patch ana (u-ana) OverLimit overwrites: 0 allows
    ");
    // Released, it is one action again.
    let held_id = held.plan.held_id.clone().unwrap();
    insta::assert_snapshot!(rendered(&world.release(&held_id, None)), @r"
    patch ana (u-ana) AttributesChanged; PATCH nickName:An→Annie title:Queen→Boss
    patch bo (u-bo) Drifted; PATCH title:→Clerk
    ");
    // And it is the same thing that waits once the rest is done.
    world.apply(&held.plan);
    world.note(&held);
    assert_eq!(world.plan().plan.held_id, Some(held_id));
    assert_eq!(world.plan().plan.actions, []);
}

#[test]
fn returner_does_not_wait_for_what_others_wrote() {
    let mut world = staff();
    world.limit(Limit::Overwrites, Some(0), None);
    world.person("ana").edited("title", "Queen").deactivated();
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    reactivate ana (u-ana) Returned; PATCH active=true
    ! patch ana (u-ana) OverLimit overwrites: 0 allows
    ");
    // Held itself, it takes everything with it.
    world.limit(Limit::Reactivations, Some(0), None);
    insta::assert_snapshot!(rendered(&world.plan()), @"! reactivate ana (u-ana) OverLimit reactivations: 0 allows");
}

#[test]
fn renamed_people_count_as_identifiers() {
    let mut world = staff();
    world.limit(Limit::Identifiers, Some(0), None);
    world
        .person("ana")
        .edited("userName", "queen@example.com")
        .titled("Chief");
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    patch ana (u-ana) AttributesChanged; PATCH title:Boss→Chief
    ! patch ana (u-ana) OverLimit identifiers: 0 allows
    ");
}

/// A name that somebody at the target gave away is given back before its owner comes.
#[test]
fn joiner_gets_a_name_that_drifted_to_somebody_else() {
    let mut world = staff();
    world.person("ana").edited("userName", "cy@example.com");
    world.person("cy");
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    patch ana (u-ana) Drifted; PATCH userName:cy→ana in Releases
    create cy NewInScope; POST
    ");
    world.limit(Limit::Overwrites, Some(0), None);
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    ! patch ana (u-ana) OverLimit overwrites: 0 allows
    ! create cy OverLimit overwrites: needs a userName that a held change would free
    ");
}

#[test]
fn manager_is_put_back_only_where_it_can_be_named() {
    let mut world = staff();
    let manager = AttributePath::manager();
    let edit = |attributes: &mut AttributeMap, id: &str| {
        attributes.insert(manager.clone(), json!({ "value": id }));
    };
    for id in ["ana", "bo"] {
        let person = world.people.get_mut(id).unwrap();
        edit(&mut person.link.as_mut().unwrap().acknowledged, "u-bo");
        let user = world.users.get_mut(&ResourceId(format!("u-{id}"))).unwrap();
        edit(&mut user.attributes, "u-bo");
    }
    let user = world
        .users
        .get_mut(&ResourceId("u-ana".to_owned()))
        .unwrap();
    edit(&mut user.attributes, "u-else");
    let planned = |resource: Option<&str>| {
        let mut input = world.input();
        for person in input.people.values_mut() {
            person.manager = Some(Referenced {
                record: key(Kind::User, "boss"),
                resource: resource.map(|id| ResourceId(id.to_owned())),
                awaited: true,
            });
        }
        rendered(&plan(&input, &world.window, None))
    };
    insta::assert_snapshot!(planned(Some("u-bo")), @"patch ana (u-ana) Drifted; PATCH urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager:{value:u-else}→{value:u-bo}");
    insta::assert_snapshot!(planned(None), @"");
}

#[test]
fn groups_get_their_name_and_their_members_back() {
    let mut world = staff();
    world.group("eng").of(&["ana", "bo"]).linked();
    world.group("ops").of(&["ana"]).linked();
    world
        .group("eng")
        .edited("displayName", "Nerds")
        .left_by("bo");
    world.group("ops").left_by("ana");
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    patch eng (g-eng) Drifted; PATCH displayName:Nerds→eng +u-bo
    patch ops (g-ops) Drifted; PATCH +u-ana
    ");
    world.limit(Limit::Overwrites, Some(0), None);
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    patch eng (g-eng) Drifted; PATCH +u-bo
    patch ops (g-ops) Drifted; PATCH +u-ana
    ! patch eng (g-eng) OverLimit overwrites: 0 allows
    ");
    world
        .rules
        .drift
        .by_path
        .insert(path("members"), OnDrift::List);
    world.rules.drift.default = OnDrift::Leave;
    insta::assert_snapshot!(rendered(&world.plan()), @r"
    . eng (g-eng) Drifted: the target does not show 1 of its members; left alone
    . ops (g-ops) Drifted: the target does not show 1 of its members; left alone
    ");
}

#[test]
fn members_that_change_besides_are_a_change_of_members() {
    let mut world = staff();
    world.person("cy").titled("Cook").linked();
    world.group("eng").of(&["ana", "bo"]).linked();
    world.group("eng").left_by("bo").of(&["ana", "bo", "cy"]);
    insta::assert_snapshot!(cycle(&mut world), @"patch eng (g-eng) MembersChanged; PATCH +u-bo +u-cy");
    insta::assert_snapshot!(cycle(&mut world), @"");
}

/// Some servers show only the first so many members.
#[test]
fn members_that_do_not_stick_are_not_added_for_ever() {
    let mut world = staff();
    world.group("eng").of(&["ana", "bo"]).linked();
    world.group("eng").left_by("bo");
    insta::assert_snapshot!(cycle(&mut world), @"patch eng (g-eng) Drifted; PATCH +u-bo");
    world.group("eng").left_by("bo");
    insta::assert_snapshot!(cycle(&mut world), @". eng (g-eng) Drifted: the target keeps its own form of members");
    // Another one: tried again.
    world.person("cy").titled("Cook").linked();
    world
        .group("eng")
        .of(&["ana", "bo", "cy"])
        .linked()
        .left_by("ana")
        .left_by("bo");
    insta::assert_snapshot!(cycle(&mut world), @"patch eng (g-eng) Drifted; PATCH +u-ana +u-bo");
}

#[test]
fn members_that_the_target_shows_of_no_group_are_unknown() {
    let mut world = staff();
    world.group("eng").of(&["ana"]).linked().left_by("ana");
    let hidden = |world: &World| {
        let mut input = world.input();
        for listed in input.observed_groups.resources.values_mut() {
            // What has no value need not be shown.
            listed.members = listed.members.take().filter(|all| !all.is_empty());
        }
        rendered(&plan(&input, &world.window, None))
    };
    insta::assert_snapshot!(hidden(&world), @"");
    world.group("ops").of(&["bo"]).linked();
    insta::assert_snapshot!(hidden(&world), @"patch eng (g-eng) Drifted; PATCH +u-ana");
    world.profile.members_listed = false;
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}

/// What a link remembers of a write, by the answer to it.
fn remembered(answer: serde_json::Value) -> Link {
    let mut world = staff();
    let mut link = world.people.remove("ana").unwrap().link.unwrap();
    let before = link.acknowledged.clone();
    link.acknowledged.insert(path("nickName"), json!("Annie"));
    let put_back = PutBack::from([(path("externalId"), Some(json!("HR-7")))]);
    remember(&mut link, &before, &put_back, read_listed(answer).as_ref());
    link
}

#[test]
fn answer_shows_how_the_target_writes_what_was_written() {
    let forms = |answer| -> Vec<String> {
        let forms = remembered(answer).own_forms;
        forms
            .iter()
            .map(|(path, form)| format!("{path} {:?} {:?}", form.shown, form.told))
            .collect()
    };
    let put_back = r#"externalId Some(String("HR-7")) BeforePutBack"#;
    // Its own form of what was written; nothing is learnt of what others wrote (`title`).
    let answer =
        json!({"id": "u", "nickName": "ANNIE", "title": "Queen", "userName": "ANA@example.com"});
    assert_eq!(
        forms(answer),
        [put_back, r#"nickName Some(String("ANNIE")) ByAnswer"#]
    );
    // An answer that leaves it out, or shows what was there before, says nothing.
    assert_eq!(forms(json!({"id": "u"})), [put_back]);
    let before = json!({"id": "u", "nickName": "An", "externalId": "HR-7"});
    assert_eq!(forms(before), [put_back]);
}

#[test]
fn form_known_by_an_answer_is_accepted_in_silence() {
    let mut world = staff();
    let link = world.people.get_mut("ana").unwrap().link.as_mut().unwrap();
    let form = crate::snapshot::link::OwnForm {
        shown: Some(json!("BOSS")),
        told: Told::ByAnswer,
    };
    link.own_forms.insert(path("title"), form);
    world.person("ana").edited("title", "BOSS");
    insta::assert_snapshot!(cycle(&mut world), @"");
    // It stops doing so: then the same is an edit.
    world.person("ana").edited("title", "Boss");
    insta::assert_snapshot!(cycle(&mut world), @"");
    world.person("ana").edited("title", "BOSS");
    insta::assert_snapshot!(cycle(&mut world), @"patch ana (u-ana) Drifted; PATCH title:BOSS→Boss");
}

/// Only the manager changes, and is created by the same plan. Fails when `patch` acknowledges nothing
/// then: the manager alone would be known of the report.
#[test]
fn manager_who_is_created_is_acknowledged_with_all_the_rest() {
    let mut world = World::staff(&["ana"]);
    world.person("ana").led_by(Some("bo"));
    world.person("bo");
    let planned = world.plan();
    assert!(
        rendered(&planned).contains("create bo"),
        "{}",
        rendered(&planned)
    );
    world.apply(&planned.plan);
    insta::assert_snapshot!(rendered(&world.plan()), @"");
}
