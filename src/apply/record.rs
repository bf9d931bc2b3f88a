//! Recording what a target acknowledged: links, member edges, intents, guards' spending.
//!
//! One commit per acknowledged call, before the next call on that resource. Not durable
//! until the group is flushed; what is lost with a crash is in doubt or sent again.

use chrono::Utc;
use provisor_connectors::{Kind, RecordKey};

use super::{Applier, failed};
use crate::apply::report::Failure;
use crate::plan::action::{Acknowledge, Action, Limit, Plan, Reference, Request, Write};
use crate::scim::resource::ResourceId;
use crate::snapshot::target::Spent;
use crate::snapshot::{Deactivation, Link, MemberEdge, Origin, SnapshotError, TargetChange};
use crate::target::Sent;

impl Applier<'_> {
    /// Makes the links of everything adopted, durably, before anything is sent: from here on
    /// the resources are ours. Somebody who must be switched on is linked by that very call,
    /// or else would look suspended if it failed.
    pub(super) async fn link_adopted(&self, plan: &Plan) -> Result<(), Failure> {
        let mut linked = false;
        for action in &plan.actions {
            if action.adoption.is_none() || switches_on(action) {
                continue;
            }
            let changes = adoption_changes(action);
            self.store.commit(changes).map_err(|error| failed(&error))?;
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
            self.log(action, None, None, "done").await?;
        }
        Ok(())
    }

    /// Records an acknowledged request; `first` of its action or a later one.
    pub(super) fn acknowledge(
        &self,
        action: &Action,
        request: &Request,
        sent: &Sent,
        first: bool,
    ) -> Result<(), SnapshotError> {
        let mut changes = self.spending(action, request, first);
        let Some(record) = &action.subject.record else {
            return self.store.commit(changes);
        };
        match &request.write {
            Write::Create { .. } => {
                let Some(resource) = &sent.resource else {
                    return self.store.commit(changes);
                };
                // Created in place of one that is missing: nobody is in a group under the old id.
                if let Some(old) = self.store.link(record)? {
                    for group in self.store.groups_with(&old.resource)? {
                        changes.push(TargetChange::DropMember(group, old.resource.clone()));
                    }
                }
                changes.push(TargetChange::PutLink(
                    record.clone(),
                    Box::new(new_link(resource.id.clone(), &request.acknowledge)),
                ));
                changes.push(TargetChange::CloseIntent(record.clone()));
            }
            Write::Patch { active, .. } => {
                let mut link = self.store.link(record)?;
                let adopts = action.adoption.as_ref().is_some_and(|adoption| {
                    // A link to a resource that is missing gives way to what was found.
                    let of_another = |link: &Link| link.resource != adoption.resource;
                    link.as_ref().is_none_or(of_another)
                });
                if adopts && switches_on(action) {
                    let adopted = adoption_changes(action);
                    link = adopted.iter().find_map(|change| match change {
                        TargetChange::PutLink(_, link) => Some((**link).clone()),
                        _ => None,
                    });
                    changes.extend(adopted);
                }
                if let Some(mut link) = link {
                    update(&mut link, &request.acknowledge, action);
                    if *active == Some(false) && self.profile.deactivation_drops_memberships {
                        for group in self.store.groups_with(&link.resource)? {
                            changes.push(TargetChange::DropMember(group, link.resource.clone()));
                        }
                    }
                    changes.push(TargetChange::PutLink(record.clone(), Box::new(link)));
                }
            }
            Write::Delete => changes.push(TargetChange::DropLink(record.clone())),
        }
        changes.extend(edges(record, &request.acknowledge));
        self.store.commit(changes)
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
        let Some(mut link) = self.store.link(record)? else {
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
            update(&mut link, &request.acknowledge, action);
        }
        let mut changes = Vec::new();
        for group in self.store.groups_with(&link.resource)? {
            changes.push(TargetChange::DropMember(group, link.resource.clone()));
        }
        if record.kind == Kind::Group {
            for member in self.store.members(record)?.into_keys() {
                changes.push(TargetChange::DropMember(record.clone(), member));
            }
        }
        changes.push(if matches!(request.write, Write::Delete) {
            TargetChange::DropLink(record.clone())
        } else {
            TargetChange::PutLink(record.clone(), Box::new(link))
        });
        self.store.commit(changes)
    }

    /// The create was refused: nothing happened, nothing is in doubt.
    pub(super) fn close_intent(&self, action: &Action) -> Result<(), SnapshotError> {
        match &action.subject.record {
            Some(record) => self
                .store
                .commit(vec![TargetChange::CloseIntent(record.clone())]),
            None => Ok(()),
        }
    }

    /// What this request spends of the guards' limits: the action's costs with its first
    /// request, members removed with each. Approved actions cost nothing.
    fn spending(&self, action: &Action, request: &Request, first: bool) -> Vec<TargetChange> {
        let now = Utc::now();
        let removed = request.acknowledge.members_removed.len() as u64;
        action
            .costs
            .iter()
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
            })
            .collect()
    }
}

fn switches_on(action: &Action) -> bool {
    action.change == crate::plan::action::Change::Reactivate
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
    }
}

fn adoption_changes(action: &Action) -> Vec<TargetChange> {
    let (Some(adoption), Some(record)) = (&action.adoption, &action.subject.record) else {
        return Vec::new();
    };
    let link = Link {
        resource: adoption.resource.clone(),
        origin: Origin::Adopted,
        acknowledged: adoption.found.clone(),
        active: adoption.active,
        deactivated: None,
        foreign_external_id: adoption.foreign_external_id.clone(),
        unsettled: true,
        missing: false,
    };
    let mut changes = Vec::new();
    changes.extend(adoption.moved_from.clone().map(TargetChange::DropLink));
    changes.push(TargetChange::PutLink(record.clone(), Box::new(link)));
    // A create in doubt is settled by finding what it made.
    changes.push(TargetChange::CloseIntent(record.clone()));
    for member in &adoption.members {
        changes.push(TargetChange::PutMember(
            record.clone(),
            member.clone(),
            MemberEdge::Found,
        ));
    }
    changes
}

fn update(link: &mut Link, acknowledge: &Acknowledge, action: &Action) {
    let Acknowledge {
        attributes,
        active,
        members_added: _,
        members_removed: _,
    } = acknowledge;
    if let Some(attributes) = attributes {
        link.acknowledged = attributes.clone();
        link.unsettled = false;
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
                at: Utc::now(),
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
