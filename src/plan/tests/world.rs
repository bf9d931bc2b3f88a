//! A small world: what the source says, what the snapshot remembers, what is at the target.
//!
//! A person `ana` has the source id `ana`, and by default the userName `ana@example.com` and
//! the resource `u-ana`; a group `eng` the resource `g-eng`.

mod sentences;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use provisor_connectors::{Kind, RecordKey, SourceId};
use serde_json::{Value, json};

use sentences::{GroupOf, PersonOf};

use crate::mapping::MappingError;
use crate::plan::action::{Limit, Subject};
use crate::plan::guard::Window;
use crate::plan::input::{
    Candidate, GroupCandidate, Input, Observed, OwnedEdge, ProtectedMember, Referenced, Standing,
};
use crate::plan::rules::{
    AdoptInactive, Allowance, DriftRules, GroupRules, Limits, Nested, Rules, Stale,
};
use crate::plan::{Planned, Release, link_protected_by, plan};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, read_listed, to_json};
use crate::snapshot::link::{Deactivation, Intent, Link, Origin};
use crate::target::profile::Profile;

pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) profile: Profile,
    pub(super) keep_when_empty: BTreeSet<AttributePath>,
    pub(super) window: Window,
    pub(super) snapshot_lost: bool,
    /// Whether the cycle lists the target; else it sees nothing of it.
    pub(super) lists: bool,
    /// Whether every source of the target was read.
    pub(super) complete: bool,
    pub(super) clock_doubt: Option<String>,
    pub(super) people: BTreeMap<String, Person>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) users: BTreeMap<ResourceId, TargetUser>,
    pub(super) shells: BTreeMap<ResourceId, TargetGroup>,
    /// How many resources the target has made: it never gives an id twice.
    pub(super) created: usize,
}

/// A person in the source, and what the snapshot knows of them.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) standing: Standing,
    pub(super) desired: Result<AttributeMap, MappingError>,
    pub(super) link: Option<Link>,
    pub(super) intent: Option<Intent>,
    pub(super) due: bool,
    pub(super) rehire_key: Option<String>,
    /// Whom the source names as the manager.
    pub(super) manager: Option<String>,
}

/// A group in the source, and what the snapshot knows of it.
pub(super) struct Group {
    pub(super) person: Person,
    pub(super) members: BTreeSet<String>,
    /// The groups directly in it.
    pub(super) inner: BTreeSet<String>,
    pub(super) owned: BTreeSet<ResourceId>,
    /// Those of them that were sent, and not acknowledged.
    pub(super) sent: BTreeSet<ResourceId>,
    /// Those of them whose resource is known to be gone.
    pub(super) orphaned: BTreeSet<ResourceId>,
}

#[derive(Clone)]
pub(super) struct TargetUser {
    pub(super) attributes: AttributeMap,
    pub(super) active: bool,
}

pub(super) struct TargetGroup {
    pub(super) attributes: AttributeMap,
    pub(super) members: BTreeSet<ResourceId>,
}

pub(super) fn path(text: &str) -> AttributePath {
    text.parse().expect("a path")
}

/// The key of a record. Those whose ids begin with `x-` are of another source.
pub(super) fn key(kind: Kind, id: &str) -> RecordKey {
    let external = id.starts_with("x-");
    RecordKey {
        source: if external { "partners" } else { "staff" }.to_owned(),
        kind,
        id: SourceId::new(id),
    }
}

