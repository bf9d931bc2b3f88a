//! What people read, letter by letter.

use serde_json::json;

use super::super::samples;
use super::*;
use crate::apply::report::{Failure, FailureKind};
use crate::plan::action::{HeldReason, Reason};
use provisor_connectors::Kind;

const PREVIEW: Look<'_> = Look {
    mode: Mode::Preview,
    colour: false,
    requests_per_second: None,
    again: "provisor --config demo.toml",
};
const APPLIED: Look<'_> = Look {
    mode: Mode::Applied,
    ..PREVIEW
};

fn plan_mut(report: &mut TargetReport) -> &mut Plan {
    report.plan.as_mut().expect("a sample has a plan")
}

fn everything() -> TargetReport {
    let mut report = samples::report(vec![
        samples::create("ana@example.com"),
        samples::adopt("bo@example.com"),
        samples::patch(
            "cy@example.com",
            vec![
                ("title", Some(json!("Boss")), None),
                ("nickName", None, Some(json!("cy"))),
                (
                    "emails[type eq \"work\"].value",
                    Some(json!("old@example.com")),
                    Some(json!("cy@example.com")),
                ),
            ],
        ),
        samples::action(
            Change::Reactivate,
            samples::subject(Kind::User, "dee@example.com", true),
            Reason::Returned,
        ),
        samples::deactivate("eva@example.com"),
        samples::create_group("Engineering", 3),
        samples::members("Sales"),
        samples::delete_group("Old"),
    ]);
    let plan = plan_mut(&mut report);
    plan.held.push(samples::ambiguous("fox@example.com"));
    plan.held.push(Held {
        reason: HeldReason::OverLimit,
        limit: Some(Limit::Deactivations),
        detail: "40 of 100 would be deactivated, 10 allowed".to_owned(),
        ..samples::ambiguous("gus@example.com")
    });
    plan.held_id = Some("5f3a".to_owned());
    plan.listed.push(samples::stale("hal@example.com"));
    report
}

#[test]
fn a_preview_shows_every_sort_of_line() {
    let look = Look {
        requests_per_second: Some(10.0),
        ..PREVIEW
    };
    assert_eq!(
        target(&everything(), look),
        r#"demo: 2 to create, 1 to adopt, 2 to patch, 1 to deactivate, 1 to reactivate, 1 to delete, 2 held, 1 listed (41 unchanged)

  + user   ana@example.com  NewInScope
  = user   bo@example.com  Matched
           title  "Engineer" -> "Staff Engineer"
  ~ user   cy@example.com  AttributesChanged
           emails[type eq "work"].value  "old@example.com" -> "cy@example.com"
           nickName  (none) -> "cy"
           title  "Boss" -> (cleared)
  ^ user   dee@example.com  Returned
  - user   eva@example.com  LeftScope
  + group  Engineering  NewInScope
           members  +3
  ~ group  Sales  MembersChanged
           members  +2 -1
  x group  Old  GoneFromSource
  ! user   fox@example.com  held: AmbiguousMatch: 2 resources match userName
  ! user   gus@example.com  held: OverLimit (deactivations): 40 of 100 would be deactivated, 10 allowed
  release with: provisor --config demo.toml approve demo 5f3a
  * user   hal@example.com  listed: Stale: never linked, not entitled and active at the target

  7 requests, about 1 s at 10 requests a second

demo: would be 2 created, 1 adopted, 2 patched, 1 deactivated, 1 reactivated, 1 deleted, 0 failed, 2 held (41 unchanged)
"#
    );
}

#[test]
fn a_run_says_what_failed_and_counts_only_what_was_done() {
    let mut report = samples::report(vec![
        samples::create("ana@example.com"),
        samples::create("bo@example.com"),
        samples::create("cy@example.com"),
        samples::deactivate("dee@example.com"),
    ]);
    report.outcomes = vec![
        Outcome::Done,
        Outcome::Failed("POST /Users: 403: no seat left".to_owned()),
        Outcome::Pending("the answer was lost".to_owned()),
        // Applying ended before the fourth.
    ];
    assert_eq!(
        target(&report, APPLIED),
        r"demo: 3 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (41 unchanged)

  + user   ana@example.com  NewInScope
  + user   bo@example.com  NewInScope
           failed: POST /Users: 403: no seat left
  + user   cy@example.com  NewInScope
           pending: the answer was lost
  - user   dee@example.com  LeftScope
           pending: not tried

  4 requests

demo: 1 created, 0 adopted, 0 patched, 0 deactivated, 0 reactivated, 0 deleted, 1 failed, 2 pending, 0 held (41 unchanged)
"
    );
}

