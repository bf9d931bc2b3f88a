//! Taking an action apart: what a limit holds of it, and what goes on.

use std::collections::BTreeSet;

use provisor_connectors::Kind;

use crate::plan::action::{
    Acknowledge, Action, Change, Cost, Difference, Limit, Phase, Reason, Reference, Write,
};
use crate::plan::costs::{overwrites, patch_costs};
use crate::scim::message::Operation;
use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;

/// A group's action, taken apart.
pub(super) struct Split {
    /// What goes on, if anything.
    pub(super) rest: Option<Action>,
    /// The removals of members alone.
    pub(super) removals: Action,
}

/// Whether an action spends of a limit.
pub(super) fn spends(action: &Action, limit: Limit) -> bool {
    action.costs.iter().any(|cost| cost.limit == limit)
}

/// The link of an adoption whose patch waits. Somebody who must be switched on is not linked
/// without it: linked and inactive, they would look suspended.
pub(super) fn link_only(action: &Action) -> Option<Action> {
    if action.adoption.is_none() || action.change == Change::Reactivate {
        return None;
    }
    let mut linked = action.clone();
    linked.requests.clear();
    linked.differences.clear();
    linked.costs.clear();
    Some(linked)
}

/// The members an action removes.
pub(super) fn removed(action: &Action) -> impl Iterator<Item = &ResourceId> {
    action
        .requests
        .iter()
        .flat_map(|request| match &request.write {
            Write::Patch { remove, .. } => remove.as_slice(),
            Write::Create { .. } | Write::Delete => &[],
        })
}

/// Takes a group's action apart into its removals and everything else.
pub(super) fn split_removals(action: &Action) -> Split {
    let all: BTreeSet<ResourceId> = removed(action).cloned().collect();
    let mut rest = action.clone();
    strip(&mut rest, &all, &BTreeSet::new());
    let mut removals = action.clone();
    removals.differences.clear();
    // Apart from an adoption, which goes on, they are what the next plan makes of them too.
    removals.adoption = None;
    removals.change = Change::Patch;
    removals.reason = Reason::MembersChanged;
    // Named by what it removes and nothing else: an approval must know it again.
    removals.costs = vec![Cost {
        limit: Limit::MembersRemoved,
        amount: all.len() as u64,
    }];
    for request in &mut removals.requests {
        if let Write::Patch {
            operations,
            add,
            remove,
            ..
        } = &mut request.write
        {
            operations.clear();
            add.clear();
            request.acknowledge = Acknowledge {
                members_removed: remove.clone(),
                ..Acknowledge::default()
            };
        }
    }
    removals.requests.retain(
        |request| matches!(&request.write, Write::Patch { remove, .. } if !remove.is_empty()),
    );
    let goes_on = !rest.requests.is_empty() || rest.adoption.is_some();
    Split {
        rest: goes_on.then_some(rest),
        removals,
    }
}

/// An action, taken apart by who changed something: the source, or somebody at the target.
pub(super) struct Drift {
    /// What the source changed, and what was emptied at the target.
    pub(super) rest: Action,
    /// What puts ours in place of values that somebody else wrote.
    pub(super) put_back: Action,
}

/// Takes an action apart into what the source changed and what only overwrites the values of
/// others. `None` where it is only one of the two, or where one operation is both.
pub(super) fn split_drift(action: &Action) -> Option<Drift> {
    let drifted = action.drifted();
    let (over, own): (Vec<Difference>, Vec<Difference>) = action
        .differences
        .iter()
        .cloned()
        .partition(|each| overwrites(each, &drifted));
    if over.is_empty() || action.adoption.is_some() {
        return None;
    }
    let mut rest = action.clone();
    let mut put_back = action.clone();
    let mut overwritten = Vec::new();
    for request in &mut rest.requests {
        if let Write::Patch { operations, .. } = &mut request.write {
            for operation in std::mem::take(operations) {
                let path: AttributePath = operation.path.parse().ok()?;
                let about = |each: &&Difference| covers(&path, &each.path);
                match (over.iter().find(about), own.iter().find(about)) {
                    (Some(_), Some(_)) => return None,
                    (Some(_), None) => overwritten.push(operation),
                    (None, _) => operations.push(operation),
                }
            }
        }
        let kept = |path: &AttributePath| over.iter().all(|each| each.path != *path);
        request.acknowledge.put_back.retain(|path, _| kept(path));
    }
    rest.requests
        .retain(|request| !crate::plan::references::is_empty(request));
    if rest.requests.is_empty() {
        return None;
    }
    rest.differences = own;
    let switched = rest.change == Change::Reactivate;
    let refilled = rest.drifted();
    let only_refills = rest
        .differences
        .iter()
        .all(|each| refilled.contains(&each.path));
    let mut costs = patch_costs(&rest.differences, &refilled);
    costs.extend(action.costs.iter().filter(|cost| !of_values(cost)).cloned());
    rest.costs = costs;
    if only_refills && !switched && rest.reason != Reason::MembersChanged {
        rest.reason = Reason::Drifted;
    }
    only_put_back(&mut put_back, over, overwritten);
    Some(Drift { rest, put_back })
}

