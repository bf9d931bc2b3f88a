//! What is at a target, and whose it is: everybody listed, with the link, the match or the
//! lack of both, as a full cycle would see them.
//!
//! Sends nothing. What a person does about it with chosen rows is in `chosen`.

mod chosen;

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};

use super::known::Known;
use super::read::{Readings, failed};
use super::{Progress, Target, observe, select, window};
use crate::apply::report::{Failure, FailureKind};
use crate::plan::action::{ListedReason, Plan};
use crate::plan::input::{Candidate, Input, Observed, Standing};
use crate::plan::matching::{Index, Match, keys_for};
use crate::plan::rules::Stale;
use crate::scim::path::AttributePath;
use crate::scim::resource::{ResourceId, read_path};
use crate::snapshot::{Origin, Store};
use crate::target::Client;
pub use chosen::{Chosen, Refused, Row, Step, Wish};

/// One person's resource at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    /// The resource.
    pub resource: ResourceId,
    /// Its userName; its id where it has none.
    pub name: String,
    /// Whether it is active at the target; false where it is missing.
    pub active: bool,
    /// What provisor makes of it.
    pub state: State,
    /// The record that owns it, or would.
    pub record: Option<RecordKey>,
    /// How the link came to be.
    pub origin: Option<Origin>,
    /// In words.
    pub detail: String,
}

/// What provisor makes of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A record owns it.
    Linked,
    /// Never linked, active, and matches a record that is not entitled.
    Stale,
    /// Of no record.
    Unlinked,
    /// Matches an entitled record: the next sync adopts it.
    Matching,
    /// May be of somebody who waits for a person, or of whom nothing can be told.
    Held,
    /// A record owns it, and it is no longer at the target.
    Missing,
}

impl State {
    /// The word for it, in every format.
    pub fn name(self) -> &'static str {
        match self {
            State::Linked => "linked",
            State::Stale => "stale",
            State::Unlinked => "unlinked",
            State::Matching => "matching",
            State::Held => "held",
            State::Missing => "missing",
        }
    }
}

/// Everybody at a target.
pub struct Survey {
    /// In the order of their names.
    pub residents: Vec<Resident>,
    known: Known,
    target: Target,
    client: Client,
    people: BTreeMap<RecordKey, Candidate>,
    observed: Observed,
    now: DateTime<Utc>,
}

/// Lists a target's people and tells whose they are, by what was read of the sources, which
/// need not be published for that. A listing that does not end as announced is an error.
pub async fn survey(
    store: &Store,
    readings: &Readings,
    target: &Target,
    client: &Client,
    now: DateTime<Utc>,
    progress: &dyn Progress,
) -> Result<Survey, Failure> {
    let known = Known::new(store.target(&target.name), &target.fingerprint).map_err(failed)?;
    let target = protecting(target, &known).into_owned();
    let mut selection =
        tokio::task::block_in_place(|| select::select(&known, readings, &target, true, true, now))
            .map_err(failed)?;
    let observer = observe::Observer {
        known: &known,
        readings,
        target: &target,
        client,
        full: true,
        now,
        progress,
    };
    let seen = observer.observe(&mut selection).await?;
    if let Some(partial) = seen.partial {
        return Err(partial);
    }
    let mut rules = target.rules.clone();
    rules.stale = Stale::List;
    let totals = known.totals().map_err(failed)?;
    let input = Input {
        target: &target.name,
        now,
        rules: &rules,
        profile: &target.profile,
        keep_when_empty: &target.mapping.keep_when_empty,
        people: selection.people,
        groups: BTreeMap::new(),
        observed_users: seen.users,
        observed_groups: Observed::default(),
        linked: totals.users + totals.groups,
        snapshot_lost: false,
        full: true,
        // Whom only time decides about is not what this is for.
        complete: false,
        clock_doubt: None,
    };
    let window = window::window(&known, Vec::new(), false, now).map_err(failed)?;
    let plan = crate::plan::plan(&input, &window, None).plan;
    let Input {
        people,
        observed_users: observed,
        ..
    } = input;
    Ok(Survey {
        residents: residents(&plan, &people, &observed, &target.rules.match_on),
        known,
        target,
        client: client.clone(),
        people,
        observed,
        now,
    })
}

/// The target with those added whom an operator protects by `accounts apply`.
pub(super) fn protecting<'a>(target: &'a Target, known: &Known) -> Cow<'a, Target> {
    let protected = &known.progress().protected;
    if protected.is_empty() {
        return Cow::Borrowed(target);
    }
    let mut target = target.clone();
    target.rules.protect.extend(protected.iter().cloned());
    Cow::Owned(target)
}

