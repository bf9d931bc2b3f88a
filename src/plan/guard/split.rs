//! Taking an action apart: what a limit holds of it, and what goes on.

use std::collections::BTreeSet;

use crate::plan::action::{Action, Change, Cost, Limit, Reason, Reference, Write};
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
        request.acknowledge.attributes = None;
        request.acknowledge.members_added.clear();
        if let Write::Patch {
            operations, add, ..
        } = &mut request.write
        {
            operations.clear();
            add.clear();
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
