//! Records that name somebody who was not read yet: people with such a manager, groups with
//! such members.
//!
//! Must not ask the server.

use std::collections::{BTreeMap, BTreeSet};

use super::dn::Dn;
use super::index::{Index, Number};
use super::people::{self, Missing};
use crate::digest::{Digest, digest};
use crate::source::{Attributes, Kind, Lifecycle, Members, Record, SourceId};

/// People who may wait at the same time: about 100 MB of them.
const PEOPLE: usize = 60_000;

/// Names that are kept for looking up.
const NAMES: usize = 100_000;

/// Records that cannot be handed on yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    people: Vec<(Record, BTreeSet<String>)>,
    groups: Vec<WaitingGroup>,
    names: BTreeMap<Digest, Dn>,
    /// Whether there were more names than are kept.
    too_many: bool,
}

/// A group some of whose members were not read yet.
#[derive(Debug)]
pub(super) struct WaitingGroup {
    pub(super) id: SourceId,
    pub(super) attributes: Attributes,
    pub(super) members: BTreeSet<Number>,
    pub(super) missing: BTreeSet<Digest>,
}

impl Waiting {
    pub(super) fn add_person(&mut self, record: Record, missing: Missing) {
        self.people.push((record, missing.attributes));
        self.note(missing.names);
    }

    pub(super) fn add_group(&mut self, group: WaitingGroup, names: Vec<Dn>) {
        self.groups.push(group);
        self.note(names);
    }

    fn note(&mut self, names: Vec<Dn>) {
        for dn in names {
            if self.names.len() >= NAMES {
                self.too_many = true;
                return;
            }
            self.names.insert(digest(dn.key()), dn);
        }
    }

    /// Whether no more people should wait.
    pub(super) fn is_full(&self) -> bool {
        self.people.len() >= PEOPLE
    }

    /// The names that still nobody has; `None` where there were more than can be kept.
    pub(super) fn missing(&self, index: &Index) -> Option<Vec<Dn>> {
        let unknown = self
            .names
            .iter()
            .filter(|(digest, _)| index.by_digest(digest).is_none());
        (!self.too_many).then(|| unknown.map(|(_, dn)| dn.clone()).collect())
    }

    /// Takes the people who wait; whoever they name that is not known is left out.
    pub(super) fn people(&mut self, index: &Index) -> Vec<Record> {
        let waiting = std::mem::take(&mut self.people).into_iter();
        let resolved = waiting.map(|(mut record, missing)| {
            people::resolve_at_last(&mut record.attributes, &missing, index);
            record
        });
        resolved.collect()
    }

    /// Takes the groups that wait.
    pub(super) fn groups(&mut self, index: &Index) -> Vec<Record> {
        let waiting = std::mem::take(&mut self.groups).into_iter();
        waiting.map(|group| group.into_record(index)).collect()
    }
}

impl WaitingGroup {
    /// The group with the members that are part of the read.
    pub(super) fn into_record(self, index: &Index) -> Record {
        let late = self
            .missing
            .iter()
            .filter_map(|digest| index.by_digest(digest));
        let members = self.members.into_iter().chain(late);
        Record {
            kind: Kind::Group,
            id: self.id,
            lifecycle: Lifecycle::Active,
            attributes: self.attributes,
            members: Members::Complete(
                members
                    .filter_map(|number| index.member_key(number))
                    .collect(),
            ),
        }
    }
}
