//! Who may be touched, and how: judged from the source's truth and the services' own state,
//! never from what the engine says of itself. Every write is judged as it arrives, whatever
//! becomes of it then.
//!
//! Tried by taking defences out of the engine; the seeds that found it, of those from 1 on:
//! - what is spent of a limit is not recorded: 32, 36 and 45 (a limit exceeded);
//! - who is found inactive is not linked before the call that switches them on: 2, 44 and 45 (still
//!   active after leaving; taken out of a group where they belong);
//! - a resource may go to another record of anybody: 61, 77 and 98 (writes on whoever is not
//!   entitled);
//! - whom a lost creation put into a group is forgotten when the group is adopted: 20 (still in it).
//!
//! What is noted before somebody is switched off or on is not missed by the first 200 seeds; the
//! story `lost_switch_answer` misses it.

mod groups;
mod outcome;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::organisation::Organisation;
use super::service::{ENTERPRISE, Request, Service, User, flat, member_ids, operations};
use super::settings::{DEACTIVATIONS, EXPLICIT, REACTIVATIONS, Settings};

/// What is known of one target.
pub(super) struct Oracle {
    /// As the engine was configured for this cycle.
    pub(super) settings: Settings,
    /// As the source stood when this cycle read it; `None` when it could not be read.
    pub(super) truth: Option<Organisation>,
    pub(super) now: DateTime<Utc>,
    /// Whose a resource is: a badge for a person, a group's id for a group. Whatever else is
    /// there is nobody's.
    pub(super) owners: BTreeMap<String, String>,
    /// For which record a resource with an externalId that is not ours was first written on.
    adopted: BTreeMap<String, String>,
    /// For which records such a resource may have been adopted without a write that arrived.
    met: BTreeMap<String, BTreeSet<String>>,
    /// Edges, by resource, that provisor sent, or that were there when the source had them.
    pub(super) ours: BTreeSet<(String, String)>,
    /// Those of them that were found in place while provisor knew nobody by that resource: it
    /// may take them for its own when it adopts the person, and need not (worlds 5381, 7844). And
    /// those that it sent in vain: should somebody else put them in, it cannot tell (world 34245).
    found: BTreeSet<(String, String)>,
    /// Those that were first seen so in this cycle: a death may take the note of it (world 64258).
    noticed: BTreeSet<(String, String)>,
    /// Those that it took out again: after a death it may do so once more, whoever has put
    /// them in since.
    taken_out: BTreeSet<(String, String)>,
    /// Switched off, or changed, at the target by somebody else, by resource.
    pub(super) suspended: BTreeSet<String>,
    /// What was spent of the limits.
    spent: Vec<Spent>,
    /// Whose held change a person approved (a badge, or a group's id), and when.
    pub(super) approved: Vec<(DateTime<Utc>, BTreeSet<String>)>,
    /// What is wrong.
    pub(super) violations: Vec<String>,
}

struct Spent {
    at: DateTime<Utc>,
    limit: &'static str,
    amount: u64,
    /// Whether a death may have taken the note of it.
    fresh: bool,
}

impl Oracle {
    pub(super) fn new(settings: Settings, now: DateTime<Utc>) -> Self {
        Self {
            settings,
            truth: None,
            now,
            owners: BTreeMap::new(),
            adopted: BTreeMap::new(),
            met: BTreeMap::new(),
            ours: BTreeSet::new(),
            found: BTreeSet::new(),
            noticed: BTreeSet::new(),
            taken_out: BTreeSet::new(),
            suspended: BTreeSet::new(),
            spent: Vec::new(),
            approved: Vec::new(),
            violations: Vec::new(),
        }
    }

