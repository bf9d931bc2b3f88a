//! Who is who in one read: from names to ids, and that no two entries share one.
//!
//! Holds a digest or two and an id for each record, nothing else. Must not ask the server.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use super::dn::Dn;
use crate::digest::{Digest, digest};
use crate::source::{Kind, MemberKey, SourceId};

/// The records of a read, by name and by id.
#[derive(Debug, Default)]
pub(super) struct Index {
    records: Vec<Key>,
    by_id: BTreeMap<Digest, Number>,
    by_dn: BTreeMap<Digest, Number>,
    /// `None` where two people have the name.
    by_user_name: BTreeMap<Digest, Option<Number>>,
    by_primary_group: BTreeMap<Digest, Vec<Number>>,
}

/// Stands for a record within one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u32);

#[derive(Debug)]
struct Key {
    kind: Kind,
    id: Box<str>,
    /// Whether the entry was read, and not only heard of.
    seen: bool,
}

/// Why an entry cannot be part of the read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clash {
    /// Another entry has its id.
    Id,
    /// Another one has its name: it was renamed meanwhile, or the two differ in nothing but
    /// case.
    Name,
    /// More entries than can be numbered.
    TooMany,
}

impl Index {
    /// Notes a record that was read.
    pub(super) fn insert(&mut self, kind: Kind, id: &SourceId, dn: &Dn) -> Result<Number, Clash> {
        let number = self.number(kind, id)?;
        match self.key_mut(number) {
            Some(key) if !key.seen => key.seen = true,
            _ => return Err(Clash::Id),
        }
        match self.by_dn.entry(digest(dn.key())) {
            Slot::Occupied(known) if *known.get() != number => return Err(Clash::Name),
            Slot::Occupied(_) => {}
            Slot::Vacant(slot) => {
                slot.insert(number);
            }
        };
        Ok(number)
    }

    /// Notes by which DN a record goes that is still to be read, or that was read under
    /// another one.
    pub(super) fn expect(&mut self, kind: Kind, id: &SourceId, dn: &Dn) -> Result<(), Clash> {
        let number = self.number(kind, id)?;
        self.by_dn.entry(digest(dn.key())).or_insert(number);
        Ok(())
    }

    /// Notes a record that is there, although nothing was read of it but its name.
    pub(super) fn know(&mut self, kind: Kind, id: &SourceId, dn: &Dn) -> Result<Number, Clash> {
        let number = self.number(kind, id)?;
        if let Some(key) = self.key_mut(number) {
            key.seen = true;
        }
        self.by_dn.entry(digest(dn.key())).or_insert(number);
        Ok(number)
    }

    fn number(&mut self, kind: Kind, id: &SourceId) -> Result<Number, Clash> {
        let next = Number(u32::try_from(self.records.len()).map_err(|_| Clash::TooMany)?);
        match self.by_id.entry(id_digest(kind, id.as_str())) {
            Slot::Occupied(known) => Ok(*known.get()),
            Slot::Vacant(slot) => {
                self.records.push(Key {
                    kind,
                    id: id.as_str().into(),
                    seen: false,
                });
                Ok(*slot.insert(next))
            }
        }
    }

    fn key_mut(&mut self, number: Number) -> Option<&mut Key> {
        self.records.get_mut(usize::try_from(number.0).ok()?)
    }

    /// Notes the name by which a `memberUid` names a person (RFC 2307).
    pub(super) fn insert_user_name(&mut self, name: &str, number: Number) {
        self.by_user_name
            .entry(digest(name.to_lowercase().as_bytes()))
            .and_modify(|known| {
                if *known != Some(number) {
                    *known = None;
                }
            })
            .or_insert(Some(number));
    }

    /// Notes a person's primary group, by the group's security identifier.
    pub(super) fn insert_primary_group(&mut self, group: &[u8], number: Number) {
        let members = self.by_primary_group.entry(digest(group)).or_default();
        members.push(number);
    }

    /// The record with this DN, so far.
    pub(super) fn by_dn(&self, dn: &Dn) -> Option<Number> {
        self.by_digest(&digest(dn.key()))
    }

