//! Closing a cycle: what the snapshot notes once a plan was applied.
//!
//! The open rows are written, then `seen` moves; a crash before that only repeats the
//! comparison with the links. Decides nothing about people.

mod long_gone;

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::clock;
use super::prepared::Parts;
use super::select::SUSPENDED;
use super::window::{WINDOW, is_alive};
use crate::apply::report::Outcome;
use crate::apply::{Applied, MANAGER_CHANGED};
use crate::plan::action::{Action, Change, Held, HeldReason, ListedReason, Plan, Reason, Subject};
use crate::snapshot::target::{Approval, BasePoint};
use crate::snapshot::{Due, Open, SnapshotError, TargetChange, TargetStore};

/// The first delay after a failure; it doubles with every further one.
const FIRST_DELAY: chrono::Duration = chrono::Duration::seconds(30);
/// Why somebody is looked at again who is settled but for their manager.
const AWAITING: &str = "its manager is not at the target";
/// The longest delay after a failure.
pub(super) const LONGEST_DELAY: chrono::Duration = chrono::Duration::hours(6);

impl Parts {
    /// Writes open rows and, last, the target's position. `audited` is the number of the
    /// audit log's last record, which is on the disk by now.
    pub(super) fn write_down(
        &self,
        store: &TargetStore,
        applied: &Applied,
        audited: u64,
    ) -> Result<(), SnapshotError> {
        let mut changes = self.open_rows(store, applied)?;
        changes.extend(self.noted_links(store)?);
        store.commit(changes)?;
        let mut progress = self.progress_after(store, applied)?;
        progress.audited = audited;
        store.commit(vec![
            TargetChange::ForgetSpent(self.now - WINDOW),
            TargetChange::PutProgress(Box::new(progress)),
        ])?;
        store.flush()?;
        Ok(())
    }

    /// What the listing taught about links, in so far as they are still to the same resource.
    fn noted_links(&self, store: &TargetStore) -> Result<Vec<TargetChange>, SnapshotError> {
        let mut changes = Vec::new();
        for (record, noted) in &self.planned.noted {
            let Some(link) = store.link(record)?.filter(|link| !link.missing) else {
                continue;
            };
            let mut taught = link.clone();
            noted.apply_to(&mut taught);
            if taught != link {
                changes.push(TargetChange::PutLink(record.clone(), Box::new(taught)));
            }
        }
        Ok(changes)
    }

    fn open_rows(
        &self,
        store: &TargetStore,
        applied: &Applied,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        let before = store.open()?;
        let mut rows: BTreeMap<&RecordKey, Option<Open>> = BTreeMap::new();
        for (record, acted_on) in &self.looked_at.acted_on {
            if *acted_on {
                rows.insert(record, None);
            }
        }
        for listed in &self.planned.plan.listed {
            if let (ListedReason::SuspendedAtTarget, Some(record)) =
                (listed.reason, &listed.subject.record)
            {
                rows.insert(record, Some(waiting(SUSPENDED, Due::FullCycle)));
            }
        }
        let outcomes = applied.outcomes.iter().enumerate();
        for (action, (index, outcome)) in self.planned.plan.actions.iter().zip(outcomes) {
            let Some(record) = &action.subject.record else {
                continue;
            };
            match outcome {
                Outcome::Done => {}
                Outcome::Failed(why) => {
                    let attempts = before.get(record).map_or(0, |open| open.attempts) + 1;
                    // A leaver is tried again in every cycle; a conflict is looked into in the
                    // next one.
                    let soon =
                        action.change == Change::Deactivate || applied.conflicts.contains(&index);
                    let due = if soon {
                        Due::Now
                    } else {
                        Due::At(self.now + delay(attempts))
                    };
                    rows.insert(
                        record,
                        Some(Open {
                            why: why.clone(),
                            due,
                            attempts,
                            failed: true,
                            awaits: None,
                        }),
                    );
                }
                Outcome::Pending(why) => {
                    rows.insert(record, Some(waiting(why, Due::Now)));
                }
            }
        }
        for held in &self.planned.plan.held {
            if let Some(record) = &held.subject.record {
                let due = if rests_on_listing(held) {
                    Due::FullCycle
                } else {
                    Due::Now
                };
                // A part of what is planned for somebody may wait, and another part have failed.
                let sooner = matches!(rows.get(record), Some(Some(_))) && due == Due::FullCycle;
                if !sooner {
                    rows.insert(record, Some(waiting(&format!("{:?}", held.reason), due)));
                }
            }
        }
        let deletes = |action: &Action| action.change == Change::Delete;
        if self.planned.plan.actions.iter().any(deletes) {
            // Who lost their manager in this very cycle was looked at before that.
            let noted = |record| before.get(record).map(|open| open.why.as_str());
            rows.retain(|record, row| row.is_some() || noted(*record) != Some(MANAGER_CHANGED));
        }
        for (record, manager) in &self.looked_at.managers {
            let settled = rows.get(record).is_some_and(Option::is_none);
            let there = store.link(manager)?.is_some_and(|link| !link.missing);
            if settled && !there {
                let awaiting = Open {
                    awaits: Some(manager.clone()),
                    ..waiting(AWAITING, Due::FullCycle)
                };
                rows.insert(record, Some(awaiting));
            }
        }
        let mut changes = self.note_the_gone(store, &mut rows)?;
        let closed = self.planned.closed_intents.iter();
        changes.extend(closed.map(|record| TargetChange::CloseIntent(record.clone())));
        for (record, row) in rows {
            match row {
                Some(row) if before.get(record) != Some(&row) => {
                    changes.push(TargetChange::PutOpen(record.clone(), row));
                }
                None if before.contains_key(record) => {
                    changes.push(TargetChange::DropOpen(record.clone()));
                }
                _ => {}
            }
        }
        Ok(changes)
    }

