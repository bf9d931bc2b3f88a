//! What the guards judge by, from the snapshot: the base, the last 24 hours, approvals.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Release;
use super::known::Known;
use crate::plan;
use crate::plan::action::{Held, Limit};
pub(super) use crate::plan::guard::WINDOW;
use crate::plan::guard::{Approved, Base, Window};
use crate::snapshot::{Approval, Progress, SnapshotError};

/// The window of this cycle.
pub(super) fn window(
    known: &Known,
    carried: Vec<Held>,
    halve: bool,
    now: DateTime<Utc>,
) -> Result<Window, SnapshotError> {
    let state = known.progress();
    let mut spent = BTreeMap::new();
    let mut spent_at = BTreeSet::new();
    let mut spent_by_group = BTreeMap::new();
    if !known.is_void() {
        for (at, each) in known.store().spent_since(now - WINDOW)? {
            if let Some(limit) = limit_named(&each.limit) {
                spent_at.insert(at);
                *spent.entry(limit).or_default() += each.amount;
                if let Some(group) = each.group {
                    *spent_by_group.entry(group).or_default() += each.amount;
                }
            }
        }
    }
    let in_force = state
        .limits_in_force
        .iter()
        .filter_map(|(name, allowed)| Some((limit_named(name)?, *allowed)))
        .collect();
    let mut approved = Approved::default();
    for approval in state.approvals.iter().filter(|each| is_alive(each, now)) {
        approved.actions.extend(approval.actions.iter().cloned());
        approved.people.extend(approval.people.iter().cloned());
    }
    Ok(Window {
        base: base(state, now),
        spent,
        spent_at,
        spent_by_group,
        halve,
        in_force,
        approved,
        carried,
    })
}

/// An approval lives for 24 hours. One from the future was given by a wrong clock.
pub(super) fn is_alive(approval: &Approval, now: DateTime<Utc>) -> bool {
    approval.at <= now && now - approval.at < WINDOW
}

/// What was linked and active when the window began. A target younger than the window begins
/// with the end of its first cycle: its first import is not growth to be measured against.
fn base(state: &Progress, now: DateTime<Utc>) -> Base {
    let before = state
        .base
        .iter()
        .rev()
        .find(|point| point.at <= now - WINDOW);
    before
        .or(state.base.first())
        .map_or_else(Base::default, |point| Base {
            people: point.people,
            groups: point.groups,
            members: point.members,
        })
}

/// A release as the planner needs it: with the digests of the set it names, if that was the
/// last one shown.
pub(super) fn release(release: &Release, state: &Progress) -> plan::Release {
    let remembered = state.held_id.as_deref() == Some(release.held_id.as_str());
    plan::Release {
        held_id: release.held_id.clone(),
        only: release.only.clone(),
        remembered: if remembered {
            state.held_digests.clone()
        } else {
            Default::default()
        },
    }
}

fn limit_named(name: &str) -> Option<Limit> {
    Limit::ALL.into_iter().find(|limit| limit.name() == name)
}
