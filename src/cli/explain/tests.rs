//! What is said of somebody, and of nobody.

use std::path::Path;

use chrono::{DateTime, Utc};
use provisor_connectors::{Attributes, Kind, Lifecycle, SourceId, Value};

use super::*;
use crate::cycle::explain::{ConditionReason, Mapped, Membership, ScopeReason};
use crate::plan::action::Plan;
use crate::plan::input::Standing;
use crate::plan::long_gone::Moments;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId};
use crate::scope::Verdict;
use crate::snapshot::{Deactivation, Due, Link, Open, Origin};

fn moment() -> DateTime<Utc> {
    "2026-11-21T09:30:00Z".parse().unwrap()
}

fn record() -> RecordKey {
    RecordKey {
        source: "staff".to_owned(),
        kind: Kind::User,
        id: SourceId::new("5"),
    }
}

fn config(folder: &Path) -> Config {
    let path = folder.join("provisor.toml");
    let text = "[sources.staff.csv]\nusers = \"people.csv\"\n\
                [targets.demo]\npreset = \"sandbox\"\nsource = \"staff\"\n";
    std::fs::write(&path, text).unwrap();
    Config::load(&path).unwrap()
}

fn explained() -> Explained {
    Explained {
        joined: Vec::new(),
        target: "demo".to_owned(),
        last_cycle: None,
        standing: Some(Standing::OutOfScope),
        verdict: Verdict::Out,
        scope: vec![ScopeReason {
            configured: "Wiki".to_owned(),
            group: None,
            problem: None,
            path: None,
        }],
        condition: Some(ConditionReason {
            configured: "title == 'Boss'".to_owned(),
            inputs: BTreeMap::from([("title".to_owned(), Vec::new())]),
            verdict: Some(Verdict::Unknown("it gives nothing".to_owned())),
        }),
        mapped: vec![Mapped {
            path: AttributePath::core("title"),
            from: "jobTitle".to_owned(),
            default: false,
            inputs: BTreeMap::from([("jobTitle".to_owned(), Vec::new())]),
            result: None,
        }],
        mapping_error: None,
        link: Some(Link {
            resource: ResourceId("r5".to_owned()),
            origin: Origin::Adopted,
            acknowledged: AttributeMap::new(),
            active: false,
            deactivated: Some(Deactivation {
                reason: "LeftScope".to_owned(),
                at: moment(),
                gone_since: None,
                spent: None,
            }),
            foreign_external_id: Some("hr-5".to_owned()),
            unsettled: false,
            missing: false,
            own_forms: BTreeMap::new(),
            sent: Default::default(),
            keys_sent: Default::default(),
        }),
        moments: Moments {
            delete: Some(moment()),
            forget: None,
        },
        intent: None,
        open: Some(Open {
            why: "PATCH /Users: 403".to_owned(),
            due: Due::At(moment()),
            attempts: 2,
            failed: true,
            awaits: None,
        }),
        held: vec!["OverLimit (deactivations): 3 of 4".to_owned()],
        held_id: Some("beef".to_owned()),
        protected: None,
        memberships: Vec::new(),
        plan: Plan {
            version: 1,
            target: "demo".to_owned(),
            actions: Vec::new(),
            releases: Vec::new(),
            held: Vec::new(),
            listed: Vec::new(),
            unchanged: 0,
            held_id: None,
        },
        unsaid: None,
    }
}

fn answer_of(config: &Config, row: Option<MirrorRow>) -> Answer<'_> {
    Answer {
        record: record(),
        name: "eva\u{1b}[2J@example.com".to_owned(),
        row,
        targets: vec![AtTarget {
            config: &config.targets["demo"],
            explained: explained(),
            writes: Vec::new(),
        }],
    }
}

fn row() -> MirrorRow {
    let name = Value::Text("eva@example.com".to_owned());
    MirrorRow {
        id: SourceId::new("5"),
        lifecycle: Lifecycle::Active,
        attributes: Attributes(BTreeMap::from([("userName".to_owned(), vec![name])])),
        gone_since: Some(moment()),
        generation: 1,
        members_known: true,
    }
}

