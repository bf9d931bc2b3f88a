//! What happens to groups: the last rows of the table of DESIGN §5.
//!
//! Runs after the people are decided, because a group may refer to people whom the same
//! plan creates. Only edges that provisor owns are ever removed.

mod foreign;
mod leaving;
mod linked;
mod members;
mod waves;

pub(super) use waves::settle as settle_waves;
mod nested;

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::action::{
    Action, Change, Held, HeldReason, Listed, ListedReason, Phase, Reason, Reference, Subject,
};
use super::build;
use super::claims;
use super::drift::{Noted, Shown};
use super::input::{Candidate, GroupCandidate, Input, Standing};
use super::matching::{Index, Match, Move, keys_for};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed as Resource, ResourceId, read_path};
use crate::snapshot::link::Link;

/// The decisions about groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Net changes, in the order of the records.
    pub(super) actions: Vec<Action>,
    /// What waits.
    pub(super) held: Vec<Held>,
    /// What is shown.
    pub(super) listed: Vec<Listed>,
    /// Creates in doubt that are now known not to have happened, of records that need none.
    pub(super) closed_intents: BTreeSet<RecordKey>,
    /// What the listing taught about links.
    pub(super) noted: BTreeMap<RecordKey, Noted>,
}

/// Decides about every group of the input. `coming` are the people whom this plan links,
/// `moved` those whose link it gives to another.
pub(super) fn decide(
    input: &Input<'_>,
    coming: &BTreeMap<RecordKey, Reference>,
    moved: &BTreeSet<RecordKey>,
) -> Groups {
    let inner = |group: &GroupCandidate| group.members.iter().any(|each| each.kind == Kind::Group);
    if !input.groups.values().any(inner) {
        return Table::new(input, coming, moved).decide();
    }
    // Members decide about no group's own fate, so a first round tells which groups there
    // will be for others to contain.
    let first = Table::new(input, coming, moved).decide();
    let mut coming = coming.clone();
    coming.extend(nested::arrivals(&first.actions));
    Table::new(input, &coming, moved).decide()
}

struct Table<'a> {
    input: &'a Input<'a>,
    coming: &'a BTreeMap<RecordKey, Reference>,
    moved: &'a BTreeSet<RecordKey>,
    /// What each unlinked group finds.
    found: BTreeMap<&'a RecordKey, Match>,
    /// Groups that lost creations have made, of records that are not to be there any more.
    made: BTreeMap<ResourceId, &'a RecordKey>,
    /// How many groups that are, or may be, pushed find a resource.
    suitors: BTreeMap<ResourceId, usize>,
    /// Who waits because another group has, or wants, the same name; and why.
    waiting: BTreeMap<RecordKey, String>,
    /// New groups in new groups, whom only a second request can join: the outer, the inner.
    second: BTreeSet<(RecordKey, RecordKey)>,
    /// Where members that provisor never added are to go: those who may be somebody's.
    unsure: BTreeSet<ResourceId>,
    shown: Shown<'a>,
    groups: Groups,
}

impl<'a> Table<'a> {
    fn new(
        input: &'a Input<'a>,
        coming: &'a BTreeMap<RecordKey, Reference>,
        moved: &'a BTreeSet<RecordKey>,
    ) -> Self {
        let candidates = || {
            let groups = input.groups.iter();
            groups.map(|(record, group)| (record, &group.group))
        };
        let shown = Shown::new(input, Kind::Group);
        let kept = |link: &Link| shown.kept(link);
        let waiting = claims::settle(Kind::Group, candidates(), &[], stays, kept);
        let moves: Vec<Move<'_>> = candidates()
            .filter(|(record, _)| !waiting.contains_key(*record))
            .filter_map(|(_, candidate)| moves(input, &shown, candidate))
            .collect();
        let keys = keys_for(Kind::Group, &[]);
        let index = Index::new(&input.observed_groups, &keys, &moves);
        let mut found = BTreeMap::new();
        let mut suitors: BTreeMap<ResourceId, usize> = BTreeMap::new();
        let mut made = BTreeMap::new();
        for (record, candidate) in candidates() {
            let (Some(sought), None) = (candidate.sought(), candidate.standing_link()) else {
                continue;
            };
            let hit = match index.find(sought) {
                Match::Unmatched => find_as_sent(input, &index, record, candidate),
                hit => hit,
            };
            let standing = &candidate.standing;
            if let Match::One(resource) = &hit {
                let listed = input.observed_groups.resources.get(resource);
                if standing.is_entitled() || standing.is_unknown() {
                    *suitors.entry(resource.clone()).or_default() += 1;
                } else if listed.is_some_and(|it| leaving::is_made(record, candidate, it)) {
                    made.insert(resource.clone(), record);
                }
            }
            found.insert(record, hit);
        }
        Self {
            input,
            coming,
            moved,
            found,
            made,
            suitors,
            waiting,
            second: nested::second(input, coming),
            unsure: foreign::unsure(input, coming),
            shown,
            groups: Groups::default(),
        }
    }

