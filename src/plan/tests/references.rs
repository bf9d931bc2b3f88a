//! Managers: who is created before whom, what is put off, and what stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use proptest::prelude::*;
use provisor_connectors::{Kind, RecordKey, SourceId};
use serde_json::{Value, json};

use super::world::new_link;
use crate::plan::action::{Action, Limit, Phase, Request, Write};
use crate::plan::guard::Window;
use crate::plan::input::{Candidate, Input, Observed, Referenced, Standing};
use crate::plan::rules::{AdoptInactive, Allowance, GroupRules, Limits, Rules, Stale, WhenGone};
use crate::plan::{plan, references};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId};
use crate::snapshot::link::Link;
use crate::target::profile::Profile;

/// People by name, who are also their source ids.
#[derive(Default)]
struct Staff {
    people: BTreeMap<RecordKey, Candidate>,
    limits: BTreeMap<Limit, Allowance>,
}

impl Staff {
    /// People who are new, each with their manager.
    fn new(people: &[(&str, Option<&str>)]) -> Self {
        let mut staff = Self::default();
        for (name, manager) in people {
            let manager = manager.map(|manager| Referenced {
                record: key(manager),
                resource: None,
                awaited: people.iter().any(|(other, _)| *other == manager),
            });
            let candidate = Candidate {
                standing: Standing::Entitled,
                desired: Some(Ok(values(name))),
                link: None,
                missing: false,
                intent: None,
                due: true,
                suspended: false,
                rehire_key: None,
                manager,
                joined: Vec::new(),
                contested: None,
            };
            staff.people.insert(key(name), candidate);
        }
        staff
    }

    fn person(&mut self, name: &str) -> &mut Candidate {
        self.people.get_mut(&key(name)).expect("a person")
    }

    /// Links somebody, who has this manager at the target.
    fn link(&mut self, name: &str, manager: Option<&str>) -> &mut Self {
        let mut acknowledged = values(name);
        let manager = manager.map(|id| (AttributePath::manager(), json!({ "value": id })));
        acknowledged.extend(manager);
        self.person(name).link = Some(linked(&format!("u-{name}"), acknowledged));
        self
    }

    fn plan(&self) -> Vec<Action> {
        let rules = Rules {
            match_on: vec![AttributePath::user_name()],
            stale: Stale::List,
            adopt_inactive: AdoptInactive::Reactivate,
            protect: BTreeSet::new(),
            rehire_key: None,
            join_key: None,
            take_over: false,
            drift: crate::plan::rules::DriftRules::default(),
            groups: GroupRules {
                push: None,
                when_gone: WhenGone::Empty,
                ..GroupRules::default()
            },
            limits: Limits(self.limits.clone()),
            settle: std::time::Duration::from_secs(30),
            delete_after: None,
            forget_after: None,
        };
        let input = Input {
            target: "demo",
            now: DateTime::UNIX_EPOCH,
            rules: &rules,
            profile: &Profile::default(),
            keep_when_empty: &BTreeSet::new(),
            people: self.people.clone(),
            groups: BTreeMap::new(),
            observed_users: Observed::default(),
            observed_groups: Observed::default(),
            linked: 0,
            snapshot_lost: false,
            full: false,
            complete: true,
            clock_doubt: None,
        };
        plan(&input, &Window::default(), None).plan.actions
    }
}

fn key(name: &str) -> RecordKey {
    RecordKey {
        source: "staff".to_owned(),
        kind: Kind::User,
        id: SourceId::new(name),
    }
}

fn values(name: &str) -> AttributeMap {
    AttributeMap::from([(AttributePath::user_name(), json!(name))])
}

fn linked(id: &str, acknowledged: AttributeMap) -> Link {
    new_link(ResourceId(id.to_owned()), acknowledged)
}

