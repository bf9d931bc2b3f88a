//! Guards: rails checked on a finished plan.
//!
//! A limit counts what a plan would spend together with what the last 24 hours spent. Over
//! it, every action of that kind is held with all that follows from it, and the rest goes
//! on. Guards never add an action, and never release more than a person approved.

mod followers;
mod held_set;
mod limits;
mod split;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};

use super::action::{Action, Cost, Held, HeldReason, Limit, Reason, Subject};
use super::input::Input;
use super::references;
pub use held_set::{digest_of, id_of, is_named};
use limits::Ledger;
pub use limits::allowed;
use split::{Drift, Split};

/// What limits count: what was spent since so long ago.
pub const WINDOW: chrono::Duration = chrono::Duration::hours(24);

/// What the guards judge by, besides the plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Window {
    /// What the shares are shares of.
    pub base: Base,
    /// Spent in the last 24 hours, approved actions excepted.
    pub spent: BTreeMap<Limit, u64>,
    /// When that was spent, to the microsecond: a deactivation that may have happened is not
    /// spent again as long as its spending is among these.
    pub spent_at: BTreeSet<DateTime<Utc>>,
    /// Members removed from each group in the last 24 hours.
    pub spent_by_group: BTreeMap<RecordKey, u64>,
    /// Halve every limit for this plan.
    pub halve: bool,
    /// Limits in force because they held something, and what they allowed then.
    pub in_force: BTreeMap<Limit, u64>,
    /// What was approved before and has not been done yet.
    pub approved: Approved,
    /// What was held before and can only be judged again by a full cycle: still held, and
    /// counted with whatever this plan adds.
    pub carried: Vec<Held>,
}

/// What the shares are shares of: linked at the window's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Base {
    /// People, active.
    pub people: u64,
    /// Groups.
    pub groups: u64,
    /// Member edges.
    pub members: u64,
}

/// Actions that a person released.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approved {
    /// Digests of the actions.
    pub actions: BTreeSet<String>,
    /// Whom they are about: their memberships follow.
    pub people: BTreeSet<RecordKey>,
}

/// A judged plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// What goes on.
    pub actions: Vec<Action>,
    /// What a limit holds.
    pub held: Vec<Held>,
    /// Names the held set; `None` when nothing is held.
    pub held_id: Option<String>,
    /// Digests of the held actions.
    pub digests: BTreeSet<String>,
    /// The limits that hold something, and what they allow.
    pub over: BTreeMap<Limit, u64>,
    /// Approved actions that go on, by whom they are about. A group's removals are approved
    /// apart from the rest of its action. Done, an approval is used up.
    pub released: Vec<(Subject, String)>,
}

/// Judges the actions of a plan. `sticky` limits hold whatever the count says.
pub fn judge(
    mut actions: Vec<Action>,
    input: &Input<'_>,
    window: &Window,
    approved: &Approved,
    sticky: &BTreeMap<Limit, u64>,
) -> Judged {
    let mut released = Vec::new();
    for action in &mut actions {
        free_drift(action, approved, &mut released);
    }
    let ledger = Ledger::new(&actions, input, window, approved);
    let over = ledger.exceeded(&actions);
    let (people, mut groups): (Vec<Action>, Vec<Action>) = actions
        .into_iter()
        .partition(|action| action.subject.kind == Kind::User);
    let mut guard = Guard {
        judged: Judged {
            over,
            released,
            ..Judged::default()
        },
        ledger,
    };
    guard.judged.over.extend(sticky);
    // What is carried is held by its limit, and the limit holds.
    for limit in window.carried.iter().filter_map(|held| held.limit) {
        if let Some(allowed) = guard.ledger.allowed(limit) {
            guard.judged.over.entry(limit).or_insert(allowed);
        }
    }
    for action in people {
        guard.place(action);
    }
    followers::hold_takers(&mut guard.judged);
    references::drop_absent(&mut guard.judged.actions);
    // Memberships of held people are not counted against the groups: they stay anyway.
    let held_memberships = followers::hold_memberships(&mut groups, &guard.judged);
    if let Some(allowed) = guard.ledger.members_exceeded(&groups) {
        guard.judged.over.insert(Limit::MembersRemoved, allowed);
    }
    for action in groups {
        guard.place(action);
    }
    followers::leave_out_held_groups(&mut guard.judged);
    let mut judged = guard.judged;
    judged.held.extend(held_memberships);
    judged.held.extend(window.carried.iter().cloned());
    judged
        .over
        .retain(|limit, _| judged.held.iter().any(|held| held.limit == Some(*limit)));
    judged.digests = held_set::digests_of(&judged.held);
    judged.held_id = id_of(&judged.digests);
    judged
}

