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

    /// Takes the people who wait, when everybody was read; whoever they name that was not is left
    /// out.
    pub(super) fn people(&mut self, index: &Index) -> Vec<Record> {
        self.take_people(|dn| index.id_of(dn))
    }

    /// Takes the people who wait, when all names were listed, and those of whom they name were not
    /// all read: they will be, or are gone meanwhile.
    pub(super) fn people_too_many(&mut self, index: &Index) -> Vec<Record> {
        self.take_people(|dn| index.expected_id_of(dn))
    }

    fn take_people<'i>(&mut self, id_of: impl Fn(&Dn) -> Option<&'i str>) -> Vec<Record> {
        let waiting = std::mem::take(&mut self.people).into_iter();
        let resolved = waiting.map(|(mut record, missing)| {
            people::resolve_at_last(&mut record.attributes, &missing, &id_of);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::source::Value;

    /// Fails when whoever is listed and not read yet is left out: in a large directory most people
    /// would have no manager.
    #[test]
    fn those_who_cannot_wait_name_whoever_is_to_be_read() {
        let name = |text: &str| Dn::parse(text).unwrap();
        let mut index = Index::default();
        let (read, listed) = (name("cn=a,dc=x"), name("cn=b,dc=x"));
        let id = SourceId::new("1");
        index.insert(Kind::User, &id, &read).unwrap();
        let id = SourceId::new("2");
        index.expect(Kind::User, &id, &listed).unwrap();
        let managers = |waiting: &[Record]| -> Vec<String> {
            let values = waiting
                .iter()
                .flat_map(|it| it.attributes.values("manager"));
            values.map(Value::to_string).collect()
        };
        let mut waiting = Waiting::default();
        let wait = |waiting: &mut Waiting| {
            for dn in ["cn=A,dc=x", "cn=b,dc=x", "cn=nobody,dc=x"] {
                let values = vec![Value::Text(dn.to_owned())];
                let record = Record {
                    kind: Kind::User,
                    id: SourceId::new(dn),
                    lifecycle: Lifecycle::Active,
                    attributes: Attributes(BTreeMap::from([("manager".to_owned(), values)])),
                    members: Members::Complete(BTreeSet::new()),
                };
                let attributes = BTreeSet::from(["manager".to_owned()]);
                let names = vec![name(dn)];
                waiting.add_person(record, Missing { attributes, names });
            }
        };
        wait(&mut waiting);
        assert_eq!(managers(&waiting.people_too_many(&index)), ["1", "2"]);
        wait(&mut waiting);
        assert_eq!(managers(&waiting.people(&index)), ["1"]);
    }
}
