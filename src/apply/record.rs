//! Recording what a target acknowledged: links, member edges, intents, guards' spending.
//!
//! Noted in the ledger, which writes it down before the next call on that resource. Not
//! durable until the group is flushed; what is lost with a crash is in doubt or sent again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use provisor_connectors::RecordKey;

use super::send::resource_of;
use super::{Applier, doubt, failed};
use crate::apply::report::Failure;
use crate::plan::action::{Acknowledge, Action, Change, Limit, Plan, Reference, Request, Write};
use crate::plan::{drift, references};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, fold};
use crate::snapshot::target::Spent;
use crate::snapshot::{
    Deactivation, Due, Link, MemberEdge, Open, Origin, SnapshotError, TargetChange,
};
use crate::target::Sent;

/// Why a report is looked at again whose manager has got another id, or none any more.
pub(crate) const MANAGER_CHANGED: &str = "its manager has another id, or none";

impl Applier<'_> {
    /// Makes the links of everything adopted, durably, before anything is sent: from here on
    /// the resources are ours, whatever becomes of the calls.
    pub(super) async fn link_adopted(&self, plan: &Plan) -> Result<(), Failure> {
        let mut linked = false;
        for action in &plan.actions {
            if action.adoption.is_none() {
                continue;
            }
            let changes = self
                .adoption_changes(action)
                .map_err(|error| failed(&error))?;
            self.ledger.add_changes(changes);
            if self.ledger.is_full() {
                self.write_down().await?;
            }
            linked = true;
        }
        if linked {
            self.make_durable().await?;
        }
        for action in plan
            .actions
            .iter()
            .filter(|action| action.requests.is_empty())
        {
            let link = self.own_link(action).map_err(|error| failed(&error))?;
            let resource = resource_of(action, link.as_ref());
            self.log(action, resource, None, None, "done");
            if self.ledger.is_full() {
                self.write_down().await?;
            }
        }
        self.write_down().await
    }

    /// Notes what an acknowledged request came to; `link` is what the record had before it,
    /// and `first` whether it is the first of its action. Gives the resource.
    pub(super) fn acknowledge(
        &self,
        action: &Action,
        request: &Request,
        link: Option<Link>,
        sent: &Sent,
        first: bool,
    ) -> Result<Option<ResourceId>, SnapshotError> {
        let mut changes = self.spending(action, request, link.as_ref(), first)?;
        let Some(record) = &action.subject.record else {
            self.ledger.add_changes(changes);
            return Ok(action.subject.resource.clone());
        };
        let mut now = link.as_ref().map(|link| link.resource.clone());
        match &request.write {
            Write::Create { .. } => {
                let Some(resource) = &sent.resource else {
                    self.ledger.add_changes(changes);
                    return Ok(now);
                };
                // Created in place of one that is missing: nobody is in a group under the old id,
                // unless it is the new one.
                if let Some(old) = link {
                    if old.resource != resource.id {
                        let store = self.settled_store()?;
                        changes.extend(store.turn_edges(&old.resource, MemberEdge::orphaned)?);
                    }
                    changes.extend(self.look_at_reports(record, &old, &resource.id)?);
                }
                let mut link = new_link(resource.id.clone(), &request.acknowledge);
                let nothing = AttributeMap::new();
                let Acknowledge { put_back, .. } = &request.acknowledge;
                drift::remember(&mut link, &nothing, put_back, Some(resource));
                now = Some(resource.id.clone());
                changes.push(TargetChange::LinkMade(record.clone(), Box::new(link)));
                changes.push(TargetChange::CloseIntent(record.clone()));
            }
            Write::Patch { active, .. } => {
                if let Some(mut link) = link {
                    let before = link.acknowledged.clone();
                    if let Some(moved) = &sent.resource {
                        changes.extend(self.follow(record, &mut link, &moved.id)?);
                    }
                    update(&mut link, &request.acknowledge, action, (self.clock)());
                    let Acknowledge { put_back, .. } = &request.acknowledge;
                    drift::remember(&mut link, &before, put_back, sent.resource.as_ref());
                    if *active == Some(false) && self.profile.deactivation_drops_memberships {
                        changes.extend(self.leave_groups(&link.resource)?);
                    }
                    now = Some(link.resource.clone());
                    changes.push(TargetChange::PutLink(record.clone(), Box::new(link)));
                }
            }
            Write::Delete => {
                if let Some(link) = link {
                    changes.extend(self.leave_groups(&link.resource)?);
                    changes.extend(self.look_at_reports_of(record, &link.resource)?);
                }
                changes.push(TargetChange::DropLink(record.clone()));
            }
        }
        changes.extend(edges(record, &request.acknowledge));
        self.ledger.add_changes(changes);
        Ok(now.or_else(|| action.subject.resource.clone()))
    }

    /// Forgets the edges of a resource that is in no group any more.
    fn leave_groups(&self, resource: &ResourceId) -> Result<Vec<TargetChange>, SnapshotError> {
        let groups = self.settled_store()?.groups_with(resource)?;
        let dropped = |group| TargetChange::DropMember(group, resource.clone());
        Ok(groups.into_iter().map(dropped).collect())
    }

    /// A resource whose id is its name has got another id with another name. What was noted
    /// under the old one is under the new one now.
    fn follow(
        &self,
        record: &RecordKey,
        link: &mut Link,
        now: &ResourceId,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        let old = link.resource.clone();
        if old.0.eq_ignore_ascii_case(&now.0) {
            return Ok(Vec::new());
        }
        let mut changes = self.look_at_reports(record, link, now)?;
        let store = self.settled_store()?;
        for group in store.groups_with(&old)? {
            if let Some(edge) = store.members(&group)?.get(&old) {
                changes.push(TargetChange::DropMember(group.clone(), old.clone()));
                changes.push(TargetChange::PutMember(group, now.clone(), *edge));
            }
        }
        link.resource = now.clone();
        Ok(changes)
    }

    /// The target does not know the resource any more. For somebody who leaves that is as
    /// good as done; for everybody else it is matched again.
    pub(super) fn note_missing(
        &self,
        action: &Action,
        request: &Request,
    ) -> Result<(), SnapshotError> {
        let Some(record) = &action.subject.record else {
            return Ok(());
        };
        let store = self.settled_store()?;
        let Some(mut link) = store.link(record)? else {
            return Ok(());
        };
        link.missing = true;
        if matches!(
            request.write,
            Write::Patch {
                active: Some(false),
                ..
            }
        ) {
            update(&mut link, &request.acknowledge, action, (self.clock)());
        }
        // Of a group, its own edges stay: should it be there all the same, whoever is to be taken
        // out of it still is.
        let mut changes = store.turn_edges(&link.resource, MemberEdge::orphaned)?;
        if matches!(request.write, Write::Delete) {
            // It may have been sent before, by a run that did not live to count it.
            changes.extend(self.spending(action, request, None, true)?);
            changes.push(TargetChange::DropLink(record.clone()));
        } else {
            changes.push(TargetChange::PutLink(record.clone(), Box::new(link)));
        }
        self.ledger.add_changes(changes);
        Ok(())
    }

    /// Who refers to somebody that gets another id is looked at again, also by a run that finds
    /// this one interrupted: nothing else would tell it.
    fn look_at_reports(
        &self,
        record: &RecordKey,
        old: &Link,
        now: &ResourceId,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        if old.resource == *now {
            return Ok(Vec::new());
        }
        self.look_at_reports_of(record, &old.resource)
    }

    /// Whoever refers to a resource that is no more is looked at again.
    fn look_at_reports_of(
        &self,
        record: &RecordKey,
        old: &ResourceId,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        let path = AttributePath::manager();
        let folded = fold(&path, &references::to(&old.0));
        let store = self.settled_store()?;
        let reports = store.owners_of(record.kind, &path, &folded)?;
        if reports.is_empty() {
            return Ok(Vec::new());
        }
        let waiting = store.open()?;
        let settled = reports
            .into_iter()
            .filter(|each| !waiting.contains_key(each));
        let row = Open {
            why: MANAGER_CHANGED.to_owned(),
            due: Due::Now,
            attempts: 0,
            failed: false,
            awaits: None,
        };
        Ok(settled
            .map(|report| TargetChange::PutOpen(report, row.clone()))
            .collect())
    }

    /// The link of what was found, and what follows from it.
    fn adoption_changes(&self, action: &Action) -> Result<Vec<TargetChange>, SnapshotError> {
        let (Some(adoption), Some(record)) = (&action.adoption, &action.subject.record) else {
            return Ok(Vec::new());
        };
        // Who is to be switched on is so by nobody else: until that is acknowledged either may be
        // so, and they are not taken for suspended meanwhile.
        let switched = action.change == Change::Reactivate;
        let link = Link {
            resource: adoption.resource.clone(),
            origin: Origin::Adopted,
            acknowledged: adoption.found.clone(),
            active: adoption.active || switched,
            deactivated: switched.then(|| doubt::switched(action, (self.clock)())),
            foreign_external_id: adoption.foreign_external_id.clone(),
            unsettled: !adoption.settled,
            missing: false,
            own_forms: BTreeMap::new(),
            sent: BTreeSet::new(),
            keys_sent: BTreeMap::new(),
        };
        let mut changes = match self.store.link(record)? {
            Some(old) => self.look_at_reports(record, &old, &adoption.resource)?,
            None => Vec::new(),
        };
        if let Some(former) = &adoption.moved_from {
            // Theirs by a link, or by a creation whose answer was lost.
            changes.push(TargetChange::DropLink(former.clone()));
            changes.push(TargetChange::CloseIntent(former.clone()));
        }
        changes.push(TargetChange::PutLink(record.clone(), Box::new(link)));
        // A create in doubt is settled by finding what it made. Whom it put into a group stays
        // ours to take out, should that not come about in this run.
        if let Some(intent) = self.store.intent(record)? {
            let path = AttributePath::external_id();
            let found = adoption.found.get(&path);
            let is_made = found.is_some() && found == intent.attributes.get(&path);
            for member in intent.members.into_iter().filter(|_| is_made) {
                let edge = MemberEdge::Sent;
                changes.push(TargetChange::PutMember(record.clone(), member, edge));
            }
        }
        changes.push(TargetChange::CloseIntent(record.clone()));
        for member in &adoption.members {
            changes.push(TargetChange::PutMember(
                record.clone(),
                member.clone(),
                MemberEdge::Found,
            ));
        }
        Ok(changes)
    }

    /// What this request spends of the guards' limits: the action's costs with its first
    /// request, members removed with each. Approved actions cost nothing, and what was spent
    /// before the call is not spent again.
    fn spending(
        &self,
        action: &Action,
        request: &Request,
        link: Option<&Link>,
        first: bool,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        let now = (self.clock)();
        let before = match link.filter(|_| action.change == Change::Deactivate) {
            Some(link) => self.spent_before(link, now)?,
            None => None,
        };
        let removed = request.acknowledge.members_removed.len() as u64;
        let spending = action
            .costs
            .iter()
            .filter(|cost| before != Some(cost.limit.name()))
            .filter_map(|cost| {
                let amount = match cost.limit {
                    Limit::MembersRemoved => removed,
                    _ if first => cost.amount,
                    _ => 0,
                };
                let group = match cost.limit {
                    Limit::MembersRemoved => action.subject.record.clone(),
                    _ => None,
                };
                let spent = Spent {
                    limit: cost.limit.name().to_owned(),
                    amount,
                    group,
                };
                (amount > 0).then_some(TargetChange::Spend(now, spent))
            });
        Ok(spending.collect())
    }
}

