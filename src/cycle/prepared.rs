//! A planned target: shown as a preview, or applied.
//!
//! Holds everything that applying needs, so that nothing is decided or looked up again.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};
use tokio::sync::Mutex;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use super::Target;
use super::known::Known;
use super::read::{Readings, failed};
use super::select::Selection;
use crate::apply::report::{Failure, FailureKind, Outcome, Progress, TargetReport};
use crate::apply::{Applier, Clock};
use crate::audit::Audit;
use crate::plan::Planned;
use crate::plan::action::{Change, Held, Limit, Plan, Reason};
use crate::plan::input::{Candidate, Standing};
use crate::scim::message::Capabilities;
use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;
use crate::snapshot::{Intent, MemberEdge, Open, SnapshotError, TargetChange, TargetStore};
use crate::target::Client;

/// A target's plan, with what applying it needs.
pub struct Prepared {
    parts: Parts,
}

/// Whom the plan looked at, and whether it could act on them.
pub(super) struct LookedAt {
    pub(super) acted_on: BTreeMap<RecordKey, bool>,
    /// Who is gone from their source (true), or was and is not any more; of those acted on.
    pub(super) gone: BTreeMap<RecordKey, bool>,
    /// Who reports to whom, of the entitled.
    pub(super) managers: BTreeMap<RecordKey, RecordKey>,
    /// Whose resource is confirmed to be gone; its id.
    missing: BTreeMap<RecordKey, ResourceId>,
    /// Whose resource was taken for gone, and is seen to be there; its id.
    found_again: BTreeMap<RecordKey, ResourceId>,
}

impl LookedAt {
    /// With `only`, the others are known but were not looked at.
    pub(super) fn new(selection: &Selection, only: Option<&RecordKey>) -> Self {
        // What is unknown was looked at, and nothing was learnt: whatever waits goes on waiting.
        let could_act = |candidate: &Candidate| candidate.due && !candidate.standing.is_unknown();
        let people = selection
            .people
            .iter()
            .map(|(key, person)| (key.clone(), could_act(person)));
        let groups = selection
            .groups
            .iter()
            .map(|(key, group)| (key.clone(), could_act(&group.group)));
        // Open rows of records that are no more are closed.
        let forgotten = selection.forgotten.iter().map(|key| (key.clone(), true));
        let managers = selection.people.iter().filter_map(|(key, person)| {
            let manager = person.manager.as_ref()?;
            let entitled = person.standing.is_entitled();
            entitled.then(|| (key.clone(), manager.record.clone()))
        });
        let gone = selection.people.iter().filter_map(|(key, person)| {
            let deactivated = person.link.as_ref()?.deactivated.as_ref();
            let was = deactivated.is_some_and(|it| it.gone_since.is_some());
            let is = person.standing == Standing::Gone;
            (could_act(person) && (is || was)).then(|| (key.clone(), is))
        });
        let groups_themselves = selection.groups.iter();
        let groups_themselves = groups_themselves.map(|(key, group)| (key, &group.group));
        let missing = selection.people.iter().chain(groups_themselves);
        let missing = missing.filter(|(_, candidate)| candidate.missing);
        let missing = missing.filter_map(|(key, candidate)| {
            let link = candidate.link.as_ref()?;
            Some((key.clone(), link.resource.clone()))
        });
        let looked_at = |record: &RecordKey| only.is_none_or(|only| only == record);
        let everybody = people.chain(groups).chain(forgotten);
        Self {
            acted_on: everybody.filter(|(record, _)| looked_at(record)).collect(),
            gone: gone.filter(|(record, _)| looked_at(record)).collect(),
            managers: managers.collect(),
            missing: missing.collect(),
            found_again: selection.found_again.clone(),
        }
    }

    /// Held items that a full cycle has to judge again: of those who were not judged now, and
    /// drift, which no other cycle can judge.
    pub(super) fn still_held(&self, held: &[serde_json::Value], full: bool) -> Vec<Held> {
        held.iter()
            .filter_map(|held| serde_json::from_value(held.clone()).ok())
            .filter(|held: &Held| match &held.subject.record {
                Some(record) => !full && is_drift(held) || !self.acted_on(record),
                None => !full,
            })
            .collect()
    }