    fn progress_after(
        &self,
        store: &TargetStore,
        applied: &Applied,
    ) -> Result<crate::snapshot::Progress, SnapshotError> {
        let plan = &self.planned.plan;
        let mut progress = self.known.progress().clone();
        progress.fingerprint.clone_from(&self.target.fingerprint);
        // Applying has kept it, besides this cycle's own view of the progress.
        progress.dialect = self.client.dialect();
        if self.only {
            // Everything else is as unseen as it was.
            progress.approvals = self.approvals_after(applied);
            return Ok(progress);
        }
        let whole = applied.aborted.is_none() && self.partial.is_none();
        let settled = whole && self.unresolved.is_empty();
        if settled {
            progress.seen.extend(self.generations.clone());
            progress.halve_limits = false;
            if self.complete {
                progress
                    .settings_digest
                    .clone_from(&self.target.settings_digest);
            }
        }
        if settled && self.full {
            progress.last_full = Some(self.now);
            // A source that could not be read has not had its full cycle.
            // Whoever was found to have left while rebuilding is switched off once that is done.
            progress.full_owed = !self.complete || plan.actions.iter().any(is_restored_link);
            // Nobody is suspected while a source may have them: that is put off, not settled.
            let put_off = progress.lost && !self.known_completely;
            let mut held = plan.held.iter();
            let suspected = held.any(|held| held.reason == HeldReason::ProbableLeaver);
            progress.lost = self.rebuilding || put_off || suspected;
            if self.complete && self.rebuilding {
                progress.rebuilding = false;
                progress.audit_remembers = false;
                progress.halve_limits = true;
            }
        }
        let (doubt, skew) = (progress.clock_doubt.take(), self.client.clock_skew());
        progress.clock_doubt = clock::skewed(doubt, skew);
        progress.capabilities = self.capabilities.clone().or(progress.capabilities);
        if self.full {
            progress.filters.clear();
        }
        for (kind, tried) in &self.filters {
            let known = progress.filters.entry(*kind).or_default();
            known.extend(tried.clone());
        }
        if !applied.conflicts.is_empty() {
            // A filter has missed what has the key: each has to prove itself again.
            progress.filters.clear();
        }
        progress.distrust_filters =
            !applied.conflicts.is_empty() || progress.distrust_filters && self.listed.is_empty();
        progress.listed.extend(self.listed.clone());
        progress.scope_pins.extend(self.pins.clone());
        progress.held_id.clone_from(&plan.held_id);
        progress
            .held_digests
            .clone_from(&self.planned.judged.digests);
        progress.held = plan.held.iter().map(held_line).collect();
        progress.held_until_full = plan
            .held
            .iter()
            .filter(|held| rests_on_listing(held))
            .filter_map(|held| serde_json::to_value(held).ok())
            .collect();
        progress.limits_in_force = self.limits_in_force(settled);
        progress.approvals = self.approvals_after(applied);
        let error = applied.aborted.clone().or_else(|| self.shortcoming());
        progress.last_error = error.map(|error| error.chain.join(": "));
        progress.last_cycle = Some((self.now, closing_line(plan, &applied.outcomes)));
        let totals = store.totals()?;
        let point = BasePoint {
            at: self.now,
            people: totals.active_users,
            groups: totals.groups,
            members: totals.members,
        };
        if whole {
            note_base(&mut progress.base, point);
        }
        Ok(progress)
    }