fn new_link(resource: ResourceId, acknowledge: &Acknowledge) -> Link {
    Link {
        resource,
        origin: Origin::Created,
        acknowledged: acknowledge.attributes.clone().unwrap_or_default(),
        active: true,
        deactivated: None,
        foreign_external_id: None,
        unsettled: false,
        missing: false,
        own_forms: BTreeMap::new(),
        sent: BTreeSet::new(),
        keys_sent: BTreeMap::new(),
    }
}

fn update(link: &mut Link, acknowledge: &Acknowledge, action: &Action, now: DateTime<Utc>) {
    let Acknowledge {
        attributes,
        active,
        members_added: _,
        members_removed: _,
        put_back: _,
    } = acknowledge;
    if let Some(attributes) = attributes {
        link.acknowledged = attributes.clone();
        link.unsettled = false;
        link.keys_sent.clear();
        let cleared = |path: &AttributePath| {
            let mut differences = action.differences.iter();
            differences.any(|each| each.path == *path && each.new.is_none())
        };
        link.sent
            .retain(|path| !attributes.contains_key(path) && !cleared(path));
    }
    match active {
        Some(true) => {
            link.active = true;
            link.deactivated = None;
        }
        Some(false) => {
            link.active = false;
            let reason = format!("{:?}", action.reason);
            link.deactivated = Some(Deactivation {
                reason,
                at: now,
                gone_since: None,
                spent: None,
            });
        }
        None => {}
    }
}

fn edges(group: &RecordKey, acknowledge: &Acknowledge) -> Vec<TargetChange> {
    let added = acknowledge
        .members_added
        .iter()
        .filter_map(|reference| match reference {
            Reference::Linked(id) => Some(TargetChange::PutMember(
                group.clone(),
                id.clone(),
                MemberEdge::Added,
            )),
            Reference::Pending(_) => None,
        });
    let removed = acknowledge
        .members_removed
        .iter()
        .map(|id| TargetChange::DropMember(group.clone(), id.clone()));
    removed.chain(added).collect()
}
