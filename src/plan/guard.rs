//! Guards: rails checked on a finished plan.
//!
//! A limit counts what a plan would spend together with what the last 24 hours spent. Over
//! it, every action of that kind is held with all that follows from it, and the rest goes
//! on. Guards never add an action, and never release more than a person approved.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use provisor_connectors::{Kind, RecordKey};

use super::action::{Action, Change, Held, HeldReason, Limit, Reason, Reference, Subject, Write};
use super::input::Input;
use super::rules::{Allowance, Limits};
use crate::scim::path::AttributePath;
use crate::scim::resource::{ResourceId, fold};

/// What the guards judge by, besides the plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Window {
    /// What the shares are shares of.
    pub base: Base,
    /// Spent in the last 24 hours, approved actions excepted.
    pub spent: BTreeMap<Limit, u64>,
    /// Members removed from each group in the last 24 hours.
    pub spent_by_group: BTreeMap<RecordKey, u64>,
    /// Halve every limit for this plan.
    pub halve: bool,
    /// Limits in force because they held something, and what they allowed then.
    pub in_force: BTreeMap<Limit, u64>,
    /// What was approved before and has not been done yet.
    pub approved: Approved,
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
}

/// Judges the actions of a plan. `sticky` limits hold whatever the count says.
pub fn judge(
    actions: &[Action],
    input: &Input<'_>,
    window: &Window,
    approved: &Approved,
    sticky: &BTreeMap<Limit, u64>,
) -> Judged {
    let adopted = actions
        .iter()
        .filter(|action| action.adoption.is_some() && action.subject.kind == Kind::User);
    let mut base = window.base;
    base.people += adopted.count() as u64;
    let guard = Guard {
        input,
        window,
        approved,
        base,
    };
    let mut judged = Judged::default();
    let (people, mut groups): (Vec<Action>, Vec<Action>) = actions
        .iter()
        .cloned()
        .partition(|action| action.subject.kind == Kind::User);
    judged.over = guard.exceeded(&people);
    judged.over.extend(sticky);
    for action in people {
        guard.place(action, &mut judged);
    }
    guard.hold_takers(&mut judged);
    // Memberships of held people are not counted against the groups: they stay anyway.
    let followers = hold_followers(&mut groups, &judged);
    judged.over.extend(guard.exceeded(&groups));
    for action in groups {
        guard.place(action, &mut judged);
    }
    judged.held.extend(followers);
    judged
        .over
        .retain(|limit, _| judged.held.iter().any(|held| held.limit == Some(*limit)));
    judged.held_id = held_id(&judged.held, &mut judged.digests);
    judged
}

/// What a limit allows of a base. `None` is no limit.
pub fn allowed(limits: &Limits, limit: Limit, base: u64, halve: bool) -> Option<u64> {
    let Allowance { count, percent } = *limits.0.get(&limit)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "bases are counts of people, far below 2^52"
    )]
    let share = percent.map(|percent| (percent * base as f64 / 100.0).ceil() as u64);
    if count == Some(0) || percent == Some(0.0) {
        return Some(0);
    }
    let smaller = match (count, share) {
        (Some(count), Some(share)) => count.min(share),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => return None,
    };
    let smaller = if halve { smaller.div_ceil(2) } else { smaller };
    Some(smaller.max(ALWAYS_ALLOWED))
}

/// However small the base, this many are allowed, unless the limit is 0.
const ALWAYS_ALLOWED: u64 = 2;

/// Names an action by everything in it. An action has no time in it.
pub fn digest_of(action: &Action) -> String {
    let text = serde_json::to_vec(action).unwrap_or_default();
    hex(digest::digest(&digest::SHA256, &text).as_ref())
}

struct Guard<'a> {
    input: &'a Input<'a>,
    window: &'a Window,
    approved: &'a Approved,
    base: Base,
}

