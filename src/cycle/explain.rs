//! Why somebody has what they have: everything the engine knows about one person, and what
//! it would do about them now.
//!
//! Reads the mirror and the links, and sends nothing. Decides nothing of its own: scope,
//! mapping and plan are those of a cycle, for one person.

mod find;
mod mapped;
mod person;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, Lifecycle, RecordKey, Value};

use super::accounts::protecting;
use super::clock;
use super::known::Known;
use super::read::{Readings, failed};
use super::select::one::{One, select_one};
use super::{Target, is_overdue, window};
use crate::apply::report::Failure;
use crate::mapping::MappingError;
use crate::plan;
use crate::plan::action::{Change, Plan, Subject};
use crate::plan::input::{Candidate, Input, Observed, Standing};
use crate::plan::long_gone::{Moments, has_come};
use crate::scim::path::AttributePath;
use crate::scim::resource::AttributeMap;
use crate::scope::Verdict;
use crate::snapshot::{Intent, Link, MirrorRow, Open, SnapshotError, Store};
pub use find::find_person;
use mapped::mapped;
pub use person::Person;

/// What looking for a person came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Whom the key names, each with the name they go by.
    pub found: BTreeMap<RecordKey, String>,
    /// When nobody: who is called something similar.
    pub near: BTreeMap<RecordKey, String>,
}

/// One person at one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The target's name.
    pub target: String,
    /// When the target's last cycle ended; `None` before the first.
    pub last_cycle: Option<DateTime<Utc>>,
    /// What the source says, as this target sees it; `None` when the source does not know
    /// them (any more) and there is no link either.
    pub standing: Option<Standing>,
    /// Records of other sources that are the same person (`join_key`).
    pub joined: Vec<RecordKey>,
    /// Whether the scope has them.
    pub verdict: Verdict,
    /// Each configured scope group; empty when none is.
    pub scope: Vec<ScopeReason>,
    /// The condition, if one is configured.
    pub condition: Option<ConditionReason>,
    /// What each path is mapped from, and what comes of it.
    pub mapped: Vec<Mapped>,
    /// Why the record cannot be mapped.
    pub mapping_error: Option<MappingError>,
    /// The link.
    pub link: Option<Link>,
    /// When only time decides about them, where they are gone and deactivated.
    pub moments: Moments,
    /// A create whose answer was never seen.
    pub intent: Option<Intent>,
    /// Why and when they are looked at again.
    pub open: Option<Open>,
    /// What the last cycle held of them, a line each.
    pub held: Vec<String>,
    /// The held set that `approve` takes, if the target holds one.
    pub held_id: Option<String>,
    /// The key by which `protect` names them.
    pub protected: Option<String>,
    /// Their groups.
    pub memberships: Vec<Membership>,
    /// What would be done now, as far as that can be said without asking the target.
    pub plan: Plan,
    /// What only a look at the target can tell.
    pub unsaid: Option<String>,
}

/// A configured scope group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeReason {
    /// As configured.
    pub configured: String,
    /// As found in the source.
    pub group: Option<RecordKey>,
    /// Why it was not found, or could not be read.
    pub problem: Option<String>,
    /// The way from the group down to the person; `None` when they are not in it.
    pub path: Option<Vec<String>>,
}

/// The condition on who is in scope, asked of one person.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionReason {
    /// As configured.
    pub configured: String,
    /// The source attributes it looks at, with the record's values.
    pub inputs: BTreeMap<String, Vec<Value>>,
    /// What it says; `None` of who is gone, because it is not asked of them.
    pub verdict: Option<Verdict>,
}

/// A group that a person is in, in the source or at the target, or that is made of what they
/// have in common with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: RecordKey,
    /// What it is called.
    pub name: String,
    /// The way from the group down to the person; empty when only the target has them in it,
    /// and for a group that is made.
    pub path: Vec<String>,
    /// The attribute that they belong in it by, if the group is made (`group_by`).
    pub made_from: Option<String>,
    /// The group itself is at the target. One that is still to be made is not.
    pub linked: bool,
    /// The group is pushed to this target.
    pub pushed: bool,
    /// The target has them in it, by provisor's doing or agreement.
    pub at_target: bool,
}

