//! A cycle: read, look again, scope and map, match, plan, guard, apply, report. The only
//! place that joins the steps.
//!
//! Gets built parts, never the configuration. A preview calls [`plan_target`] and stops;
//! nothing is published and nothing is committed before [`Readings::publish`] and
//! [`Prepared::apply`].

pub mod accounts;
mod clock;
mod closing;
pub mod explain;
mod known;
mod observe;
mod prepared;
mod read;
mod select;
mod window;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use provisor_connectors::RecordKey;

pub use crate::apply::Clock;
pub use crate::apply::report::Progress;
use crate::apply::report::{Failure, FailureKind};
use crate::mapping::Mapping;
use crate::plan::input::Input;
use crate::plan::rules::{Rules, Stale};
use crate::scope::Scope;
use crate::snapshot::{SnapshotError, Store, TargetChange};
use crate::target::{Client, Profile};
use known::Known;
pub use prepared::Prepared;
use read::failed;
pub use read::{Readings, attributes_in_use, read_sources, source_failure};

/// One target as a cycle needs it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the configuration.
    pub name: String,
    /// Its sources, in order of precedence.
    pub sources: Vec<String>,
    /// Which records it should have.
    pub scope: Scope,
    /// Attributes to paths.
    pub mapping: Mapping,
    /// What to do with whom.
    pub rules: Rules,
    /// What the target can do.
    pub profile: Profile,
    /// How often both sides are listed.
    pub full_every: Duration,
    /// What the links are bound to.
    pub fingerprint: String,
    /// Digest of mapping, scope, groups, match, preset and engine version.
    pub settings_digest: String,
}

/// What a person released with `approve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The held set's id, as shown.
    pub held_id: String,
    /// Only the item with this source id, resource id, or name.
    pub only: Option<String>,
}

/// Plans one target: looks at what could have changed, matches, plans and guards. Makes no
/// request when nothing could have changed.
///
/// `full` lists both sides whatever the schedule says. `release` frees held actions that are
/// still planned identically; a `held_id` that is not the current one releases nothing.
#[expect(
    clippy::too_many_arguments,
    reason = "the joints of a cycle, named at the call"
)]
pub async fn plan_target(
    store: &Store,
    readings: &Readings,
    target: &Target,
    client: &Client,
    full: bool,
    release: Option<&Release>,
    now: DateTime<Utc>,
    progress: &dyn Progress,
) -> Result<Prepared, Failure> {
    let known = Known::new(store.target(&target.name), &target.fingerprint).map_err(failed)?;
    let target = &*accounts::protecting(target, &known);
    let state = known.progress();
    // What was held may rest on a listing, so a release looks at everything as well.
    let owed = state.full_owed && every_source_readable(readings, target);
    let full = full
        || owed
        || release.is_some()
        || state.rebuilding
        || is_overdue(state.last_full, target, now);
    let resettled = state.settings_digest != target.settings_digest;
    let everything = full || resettled;
    if full {
        // A full cycle reads everything anyway: a snapshot that lost something on disk without
        // saying so is found here, before anybody is judged by it.
        tokio::task::block_in_place(|| readings.verify(store))?;
    }

    let selection = tokio::task::block_in_place(|| {
        select::select(&known, readings, target, everything, full, now)
    })
    .map_err(failed)?;
    let chosen = Chosen {
        known,
        selection,
        full,
        only: None,
        release,
        now,
    };
    chosen.plan(readings, target, client, progress).await
}

/// Plans one person at one target, now: what a whole cycle would do for them, under the same
/// guards. Of the others, only somebody who leaves and has a key that they want may be acted
/// on; in groups, nobody else is. The target's position does not move: the next cycle looks
/// at everything that it would have looked at.
///
/// Fails while the snapshot is being rebuilt, which only a whole cycle can do.
pub async fn plan_one(
    store: &Store,
    readings: &Readings,
    target: &Target,
    client: &Client,
    record: &RecordKey,
    now: DateTime<Utc>,
    progress: &dyn Progress,
) -> Result<Prepared, Failure> {
    let known = Known::new(store.target(&target.name), &target.fingerprint).map_err(failed)?;
    let target = &*accounts::protecting(target, &known);
    if known.progress().rebuilding {
        return Err(Failure {
            kind: FailureKind::Failed,
            chain: vec![
                "the snapshot is being rebuilt, which takes a whole cycle: run `provisor sync`"
                    .to_owned(),
            ],
        });
    }
    // Whoever asks for one person does not want to hear that it is not their turn yet.
    let one = tokio::task::block_in_place(|| {
        select::one::select_one(&known, readings, target, record, true, now)
    })
    .map_err(failed)?;
    let chosen = Chosen {
        known,
        selection: one.selection,
        full: false,
        only: Some(&one.record),
        release: None,
        now,
    };
    chosen.plan(readings, target, client, progress).await
}