    fn decide(mut self) -> Groups {
        for (record, group) in &self.input.groups {
            self.group(record, group);
        }
        self.unlinked();
        self.groups
    }

    fn group(&mut self, record: &RecordKey, group: &GroupCandidate) {
        let candidate = &group.group;
        if !candidate.due {
            return;
        }
        let link = candidate.standing_link();
        let resource = link.map(|link| link.resource.clone());
        let subject = build::subject(record, resource, candidate);
        match (&candidate.standing, link) {
            (Standing::Unknown(why), _) => self.list(subject, ListedReason::ScopeUnknown, why),
            (Standing::Entitled, _) => self.entitled(subject, record, group, link),
            (_, Some(link)) => self.leave(subject, group, link),
            (_, None) => self.left_over(subject, record, group),
        }
    }

    fn hold(
        &mut self,
        subject: Subject,
        change: Change,
        reason: HeldReason,
        detail: impl Into<String>,
    ) {
        self.groups
            .held
            .push(build::held(subject, change, reason, detail));
    }

    fn list(&mut self, subject: Subject, reason: ListedReason, detail: impl Into<String>) {
        self.groups.listed.push(Listed {
            subject,
            reason,
            detail: detail.into(),
        });
    }

    fn entitled(
        &mut self,
        subject: Subject,
        record: &RecordKey,
        group: &GroupCandidate,
        link: Option<&Link>,
    ) {
        let change = if link.is_some() {
            Change::Patch
        } else {
            Change::Create
        };
        let desired = match &group.group.desired {
            Some(Ok(desired)) => desired,
            Some(Err(error)) => {
                let detail = error.to_string();
                return self.hold(subject, change, HeldReason::MappingFailed, detail);
            }
            None => return,
        };
        if !desired.contains_key(&AttributePath::display_name()) {
            let detail = "`displayName` is required of a group and maps to nothing";
            return self.hold(subject, change, HeldReason::MissingRequired, detail);
        }
        if let Some(detail) = self.waiting.get(record).cloned() {
            return self.hold(subject, change, HeldReason::DuplicateKey, detail);
        }
        if let Some(link) = link {
            return self.patch(subject, record, group, link, desired);
        }
        match self.found.get(record).cloned() {
            None | Some(Match::Unmatched) => self.create(subject, record, group, desired),
            Some(Match::Ambiguous(_, detail)) => {
                self.hold(subject, Change::Adopt, HeldReason::AmbiguousMatch, detail);
            }
            Some(Match::One(resource)) => self.adopt(subject, record, group, desired, &resource),
        }
    }

    fn create(
        &mut self,
        subject: Subject,
        record: &RecordKey,
        group: &GroupCandidate,
        desired: &AttributeMap,
    ) {
        if self.input.is_in_doubt(Kind::Group, &group.group) {
            return self.hold(
                subject,
                Change::Create,
                HeldReason::InDoubt,
                build::IN_DOUBT,
            );
        }
        let again = group.group.link.is_some();
        let mut action = build::create(subject, desired.clone(), again, Phase::Groups);
        let second = |reference: &Reference| match reference {
            Reference::Pending(inner) => self.second.contains(&(record.clone(), inner.clone())),
            Reference::Linked(_) => false,
        };
        let (later, now): (Vec<_>, Vec<_>) = self.wanted(group).into_iter().partition(second);
        let limit = self.members_per_request();
        members::put_into_create(&mut action, group, now, later, limit);
        self.groups.actions.push(action);
    }

    fn adopt(
        &mut self,
        mut subject: Subject,
        record: &RecordKey,
        group: &GroupCandidate,
        desired: &AttributeMap,
        resource: &ResourceId,
    ) {
        let Some(listed) = self.input.observed_groups.resources.get(resource) else {
            return;
        };
        subject.resource = Some(resource.clone());
        if let Some(detail) = self.rivals(record, resource) {
            return self.hold(subject, Change::Adopt, HeldReason::DuplicateKey, detail);
        }
        let take_over = self.input.rules.take_over;
        let wanted = self.wanted(group);
        let group = &leaving::as_made(record, group, listed);
        let mut remove = self.removable(&subject, group, &wanted);
        remove.extend(self.foreign(&subject, group, listed, &wanted));
        let nobody = AttributeMap::new();
        let desired = desired.clone();
        let reason = Reason::Matched;
        let mut action = build::adopt(subject, listed, desired, &nobody, take_over, reason);
        let add = put_found_members(&mut action, wanted, listed);
        members::put_into(&mut action, add, remove, self.members_per_request());
        self.groups.actions.push(action);
    }