    fn acted_on(&self, record: &RecordKey) -> bool {
        self.acted_on.get(record).copied().unwrap_or(false)
    }
}

/// Whether what waits would only put back what a listing showed.
fn is_drift(held: &Held) -> bool {
    let action = held.action.as_ref();
    held.change == Change::Patch && action.is_some_and(|action| action.reason == Reason::Drifted)
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
    /// Sources that could not be read, in words: their people were left alone.
    pub(super) unreadable: Vec<String>,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) listed: BTreeMap<Kind, u64>,
    /// What was learnt about filters.
    pub(super) filters: BTreeMap<Kind, BTreeMap<AttributePath, bool>>,
    pub(super) partial: Option<Failure>,
    /// What an operator should see although nothing failed in this cycle.
    pub(super) warnings: Vec<String>,
    /// Limits in force before this cycle.
    pub(super) in_force: BTreeMap<Limit, u64>,
    /// Whether every source of the target could be read.
    pub(super) complete: bool,
    /// Whether the plan could tell who is in none of them.
    pub(super) known_completely: bool,
}

/// The mirror generation of every source of a target that could be read. Where people are
/// joined, what one source says may not have counted for the sake of another that could not be
/// read: then all of it is news again in the next cycle.
pub(super) fn generations(readings: &Readings, target: &Target) -> BTreeMap<String, u64> {
    let failed = |source: &String| readings.failures().contains_key(source);
    if target.rules.join_key.is_some() && target.sources.iter().any(failed) {
        return BTreeMap::new();
    }
    target
        .sources
        .iter()
        .filter(|source| !readings.failures().contains_key(*source))
        .filter_map(|source| Some((source.clone(), readings.view(source)?.generation())))
        .collect()
}

/// What to say of those who failed before and are not tried again yet.
pub(super) fn backing_off(open: &BTreeMap<RecordKey, Open>, looked_at: &LookedAt) -> Vec<String> {
    let resting = |(record, open): &(&RecordKey, &Open)| open.failed && !looked_at.acted_on(record);
    match open.iter().filter(resting).count() {
        0 => Vec::new(),
        1 => vec![
            "1 change failed before and is tried again later; see `provisor status`".to_owned(),
        ],
        count => vec![format!(
            "{count} changes failed before and are tried again later; see `provisor status`"
        )],
    }
}

/// What to say of the sources of a target that could not be read.
pub(super) fn unreadable(readings: &Readings, target: &Target) -> Vec<String> {
    let failed = |source: &&String| readings.failures().contains_key(*source);
    let sources = target.sources.iter().filter(failed);
    sources
        .map(|source| format!("the source {source} could not be read; its people are left alone"))
        .collect()
}

