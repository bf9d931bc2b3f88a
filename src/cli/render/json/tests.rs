//! What programs read. Scripts depend on every key.

use serde_json::json;

use super::super::samples;
use super::*;
use crate::apply::report::{Failure, FailureKind};
use crate::plan::action::HeldReason;

fn render(report: &TargetReport, mode: Mode) -> Value {
    let document = document(vec![target(report, &Profile::default(), mode)]);
    serde_json::to_value(document).unwrap()
}

#[test]
fn a_target_that_failed_has_every_key() {
    let mut report = samples::report(vec![]);
    report.plan = None;
    report.error = Some(Failure {
        kind: FailureKind::Failed,
        chain: vec!["GET /Users".to_owned(), "connection refused".to_owned()],
    });
    assert_eq!(
        render(&report, Mode::Applied),
        json!({
            "version": 1,
            "targets": [{
                "target": "demo",
                "error": "GET /Users: connection refused",
                "plan_id": null,
                "held_id": null,
                "counts": {
                    "create": 0, "adopt": 0, "patch": 0, "deactivate": 0, "reactivate": 0,
                    "delete": 0, "held": 0, "listed": 0, "failed": 0, "unchanged": 0
                },
                "actions": [],
                "held": [],
                "listed": [],
                "requests": 0
            }],
            "totals": {
                "create": 0, "adopt": 0, "patch": 0, "deactivate": 0, "reactivate": 0,
                "delete": 0, "held": 0, "listed": 0, "failed": 0, "unchanged": 0
            }
        })
    );
}

#[test]
fn the_totals_are_the_sums_of_every_count() {
    let create = samples::report(vec![samples::create("ana@example.com")]);
    let mut failed = create.clone();
    failed.outcomes = vec![Outcome::Failed("POST /Users: 409".to_owned())];
    if let Some(plan) = &mut failed.plan {
        plan.held.push(samples::ambiguous("fox@example.com"));
    }
    let targets = [&create, &failed].map(|it| target(it, &Profile::default(), Mode::Applied));
    let document = serde_json::to_value(document(targets.into())).unwrap();
    assert_eq!(
        document["totals"],
        json!({
            "create": 2, "adopt": 0, "patch": 0, "deactivate": 0, "reactivate": 0,
            "delete": 0, "held": 1, "listed": 0, "failed": 1, "unchanged": 82
        })
    );
}

#[test]
fn a_create_shows_the_body_as_it_is_sent() {
    let document = render(
        &samples::report(vec![samples::create("ana@example.com")]),
        Mode::Preview,
    );
    let action = &document["targets"][0]["actions"][0];
    assert_eq!(action["change"], "create");
    assert_eq!(action["adopted"], false);
    assert_eq!(action["kind"], "user");
    assert_eq!(action["source_id"], "s-ana");
    assert_eq!(action["resource_id"], Value::Null);
    assert_eq!(action["name"], "ana@example.com");
    assert_eq!(action["reason"], "NewInScope");
    let request = &action["requests"][0];
    assert_eq!(request["method"], "POST");
    assert_eq!(request["path"], "/Users");
    assert_eq!(request["body"]["userName"], "ana@example.com");
    assert!(action.get("outcome").is_none(), "a preview has no outcome");
    assert_eq!(document["targets"][0]["requests"], 1);
    assert_eq!(document["targets"][0]["counts"]["create"], 1);
}

#[test]
fn what_is_not_created_yet_is_pending_by_its_source_id() {
    let document = render(
        &samples::report(vec![samples::members("Sales")]),
        Mode::Preview,
    );
    let request = &document["targets"][0]["actions"][0]["requests"][0];
    assert_eq!(request["path"], "/Groups/r-Sales");
    let body = request["body"].to_string();
    assert!(body.contains("pending:s-ana"), "{body}");
    assert!(body.contains("r-bo") && body.contains("r-eva"), "{body}");
}

#[test]
fn an_adoption_is_addressed_by_what_was_found() {
    let document = render(
        &samples::report(vec![samples::adopt("bo@example.com")]),
        Mode::Preview,
    );
    let action = &document["targets"][0]["actions"][0];
    assert_eq!(action["change"], "adopt");
    assert_eq!(action["adopted"], true);
    assert_eq!(action["requests"][0]["path"], "/Users/r-found");
}

#[test]
fn a_delete_has_no_body() {
    let document = render(
        &samples::report(vec![samples::delete_group("Old")]),
        Mode::Preview,
    );
    assert_eq!(
        document["targets"][0]["actions"][0]["requests"][0],
        json!({"method": "DELETE", "path": "/Groups/r-Old", "body": null})
    );
}

#[test]
fn a_run_adds_outcomes() {
    let mut report = samples::report(vec![
        samples::deactivate("eva@example.com"),
        samples::deactivate("fox@example.com"),
    ]);
    report.outcomes = vec![
        Outcome::Done,
        Outcome::Failed("PATCH /Users: 500".to_owned()),
    ];
    let document = render(&report, Mode::Applied);
    let target = &document["targets"][0];
    assert_eq!(target["actions"][0]["outcome"], "done");
    assert_eq!(target["actions"][0]["error"], Value::Null);
    assert_eq!(target["actions"][1]["outcome"], "failed");
    assert_eq!(target["actions"][1]["error"], "PATCH /Users: 500");
    assert_eq!(target["counts"]["failed"], 1);
}

#[test]
fn held_and_listed_say_why_in_the_words_of_the_text() {
    let mut report = samples::report(vec![]);
    if let Some(plan) = &mut report.plan {
        plan.held_id = Some("5f3a".to_owned());
        plan.held.push(Held {
            reason: HeldReason::OverLimit,
            limit: Some(Limit::MembersRemoved),
            ..samples::ambiguous("fox@example.com")
        });
        plan.listed.push(samples::stale("hal@example.com"));
    }
    let document = render(&report, Mode::Preview);
    let target = &document["targets"][0];
    assert_eq!(target["held_id"], "5f3a");
    assert_eq!(
        target["held"][0],
        json!({
            "change": "create", "kind": "user", "source_id": "s-fox", "resource_id": null,
            "name": "fox@example.com", "reason": "OverLimit", "limit": "members_removed",
            "detail": "2 resources match userName"
        })
    );
    assert_eq!(
        target["listed"][0],
        json!({
            "kind": "user", "source_id": "s-hal", "resource_id": "r-hal",
            "name": "hal@example.com", "reason": "Stale",
            "detail": "never linked, not entitled and active at the target"
        })
    );
}

#[test]
fn a_plan_is_named_by_its_actions_alone() {
    let id = |report: &TargetReport| render(report, Mode::Preview)["targets"][0]["plan_id"].clone();
    let first = samples::report(vec![samples::create("ana@example.com")]);
    let mut second = first.clone();
    if let Some(plan) = &mut second.plan {
        plan.unchanged += 1;
    }
    assert_eq!(id(&first), id(&second));
    assert_eq!(id(&first).as_str().map(str::len), Some(16));
    assert_ne!(
        id(&first),
        id(&samples::report(vec![samples::create("bo@example.com")]))
    );
}

#[test]
fn an_id_is_one_segment_of_the_path() {
    assert_eq!(encode_segment("a/b?c#d"), "a%2Fb%3Fc%23d");
    assert_eq!(encode_segment("2819c223-7f76"), "2819c223-7f76");
}
