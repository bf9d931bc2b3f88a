//! Memberships: the smallest sets to add and to remove, in as few requests as the target
//! takes.

use std::collections::BTreeSet;

use provisor_connectors::Kind;

use super::Table;
use crate::plan::action::{
    Acknowledge, Action, Limit, ListedReason, Phase, Reference, Request, Subject, Write,
};
use crate::plan::costs;
use crate::plan::input::{GroupCandidate, OwnedEdge};
use crate::scim::resource::ResourceId;

impl<'a> Table<'a> {
    /// The members the group should have at the target: those who are linked, or will be.
    /// Whose link moves to another record has no resource any more: the groups of the record
    /// that comes are what counts.
    pub(super) fn wanted(&self, group: &GroupCandidate) -> Vec<Reference> {
        let mut seen = BTreeSet::new();
        let is_there = |member| {
            let person = self.input.people.get(member);
            person.is_none_or(|person| person.standing_link().is_some())
        };
        let linked = |member| {
            let resource = group.member_resources.get(member);
            let stays = |_: &&ResourceId| is_there(member) && !self.moved.contains(member);
            resource.filter(stays).cloned()
        };
        group
            .members
            .iter()
            .filter_map(|member| {
                let coming = self.coming.get(member).cloned();
                coming.or_else(|| linked(member).map(Reference::Linked))
            })
            .filter(|reference| seen.insert(reference.clone()))
            .collect()
    }

    /// The members that a listing shows of a group in this cycle. Where no group shows any, the
    /// target may not show them, and that says nothing.
    fn shown_members(&self, group: &GroupCandidate) -> Option<&'a [ResourceId]> {
        let link = group.group.standing_link()?;
        let observed = &self.input.observed_groups;
        let listed = observed.resources.get(&link.resource)?;
        let members = listed.members.as_deref()?;
        self.shown.tells_members().then_some(members)
    }

    /// Owned edges that went with a resource that nobody has any more: nothing to remove.
    pub(super) fn lost(&self, group: &GroupCandidate) -> Vec<ResourceId> {
        let observed = &self.input.observed_users;
        let shown = self.shown_members(group);
        let came = |resource: &ResourceId| shown.is_none_or(|shown| shown.contains(resource));
        let is_lost = |resource: &ResourceId, edge: &OwnedEdge| match &edge.record {
            // Sent, and not there: it has not happened.
            _ if edge.sent && !came(resource) => true,
            // Not before a listing tells what the target has made of it.
            _ if self.is_orphaned(edge) => false,
            Some(record) => {
                let person = self.input.people.get(record);
                person.is_some_and(|person| person.standing_link().is_none())
            }
            None => observed.complete && !observed.resources.contains_key(resource),
        };
        let lost = group.owned.iter().filter(|(id, edge)| is_lost(id, edge));
        lost.map(|(resource, _)| resource.clone()).collect()
    }

    /// Whether the member's resource is no more. What the target has made of the membership only
    /// a listing tells.
    pub(super) fn is_orphaned(&self, edge: &OwnedEdge) -> bool {
        let person = edge.record.as_ref();
        let person = person.and_then(|record| self.input.people.get(record));
        let is_missing = person.is_some_and(|it| it.link.is_some() && it.standing_link().is_none());
        edge.orphaned || is_missing
    }

    /// Whether a group shows the id of somebody who is no more, and whom nobody has come after
    /// under that id.
    fn is_shown_for_nobody(&self, group: &GroupCandidate, id: &ResourceId) -> bool {
        let (people, groups) = (&self.input.observed_users, &self.input.observed_groups);
        let shown = self.shown_members(group);
        shown.is_some_and(|shown| shown.contains(id))
            && people.complete
            && groups.complete
            && !self.is_listed(id)
    }

    fn is_listed(&self, id: &ResourceId) -> bool {
        let (people, groups) = (&self.input.observed_users, &self.input.observed_groups);
        people.resources.contains_key(id) || groups.resources.contains_key(id)
    }

    /// Edges that were sent, and that the listing shows to have come, of those that are wanted.
    pub(super) fn joined(
        &self,
        group: &GroupCandidate,
        wanted: &[Reference],
    ) -> BTreeSet<ResourceId> {
        let shown = self.shown_members(group).unwrap_or_default();
        let has_come = |id: &&ResourceId| {
            let edge = group.owned.get(*id);
            edge.is_some_and(|edge| edge.sent && !edge.orphaned)
        };
        let shown = shown.iter().filter(has_come);
        let wanted: BTreeSet<&Reference> = wanted.iter().collect();
        let is_wanted = |id: &&ResourceId| wanted.contains(&Reference::Linked((*id).clone()));
        shown.filter(is_wanted).cloned().collect()
    }

    /// Edges that were sent, and that the listing shows not to have come, and those of resources
    /// that are no more, of which nothing is shown; without those that are wanted, which are sent
    /// again.
    pub(super) fn not_joined(
        &self,
        group: &GroupCandidate,
        wanted: &[Reference],
    ) -> BTreeSet<ResourceId> {
        let Some(shown) = self.shown_members(group) else {
            return BTreeSet::new();
        };
        let is_out = |id: &ResourceId, edge: &OwnedEdge| {
            let is_orphaned = self.is_orphaned(edge);
            let is_nobodys = (edge.sent || is_orphaned) && !shown.contains(id);
            // An id that is another's now: that one's membership is not ours.
            is_nobodys || (is_orphaned && self.is_listed(id))
        };
        let wanted: BTreeSet<&Reference> = wanted.iter().collect();
        let is_wanted = |id: &ResourceId| wanted.contains(&Reference::Linked(id.clone()));
        let edges = group.owned.iter();
        let out = edges.filter(|(id, edge)| is_out(id, edge) && !is_wanted(id));
        out.map(|(id, _)| id.clone()).collect()
    }

    /// Owned edges that nobody wants and nothing protects.
    pub(super) fn removable(
        &mut self,
        subject: &Subject,
        group: &GroupCandidate,
        wanted: &[Reference],
    ) -> Vec<ResourceId> {
        let wanted: BTreeSet<&Reference> = wanted.iter().collect();
        let lost: BTreeSet<ResourceId> = self.lost(group).into_iter().collect();
        let mut remove = Vec::new();
        for (resource, edge) in &group.owned {
            if wanted.contains(&Reference::Linked(resource.clone())) {
                continue;
            }
            if self.is_orphaned(edge) {
                if self.is_shown_for_nobody(group, resource) {
                    remove.push(resource.clone());
                }
                continue;
            }
            if edge.unknown || lost.contains(resource) {
                continue;
            }
            let Some(protected) = &edge.protected else {
                remove.push(resource.clone());
                continue;
            };
            let member = Subject {
                kind: edge
                    .record
                    .as_ref()
                    .map_or(Kind::User, |record| record.kind),
                record: edge.record.clone(),
                resource: Some(resource.clone()),
                name: protected.name.clone(),
            };
            let key = &protected.key;
            let detail = format!("stays in {}: `protect` names {key}", subject.name);
            self.list(member, ListedReason::Protected, detail);
        }
        remove
    }
}