impl Prepared {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.parts.planned.plan
    }

    /// Whether the release that was given frees anything.
    pub fn releases_something(&self) -> bool {
        !self.parts.planned.judged.released.is_empty()
    }

    /// The report of a preview: the plan, and nothing done.
    pub fn into_preview(self) -> TargetReport {
        let error = self.parts.shortcoming();
        self.parts.report(error, Vec::new())
    }

    /// Applies the plan, records every acknowledged call, writes the audit log, and moves
    /// the target's position. A failed call is in the report, not an error. Once `stop` is
    /// cancelled nothing new is sent; what is under way is waited for. `clock` goes on from
    /// where the cycle's `now` was taken.
    pub async fn apply(
        self,
        audit: &Arc<Mutex<Audit>>,
        audit_values: bool,
        clock: &Clock,
        stop: &CancellationToken,
        progress: &dyn Progress,
    ) -> TargetReport {
        let parts = self.parts;
        let store = parts.known.store().clone();
        if let Err(error) = block_in_place(|| parts.bind(&store)) {
            return parts.report(Some(failed(error)), Vec::new());
        }
        let applier = Applier {
            client: &parts.client,
            store: &store,
            profile: &parts.target.profile,
            audit,
            audit_values,
            clock,
            stop,
            ledger: Arc::default(),
        };
        let applied = applier.apply(&parts.planned.plan, progress).await;
        let audited = audit.lock().await.last_number();
        let written = block_in_place(|| parts.write_down(&store, &applied, audited));
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
            warnings: self.warnings,
        }
    }

    /// What keeps this cycle from being whole although a plan could be made.
    pub(super) fn shortcoming(&self) -> Option<Failure> {
        let unresolved = (!self.unresolved.is_empty()).then(|| Failure {
            kind: FailureKind::Failed,
            chain: self.unresolved.clone(),
        });
        let unreadable = (!self.unreadable.is_empty()).then(|| Failure {
            kind: FailureKind::Failed,
            chain: self.unreadable.clone(),
        });
        self.partial.clone().or(unresolved).or(unreadable)
    }

    /// An intent of a time that has not come was noted by a clock that was ahead. Its settling
    /// time begins when that is seen: the joiner does not wait until the clock is there again.
    fn intents_from_the_future(
        &self,
        store: &TargetStore,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        let intents = store.intents()?.into_iter();
        let changes = intents.filter(|(_, intent)| intent.at > self.now);
        let changes = changes.map(|(record, intent)| {
            let seen = Intent {
                at: self.now,
                ..intent
            };
            TargetChange::PutIntent(record, Box::new(seen))
        });
        Ok(changes.collect())
    }

    /// What was looked for and is gone is known as gone from here on, in cycles that do not look too;
    /// what was taken for gone and was seen is linked again. Whether its memberships are there, only
    /// the next listing of the group tells.
    fn links_as_seen(&self, store: &TargetStore) -> Result<Vec<TargetChange>, SnapshotError> {
        let mut changes = Vec::new();
        let LookedAt {
            missing,
            found_again,
            ..
        } = &self.looked_at;
        let missing = missing.iter().map(|each| (each, true));
        let found_again = found_again.iter().map(|each| (each, false));
        for ((record, resource), missing) in missing.chain(found_again) {
            let link = store.link(record)?.filter(|it| it.resource == *resource);
            let Some(mut link) = link.filter(|link| link.missing != missing) else {
                continue;
            };
            link.missing = missing;
            changes.push(TargetChange::PutLink(record.clone(), Box::new(link)));
            changes.extend(match missing {
                true => store.turn_edges(resource, MemberEdge::orphaned)?,
                false => store.turn_edges(resource, MemberEdge::found_again)?,
            });
        }
        Ok(changes)
    }

    /// What the listing taught about memberships, before this cycle's own calls change them.
    fn memberships_as_seen(&self, store: &TargetStore) -> Result<Vec<TargetChange>, SnapshotError> {
        let mut changes = Vec::new();
        for (group, noted) in &self.planned.noted {
            if store.link(group)?.is_none_or(|link| link.missing) {
                continue;
            }
            for member in &noted.not_joined {
                changes.push(TargetChange::DropMember(group.clone(), member.clone()));
            }
            for member in &noted.joined {
                let edge = MemberEdge::Added;
                changes.push(TargetChange::PutMember(group.clone(), member.clone(), edge));
            }
        }
        Ok(changes)
    }

    /// Makes sure, durably, that links made from here on are known to be this target's.
    fn bind(&self, store: &TargetStore) -> Result<(), SnapshotError> {
        if self.known.is_void() {
            store.reset()?;
        }
        let mut progress = self.known.progress().clone();
        if progress.fingerprint != self.target.fingerprint {
            progress.fingerprint.clone_from(&self.target.fingerprint);
            store.commit(vec![TargetChange::PutProgress(Box::new(progress))])?;
        }
        store.commit(self.intents_from_the_future(store)?)?;
        store.commit(self.links_as_seen(store)?)?;
        store.commit(self.memberships_as_seen(store)?)?;
        store.flush()?;
        Ok(())
    }
}
