//! Counting: what a plan would spend of each limit, and what each limit allows.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::held_set::digest_of;
use super::split::{removed, spends, split_removals, strip};
use super::{Approved, Base, Window};
use crate::plan::action::{Action, Change, Limit, Reason};
use crate::plan::input::{GroupCandidate, Input};
use crate::plan::rules::{Allowance, Limits};
use crate::scim::resource::ResourceId;

/// However small the base, this many are allowed, unless the limit is 0.
const ALWAYS_ALLOWED: u64 = 2;

/// What a limit allows of a base. `None` is no limit.
pub fn allowed(limits: &Limits, limit: Limit, base: u64, halve: bool) -> Option<u64> {
    let Allowance { count, percent } = *limits.0.get(&limit)?;
    if count == Some(0) || percent == Some(0.0) {
        return Some(0);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "bases are counts of people, far below 2^52"
    )]
    let share = percent.map(|percent| (percent * base as f64 / 100.0).ceil() as u64);
    let smaller = count.into_iter().chain(share).min()?;
    let smaller = if halve { smaller.div_ceil(2) } else { smaller };
    Some(smaller.max(ALWAYS_ALLOWED))
}

/// The window, the approvals and the base of one plan.
pub(super) struct Ledger<'a> {
    input: &'a Input<'a>,
    window: &'a Window,
    approved: &'a Approved,
    base: Base,
}

impl<'a> Ledger<'a> {
    /// The base is what the window began with, and what these actions adopt of it.
    pub(super) fn new(
        actions: &[Action],
        input: &'a Input<'a>,
        window: &'a Window,
        approved: &'a Approved,
    ) -> Self {
        let adopted = actions
            .iter()
            .filter(|action| action.adoption.is_some() && action.subject.kind == Kind::User);
        let mut base = window.base;
        base.people += adopted.count() as u64;
        base.members += actions.iter().map(found_members).sum::<u64>();
        Self {
            input,
            window,
            approved,
            base,
        }
    }

    pub(super) fn is_approved(&self, action: &Action) -> bool {
        // Nearly always nothing is, and a digest costs more than everything else here.
        !self.approved.actions.is_empty() && self.approved.actions.contains(&digest_of(action))
    }

    /// What the last 24 hours spent of a limit.
    pub(super) fn spent(&self, limit: Limit) -> u64 {
        self.window.spent.get(&limit).copied().unwrap_or(0)
    }

    /// The limits that these actions exceed, and what they allow; members apart.
    pub(super) fn exceeded(&self, actions: &[Action]) -> BTreeMap<Limit, u64> {
        let mut planned: BTreeMap<Limit, u64> = BTreeMap::new();
        let carried = self.window.carried.iter();
        let carried = carried.filter_map(|held| held.action.as_deref());
        let counted = actions
            .iter()
            .chain(carried)
            .filter(|action| action.reason != Reason::ProbableLeaver && !self.is_approved(action));
        for action in counted {
            let before = self.spent_before(action);
            let costs = action.costs.iter();
            let counted = costs.filter(|it| it.amount > 0 && it.limit != Limit::MembersRemoved);
            for cost in counted {
                // Also where it adds nothing: the limit may have been lowered since it was spent.
                let planned = planned.entry(cost.limit).or_default();
                if before != Some(cost.limit.name()) {
                    *planned += cost.amount;
                }
            }
        }
        planned
            .into_iter()
            .filter_map(|(limit, amount)| Some((limit, self.exceeds(limit, amount)?)))
            .collect()
    }

