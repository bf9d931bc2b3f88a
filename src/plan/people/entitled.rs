//! People who should be at the target: patched, switched on again, found or created.

use std::collections::BTreeSet;

use provisor_connectors::RecordKey;
use serde_json::Value;

use super::{Joining, Table, is_suspended, missing_required};
use crate::plan::action::{Change, HeldReason, ListedReason, Phase, Reason, Reference, Subject};
use crate::plan::build;
use crate::plan::drift::{Present, shown_at};
use crate::plan::input::{Candidate, Standing};
use crate::plan::matching::Match;
use crate::plan::references::{self, Wanted};
use crate::plan::rules::AdoptInactive;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId};
use crate::snapshot::link::Link;

impl<'a> Table<'a> {
    pub(super) fn entitled_linked(
        &mut self,
        record: &RecordKey,
        candidate: &'a Candidate,
        link: &Link,
    ) {
        if !candidate.due || (!link.active && self.is_elsewhere(candidate)) {
            return;
        }
        let change = if link.is_surely_active() {
            Change::Patch
        } else {
            Change::Reactivate
        };
        let subject = self.subject(record, candidate);
        // Before anything could be held of them: what is left alone waits for nobody, and the
        // note of it is what keeps cycles without a listing from writing.
        if is_suspended(self.input, candidate, link) {
            let detail = "switched off at the target by somebody else; left alone";
            return self.list(subject, ListedReason::SuspendedAtTarget, detail);
        }
        let Some(desired) = self.desired(record, candidate, change) else {
            return;
        };
        let own_part = self.shown.own_part(link);
        let link = &own_part.link;
        let before = link.acknowledged.get(&AttributePath::manager()).cloned();
        let mut wanted = self.with_manager(candidate, desired, before);
        wanted.values = build::keep_what_stays(&wanted.values, link, self.input);
        let sure = references::is_settled(candidate, &self.people, self.input);
        let present = self.shown.present(&own_part, &wanted.values, sure);
        self.note_drift(record, &subject, &present);
        let action = if link.is_surely_active() {
            build::patch(subject, link, present, wanted)
        } else {
            Some(build::reactivate(subject, present, wanted))
        };
        self.people.actions.extend(action);
    }

    /// Whether the person is active by another resource, of another of their records: then the
    /// one that is switched off may stay so.
    fn is_elsewhere(&self, candidate: &Candidate) -> bool {
        let others = candidate.joined.iter();
        let mut links = others.filter_map(|other| self.input.people.get(other)?.standing_link());
        links.any(|link| link.active)
    }

    /// Shows what is not put back, and keeps what the listing taught about the link.
    fn note_drift(&mut self, record: &RecordKey, subject: &Subject, present: &Present) {
        for detail in &present.listed {
            self.list(subject.clone(), ListedReason::Drifted, detail);
        }
        if !present.noted.is_empty() {
            let noted = present.noted.clone();
            self.people.noted.insert(record.clone(), noted);
        }
    }

    pub(super) fn entitled_unlinked(&mut self, record: &RecordKey, candidate: &'a Candidate) {
        if !candidate.due {
            return;
        }
        if self.desired(record, candidate, Change::Create).is_none() {
            return;
        }
        match self.find(record, candidate) {
            Match::Unmatched => self.will_create(record, candidate),
            Match::Ambiguous(_, detail) => {
                let subject = self.subject(record, candidate);
                self.hold(subject, Change::Adopt, HeldReason::AmbiguousMatch, detail);
            }
            Match::One(resource) => self.will_adopt(record, candidate, resource),
        }
    }

