//! What happens to people: the table of DESIGN §5, row by row.
//!
//! Decides one net change per person. Memberships, the order of requests and the guards
//! come after; nothing here counts.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::action::{
    Action, Change, Held, HeldReason, Limit, Listed, ListedReason, Phase, Reason, Reference,
    Subject,
};
use super::build;
use super::claims;
use super::input::{Candidate, Input, Standing};
use super::matching::{self, Index, Match, keys_for};
use super::rules::{AdoptInactive, Stale};
use crate::scim::path::AttributePath;
use crate::scim::resource::{self, AttributeMap, ResourceId};
use crate::snapshot::link::Link;

/// The decisions about people.
#[derive(Debug, Default)]
pub(super) struct People {
    /// Net changes, in the order of the records.
    pub(super) actions: Vec<Action>,
    /// What waits.
    pub(super) held: Vec<Held>,
    /// What is shown.
    pub(super) listed: Vec<Listed>,
    /// Records that this plan links, and how a membership refers to them.
    pub(super) coming: BTreeMap<RecordKey, Reference>,
    /// Creates in doubt that are now known not to have happened, of records that need none.
    pub(super) closed_intents: BTreeSet<RecordKey>,
}

/// Decides about every person of the input.
pub(super) fn decide(input: &Input<'_>) -> People {
    let mut table = Table::new(input);
    // Claims are settled in this order, so that nobody takes what an entitled person has.
    for (record, candidate) in &input.people {
        if candidate.standing.is_entitled() && table.link(candidate).is_some() {
            table.entitled_linked(record, candidate);
        }
    }
    for (record, candidate) in &input.people {
        if candidate.standing.is_entitled() && table.link(candidate).is_none() {
            table.entitled_unlinked(record, candidate);
        }
    }
    for (record, candidate) in &input.people {
        match (&candidate.standing, table.link(candidate)) {
            (Standing::Entitled, _) => {}
            (Standing::Unknown(why), _) => table.unknown(record, candidate, why),
            (_, Some(link)) => table.leaver(record, candidate, link),
            (_, None) => table.never_linked(record, candidate),
        }
    }
    table.unlinked();
    table.people
}

struct Table<'a> {
    input: &'a Input<'a>,
    index: Index,
    waiting: BTreeMap<RecordKey, String>,
    /// Unlinked entitled records by the one resource they match.
    suitors: BTreeMap<ResourceId, BTreeSet<RecordKey>>,
    /// Resources that some record's keys find: not "unlinked".
    claimed: BTreeSet<ResourceId>,
    people: People,
}

impl<'a> Table<'a> {
    fn new(input: &'a Input<'a>) -> Self {
        let keys = keys_for(Kind::User, &input.rules.match_on);
        let waiting = claims::settle(Kind::User, input.people.iter(), &input.rules.match_on);
        let becoming = matching::becoming(input.people.iter(), &waiting);
        let mut table = Self {
            input,
            index: Index::new(&input.observed_users, &keys, &becoming),
            waiting,
            suitors: BTreeMap::new(),
            claimed: BTreeSet::new(),
            people: People::default(),
        };
        for (record, candidate) in &input.people {
            if table.link(candidate).is_some() {
                continue;
            }
            match table.find(candidate) {
                Match::Unmatched => {}
                Match::One(resource) => {
                    table.claimed.insert(resource.clone());
                    if candidate.standing.is_entitled() {
                        table
                            .suitors
                            .entry(resource)
                            .or_default()
                            .insert(record.clone());
                    }
                }
                Match::Ambiguous(resources, _) => table.claimed.extend(resources),
            }
        }
        table
    }

