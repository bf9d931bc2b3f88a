//! People who should be at the target: patched, switched on again, found or created.

use std::collections::BTreeSet;

use provisor_connectors::RecordKey;

use super::{Table, is_suspended, missing_required};
use crate::plan::action::{Change, HeldReason, ListedReason, Phase, Reason, Reference};
use crate::plan::build;
use crate::plan::input::{Candidate, Standing};
use crate::plan::matching::Match;
use crate::plan::rules::AdoptInactive;
use crate::scim::resource::{AttributeMap, Listed, ResourceId};
use crate::snapshot::link::Link;

impl<'a> Table<'a> {
    pub(super) fn entitled_linked(
        &mut self,
        record: &RecordKey,
        candidate: &'a Candidate,
        link: &Link,
    ) {
        if !candidate.due {
            return;
        }
        let change = if link.active {
            Change::Patch
        } else {
            Change::Reactivate
        };
        let Some(desired) = self.desired(record, candidate, change) else {
            return;
        };
        let subject = self.subject(record, candidate);
        if is_suspended(self.input, candidate, link) {
            let detail = "switched off at the target by somebody else; left alone";
            return self.list(subject, ListedReason::SuspendedAtTarget, detail);
        }
        let desired = build::keep_what_stays(desired, link, self.input);
        let action = if link.active {
            build::patch(subject, link, desired)
        } else {
            Some(build::reactivate(subject, &link.acknowledged, desired))
        };
        self.people.actions.extend(action);
    }

    pub(super) fn entitled_unlinked(&mut self, record: &RecordKey, candidate: &'a Candidate) {
        if !candidate.due {
            return;
        }
        let Some(desired) = self.desired(record, candidate, Change::Create) else {
            return;
        };
        match self.find(candidate) {
            Match::Unmatched => self.create(record, candidate, desired),
            Match::Ambiguous(_, detail) => {
                let subject = self.subject(record, candidate);
                self.hold(subject, Change::Adopt, HeldReason::AmbiguousMatch, detail);
            }
            Match::One(resource) => self.adopt(record, candidate, desired, resource),
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
        let (reason, detail) = match candidate.desired.as_ref()? {
            Err(error) => (HeldReason::MappingFailed, error.to_string()),
            Ok(desired) => match (
                missing_required(self.input, desired),
                self.waiting.get(record),
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

    fn create(&mut self, record: &RecordKey, candidate: &Candidate, desired: &AttributeMap) {
        let subject = self.subject(record, candidate);
        if self.input.is_in_doubt(record.kind, candidate) {
            return self.hold(
                subject,
                Change::Create,
                HeldReason::InDoubt,
                build::IN_DOUBT,
            );
        }
        let again = candidate.link.is_some();
        let action = build::create(subject, desired.clone(), again, Phase::Joiners);
        self.people
            .coming
            .insert(record.clone(), Reference::Pending(record.clone()));
        self.people.actions.push(action);
    }

    fn adopt(
        &mut self,
        record: &RecordKey,
        candidate: &Candidate,
        desired: &AttributeMap,
        resource: ResourceId,
    ) {
        let Some(listed) = self.input.observed_users.resources.get(&resource) else {
            return;
        };
        let mut subject = self.subject(record, candidate);
        subject.resource = Some(resource.clone());
        let moved_from = match self.may_adopt(record, candidate, listed) {
            Ok(moved_from) => moved_from,
            Err((change, reason, detail)) => return self.hold(subject, change, reason, detail),
        };
        let reason = if moved_from.is_some() {
            Reason::Rehired
        } else {
            Reason::Matched
        };
        // The externalId of the former record is one of ours.
        let take_over = self.input.rules.take_over || moved_from.is_some();
        let mut action = build::adopt(subject, listed, desired.clone(), take_over, reason);
        if let Some(adoption) = &mut action.adoption {
            adoption.moved_from = moved_from;
        }
        self.taken.insert(resource.clone());
        self.people
            .coming
            .insert(record.clone(), Reference::Linked(resource));
        self.people.actions.push(action);
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
        if rivals > 1 {
            let detail = format!("{rivals} records match the same resource");
            return Err((Change::Adopt, HeldReason::DuplicateKey, detail));
        }
        let observed = &self.input.observed_users;
        let other = |owner: &&RecordKey| *owner != record;
        let owner = observed.owners.get(resource).filter(other);
        if let Some(owner) = owner {
            self.may_succeed(candidate, owner)?;
        } else if let Some(named) = observed.external_owners.get(resource).filter(other) {
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
