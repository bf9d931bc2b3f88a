//! A planned target: shown as a preview, or applied.
//!
//! Holds everything that applying needs, so that nothing is decided or looked up again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};

use super::Target;
use super::known::Known;
use super::read::{Readings, failed};
use crate::apply::Applier;
use crate::apply::report::{Failure, FailureKind, Outcome, Progress, TargetReport};
use crate::audit::Audit;
use crate::plan::action::{Held, Limit, Plan};
use crate::plan::input::Input;
use crate::plan::{Planned, guard};
use crate::scim::message::Capabilities;
use crate::snapshot::{SnapshotError, TargetChange, TargetStore};
use crate::target::Client;

/// A target's plan, with what applying it needs.
pub struct Prepared {
    parts: Parts,
}

/// Whom the plan looked at, and whether it could act on them.
pub(super) struct LookedAt(pub(super) BTreeMap<RecordKey, bool>);

impl LookedAt {
    /// `forgotten` are open rows of records that are no more. With `only`, the others are
    /// known but were not looked at.
    pub(super) fn new(
        input: &Input<'_>,
        forgotten: BTreeSet<RecordKey>,
        only: Option<&RecordKey>,
    ) -> Self {
        let people = input
            .people
            .iter()
            .map(|(key, person)| (key.clone(), person.due));
        let groups = input
            .groups
            .iter()
            .map(|(key, group)| (key.clone(), group.group.due));
        let forgotten = forgotten.into_iter().map(|key| (key, true));
        let everybody = people.chain(groups).chain(forgotten);
        Self(
            everybody
                .filter(|(record, _)| only.is_none_or(|only| only == record))
                .collect(),
        )
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
    /// For the sake of one person: the target's position stays where it is.
    pub(super) only: bool,
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
    pub(super) fn shortcoming(&self) -> Option<Failure> {
        let unresolved = (!self.unresolved.is_empty()).then(|| Failure {
            kind: FailureKind::Failed,
            chain: self.unresolved.clone(),
        });
        self.partial.clone().or(unresolved)
    }

    /// Keeps showing what is held until the next full cycle looks again.
    fn carry_held(&mut self) {
        if self.only {
            // It would name a set of one; the set that can be released is a whole cycle's.
            self.planned.plan.held_id = None;
            return;
        }
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
}
