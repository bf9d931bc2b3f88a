//! Members that provisor never added, where the source alone says who is in a group
//! (`authoritative = true`).
//!
//! Only a full cycle sees everybody, so only there are they removed; and never somebody who
//! is protected, who may be a person that cannot be judged, or of whom neither can be told.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::Table;
use crate::plan::action::{ListedReason, Reference, Subject};
use crate::plan::build;
use crate::plan::input::{Candidate, GroupCandidate, Input};
use crate::plan::matching::{Index, Match, keys_for};
use crate::plan::protection;
use crate::scim::resource::{Listed as Resource, ResourceId};

/// Whether this plan may remove members that provisor never added.
fn may_remove(input: &Input<'_>) -> bool {
    let seen = input.observed_groups.complete && input.observed_users.complete;
    input.rules.groups.authoritative && input.profile.members_listed && input.full && seen
}

/// Resources that may be of people whom this plan does not link although it should, or might:
/// they are unknown, or held for want of one clear match or because they cannot be mapped.
pub(super) fn unsure(
    input: &Input<'_>,
    coming: &BTreeMap<RecordKey, Reference>,
) -> BTreeSet<ResourceId> {
    let mut unsure = BTreeSet::new();
    if !may_remove(input) {
        return unsure;
    }
    let keys = keys_for(Kind::User, &input.rules.match_on);
    let index = Index::new(&input.observed_users, &keys, &[]);
    let may_come = |record: &RecordKey, person: &Candidate| {
        let standing = &person.standing;
        let waits = standing.is_entitled() && !coming.contains_key(record);
        person.standing_link().is_none() && (waits || standing.is_unknown())
    };
    for (record, person) in &input.people {
        if !may_come(record, person) {
            continue;
        }
        match person.sought().map(|sought| index.find(sought)) {
            None | Some(Match::Unmatched) => {}
            Some(Match::One(resource)) => unsure.extend([resource]),
            Some(Match::Ambiguous(resources, _)) => unsure.extend(resources),
        }
    }
    // Who cannot be mapped has no keys to look for, and is known by this one all the same.
    for (resource, record) in &input.observed_users.external_owners {
        let person = input.people.get(record);
        if person.is_some_and(|person| may_come(record, person)) {
            unsure.insert(resource.clone());
        }
    }
    // Whose owner is entitled, or will be with this plan, is theirs, whoever else wants a key
    // of it.
    for (record, reference) in coming {
        let comes = input.people.get(record);
        if let Reference::Linked(resource) = reference
            && comes.is_some_and(|person| person.standing.is_entitled())
        {
            unsure.remove(resource);
        }
    }
    unsure.retain(|resource| {
        let owner = input.observed_users.owners.get(resource);
        let owner = owner.and_then(|owner| input.people.get(owner));
        !owner.is_some_and(|owner| owner.standing.is_entitled() && owner.contested.is_none())
    });
    unsure
}

impl Table<'_> {
    /// Members that the target shows, nobody wants and provisor never added, as far as they
    /// may be removed.
    pub(super) fn foreign(
        &mut self,
        subject: &Subject,
        group: &GroupCandidate,
        listed: &Resource,
        wanted: &[Reference],
    ) -> Vec<ResourceId> {
        if !may_remove(self.input) {
            return Vec::new();
        }
        let wanted: BTreeSet<&Reference> = wanted.iter().collect();
        let shown: BTreeSet<&ResourceId> = listed.members.iter().flatten().collect();
        let mut remove = Vec::new();
        for resource in shown {
            let ours = group.owned.contains_key(resource);
            if ours || wanted.contains(&Reference::Linked(resource.clone())) {
                continue;
            }
            match self.spared(resource) {
                Spared::No => remove.push(resource.clone()),
                Spared::Unsure => {}
                Spared::Protected(member, why) => {
                    let detail = format!("stays in {}: {why}", subject.name);
                    self.list(member, ListedReason::Protected, detail);
                }
            }
        }
        remove
    }

    fn spared(&self, resource: &ResourceId) -> Spared {
        let input = self.input;
        let protect = &input.rules.protect;
        let Some((kind, listed)) = shown(input, resource) else {
            // Some targets hide the inactive: who is behind this id cannot be told.
            if protect.is_empty() {
                return Spared::No;
            }
            let member = Subject {
                kind: Kind::User,
                record: None,
                resource: Some(resource.clone()),
                name: resource.0.clone(),
            };
            let why = "the target does not list it, so it may be one that `protect` names";
            return Spared::Protected(member, why.to_owned());
        };
        let owner = input.observed(kind).owners.get(resource);
        let candidate = owner.and_then(|record| candidate(input, record));
        if self.unsure.contains(resource)
            || candidate.is_some_and(|it| it.standing.is_unknown() || it.contested.is_some())
        {
            return Spared::Unsure;
        }
        let mut member = build::unclaimed(kind, listed);
        member.record = owner.cloned();
        let link = candidate.and_then(|candidate| candidate.link.as_ref());
        let key = link
            .and_then(|link| protection::link_protected_by(&member, link, protect))
            .or_else(|| protection::listed_protected_by(&member, listed, protect))
            .or_else(|| protection::record_protected_by(&candidate?.joined, protect));
        match key {
            Some(key) => Spared::Protected(member, format!("`protect` names {key}")),
            None => Spared::No,
        }
    }
}

/// Whether a member that provisor never added stays.
enum Spared {
    No,
    /// It may be somebody of whom nothing can be told.
    Unsure,
    /// Who, and why; in words.
    Protected(Subject, String),
}

/// A resource that a listing showed.
fn shown<'a>(input: &'a Input<'_>, resource: &ResourceId) -> Option<(Kind, &'a Resource)> {
    let of = |kind| Some((kind, input.observed(kind).resources.get(resource)?));
    of(Kind::User).or_else(|| of(Kind::Group))
}

fn candidate<'a>(input: &'a Input<'_>, record: &RecordKey) -> Option<&'a Candidate> {
    let group = || input.groups.get(record).map(|group| &group.group);
    input.people.get(record).or_else(group)
}