/// All requests in the order in which they are sent, as `phase wave: method who [pending]`.
fn sent(actions: &[Action]) -> Vec<String> {
    let mut requests: Vec<(&Action, &Request)> = actions
        .iter()
        .flat_map(|action| action.requests.iter().map(move |request| (action, request)))
        .collect();
    requests.sort_by_key(|(_, request)| request.turn());
    let line = |(action, request): &(&Action, &Request)| {
        let method = match &request.write {
            Write::Create { .. } => "POST".to_owned(),
            Write::Patch { operations, .. } => {
                let operations = serde_json::to_string(operations).expect("operations");
                format!("PATCH {operations}")
            }
            Write::Delete => "DELETE".to_owned(),
        };
        let name = action.subject.record.as_ref().map(|record| &record.id);
        let name = name.expect("actions about records");
        let manager = request.manager.as_ref();
        let manager = manager.map_or_else(String::new, |record| format!(", led by {}", record.id));
        let (phase, wave) = request.turn();
        format!("{phase:?} {wave}: {name} {method}{manager}")
    };
    requests.iter().map(line).collect()
}

#[test]
fn joiners_managers_come_first() {
    let staff = Staff::new(&[("ana", Some("bo")), ("bo", Some("cy")), ("cy", None)]);
    let expected = [
        "Joiners 0: cy POST",
        "Joiners 1: bo POST, led by cy",
        "Joiners 2: ana POST, led by bo",
    ];
    assert_eq!(sent(&staff.plan()), expected);
}

#[test]
fn a_ring_is_opened_once_and_not_at_who_hangs_on_it() {
    let staff = Staff::new(&[
        ("ana", Some("bo")),
        ("bo", Some("cy")),
        ("cy", Some("bo")),
        ("dee", Some("ana")),
        ("eva", Some("eva")),
    ]);
    let expected = [
        "Joiners 0: bo POST",
        "Joiners 0: eva POST",
        "Joiners 1: ana POST, led by bo",
        "Joiners 1: cy POST, led by bo",
        "Joiners 2: dee POST, led by ana",
        "References 0: bo PATCH [], led by cy",
        "References 0: eva PATCH [], led by eva",
    ];
    assert_eq!(sent(&staff.plan()), expected);
}

#[test]
fn a_mover_waits_for_a_manager_who_joins() {
    let mut staff = Staff::new(&[("ana", Some("bo")), ("bo", None)]);
    staff.link("ana", Some("u-old"));
    let actions = staff.plan();
    assert_eq!(
        sent(&actions),
        ["Joiners 0: bo POST", "Movers 0: ana PATCH [], led by bo"]
    );
    let shown = &actions[0].differences[0];
    assert_eq!(shown.old, Some(json!({"value": "u-old"})));
    assert_eq!(shown.new, Some(json!({"value": "pending:bo"})));
}

#[test]
fn a_mover_who_frees_the_managers_name_is_told_later() {
    let mut staff = Staff::new(&[("ana", Some("bo")), ("bo", None)]);
    staff.link("ana", None);
    staff.person("ana").desired = Some(Ok(values("anna")));
    staff.person("bo").desired = Some(Ok(values("ana")));
    let expected = [
        r#"Releases 0: ana PATCH [{"op":"replace","path":"userName","value":"anna"}]"#,
        "Joiners 0: bo POST",
        "References 0: ana PATCH [], led by bo",
    ];
    assert_eq!(sent(&staff.plan()), expected);
}

#[test]
fn a_manager_whom_a_guard_holds_is_not_referred_to() {
    let people = [("ana", Some("bo")), ("bo", None), ("cy", Some("bo"))];
    let mut staff = Staff::new(&people);
    staff.link("ana", Some("u-bo")).link("bo", None);
    staff.person("bo").missing = true;
    let expected = [
        "Joiners 0: bo POST",
        "Joiners 1: cy POST, led by bo",
        "Movers 0: ana PATCH [], led by bo",
    ];
    assert_eq!(sent(&staff.plan()), expected);

    let never = Allowance {
        count: Some(0),
        percent: None,
    };
    staff.limits.insert(Limit::Recreations, never);
    assert_eq!(sent(&staff.plan()), ["Joiners 0: cy POST"]);
}

#[test]
fn a_reference_stays_while_its_manager_may_still_come() {
    let mut staff = Staff::new(&[("ana", Some("zoe"))]);
    staff.link("ana", Some("u-old"));
    let cleared = format!(
        r#"Movers 0: ana PATCH [{{"op":"remove","path":"{}"}}]"#,
        AttributePath::manager()
    );
    assert_eq!(sent(&staff.plan()), [cleared]);
    if let Some(manager) = &mut staff.person("ana").manager {
        manager.awaited = true;
    }
    assert_eq!(sent(&staff.plan()), [""; 0]);
}