    /// The record with this digest of a DN.
    pub(super) fn by_digest(&self, digest: &Digest) -> Option<Number> {
        self.by_dn.get(digest).copied()
    }

    /// The one person with this user name.
    pub(super) fn by_user_name(&self, name: &str) -> Option<Number> {
        let name = digest(name.to_lowercase().as_bytes());
        self.by_user_name.get(&name).copied().flatten()
    }

    /// The people whose primary group this is.
    pub(super) fn by_primary_group(&self, group: &[u8]) -> &[Number] {
        let members = self.by_primary_group.get(&digest(group));
        members.map_or(&[], Vec::as_slice)
    }

    /// Whether the record was read.
    pub(super) fn has(&self, kind: Kind, id: &SourceId) -> bool {
        let number = self.by_id.get(&id_digest(kind, id.as_str()));
        number.is_some_and(|number| self.member_key(*number).is_some())
    }

    /// How others name this record; `None` where it is no part of the read after all.
    pub(super) fn member_key(&self, number: Number) -> Option<MemberKey> {
        let key = self.seen(number)?;
        Some(MemberKey {
            kind: key.kind,
            id: SourceId::new(&*key.id),
        })
    }

    /// The id of the record with this DN, where it was read.
    pub(super) fn id_of(&self, dn: &Dn) -> Option<&str> {
        Some(&*self.seen(self.by_dn(dn)?)?.id)
    }

    /// The id of the record with this DN, although it may not have been read yet.
    pub(super) fn expected_id_of(&self, dn: &Dn) -> Option<&str> {
        let number = usize::try_from(self.by_dn(dn)?.0).ok()?;
        Some(&*self.records.get(number)?.id)
    }

    fn seen(&self, number: Number) -> Option<&Key> {
        let key = self.records.get(usize::try_from(number.0).ok()?)?;
        key.seen.then_some(key)
    }
}

fn id_digest(kind: Kind, id: &str) -> Digest {
    let kind: &[u8] = match kind {
        Kind::User => b"u",
        Kind::Group => b"g",
    };
    digest(&[kind, id.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn records_are_found_by_every_spelling_of_their_name() {
        let mut index = Index::default();
        let ana = SourceId::new("1");
        let number = index
            .insert(Kind::User, &ana, &dn("cn=Ana\\, B,dc=example,dc=com"))
            .unwrap();
        assert_eq!(
            index.by_dn(&dn("CN=ana\\2c  b, DC=Example,DC=com")),
            Some(number)
        );
        assert_eq!(index.by_dn(&dn("cn=Ana,dc=example,dc=com")), None);
        let key = index.member_key(number).unwrap();
        assert_eq!((key.kind, key.id.as_str()), (Kind::User, "1"));
    }

    #[test]
    fn nobody_shares_an_id_or_a_name() {
        let mut index = Index::default();
        let (one, two) = (SourceId::new("1"), SourceId::new("2"));
        index.insert(Kind::User, &one, &dn("cn=a,dc=x")).unwrap();
        let again = index.insert(Kind::User, &one, &dn("cn=b,dc=x"));
        assert_eq!(again, Err(Clash::Id));
        let again = index.insert(Kind::User, &two, &dn("CN=A,dc=x"));
        assert_eq!(again, Err(Clash::Name));
        assert!(index.insert(Kind::Group, &one, &dn("cn=g,dc=x")).is_ok());
    }

    #[test]
    fn a_user_name_that_two_people_have_names_nobody() {
        let mut index = Index::default();
        let ana = index
            .insert(Kind::User, &SourceId::new("1"), &dn("cn=a,dc=x"))
            .unwrap();
        let ben = index
            .insert(Kind::User, &SourceId::new("2"), &dn("cn=b,dc=x"))
            .unwrap();
        index.insert_user_name("Ana", ana);
        index.insert_user_name("ana", ana);
        assert_eq!(index.by_user_name("ANA"), Some(ana));
        index.insert_user_name("ana", ben);
        assert_eq!(index.by_user_name("ana"), None);
    }
}