/// One path of the mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// The path.
    pub path: AttributePath,
    /// The expression as configured, or the attribute that the default takes.
    pub from: String,
    /// Not configured: the default mapping has it.
    pub default: bool,
    /// The source attributes it takes, with the record's values.
    pub inputs: BTreeMap<String, Vec<Value>>,
    /// What comes of it; `None` when nothing does.
    pub result: Option<serde_json::Value>,
}

/// The record as the mirror has it; tombstones included. Blocking.
pub fn record_of(readings: &Readings, record: &RecordKey) -> Result<Option<MirrorRow>, Failure> {
    match readings.view(&record.source) {
        Some(view) => view.row(record.kind, &record.id).map_err(failed),
        None => Ok(None),
    }
}

/// Explains one person at one target. Blocking; asks the target nothing.
pub fn explain(
    store: &Store,
    readings: &Readings,
    target: &Target,
    record: &RecordKey,
    now: DateTime<Utc>,
) -> Result<Explained, Failure> {
    explain_from(store, readings, target, record, now).map_err(failed)
}

fn explain_from(
    store: &Store,
    readings: &Readings,
    target: &Target,
    record: &RecordKey,
    now: DateTime<Utc>,
) -> Result<Explained, SnapshotError> {
    let known = Known::new(store.target(&target.name), &target.fingerprint)?;
    let target = &*protecting(target, &known);
    let state = known.progress();
    let resettled = state.settings_digest != target.settings_digest;
    let one = select_one(&known, readings, target, record, resettled, now)?;
    let record = &one.record.clone();
    let candidate = one.selection.people.get(record).cloned();
    let desired = candidate.as_ref().and_then(|it| it.desired.clone());
    let link = candidate.as_ref().and_then(|it| it.link.clone());
    let subject = subject_of(record, candidate.as_ref());
    let acknowledged = link.as_ref().map(|link| link.acknowledged.clone());
    let shown = acknowledged
        .or_else(|| desired.clone().and_then(Result::ok))
        .unwrap_or_default();
    let held_line = format!("{} {}: ", Kind::User, subject.name);
    let held: Vec<String> = state
        .held
        .iter()
        .filter_map(|line| line.strip_prefix(&held_line).map(str::to_owned))
        .collect();
    let mut explained = Explained {
        target: target.name.clone(),
        last_cycle: state.last_cycle.as_ref().map(|(at, _)| *at),
        standing: candidate.as_ref().map(|it| it.standing.clone()),
        verdict: one.verdict.clone(),
        scope: one.scope.clone(),
        condition: one.condition.clone(),
        joined: candidate
            .as_ref()
            .map_or_else(Vec::new, |it| it.joined.clone()),
        mapped: match &one.attributes {
            Some(attributes) if candidate.is_some() => mapped(target, record, attributes),
            _ => Vec::new(),
        },
        mapping_error: desired.as_ref().and_then(|it| it.as_ref().err().cloned()),
        moments: moments(candidate.as_ref(), target),
        intent: candidate.as_ref().and_then(|it| it.intent.clone()),
        open: known.open()?.remove(record),
        held_id: state.held_id.clone().filter(|_| !held.is_empty()),
        held,
        protected: protected(&subject, candidate.as_ref(), &shown, target),
        memberships: one.memberships.clone(),
        plan: plan_without_looking(&known, target, one, record, now)?,
        unsaid: None,
        link,
    };
    explained.unsaid = unsaid(&mut explained.plan, candidate.as_ref(), record);
    let planned = explained.plan.actions.len() + explained.plan.held.len();
    if planned == 0 && has_come(explained.moments.delete, now) && explained.protected.is_none() {
        explained.unsaid = Some(
            "a look at the target decides: deleted if it is still there, inactive and the same"
                .to_owned(),
        );
    }
    if explained.unsaid.is_none()
        && (state.rebuilding || known.is_void() || is_overdue(state.last_full, target, now))
    {
        explained.unsaid = Some(
            "the next cycle is a full one: what the target holds is compared as well".to_owned(),
        );
    }
    Ok(explained)
}