    /// A limit that held something stays in force until a fresh plan from complete reads
    /// fits under it, or what it held was approved.
    fn limits_in_force(&self, settled: bool) -> BTreeMap<String, u64> {
        let mut limits = self.planned.judged.over.clone();
        if !(self.complete && settled) {
            for (limit, allowed) in &self.in_force {
                limits.entry(*limit).or_insert(*allowed);
            }
        }
        limits
            .into_iter()
            .map(|(limit, allowed)| (limit.name().to_owned(), allowed))
            .collect()
    }

    /// What was released and is not done yet, each for its own 24 hours. Memberships of
    /// released people follow them as long as the approval lives.
    fn approvals_after(&self, applied: &Applied) -> Vec<Approval> {
        let plan = &self.planned.plan;
        let done: Vec<&Subject> = plan
            .actions
            .iter()
            .zip(&applied.outcomes)
            .filter(|(_, outcome)| **outcome == Outcome::Done)
            .map(|(action, _)| &action.subject)
            .collect();
        let released = self.planned.judged.released.iter();
        let used: BTreeSet<&String> = released
            .filter(|(subject, _)| done.contains(&subject))
            .map(|(_, digest)| digest)
            .collect();
        let before = &self.known.progress().approvals;
        let mut approvals = before.clone();
        let mut fresh = Approval {
            held_id: self.known.progress().held_id.clone().unwrap_or_default(),
            actions: self.planned.approved.actions.clone(),
            people: self.planned.approved.people.clone(),
            at: self.now,
        };
        for earlier in before {
            fresh
                .actions
                .retain(|digest| !earlier.actions.contains(digest));
            fresh
                .people
                .retain(|record| !earlier.people.contains(record));
        }
        if !fresh.actions.is_empty() {
            approvals.push(fresh);
        }
        for approval in &mut approvals {
            approval.actions.retain(|digest| !used.contains(digest));
        }
        approvals.retain(|approval| is_alive(approval, self.now));
        approvals
    }
}

/// Whether an action only makes the lost link of somebody who has left again.
fn is_restored_link(action: &Action) -> bool {
    let entitled = matches!(action.reason, Reason::Matched | Reason::Rehired);
    action.change == Change::Adopt && !entitled
}

/// Whether a held item can only be judged again by listing the target.
fn rests_on_listing(held: &Held) -> bool {
    let action = held.action.as_deref();
    match held.reason {
        HeldReason::AmbiguousMatch | HeldReason::ProbableLeaver => true,
        // Who may have left is told by the lookup for whoever may have returned.
        HeldReason::PossibleRehire => held.change != Change::Deactivate,
        HeldReason::DuplicateKey => held.change == Change::Adopt,
        HeldReason::OverLimit if held.change == Change::Delete => held.subject.kind == Kind::User,
        HeldReason::OverLimit => action.is_some_and(|action| {
            let reason = matches!(
                action.reason,
                Reason::Drifted | Reason::Stale | Reason::MissingAtTarget
            );
            reason || action.adoption.is_some() && action.change == Change::Reactivate
        }),
        HeldReason::MissingRequired
        | HeldReason::MappingFailed
        | HeldReason::InDoubt
        | HeldReason::ClockDoubt => false,
    }
}

fn waiting(why: &str, due: Due) -> Open {
    Open {
        why: why.to_owned(),
        due,
        attempts: 0,
        failed: false,
        awaits: None,
    }
}

fn delay(attempts: u32) -> chrono::Duration {
    let doubled = FIRST_DELAY * 2_i32.pow(attempts.saturating_sub(1).min(16));
    doubled.min(LONGEST_DELAY)
}

fn held_line(held: &Held) -> String {
    let Held {
        subject,
        change: _,
        reason,
        limit,
        detail,
        action: _,
    } = held;
    let limit = limit.map_or_else(String::new, |limit| format!(" ({})", limit.name()));
    format!(
        "{} {}: {reason:?}{limit}: {detail}",
        subject.kind, subject.name
    )
}

fn closing_line(plan: &Plan, outcomes: &[Outcome]) -> String {
    let done = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Done)
        .count();
    let failed = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Failed(_)))
        .count();
    format!(
        "{done} done, {failed} failed, {} pending, {} held ({} unchanged)",
        outcomes.len() - done - failed,
        plan.held.len(),
        plan.unchanged
    )
}

/// Keeps the points of the window and one older.
fn note_base(base: &mut Vec<BasePoint>, point: BasePoint) {
    let same = |last: &BasePoint| {
        (last.people, last.groups, last.members) == (point.people, point.groups, point.members)
    };
    if !base.last().is_some_and(same) {
        base.push(point);
    }
    let older = base
        .iter()
        .take_while(|each| each.at <= point.at - WINDOW)
        .count();
    base.drain(..older.saturating_sub(1));
}
