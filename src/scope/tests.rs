//! Verdicts by groups, by condition, and by both.

use std::collections::BTreeMap;

use provisor_connectors::{Kind, SourceId, Value};

use super::*;
use crate::template::Language;

fn key(id: &str) -> RecordKey {
    RecordKey {
        source: "staff".to_owned(),
        kind: Kind::Group,
        id: SourceId::new(id),
    }
}

#[test]
fn members_of_any_group_are_in_and_a_missing_group_makes_the_rest_unknown() {
    let found = || ScopeGroup::Resolved(key("a"));
    let missing = || ScopeGroup::Unresolved("no group `b`".to_owned());
    let unknown = || Verdict::Unknown("no group `b`".to_owned());
    let table = [
        (vec![found()], vec!["a"], Verdict::In),
        (vec![found()], vec!["c"], Verdict::Out),
        (vec![found()], vec![], Verdict::Out),
        (vec![missing(), found()], vec!["a", "c"], Verdict::In),
        (vec![missing(), found()], vec!["c"], unknown()),
        (vec![missing()], vec![], unknown()),
    ];
    let scope = Scope {
        groups: vec!["a".to_owned(), "b".to_owned()],
        ..Scope::default()
    };
    for (groups, memberships, verdict) in table {
        let memberships: BTreeSet<_> = memberships.into_iter().map(key).collect();
        assert_eq!(
            scope.judge(&groups, &[], &memberships, None),
            verdict,
            "{groups:?} {memberships:?}"
        );
    }
}

#[test]
fn a_scope_without_groups_is_everyone() {
    assert_eq!(
        Scope::default().judge(&[], &[], &BTreeSet::new(), None),
        Verdict::In
    );
}

#[test]
fn a_group_is_its_source_and_its_id() {
    let scope = Scope {
        groups: vec!["a".to_owned()],
        ..Scope::default()
    };
    let elsewhere = RecordKey {
        source: "contractors".to_owned(),
        ..key("a")
    };
    let verdict = scope.judge(
        &[ScopeGroup::Resolved(key("a"))],
        &[],
        &BTreeSet::from([elsewhere]),
        None,
    );
    assert_eq!(verdict, Verdict::Out);
}

fn when(source: &str) -> Condition {
    Condition::compile(source, &Language::default()).unwrap()
}

fn record(pairs: &[(&str, Value)]) -> Attributes {
    let values = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), vec![value.clone()]));
    Attributes(values.collect())
}

fn unknown_because(verdict: &Verdict, part: &str) -> bool {
    matches!(verdict, Verdict::Unknown(why) if why.contains(part))
}

#[test]
fn a_condition_is_true_false_or_leaves_the_record_unknown() {
    let service = record(&[("employeeType", Value::Text("service".to_owned()))]);
    let nobody = Attributes::default();
    let not_a_service = when("employeeType != 'service'");
    assert_eq!(not_a_service.judge(&service), Verdict::Out);
    assert_eq!(not_a_service.judge(&nobody), Verdict::In, "absent is empty");

    let table = [
        ("employeeType", "it gives text and not true or false"),
        ("employeeNumber", "it gives nothing"),
        ("employeeType | length", "it gives a number"),
        ("employeeType | int > 3", "this is not a whole number"),
        ("employeeType.nothing == 'x'", "no such value"),
    ];
    for (source, part) in table {
        let verdict = when(source).judge(&service);
        assert!(unknown_because(&verdict, part), "{source}: {verdict:?}");
        let Verdict::Unknown(why) = verdict else {
            continue;
        };
        let shown = why.replace("'service'", "");
        assert!(!shown.contains("service"), "a value is shown: {why}");
    }
}

#[test]
fn groups_and_condition_are_joined_by_and() {
    let scope = Scope {
        groups: vec!["a".to_owned()],
        when: Some(when("level | int > 3")),
        ..Scope::default()
    };
    let level = |text: &str| record(&[("level", Value::Text(text.to_owned()))]);
    let found = ScopeGroup::Resolved(key("a"));
    let missing = ScopeGroup::Unresolved("no group `a`".to_owned());
    // Group, membership, level: the verdict, `?` for unknown.
    let table = [
        (&found, true, "4", "in"),
        (&found, true, "3", "out"),
        (&found, true, "four", "?"),
        (&found, false, "4", "out"),
        (&found, false, "four", "out"),
        (&missing, false, "4", "?"),
        (&missing, false, "3", "out"),
        (&missing, false, "four", "?"),
    ];
    for (group, member, text, expected) in table {
        let memberships = member.then(|| key("a")).into_iter().collect();
        let verdict = scope.judge(
            std::slice::from_ref(group),
            &[],
            &memberships,
            Some(&level(text)),
        );
        let shown = match verdict {
            Verdict::In => "in",
            Verdict::Out => "out",
            Verdict::Unknown(_) => "?",
        };
        assert_eq!(shown, expected, "{group:?} {member} {text}");
    }
}

#[test]
fn of_who_is_gone_the_condition_is_not_asked() {
    let scope = Scope {
        groups: Vec::new(),
        when: Some(when("level | int > 3")),
        ..Scope::default()
    };
    assert_eq!(scope.judge(&[], &[], &BTreeSet::new(), None), Verdict::In);
    let nobody = Attributes(BTreeMap::new());
    let verdict = scope.judge(&[], &[], &BTreeSet::new(), Some(&nobody));
    assert!(unknown_because(&verdict, "whole number"), "{verdict:?}");
    assert_eq!(scope.attributes(), BTreeSet::from(["level".to_owned()]));
}

#[test]
fn what_the_source_answered_is_true_false_or_unknown() {
    let scope = Scope {
        below: vec!["below:a".to_owned(), "below:b".to_owned()],
        matches: Some("matches:f".to_owned()),
        ..Scope::default()
    };
    // Below the one, below the other, matched; `?` is no answer.
    let table = [
        ("yny", "in"),
        ("nyy", "in"),
        ("nny", "out"),
        ("yyn", "out"),
        ("?yy", "in"),
        ("?ny", "?"),
        ("??n", "out"),
        ("yy?", "?"),
        ("nn?", "out"),
    ];
    for (answers, expected) in table {
        let names = ["below:a", "below:b", "matches:f"];
        let given = names.into_iter().zip(answers.chars());
        let given: Vec<(&str, Value)> = given
            .filter(|(_, answer)| *answer != '?')
            .map(|(name, answer)| (name, Value::Boolean(answer == 'y')))
            .collect();
        let verdict = scope.judge(&[], &[], &BTreeSet::new(), Some(&record(&given)));
        let shown = match verdict {
            Verdict::In => "in",
            Verdict::Out => "out",
            Verdict::Unknown(_) => "?",
        };
        assert_eq!(shown, expected, "{answers}");
    }
    assert_eq!(scope.attributes().len(), 3);
}

/// Where it says no, nobody's row is read to find out that they cannot be judged.
#[test]
fn a_scope_of_groups_alone_depends_on_nobodys_values() {
    let by_values = [
        Scope {
            when: Some(when("kind == 'service'")),
            ..Scope::default()
        },
        Scope {
            below: vec!["ou=people".to_owned()],
            ..Scope::default()
        },
        Scope {
            matches: Some("(kind=service)".to_owned()),
            ..Scope::default()
        },
    ];
    assert!(by_values.iter().all(Scope::depends_on_values));
    let by_groups = Scope {
        groups: vec!["Wiki".to_owned()],
        ..Scope::default()
    };
    assert!(!by_groups.depends_on_values());
}
