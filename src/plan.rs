//! Planning: from what the source says, the links and the target, to a plan.
//!
//! Pure: no async, no I/O, no clock, no randomness. The same input gives a byte-identical
//! plan. Nothing here sends anything, and nothing that is sent is decided elsewhere.

pub mod action;
mod build;
mod claims;
mod costs;
pub mod drift;
mod groups;
pub mod guard;
pub mod input;
pub mod joined;
pub mod long_gone;
pub mod matching;
mod people;
mod protection;
pub mod references;
pub mod releases;
pub mod rules;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use action::{Action, Held, HeldReason, Listed, PLAN_VERSION, Plan, Subject};
use drift::Noted;
use guard::{Approved, Judged, Window};
use input::{Candidate, Input};

use crate::scim::path::AttributePath;
use crate::snapshot::link::Link;

/// A plan with what the guards had to say, and what the snapshot notes besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What the guards judged: limits that hold, digests of what they hold.
    pub judged: Judged,
    /// What a person has released and is not done before this plan is.
    pub approved: Approved,
    /// Creates in doubt, of records that need none, that are known not to have happened.
    pub closed_intents: BTreeSet<RecordKey>,
    /// Links of people long gone that are dropped without a request.
    pub forgotten: BTreeSet<RecordKey>,
    /// What the listing taught about links.
    pub noted: BTreeMap<RecordKey, Noted>,
}

/// What a person releases: a held set, or one item of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The held set's id, as it was shown.
    pub held_id: String,
    /// Only the item with this source id, resource id or name.
    pub only: Option<String>,
    /// Digests of the set of that id, where the snapshot remembers it.
    pub remembered: BTreeSet<String>,
}

/// Plans one target. A release frees what is still planned identically, and never more.
pub fn plan(input: &Input<'_>, window: &Window, release: Option<&Release>) -> Planned {
    let people = people::decide(input);
    let groups = groups::decide(input, &people.coming, &people.moved);
    let mut actions = people.actions;
    actions.extend(groups.actions);
    actions.sort_by(|left, right| order(&left.subject).cmp(&order(&right.subject)));

    let mut approved = window.approved.clone();
    let none = BTreeMap::new();
    // A first sync of everybody is large: it is copied only where it is judged twice.
    let again = release.map(|release| (release, actions.clone()));
    let mut judged = guard::judge(actions, input, window, &approved, &none);
    if let Some((release, actions)) = again {
        let released = release_from(&judged, release);
        if !released.actions.is_empty() {
            approved.actions.extend(released.actions);
            approved.people.extend(released.people);
            // What held the others still holds them: never more than was released.
            let sticky = judged.over.clone();
            judged = guard::judge(actions, input, window, &approved, &sticky);
        }
    }

    let mut actions = std::mem::take(&mut judged.actions);
    actions.sort_by(|left, right| order(&left.subject).cmp(&order(&right.subject)));
    let releases = releases::settle(&mut actions, &input.people);
    references::settle(&mut actions);
    groups::settle_waves(&mut actions);
    let mut held: Vec<Held> = people.held.into_iter().chain(groups.held).collect();
    held.append(&mut judged.held);
    held.sort_by(|left, right| order(&left.subject).cmp(&order(&right.subject)));
    let mut listed: Vec<Listed> = people.listed.into_iter().chain(groups.listed).collect();
    listed.sort_by(|left, right| order(&left.subject).cmp(&order(&right.subject)));

    let changed = actions
        .iter()
        .filter(|action| touches_link(input, action))
        .count();
    let plan = Plan {
        version: PLAN_VERSION,
        target: input.target.to_owned(),
        unchanged: input.linked.saturating_sub(changed as u64),
        held_id: judged.held_id.clone(),
        actions,
        releases,
        held,
        listed,
    };
    let closed_intents = people.closed_intents.into_iter();
    let closed_intents = closed_intents.chain(groups.closed_intents);
    Planned {
        plan,
        judged,
        approved,
        closed_intents: closed_intents.collect(),
        forgotten: people.forgotten,
        noted: people.noted.into_iter().chain(groups.noted).collect(),
    }
}

/// Records of a kind that must wait for another record with the same key; nothing needs to be
/// looked for on their behalf.
pub fn waiting_for_others<'a>(
    kind: Kind,
    candidates: impl Iterator<Item = (&'a RecordKey, &'a Candidate)>,
    match_on: &[AttributePath],
) -> BTreeMap<RecordKey, String> {
    // Whoever else turns out to stay is looked for in vain, which harms nobody.
    let stays = |candidate: &Candidate| !candidate.due || candidate.suspended;
    let kept = |link: &Link| link.acknowledged.clone();
    claims::settle(kind, candidates, match_on, stays, kept)
}

pub use protection::{link_protected_by, listed_protected_by, protected_by, record_protected_by};

/// The held actions that a release frees: those that were in the set it names, and still are.
fn release_from(judged: &Judged, release: &Release) -> Approved {
    let current = judged.held_id.as_deref() == Some(release.held_id.as_str());
    let mut released = Approved::default();
    for held in &judged.held {
        let Some(action) = held.action.as_deref() else {
            continue;
        };
        if !matches!(
            held.reason,
            HeldReason::OverLimit | HeldReason::ProbableLeaver
        ) {
            continue;
        }
        let digest = guard::digest_of(action);
        let in_set = current || release.remembered.contains(&digest);
        let named = release
            .only
            .as_ref()
            .is_none_or(|only| guard::is_named(&held.subject, only));
        if in_set && named {
            released.actions.insert(digest);
            released.people.extend(held.subject.record.clone());
        }
    }
    released
}

/// Subjects are shown by source, people before groups, then by source id; resources that no
/// record claims come last.
fn order(subject: &Subject) -> (bool, Option<&RecordKey>, &str) {
    let resource = subject
        .resource
        .as_ref()
        .map_or("", |resource| resource.0.as_str());
    (subject.record.is_none(), subject.record.as_ref(), resource)
}

/// Whether an action is about something that was linked before, under this or another record.
fn touches_link(input: &Input<'_>, action: &Action) -> bool {
    let moved = action
        .adoption
        .as_ref()
        .and_then(|adoption| adoption.moved_from.as_ref());
    let Some(record) = moved.or(action.subject.record.as_ref()) else {
        return false;
    };
    let person = input.people.get(record);
    let group = || input.groups.get(record).map(|group| &group.group);
    person
        .or_else(group)
        .is_some_and(|candidate| candidate.link.is_some())
}
