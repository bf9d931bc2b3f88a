//! One person only: what a whole cycle would look at for their sake, and nothing else.
//!
//! Others whose keys they want are known, so that claims are judged as ever, but only those
//! who leave are acted on. Of a group only this person's place in it may change.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use provisor_connectors::{Attributes, Kind, MemberKey, RecordKey, SourceId};

use super::person::Said;
use super::{Selection, Selector, key};
use crate::cycle::Target;
use crate::cycle::explain::{ConditionReason, Membership, ScopeReason};
use crate::cycle::known::Known;
use crate::cycle::read::Readings;
use crate::plan::input::{Candidate, GroupCandidate};
use crate::plan::matching::{claimed_keys, key_values};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, fold};
use crate::scope::{ScopeGroup, Verdict};
use crate::snapshot::SnapshotError;

/// What there is to know about one person at one target.
pub(in crate::cycle) struct One {
    /// The record that speaks for them: the one that was asked for, or, where several sources
    /// have them, another.
    pub(in crate::cycle) record: RecordKey,
    /// What the sources say of them; `None` when none ever did.
    pub(in crate::cycle) attributes: Option<Attributes>,
    pub(in crate::cycle) selection: Selection,
    /// Whether the scope has them.
    pub(in crate::cycle) verdict: Verdict,
    /// Each configured scope group, and how they are in it.
    pub(in crate::cycle) scope: Vec<ScopeReason>,
    /// What the scope's condition says of them.
    pub(in crate::cycle) condition: Option<ConditionReason>,
    /// The groups they are in, in the source or at the target, or are to be in.
    pub(in crate::cycle) memberships: Vec<Membership>,
}

/// Selects one person and their place in groups. `everything` is as in a whole cycle: it
/// does not wait for what backs off.
pub(in crate::cycle) fn select_one(
    known: &Known,
    readings: &Readings,
    target: &Target,
    record: &RecordKey,
    everything: bool,
    now: DateTime<Utc>,
) -> Result<One, SnapshotError> {
    let mut selector = Selector::new(known, readings, target, everything, false, now)?;
    selector.join_people()?;
    selector.resolve_scope()?;
    let record = &selector.selection.joined.speaker(record).clone();
    let said = selector.said_of(record)?;
    let verdict = selector.judge_said(record, &said);
    let scope = selector.scope_reasons(record)?;
    let condition = condition_reason(target, &said);
    selector.take_people(BTreeSet::from([record.clone()]))?;
    selector.take_rivals_without_a_link(record)?;
    for (other, candidate) in &mut selector.selection.people {
        candidate.due &= other == record;
    }
    let in_source = selector.ancestors(record)?;
    let mut at_target = BTreeSet::new();
    if !known.is_void()
        && let Some(link) = known.link(record)?
    {
        at_target = known.store().groups_with(&link.resource)?;
    }
    selector.take_groups(in_source.union(&at_target).cloned().collect())?;
    let made = selector.made_groups_for(record)?;
    let group_by = target.rules.groups.group_by.as_ref();
    let mut memberships = Vec::new();
    for group in &(&(&in_source | &at_target) | &made) {
        let made_from = group_by.filter(|_| made.contains(group));
        memberships.push(Membership {
            group: group.clone(),
            name: selector.name_of(group)?,
            path: selector.path_to(record, group)?,
            made_from: made_from.map(|group_by| group_by.attribute.clone()),
            linked: known.link(group)?.is_some_and(|link| !link.missing),
            pushed: selector
                .selection
                .groups
                .get(group)
                .is_some_and(|group| group.group.standing.is_entitled()),
            at_target: at_target.contains(group),
        });
    }
    let mut selection = selector.selection;
    selection.groups.retain(|_, group| narrow(group, record));
    Ok(One {
        record: record.clone(),
        attributes: said.attributes,
        selection,
        verdict,
        scope,
        condition,
        memberships,
    })
}

fn condition_reason(target: &Target, said: &Said) -> Option<ConditionReason> {
    let condition = target.scope.when.as_ref()?;
    let attributes = said.living_attributes();
    let inputs = condition.attributes().map(|name| {
        let values = attributes.map_or(&[][..], |attributes| attributes.values(&name));
        (name, values.to_vec())
    });
    Some(ConditionReason {
        configured: condition.template().source().trim().to_owned(),
        inputs: inputs.collect(),
        verdict: attributes.map(|attributes| condition.judge(attributes)),
    })
}

/// What somebody can be found by: as the source has them, as a lost creation was sent, and as
/// `had` says.
fn keys_of(
    candidate: &Candidate,
    had: Option<&AttributeMap>,
    keys: &[AttributePath],
) -> BTreeSet<(AttributePath, String)> {
    let sent = candidate.intent.as_ref().map(|intent| &intent.attributes);
    let of = |values| {
        keys.iter().flat_map(move |path| {
            let found = key_values(values, path).into_iter();
            found.map(move |value| (path.clone(), fold(path, value)))
        })
    };
    let values = candidate.mapped().into_iter().chain(sent).chain(had);
    values.flat_map(of).collect()
}