    /// Who else has, or finds, the group that this record finds; in words.
    fn rivals(&self, record: &RecordKey, resource: &ResourceId) -> Option<String> {
        let observed = &self.input.observed_groups;
        let owner = observed.owners.get(resource);
        let owner = owner.or(self.made.get(resource).copied());
        let named = owner.or(observed.external_owners.get(resource));
        if let Some(other) = named.filter(|other| *other != record) {
            return Some(format!(
                "the matching group belongs to {} {}",
                other.source, other.id
            ));
        }
        let count = self.suitors.get(resource).copied().unwrap_or(0);
        (count > 1).then(|| format!("{count} records match the same group"))
    }

    /// Groups of a complete listing that no link and no record's key finds.
    fn unlinked(&mut self) {
        let observed = &self.input.observed_groups;
        if !(observed.complete && self.input.full) {
            return;
        }
        let mut claimed: BTreeSet<ResourceId> = BTreeSet::new();
        for found in self.found.values() {
            match found {
                Match::Unmatched => {}
                Match::One(resource) => claimed.extend([resource.clone()]),
                Match::Ambiguous(resources, _) => claimed.extend(resources.iter().cloned()),
            }
        }
        for (id, listed) in &observed.resources {
            if !observed.owners.contains_key(id) && !claimed.contains(id) {
                let subject = build::unclaimed(Kind::Group, listed);
                self.list(subject, ListedReason::Unlinked, "in no source");
            }
        }
    }

    /// The most members that one request may name.
    fn members_per_request(&self) -> usize {
        self.input.profile.members_per_request.max(1)
    }
}

/// What a lost creation has made, should the source say another name by now. What is linked to
/// another group is not that, nor what was there when a creation was refused for its name.
fn find_as_sent(
    input: &Input<'_>,
    index: &Index,
    record: &RecordKey,
    candidate: &Candidate,
) -> Match {
    let Some(intent) = &candidate.intent else {
        return Match::Unmatched;
    };
    let observed = &input.observed_groups;
    let is_anothers = |id: &ResourceId| {
        let owner = observed.owners.get(id).or(observed.external_owners.get(id));
        owner.is_some_and(|owner| owner != record)
    };
    let is_made = |id: &ResourceId| {
        let listed = observed.resources.get(id);
        listed.is_some_and(|listed| {
            let external_id = read_path(&listed.json, &AttributePath::external_id());
            let may_be_older = intent.refused || intent.earlier.is_some();
            leaving::is_made(record, candidate, listed) || external_id.is_none() && !may_be_older
        })
    };
    match index.find(&intent.attributes) {
        Match::One(id) if is_made(&id) && !is_anothers(&id) => Match::One(id),
        _ => Match::Unmatched,
    }
}

/// Members found in place become ours with the link. Returns those still to be added.
fn put_found_members(
    action: &mut Action,
    wanted: Vec<Reference>,
    listed: &Resource,
) -> Vec<Reference> {
    let present: BTreeSet<&ResourceId> = listed.members.iter().flatten().collect();
    let mut found = Vec::new();
    let mut add = Vec::new();
    for reference in wanted {
        match reference {
            Reference::Linked(id) if present.contains(&id) => found.push(id),
            other => add.push(other),
        }
    }
    if let Some(adoption) = &mut action.adoption {
        adoption.members = found;
    }
    add
}

/// Whether this plan leaves a linked group's name as it is, whatever it should be.
fn stays(candidate: &Candidate) -> bool {
    let named = |desired: &AttributeMap| desired.contains_key(&AttributePath::display_name());
    !candidate.due || !candidate.mapped().is_some_and(named)
}

/// What this plan makes of a linked group that is pushed, where it does not wait.
fn moves<'a>(input: &Input<'_>, shown: &Shown<'_>, candidate: &'a Candidate) -> Option<Move<'a>> {
    let link = candidate.standing_link()?;
    if !candidate.standing.is_entitled() || stays(candidate) {
        return None;
    }
    Move::of(link, candidate.mapped()?, shown, input)
}

/// An action that does not do anything yet.
fn bare(subject: Subject, change: Change, reason: Reason) -> Action {
    Action {
        subject,
        change,
        reason,
        adoption: None,
        differences: Vec::new(),
        requests: Vec::new(),
        costs: Vec::new(),
    }
}
