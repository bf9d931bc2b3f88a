//! An agent that may not see everything: it says which permission is missing.

use serde_json::json;

use super::settled;
use crate::entra::sign_in::SECRET;
use crate::entra::simulator::Simulator;
use crate::entra::stories::{begin, config};
use crate::entra::tenant::Tenant;
use crate::entra::wire::Answer;
use crate::support::run::{Ran, run};
use crate::support::story::Story;

fn check(story: &Story) -> Ran {
    run(story.folder(), &["check".to_owned()])
}

#[test]
fn a_check_names_every_permission_that_is_missing() {
    let settled = settled(1, "");
    let ran = check(&settled.story);
    assert_eq!(ran.exit, 0, "{ran:#?}");
    assert!(
        ran.stdout.contains("app assignments: can be read"),
        "{ran:#?}"
    );

    settled
        .simulator
        .login(|login| assert!(login.permissions.remove("Application.Read.All")));
    let ran = check(&settled.story);
    assert_eq!(ran.exit, 0, "only `assigned_to` needs it: {ran:#?}");
    assert!(ran.stdout.contains("Application.Read.All"), "{ran:#?}");

    settled.simulator.login(|login| login.permissions.clear());
    let ran = check(&settled.story);
    assert_eq!(ran.exit, 1, "{ran:#?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains("`GroupMember.Read.All`, `User.Read.All`"),
        "{said}"
    );
}

/// Fails when `check` has an exit code of its own for it.
#[test]
fn a_secret_that_is_not_there_is_a_mistake_in_the_configuration() {
    let settled = settled(1, "");
    let folder = settled.story.folder();
    std::fs::remove_file(folder.join("client-secret")).expect("it was there");
    for command in ["check", "sync"] {
        let ran = run(folder, &[command.to_owned()]);
        assert_eq!(ran.exit, 2, "{command}: {ran:#?}");
        assert!(ran.stderr.contains("client-secret"), "{command}: {ran:#?}");
    }
}

#[test]
fn a_check_looks_for_the_app_that_a_scope_names() {
    let looking_for_it_among = |app: &str| {
        let mut tenant = Tenant::new();
        tenant.add_app(app, &[]);
        let simulator = Simulator::start(tenant);
        let scope = "[targets.demo.scope]\nassigned_to = \"GitGuardian\"\n";
        let mut story = begin(&simulator, "Nothing is written: it is only looked.", "");
        story.set_config(&config(&simulator.source(""), scope));
        (simulator, story)
    };
    let (simulator, story) = looking_for_it_among("GitGuardian");
    let ran = check(&story);
    assert_eq!(ran.exit, 0, "{ran:#?}");
    assert!(ran.stdout.contains("app GitGuardian: there"), "{ran:#?}");

    simulator.login(|login| assert!(login.permissions.remove("Application.Read.All")));
    let ran = check(&story);
    assert_eq!(ran.exit, 1, "{ran:#?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains("lacks a permission (`Application.Read.All`)"),
        "{said}"
    );

    let (_simulator, story) = looking_for_it_among("Git Guardian");
    let ran = check(&story);
    assert_eq!(ran.exit, 1, "{ran:#?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains("GitGuardian") && said.contains("there is none of that name or id"),
        "{said}"
    );
}

#[test]
fn without_the_permission_to_read_users_nobody_is_gone() {
    let settled = settled(2, "");
    settled
        .simulator
        .login(|login| assert!(login.permissions.remove("User.Read.All")));
    settled.disable_first();
    let ran = settled.story.sync_in_vain();
    assert!(ran.stderr.contains("`User.Read.All`"), "{}", ran.stderr);
    settled
        .simulator
        .login(|login| assert!(login.permissions.insert("User.Read.All")));
    let mut settled = settled;
    settled.recovers();
}

#[test]
fn a_user_of_whom_only_the_id_is_shown_is_no_user_without_attributes() {
    let settled = settled(3, "");
    let hidden = settled.people[1];
    settled
        .simulator
        .manners(|manners| manners.hidden = vec![hidden]);
    // Something of them changes, so that they are shown.
    settled
        .simulator
        .tenant(|tenant| tenant.set(hidden, json!({"surname": "Cole"})));
    let ran = settled.story.sync_in_vain();
    assert!(ran.stderr.contains("User.Read.All"), "{}", ran.stderr);
    settled.simulator.forget_marks();
    let ran = settled.story.sync_in_vain();
    assert!(ran.stderr.contains("User.Read.All"), "{}", ran.stderr);
}

#[test]
fn users_of_whom_nothing_says_whether_they_are_switched_on_stay_as_they_are() {
    let settled = settled(3, "");
    settled.disable_first();
    settled.simulator.forget_marks();
    settled.simulator.alter(|_, answer| Answer {
        body: answer.body.replace("\"accountEnabled\":", "\"unknown\":"),
        ..answer
    });
    settled.survives(&["who is active"]);
}

#[test]
fn a_sign_in_that_is_refused_says_why_and_shows_no_secret() {
    let settled = settled(1, "");
    settled.simulator.login(|login| {
        login.registered = crate::entra::sign_in::Registered::Secret("another".to_owned());
    });
    let ran = settled.story.sync_in_vain();
    assert!(ran.stderr.contains("AADSTS7000215"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the client secret is not right"),
        "{}",
        ran.stderr
    );
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains(SECRET), "{said}");
}