    /// The link, unless its resource is known to be gone.
    fn link<'c>(&self, candidate: &'c Candidate) -> Option<&'c Link> {
        candidate
            .link
            .as_ref()
            .filter(|link| !link.missing && !candidate.missing)
    }

    fn find(&self, candidate: &Candidate) -> Match {
        match (&candidate.desired, &candidate.intent) {
            (Some(Ok(desired)), _) => self.index.find(desired),
            (_, Some(intent)) => self.index.find(&intent.attributes),
            _ => Match::Unmatched,
        }
    }

    fn subject(&self, record: &RecordKey, candidate: &Candidate) -> Subject {
        let resource = self.link(candidate).map(|link| link.resource.clone());
        build::subject(record, resource, candidate)
    }

    fn hold(&mut self, subject: Subject, change: Change, reason: HeldReason, detail: String) {
        self.people.held.push(Held {
            subject,
            change,
            reason,
            limit: None,
            detail,
            action: None,
        });
    }

    fn list(&mut self, subject: Subject, reason: ListedReason, detail: impl Into<String>) {
        self.people.listed.push(Listed {
            subject,
            reason,
            detail: detail.into(),
        });
    }

    /// Holds the record when it cannot be mapped, lacks what the target requires, or shares
    /// a key; else gives its desired values.
    fn desired(
        &mut self,
        record: &RecordKey,
        candidate: &'a Candidate,
        change: Change,
    ) -> Option<&'a AttributeMap> {
        let subject = self.subject(record, candidate);
        let desired = match &candidate.desired {
            Some(Ok(desired)) => desired,
            Some(Err(error)) => {
                self.hold(
                    subject,
                    change,
                    HeldReason::MappingFailed,
                    error.to_string(),
                );
                return None;
            }
            None => return None,
        };
        let required = &self.input.profile.required;
        if let Some(path) = required.iter().find(|path| !desired.contains_key(path)) {
            let detail = format!("`{path}` is required by the target and maps to nothing");
            self.hold(subject, change, HeldReason::MissingRequired, detail);
            return None;
        }
        if let Some(detail) = self.waiting.get(record).cloned() {
            self.hold(subject, change, HeldReason::DuplicateKey, detail);
            return None;
        }
        Some(desired)
    }

    fn entitled_linked(&mut self, record: &RecordKey, candidate: &'a Candidate) {
        let Some(link) = self.link(candidate).cloned() else {
            return;
        };
        if !candidate.due {
            return;
        }
        let change = if link.active {
            Change::Patch
        } else {
            Change::Reactivate
        };
        let Some(desired) = self.desired(record, candidate, change) else {
            return;
        };
        let subject = self.subject(record, candidate);
        let observed = self.input.observed_users.resources.get(&link.resource);
        let switched_off = match observed {
            Some(listed) => !listed.active,
            None => candidate.suspended,
        };
        if link.active && switched_off || !link.active && link.deactivated.is_none() {
            let detail = "switched off at the target by somebody else; left alone";
            self.list(subject, ListedReason::SuspendedAtTarget, detail);
            return;
        }
        let desired = build::keep_what_stays(desired, &link, self.input);
        if link.active {
            let mut patch = build::patch(subject, &link.acknowledged, desired, None);
            if let Some(patch) = patch.as_mut().filter(|_| link.unsettled)
                && patch
                    .differences
                    .iter()
                    .any(|difference| difference.old.is_some())
            {
                patch.costs.push(build::cost(Limit::Overwrites));
            }
            self.people.actions.extend(patch);
        } else {
            let mut action = build::reactivate(subject, &link.acknowledged, desired);
            action.reason = Reason::Returned;
            self.people.actions.push(action);
        }
    }

    fn entitled_unlinked(&mut self, record: &RecordKey, candidate: &'a Candidate) {
        if !candidate.due {
            return;
        }
        let Some(desired) = self.desired(record, candidate, Change::Create) else {
            return;
        };
        let subject = self.subject(record, candidate);
        match self.find(candidate) {
            Match::Unmatched => self.create(record, candidate, desired),
            Match::Ambiguous(_, detail) => {
                self.hold(subject, Change::Adopt, HeldReason::AmbiguousMatch, detail);
            }
            Match::One(resource) => self.adopt(record, candidate, desired, resource),
        }
    }

    fn create(&mut self, record: &RecordKey, candidate: &Candidate, desired: &AttributeMap) {
        let subject = self.subject(record, candidate);
        if let Some(intent) = &candidate.intent {
            let settled = self.settled(intent.at);
            if !settled || !self.input.observed_users.complete {
                let detail = "the answer to its creation was lost; it is looked for again once \
                              the target has settled";
                self.hold(
                    subject,
                    Change::Create,
                    HeldReason::InDoubt,
                    detail.to_owned(),
                );
                return;
            }
        }
        let recreated = candidate.link.is_some();
        let reason = if recreated {
            Reason::MissingAtTarget
        } else {
            Reason::NewInScope
        };
        let mut action = build::create(subject, desired.clone(), reason, Phase::Joiners);
        if recreated {
            action.costs.push(build::cost(Limit::Recreations));
        }
        self.people
            .coming
            .insert(record.clone(), Reference::Pending(record.clone()));
        self.people.actions.push(action);
    }

    fn settled(&self, since: chrono::DateTime<chrono::Utc>) -> bool {
        let settle =
            chrono::Duration::from_std(self.input.rules.settle).unwrap_or(chrono::Duration::MAX);
        self.input.now.signed_duration_since(since) >= settle
    }

    fn adopt(
        &mut self,
        record: &RecordKey,
        candidate: &Candidate,
        desired: &AttributeMap,
        resource: ResourceId,
    ) {
        let mut subject = self.subject(record, candidate);
        subject.resource = Some(resource.clone());
        let observed = &self.input.observed_users;
        let Some(listed) = observed.resources.get(&resource) else {
            return;
        };
        let rivals = self.suitors.get(&resource).map_or(0, BTreeSet::len);
        if rivals > 1 {
            let detail = format!("{rivals} records match the same resource");
            self.hold(subject, Change::Adopt, HeldReason::DuplicateKey, detail);
            return;
        }
        let mut moved_from = None;
        if let Some(owner) = observed
            .owners
            .get(&resource)
            .filter(|owner| *owner != record)
        {
            let former = self.input.people.get(owner);
            let standing = former.map(|former| &former.standing);
            let rehired = candidate.rehire_key.is_some()
                && former.is_some_and(|former| former.rehire_key == candidate.rehire_key);
            match standing {
                None | Some(Standing::Entitled | Standing::Unknown(_)) => {
                    let detail = format!(
                        "the matching resource belongs to {} {}",
                        owner.source, owner.id
                    );
                    self.hold(subject, Change::Adopt, HeldReason::DuplicateKey, detail);
                    return;
                }
                Some(_) if rehired => moved_from = Some(owner.clone()),
                Some(_) => {
                    let detail = format!(
                        "the matching resource belongs to {} {}, who is not entitled any more; \
                         if this is the same person, set `rehire_key`",
                        owner.source, owner.id
                    );
                    self.hold(subject, Change::Adopt, HeldReason::PossibleRehire, detail);
                    return;
                }
            }
        }
        if moved_from.is_none()
            && let Some(other) = observed
                .external_owners
                .get(&resource)
                .filter(|other| *other != record)
        {
            let detail = format!(
                "the matching resource carries the externalId of {} {}",
                other.source, other.id
            );
            self.hold(subject, Change::Adopt, HeldReason::AmbiguousMatch, detail);
            return;
        }
        if !listed.active && self.input.rules.adopt_inactive == AdoptInactive::Hold {
            let detail = "the matching resource is inactive, and `adopt_inactive` is \"hold\"";
            self.hold(
                subject,
                Change::Reactivate,
                HeldReason::PossibleRehire,
                detail.to_owned(),
            );
            return;
        }
        let reason = if moved_from.is_some() {
            Reason::Rehired
        } else {
            Reason::Matched
        };
        let take_over = self.input.rules.take_over || moved_from.is_some();
        let mut action = build::adopt(subject, listed, desired.clone(), take_over, reason);
        if let Some(adoption) = &mut action.adoption {
            adoption.moved_from = moved_from;
        }
        self.people
            .coming
            .insert(record.clone(), Reference::Linked(resource));
        self.people.actions.push(action);
    }

    fn unknown(&mut self, record: &RecordKey, candidate: &Candidate, why: &str) {
        // A source that could not be read is an error of its own; who is in it is not news.
        if candidate.due {
            self.list(
                self.subject(record, candidate),
                ListedReason::ScopeUnknown,
                why,
            );
        }
    }

    fn leaver(&mut self, record: &RecordKey, candidate: &Candidate, link: &Link) {
        let observed = self.input.observed_users.resources.get(&link.resource);
        let active = observed.map_or(link.active, |listed| listed.active);
        if !active {
            return;
        }
        let reason = if link.active {
            build::leaving(&candidate.standing)
        } else {
            Reason::Drifted
        };
        self.deactivate(
            self.subject(record, candidate),
            candidate,
            link.clone(),
            reason,
        );
    }

    fn deactivate(&mut self, subject: Subject, candidate: &Candidate, link: Link, reason: Reason) {
        if let Some(key) =
            build::protected_by(&subject, &link.acknowledged, &self.input.rules.protect)
        {
            let detail = format!("not deactivated ({reason:?}): `protect` names {key}");
            self.list(subject, ListedReason::Protected, detail);
            return;
        }
        debug_assert!(!candidate.standing.is_entitled() && !candidate.standing.is_unknown());
        self.people
            .actions
            .push(build::deactivate(subject, reason, self.input.profile));
    }

    /// Not entitled and never linked: the pre-assignment gap, and creates whose answer was
    /// lost. Only a complete listing can tell.
    fn never_linked(&mut self, record: &RecordKey, candidate: &Candidate) {
        if !self.input.observed_users.complete {
            return;
        }
        let mut subject = self.subject(record, candidate);
        let resources = match self.find(candidate) {
            Match::Unmatched => {
                if candidate
                    .intent
                    .as_ref()
                    .is_some_and(|intent| self.settled(intent.at))
                {
                    self.people.closed_intents.insert(record.clone());
                }
                return;
            }
            Match::One(resource) => BTreeSet::from([resource]),
            Match::Ambiguous(resources, _) => resources,
        };
        let several = resources.len() > 1;
        for resource in resources {
            let observed = &self.input.observed_users;
            let Some(listed) = observed.resources.get(&resource) else {
                continue;
            };
            let wanted = self.suitors.contains_key(&resource)
                || observed.owners.contains_key(&resource)
                || observed
                    .external_owners
                    .get(&resource)
                    .is_some_and(|other| other != record);
            if !listed.active || wanted {
                continue;
            }
            subject.resource = Some(resource.clone());
            let found = build::found(listed, candidate);
            let ours = candidate.intent.is_some();
            if !several && (ours || self.input.rules.stale == Stale::Deactivate) {
                let reason = if ours {
                    build::leaving(&candidate.standing)
                } else {
                    Reason::Stale
                };
                let protect = &self.input.rules.protect;
                if let Some(key) = build::protected_by(&subject, &found, protect) {
                    let detail = format!("not deactivated ({reason:?}): `protect` names {key}");
                    self.list(subject.clone(), ListedReason::Protected, detail);
                    continue;
                }
                let mut action = build::deactivate(subject.clone(), reason, self.input.profile);
                action.adoption = Some(build::adoption(listed, found, Vec::new(), None));
                self.people.actions.push(action);
            } else {
                let detail = "never linked, not entitled and active at the target";
                self.list(subject.clone(), ListedReason::Stale, detail);
            }
        }
    }

    fn unlinked(&mut self) {
        let observed = &self.input.observed_users;
        if !observed.complete {
            return;
        }
        for (id, listed) in &observed.resources {
            if observed.owners.contains_key(id) || self.claimed.contains(id) {
                continue;
            }
            let name = resource::read_path(&listed.json, &AttributePath::user_name())
                .and_then(|name| name.as_str())
                .unwrap_or(&id.0);
            let subject = Subject {
                kind: Kind::User,
                record: None,
                resource: Some(id.clone()),
                name: name.to_owned(),
            };
            if listed.active && self.input.snapshot_lost && self.looks_like_ours(listed) {
                self.probable_leaver(subject, listed);
                continue;
            }
            let detail = if listed.active {
                "in no source; active"
            } else {
                "in no source; inactive"
            };
            self.people.listed.push(Listed {
                subject,
                reason: ListedReason::Unlinked,
                detail: detail.to_owned(),
            });
        }
    }

    /// After a lost snapshot, somebody at the target whom no source has and whose externalId
    /// has the form of our own is probably a leaver whose link is lost. The guards hold it for
    /// a person to decide.
    fn probable_leaver(&mut self, subject: Subject, listed: &resource::Listed) {
        let user_name = AttributePath::user_name();
        let name = resource::read_path(&listed.json, &user_name).cloned();
        let found = name.map(|name| (user_name, name)).into_iter().collect();
        if build::protected_by(&subject, &found, &self.input.rules.protect).is_some() {
            let detail = "in no source, but protected";
            return self.list(subject, ListedReason::Protected, detail);
        }
        let action = build::deactivate(subject, Reason::ProbableLeaver, self.input.profile);
        self.people.actions.push(action);
    }

    fn looks_like_ours(&self, listed: &resource::Listed) -> bool {
        let external_id = resource::read_path(&listed.json, &AttributePath::external_id());
        let Some(external_id) = external_id.and_then(|value| value.as_str()) else {
            return false;
        };
        let form = form_of(external_id);
        self.input
            .people
            .keys()
            .any(|record| form_of(record.id.as_str()) == form)
    }
}

/// The form of a key: runs of digits, of letters, and what is between them.
fn form_of(key: &str) -> String {
    let mut form = String::new();
    for character in key.chars() {
        let class = match character {
            '0'..='9' => '9',
            _ if character.is_alphabetic() => 'a',
            other => other,
        };
        if !form.ends_with(class) {
            form.push(class);
        }
    }
    form
}