/// What a cycle looks at, and how.
struct Chosen<'a> {
    known: Known,
    selection: select::Selection,
    full: bool,
    /// A cycle for the sake of one person.
    only: Option<&'a RecordKey>,
    release: Option<&'a Release>,
    now: DateTime<Utc>,
}

impl Chosen<'_> {
    /// Looks at the target as far as that is needed, and plans.
    async fn plan(
        self,
        readings: &Readings,
        target: &Target,
        client: &Client,
        progress: &dyn Progress,
    ) -> Result<Prepared, Failure> {
        let Chosen {
            known,
            mut selection,
            full,
            only,
            release,
            now,
        } = self;
        let state = known.progress();
        let resettled = state.settings_digest != target.settings_digest;
        let observer = observe::Observer {
            known: &known,
            readings,
            target,
            client,
            full,
            now,
            progress,
        };
        let mut seen = observer.observe(&mut selection).await?;
        if state.audit_remembers && only.is_none() {
            let users = &seen.users;
            seen.users.remembered = tokio::task::block_in_place(|| observer.remembered(users));
        }
        let doubt = clock::doubt(state, now, client.clock_skew());
        let timed = target.rules.delete_after.or(target.rules.forget_after);
        if let (Some(doubt), Some(_)) = (&doubt, timed) {
            tracing::warn!(
                target_name = target.name,
                "what only time decides waits: {doubt}"
            );
        }
        selection.orphan_edges_of_the_missing();
        let looked_at = prepared::LookedAt::new(&selection, only);

        let mut rules = target.rules.clone();
        let rebuilding = state.rebuilding || known.is_void();
        if rebuilding {
            // Nobody is deactivated on the word of a snapshot that is being rebuilt.
            rules.stale = Stale::List;
        }
        let totals = known.totals().map_err(failed)?;
        let complete = known_completely(readings, target, &selection);
        let input = Input {
            target: &target.name,
            now,
            rules: &rules,
            profile: &target.profile,
            keep_when_empty: &target.mapping.keep_when_empty,
            people: selection.people,
            groups: selection.groups,
            observed_users: seen.users,
            observed_groups: seen.groups,
            linked: totals.users + totals.groups,
            // Whoever is left over is not what one person's cycle is about.
            snapshot_lost: only.is_none() && (rebuilding || state.lost),
            full,
            complete,
            clock_doubt: doubt,
        };
        let halve = state.halve_limits
            || readings.is_careful(&target.name)
            || rebuilding
            || resettled && !state.settings_digest.is_empty();
        // One person's cycle says nothing of what is held of others.
        let carried = match only {
            Some(_) => Vec::new(),
            None => looked_at.still_held(&state.held_until_full, full),
        };
        let window = window::window(&known, carried, halve, now).map_err(failed)?;
        let release = release.map(|release| window::release(release, state));
        let mut planned = crate::plan::plan(&input, &window, release.as_ref());
        if only.is_some() {
            // A listing that one person needed shows everybody.
            planned
                .plan
                .listed
                .retain(|listed| listed.subject.record.as_ref() == only);
            // It would name a set of one; the set that can be released is a whole cycle's.
            planned.plan.held_id = None;
        }

        tracing::info!(
            target_name = target.name,
            full,
            people = input.people.len(),
            groups = input.groups.len(),
            seen = input.observed_users.resources.len() + input.observed_groups.resources.len(),
            actions = planned.plan.actions.len(),
            held = planned.plan.held.len(),
            "planned a target"
        );
        let warnings = prepared::backing_off(&known.open().map_err(failed)?, &looked_at);
        Ok(Prepared::new(prepared::Parts {
            planned,
            looked_at,
            known,
            target: target.clone(),
            client: client.clone(),
            full,
            rebuilding,
            now,
            generations: prepared::generations(readings, target),
            only: only.is_some(),
            complete: every_source_readable(readings, target),
            known_completely: complete,
            unreadable: prepared::unreadable(readings, target),
            pins: selection.pins,
            unresolved: selection.unresolved,
            capabilities: seen.capabilities,
            listed: seen.listed,
            filters: seen.filters,
            partial: seen.partial,
            warnings,
            in_force: window.in_force,
        }))
    }
}

