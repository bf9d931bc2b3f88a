//! Who is one person in several sources (`join_key`).
//!
//! Pure. Groups records whose key is the same, one of each source, in the order of the
//! sources; says which of them speaks for the person, and whom nobody can join. Must not look
//! at attributes or lifecycles beyond what it is told: what a person is, is put together
//! elsewhere, from the records named here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provisor_connectors::RecordKey;

/// What is told of one record that has a value of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The record.
    pub record: RecordKey,
    /// What its source says of it.
    pub presence: Presence,
    /// It has a link, or a create of its own in doubt.
    pub linked: bool,
}

/// What a source says of a record, as far as joining needs it. The first is the surest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// There, and active.
    Active,
    /// There, and switched off or in the recycle bin.
    Inactive,
    /// A tombstone.
    Gone,
}

/// Which records are one person. A record that is not in here is a person of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    of: BTreeMap<RecordKey, Arc<Person>>,
    contested: BTreeMap<RecordKey, String>,
    doubts: BTreeMap<RecordKey, String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Person {
    /// At most one of each source, in order of precedence: what they say is what counts.
    records: Vec<RecordKey>,
    /// Those of them that own a resource; or else a former record that does, or the first.
    speakers: Vec<RecordKey>,
}

impl Joined {
    /// Joins the records that share a value: each of `sharing` is all of one value. `sources`
    /// are in order of precedence; `doubts` says of whom the value cannot be told, and why.
    ///
    /// A source in which several active records have the value says nothing: nobody with that
    /// value is joined, and all are contested but those who are switched off whoever they are.
    /// Otherwise the active record counts, and of several that are not active one with a link.
    pub fn new(
        sources: &[String],
        sharing: &[Vec<Claimant>],
        doubts: BTreeMap<RecordKey, String>,
    ) -> Self {
        let mut joined = Self {
            doubts,
            ..Self::default()
        };
        for claimants in sharing {
            joined.join(sources, claimants);
        }
        joined
    }

    fn join(&mut self, sources: &[String], claimants: &[Claimant]) {
        let of_source = |source: &str| {
            let of = claimants
                .iter()
                .filter(|claimant| claimant.record.source == source);
            let mut of: Vec<&Claimant> = of.collect();
            of.sort_by_key(|claimant| (claimant.presence, !claimant.linked, &claimant.record));
            of
        };
        for source in sources {
            let active = of_source(source)
                .into_iter()
                .filter(|claimant| claimant.presence == Presence::Active)
                .count();
            if active > 1 {
                let detail = format!(
                    "`join_key` cannot tell who this is: {active} active records of {source} \
                     have the same value; correct it there"
                );
                let contested = claimants
                    .iter()
                    .filter(|claimant| !left_for_sure(sources, claimants, claimant))
                    .map(|claimant| (claimant.record.clone(), detail.clone()));
                self.contested.extend(contested);
                return;
            }
        }
        let counts = |claimant: &Claimant| claimant.presence != Presence::Gone || claimant.linked;
        let people: Vec<&Claimant> = sources
            .iter()
            .filter_map(|source| of_source(source).into_iter().find(|it| counts(it)))
            .collect();
        let Some(first) = people.first() else {
            return;
        };
        let mut speakers: Vec<RecordKey> = people
            .iter()
            .filter(|claimant| claimant.linked)
            .map(|claimant| claimant.record.clone())
            .collect();
        if speakers.is_empty() {
            // A source may have given them a new record: the resource is the former one's. A
            // record that is still there is somebody else's, whatever its value.
            let former =
                |claimant: &&Claimant| claimant.linked && claimant.presence == Presence::Gone;
            let mut claimants = sources.iter().flat_map(|source| of_source(source));
            let owner = claimants.find(former);
            speakers.push(owner.unwrap_or(first).record.clone());
        }
        if people.len() == 1 && speakers == [first.record.clone()] {
            return;
        }
        let person = Arc::new(Person {
            records: people
                .iter()
                .map(|claimant| claimant.record.clone())
                .collect(),
            speakers,
        });
        for record in person.records.iter().chain(&person.speakers) {
            self.of.insert(record.clone(), Arc::clone(&person));
        }
    }

    /// What counts of the person that this record is of: one record of each source that has
    /// them, in order of precedence.
    pub fn records<'a>(&'a self, record: &'a RecordKey) -> &'a [RecordKey] {
        match self.of.get(record) {
            Some(person) => &person.records,
            None => std::slice::from_ref(record),
        }
    }

    /// The record that stands for this one: itself if it owns a resource, else the first of
    /// its person's that does; the first of all where none does.
    pub fn speaker<'a>(&'a self, record: &'a RecordKey) -> &'a RecordKey {
        let Some(person) = self.of.get(record) else {
            return record;
        };
        let itself = person.speakers.contains(record);
        let first = person.speakers.first().filter(|_| !itself);
        first.unwrap_or(record)
    }

    /// Whom records stand for, each once.
    pub fn speakers<'a>(
        &'a self,
        records: impl IntoIterator<Item = &'a RecordKey>,
    ) -> BTreeSet<RecordKey> {
        let records = records.into_iter();
        let all = records.flat_map(|record| {
            let person = self.of.get(record);
            let speakers = person.map(|person| person.speakers.as_slice());
            speakers.unwrap_or(std::slice::from_ref(record))
        });
        all.cloned().collect()
    }

    /// Why a record's value cannot be told: whoever it is, nothing may happen to it.
    pub fn doubt(&self, record: &RecordKey) -> Option<&str> {
        self.doubts.get(record).map(String::as_str)
    }

    /// Whether the value of any record cannot be told: it may be anybody.
    pub fn has_doubts(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// Why nobody can tell whose record this is, although its value is known.
    pub fn contested(&self, record: &RecordKey) -> Option<&str> {
        self.contested.get(record).map(String::as_str)
    }
}

/// Whether somebody is switched off whichever of the others they are: no more trusted source
/// has any of them.
fn left_for_sure(sources: &[String], claimants: &[Claimant], of: &Claimant) -> bool {
    let more_trusted: Vec<&String> = sources
        .iter()
        .take_while(|source| **source != of.record.source)
        .collect();
    let is_overruled = |other: &Claimant| {
        other.presence != Presence::Gone && more_trusted.contains(&&other.record.source)
    };
    of.presence == Presence::Inactive && !claimants.iter().any(is_overruled)
}