pub(super) fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(20_000)
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            rules: Rules {
                match_on: ["externalId", "userName", "emails"].map(path).to_vec(),
                stale: Stale::List,
                adopt_inactive: AdoptInactive::Reactivate,
                protect: BTreeSet::new(),
                rehire_key: None,
                join_key: None,
                take_over: false,
                drift: DriftRules::default(),
                groups: GroupRules::default(),
                // Guards have their own tests.
                limits: Limits(BTreeMap::new()),
                settle: std::time::Duration::from_secs(30),
                delete_after: None,
                forget_after: None,
            },
            profile: Profile::default(),
            keep_when_empty: BTreeSet::new(),
            window: Window::default(),
            snapshot_lost: false,
            lists: true,
            complete: true,
            clock_doubt: None,
            people: BTreeMap::new(),
            groups: BTreeMap::new(),
            users: BTreeMap::new(),
            shells: BTreeMap::new(),
            created: 0,
        }
    }

    /// Some people, all linked and entitled.
    pub(super) fn staff(names: &[&str]) -> Self {
        let mut world = Self::new();
        for name in names {
            world.person(name).linked();
        }
        world
    }

    pub(super) fn protect(&mut self, key: &str) {
        self.rules.protect.insert(crate::text::fold(key));
    }

    pub(super) fn limit(&mut self, limit: Limit, count: Option<u64>, percent: Option<f64>) {
        self.rules
            .limits
            .0
            .insert(limit, Allowance { count, percent });
    }

    /// The person of this name, entitled unless said otherwise.
    pub(super) fn person(&mut self, id: &str) -> PersonOf<'_> {
        let fresh = || {
            let mut desired = AttributeMap::new();
            desired.insert(path("externalId"), json!(id));
            desired.insert(path("userName"), json!(format!("{id}@example.com")));
            Person::entitled(desired)
        };
        self.people.entry(id.to_owned()).or_insert_with(fresh);
        PersonOf {
            world: self,
            id: id.to_owned(),
        }
    }

    /// The group of this name, pushed unless said otherwise.
    pub(super) fn group(&mut self, id: &str) -> GroupOf<'_> {
        let fresh = || {
            let mut desired = AttributeMap::new();
            desired.insert(path("externalId"), json!(id));
            desired.insert(path("displayName"), json!(id));
            Group {
                person: Person::entitled(desired),
                members: BTreeSet::new(),
                inner: BTreeSet::new(),
                owned: BTreeSet::new(),
                sent: BTreeSet::new(),
                orphaned: BTreeSet::new(),
            }
        };
        self.groups.entry(id.to_owned()).or_insert_with(fresh);
        GroupOf {
            world: self,
            id: id.to_owned(),
        }
    }

    /// Somebody at the target.
    pub(super) fn user(&mut self, id: &str, attributes: &[(&str, &str)]) -> &mut TargetUser {
        let attributes = attributes
            .iter()
            .map(|(name, value)| (path(name), json!(value)))
            .collect();
        let active = true;
        let id = ResourceId(id.to_owned());
        self.users
            .insert(id.clone(), TargetUser { attributes, active });
        self.users.get_mut(&id).unwrap()
    }

    pub(super) fn plan(&self) -> Planned {
        plan(&self.input(), &self.window, None)
    }

    pub(super) fn release(&self, held_id: &str, only: Option<&str>) -> Planned {
        let release = Release {
            held_id: held_id.to_owned(),
            only: only.map(str::to_owned),
            remembered: BTreeSet::new(),
        };
        plan(&self.input(), &self.window, Some(&release))
    }

    /// What a cycle would give the planner.
    pub(super) fn input(&self) -> Input<'_> {
        let people = self.people.iter().map(|(id, person)| {
            let candidate = self.candidate(person, |id| self.users.contains_key(id));
            (key(Kind::User, id), candidate)
        });
        let groups = self
            .groups
            .iter()
            .map(|(id, group)| (key(Kind::Group, id), self.group_candidate(id, group)));
        let records = self
            .people
            .values()
            .chain(self.groups.values().map(|group| &group.person));
        Input {
            target: "demo",
            now: now(),
            rules: &self.rules,
            profile: &self.profile,
            keep_when_empty: &self.keep_when_empty,
            people: people.collect(),
            groups: groups.collect(),
            observed_users: self.observed(Kind::User),
            observed_groups: self.observed(Kind::Group),
            linked: records.filter(|record| record.link.is_some()).count() as u64,
            snapshot_lost: self.snapshot_lost,
            full: self.lists,
            complete: self.complete,
            clock_doubt: self.clock_doubt.clone(),
        }
    }

    fn candidate(&self, person: &Person, is_there: impl Fn(&ResourceId) -> bool) -> Candidate {
        let gone = person.standing == Standing::Gone;
        let missing = |link: &Link| !is_there(&link.resource);
        Candidate {
            standing: person.standing.clone(),
            desired: (!gone).then(|| person.desired.clone()),
            link: person.link.clone(),
            missing: self.lists && person.link.as_ref().is_some_and(missing),
            intent: person.intent.clone(),
            due: person.due,
            suspended: false,
            rehire_key: person.rehire_key.clone(),
            manager: person.manager.as_ref().map(|id| self.referenced(id)),
            joined: Vec::new(),
            contested: None,
        }
    }

    fn referenced(&self, id: &str) -> Referenced {
        let person = self.people.get(id);
        let link = person.and_then(|person| person.link.as_ref());
        let may_come = person.is_some_and(|person| {
            link.is_none() && (person.standing.is_entitled() || person.standing.is_unknown())
        });
        Referenced {
            record: key(Kind::User, id),
            resource: link.map(|link| link.resource.clone()),
            awaited: may_come,
        }
    }

    /// Who is in a group, and which groups are, as the target should show it.
    pub(super) fn contents(&self, id: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let group = &self.groups[id];
        if self.rules.groups.nested == Nested::Direct {
            let is_inner = |inner: &&str| *inner != id && self.groups.contains_key(*inner);
            let inner = group.inner.iter().map(String::as_str).filter(is_inner);
            return (
                group.members.iter().map(String::as_str).collect(),
                inner.collect(),
            );
        }
        let mut people = BTreeSet::new();
        let mut entered = BTreeSet::from([id]);
        let mut waiting = vec![group];
        while let Some(group) = waiting.pop() {
            people.extend(group.members.iter().map(String::as_str));
            for inner in &group.inner {
                if let Some(group) = self.groups.get(inner).filter(|_| entered.insert(inner)) {
                    waiting.push(group);
                }
            }
        }
        (people, BTreeSet::new())
    }

    fn group_candidate(&self, id: &str, group: &Group) -> GroupCandidate {
        let in_scope = |id: &&str| match self.people.get(*id) {
            Some(person) => !matches!(
                person.standing,
                Standing::Gone | Standing::OutOfScope | Standing::Unknown(_)
            ),
            None => false,
        };
        let (people, inner) = self.contents(id);
        let people = people.into_iter().filter(in_scope);
        let mut members: BTreeMap<RecordKey, Option<&Link>> = people
            .map(|id| (key(Kind::User, id), self.people[id].link.as_ref()))
            .collect();
        for id in inner {
            let inner = &self.groups[id].person;
            if inner.standing.is_entitled() {
                members.insert(key(Kind::Group, id), inner.link.as_ref());
            }
        }
        let linked = members
            .iter()
            .filter_map(|(record, link)| Some((record.clone(), link.as_ref()?.resource.clone())));
        let pushed = group.person.standing.is_entitled();
        GroupCandidate {
            group: self.candidate(&group.person, |id| self.shells.contains_key(id)),
            member_resources: linked.filter(|_| pushed).collect(),
            members: members.keys().filter(|_| pushed).cloned().collect(),
            owned: group
                .owned
                .iter()
                .map(|id| {
                    let edge = OwnedEdge {
                        sent: group.sent.contains(id),
                        orphaned: self.is_orphaned(group, id),
                        ..self.owned_edge(id)
                    };
                    (id.clone(), edge)
                })
                .collect(),
        }
    }

    /// Whether a member is no more, as the snapshot knows it or this cycle finds out.
    fn is_orphaned(&self, group: &Group, resource: &ResourceId) -> bool {
        let listed = self.users.contains_key(resource) || self.shells.contains_key(resource);
        let is_ours = self.owner_of(resource).is_some() || self.group_at(resource).is_some();
        group.orphaned.contains(resource) || (self.lists && is_ours && !listed)
    }

    fn owned_edge(&self, resource: &ResourceId) -> OwnedEdge {
        let owner = self.owner_of(resource);
        let protected = owner.and_then(|(id, link)| {
            let subject = Subject {
                kind: Kind::User,
                record: Some(key(Kind::User, id)),
                resource: Some(resource.clone()),
                name: id.to_owned(),
            };
            let key = link_protected_by(&subject, link, &self.rules.protect)?;
            let name = subject.name;
            Some(ProtectedMember { name, key })
        });
        let standing = owner.map(|(id, _)| &self.people[id].standing);
        if let Some((id, group)) = self.group_at(resource) {
            return OwnedEdge {
                record: Some(key(Kind::Group, id)),
                sent: false,
                orphaned: false,
                unknown: group.person.standing.is_unknown(),
                protected: None,
            };
        }
        OwnedEdge {
            record: owner.map(|(id, _)| key(Kind::User, id)),
            sent: false,
            orphaned: false,
            unknown: matches!(standing, Some(Standing::Unknown(_))),
            protected,
        }
    }

    pub(super) fn owner_of(&self, resource: &ResourceId) -> Option<(&str, &Link)> {
        self.people.iter().find_map(|(id, person)| {
            let link = person.link.as_ref()?;
            (link.resource == *resource).then_some((id.as_str(), link))
        })
    }

    /// The group that owns a resource.
    pub(super) fn group_at(&self, resource: &ResourceId) -> Option<(&str, &Group)> {
        self.groups.iter().find_map(|(id, group)| {
            let link = group.person.link.as_ref()?;
            (link.resource == *resource).then_some((id.as_str(), group))
        })
    }

    fn observed(&self, kind: Kind) -> Observed {
        let mut observed = Observed::default();
        if !self.lists {
            return observed;
        }
        observed.complete = true;
        let records: BTreeMap<&String, &Person> = match kind {
            Kind::User => self.people.iter().collect(),
            Kind::Group => self
                .groups
                .iter()
                .map(|(id, group)| (id, &group.person))
                .collect(),
        };
        for json in self.jsons(kind) {
            let listed = read_listed(json).expect("it has an id");
            let owner = records.iter().find(|(_, record)| {
                let link = record.link.as_ref();
                link.is_some_and(|link| link.resource == listed.id)
            });
            let external_id = listed.json.get("externalId").and_then(Value::as_str);
            let named = records
                .iter()
                .find(|(id, _)| Some(id.as_str()) == external_id)
                .filter(|(_, record)| record.standing != Standing::Gone);
            if let Some((id, _)) = owner {
                observed.owners.insert(listed.id.clone(), key(kind, id));
            } else if let Some((id, _)) = named {
                let id = key(kind, id);
                observed.external_owners.insert(listed.id.clone(), id);
            }
            observed.resources.insert(listed.id.clone(), listed);
        }
        observed
    }

    fn jsons(&self, kind: Kind) -> Vec<Value> {
        let json = |id: &ResourceId, attributes: &AttributeMap| {
            let mut json = to_json("schema", attributes);
            json["id"] = json!(id.0);
            json
        };
        let user = |(id, user): (&ResourceId, &TargetUser)| {
            let mut json = json(id, &user.attributes);
            json["active"] = json!(user.active);
            json
        };
        let group = |(id, group): (&ResourceId, &TargetGroup)| {
            let mut json = json(id, &group.attributes);
            json["members"] = group
                .members
                .iter()
                .map(|id| json!({"value": id.0}))
                .collect();
            json
        };
        match kind {
            Kind::User => self.users.iter().map(user).collect(),
            Kind::Group => self.shells.iter().map(group).collect(),
        }
    }
}

impl Person {
    fn entitled(desired: AttributeMap) -> Self {
        Self {
            standing: Standing::Entitled,
            desired: Ok(desired),
            link: None,
            intent: None,
            due: true,
            rehire_key: None,
            manager: None,
        }
    }

    pub(super) fn mapped(&self) -> AttributeMap {
        self.desired.clone().expect("it can be mapped")
    }
}

pub(super) fn new_link(resource: ResourceId, acknowledged: AttributeMap) -> Link {
    Link {
        resource,
        origin: Origin::Created,
        acknowledged,
        active: true,
        deactivated: None,
        foreign_external_id: None,
        unsettled: false,
        missing: false,
        own_forms: BTreeMap::new(),
        sent: BTreeSet::new(),
        keys_sent: BTreeMap::new(),
    }
}

pub(super) fn deactivation() -> Deactivation {
    Deactivation {
        reason: "DisabledAtSource".to_owned(),
        at: now(),
        gone_since: None,
        spent: None,
    }
}
