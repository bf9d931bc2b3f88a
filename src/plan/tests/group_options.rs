//! Groups within groups, and groups whose members the source alone decides.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration};
use provisor_connectors::{Kind, RecordKey, SourceId};
use serde_json::{Value, json};

use super::world::new_link;
use crate::mapping::MappingError;
use crate::plan::action::{Action, HeldReason, Limit, Phase, Plan, Reference, Write};
use crate::plan::guard::{Base, Window};
use crate::plan::input::{Candidate, GroupCandidate, Input, Observed, OwnedEdge, Standing};
use crate::plan::plan;
use crate::plan::rules::{AdoptInactive, Allowance, GroupRules, Limits, Nested, Rules, Stale};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, read_listed};
use crate::snapshot::link::Link;
use crate::target::profile::{Profile, name_path};

/// What a full cycle knows of a target: everybody who has a link is there.
struct Directory {
    rules: Rules,
    profile: Profile,
    people: BTreeMap<RecordKey, Candidate>,
    groups: BTreeMap<RecordKey, GroupCandidate>,
    users: Observed,
    shells: Observed,
    full: bool,
}

impl Directory {
    fn new(groups: GroupRules) -> Self {
        let seen = Observed {
            complete: true,
            ..Observed::default()
        };
        Self {
            rules: Rules {
                match_on: vec![AttributePath::external_id(), AttributePath::user_name()],
                stale: Stale::List,
                adopt_inactive: AdoptInactive::Reactivate,
                protect: BTreeSet::new(),
                rehire_key: None,
                join_key: None,
                take_over: false,
                drift: crate::plan::rules::DriftRules::default(),
                groups,
                limits: Limits(BTreeMap::new()),
                settle: std::time::Duration::from_secs(30),
                delete_after: None,
                forget_after: None,
            },
            profile: Profile::default(),
            people: BTreeMap::new(),
            groups: BTreeMap::new(),
            users: seen.clone(),
            shells: seen,
            full: true,
        }
    }

    fn authoritative() -> Self {
        Self::new(GroupRules {
            authoritative: true,
            ..GroupRules::default()
        })
    }

    fn direct() -> Self {
        Self::new(GroupRules {
            nested: Nested::Direct,
            ..GroupRules::default()
        })
    }

    /// Somebody who is entitled and linked: the resource of `ana` is `u-ana`.
    fn person(&mut self, name: &str) {
        let values = values(Kind::User, name);
        let resource = self.user(name);
        let record = record(Kind::User, name);
        self.users.owners.insert(resource.clone(), record.clone());
        let candidate = candidate(values.clone(), Some(new_link(resource, values)));
        self.people.insert(record, candidate);
    }

    /// Somebody at the target whom nobody knows.
    fn user(&mut self, name: &str) -> ResourceId {
        let id = ResourceId(format!("u-{name}"));
        let json = json!({"id": id.0, "userName": name, "active": true});
        self.users
            .resources
            .insert(id.clone(), read_listed(json).expect("a user"));
        id
    }

    /// A group that is pushed. Members are people, or groups where their name begins with
    /// `g`.
    fn group(&mut self, name: &str, members: &[&str]) -> &mut GroupCandidate {
        let members: BTreeSet<RecordKey> = members
            .iter()
            .map(|member| {
                let group = member.starts_with('g');
                record(if group { Kind::Group } else { Kind::User }, member)
            })
            .collect();
        let linked = |member: &RecordKey| {
            let person = self.people.get(member)?;
            Some((member.clone(), person.link.as_ref()?.resource.clone()))
        };
        let group = GroupCandidate {
            group: candidate(values(Kind::Group, name), None),
            member_resources: members.iter().filter_map(linked).collect(),
            members,
            owned: BTreeMap::new(),
        };
        let record = record(Kind::Group, name);
        self.groups.insert(record.clone(), group);
        self.groups.get_mut(&record).expect("just put in")
    }

    /// The same, linked, with these members shown at the target, of whom `owned` are ours.
    fn linked_group(&mut self, name: &str, members: &[&str], shown: &[&str], owned: &[&str]) {
        let id = ResourceId(format!("r-{name}"));
        let group = self.group(name, members);
        group.group.link = Some(new_link(id.clone(), values(Kind::Group, name)));
        for each in owned {
            let edge = OwnedEdge {
                record: None,
                sent: false,
                orphaned: false,
                unknown: false,
                protected: None,
            };
            let resource = ResourceId((*each).to_owned());
            group.owned.insert(resource, edge);
        }
        let owner = record(Kind::Group, name);
        self.shells.owners.insert(id.clone(), owner);
        self.shell(&id, name, shown);
    }

    fn shell(&mut self, id: &ResourceId, name: &str, shown: &[&str]) {
        let members: Vec<Value> = shown.iter().map(|id| json!({"value": id})).collect();
        let json = json!({"id": id.0, "displayName": name, "members": members});
        let listed = read_listed(json).expect("a group");
        self.shells.resources.insert(id.clone(), listed);
    }

    fn plan(&self) -> Plan {
        self.plan_in(&Window::default())
    }