    /// Holds the record when it cannot be mapped, lacks what the target requires, or shares
    /// a key; else gives its desired values.
    fn desired(
        &mut self,
        record: &RecordKey,
        candidate: &'a Candidate,
        change: Change,
    ) -> Option<&'a AttributeMap> {
        let contested = candidate.contested.as_ref();
        let (reason, detail) = match candidate.desired.as_ref()? {
            Err(error) => (HeldReason::MappingFailed, error.to_string()),
            Ok(desired) => match (
                missing_required(self.input, desired),
                contested.or(self.waiting.get(record)),
            ) {
                (Some(detail), _) => (HeldReason::MissingRequired, detail),
                (None, Some(detail)) => (HeldReason::DuplicateKey, detail.clone()),
                (None, None) => return Some(desired),
            },
        };
        let subject = self.subject(record, candidate);
        self.hold(subject, change, reason, detail);
        None
    }

    fn will_create(&mut self, record: &RecordKey, candidate: &Candidate) {
        if self.input.is_in_doubt(record.kind, candidate) {
            let subject = self.subject(record, candidate);
            return self.hold(
                subject,
                Change::Create,
                HeldReason::InDoubt,
                build::IN_DOUBT,
            );
        }
        let reference = Reference::Pending(record.clone());
        self.people.coming.insert(record.clone(), reference);
        self.joining.push((record.clone(), Joining::Create));
    }

    fn will_adopt(&mut self, record: &RecordKey, candidate: &Candidate, resource: ResourceId) {
        let Some(listed) = self.input.observed_users.resources.get(&resource) else {
            return;
        };
        match self.may_adopt(record, candidate, listed) {
            Ok(moved_from) => {
                let reference = Reference::Linked(resource.clone());
                self.people.coming.insert(record.clone(), reference);
                self.taken.insert(resource);
                self.people.moved.extend(moved_from.clone());
                let adopt = Joining::Adopt(listed, moved_from);
                self.joining.push((record.clone(), adopt));
            }
            Err((change, reason, detail)) => {
                let mut subject = self.subject(record, candidate);
                subject.resource = Some(resource);
                self.hold(subject, change, reason, detail);
            }
        }
    }

    /// Makes the actions of everybody who joins, now that it is known who does: some of them
    /// are the managers of others.
    pub(super) fn join(&mut self) {
        for (record, joining) in std::mem::take(&mut self.joining) {
            let Some(candidate) = self.input.people.get(&record) else {
                continue;
            };
            let Some(desired) = candidate.mapped() else {
                continue;
            };
            let mut subject = self.subject(&record, candidate);
            let action = match joining {
                Joining::Create => {
                    let wanted = self.with_manager(candidate, desired, None);
                    build::create(subject, wanted, candidate.link.is_some(), Phase::Joiners)
                }
                Joining::Adopt(listed, moved_from) => {
                    let before = references::found(listed);
                    let mut wanted = self.with_manager(candidate, desired, before);
                    subject.resource = Some(listed.id.clone());
                    let reason = match moved_from {
                        Some(_) => Reason::Rehired,
                        None => Reason::Matched,
                    };
                    let former = moved_from.as_ref();
                    let former = former.and_then(|former| self.input.people.get(former));
                    let link = former.and_then(|former| former.link.as_ref());
                    let link = link.filter(|link| link.resource == listed.id);
                    let mut acknowledged = AttributeMap::new();
                    if let Some(link) = link {
                        wanted.values = build::keep_what_stays(&wanted.values, link, self.input);
                        acknowledged.clone_from(&link.acknowledged);
                        acknowledged.extend(self.come_unacknowledged(link, listed));
                    } else if let Some(former) = former {
                        acknowledged = self.sent_with_creation(former);
                    } else if self.is_made(&record, candidate, listed) {
                        acknowledged = self.sent_with_creation(candidate);
                    }
                    // The externalId of the former record is one of ours, unless it was kept.
                    let kept = link.is_some_and(|link| link.foreign_external_id.is_some());
                    let ours = former.is_some() && !kept;
                    let take_over = self.input.rules.take_over || ours;
                    let mut action =
                        build::adopt(subject, listed, wanted, &acknowledged, take_over, reason);
                    if let Some(adoption) = &mut action.adoption {
                        adoption.moved_from = moved_from;
                    }
                    action
                }
            };
            self.people.actions.push(action);
        }
    }

    /// What somebody should be, with the manager; `before` is the one they have.
    fn with_manager(
        &self,
        candidate: &Candidate,
        desired: &AttributeMap,
        before: Option<Value>,
    ) -> Wanted {
        references::with_manager(desired.clone(), candidate, &self.people, self.input, before)
    }

    /// Whether what was found is what a creation of this record made whose answer was lost.
    fn is_made(&self, record: &RecordKey, candidate: &Candidate, listed: &Listed) -> bool {
        let named = self.input.observed_users.external_owners.get(&listed.id);
        candidate.intent.is_some() && named == Some(record)
    }

    /// What is shown where values were sent that nothing is known of; less what is kept then.
    fn come_unacknowledged(&self, link: &Link, listed: &Listed) -> AttributeMap {
        let sent = link.sent.iter();
        sent.filter(|path| !self.input.keep_when_empty.contains(*path))
            .filter_map(|path| Some((path.clone(), shown_at(listed, path)?)))
            .collect()
    }

    /// What the creation set, and the source may have dropped since; less what is kept then.
    fn sent_with_creation(&self, candidate: &Candidate) -> AttributeMap {
        let intent = candidate.intent.as_ref();
        let mut sent = intent.map_or_else(AttributeMap::new, |it| it.attributes.clone());
        sent.retain(|path, _| !self.input.keep_when_empty.contains(path));
        sent
    }

    /// Whether a record may have the one resource it matches, and from whom the link moves;
    /// or what is held and why.
    fn may_adopt(
        &self,
        record: &RecordKey,
        candidate: &Candidate,
        listed: &Listed,
    ) -> Result<Option<RecordKey>, (Change, HeldReason, String)> {
        let resource = &listed.id;
        let rivals = self.suitors.get(resource).map_or(0, BTreeSet::len);
        let observed = &self.input.observed_users;
        let named = observed.external_owners.get(resource);
        // Our own creation, whose answer was lost, is its record's, whatever its name is now. Who
        // finds it by that name waits until it is given away.
        let is_made = self.is_made(record, candidate, listed);
        if rivals > 1 && !is_made {
            let detail = format!("{rivals} records match the same resource");
            return Err((Change::Adopt, HeldReason::DuplicateKey, detail));
        }
        let other = |owner: &&RecordKey| *owner != record;
        let owner = observed.owners.get(resource).or(self.made.get(resource));
        let owner = owner.filter(other);
        if let Some(owner) = owner {
            self.may_succeed(candidate, owner)?;
        } else if let Some(named) = named.filter(other) {
            let detail = format!(
                "the matching resource carries the externalId of {} {}",
                named.source, named.id
            );
            return Err((Change::Adopt, HeldReason::AmbiguousMatch, detail));
        }
        if !listed.active && self.input.rules.adopt_inactive == AdoptInactive::Hold {
            let detail = "the matching resource is inactive, and `adopt_inactive` is \"hold\"";
            let detail = detail.to_owned();
            return Err((Change::Reactivate, HeldReason::PossibleRehire, detail));
        }
        Ok(owner.cloned())
    }

    /// Whether a record may take the resource of another: only of somebody who is not
    /// entitled, and whom `rehire_key` proves to be the same person.
    fn may_succeed(
        &self,
        candidate: &Candidate,
        owner: &RecordKey,
    ) -> Result<(), (Change, HeldReason, String)> {
        let former = self.input.people.get(owner);
        let belongs = format!(
            "the matching resource belongs to {} {}",
            owner.source, owner.id
        );
        let Some(former) = former
            .filter(|former| !matches!(former.standing, Standing::Entitled | Standing::Unknown(_)))
        else {
            return Err((Change::Adopt, HeldReason::DuplicateKey, belongs));
        };
        if candidate.rehire_key.is_some() && former.rehire_key == candidate.rehire_key {
            return Ok(());
        }
        let detail = format!(
            "{belongs}, who is not entitled any more; if this is the same person, set \
             `rehire_key`"
        );
        Err((Change::Adopt, HeldReason::PossibleRehire, detail))
    }
}
