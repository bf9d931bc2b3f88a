//! What follows from what is held: names that are not freed, memberships that stay.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::Kind;

use super::split::{removed, spends, strip};
use super::{Judged, over_limit};
use crate::plan::action::{Action, Change, Held, HeldReason, Limit, Reference};
use crate::scim::path::AttributePath;
use crate::scim::resource::{ResourceId, fold};

/// Holds everybody who takes a userName that a held rename would have freed; and whoever
/// takes theirs, and so on.
pub(super) fn hold_takers(judged: &mut Judged) {
    let mut kept: BTreeMap<String, Limit> = BTreeMap::new();
    for held in &judged.held {
        if let (Some(action), Some(limit)) = (&held.action, held.limit) {
            kept.extend(name_change(action).0.map(|name| (name, limit)));
        }
    }
    while !kept.is_empty() {
        let mut kept_next = BTreeMap::new();
        for action in std::mem::take(&mut judged.actions) {
            let (old, new) = name_change(&action);
            let limit = new.and_then(|new| kept.get(&new).copied());
            let Some(limit) = limit else {
                judged.actions.push(action);
                continue;
            };
            kept_next.extend(old.map(|old| (old, limit)));
            let detail = "needs a userName that a held change would free".to_owned();
            judged.held.push(over_limit(action, limit, detail));
        }
        kept = kept_next;
    }
}

/// The userName that an action lets go, and the one it takes. Another spelling of the same
/// is neither.
fn name_change(action: &Action) -> (Option<String>, Option<String>) {
    let path = AttributePath::user_name();
    let change = action.differences.iter().find(|each| each.path == path);
    let folded = |value: &Option<_>| value.as_ref().map(|value| fold(&path, value));
    let change = change.map(|each| (folded(&each.old), folded(&each.new)));
    change
        .filter(|(old, new)| old != new)
        .unwrap_or((None, None))
}

/// Memberships follow people: those of held leavers stay, and nobody is added who is not
/// linked after all. Takes both out of the groups' actions and says what stays.
pub(super) fn hold_memberships(groups: &mut Vec<Action>, judged: &Judged) -> Vec<Held> {
    let staying = staying(judged);
    let absent = absent(judged);
    if staying.is_empty() && absent.is_empty() {
        return Vec::new();
    }
    let mut followers = Vec::new();
    for action in groups.iter_mut() {
        // A group that is deleted or emptied goes with everyone in it.
        let goes = spends(action, Limit::GroupDeletions);
        let stays: BTreeMap<ResourceId, Limit> = removed(action)
            .filter(|_| !goes)
            .filter_map(|id| staying.get(id).map(|limit| (id.clone(), *limit)))
            .collect();
        strip(action, &stays.keys().cloned().collect(), &absent);
        if let Some(limit) = stays.values().next() {
            let noun = match stays.len() {
                1 => "membership",
                _ => "memberships",
            };
            followers.push(Held {
                subject: action.subject.clone(),
                change: Change::Patch,
                reason: HeldReason::OverLimit,
                limit: Some(*limit),
                detail: format!("{} {noun} of held people stay", stays.len()),
                action: None,
            });
        }
    }
    groups.retain(|action| action.adoption.is_some() || !action.requests.is_empty());
    followers
}

/// Nobody contains a group that is not linked after all. What a parent would have added is
/// added with the group itself, once that is released.
pub(super) fn leave_out_held_groups(judged: &mut Judged) {
    let absent = absent(judged);
    if absent.is_empty() {
        return;
    }
    for action in &mut judged.actions {
        if action.subject.kind == Kind::Group {
            strip(action, &BTreeSet::new(), &absent);
        }
    }
    judged.actions.retain(|action| {
        let group = action.subject.kind == Kind::Group;
        !group || action.adoption.is_some() || !action.requests.is_empty()
    });
}

/// Whose memberships stay: they would leave, or become another's, and are held.
fn staying(judged: &Judged) -> BTreeMap<ResourceId, Limit> {
    let goes_on: BTreeSet<_> = judged.actions.iter().map(|each| &each.subject).collect();
    let moves = |held: &Held| {
        let adoption = held.action.as_ref().and_then(|it| it.adoption.as_ref());
        let moves = adoption.is_some_and(|adoption| adoption.moved_from.is_some());
        moves && !goes_on.contains(&held.subject)
    };
    let leaving = judged
        .held
        .iter()
        .filter(|held| matches!(held.change, Change::Deactivate | Change::Delete) || moves(held));
    leaving
        .filter_map(|held| Some((held.subject.resource.clone()?, held.limit?)))
        .collect()
}

/// References to those whom the plan would have linked, were they not held.
fn absent(judged: &Judged) -> BTreeSet<Reference> {
    let goes_on: BTreeSet<_> = judged.actions.iter().map(|each| &each.subject).collect();
    let links = |held: &&Held| {
        let action = held.action.as_deref();
        held.change == Change::Create || action.is_some_and(|action| action.adoption.is_some())
    };
    let held = judged
        .held
        .iter()
        .filter(|held| held.limit.is_some() && !goes_on.contains(&held.subject))
        .filter(links);
    held.flat_map(|held| {
        let pending = held.subject.record.clone().map(Reference::Pending);
        let linked = held.subject.resource.clone().map(Reference::Linked);
        pending.into_iter().chain(linked)
    })
    .collect()
}
