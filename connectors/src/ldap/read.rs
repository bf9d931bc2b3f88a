//! A read. A full one: everybody who is there, then the groups, then what could only be told at the
//! end.
//!
//! People are handed on as they come. Held back are only those who name somebody not read yet
//! (a manager), and groups with such members. Must not decide what happens to anybody.

mod asked;
mod changes;
mod former;
mod marks;
mod memberships;
mod missing;
mod moved;
mod naming;
mod recognise;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use self::recognise::Recognised;
use self::told::Rare;
use super::answers::Answers;
use super::config::{Changes, Referrals};
use super::connect::{Connection, Connector};
use super::dn::Dn;
use super::entry::{Description, Entry};
use super::filter::Filter;
use super::flavor::Settings;
use super::groups;
use super::index::Index;
use super::lifecycle;
use super::name::is_description;
use super::people::{self, Wanted};
use super::position::Position;
use super::search::Search;
use super::tracking::{self, Spot, Way};
use super::waiting::{Waiting, WaitingGroup};
use super::walk::Walk;
use crate::digest::{Digest, digest};
use crate::outbox::Outbox;
use crate::source::{
    Batch, Change, Coverage, Kind, Lifecycle, Members, ReadRequest, Record, SourceError, SourceId,
};
use crate::unchanged::Content;

/// What counts the groups that have members, beside the attributes of people.
const WITH_MEMBERS: &str = "groups with members";

/// Where to read, and how.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) connector: &'a Connector,
    pub(super) connection: Arc<Connection>,
    pub(super) settings: &'a Settings,
    pub(super) referrals: Referrals,
    pub(super) page_size: u16,
    /// The configured way to find changes.
    pub(super) changes: Changes,
}

impl Place<'_> {
    /// The record's id that an entry shows: one value, and not a list of them.
    pub(super) fn id(&self, entry: &Entry) -> Option<SourceId> {
        let settings = self.settings;
        match entry.values(&settings.id_attribute)[..] {
            [value] => settings.id_encoding.text(value).map(SourceId::new),
            _ => None,
        }
    }
}

/// Reads everything, or what has changed. See the trait for what is promised.
pub(super) async fn read_all(
    place: Place<'_>,
    request: &ReadRequest,
    changes: Sender<Vec<Change>>,
) -> Result<Batch, SourceError> {
    let mut wanted = Wanted::new(place.settings, request.attributes.as_ref());
    let before = Position::of(request.since.as_ref());
    // Another base or filter, and whoever is not there now may only not be looked for.
    let selection = place.settings.selection();
    let mut voided = before.as_ref().is_some_and(|it| !it.is_of(&selection));
    let last = before.as_ref().and_then(|before| before.mark.clone());
    let mark = last.clone().filter(|_| !request.everything && !voided);
    let spot = mark.as_ref().map(|mark| &mark.spot);
    let way = tracking::choose(&place, &wanted, spot).await?;
    let stamp = way.stamp();
    wanted.add(stamp);
    let reading = |place, outbox| Reading::new(place, request, wanted.clone(), stamp, outbox);
    if !matches!(way, Way::Full(_))
        && let (Some(before), Some(mark), Some(known)) = (before, mark, &request.known)
    {
        let server = &place.connection.server;
        let outbox = Outbox::holding(changes.clone());
        let changes = reading(place.clone(), outbox).read_changes(before, mark, known);
        match changes.await {
            Ok(batch) => return Ok(batch),
            // It would do so the next time as well, and until then nobody would know who left.
            Err(Stop::Failed(error @ SourceError::Limit { .. })) => {
                tracing::warn!(%server, %error, "everything is read: the changes could not be");
            }
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Everything { why, refused }) => {
                tracing::info!(%server, "everything is read, and not only what changed: {why}");
                voided = refused;
            }
        }
    }
    // Before anything else: what changes while everything is read is asked for again.
    let spot = tracking::begin(&place, &way).await?;
    if let (Some(now), Some(last)) = (&spot, last) {
        voided |= now.went_back(&last.spot);
    }
    let batch = reading(place, Outbox::new(changes)).read(spot).await?;
    Ok(Batch { voided, ..batch })
}

/// Why a read of only changes ended.
enum Stop {
    /// Everything is to be read.
    Everything {
        why: String,
        /// The server refused to say what has changed.
        refused: bool,
    },
    Failed(SourceError),
}

impl Stop {
    fn unclear(why: &str) -> Self {
        Stop::Everything {
            why: why.to_owned(),
            refused: false,
        }
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Stop::Failed(error)
    }
}