    fn plan_in(&self, window: &Window) -> Plan {
        let input = Input {
            target: "demo",
            now: DateTime::UNIX_EPOCH + Duration::days(20_000),
            rules: &self.rules,
            profile: &self.profile,
            keep_when_empty: &BTreeSet::new(),
            people: self.people.clone(),
            groups: self.groups.clone(),
            observed_users: self.users.clone(),
            observed_groups: self.shells.clone(),
            linked: 0,
            snapshot_lost: false,
            full: self.full,
            complete: true,
            clock_doubt: None,
        };
        plan(&input, window, None).plan
    }
}

fn record(kind: Kind, name: &str) -> RecordKey {
    RecordKey {
        source: "staff".to_owned(),
        kind,
        id: SourceId::new(name),
    }
}

fn values(kind: Kind, name: &str) -> AttributeMap {
    let path = name_path(kind);
    AttributeMap::from([(path, json!(name))])
}

fn candidate(desired: AttributeMap, link: Option<Link>) -> Candidate {
    Candidate {
        standing: Standing::Entitled,
        desired: Some(Ok(desired)),
        link,
        missing: false,
        intent: None,
        due: true,
        suspended: false,
        rehire_key: None,
        manager: None,
        joined: Vec::new(),
        contested: None,
    }
}

/// Every request of groups: phase, whose, members added and removed.
fn sent(actions: &[Action]) -> Vec<String> {
    let reference = |reference: &Reference| match reference {
        Reference::Linked(id) => format!(" +{}", id.0),
        Reference::Pending(record) => format!(" +pending:{}", record.id),
    };
    let mut lines = Vec::new();
    for action in actions {
        for request in &action.requests {
            let (verb, add, remove) = match &request.write {
                Write::Create { members, .. } => ("POST", members.clone(), Vec::new()),
                Write::Patch { add, remove, .. } => ("PATCH", add.clone(), remove.clone()),
                Write::Delete => ("DELETE", Vec::new(), Vec::new()),
            };
            let add: String = add.iter().map(reference).collect();
            let remove: String = remove.iter().map(|id| format!(" -{}", id.0)).collect();
            let late = match request.phase {
                Phase::Memberships => " later",
                _ => "",
            };
            lines.push(format!("{verb} {}{late}{remove}{add}", action.subject.name));
        }
    }
    lines
}

#[test]
fn new_group_refers_to_the_new_group_within() {
    let mut directory = Directory::direct();
    directory.person("ana");
    directory.group("g1", &["ana", "g2"]);
    directory.group("g2", &[]);
    let plan = directory.plan();
    assert_eq!(
        sent(&plan.actions),
        ["POST g1 +u-ana +pending:g2", "POST g2"]
    );
}

#[test]
fn group_within_that_is_held_is_nobodys_member() {
    let mut directory = Directory::direct();
    directory.group("g1", &["g2"]);
    let unnamed = directory.group("g2", &[]);
    unnamed.group.desired = Some(Ok(AttributeMap::new()));
    let plan = directory.plan();
    assert_eq!(sent(&plan.actions), ["POST g1"]);
    assert_eq!(plan.held[0].reason, HeldReason::MissingRequired);
}

#[test]
fn group_within_that_a_limit_holds_is_nobodys_member() {
    let mut directory = Directory::direct();
    let never = Allowance {
        count: Some(0),
        percent: None,
    };
    directory.rules.limits.0.insert(Limit::Recreations, never);
    directory.group("g1", &["g2"]);
    let gone = directory.group("g2", &[]);
    let mut lost = new_link(ResourceId("r-g2".to_owned()), values(Kind::Group, "g2"));
    lost.missing = true;
    gone.group.link = Some(lost);
    let plan = directory.plan();
    assert_eq!(sent(&plan.actions), ["POST g1"]);
    assert_eq!(plan.held[0].limit, Some(Limit::Recreations));
}

#[test]
fn ring_of_new_groups_is_closed_by_one_later_request() {
    let mut directory = Directory::direct();
    directory.group("g1", &["g2"]);
    directory.group("g2", &["g3"]);
    directory.group("g3", &["g1"]);
    directory.group("g0", &["g1"]);
    let plan = directory.plan();
    assert_eq!(
        sent(&plan.actions),
        [
            "POST g0 +pending:g1",
            "POST g1",
            "PATCH g1 later +pending:g2",
            "POST g2 +pending:g3",
            "POST g3 +pending:g1",
        ]
    );
}

#[test]
fn adopted_group_is_a_member_under_the_id_it_was_found_by() {
    let mut directory = Directory::direct();
    directory.group("g1", &["g2"]);
    directory.group("g2", &[]);
    directory.shell(&ResourceId("x".to_owned()), "g2", &[]);
    let plan = directory.plan();
    assert_eq!(sent(&plan.actions), ["POST g1 +x"]);
}