/// Leaves only one person's edge open to change; false when the group itself would have to
/// change first. Everybody else stays in the group, or out of it, as they are.
fn narrow(group: &mut GroupCandidate, record: &RecordKey) -> bool {
    let candidate = &mut group.group;
    let Some(link) = candidate.link.as_ref().filter(|link| !link.missing) else {
        return false;
    };
    if !candidate.standing.is_entitled() {
        return false;
    }
    candidate.desired = Some(Ok(link.acknowledged.clone()));
    let wanted = group.members.contains(record);
    let mine = group.member_resources.remove(record);
    // What is in doubt of others stays so.
    group.owned.retain(|_, edge| match &edge.record {
        Some(other) => other == record || !(edge.sent || edge.orphaned),
        None => false,
    });
    group.member_resources = group
        .owned
        .iter()
        .filter_map(|(resource, edge)| Some((edge.record.clone()?, resource.clone())))
        .filter(|(other, _)| other != record)
        .collect();
    group.members = group.member_resources.keys().cloned().collect();
    if wanted {
        group.members.insert(record.clone());
        group
            .member_resources
            .extend(mine.map(|resource| (record.clone(), resource)));
    }
    true
}

impl Selector<'_> {
    /// Of those whom an ordinary cycle would look at, judges whoever wants what one person wants or
    /// has, or may have got it with a creation whose answer was lost.
    fn take_rivals_without_a_link(&mut self, record: &RecordKey) -> Result<(), SnapshotError> {
        let keys = claimed_keys(Kind::User, &self.target.rules.match_on);
        let person = self.selection.people.get(record);
        let wanted = person.map(|person| {
            let link = person.link.as_ref();
            keys_of(person, link.map(|link| &link.acknowledged), &keys)
        });
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
            return Ok(());
        };
        let mut others = self.changed(false)?;
        others.retain(|other| other.kind == Kind::User);
        for other in self.selection.joined.speakers(&others) {
            if self.selection.people.contains_key(&other) {
                continue;
            }
            let candidate = self.candidate(&other)?;
            let is_rival = |it: &Candidate| !keys_of(it, None, &keys).is_disjoint(&wanted);
            if let Some(candidate) = candidate.filter(is_rival) {
                self.selection.people.insert(other, candidate);
            }
        }
        Ok(())
    }

    fn scope_reasons(&self, record: &RecordKey) -> Result<Vec<ScopeReason>, SnapshotError> {
        let mut reasons = Vec::new();
        let scope = &self.target.scope;
        let groups = scope.groups.iter().zip(&self.scope_groups);
        let assigned = scope.assigned.iter();
        let assigned = assigned.flat_map(|it| self.assigned.iter().map(|group| (&it.app, group)));
        for (configured, resolved) in groups.chain(assigned) {
            let mut reason = ScopeReason {
                configured: configured.clone(),
                group: None,
                problem: None,
                path: None,
            };
            match resolved {
                ScopeGroup::Unresolved(why) => reason.problem = Some(why.clone()),
                ScopeGroup::Resolved(group) => {
                    let speaker = self.selection.joined.speaker(record);
                    let is_in = self.scope_members.get(group);
                    if is_in.is_some_and(|people| people.contains(speaker)) {
                        let path = self.path_to(record, group)?;
                        reason.path = (!path.is_empty()).then_some(path);
                    }
                    reason.group = Some(group.clone());
                }
            }
            reasons.push(reason);
        }
        Ok(reasons)
    }

    /// What a group is called in its source; its id where it has no name.
    fn name_of(&self, group: &RecordKey) -> Result<String, SnapshotError> {
        if let Some(name) = self.made_name(group) {
            return Ok(name.to_owned());
        }
        let row = match self.view(&group.source) {
            Some(view) => view.row(Kind::Group, &group.id)?,
            None => None,
        };
        let name = row.and_then(|row| self.display_name(&row.id, &row.attributes));
        Ok(name.unwrap_or_else(|| group.id.to_string()))
    }

    /// The names of the groups from `group` down to the one that has the record as a direct
    /// member, on a shortest way; empty when the record is not in it.
    fn path_to(&self, record: &RecordKey, group: &RecordKey) -> Result<Vec<String>, SnapshotError> {
        // Of a person whom several sources have, the one in the group's source is in it.
        let mut records = self.selection.joined.records(record).iter();
        let Some((record, view)) = records
            .find(|record| record.source == group.source)
            .and_then(|record| Some((record, self.view(&record.source)?)))
        else {
            return Ok(Vec::new());
        };
        // For each group that was reached, the one below it; none below the lowest.
        let mut below: BTreeMap<SourceId, Option<SourceId>> = BTreeMap::new();
        let mut reached = vec![None];
        while !reached.is_empty() && !below.contains_key(&group.id) {
            let mut next = Vec::new();
            for lower in std::mem::take(&mut reached) {
                let member = match &lower {
                    None => MemberKey {
                        kind: record.kind,
                        id: record.id.clone(),
                    },
                    Some(id) => MemberKey {
                        kind: Kind::Group,
                        id: SourceId::clone(id),
                    },
                };
                for upper in view.groups_of(&member)? {
                    if !below.contains_key(&upper) {
                        below.insert(upper.clone(), lower.clone());
                        next.push(Some(upper));
                    }
                }
            }
            reached = next;
        }
        let mut path = Vec::new();
        let mut at = below.contains_key(&group.id).then(|| group.id.clone());
        while let Some(id) = at {
            path.push(self.name_of(&key(view, Kind::Group, id.clone()))?);
            at = below.get(&id).cloned().flatten();
        }
        Ok(path)
    }
}
