//! Groups that are gone from the source, or not pushed any more: emptied, deleted or kept, as
//! `groups.when_gone` says. Only what provisor put there goes.

use std::collections::BTreeSet;

use provisor_connectors::RecordKey;

use super::{Table, bare, members};
use crate::plan::action::{
    Acknowledge, Action, Adoption, Change, Limit, ListedReason, Phase, Request, Subject, Write,
};
use crate::plan::build;
use crate::plan::costs;
use crate::plan::input::{Candidate, GroupCandidate};
use crate::plan::matching::Match;
use crate::plan::protection;
use crate::plan::rules::WhenGone;
use crate::scim::path::AttributePath;
use crate::scim::resource::{Listed as Resource, ResourceId, read_path};
use crate::snapshot::link::{Link, Origin};

impl Table<'_> {
    /// A linked group that is not to be there any more.
    pub(super) fn leave(&mut self, subject: Subject, group: &GroupCandidate, link: &Link) {
        let rules = &self.input.rules;
        if rules.groups.when_gone == WhenGone::Keep {
            return;
        }
        let reason = build::leaving(&group.group.standing);
        if let Some(key) = protection::link_protected_by(&subject, link, &rules.protect) {
            let detail = format!("not emptied ({reason:?}): `protect` names {key}");
            return self.list(subject, ListedReason::Protected, detail);
        }
        let not_joined = self.not_joined(group, &[]);
        if let Some(record) = subject.record.clone().filter(|_| !not_joined.is_empty()) {
            let noted = self.groups.noted.entry(record).or_default();
            noted.not_joined = not_joined;
        }
        let action = self.go(subject, group, link.origin == Origin::Created);
        if !action.requests.is_empty() {
            self.groups.actions.push(action);
        }
    }

    /// A group that a creation whose answer was lost has made, and that is not to be there any
    /// more: what the creation put into it is ours to take out.
    pub(super) fn left_over(
        &mut self,
        mut subject: Subject,
        record: &RecordKey,
        group: &GroupCandidate,
    ) {
        let rules = &self.input.rules;
        let resource = match self.found.get(record) {
            Some(Match::One(resource)) => resource.clone(),
            Some(Match::Unmatched) => return self.close_intent(record, &group.group),
            Some(Match::Ambiguous(..)) | None => return,
        };
        let listed = self.input.observed_groups.resources.get(&resource);
        let Some(listed) = listed.filter(|listed| is_made(record, &group.group, listed)) else {
            return;
        };
        let is_anothers = self.rivals(record, &resource).is_some();
        if is_anothers || rules.groups.when_gone == WhenGone::Keep {
            return;
        }
        subject.resource = Some(resource);
        let found = build::found(listed, &group.group, true);
        if let Some(key) = protection::listed_protected_by(&subject, listed, &rules.protect) {
            let detail = format!("not emptied: `protect` names {key}");
            return self.list(subject, ListedReason::Protected, detail);
        }
        let group = as_made(record, group, listed);
        let mut action = self.go(subject, &group, true);
        action.adoption = Some(Adoption {
            settled: true,
            ..build::adoption(listed, found, None)
        });
        self.groups.actions.push(action);
    }

    /// Nobody asks for what a lost creation may have made once it is sure that it made nothing.
    fn close_intent(&mut self, record: &RecordKey, candidate: &Candidate) {
        let intent = candidate.intent.as_ref();
        let is_settled = intent.is_some_and(|intent| self.input.is_settled(intent));
        if self.input.observed_groups.complete && is_settled {
            self.groups.closed_intents.insert(record.clone());
        }
    }

    /// Deletes the group if it is ours, or else takes our members out.
    fn go(&mut self, subject: Subject, group: &GroupCandidate, ours: bool) -> Action {
        let reason = build::leaving(&group.group.standing);
        let remove = self.removable(&subject, group, &[]);
        // Deleting it would also strip those whose memberships must stay; not those who were
        // sent and have not come, and nobody who is no more.
        let not_joined = self.not_joined(group, &[]);
        let lost: BTreeSet<ResourceId> = self.lost(group).into_iter().collect();
        let some_stay = group.owned.iter().any(|(member, edge)| {
            // Whoever is not listed and nobody's may be hidden.
            let may_be_hidden = edge.record.is_none() && edge.protected.is_some();
            let is_lost = lost.contains(member) && !edge.unknown && !may_be_hidden;
            let is_gone = is_lost || not_joined.contains(member) || self.is_orphaned(edge);
            !is_gone && !remove.contains(member)
        });
        let when_gone = self.input.rules.groups.when_gone;
        let mut action = if when_gone == WhenGone::Delete && ours && !some_stay {
            let mut action = bare(subject, Change::Delete, reason);
            action.requests.push(Request::new(
                Phase::Deletions,
                Write::Delete,
                Acknowledge::default(),
            ));
            action
        } else {
            let mut action = bare(subject, Change::Patch, reason);
            members::put_into(&mut action, Vec::new(), remove, self.members_per_request());
            // It is counted as a group that goes, with everyone in it.
            action.costs.clear();
            action
        };
        action.costs.push(costs::cost(Limit::GroupDeletions));
        action
    }
}

/// Whether what was found is what a creation of this record made whose answer was lost.
pub(super) fn is_made(record: &RecordKey, candidate: &Candidate, listed: &Resource) -> bool {
    let external_id = read_path(&listed.json, &AttributePath::external_id());
    let is_ours = external_id.and_then(|id| id.as_str()) == Some(record.id.as_str());
    is_ours && candidate.intent.is_some()
}

/// A group as it was found: of its members those are ours that a lost creation of ours named. Those
/// of a resource that this one replaces are not.
pub(super) fn as_made(
    record: &RecordKey,
    group: &GroupCandidate,
    listed: &Resource,
) -> GroupCandidate {
    let is_made = is_made(record, &group.group, listed);
    let shown: BTreeSet<&ResourceId> = listed.members.iter().flatten().collect();
    let mut group = group.clone();
    let intent = group.group.intent.as_ref().filter(|_| is_made);
    group.owned.retain(|resource, _| {
        shown.contains(resource) && intent.is_some_and(|it| it.members.contains(resource))
    });
    group
}