#[test]
fn a_leaver_who_is_still_linked_stays_the_manager() {
    let mut staff = Staff::new(&[("ana", Some("bo")), ("bo", None)]);
    staff.link("ana", Some("u-bo")).link("bo", None);
    if let Some(manager) = &mut staff.person("ana").manager {
        manager.resource = Some(ResourceId("u-bo".to_owned()));
    }
    staff.person("bo").standing = Standing::Gone;
    staff.person("bo").desired = None;
    let expected = ["Leavers 0: bo PATCH []"];
    assert_eq!(sent(&staff.plan()), expected);
}

/// Sends everything in its order to a target that gives `u-NAME` to who is created, and links
/// what was acknowledged. Panics when a manager is named who is not there yet.
fn send_all(staff: &mut Staff, actions: &[Action]) {
    let mut turns: Vec<(&Action, &Request)> = actions
        .iter()
        .flat_map(|action| action.requests.iter().map(move |request| (action, request)))
        .collect();
    turns.sort_by_key(|(_, request)| request.turn());
    let id_of = |record: &RecordKey| references::to(&format!("u-{}", record.id));
    let mut there: BTreeMap<RecordKey, (Phase, u32)> = BTreeMap::new();
    for (action, request) in turns {
        let record = action.subject.record.clone().expect("a record");
        if let Some(manager) = &request.manager {
            let created = there.get(manager).expect("a manager who is there");
            assert!(*created < request.turn(), "sent side by side");
        }
        let filled = references::fill_in(request, |record| Some(id_of(record)));
        let acknowledged = filled.acknowledge.attributes.expect("values");
        if let Write::Create { attributes, .. } = &filled.write {
            assert_eq!(*attributes, acknowledged);
            there.insert(record.clone(), request.turn());
        }
        let person = staff.people.get_mut(&record).expect("a person");
        person.link = Some(linked(&format!("u-{}", record.id), acknowledged));
    }
    for person in staff.people.values_mut() {
        if let Some(manager) = &mut person.manager {
            let known = there.contains_key(&manager.record);
            manager.resource = known.then(|| ResourceId(format!("u-{}", manager.record.id)));
            manager.awaited = false;
        }
    }
}

/// How many rings there are among who reports to whom.
fn rings(managers: &[Option<usize>]) -> usize {
    let steps = |from: usize, count: usize| (0..count).try_fold(from, |at, _| managers[at]);
    let on_ring = |person: usize| (1..=managers.len()).find(|n| steps(person, *n) == Some(person));
    // Each ring is counted at its first person.
    let first = |person: &usize| {
        on_ring(*person).is_some_and(|length| {
            (1..length).all(|n| steps(*person, n).is_some_and(|other| other > *person))
        })
    };
    (0..managers.len()).filter(first).count()
}

proptest! {
    #[test]
    fn everybody_is_created_once_with_their_manager(
        managers in (1_usize..12).prop_flat_map(|people| {
            prop::collection::vec(prop::option::of(0..people), people)
        })
    ) {
        let names: Vec<String> = (0..managers.len()).map(|n| format!("p{n:02}")).collect();
        let people: Vec<(&str, Option<&str>)> = managers
            .iter()
            .enumerate()
            .map(|(n, manager)| (names[n].as_str(), manager.map(|m| names[m].as_str())))
            .collect();
        let mut staff = Staff::new(&people);
        let actions = staff.plan();
        let requests: usize = actions.iter().map(|action| action.requests.len()).sum();
        prop_assert_eq!(requests, people.len() + rings(&managers));
        send_all(&mut staff, &actions);
        for (name, manager) in people {
            let link = staff.person(name).link.clone().expect("a link");
            let wanted: Option<Value> = manager.map(|id| json!({"value": format!("u-{id}")}));
            prop_assert_eq!(link.acknowledged.get(&AttributePath::manager()), wanted.as_ref());
        }
        prop_assert_eq!(sent(&staff.plan()), Vec::<String>::new());
    }
}
