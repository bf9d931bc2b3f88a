//! People who should not be at the target, or not any more.

use provisor_connectors::RecordKey;

use super::Table;
use crate::plan::action::{Change, HeldReason, ListedReason, Reason, Reference, Subject};
use crate::plan::build;
use crate::plan::input::Candidate;
use crate::plan::matching::Match;
use crate::plan::protection;
use crate::plan::rules::Stale;
use crate::scim::resource::{Listed, ResourceId};
use crate::snapshot::link::Link;

impl<'a> Table<'a> {
    /// Linked and not entitled: switched off, unless that is done. Not put off by back-off.
    pub(super) fn leaver(&mut self, record: &RecordKey, candidate: &Candidate, link: &Link) {
        let observed = self.input.observed_users.resources.get(&link.resource);
        let active = observed.map_or(link.active, |listed| listed.active);
        // Who came back under another record keeps the resource; it is theirs now.
        if self.taken.contains(&link.resource) {
            return;
        }
        if !active {
            return self.inactive_leaver(record, candidate, link);
        }
        let reason = if link.active {
            build::leaving(&candidate.standing)
        } else {
            Reason::Drifted
        };
        let subject = self.subject(record, candidate);
        if let Some(key) = self.protecting(&subject, candidate, observed, link) {
            return self.list_protected(subject, &switched_off(reason), &key);
        }
        // Whom a source still has, but perhaps as somebody else, has not left for all we know.
        if let Some(detail) = &candidate.contested {
            return self.hold(
                subject,
                Change::Deactivate,
                HeldReason::DuplicateKey,
                detail,
            );
        }
        debug_assert!(!candidate.standing.is_entitled() && !candidate.standing.is_unknown());
        let action = build::deactivate(subject, reason, self.input.profile);
        self.people.actions.push(action);
    }

    /// Not entitled and never linked: the pre-assignment gap, and creates whose answer was
    /// lost. Only a complete listing can tell.
    pub(super) fn never_linked(&mut self, record: &RecordKey, candidate: &Candidate) {
        if !self.input.observed_users.complete {
            return;
        }
        match self.find(candidate) {
            Match::Unmatched => {
                let intent = candidate.intent.as_ref();
                if intent.is_some_and(|intent| self.input.is_settled(intent)) {
                    self.people.closed_intents.insert(record.clone());
                }
            }
            Match::One(resource) => {
                if let Some(listed) = self.stale(record, &resource) {
                    self.switch_off_stale(record, candidate, listed);
                }
            }
            // Which of them is theirs cannot be told, so all are shown and none is touched.
            Match::Ambiguous(resources, _) => {
                for resource in resources {
                    if self.stale(record, &resource).is_some() {
                        self.list_stale(self.subject_at(record, candidate, &resource));
                    }
                }
            }
        }
    }

    /// A matching resource, where it is active and nobody else may have a right to it.
    fn stale(&self, record: &RecordKey, resource: &ResourceId) -> Option<&'a Listed> {
        let observed = &self.input.observed_users;
        let named = observed.external_owners.get(resource);
        let wanted = self.suitors.contains_key(resource)
            || self.taken.contains(resource)
            || observed.owners.contains_key(resource)
            || named.is_some_and(|other| other != record);
        let listed = observed.resources.get(resource)?;
        (listed.active && !wanted).then_some(listed)
    }

    fn switch_off_stale(&mut self, record: &RecordKey, candidate: &Candidate, listed: &Listed) {
        let subject = self.subject_at(record, candidate, &listed.id);
        if candidate.contested.is_some() {
            return self.list_stale(subject);
        }
        let remembered = self.input.observed_users.remembered.get(&listed.id);
        if remembered == Some(record) {
            let found = build::found(listed, candidate);
            let reason = build::leaving(&candidate.standing);
            let action = build::restore_link(subject, listed, found, reason);
            return self.people.actions.push(action);
        }
        // What a create of our own made is ours to switch off, whatever `stale` says.
        let reason = match (&candidate.intent, self.input.rules.stale) {
            (Some(_), _) => build::leaving(&candidate.standing),
            (None, Stale::Deactivate) => Reason::Stale,
            (None, Stale::List) => return self.list_stale(subject),
        };
        let found = build::found(listed, candidate);
        let protect = &self.input.rules.protect;
        let named = protection::listed_protected_by(&subject, listed, protect);
        let named = named.or_else(|| protection::protected_by(&subject, &found, protect));
        let joined = || protection::record_protected_by(&candidate.joined, protect);
        if let Some(key) = named.or_else(joined) {
            return self.list_protected(subject, &switched_off(reason), &key);
        }
        let adoption = build::adoption(listed, found, None);
        let mut action = build::deactivate(subject, reason, self.input.profile);
        action.adoption = Some(adoption);
        // Memberships follow the source's groups, whoever is active.
        let reference = Reference::Linked(listed.id.clone());
        self.people.coming.insert(record.clone(), reference);
        self.taken.insert(listed.id.clone());
        self.people.actions.push(action);
    }

    fn subject_at(
        &self,
        record: &RecordKey,
        candidate: &Candidate,
        resource: &ResourceId,
    ) -> Subject {
        build::subject(record, Some(resource.clone()), candidate)
    }

    fn list_stale(&mut self, subject: Subject) {
        let detail = "never linked, not entitled and active at the target";
        self.list(subject, ListedReason::Stale, detail);
    }

    /// The key by which `protect` names somebody who is linked, as known or as seen.
    pub(super) fn protecting(
        &self,
        subject: &Subject,
        candidate: &Candidate,
        observed: Option<&Listed>,
        link: &Link,
    ) -> Option<String> {
        let protect = &self.input.rules.protect;
        observed
            .and_then(|listed| protection::listed_protected_by(subject, listed, protect))
            .or_else(|| protection::link_protected_by(subject, link, protect))
            .or_else(|| protection::record_protected_by(&candidate.joined, protect))
    }

    pub(super) fn list_protected(&mut self, subject: Subject, spared: &str, key: &str) {
        let detail = format!("not {spared}: `protect` names {key}");
        self.list(subject, ListedReason::Protected, detail);
    }
}

fn switched_off(reason: Reason) -> String {
    format!("deactivated ({reason:?})")
}