    fn violate(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    /// A cycle begins. Like the engine, the oracle counts 24 hours back from now, and what a
    /// clock once took for long ago stays forgotten.
    pub(super) fn begin(&mut self, settings: Settings, now: DateTime<Utc>) {
        self.settings = settings;
        self.truth = None;
        self.now = now;
        self.spent
            .retain(|spent| spent.at >= now - TimeDelta::hours(24));
        // One that is of later may count again, once the clock is right.
        self.approved
            .retain(|(at, _)| now - *at < TimeDelta::hours(24));
    }

    /// A cycle has read the source and seen the target, and goes on to write: what is there by
    /// chance and is also so in the source is ours.
    pub(super) fn read(&mut self, truth: &Organisation, service: &Service) {
        self.truth = Some(truth.clone());
        for (id, user) in &service.users {
            let badge = self.owners.get(id).cloned().unwrap_or_default();
            if let [record] = self.entitled_records(truth, &badge).as_slice()
                && self.record_of(id, user, truth).is_none()
                && truth.people[record].user_name == user.text("userName")
            {
                let met = self.met.entry(id.clone()).or_default();
                met.insert(record.clone());
            }
        }
        for (id, team) in &service.groups {
            let Some(group) = self.owners.get(id).cloned() else {
                continue;
            };
            let wanted = self.wanted_members(truth, &group);
            for member in team.members.intersection(&wanted) {
                let edge = (id.clone(), member.clone());
                let user = service.users.get(member);
                let is_known =
                    user.is_none_or(|user| self.record_of(member, user, truth).is_some());
                if is_known {
                    self.found.remove(&edge);
                } else if !self.ours.contains(&edge) {
                    self.found.insert(edge.clone());
                }
                if self.ours.insert(edge.clone()) {
                    self.noticed.insert(edge);
                }
            }
        }
    }

    /// The cycle is over: what it noted is on disk, or lost with it.
    pub(super) fn end(&mut self, died: bool) {
        let noticed = std::mem::take(&mut self.noticed);
        let doubtful = noticed
            .into_iter()
            .filter(|edge| died && self.ours.contains(edge));
        self.found.extend(doubtful);
        // A death loses the note of what was sent since the last flush, and the count with it.
        self.spent.retain(|spent| !(died && spent.fresh));
        for spent in &mut self.spent {
            spent.fresh = false;
        }
    }

    /// A write arrives.
    pub(super) fn see(&mut self, request: &Request, service: &Service) {
        let Some(truth) = self.truth.clone() else {
            return self.violate(format!("a write without a read source: {request:?}"));
        };
        let id = request.id.clone().unwrap_or_default();
        match (request.method.as_str(), request.collection.as_str()) {
            ("POST", "Users") => self.see_joiner(&truth, &request.body, service),
            ("PATCH", "Users") => self.see_patch(&truth, &id, &request.body, service),
            ("DELETE", "Users") => self.see_deletion(&truth, &id, service),
            ("POST", "Groups") => self.see_new_group(&truth, &request.body, service),
            ("PATCH", "Groups") => self.see_members(&truth, &id, &request.body, service),
            ("DELETE", "Groups") => self.see_group_deletion(&truth, &id, service),
            _ => self.violate(format!("an unheard-of write: {request:?}")),
        }
    }

    fn see_joiner(&mut self, truth: &Organisation, body: &Value, service: &Service) {
        let record = body["externalId"].as_str().unwrap_or_default();
        if !self.settings.entitles(truth, record) {
            return self.violate(format!("creates {record}, who is not entitled"));
        }
        let twice = |user: &&User| user.text("externalId") == record;
        if service.users.values().any(|user| twice(&user)) {
            self.violate(format!("creates {record} a second time"));
        }
        let sent = flat(body);
        for (path, wanted) in self.settings.values_of(&truth.people[record]) {
            if sent.get(&path) != Some(&wanted) {
                self.violate(format!("creates {record} with another {path}"));
            }
        }
        let manager = sent.get(&format!("{ENTERPRISE}:manager"));
        if let Some(manager) = manager {
            self.see_manager(truth, record, manager);
        }
    }

    fn see_patch(&mut self, truth: &Organisation, id: &str, body: &Value, service: &Service) {
        let Some(badge) = self.owners.get(id).cloned() else {
            return self.violate(format!("writes on {id}, which is nobody's"));
        };
        let Some(user) = service.users.get(id) else {
            return;
        };
        let entitled = self.entitled_records(truth, &badge);
        // Nobody is adopted by being switched off.
        let switches_off =
            |(_, path, value): &(String, String, Value)| path == "active" && *value == false;
        if let [record] = entitled.as_slice()
            && self
                .record_of(id, user, truth)
                .is_none_or(|former| !self.settings.entitles(truth, former))
            && !operations(body).iter().any(switches_off)
        {
            self.adopted.insert(id.to_owned(), record.clone());
        }
        for (op, path, value) in operations(body) {
            if path == "active" && value == Value::Bool(false) {
                if let Some(record) = self.locked_out(truth, id, user, service) {
                    self.violate(format!("switches off {record}, who is entitled"));
                }
                continue;
            }
            if entitled.is_empty() {
                self.violate(format!("writes {path} of {badge}, who is not entitled"));
            } else if path == "externalId" {
                if !entitled.iter().any(|record| value.as_str() == Some(record)) {
                    self.violate(format!("gives {id} of {badge} the externalId {value}"));
                }
            } else if path == format!("{ENTERPRISE}:manager") {
                if op != "remove" {
                    self.see_manager(truth, &entitled[0], &value);
                }
            } else if path != "active" {
                let wanted = |record: &String| {
                    let values = self.settings.values_of(&truth.people[record]);
                    values.get(&path) == Some(&value)
                };
                let between = path == "userName" && self.is_temporary(&value);
                if op == "remove" || !between && !entitled.iter().any(wanted) {
                    self.violate(format!("gives {id} of {badge} another's {path}: {value}"));
                }
            }
        }
    }

    /// Whose record a resource is of: that of its externalId, or the one it was adopted for.
    fn record_of<'a>(&'a self, id: &str, user: &'a User, truth: &Organisation) -> Option<&'a str> {
        let record = user.text("externalId");
        let is_ours = truth.badges.contains_key(record);
        is_ours
            .then_some(record)
            .or(self.adopted.get(id).map(String::as_str))
    }

    /// For whom, of those who have left since, a resource may have been adopted unseen.
    fn perhaps_of(&self, id: &str, truth: &Organisation) -> Option<&str> {
        let mut met = self.met.get(id)?.iter();
        let record = met.find(|record| !self.settings.entitles(truth, record))?;
        Some(record.as_str())
    }

    /// Whom switching this resource off would wrong: its record; or, where nobody else can be
    /// meant, another record of the same human, who has the name and nothing else.
    fn locked_out(
        &self,
        truth: &Organisation,
        id: &str,
        user: &User,
        service: &Service,
    ) -> Option<String> {
        let record = self.record_of(id, user, truth);
        if let Some(record) = record.filter(|record| self.settings.entitles(truth, record)) {
            return Some(record.to_owned());
        }
        let of_another = record.is_some() || self.perhaps_of(id, truth).is_some();
        if of_another && !self.settings.rehire_key {
            return None;
        }
        let entitled = self.entitled_records(truth, &self.owners[id]);
        let name = user.text("userName");
        let is_without = |record: &String| {
            let mut users = service.users.values();
            truth.people[record].user_name == name
                && !users.any(|user| user.text("externalId") == record)
        };
        entitled.into_iter().find(is_without)
    }

    fn see_manager(&mut self, truth: &Organisation, record: &str, value: &Value) {
        let manager = truth.people[record].manager.as_ref();
        let wanted = manager.map(|manager| &truth.badges[manager]);
        let sent = value["value"].as_str().unwrap_or_default();
        if wanted.is_none() || self.owners.get(sent) != wanted {
            self.violate(format!("{record} would report to {sent}, not {manager:?}"));
        }
    }

    fn see_deletion(&mut self, truth: &Organisation, id: &str, service: &Service) {
        let Some(user) = service.users.get(id) else {
            return;
        };
        let badge = self.owners.get(id).cloned().unwrap_or_default();
        let gone = !truth.people.contains_key(user.text("externalId"));
        let allowed = self.settings.delete_after.is_some() && gone && !user.active;
        if !allowed
            || !self.entitled_records(truth, &badge).is_empty()
                && self.locked_out(truth, id, user, service).is_some()
        {
            self.violate(format!("deletes {id} of {badge}"));
        }
    }

    /// What a write came to, at the service.
    pub(super) fn note(&mut self, request: &Request, before: &Service, after: &Service) {
        let Some(truth) = self.truth.clone() else {
            return;
        };
        for (id, user) in &after.users {
            let Some(was) = before.users.get(id) else {
                let badge = truth.badges.get(user.text("externalId"));
                self.owners
                    .insert(id.clone(), badge.cloned().unwrap_or_default());
                continue;
            };
            let record = self.record_of(id, user, &truth);
            let record = record.or(self.perhaps_of(id, &truth)).unwrap_or_default();
            match (was.active, user.active) {
                (true, false) => {
                    let row = truth.people.get(record);
                    let explicit = row.is_some_and(|row| !row.active);
                    let limit = if explicit { EXPLICIT } else { DEACTIVATIONS };
                    self.spend(limit, &[&self.owners[id].clone()], 1);
                }
                (false, true) => {
                    self.suspended.remove(id);
                    self.spend(REACTIVATIONS, &[&self.owners[id].clone()], 1);
                }
                _ => {}
            }
        }
        for (id, team) in &after.groups {
            let was = before.groups.get(id);
            if was.is_none() {
                let group = team.external_id.clone().unwrap_or_default();
                self.owners.insert(id.clone(), group);
            }
            let had = was.map(|was| was.members.clone()).unwrap_or_default();
            let group = self.owners.get(id).cloned().unwrap_or_default();
            // A group that is deleted is in no other any more: that counts as its deletion.
            let is_counted = self.settings.push
                && truth.groups.contains_key(&group)
                && request.method != "DELETE";
            if request.collection == "Groups" {
                self.note_members(id, &had, &team.members, is_counted);
            }
            // What was sent is ours, whoever else had put it there before.
            let sent = operations(&request.body);
            let added = sent
                .iter()
                .filter(|(op, path, _)| op == "add" && path == "members");
            if request.id.as_deref() == Some(id) {
                for member in added.flat_map(|(_, _, value)| member_ids(value)) {
                    let edge = (id.clone(), member);
                    self.found.remove(&edge);
                    self.ours.insert(edge);
                }
            }
        }
    }

    /// A limit is never exceeded, but for what a person approved.
    fn spend(&mut self, limit: &'static str, whose: &[&String], amount: u64) {
        let mut approved = self.approved.iter().filter(|(at, _)| *at <= self.now);
        if approved.any(|(_, approved)| whose.iter().any(|it| approved.contains(*it))) {
            return;
        }
        let at = self.now;
        self.spent.push(Spent {
            at,
            limit,
            amount,
            fresh: true,
        });
        let same = self.spent.iter().filter(|spent| spent.limit == limit);
        let total: u64 = same.map(|spent| spent.amount).sum();
        let most = match self.settings.limits[limit] {
            0 => 0,
            count => count.max(2),
        };
        if total > most {
            self.violate(format!("{limit}: {total} in a day, and {most} are allowed"));
        }
    }

    /// The records of a human that are entitled.
    fn entitled_records(&self, truth: &Organisation, badge: &str) -> Vec<String> {
        let records = truth.people.iter();
        records
            .filter(|(id, record)| record.badge == badge && self.settings.entitles(truth, id))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// A name between two others, while names change hands.
    fn is_temporary(&self, value: &Value) -> bool {
        value
            .as_str()
            .is_some_and(|name| name.starts_with("renaming-"))
    }
}