/// Leaves of an action what a plan would make of it if the source had changed nothing.
fn only_put_back(action: &mut Action, over: Vec<Difference>, overwritten: Vec<Operation>) {
    let paths: BTreeSet<AttributePath> = over.iter().map(|each| each.path.clone()).collect();
    action.change = Change::Patch;
    action.reason = Reason::Drifted;
    action.costs = patch_costs(&over, &paths.iter().collect());
    action.differences = over;
    action.requests.truncate(1);
    for request in &mut action.requests {
        request.phase = match action.subject.kind {
            Kind::User => Phase::Movers,
            Kind::Group => Phase::Groups,
        };
        request.manager = None;
        request.write = Write::Patch {
            active: None,
            operations: overwritten.clone(),
            add: Vec::new(),
            remove: Vec::new(),
        };
        let acknowledge = &mut request.acknowledge;
        acknowledge.attributes = None;
        acknowledge.active = None;
        acknowledge.members_added.clear();
        acknowledge.members_removed.clear();
        acknowledge.put_back.retain(|path, _| paths.contains(path));
    }
}

/// Whether a cost is for values, which are counted anew when an action is taken apart.
fn of_values(cost: &Cost) -> bool {
    matches!(
        cost.limit,
        Limit::Overwrites | Limit::Identifiers | Limit::Cleared
    )
}

/// Whether an operation on one path sets or removes the value at another.
fn covers(operation: &AttributePath, path: &AttributePath) -> bool {
    let same = operation.schema == path.schema && operation.attribute == path.attribute;
    let selector = operation.selector.is_none() || operation.selector == path.selector;
    let sub = operation.sub.is_none() || path.sub.is_none() || operation.sub == path.sub;
    same && selector && sub
}

/// Takes removals and additions out of an action, and requests that are then empty.
pub(super) fn strip(
    action: &mut Action,
    removals: &BTreeSet<ResourceId>,
    additions: &BTreeSet<Reference>,
) {
    let may_add = |reference: &Reference| !additions.contains(reference);
    let may_remove = |id: &ResourceId| !removals.contains(id);
    if let Some(adoption) = &mut action.adoption {
        adoption
            .members
            .retain(|id| may_add(&Reference::Linked(id.clone())));
    }
    for request in &mut action.requests {
        request.acknowledge.members_added.retain(may_add);
        request.acknowledge.members_removed.retain(may_remove);
        match &mut request.write {
            Write::Patch { add, remove, .. } => {
                add.retain(may_add);
                remove.retain(may_remove);
            }
            Write::Create { members, .. } => members.retain(may_add),
            Write::Delete => {}
        }
    }
    action.requests.retain(|request| match &request.write {
        Write::Patch {
            active,
            operations,
            add,
            remove,
        } => active.is_some() || !operations.is_empty() || !add.is_empty() || !remove.is_empty(),
        Write::Create { .. } | Write::Delete => true,
    });
    let left = removed(action).count() as u64;
    for cost in &mut action.costs {
        if cost.limit == Limit::MembersRemoved {
            cost.amount = left;
        }
    }
    action
        .costs
        .retain(|cost| cost.limit != Limit::MembersRemoved || left > 0);
}