#[test]
fn source_alone_decides_in_full_cycles_that_see_everybody() {
    let mut directory = Directory::authoritative();
    directory.person("ana");
    directory.person("bo");
    directory.user("zed");
    let shown = ["u-ana", "u-bo", "u-zed"];
    directory.linked_group("g1", &["ana"], &shown, &["u-ana"]);
    assert_eq!(sent(&directory.plan().actions), ["PATCH g1 -u-bo -u-zed"]);

    let nothing: [&str; 0] = [];
    directory.full = false;
    assert_eq!(sent(&directory.plan().actions), nothing);
    directory.full = true;
    directory.users.complete = false;
    assert_eq!(sent(&directory.plan().actions), nothing);
    directory.users.complete = true;
    directory.shells.complete = false;
    assert_eq!(sent(&directory.plan().actions), nothing);
    directory.shells.complete = true;
    directory.profile.members_listed = false;
    assert_eq!(sent(&directory.plan().actions), nothing);
    directory.profile.members_listed = true;
    directory.rules.groups.authoritative = false;
    assert_eq!(sent(&directory.plan().actions), nothing);
}

#[test]
fn foreign_member_stays_who_is_protected_or_may_be() {
    let mut directory = Directory::authoritative();
    directory.user("admin");
    directory.user("zed");
    let shown = ["u-admin", "u-zed", "u-hidden"];
    directory.linked_group("g1", &[], &shown, &[]);
    assert_eq!(
        sent(&directory.plan().actions),
        ["PATCH g1 -u-admin -u-hidden -u-zed"]
    );
    directory.rules.protect.insert("admin".to_owned());
    let plan = directory.plan();
    assert_eq!(sent(&plan.actions), ["PATCH g1 -u-zed"]);
    let stays = |name: &str| {
        let listed = plan
            .listed
            .iter()
            .find(|each| each.subject.name == name && each.detail.starts_with("stays in g1"));
        listed.expect("listed").detail.clone()
    };
    assert_eq!(stays("admin"), "stays in g1: `protect` names admin");
    assert!(stays("u-hidden").contains("does not list it"));
}

#[test]
fn foreign_member_stays_who_may_be_somebody_that_cannot_be_judged() {
    let mut directory = Directory::authoritative();
    directory.person("ana");
    directory.user("bo");
    let unknown = Standing::Unknown("not read".to_owned());
    let mut bo = candidate(values(Kind::User, "bo"), None);
    bo.standing = unknown.clone();
    directory.people.insert(record(Kind::User, "bo"), bo);
    directory.linked_group("g1", &[], &["u-ana", "u-bo"], &[]);
    assert_eq!(sent(&directory.plan().actions), ["PATCH g1 -u-ana"]);

    let ana = directory.people.get_mut(&record(Kind::User, "ana"));
    ana.expect("ana").standing = unknown;
    assert!(sent(&directory.plan().actions).is_empty());
}

/// Bo cannot be mapped, so he has no keys to be found by. Fails when `unsure` does not ask whose
/// externalId a resource carries.
#[test]
fn foreign_member_stays_who_carries_the_key_of_somebody_held() {
    let mut directory = Directory::authoritative();
    directory.user("bo");
    let mut bo = candidate(AttributeMap::new(), None);
    bo.desired = Some(Err(MappingError {
        path: Box::new(AttributePath::user_name()),
        problem: "it has several values".to_owned(),
    }));
    let key = record(Kind::User, "bo");
    directory.people.insert(key.clone(), bo);
    directory.linked_group("g1", &[], &["u-bo"], &[]);
    assert_eq!(sent(&directory.plan().actions), ["PATCH g1 -u-bo"]);
    let resource = ResourceId("u-bo".to_owned());
    directory.users.external_owners.insert(resource, key);
    assert!(sent(&directory.plan().actions).is_empty());
}

#[test]
fn foreign_members_count_as_removed_and_the_adoption_goes_on() {
    let mut directory = Directory::authoritative();
    directory.person("ana");
    for name in ["x1", "x2", "x3"] {
        directory.user(name);
    }
    directory.group("g1", &["ana"]);
    let shown = ["u-ana", "u-x1", "u-x2", "u-x3"];
    directory.shell(&ResourceId("r-g1".to_owned()), "g1", &shown);
    assert_eq!(
        sent(&directory.plan().actions),
        ["PATCH g1 -u-x1 -u-x2 -u-x3"]
    );

    let half = Allowance {
        count: None,
        percent: Some(50.0),
    };
    directory.rules.limits.0.insert(Limit::MembersRemoved, half);
    let window = Window {
        base: Base {
            people: 1,
            groups: 0,
            members: 100,
        },
        ..Window::default()
    };
    let plan = directory.plan_in(&window);
    let nothing: [&str; 0] = [];
    assert_eq!(sent(&plan.actions), nothing);
    assert!(plan.actions[0].adoption.is_some());
    let held = plan.held[0].action.as_deref().expect("an action");
    assert_eq!(
        sent(std::slice::from_ref(held)),
        ["PATCH g1 -u-x1 -u-x2 -u-x3"]
    );

    // What was held of the adoption is, once it is linked, the very same thing.
    let adopted = directory.plan_in(&window).held_id;
    directory.linked_group("g1", &["ana"], &shown, &["u-ana"]);
    assert_eq!(directory.plan_in(&window).held_id, adopted);
}