impl Guard<'_> {
    fn is_approved(&self, action: &Action) -> bool {
        self.approved.actions.contains(&digest_of(action))
    }

    fn allowed(&self, limit: Limit) -> Option<u64> {
        let base = match limit {
            Limit::GroupDeletions => self.base.groups,
            Limit::MembersRemoved => self.base.members,
            _ => self.base.people,
        };
        let allowed = allowed(&self.input.rules.limits, limit, base, self.window.halve);
        match (allowed, self.window.in_force.get(&limit)) {
            (Some(allowed), Some(in_force)) => Some(allowed.min(*in_force)),
            (allowed, _) => allowed,
        }
    }

    fn exceeded(&self, actions: &[Action]) -> BTreeMap<Limit, u64> {
        let mut planned: BTreeMap<Limit, u64> = BTreeMap::new();
        let counted = actions
            .iter()
            .filter(|action| !self.is_approved(action) && action.reason != Reason::ProbableLeaver);
        for action in counted {
            for cost in &action.costs {
                let amount = match cost.limit {
                    Limit::MembersRemoved => self.removals(action).len() as u64,
                    _ => cost.amount,
                };
                *planned.entry(cost.limit).or_default() += amount;
            }
        }
        planned
            .into_iter()
            .filter(|(_, amount)| *amount > 0)
            .filter_map(|(limit, amount)| {
                let spent = self.window.spent.get(&limit).copied().unwrap_or(0);
                let allowed = self.allowed(limit)?;
                (amount + spent > allowed).then_some((limit, allowed))
            })
            .collect()
    }

    /// Members an action removes, less those whose leaving a person approved.
    fn removals(&self, action: &Action) -> BTreeSet<ResourceId> {
        let owned = action
            .subject
            .record
            .as_ref()
            .and_then(|record| self.input.groups.get(record).map(|group| &group.owned));
        removed(action)
            .filter(|resource| {
                let record = owned.and_then(|owned| owned.get(*resource)?.record.as_ref());
                !record.is_some_and(|record| self.approved.people.contains(record))
            })
            .cloned()
            .collect()
    }

    /// What one group may lose: a share of its own members.
    fn group_is_over(&self, action: &Action) -> Option<u64> {
        let record = action.subject.record.as_ref()?;
        let spent = self.window.spent_by_group.get(record).copied().unwrap_or(0);
        let owned = self
            .input
            .groups
            .get(record)
            .map_or(0, |group| group.owned.len() as u64);
        let limits = &self.input.rules.limits;
        let allowed = allowed(
            limits,
            Limit::MembersRemoved,
            owned + spent,
            self.window.halve,
        )?;
        (self.removals(action).len() as u64 + spent > allowed).then_some(allowed)
    }

    /// Lets an action go on, holds it, or holds the part of it that a limit is about.
    fn place(&self, action: Action, judged: &mut Judged) {
        if action.reason == Reason::ProbableLeaver && !self.is_approved(&action) {
            return judged.held.push(Held {
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
        let removes = action
            .costs
            .iter()
            .any(|cost| cost.limit == Limit::MembersRemoved);
        let whole = action.costs.iter().map(|cost| cost.limit).find(|limit| {
            judged.over.contains_key(limit)
                && *limit != Limit::MembersRemoved
                && !(*limit == Limit::Overwrites && can_link_only(&action))
        });
        if let Some(limit) = whole.filter(|_| !self.is_approved(&action)) {
            let allowed = judged.over.get(&limit).copied().unwrap_or(0);
            return self.hold(action, limit, allowed, judged);
        }
        let overwrites = action
            .costs
            .iter()
            .any(|cost| cost.limit == Limit::Overwrites)
            .then(|| judged.over.get(&Limit::Overwrites).copied())
            .flatten();
        if let Some(allowed) = overwrites.filter(|_| !self.is_approved(&action)) {
            let mut linked = action.clone();
            linked.requests.clear();
            linked.differences.clear();
            linked.costs.clear();
            if linked.adoption.is_some() {
                judged.actions.push(linked);
            }
            return self.hold(action, Limit::Overwrites, allowed, judged);
        }
        if removes {
            let (rest, removals) = split_removals(&action);
            let over_all = judged.over.get(&Limit::MembersRemoved).copied();
            let over = self.group_is_over(&action).or(over_all);
            if let Some(allowed) = over.filter(|_| !self.removals(&action).is_empty())
                && !self.is_approved(&removals)
            {
                judged.actions.extend(rest);
                return self.hold(removals, Limit::MembersRemoved, allowed, judged);
            }
        }
        judged.actions.push(action);
    }

    fn hold(&self, action: Action, limit: Limit, allowed: u64, judged: &mut Judged) {
        let spent = self.window.spent.get(&limit).copied().unwrap_or(0);
        let mut detail = format!("more than the limit of {allowed} allows");
        if spent > 0 {
            detail.push_str(&format!("; {spent} were spent in the last 24 hours"));
        }
        judged.held.push(Held {
            subject: action.subject.clone(),
            change: action.change,
            reason: HeldReason::OverLimit,
            limit: Some(limit),
            detail,
            action: Some(Box::new(action)),
        });
    }

    /// A userName that a held rename would have freed cannot be taken.
    fn hold_takers(&self, judged: &mut Judged) {
        let path = AttributePath::user_name();
        loop {
            let mut kept: BTreeMap<String, Limit> = BTreeMap::new();
            for held in &judged.held {
                let (Some(action), Some(limit)) = (&held.action, held.limit) else {
                    continue;
                };
                for difference in action.differences.iter().filter(|each| each.path == path) {
                    if let Some(old) = &difference.old {
                        kept.insert(fold(&path, old), limit);
                    }
                }
            }
            let taker = judged.actions.iter().position(|action| {
                action.differences.iter().any(|difference| {
                    let changes = difference.old.as_ref().map(|old| fold(&path, old))
                        != difference.new.as_ref().map(|new| fold(&path, new));
                    difference.path == path
                        && changes
                        && difference
                            .new
                            .as_ref()
                            .is_some_and(|new| kept.contains_key(&fold(&path, new)))
                })
            });
            let Some(taker) = taker else { return };
            let action = judged.actions.remove(taker);
            let name = action.differences.iter().find(|each| each.path == path);
            let limit = name
                .and_then(|each| each.new.as_ref())
                .and_then(|new| kept.get(&fold(&path, new)).copied());
            judged.held.push(Held {
                subject: action.subject.clone(),
                change: action.change,
                reason: HeldReason::OverLimit,
                limit,
                detail: "needs a userName that a held change would free".to_owned(),
                action: Some(Box::new(action)),
            });
        }
    }
}

/// Memberships follow people: those of held leavers stay, and nobody is added who is not
/// linked after all. Takes both out of the groups' actions and says what stays.
fn hold_followers(groups: &mut Vec<Action>, judged: &Judged) -> Vec<Held> {
    let mut staying: BTreeMap<ResourceId, Limit> = BTreeMap::new();
    let mut absent: BTreeSet<Reference> = BTreeSet::new();
    for held in &judged.held {
        let Some(limit) = held.limit else { continue };
        if let (Change::Deactivate | Change::Delete, Some(resource)) =
            (held.change, &held.subject.resource)
        {
            staying.insert(resource.clone(), limit);
        }
        let linked = judged
            .actions
            .iter()
            .any(|action| action.subject == held.subject);
        let links = held.change == Change::Create
            || held
                .action
                .as_ref()
                .is_some_and(|action| action.adoption.is_some());
        if links && !linked {
            absent.extend(held.subject.record.clone().map(Reference::Pending));
            absent.extend(held.subject.resource.clone().map(Reference::Linked));
        }
    }
    if staying.is_empty() && absent.is_empty() {
        return Vec::new();
    }
    let mut followers = Vec::new();
    for action in groups.iter_mut() {
        // A group that is deleted or emptied goes with everyone in it.
        let deleted = action
            .costs
            .iter()
            .any(|cost| cost.limit == Limit::GroupDeletions);
        let stays: BTreeMap<ResourceId, Limit> = removed(action)
            .filter(|_| !deleted)
            .filter_map(|id| staying.get(id).map(|limit| (id.clone(), *limit)))
            .collect();
        strip(action, &stays.keys().cloned().collect(), &absent);
        if let Some(limit) = stays.values().next() {
            let count = stays.len();
            let noun = if count == 1 {
                "membership"
            } else {
                "memberships"
            };
            followers.push(Held {
                subject: action.subject.clone(),
                change: Change::Patch,
                reason: HeldReason::OverLimit,
                limit: Some(*limit),
                detail: format!("{count} {noun} of held people stay"),
                action: None,
            });
        }
    }
    groups.retain(|action| action.adoption.is_some() || !action.requests.is_empty());
    followers
}

/// Whether an adoption can make its link although its patch waits. One that must be switched
/// on cannot: a linked and inactive person would look suspended.
fn can_link_only(action: &Action) -> bool {
    action.change != Change::Reactivate
}

fn removed(action: &Action) -> impl Iterator<Item = &ResourceId> {
    action
        .requests
        .iter()
        .flat_map(|request| match &request.write {
            Write::Patch { remove, .. } => remove.as_slice(),
            Write::Create { .. } | Write::Delete => &[],
        })
}

/// Splits a group's patch into what goes on and the removals alone.
fn split_removals(action: &Action) -> (Option<Action>, Action) {
    let all: BTreeSet<ResourceId> = removed(action).cloned().collect();
    let mut rest = action.clone();
    strip(&mut rest, &all, &BTreeSet::new());
    rest.costs
        .retain(|cost| cost.limit != Limit::MembersRemoved);
    let mut removals = action.clone();
    removals.differences.clear();
    removals.adoption = None;
    removals.reason = Reason::MembersChanged;
    removals
        .costs
        .retain(|cost| cost.limit == Limit::MembersRemoved);
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
    removals
        .requests
        .retain(|request| removes_something(&request.write));
    let rest = (!rest.requests.is_empty() || rest.adoption.is_some()).then_some(rest);
    (rest, removals)
}

fn removes_something(write: &Write) -> bool {
    matches!(write, Write::Patch { remove, .. } if !remove.is_empty())
}

/// Takes removals and additions out of an action's requests, and requests that are then
/// empty.
fn strip(action: &mut Action, removals: &BTreeSet<ResourceId>, additions: &BTreeSet<Reference>) {
    for request in &mut action.requests {
        request
            .acknowledge
            .members_removed
            .retain(|id| !removals.contains(id));
        request
            .acknowledge
            .members_added
            .retain(|reference| !additions.contains(reference));
        match &mut request.write {
            Write::Patch { add, remove, .. } => {
                add.retain(|reference| !additions.contains(reference));
                remove.retain(|id| !removals.contains(id));
            }
            Write::Create { members, .. } => {
                members.retain(|reference| !additions.contains(reference));
            }
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
}

/// Hashes the held actions and what they rest on: whom, what, why and from which state.
/// Followers are derived from them and not part of it; nor is time.
fn held_id(held: &[Held], digests: &mut BTreeSet<String>) -> Option<String> {
    let actions = held
        .iter()
        .filter(|held| {
            matches!(
                held.reason,
                HeldReason::OverLimit | HeldReason::ProbableLeaver
            )
        })
        .filter_map(|held| held.action.as_deref());
    digests.extend(actions.map(digest_of));
    id_of(digests)
}

/// Names a set of held actions by their digests; `None` for the empty set.
pub fn id_of(digests: &BTreeSet<String>) -> Option<String> {
    if digests.is_empty() {
        return None;
    }
    let mut context = digest::Context::new(&digest::SHA256);
    for digest in digests {
        context.update(digest.as_bytes());
    }
    Some(hex(context.finish().as_ref())[..12].to_owned())
}

/// Whether a held item is the one a person named: by source id, resource id or name.
pub fn is_named(subject: &Subject, key: &str) -> bool {
    subject.name.eq_ignore_ascii_case(key)
        || subject
            .record
            .as_ref()
            .is_some_and(|record| record.id.as_str() == key)
        || subject
            .resource
            .as_ref()
            .is_some_and(|resource| resource.0 == key)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