/// Where a person released what an action puts back besides what the source changed, that
/// part is not spent.
fn free_drift(action: &mut Action, approved: &Approved, released: &mut Vec<(Subject, String)>) {
    if approved.actions.is_empty() {
        return;
    }
    if let Some(Drift { rest, put_back }) = split::split_drift(action) {
        let digest = digest_of(&put_back);
        if approved.actions.contains(&digest) {
            released.push((action.subject.clone(), digest));
            action.costs = rest.costs;
        }
    }
}

struct Guard<'a> {
    ledger: Ledger<'a>,
    judged: Judged,
}

impl Guard<'_> {
    /// Lets an action go on, holds it, or holds the part of it that a limit is about.
    fn place(&mut self, action: Action) {
        if self.ledger.is_approved(&action) {
            return self.let_go(action);
        }
        if action.reason == Reason::ProbableLeaver {
            return self.hold_probable_leaver(action);
        }
        let over = |limit: &Limit| self.judged.over.contains_key(limit);
        let limit = action.costs.iter().map(|cost| cost.limit).find(|limit| {
            over(limit) && *limit != Limit::MembersRemoved && *limit != Limit::Overwrites
        });
        let overwrites = split::spends(&action, Limit::Overwrites).then_some(Limit::Overwrites);
        let limit = limit.or(overwrites.filter(over));
        // What the source itself changed does not wait for what others did at the target.
        let held = |cost: &Cost| over(&cost.limit) && cost.limit != Limit::MembersRemoved;
        if let Some(limit) = limit
            && let Some(Drift { rest, put_back }) = split::split_drift(&action)
            && !rest.costs.iter().any(held)
        {
            self.place(rest);
            return self.hold(put_back, limit);
        }
        match limit {
            Some(Limit::Overwrites) => {
                let linked = split::link_only(&action);
                self.judged.actions.extend(linked);
                self.hold(action, Limit::Overwrites);
            }
            Some(limit) => self.hold(action, limit),
            None => self.place_removals(action),
        }
    }

    /// What a person released goes on, and leaves the window: it is not spent.
    fn let_go(&mut self, mut action: Action) {
        let released = (action.subject.clone(), digest_of(&action));
        self.judged.released.push(released);
        action.costs.clear();
        self.judged.actions.push(action);
    }

    /// A group may lose too many members while the rest of its action goes on.
    fn place_removals(&mut self, action: Action) {
        let over_all = self.judged.over.get(&Limit::MembersRemoved).copied();
        let allowed = self.ledger.group_exceeded(&action).or(over_all);
        let counted = !self.ledger.removals(&action).is_empty();
        match allowed.filter(|_| counted && split::spends(&action, Limit::MembersRemoved)) {
            Some(allowed) => {
                let Split { rest, removals } = split::split_removals(&action);
                self.judged.actions.extend(rest);
                self.hold_over(removals, Limit::MembersRemoved, allowed);
            }
            None => self.go_on(action),
        }
    }

    /// Lets an action go on whose removals, if any, fit or were released by themselves.
    fn go_on(&mut self, mut action: Action) {
        if let Some(released) = self.ledger.approved_removals(&action) {
            self.judged
                .released
                .push((action.subject.clone(), released));
            action
                .costs
                .retain(|cost| cost.limit != Limit::MembersRemoved);
        }
        self.judged.actions.push(action);
    }

    fn hold_probable_leaver(&mut self, action: Action) {
        self.judged.held.push(Held {
            subject: action.subject.clone(),
            change: action.change,
            reason: HeldReason::ProbableLeaver,
            limit: None,
            detail: "the snapshot was lost; in no source, active, and its externalId looks \
                     like one of ours"
                .to_owned(),
            action: Some(Box::new(action)),
        });
    }

    fn hold(&mut self, action: Action, limit: Limit) {
        let allowed = self.judged.over.get(&limit).copied().unwrap_or(0);
        self.hold_over(action, limit, allowed);
    }

    fn hold_over(&mut self, action: Action, limit: Limit, allowed: u64) {
        let spent = self.ledger.spent(limit);
        let detail = match (allowed, spent) {
            (0, _) => "the limit is 0: never without an approval".to_owned(),
            (_, 0) => format!("more than the {allowed} that the limit allows in 24 hours"),
            _ => format!(
                "more than the {allowed} that the limit allows in 24 hours, of which {spent} are \
                 spent"
            ),
        };
        self.judged.held.push(over_limit(action, limit, detail));
    }
}

/// An action that a limit holds, and an approval releases.
fn over_limit(action: Action, limit: Limit, detail: String) -> Held {
    Held {
        subject: action.subject.clone(),
        change: action.change,
        reason: HeldReason::OverLimit,
        limit: Some(limit),
        detail,
        action: Some(Box::new(action)),
    }
}
