//! People who should not be at the target, or not any more.

use std::collections::BTreeSet;

use provisor_connectors::{Kind, RecordKey};

use super::Table;
use crate::plan::action::{Change, HeldReason, ListedReason, Reason, Reference, Subject};
use crate::plan::build;
use crate::plan::input::Candidate;
use crate::plan::long_gone::carries_our_id;
use crate::plan::matching::{Match, key_values, keys_for};
use crate::plan::protection;
use crate::plan::rules::Stale;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId, fold, read_path};
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
            if link.active {
                let noted = self.people.noted.entry(record.clone()).or_default();
                noted.is_off = true;
            }
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
        // Nor is it switched off while it cannot be told whose it is.
        if let Some(newcomer) = self.may_be_rehired(candidate, link) {
            let detail = format!(
                "`rehire_key` says that {} {} may be the same person, and this cycle could not \
                 look at the resource for them",
                newcomer.source, newcomer.id
            );
            let reason = HeldReason::PossibleRehire;
            return self.hold(subject, Change::Deactivate, reason, detail);
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

    /// Who is entitled and may be the same person, and takes the resource over with the next look
    /// at the target: `rehire_key` says so, and so does a key of what is linked. This cycle could
    /// not look, or else they would have it.
    fn may_be_rehired(&self, former: &Candidate, link: &Link) -> Option<&'a RecordKey> {
        if self.input.observed_users.complete {
            return None;
        }
        let newcomers = self.newcomers.get(former.rehire_key.as_deref()?)?;
        let keys = keys_for(Kind::User, &self.input.rules.match_on);
        let shares_a_key = |sought: &AttributeMap| {
            keys.iter().any(|path| {
                let of = |values| {
                    let values = key_values(values, path).into_iter();
                    values
                        .map(|value| fold(path, value))
                        .collect::<BTreeSet<_>>()
                };
                !of(sought).is_disjoint(&of(&link.acknowledged))
            })
        };
        let mut newcomers = newcomers.iter();
        let same = newcomers.find(|(_, newcomer)| newcomer.sought().is_some_and(shares_a_key));
        same.map(|(record, _)| *record)
    }

    /// Not entitled and never linked: the pre-assignment gap, and creates whose answer was
    /// lost. Only a complete listing can tell.
    pub(super) fn never_linked(&mut self, record: &RecordKey, candidate: &Candidate) {
        if !self.input.observed_users.complete {
            return;
        }
        match self.find(record, candidate) {
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

    /// A matching resource, where it is active and nobody else may have a right to it. What a
    /// lost creation of ours has made is its record's, whoever wants it now.
    fn stale(&self, record: &RecordKey, resource: &ResourceId) -> Option<&'a Listed> {
        let observed = &self.input.observed_users;
        let named = observed.external_owners.get(resource);
        let is_made = self.made.get(resource) == Some(record);
        let wanted = (self.suitors.contains_key(resource) && !is_made)
            || self.taken.contains(resource)
            || observed
                .owners
                .get(resource)
                .is_some_and(|owner| owner != record)
            || named.is_some_and(|other| other != record);
        let listed = observed.resources.get(resource)?;
        (listed.active && !wanted).then_some(listed)
    }

    fn switch_off_stale(&mut self, record: &RecordKey, candidate: &Candidate, listed: &Listed) {
        let subject = self.subject_at(record, candidate, &listed.id);
        if candidate.contested.is_some() {
            return self.list_stale(subject);
        }
        let made = is_made(candidate, listed) || is_linked(candidate, listed);
        let found = build::found(listed, candidate, made);
        let remembered = self.input.observed_users.remembered.get(&listed.id);
        if remembered == Some(record) {
            let reason = build::leaving(&candidate.standing);
            let action = build::restore_link(subject, listed, found, reason);
            return self.people.actions.push(action);
        }
        // What a create of our own made is ours to switch off, whatever `stale` says.
        let reason = match self.input.rules.stale {
            _ if made => build::leaving(&candidate.standing),
            Stale::Deactivate => Reason::Stale,
            Stale::List => return self.list_stale(subject),
        };
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

    /// Whether what a record finds may well be what a lost creation of it has made.
    pub(super) fn seems_made(&self, candidate: &Candidate, resource: &ResourceId) -> bool {
        let listed = self.input.observed_users.resources.get(resource);
        listed.is_some_and(|listed| is_made(candidate, listed))
    }

    /// Whether a resource carries the externalId that a lost creation of a record has sent.
    pub(super) fn carries_what_was_sent(
        &self,
        candidate: &Candidate,
        resource: &ResourceId,
    ) -> bool {
        let path = AttributePath::external_id();
        let listed = self.input.observed_users.resources.get(resource);
        let found = listed.and_then(|listed| read_path(&listed.json, &path));
        let intent = candidate.intent.as_ref();
        let sent = intent.and_then(|intent| intent.attributes.get(&path));
        found.is_some() && found == sent
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

/// Whether what was found may well be what a create of our own has made. Another externalId than
/// was sent is somebody else's; and where the create was refused because its key is taken, only
/// ours tells it from what was there before.
fn is_made(candidate: &Candidate, listed: &Listed) -> bool {
    let Some(intent) = &candidate.intent else {
        return false;
    };
    let path = AttributePath::external_id();
    match (read_path(&listed.json, &path), intent.attributes.get(&path)) {
        (Some(found), Some(sent)) => found == sent,
        (None, _) | (_, None) => !intent.refused && intent.earlier.is_none(),
    }
}

/// Whether what was found is what was ours until it was taken for gone.
fn is_linked(candidate: &Candidate, listed: &Listed) -> bool {
    let link = candidate.link.as_ref();
    link.is_some_and(|link| link.resource == listed.id && carries_our_id(listed, link))
}

fn switched_off(reason: Reason) -> String {
    format!("deactivated ({reason:?})")
}