    /// The limit that a deactivation has spent already, when it was sent and its answer lost: it
    /// is in the window.
    fn spent_before(&self, action: &Action) -> Option<&'a str> {
        let record = action.subject.record.as_ref();
        let record = record.filter(|_| action.change == Change::Deactivate)?;
        let link = self.input.people.get(record)?.link.as_ref()?;
        let (at, limit) = link.spending()?;
        self.window.spent_at.contains(&at).then_some(limit)
    }

    /// What the target may lose of members, where these actions take more.
    pub(super) fn members_exceeded(&self, groups: &[Action]) -> Option<u64> {
        let counted = groups
            .iter()
            .filter(|action| spends(action, Limit::MembersRemoved));
        let amount = counted.map(|action| self.removals(action).len() as u64);
        let amount: u64 = amount.sum();
        let exceeds = || self.exceeds(Limit::MembersRemoved, amount);
        (amount > 0).then(exceeds).flatten()
    }

    /// What one group may lose, a share of its own members, where this action takes more.
    pub(super) fn group_exceeded(&self, action: &Action) -> Option<u64> {
        let record = action.subject.record.as_ref()?;
        let spent = self.window.spent_by_group.get(record).copied().unwrap_or(0);
        let owned = self.input.groups.get(record)?.owned.len() as u64 + found_members(action);
        let allowed = allowed(
            &self.input.rules.limits,
            Limit::MembersRemoved,
            owned + spent,
            self.window.halve,
        )?;
        (self.removals(action).len() as u64 + spent > allowed).then_some(allowed)
    }

    /// Members an action removes, less those whose leaving a person approved.
    pub(super) fn removals(&self, action: &Action) -> BTreeSet<ResourceId> {
        if self.is_approved(action) || self.approved_removals(action).is_some() {
            return BTreeSet::new();
        }
        removed(action)
            .filter(|resource| !self.is_released(action, resource))
            .cloned()
            .collect()
    }

    /// The digest under which a person released this action's removals, which are released
    /// apart from the rest of it. When they were held, the memberships of held people were not
    /// among them: those follow the people, whom the person released too.
    pub(super) fn approved_removals(&self, action: &Action) -> Option<String> {
        if self.approved.actions.is_empty() || removed(action).next().is_none() {
            return None;
        }
        let approved = |action: &Action| {
            let digest = digest_of(&split_removals(action).removals);
            self.approved.actions.contains(&digest).then_some(digest)
        };
        approved(action).or_else(|| {
            let followers = removed(action).filter(|member| self.is_released(action, member));
            let followers: BTreeSet<ResourceId> = followers.cloned().collect();
            let mut shown = action.clone();
            strip(&mut shown, &followers, &BTreeSet::new());
            removed(&shown).next()?;
            approved(&shown)
        })
    }

    /// Whether a person released whose membership this is.
    fn is_released(&self, action: &Action, member: &ResourceId) -> bool {
        let edge = self.group_of(action).and_then(|it| it.owned.get(member));
        let record = edge.and_then(|edge| edge.record.as_ref());
        record.is_some_and(|record| self.approved.people.contains(record))
    }

    fn group_of(&self, action: &Action) -> Option<&'a GroupCandidate> {
        let record: &RecordKey = action.subject.record.as_ref()?;
        self.input.groups.get(record)
    }

    /// What a limit allows, where this amount and what was spent before are more.
    fn exceeds(&self, limit: Limit, amount: u64) -> Option<u64> {
        let allowed = self.allowed(limit)?;
        (amount + self.spent(limit) > allowed).then_some(allowed)
    }

    /// What a limit allows, and no more than when it began to hold something.
    pub(super) fn allowed(&self, limit: Limit) -> Option<u64> {
        let base = match limit {
            Limit::GroupDeletions => self.base.groups,
            Limit::MembersRemoved => self.base.members,
            _ => self.base.people,
        };
        let allowed = allowed(&self.input.rules.limits, limit, base, self.window.halve)?;
        let in_force = self.window.in_force.get(&limit).copied();
        Some(in_force.map_or(allowed, |in_force| allowed.min(in_force)))
    }
}

/// Members found in place, which an adoption makes ours.
fn found_members(action: &Action) -> u64 {
    let members = action
        .adoption
        .as_ref()
        .map(|adoption| adoption.members.len());
    members.unwrap_or(0) as u64
}
