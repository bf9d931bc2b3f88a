//! What happens to people: the table of DESIGN §5, row by row.
//!
//! Decides one net change per person. Memberships, the order of requests and the guards
//! come after; nothing here counts.

mod entitled;
mod leavers;
mod leftovers;
mod long_gone;

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::action::{Action, Change, Held, HeldReason, Listed, ListedReason, Reference, Subject};
use super::build;
use super::claims;
use super::drift::{Noted, Shown};
use super::input::{Candidate, Input, Standing};
use super::matching::{Index, Match, Move, keys_for};
use crate::scim::resource::{AttributeMap, Listed as ListedResource, ResourceId};
use crate::snapshot::link::Link;

/// The decisions about people.
#[derive(Debug, Default)]
pub(super) struct People {
    /// Net changes, in the order in which claims are settled.
    pub(super) actions: Vec<Action>,
    /// What waits.
    pub(super) held: Vec<Held>,
    /// What is shown.
    pub(super) listed: Vec<Listed>,
    /// Records that this plan links, and how a membership refers to them.
    pub(super) coming: BTreeMap<RecordKey, Reference>,
    /// Records whose link this plan gives to another: the resource is not theirs any more.
    pub(super) moved: BTreeSet<RecordKey>,
    /// Records whose resource this plan deletes.
    pub(super) deleted: BTreeSet<RecordKey>,
    /// Creates in doubt that are now known not to have happened, of records that need none.
    pub(super) closed_intents: BTreeSet<RecordKey>,
    /// Links that have served their time, or whose resource is gone when it would be deleted.
    pub(super) forgotten: BTreeSet<RecordKey>,
    /// What the listing taught about links.
    pub(super) noted: BTreeMap<RecordKey, Noted>,
}

/// Decides about every person of the input.
pub(super) fn decide(input: &Input<'_>) -> People {
    let mut table = Table::new(input);
    // Who gets a link, and be it to be switched off, is settled before anybody's values: it may
    // be somebody's manager.
    for (record, candidate) in &input.people {
        if candidate.standing.is_entitled() && candidate.standing_link().is_none() {
            table.entitled_unlinked(record, candidate);
        }
    }
    for (record, candidate) in &input.people {
        match (&candidate.standing, candidate.standing_link()) {
            (Standing::Entitled, _) => {}
            (Standing::Unknown(why), _) => table.unknown(record, candidate, why),
            (_, Some(link)) => table.leaver(record, candidate, link),
            (_, None) => {
                table.never_linked(record, candidate);
                if let Some(missing) = &candidate.link {
                    table.inactive_leaver(record, candidate, missing);
                }
            }
        }
    }
    table.join();
    for (record, candidate) in &input.people {
        if let (Standing::Entitled, Some(link)) = (&candidate.standing, candidate.standing_link()) {
            table.entitled_linked(record, candidate, link);
        }
    }
    table.unlinked();
    table.people
}

struct Table<'a> {
    input: &'a Input<'a>,
    shown: Shown<'a>,
    index: Index,
    /// Who waits because somebody else has, or wants, the same key; and why.
    waiting: BTreeMap<RecordKey, String>,
    /// Who is entitled and has no link, by `rehire_key`.
    newcomers: BTreeMap<&'a str, Vec<(&'a RecordKey, &'a Candidate)>>,
    /// Unlinked records that are, or may be, entitled, by the one resource they match.
    suitors: BTreeMap<ResourceId, BTreeSet<RecordKey>>,
    /// Resources that lost creations of people who are not entitled have made: theirs, as if
    /// they were linked.
    made: BTreeMap<ResourceId, RecordKey>,
    /// Resources that some record's keys find: not "unlinked".
    claimed: BTreeSet<ResourceId>,
    /// Resources without a link of their own record that an action of this plan is about.
    taken: BTreeSet<ResourceId>,
    /// Who gets a link, in the order in which it was settled.
    joining: Vec<(RecordKey, Joining<'a>)>,
    people: People,
}

/// How an unlinked person gets a link.
enum Joining<'a> {
    Create,
    /// Takes what was found, and from whom the link moves.
    Adopt(&'a ListedResource, Option<RecordKey>),
}

impl<'a> Table<'a> {
    fn new(input: &'a Input<'a>) -> Self {
        let match_on = &input.rules.match_on;
        let stays = |candidate: &Candidate| stays(input, candidate);
        let shown = Shown::new(input, Kind::User);
        let kept = |link: &Link| shown.kept(link);
        let waiting = claims::settle(Kind::User, input.people.iter(), match_on, stays, kept);
        let moves: Vec<Move<'_>> = input
            .people
            .iter()
            .filter(|(record, _)| !waiting.contains_key(*record))
            .filter_map(|(_, candidate)| moves(input, &shown, candidate))
            .collect();
        let keys = keys_for(Kind::User, match_on);
        let mut table = Self {
            input,
            shown,
            index: Index::new(&input.observed_users, &keys, &moves),
            waiting,
            newcomers: newcomers(input),
            suitors: BTreeMap::new(),
            made: BTreeMap::new(),
            claimed: BTreeSet::new(),
            taken: BTreeSet::new(),
            joining: Vec::new(),
            people: People::default(),
        };
        for (record, candidate) in &input.people {
            if candidate.standing_link().is_none() {
                table.note_match(record, candidate);
            }
        }
        table
    }