/// The key by which `protect` names somebody, asked as the plan asks.
fn protected(
    subject: &Subject,
    candidate: Option<&Candidate>,
    shown: &AttributeMap,
    target: &Target,
) -> Option<String> {
    let protect = &target.rules.protect;
    let link = candidate.and_then(|it| it.link.as_ref());
    let joined = candidate.map_or(&[][..], |it| &it.joined);
    plan::protected_by(subject, shown, protect)
        .or_else(|| plan::link_protected_by(subject, link?, protect))
        .or_else(|| plan::record_protected_by(joined, protect))
}

fn moments(candidate: Option<&Candidate>, target: &Target) -> Moments {
    let gone = candidate.filter(|it| it.standing == Standing::Gone);
    let link = gone.and_then(|it| it.link.as_ref());
    link.map_or_else(Moments::default, |link| Moments::of(link, &target.rules))
}

fn subject_of(record: &RecordKey, candidate: Option<&Candidate>) -> Subject {
    let user_name = AttributePath::user_name();
    let desired = candidate.and_then(|it| it.desired.as_ref()?.as_ref().ok());
    let acknowledged = candidate.and_then(|it| Some(&it.link.as_ref()?.acknowledged));
    let name = [desired, acknowledged]
        .into_iter()
        .flatten()
        .find_map(|values| values.get(&user_name)?.as_str());
    Subject {
        kind: record.kind,
        record: Some(record.clone()),
        resource: candidate.and_then(|it| Some(it.link.as_ref()?.resource.clone())),
        name: name.unwrap_or(record.id.as_str()).to_owned(),
    }
}

/// The plan of a cycle that looks at one person and asks the target nothing.
fn plan_without_looking(
    known: &Known,
    target: &Target,
    one: One,
    record: &RecordKey,
    now: DateTime<Utc>,
) -> Result<Plan, SnapshotError> {
    let state = known.progress();
    let totals = known.totals()?;
    let resettled = state.settings_digest != target.settings_digest;
    let halve = state.halve_limits || resettled && !state.settings_digest.is_empty();
    let input = Input {
        target: &target.name,
        now,
        rules: &target.rules,
        profile: &target.profile,
        keep_when_empty: &target.mapping.keep_when_empty,
        people: one.selection.people,
        groups: one.selection.groups,
        observed_users: Observed::default(),
        observed_groups: Observed::default(),
        linked: totals.users + totals.groups,
        snapshot_lost: false,
        full: false,
        complete: true,
        clock_doubt: clock::doubt(state, now, None),
    };
    let window = window::window(known, Vec::new(), halve, now)?;
    let mut plan = crate::plan::plan(&input, &window, None).plan;
    let about =
        |subject: &Subject| subject.kind == Kind::Group || subject.record.as_ref() == Some(record);
    plan.actions.retain(|action| about(&action.subject));
    plan.held.retain(|held| about(&held.subject));
    plan.listed.retain(|listed| about(&listed.subject));
    // It names a set of one; the set that can be released is that of a whole cycle.
    plan.held_id = None;
    Ok(plan)
}

/// What cannot be said without a look at the target; takes guesses out of the plan.
fn unsaid(plan: &mut Plan, candidate: Option<&Candidate>, record: &RecordKey) -> Option<String> {
    let candidate = candidate?;
    let linked = candidate.link.as_ref().is_some_and(|link| !link.missing);
    if linked || !candidate.due {
        return None;
    }
    if candidate.standing.is_entitled() {
        let creates = plan.actions.iter().any(|action| {
            action.change == Change::Create && action.subject.record.as_ref() == Some(record)
        });
        plan.actions.clear();
        return creates.then(|| {
            "a look at the target decides: created if nobody matches there, adopted if one does"
                .to_owned()
        });
    }
    let leaving = !candidate.standing.is_unknown();
    leaving
        .then(|| "not linked: only a full cycle can find them at the target, as `Stale`".to_owned())
}

/// What a source says about a life, in words.
pub fn describe_lifecycle(lifecycle: Lifecycle) -> &'static str {
    match lifecycle {
        Lifecycle::Active => "active",
        Lifecycle::Disabled => "disabled",
        Lifecycle::SoftDeleted { .. } => "deleted, and can still be restored",
        Lifecycle::Unknown => "unknown",
    }
}