struct Reading<'a> {
    place: Place<'a>,
    request: &'a ReadRequest,
    wanted: Wanted,
    /// The names of the attributes in use, in their order; `None`: all.
    requested: Option<Vec<Description<'static>>>,
    index: Index,
    waiting: Waiting,
    outbox: Outbox,
    /// How many had what says who is switched off, or members.
    told: BTreeMap<String, u64>,
    people: u64,
    rare: Vec<Rare>,
    /// Those that many had.
    common: BTreeMap<Kind, BTreeSet<String>>,
    /// The ids of those whom `inactive_when` matches.
    inactive: BTreeSet<Digest>,
    answers: Answers,
    /// Whether all names were listed once already.
    listed: bool,
    /// Only what has changed is read: whoever has a name is there, although nothing was read.
    only_changes: bool,
    unanswered: BTreeMap<String, String>,
    /// What is asked about the next person.
    content: Content,
    /// What has to be seen of everybody for their changes to be told.
    stamp: Option<&'static str>,
    /// Whether somebody was read without it.
    unstamped: bool,
}

impl<'a> Reading<'a> {
    fn new(
        place: Place<'a>,
        request: &'a ReadRequest,
        wanted: Wanted,
        stamp: Option<&'static str>,
        outbox: Outbox,
    ) -> Self {
        let describe = |name: &String| Description::new(name.clone());
        let requested = wanted.requested.as_ref();
        let requested = requested.map(|names| names.iter().map(describe).collect());
        let counted = wanted.requested.iter().flatten();
        let counted = counted.filter(|name| is_description(name));
        let rare = counted.flat_map(|name| {
            Kind::ALL.map(|kind| Rare {
                kind,
                attribute: describe(name),
                count: 0,
            })
        });
        Self {
            rare: rare.collect(),
            requested,
            index: Index::default(),
            waiting: Waiting::default(),
            outbox,
            told: BTreeMap::new(),
            people: 0,
            common: BTreeMap::new(),
            inactive: BTreeSet::new(),
            answers: Answers::default(),
            listed: false,
            only_changes: false,
            unanswered: BTreeMap::new(),
            content: Content::default(),
            stamp,
            unstamped: false,
            place,
            request,
            wanted,
        }
    }

    async fn read(mut self, spot: Option<Spot>) -> Result<Batch, SourceError> {
        let settings = self.place.settings;
        for rule in &settings.rules {
            self.note(rule.attribute(), 0);
        }
        if settings.groups.is_some() {
            self.note(WITH_MEMBERS, 0);
        }
        self.find_inactive().await?;
        self.find_answers().await?;
        // Before the living: who is restored meanwhile is in both, and not in neither.
        let deleted = self.find_deleted(None).await?;
        self.read_people().await?;
        let mut coverage = BTreeMap::from([(Kind::User, Coverage::Complete)]);
        if settings.groups.is_some() {
            self.read_groups().await?;
            coverage.insert(Kind::Group, Coverage::Complete);
        }
        self.find_missing().await?;
        self.send_waiting().await?;
        for record in deleted {
            if !self.index.has(record.kind, &record.id) {
                self.outbox.push(Change::Upsert(record)).await?;
            }
        }
        let told = std::mem::take(&mut self.told);
        let mut position = Position::new(self.place.settings.selection(), told);
        position.common = std::mem::take(&mut self.common);
        position.mark = self.mark_if_told(spot);
        self.check_told(&position)?;
        self.outbox.flush().await?;
        Ok(Batch {
            coverage,
            tells_lifecycle: self.tells_lifecycle(&position),
            cursor: position.cursor(),
            voided: false,
            unanswered: self.unanswered,
            warnings: Vec::new(),
        })
    }

    async fn read_people(&mut self) -> Result<(), SourceError> {
        let part = self.place.settings.users.clone();
        let asked = self.wanted.of_people.clone();
        let walk = self.walk(&part.bases, &part.filter, &asked);
        let mut walk = walk.reading_ahead();
        while let Some(chunk) = walk.next_chunk().await? {
            for entry in chunk {
                self.take_person(&entry).await?;
            }
        }
        self.read_moved(Kind::User).await
    }