    /// Notes what an unlinked record finds, before anybody is given anything.
    fn note_match(&mut self, record: &RecordKey, candidate: &Candidate) {
        match self.find(record, candidate) {
            Match::Unmatched => {}
            Match::One(resource) => {
                self.claimed.insert(resource.clone());
                if candidate.standing.is_entitled() || candidate.standing.is_unknown() {
                    let suitors = self.suitors.entry(resource).or_default();
                    suitors.insert(record.clone());
                } else if self.seems_made(candidate, &resource) {
                    self.made.insert(resource, record.clone());
                }
            }
            Match::Ambiguous(resources, _) => self.claimed.extend(resources),
        }
    }

    fn find(&self, record: &RecordKey, candidate: &Candidate) -> Match {
        let sought = candidate.sought();
        let found = sought.map_or(Match::Unmatched, |sought| self.index.find(sought));
        if found == Match::Unmatched {
            return self.find_as_sent(record, candidate);
        }
        let Match::Ambiguous(resources, _) = &found else {
            return found;
        };
        // Our own creation, whose answer was lost, is its record's, whoever has the name by now.
        let named = &self.input.observed_users.external_owners;
        let is_made = |id: &&ResourceId| {
            candidate.intent.is_some()
                && (named.get(*id) == Some(record) || self.carries_what_was_sent(candidate, id))
        };
        let mut made = resources.iter().filter(is_made);
        match (made.next(), made.next()) {
            (Some(one), None) => Match::One(one.clone()),
            _ => found,
        }
    }

    /// What a lost creation has made, should the source say another name by now. What is linked
    /// to somebody else is not that.
    fn find_as_sent(&self, record: &RecordKey, candidate: &Candidate) -> Match {
        let intent = candidate.intent.as_ref();
        let found = intent.map_or(Match::Unmatched, |it| self.index.find(&it.attributes));
        let owners = &self.input.observed_users.owners;
        let may_be_theirs = |id: &ResourceId| owners.get(id).is_none_or(|owner| owner == record);
        match found {
            Match::One(resource)
                if may_be_theirs(&resource) && self.seems_made(candidate, &resource) =>
            {
                Match::One(resource)
            }
            _ => Match::Unmatched,
        }
    }

    fn subject(&self, record: &RecordKey, candidate: &Candidate) -> Subject {
        let link = candidate.standing_link();
        build::subject(record, link.map(|link| link.resource.clone()), candidate)
    }

    fn hold(
        &mut self,
        subject: Subject,
        change: Change,
        reason: HeldReason,
        detail: impl Into<String>,
    ) {
        self.people
            .held
            .push(build::held(subject, change, reason, detail));
    }

    fn list(&mut self, subject: Subject, reason: ListedReason, detail: impl Into<String>) {
        self.people.listed.push(Listed {
            subject,
            reason,
            detail: detail.into(),
        });
    }

    fn unknown(&mut self, record: &RecordKey, candidate: &Candidate, why: &str) {
        // A source that could not be read is an error of its own; who is in it is not news.
        if candidate.due {
            let subject = self.subject(record, candidate);
            self.list(subject, ListedReason::ScopeUnknown, why);
        }
    }
}

/// Who is entitled and has no link, by the `rehire_key` that may prove who they were.
fn newcomers<'a>(input: &'a Input<'_>) -> BTreeMap<&'a str, Vec<(&'a RecordKey, &'a Candidate)>> {
    let mut newcomers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (record, candidate) in &input.people {
        let is_new = candidate.standing.is_entitled() && candidate.standing_link().is_none();
        if let Some(key) = candidate.rehire_key.as_deref().filter(|_| is_new) {
            newcomers.entry(key).or_default().push((record, candidate));
        }
    }
    newcomers
}

/// Whether this plan leaves a linked record as it is, whatever it should be.
fn stays(input: &Input<'_>, candidate: &Candidate) -> bool {
    let incomplete = match candidate.mapped() {
        Some(desired) => missing_required(input, desired).is_some(),
        None => true,
    };
    let link = candidate.standing_link();
    let suspended = link.is_some_and(|link| is_suspended(input, candidate, link));
    !candidate.due || incomplete || suspended || candidate.contested.is_some()
}

/// What this plan makes of a linked record that is entitled, where it does not wait.
fn moves<'a>(input: &Input<'_>, shown: &Shown<'_>, candidate: &'a Candidate) -> Option<Move<'a>> {
    let link = candidate.standing_link()?;
    let desired = candidate.mapped()?;
    if !candidate.standing.is_entitled() || stays(input, candidate) {
        return None;
    }
    Move::of(link, desired, shown, input)
}

/// What the target requires and the mapping does not give, in words.
fn missing_required(input: &Input<'_>, desired: &AttributeMap) -> Option<String> {
    let required = &input.profile.required;
    let path = required.iter().find(|path| !desired.contains_key(path))?;
    Some(format!(
        "`{path}` is required by the target and maps to nothing"
    ))
}

/// Whether somebody else switched the person off at the target. What provisor switched off
/// itself is not suspended; the last listing is remembered in cycles that do not list.
fn is_suspended(input: &Input<'_>, candidate: &Candidate, link: &Link) -> bool {
    let observed = input.observed_users.resources.get(&link.resource);
    let inactive = observed.map_or(candidate.suspended, |listed| !listed.active);
    if link.active {
        // What we may have switched off ourselves is ours to switch on again.
        inactive && link.is_surely_active()
    } else {
        link.deactivated.is_none()
    }
}
