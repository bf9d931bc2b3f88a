//! Groups and who is in them: what may be created, put in, taken out and deleted.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::organisation::Organisation;
use super::super::service::{Service, member_ids, operations, removed_member};
use super::super::settings::REMOVED;
use super::Oracle;

/// Whom a group should hold.
struct Roster<'a> {
    /// The group's resource.
    id: &'a str,
    /// Their resources.
    wanted: BTreeSet<String>,
    /// Their records.
    people: BTreeSet<String>,
    /// The resources that it holds.
    has: BTreeSet<String>,
}

impl Oracle {
    pub(super) fn see_new_group(&mut self, truth: &Organisation, body: &Value, service: &Service) {
        let group = body["externalId"].as_str().unwrap_or_default();
        if !self.settings.push || !truth.groups.contains_key(group) {
            return self.violate(format!("creates {group}, which is not pushed"));
        }
        if body["displayName"].as_str() != Some(&truth.groups[group].name) {
            self.violate(format!("creates {group} with another name"));
        }
        let mut others = service.groups.values();
        if others.any(|team| team.external_id.as_deref() == Some(group)) {
            self.violate(format!("creates {group} a second time"));
        }
        let wanted = self.wanted_members(truth, group);
        for member in member_ids(&body["members"]).difference(&wanted) {
            self.violate(format!("creates {group} with {member}, who is not in it"));
        }
    }

    pub(super) fn see_members(
        &mut self,
        truth: &Organisation,
        id: &str,
        body: &Value,
        service: &Service,
    ) {
        let Some(group) = self.owners.get(id).cloned() else {
            return self.violate(format!("writes on the group {id}, which is nobody's"));
        };
        let team = service.groups.get(id);
        let roster = Roster {
            id,
            wanted: self.wanted_members(truth, &group),
            people: self.settings.members_of(truth, &group).0,
            has: team.map(|team| team.members.clone()).unwrap_or_default(),
        };
        for (op, path, value) in operations(body) {
            let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
            if path == "members" {
                added = member_ids(&value);
                if op == "replace" {
                    removed = roster.has.difference(&added).cloned().collect();
                    added = added.difference(&roster.has).cloned().collect();
                }
            } else {
                removed.extend(removed_member(&path).map(str::to_owned));
            }
            for member in &added {
                let edge = (id.to_owned(), member.clone());
                if self.ours.insert(edge.clone()) {
                    self.found.insert(edge);
                }
            }
            for member in added.difference(&roster.wanted) {
                self.violate(format!("puts {member} into {group}, where they are not"));
            }
            for member in &removed {
                self.see_removal(truth, &roster, member, service);
            }
        }
    }

    fn see_removal(
        &mut self,
        truth: &Organisation,
        roster: &Roster<'_>,
        member: &str,
        service: &Service,
    ) {
        let Roster {
            id,
            wanted,
            people,
            has,
        } = roster;
        let edge = ((*id).to_owned(), member.to_owned());
        let known = self.ours.contains(&edge) || self.taken_out.contains(&edge);
        // Who was about to be put in, and may have been, is taken out unseen.
        if !known && !self.settings.authoritative && has.contains(member) {
            self.violate(format!("takes {member} out of {id}, who is not ours"));
        }
        let user = service.users.get(member);
        let record = user.and_then(|user| self.record_of(member, user, truth));
        // The id of somebody who was deleted is nobody's: to take it out wrongs nobody, though
        // the source still has the person in the group (worlds 6203, 7058).
        let is_group = service.groups.contains_key(member);
        if is_group && wanted.contains(member)
            || record.is_some_and(|record| people.contains(record))
        {
            self.violate(format!("takes {member} out of {id}, where they belong"));
        }
    }

    pub(super) fn see_group_deletion(&mut self, truth: &Organisation, id: &str, service: &Service) {
        let group = self.owners.get(id).cloned().unwrap_or_default();
        let pushed = self.settings.push && truth.groups.contains_key(&group);
        let here = service.groups.contains_key(id);
        if here && (pushed || self.settings.when_gone != "delete") {
            self.violate(format!("deletes the group {id}, {group}"));
        }
    }

    pub(super) fn note_members(
        &mut self,
        id: &str,
        had: &BTreeSet<String>,
        has: &BTreeSet<String>,
        is_counted: bool,
    ) {
        for member in has.difference(had) {
            let edge = (id.to_owned(), member.clone());
            self.found.remove(&edge);
            self.ours.insert(edge);
        }
        for member in had.difference(has) {
            // Whoever puts them in again is somebody else.
            let edge = (id.to_owned(), member.clone());
            self.ours.remove(&edge);
            self.found.remove(&edge);
            self.taken_out.insert(edge);
            // To empty a group that is gone counts as its deletion.
            if !is_counted {
                continue;
            }
            let whose = [id, member].map(|id| self.owners.get(id).cloned().unwrap_or_default());
            self.spend(REMOVED, &[&whose[0], &whose[1]], 1);
        }
    }

    /// The resources that a group should hold.
    pub(super) fn wanted_members(&self, truth: &Organisation, group: &str) -> BTreeSet<String> {
        let (people, inner) = self.settings.members_of(truth, group);
        let badges: BTreeSet<&String> = people.iter().map(|id| &truth.people[id].badge).collect();
        // Those that somebody deleted meanwhile are among them: only a listing shows that.
        let owners = self.owners.iter();
        let wanted = owners.filter(|(_, owner)| badges.contains(owner) || inner.contains(*owner));
        wanted.map(|(id, _)| id.clone()).collect()
    }
}