fn residents(
    plan: &Plan,
    people: &BTreeMap<RecordKey, Candidate>,
    observed: &Observed,
    match_on: &[AttributePath],
) -> Vec<Resident> {
    let mut told = told(plan);
    for (id, waiting) in waiting(people, observed, match_on) {
        let said = told.entry(id).or_insert_with(|| waiting.clone());
        if said.0 == State::Unlinked {
            *said = waiting;
        }
    }
    let mut residents = Vec::new();
    for (id, listed) in &observed.resources {
        let user_name = read_path(&listed.json, &AttributePath::user_name());
        let name = user_name.and_then(|name| name.as_str());
        let mut resident = Resident {
            resource: id.clone(),
            name: name.unwrap_or(&id.0).to_owned(),
            active: listed.active,
            state: State::Unlinked,
            record: None,
            origin: None,
            detail: "matches somebody who is not entitled".to_owned(),
        };
        if let Some(owner) = observed.owners.get(id) {
            let candidate = people.get(owner);
            let link = candidate.and_then(|it| it.link.as_ref());
            resident.state = State::Linked;
            resident.record = Some(owner.clone());
            resident.origin = link.map(|link| link.origin);
            resident.detail = describe_standing(candidate.map(|it| &it.standing)).to_owned();
        } else if let Some((state, record, detail)) = told.remove(id) {
            resident.state = state;
            resident.record = record;
            resident.detail = detail;
        }
        residents.push(resident);
    }
    for (record, candidate) in people {
        let Some(link) = candidate.link.as_ref() else {
            continue;
        };
        if !observed.resources.contains_key(&link.resource) {
            let name = link.acknowledged.get(&AttributePath::user_name());
            let name = name.and_then(|name| name.as_str());
            residents.push(Resident {
                resource: link.resource.clone(),
                name: name.unwrap_or(&link.resource.0).to_owned(),
                active: false,
                state: State::Missing,
                record: Some(record.clone()),
                origin: Some(link.origin),
                detail: describe_standing(Some(&candidate.standing)).to_owned(),
            });
        }
    }
    residents
        .sort_by(|left, right| (&left.name, &left.resource).cmp(&(&right.name, &right.resource)));
    residents
}

/// Resources without a link that may be of somebody who is entitled, or of whom that cannot be told:
/// the plan is silent about those whom it leaves alone.
fn waiting(
    people: &BTreeMap<RecordKey, Candidate>,
    observed: &Observed,
    match_on: &[AttributePath],
) -> BTreeMap<ResourceId, (State, Option<RecordKey>, String)> {
    let index = Index::of_present(&observed.resources, &keys_for(Kind::User, match_on));
    let mut waiting = BTreeMap::new();
    let mut note = |resource: &ResourceId, record: &RecordKey, person: &Candidate| {
        let detail = format!(
            "may be theirs: {}",
            describe_standing(Some(&person.standing))
        );
        let said = (State::Held, Some(record.clone()), detail);
        waiting.entry(resource.clone()).or_insert(said);
    };
    let may_come = |person: &Candidate| {
        let standing = &person.standing;
        person.standing_link().is_none() && (standing.is_entitled() || standing.is_unknown())
    };
    for (record, person) in people.iter().filter(|(_, person)| may_come(person)) {
        let keys = [
            person.mapped(),
            person.intent.as_ref().map(|it| &it.attributes),
        ];
        for sought in keys.into_iter().flatten() {
            match index.find(sought) {
                Match::Unmatched => {}
                Match::One(resource) => note(&resource, record, person),
                Match::Ambiguous(resources, _) => {
                    for resource in &resources {
                        note(resource, record, person);
                    }
                }
            }
        }
    }
    for (resource, record) in &observed.external_owners {
        if let Some(person) = people.get(record).filter(|person| may_come(person)) {
            note(resource, record, person);
        }
    }
    waiting
}

/// What the plan says of resources without a link.
fn told(plan: &Plan) -> BTreeMap<ResourceId, (State, Option<RecordKey>, String)> {
    let mut told = BTreeMap::new();
    for held in plan
        .held
        .iter()
        .filter(|held| held.subject.kind == Kind::User)
    {
        if let Some(resource) = &held.subject.resource {
            let detail = format!("{:?}: {}", held.reason, held.detail);
            let said = (State::Held, held.subject.record.clone(), detail);
            told.insert(resource.clone(), said);
        }
    }
    for action in &plan.actions {
        if let Some(adoption) = &action.adoption {
            let detail = "the next sync adopts it".to_owned();
            let said = (State::Matching, action.subject.record.clone(), detail);
            told.insert(adoption.resource.clone(), said);
        }
    }
    for listed in &plan.listed {
        let state = match listed.reason {
            ListedReason::Stale => State::Stale,
            ListedReason::Unlinked => State::Unlinked,
            ListedReason::Protected
            | ListedReason::SuspendedAtTarget
            | ListedReason::Drifted
            | ListedReason::ScopeUnknown => continue,
        };
        if let Some(resource) = &listed.subject.resource {
            let said = (state, listed.subject.record.clone(), listed.detail.clone());
            told.insert(resource.clone(), said);
        }
    }
    told
}

fn describe_standing(standing: Option<&Standing>) -> &'static str {
    match standing {
        Some(Standing::Entitled) => "entitled",
        Some(Standing::OutOfScope) => "out of scope",
        Some(Standing::Disabled) => "disabled in the source",
        Some(Standing::SoftDeleted) => "deleted in the source",
        Some(Standing::Gone) => "gone from the source",
        Some(Standing::Unknown(_)) => "cannot be told",
        None => "of a source that this target does not read",
    }
}

/// Why nothing can be done with rows before a whole cycle.
fn not_ready() -> Failure {
    Failure {
        kind: FailureKind::Failed,
        chain: vec![
            "the target has not been synced yet, or its snapshot is being rebuilt: run \
             `provisor sync` first"
                .to_owned(),
        ],
    }
}
