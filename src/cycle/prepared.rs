//! A planned target: shown as a preview, or applied and written down.
//!
//! At the end of a cycle the open rows are written, then `seen` moves; a crash before that
//! only repeats the comparison with the links.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};

use super::Target;
use super::known::Known;
use super::read::{Readings, failed};
use super::select::SUSPENDED;
use super::window::WINDOW;
use crate::apply::report::{Failure, FailureKind, Outcome, Progress, TargetReport};
use crate::apply::{Applied, Applier};
use crate::audit::Audit;
use crate::plan::action::{Change, Held, HeldReason, Limit, ListedReason, Plan, Reason};
use crate::plan::input::Input;
use crate::plan::{Planned, guard};
use crate::scim::message::Capabilities;
use crate::snapshot::target::{Approval, BasePoint};
use crate::snapshot::{Due, Open, SnapshotError, TargetChange, TargetStore};
use crate::target::Client;

/// The first delay after a failure; it doubles with every further one.
const FIRST_DELAY: chrono::Duration = chrono::Duration::seconds(30);
/// The longest delay after a failure.
const LONGEST_DELAY: chrono::Duration = chrono::Duration::hours(6);

/// A target's plan, with what applying it needs.
pub struct Prepared {
    parts: Parts,
}

/// Whom the plan looked at, and whether it could act on them.
pub(super) struct LookedAt(BTreeMap<RecordKey, bool>);

impl LookedAt {
    pub(super) fn new(input: &Input<'_>) -> Self {
        let people = input
            .people
            .iter()
            .map(|(key, person)| (key.clone(), person.due));
        let groups = input
            .groups
            .iter()
            .map(|(key, group)| (key.clone(), group.group.due));
        Self(people.chain(groups).collect())
    }

    fn acted_on(&self, record: &RecordKey) -> bool {
        self.0.get(record).copied().unwrap_or(false)
    }
}

/// What a cycle hands over.
pub(super) struct Parts {
    pub(super) planned: Planned,
    pub(super) looked_at: LookedAt,
    pub(super) known: Known,
    pub(super) target: Target,
    pub(super) client: Client,
    pub(super) full: bool,
    /// The snapshot is of another target, or was lost.
    pub(super) rebuilding: bool,
    pub(super) now: DateTime<Utc>,
    /// The generation each readable source was looked at.
    pub(super) generations: BTreeMap<String, u64>,
    /// Scope groups as resolved.
    pub(super) pins: BTreeMap<String, RecordKey>,
    /// Scope groups that were not.
    pub(super) unresolved: Vec<String>,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) listed: BTreeMap<Kind, u64>,
    pub(super) partial: Option<Failure>,
    /// Limits in force before this cycle.
    pub(super) in_force: BTreeMap<Limit, u64>,
    /// Whether every source of the target could be read.
    pub(super) complete: bool,
}

/// The mirror generation of every source of a target that could be read.
pub(super) fn generations(readings: &Readings, target: &Target) -> BTreeMap<String, u64> {
    target
        .sources
        .iter()
        .filter(|source| !readings.failures().contains_key(*source))
        .filter_map(|source| Some((source.clone(), readings.view(source)?.generation())))
        .collect()
}

impl Prepared {
    pub(super) fn new(mut parts: Parts) -> Self {
        parts.carry_held();
        Self { parts }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.parts.planned.plan
    }

    /// The report of a preview: the plan, and nothing done.
    pub fn into_preview(self) -> TargetReport {
        let error = self.parts.shortcoming();
        self.parts.report(error, Vec::new())
    }

    /// Applies the plan, records every acknowledged call, writes the audit log, and moves
    /// the target's position. A failed call is in the report, not an error.
    pub async fn apply(
        self,
        audit: &tokio::sync::Mutex<Audit>,
        audit_values: bool,
        progress: &dyn Progress,
    ) -> TargetReport {
        let parts = self.parts;
        let store = parts.known.store().clone();
        let generation = match parts.bind(&store) {
            Ok(generation) => generation,
            Err(error) => return parts.report(Some(failed(error)), Vec::new()),
        };
        let applier = Applier {
            client: &parts.client,
            store: &store,
            profile: &parts.target.profile,
            approved: &parts.planned.approved,
            audit,
            audit_values,
            generation: AtomicU64::new(generation),
        };
        let applied = applier.apply(&parts.planned.plan, progress).await;
        let written = parts.write_down(&store, &applied);
        let error = applied.aborted.or_else(|| written.err().map(failed));
        let error = error.or_else(|| parts.shortcoming());
        parts.report(error, applied.outcomes)
    }
}

impl Parts {
    fn report(self, error: Option<Failure>, outcomes: Vec<Outcome>) -> TargetReport {
        TargetReport {
            target: self.target.name,
            error,
            plan: Some(self.planned.plan),
            outcomes,
            warnings: Vec::new(),
        }
    }

    /// What keeps this cycle from being whole although a plan could be made.
    fn shortcoming(&self) -> Option<Failure> {
        let unresolved = (!self.unresolved.is_empty()).then(|| Failure {
            kind: FailureKind::Failed,
            chain: self.unresolved.clone(),
        });
        self.partial.clone().or(unresolved)
    }