/// Notes why a target came to no plan, for `status`. What it has is left as it is.
pub fn note_failure(store: &Store, target: &str, failure: &Failure) -> Result<(), Failure> {
    let target = store.target(target);
    let mut progress = target.progress().map_err(failed)?;
    progress.last_error = Some(failure.chain.join(": "));
    let change = TargetChange::PutProgress(Box::new(progress));
    target.commit(vec![change]).map_err(failed)?;
    store.flush().map_err(failed)?;
    Ok(())
}

/// Notes, durably, that the snapshot was lost: every target is rebuilt by adoption.
pub fn note_lost_snapshot<'a>(
    store: &Store,
    targets: impl Iterator<Item = &'a String>,
) -> Result<(), Failure> {
    for target in targets {
        let target = store.target(target);
        let mut progress = target.progress().map_err(failed)?;
        progress.rebuilding = true;
        progress.lost = true;
        progress.audit_remembers = true;
        let change = TargetChange::PutProgress(Box::new(progress));
        target.commit(vec![change]).map_err(failed)?;
    }
    store.flush().map_err(failed)?;
    Ok(())
}

/// Forgets what every target of a source has looked at: tombstones and superseded versions.
/// `targets` are all configured ones. Newcomers are compared with those who left, by a `rehire_key`
/// or a `join_key` that may be set only when somebody is held for want of it: so the tombstones of
/// people stay whom a target has a link of.
pub async fn forget_tombstones(store: &Store, targets: Vec<Target>) -> Result<(), Failure> {
    let store = store.clone();
    read::blocking(move || {
        let sources: BTreeSet<&String> =
            targets.iter().flat_map(|target| &target.sources).collect();
        for source in sources {
            forget_tombstones_of(&store, source, &targets)?;
        }
        Ok(())
    })
    .await?
    .map_err(|error: SnapshotError| failed(error))
}

fn forget_tombstones_of(
    store: &Store,
    source: &String,
    targets: &[Target],
) -> Result<(), SnapshotError> {
    let mut seen = u64::MAX;
    let mut linking = Vec::new();
    let mut listed = false;
    for target in targets {
        if target.sources.contains(source) {
            let part = store.target(&target.name);
            let progress = part.progress()?;
            seen = seen.min(progress.seen.get(source).copied().unwrap_or(0));
            let last_cycle = progress.last_cycle.map(|(at, _)| at);
            listed |= last_cycle.is_some() && last_cycle == progress.last_full;
            linking.push((part.intents()?, part));
        }
    }
    if !listed {
        // To ask for everybody who ever left is for cycles that look at everybody.
        return Ok(());
    }
    store.forget_tombstones(source, seen, |record| {
        for (intents, part) in &linking {
            if intents.contains_key(record) || part.link(record)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// The sources to read whole, and not only what changed in them: those of a target whose cycle
/// is a full one. `full`: all cycles are.
pub fn read_whole<'a>(
    store: &Store,
    targets: impl Iterator<Item = &'a Target>,
    full: bool,
    now: DateTime<Utc>,
) -> Result<BTreeSet<String>, Failure> {
    let mut whole = BTreeSet::new();
    for target in targets {
        let state = store.target(&target.name).progress().map_err(failed)?;
        let full = full
            || state.full_owed
            || state.rebuilding
            || state.settings_digest != target.settings_digest
            || is_overdue(state.last_full, target, now);
        if full {
            whole.extend(target.sources.iter().cloned());
        }
    }
    Ok(whole)
}

fn every_source_readable(readings: &Readings, target: &Target) -> bool {
    let mut sources = target.sources.iter();
    sources.all(|source| !readings.failures().contains_key(source))
}

/// Whether nobody can be the same person as somebody who is gone without being known to be:
/// every source was read, every scope group found, and everybody's `join_key` can be told.
fn known_completely(readings: &Readings, target: &Target, selection: &select::Selection) -> bool {
    let told = selection.unresolved.is_empty() && !selection.joined.has_doubts();
    every_source_readable(readings, target) && told
}

/// A moment in the future is no promise: the clock was wrong then.
fn is_overdue(last_full: Option<DateTime<Utc>>, target: &Target, now: DateTime<Utc>) -> bool {
    let every = chrono::Duration::from_std(target.full_every).unwrap_or(chrono::Duration::MAX);
    last_full.is_none_or(|last| last > now || now.signed_duration_since(last) >= every)
}

/// Where a store's state directory keeps one target's embedded sandbox.
pub fn sandbox_folder(state_dir: &std::path::Path, target: &str) -> PathBuf {
    state_dir.join("sandbox").join(target)
}
