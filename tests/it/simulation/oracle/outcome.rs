//! What must be true after a cycle, and what when everything works again.

use std::collections::BTreeSet;

use super::super::organisation::{Organisation, Record};
use super::super::service::{ENTERPRISE, Service, User};
use super::Oracle;

/// What the engine says that it holds: a record's id, or a name, and the reason.
pub(in super::super) type Holds = BTreeSet<(String, String)>;

impl Oracle {
    /// After any cycle: nobody is there twice.
    pub(in super::super) fn check_always(&mut self, service: &Service) {
        let mut seen = BTreeSet::new();
        for user in service.users.values() {
            let record = user.text("externalId");
            if !record.is_empty() && !seen.insert(record.to_owned()) {
                self.violate(format!("{record} is there twice"));
            }
        }
        let mut seen = BTreeSet::new();
        for team in service.groups.values() {
            if let Some(group) = &team.external_id
                && !seen.insert(group.clone())
            {
                self.violate(format!("the group {group} is there twice"));
            }
        }
    }

    /// When everything works again and a cycle has gone by: the target is as the source.
    pub(in super::super) fn check_outcome(
        &mut self,
        truth: &Organisation,
        service: &Service,
        holds: &Holds,
    ) {
        let entitled: Vec<_> = truth.people.iter().collect();
        let entitled = entitled
            .into_iter()
            .filter(|(id, _)| self.settings.entitles(truth, id));
        let entitled: Vec<_> = entitled.collect();
        let waits = |(id, record): &&(&String, &Record)| {
            self.is_suspended(record, service)
                || self.is_contested(truth, id, service, &mut BTreeSet::new())
        };
        let excused = entitled.iter().filter(waits);
        let excused: BTreeSet<String> = excused.map(|(_, it)| it.badge.clone()).collect();
        for (id, record) in entitled {
            if !excused.contains(&record.badge) {
                self.check_entitled(truth, id, record, service, holds, &excused);
            }
        }
        for (id, user) in &service.users {
            self.check_leaver(truth, id, user, service);
        }
        if self.settings.push {
            for group in truth.groups.keys() {
                self.check_group(truth, group, service, &excused);
            }
        }
        if self.settings.when_gone != "keep" {
            for (id, group) in self.owners.clone() {
                let pushed = self.settings.push && truth.groups.contains_key(&group);
                let Some(team) = service.groups.get(&id).filter(|_| !pushed) else {
                    continue;
                };
                for member in &team.members {
                    let edge = (id.clone(), member.clone());
                    if self.ours.contains(&edge) && !self.found.contains(&edge) {
                        self.violate(format!("{member} is still in {group}, which is gone"));
                    }
                }
            }
        }
    }

    fn check_entitled(
        &mut self,
        truth: &Organisation,
        id: &str,
        record: &Record,
        service: &Service,
        holds: &Holds,
        excused: &BTreeSet<String>,
    ) {
        let owned = |id: &String| self.owners.get(id) == Some(&record.badge);
        let users = service.users.iter().filter(|(id, _)| owned(id));
        let users: Vec<(&String, &User)> = users.collect();
        if let Some((_, reason)) = holds.iter().find(|(held, _)| held == id) {
            return self.violate(format!("{id} is held for no reason: {reason}"));
        }
        // What was never adopted is not provisor's to switch off.
        let known = |id: &str, user: &User| self.record_of(id, user, truth).is_some();
        let active = users
            .iter()
            .filter(|(id, user)| user.active && known(id, user));
        let active: Vec<_> = active.collect();
        let [(resource, user)] = active.as_slice() else {
            let said: Vec<_> = users.iter().map(|(id, user)| (id, user.active)).collect();
            return self.violate(format!("{id} should be there, active, once: {said:?}"));
        };
        for (path, wanted) in self.settings.values_of(record) {
            if user.values.get(&path) != Some(&wanted) {
                let found = user.values.get(&path);
                self.violate(format!(
                    "{id} has at {resource} {path} {found:?}, not {wanted}"
                ));
            }
        }
        self.check_manager(truth, id, record, user, service, excused);
    }

    /// Whether somebody else switched the person off.
    fn is_suspended(&self, record: &Record, service: &Service) -> bool {
        let mut users = service.users.iter();
        users.any(|(id, user)| {
            let theirs = self.owners.get(id) == Some(&record.badge);
            theirs && !user.active && self.suspended.contains(id)
        })
    }