    /// Keeps showing what is held until the next full cycle looks again.
    fn carry_held(&mut self) {
        if self.full {
            return;
        }
        let carried: Vec<Held> = self
            .known
            .progress()
            .held_until_full
            .iter()
            .filter_map(|held| serde_json::from_value(held.clone()).ok())
            .filter(|held: &Held| {
                let record = held.subject.record.as_ref();
                !record.is_some_and(|record| self.looked_at.acted_on(record))
            })
            .collect();
        let digests = &mut self.planned.judged.digests;
        digests.extend(
            carried
                .iter()
                .filter_map(|held| held.action.as_deref())
                .map(guard::digest_of),
        );
        self.planned.plan.held_id = guard::id_of(digests);
        self.planned.plan.held.extend(carried);
    }

    /// Makes sure, durably, that links made from here on are known to be this target's.
    fn bind(&self, store: &TargetStore) -> Result<u64, SnapshotError> {
        if self.known.is_void() {
            store.reset()?;
        }
        let mut progress = self.known.progress().clone();
        if progress.fingerprint != self.target.fingerprint {
            progress.fingerprint.clone_from(&self.target.fingerprint);
            store.commit(vec![TargetChange::PutProgress(Box::new(progress))])?;
        }
        store.flush()
    }

    /// Writes open rows and, last, the target's position.
    fn write_down(&self, store: &TargetStore, applied: &Applied) -> Result<(), SnapshotError> {
        let changes = self.open_rows(store, applied)?;
        store.commit(changes)?;
        let progress = self.progress_after(store, applied)?;
        store.commit(vec![
            TargetChange::ForgetSpent(self.now - WINDOW),
            TargetChange::PutProgress(Box::new(progress)),
        ])?;
        store.flush()?;
        Ok(())
    }

    fn open_rows(
        &self,
        store: &TargetStore,
        applied: &Applied,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        let before = store.open()?;
        let mut rows: BTreeMap<&RecordKey, Option<Open>> = BTreeMap::new();
        for (record, acted_on) in &self.looked_at.0 {
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
        for (action, outcome) in self.planned.plan.actions.iter().zip(&applied.outcomes) {
            let Some(record) = &action.subject.record else {
                continue;
            };
            match outcome {
                Outcome::Done => {}
                Outcome::Failed(why) => {
                    let attempts = before.get(record).map_or(0, |open| open.attempts) + 1;
                    // A leaver is tried again in every cycle.
                    let due = match action.change {
                        Change::Deactivate => Due::Now,
                        _ => Due::At(self.now + delay(attempts)),
                    };
                    rows.insert(
                        record,
                        Some(Open {
                            why: why.clone(),
                            due,
                            attempts,
                            failed: true,
                        }),
                    );
                }
                // After an abort `seen` does not move, and everything is looked at again.
                Outcome::Pending(_) if applied.aborted.is_some() => {
                    rows.remove(record);
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
                rows.insert(record, Some(waiting(&format!("{:?}", held.reason), due)));
            }
        }
        let mut changes: Vec<TargetChange> = self
            .planned
            .closed_intents
            .iter()
            .map(|record| TargetChange::CloseIntent(record.clone()))
            .collect();
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
            progress.lost = self.rebuilding
                || plan
                    .held
                    .iter()
                    .any(|held| held.reason == HeldReason::ProbableLeaver);
            if self.complete && self.rebuilding {
                progress.rebuilding = false;
                progress.halve_limits = true;
            }
        }
        progress.capabilities = self.capabilities.clone().or(progress.capabilities);
        progress.distrust_filters =
            applied.conflicts || progress.distrust_filters && self.listed.is_empty();
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
        progress.limits_in_force = self.limits_in_force();
        progress.approval = self.approval_after(applied);
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
    fn limits_in_force(&self) -> BTreeMap<String, u64> {
        let mut limits = self.planned.judged.over.clone();
        if !self.complete {
            for (limit, allowed) in &self.in_force {
                limits.entry(*limit).or_insert(*allowed);
            }
        }
        limits
            .into_iter()
            .map(|(limit, allowed)| (limit.name().to_owned(), allowed))
            .collect()
    }

    /// What was released and is not done yet. Memberships of released people follow them as
    /// long as the approval lives.
    fn approval_after(&self, applied: &Applied) -> Option<Approval> {
        let approved = &self.planned.approved;
        if approved.actions.is_empty() && approved.people.is_empty() {
            return None;
        }
        let done: BTreeSet<String> = self
            .planned
            .plan
            .actions
            .iter()
            .zip(&applied.outcomes)
            .filter(|(_, outcome)| **outcome == Outcome::Done)
            .map(|(action, _)| guard::digest_of(action))
            .collect();
        let before = self.known.progress().approval.as_ref();
        let fresh = before.is_none_or(|before| !approved.actions.is_subset(&before.actions));
        Some(Approval {
            held_id: self.known.progress().held_id.clone().unwrap_or_default(),
            actions: approved.actions.difference(&done).cloned().collect(),
            people: approved.people.clone(),
            at: before
                .filter(|_| !fresh)
                .map_or(self.now, |before| before.at),
        })
    }
}

/// Whether a held item can only be judged again by listing the target.
fn rests_on_listing(held: &Held) -> bool {
    let action = held.action.as_deref();
    match held.reason {
        HeldReason::AmbiguousMatch | HeldReason::PossibleRehire | HeldReason::ProbableLeaver => {
            true
        }
        HeldReason::DuplicateKey => held.change == Change::Adopt,
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