#[test]
fn why_somebody_waits_is_said_with_what_to_do_and_nothing_steers_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    assert_eq!(
        text::answer(&answer_of(&config, Some(row())), false, "provisor"),
        r#"eva\u{1b}[2J@example.com
  record      staff/5
  life        gone from the source since 2026-11-21T09:30:00Z
  attribute   userName  "eva@example.com"

demo
  last cycle  never
  scope       out: not a member of `Wiki`
              unknown: it gives nothing (title has no value)
  so          not entitled: out of scope
  map         title  (nothing)  from jobTitle (jobTitle has no value)
  link        r5, adopted, inactive
              deactivated by provisor at 2026-11-21T09:30:00Z: LeftScope
              carries a foreign externalId, which is kept: hr-5
              deleted at the target from 2026-11-21T09:30:00Z on, unless they return
  held        OverLimit (deactivations): 3 of 4
  release     provisor approve demo beef
  open        PATCH /Users: 403 (failed 2 times; looked at again: 2026-11-21T09:30:00Z)
  now         nothing to send
"#
    );
}

#[test]
fn a_document_has_the_same_keys_whoever_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let keys = |text: &str| -> Vec<String> {
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        document.as_object().unwrap().keys().cloned().collect()
    };
    let found = json::answer(&answer_of(&config, None));
    assert_eq!(keys(&found), keys(&json::nobody(&Search::default())));
    let person = |text: &str| -> Vec<String> {
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        let person = document["person"].as_object().unwrap();
        person.keys().cloned().collect()
    };
    let whole = json::answer(&answer_of(&config, Some(row())));
    assert_eq!(person(&found), person(&whole));
}

#[test]
fn a_document_tells_what_the_condition_was_asked_and_where_a_group_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut answer = answer_of(&config, Some(row()));
    let explained = &mut answer.targets[0].explained;
    explained.memberships = vec![Membership {
        group: RecordKey {
            source: "~made".to_owned(),
            kind: Kind::Group,
            id: SourceId::new("group_by:department=Sales"),
        },
        name: "Sales".to_owned(),
        path: Vec::new(),
        made_from: Some("department".to_owned()),
        linked: false,
        pushed: true,
        at_target: false,
    }];
    let shown = |answer: &Answer<'_>| -> serde_json::Value {
        let document: serde_json::Value = serde_json::from_str(&json::answer(answer)).unwrap();
        document["targets"][0].clone()
    };
    let target = shown(&answer);
    assert_eq!(
        target["scope"]["when"],
        serde_json::json!({
            "configured": "title == 'Boss'",
            "inputs": { "title": [] },
            "result": null,
            "problem": "it gives nothing",
        })
    );
    assert_eq!(
        target["memberships"],
        serde_json::json!([{
            "source": "~made",
            "source_id": "group_by:department=Sales",
            "name": "Sales",
            "path": [],
            "made_from": "department",
            "linked": false,
            "pushed": true,
            "at_target": false,
        }])
    );
    answer.targets[0].explained.condition = None;
    assert!(shown(&answer)["scope"]["when"].is_null());
}

#[test]
fn a_key_of_nobody_fails_and_a_key_of_several_is_a_question() {
    let mut search = Search::default();
    assert_eq!(one_of(&search, "eva").unwrap_err().exit, Exit::Failed);
    search.found.insert(record(), "eva".to_owned());
    assert_eq!(one_of(&search, "eva").unwrap(), record());
    let other = RecordKey {
        source: "contractors".to_owned(),
        ..record()
    };
    search.found.insert(other, "eva".to_owned());
    let stop = one_of(&search, "eva").unwrap_err();
    assert_eq!(stop.exit, Exit::Usage);
    assert!(format!("{:?}", stop.message).contains("contractors/5"));
}
