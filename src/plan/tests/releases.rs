//! userNames that change hands: chains and rings of any length, against a strict target.

use super::{World, rendered};

/// `names[i]` becomes what `become[i]` says; the target never sees a name twice.
fn rename(names: &[&str], become_these: &[&str]) -> World {
    let mut world = World::staff(names);
    for (id, name) in names.iter().zip(become_these) {
        world.person(id).named(name);
    }
    world
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("p{number:03}")).collect()
}

#[test]
fn chain_lets_go_from_its_end() {
    let world = rename(&["ana", "bo", "cy"], &["bo", "cy", "di"]);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch bo (u-ana) AttributesChanged; PATCH userName:ana→bo in Releases
    patch cy (u-bo) AttributesChanged; PATCH userName:bo→cy in Releases
    patch di (u-cy) AttributesChanged; PATCH userName:cy→di in Releases
    "#);
}

#[test]
fn swap_takes_one_temporary_name() {
    let world = rename(&["ana", "bo"], &["bo", "ana"]);
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch bo (u-ana) AttributesChanged; PATCH userName:ana→renaming-ana-ana in Releases; PATCH userName:ana→bo in Releases
    patch ana (u-bo) AttributesChanged; PATCH userName:bo→ana in Releases
    "#);
}

#[test]
fn joiner_waits_for_the_name() {
    let mut world = rename(&["ana"], &["anna"]);
    world.person("zoe").named("ana");
    insta::assert_snapshot!(rendered(&world.plan()), @r#"
    patch anna (u-ana) AttributesChanged; PATCH userName:ana→anna in Releases
    create ana NewInScope; POST
    "#);
    let plan = world.plan().plan;
    assert!(world.apply(&plan).is_empty());
}

#[test]
fn another_spelling_is_no_release() {
    let world = rename(&["ana"], &["ANA"]);
    let planned = world.plan();
    assert_eq!(planned.plan.releases, []);
    insta::assert_snapshot!(rendered(&planned), @"patch ANA (u-ana) AttributesChanged; PATCH userName:ana→ANA");
}

#[test]
fn returner_opens_the_way_like_anybody() {
    let mut world = rename(&["ana", "bo"], &["bo", "ana"]);
    world.person("bo").deactivated();
    let plan = world.plan().plan;
    assert!(world.apply(&plan).is_empty());
    assert_eq!(world.plan().plan.actions, []);
}

#[test]
fn chains_and_rings_of_any_length_need_one_call_each_and_one_more_a_ring() {
    for count in [2, 3, 7, 50] {
        let ids = numbered(count);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut ring = ids.clone();
        ring.rotate_left(1);
        let mut chain = ring.clone();
        chain[count - 1] = "free";
        let mut backwards = ids.clone();
        backwards.rotate_right(1);
        for (wanted, more) in [(ring, 1), (chain, 0), (backwards, 1)] {
            let mut world = rename(&ids, &wanted);
            let plan = world.plan().plan;
            let calls: usize = plan
                .actions
                .iter()
                .map(|action| action.requests.len())
                .sum();
            assert_eq!(calls, count + more);
            assert!(world.apply(&plan).is_empty(), "the target refused a name");
            assert_eq!(world.plan().plan.actions, []);
        }
    }
}