    /// Whether somebody else has the name, who will not give it away: a resource of nobody
    /// entitled, or of somebody who waits for a name too.
    fn is_contested(
        &self,
        truth: &Organisation,
        id: &str,
        service: &Service,
        asked: &mut BTreeSet<String>,
    ) -> bool {
        let record = &truth.people[id];
        let has_name = |user: &&User| {
            user.text("userName")
                .eq_ignore_ascii_case(&record.user_name)
        };
        let mut users = service.users.iter();
        let Some((resource, holder)) = users.find(|(_, user)| has_name(user)) else {
            return false;
        };
        let is_suspended = !holder.active && self.suspended.contains(resource);
        let holder = self.record_of(resource, holder, truth);
        let holder = holder.or(self.perhaps_of(resource, truth));
        let holder = holder.unwrap_or_default();
        if holder == id || is_suspended {
            return holder != id;
        }
        if !self.settings.entitles(truth, holder) {
            return truth.badges.contains_key(holder);
        }
        asked.insert(id.to_owned()) && self.is_contested(truth, holder, service, asked)
    }

    fn check_manager(
        &mut self,
        truth: &Organisation,
        id: &str,
        record: &Record,
        user: &User,
        service: &Service,
        excused: &BTreeSet<String>,
    ) {
        let path = format!("{ENTERPRISE}:manager");
        let found = user.values.get(&path).map(|value| value["value"].clone());
        let found = found.as_ref().and_then(|value| value.as_str());
        let Some(manager) = &record.manager else {
            if let Some(found) = found {
                self.violate(format!("{id} still reports to {found}"));
            }
            return;
        };
        // Who left may still be named; who waits has nothing to be named by.
        let badge = &truth.people[manager].badge;
        if !self.settings.entitles(truth, manager) || excused.contains(badge) {
            return;
        }
        let owner = found.and_then(|found| self.owners.get(found));
        let there = found.is_some_and(|found| service.users.contains_key(found));
        let waits = found.is_none() && excused.contains(badge);
        if !(waits || there && owner == Some(badge)) {
            self.violate(format!("{id} reports to {found:?}, not to {manager}"));
        }
    }

    /// Whoever was ever linked and is not entitled is switched off.
    fn check_leaver(&mut self, truth: &Organisation, id: &str, user: &User, service: &Service) {
        let record = user.text("externalId");
        if !user.active || !truth.badges.contains_key(record) {
            return;
        }
        if self.settings.entitles(truth, record) {
            return;
        }
        let badge = &truth.badges[record];
        let others = self.entitled_records(truth, badge);
        let theirs = |other: &String| {
            let mut users = service.users.values();
            !users.any(|user| user.text("externalId") == other)
        };
        if !others.iter().any(theirs) {
            self.violate(format!("{record} is still active at {id}"));
        }
    }

    fn check_group(
        &mut self,
        truth: &Organisation,
        group: &str,
        service: &Service,
        excused: &BTreeSet<String>,
    ) {
        let owned = |id: &String| self.owners.get(id).is_some_and(|it| it == group);
        let teams: Vec<_> = service.groups.iter().filter(|(id, _)| owned(id)).collect();
        let [(id, team)] = teams.as_slice() else {
            return self.violate(format!("{group} is there {} times", teams.len()));
        };
        if team.name != truth.groups[group].name {
            self.violate(format!("{group} is called {}", team.name));
        }
        let wanted = self.wanted_members(truth, group);
        let is_excused = |member: &String| {
            self.owners
                .get(member)
                .is_some_and(|it| excused.contains(it))
        };
        // Those who are in scope and switched off may have come too late to be put in.
        let counts = |member: &&String| {
            let is_group = service.groups.contains_key(*member);
            let user = service.users.get(*member);
            let record = user.and_then(|user| self.record_of(member, user, truth));
            let is_entitled = record.is_some_and(|it| self.settings.entitles(truth, it));
            (is_group || is_entitled) && !is_excused(member)
        };
        let missing: Vec<_> = wanted.difference(&team.members).filter(counts).collect();
        let ours = |member: &&String| {
            let edge = ((*id).clone(), (*member).clone());
            let is_ours = self.ours.contains(&edge) && !self.found.contains(&edge);
            is_ours && !is_excused(member)
        };
        let left: Vec<_> = team.members.difference(&wanted).filter(ours).collect();
        if !missing.is_empty() || !left.is_empty() {
            self.violate(format!(
                "{group} at {id} lacks {missing:?}, and still has {left:?}"
            ));
        }
    }
}