#[test]
fn nothing_to_do_is_one_line() {
    for look in [PREVIEW, APPLIED] {
        assert_eq!(
            target(&samples::report(vec![]), look),
            "demo: nothing to do (41 unchanged)\n"
        );
    }
}

#[test]
fn listed_people_stand_before_nothing_to_do() {
    let mut report = samples::report(vec![]);
    plan_mut(&mut report)
        .listed
        .push(samples::stale("hal@example.com"));
    assert_eq!(
        target(&report, PREVIEW),
        "  * user   hal@example.com  listed: Stale: never linked, not entitled and active at the \
         target\n\ndemo: nothing to do (41 unchanged)\n"
    );
}

#[test]
fn held_without_actions_has_no_requests_line() {
    let mut report = samples::report(vec![]);
    plan_mut(&mut report)
        .held
        .push(samples::ambiguous("fox@example.com"));
    assert_eq!(
        target(&report, APPLIED),
        "demo: 0 to create, 0 to adopt, 0 to patch, 0 to deactivate, 0 to reactivate, 0 to \
         delete, 1 held (41 unchanged)\n\n  ! user   fox@example.com  held: AmbiguousMatch: 2 \
         resources match userName\n\ndemo: 0 created, 0 adopted, 0 patched, 0 deactivated, 0 \
         reactivated, 0 deleted, 0 failed, 1 held (41 unchanged)\n"
    );
}

#[test]
fn a_target_without_a_plan_failed() {
    let mut report = samples::report(vec![]);
    report.plan = None;
    report.error = Some(Failure {
        kind: FailureKind::Failed,
        chain: vec!["GET /Users: connection refused".to_owned()],
    });
    assert_eq!(target(&report, APPLIED), "demo: failed\n");
}

#[test]
fn several_targets_are_summed_up_in_a_line() {
    let idle = samples::report(Vec::new());
    let mut busy = samples::report(vec![
        samples::create("ana@example.com"),
        samples::create("bo@example.com"),
    ]);
    assert_eq!(
        totals(&[&idle, &idle], Mode::Preview),
        "2 targets: nothing to do (82 unchanged)\n"
    );
    assert_eq!(
        totals(&[&idle, &busy], Mode::Preview),
        "2 targets: would be 2 created, 0 adopted, 0 patched, 0 deactivated, 0 reactivated, \
         0 deleted, 0 failed, 0 held (82 unchanged)\n"
    );
    busy.outcomes = vec![Outcome::Done, Outcome::Failed("409".to_owned())];
    let mut down = samples::report(Vec::new());
    down.plan = None;
    down.error = Some(Failure {
        kind: FailureKind::Failed,
        chain: vec!["connection refused".to_owned()],
    });
    assert_eq!(
        totals(&[&idle, &busy, &down], Mode::Applied),
        "3 targets, 1 with an error: 1 created, 0 adopted, 0 patched, 0 deactivated, \
         0 reactivated, 0 deleted, 1 failed, 0 held (82 unchanged)\n"
    );
}

#[test]
fn after_two_hundred_lines_the_rest_is_counted() {
    let actions = (0..203)
        .map(|number| samples::deactivate(&format!("p{number}@example.com")))
        .collect();
    let text = target(&samples::report(actions), PREVIEW);
    assert_eq!(text.matches("LeftScope").count(), 200);
    assert!(
        text.contains("\n  … and 3 more (use --format json for all)\n"),
        "{text}"
    );

    let actions = (0..200)
        .map(|number| samples::deactivate(&format!("p{number}@example.com")))
        .collect();
    assert!(!target(&samples::report(actions), PREVIEW).contains("more"));
}

#[test]
fn colour_adds_nothing_but_colour() {
    let plain = target(&everything(), PREVIEW);
    let coloured = target(
        &everything(),
        Look {
            colour: true,
            ..PREVIEW
        },
    );
    assert_ne!(plain, coloured);
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
}

#[test]
fn a_name_from_the_directory_cannot_steer_the_terminal() {
    let report = samples::report(vec![samples::create(
        "ana\u{1b}[2J\n\u{202e}moc@example.com",
    )]);
    let text = target(&report, PREVIEW);
    assert!(
        text.contains("  + user   ana\\u{1b}[2J\\u{a}\\u{202e}moc@example.com  NewInScope\n"),
        "{text}"
    );
}

#[test]
fn durations_are_rounded_up_to_their_largest_unit() {
    let cases = [
        (0.1, "1 s"),
        (1.0, "1 s"),
        (59.5, "1 min"),
        (61.0, "2 min"),
        (3600.0, "1 h"),
        (3601.0, "2 h"),
    ];
    for (seconds, expected) in cases {
        assert_eq!(
            rough(Duration::from_secs_f64(seconds)),
            expected,
            "{seconds}"
        );
    }
}