    async fn take_person(&mut self, entry: &Entry) -> Result<(), SourceError> {
        let settings = self.place.settings;
        let id = self.id(entry)?;
        let number = self
            .index
            .insert(Kind::User, &id, &entry.dn)
            .map_err(|clash| self.clash(clash, entry))?;
        self.people += 1;
        self.note_stamp(entry);
        self.count_rare(Kind::User, entry);
        for rule in &settings.rules {
            self.count(rule.attribute(), entry.has(rule.attribute()));
        }
        if self.wanted.user_names {
            for name in entry.texts(people::USER_NAME) {
                self.index.insert_user_name(&name, number);
            }
        }
        if settings.primary_groups {
            let group =
                people::primary_group(entry).map_err(|problem| self.failed(entry, problem))?;
            if let Some(group) = group {
                self.index.insert_primary_group(&group, number);
            }
        }
        let mut lifecycle = lifecycle::judge(&settings.rules, entry, self.request.now);
        if self.inactive.contains(&digest(id.as_str().as_bytes())) {
            lifecycle = Lifecycle::Disabled;
        }
        let recognised = self.recognise(entry, &id, &lifecycle);
        if recognised == Recognised::Yes {
            return Ok(());
        }
        let mut record = Record {
            kind: Kind::User,
            id,
            lifecycle,
            attributes: entry.attributes(self.wanted.requested.as_ref()),
            members: Members::Complete(BTreeSet::new()),
        };
        self.answers
            .give(&mut record.attributes, &record.id, &entry.dn);
        let missing = people::resolve_references(&mut record.attributes, settings, &self.index);
        if recognised == Recognised::No {
            return self.outbox.push(Change::Upsert(record)).await;
        }
        if missing.names.is_empty() {
            return self.send_person(record).await;
        }
        self.waiting.add_person(record, missing);
        if self.waiting.is_full() {
            // All names at once cost a search, and no more than that.
            if !self.listed {
                let place = &self.place;
                let again = place.connector.connect_again(&place.connection).await?;
                self.list_names(Arc::new(again)).await?;
            }
            let people = self.waiting.people_too_many(&self.index);
            self.send_people(people).await?;
        }
        Ok(())
    }

    async fn read_groups(&mut self) -> Result<(), SourceError> {
        let settings = self.place.settings;
        let Some(part) = &settings.groups else {
            return Ok(());
        };
        let asked = self.wanted.of_groups.clone();
        let mut walk = self.walk(&part.bases, &part.filter, &asked);
        while let Some(chunk) = walk.next_chunk().await? {
            for entry in chunk {
                self.read_group(entry, walk.connection()).await?;
            }
        }
        self.read_moved(Kind::Group).await
    }

    async fn read_group(
        &mut self,
        mut entry: Entry,
        connection: &Connection,
    ) -> Result<(), SourceError> {
        let names = &self.place.settings.member_attributes;
        groups::complete(&mut entry, names, connection).await?;
        self.take_group(&entry).await
    }

    async fn take_group(&mut self, entry: &Entry) -> Result<(), SourceError> {
        let settings = self.place.settings;
        let id = self.id(entry)?;
        self.index
            .insert(Kind::Group, &id, &entry.dn)
            .map_err(|clash| self.clash(clash, entry))?;
        self.note_stamp(entry);
        self.count_rare(Kind::Group, entry);
        let found = groups::find_members(entry, settings, &self.index);
        let names = settings.member_attributes.iter();
        self.count(WITH_MEMBERS, names.clone().any(|name| entry.has(name)));
        let mut attributes = entry.attributes(self.wanted.requested.as_ref());
        for name in names {
            people::remove(&mut attributes, name);
        }
        people::drop_references(&mut attributes, &settings.references);
        let group = WaitingGroup {
            id,
            attributes,
            members: found.members,
            missing: found.missing,
        };
        if group.missing.is_empty() {
            let record = group.into_record(&self.index);
            return self.outbox.push(Change::Upsert(record)).await;
        }
        self.waiting.add_group(group, found.missing_names);
        Ok(())
    }

    async fn send_people(&mut self, people: Vec<Record>) -> Result<(), SourceError> {
        for record in people {
            self.send_person(record).await?;
        }
        Ok(())
    }

    /// Nothing more is said of somebody who is as they were.
    async fn send_person(&mut self, record: Record) -> Result<(), SourceError> {
        if let Some(unchanged) = &self.request.unchanged {
            self.content.record(&record.lifecycle, &record.attributes);
            if unchanged.confirms(record.id.as_str(), &self.content) {
                return Ok(());
            }
        }
        self.outbox.push(Change::Upsert(record)).await
    }

    async fn send_waiting(&mut self) -> Result<(), SourceError> {
        let people = self.waiting.people(&self.index);
        self.send_people(people).await?;
        for record in self.waiting.groups(&self.index) {
            self.outbox.push(Change::Upsert(record)).await?;
        }
        Ok(())
    }

    fn walk<'w>(&self, bases: &[Dn], filter: &Filter, asked: &[String]) -> Walk<'w>
    where
        Self: 'w,
    {
        let place = &self.place;
        let searches = bases
            .iter()
            .map(|base| Search::below(base, filter.clone(), asked.to_vec(), place.page_size));
        Walk::new(
            place.connector,
            &place.connection,
            place.referrals,
            searches,
        )
    }
}