/// Puts members into a creation, as far as one request may carry them, and into further
/// requests beyond that; those of `later` only there. Edges of a resource that it replaces are
/// gone with that.
pub(super) fn put_into_create(
    action: &mut Action,
    group: &GroupCandidate,
    mut wanted: Vec<Reference>,
    later: Vec<Reference>,
    limit: usize,
) {
    let kept: BTreeSet<Reference> = wanted.iter().cloned().collect();
    let is_kept = |resource: &&ResourceId| kept.contains(&Reference::Linked((*resource).clone()));
    let lost = group.owned.keys().filter(|resource| !is_kept(resource));
    let lost: Vec<ResourceId> = lost.cloned().collect();
    let mut rest = wanted.split_off(limit.min(wanted.len()));
    rest.extend(later);
    for request in &mut action.requests {
        if let Write::Create { members, .. } = &mut request.write {
            request.acknowledge.members_added.clone_from(&wanted);
            request.acknowledge.members_removed.clone_from(&lost);
            members.clone_from(&wanted);
        }
    }
    action.requests.extend(patches(rest, Vec::new(), limit));
}

/// Puts member changes into the action's first patch, as far as one request may carry them,
/// and into further requests beyond that. Counts the removals.
pub(super) fn put_into(
    action: &mut Action,
    add: Vec<Reference>,
    remove: Vec<ResourceId>,
    limit: usize,
) {
    if !remove.is_empty() {
        let mut cost = costs::cost(Limit::MembersRemoved);
        cost.amount = remove.len() as u64;
        action.costs.push(cost);
    }
    let mut members = patches(add, remove, limit).into_iter();
    if let Some(first) = members.next() {
        match action.requests.first_mut() {
            Some(own) => merge(own, first),
            None => action.requests.push(Request {
                phase: Phase::Groups,
                ..first
            }),
        }
    }
    action.requests.extend(members);
}

/// Patches of members only, none larger than `limit`, removals first.
fn patches(add: Vec<Reference>, remove: Vec<ResourceId>, limit: usize) -> Vec<Request> {
    let mut removals = remove.into_iter().peekable();
    let mut additions = add.into_iter().peekable();
    let mut requests = Vec::new();
    while removals.peek().is_some() || additions.peek().is_some() {
        let remove: Vec<ResourceId> = removals.by_ref().take(limit).collect();
        let add: Vec<Reference> = additions.by_ref().take(limit - remove.len()).collect();
        let acknowledge = Acknowledge {
            members_added: add.clone(),
            members_removed: remove.clone(),
            ..Acknowledge::default()
        };
        let write = Write::Patch {
            active: None,
            operations: Vec::new(),
            add,
            remove,
        };
        requests.push(Request::new(Phase::Memberships, write, acknowledge));
    }
    requests
}

/// Lets a group's own patch carry the members of another.
fn merge(own: &mut Request, members: Request) {
    if let (
        Write::Patch { add, remove, .. },
        Write::Patch {
            add: more_add,
            remove: more_remove,
            ..
        },
    ) = (&mut own.write, members.write)
    {
        add.extend(more_add);
        remove.extend(more_remove);
    }
    let acknowledge = members.acknowledge;
    own.acknowledge
        .members_added
        .extend(acknowledge.members_added);
    own.acknowledge
        .members_removed
        .extend(acknowledge.members_removed);
}
