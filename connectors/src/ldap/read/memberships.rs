//! What a changed record means for the groups: who is in one is often said by neither entry's
//! own change.
//!
//! A group that names somebody who was not there is theirs when they come; one that names them
//! by an old name is not any more. Directories that keep such names right do it unseen.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::changes::{Entries, key};
use super::missing::LOOKUPS;
use super::{Reading, Stop};
use crate::known::Known;
use crate::ldap::entry::Entry;
use crate::ldap::filter::Filter;
use crate::ldap::groups;
use crate::ldap::index::Number;
use crate::ldap::people;
use crate::ldap::search::lookup;
use crate::source::{Kind, SourceError, SourceId};

/// RFC 2307: members by user name.
const MEMBER_UID: &str = "memberUid";

impl Reading<'_> {
    /// The groups to read anew: those that a changed record is in and was not, or was in and
    /// is not.
    pub(super) async fn find_concerned(
        &self,
        known: &Known,
        people: &Entries,
        groups: &Entries,
    ) -> Result<BTreeSet<SourceId>, Stop> {
        let mut concerned = BTreeSet::new();
        if self.place.settings.groups.is_none() {
            return Ok(concerned);
        }
        let changed = people.iter().map(|(id, entry)| (Kind::User, id, entry));
        let changed = changed.chain(groups.iter().map(|(id, entry)| (Kind::Group, id, entry)));
        for (kind, id, entry) in changed {
            let now = self.groups_naming(kind, entry).await?;
            let before = known.of(&key(kind, id))?.groups;
            concerned.extend(now.symmetric_difference(&before).cloned());
        }
        Ok(concerned)
    }

    /// The groups that an entry is in, by what they say.
    async fn groups_naming(
        &self,
        kind: Kind,
        entry: &Entry,
    ) -> Result<BTreeSet<SourceId>, SourceError> {
        let settings = self.place.settings;
        let mut filters = Vec::new();
        for name in &settings.member_attributes {
            if !name.eq_ignore_ascii_case(MEMBER_UID) {
                filters.push(Filter::equals(name, entry.dn.as_str().as_bytes()));
            } else if kind == Kind::User {
                let names = entry.texts(people::USER_NAME);
                let names = names.iter();
                filters.extend(names.map(|user| Filter::equals(name, user.as_bytes())));
            }
        }
        if settings.primary_groups && kind == Kind::User {
            let group = people::primary_group(entry);
            let group = group.map_err(|problem| self.failed(entry, problem))?;
            filters.extend(group.map(|sid| Filter::equals("objectSid", &sid)));
        }
        if filters.is_empty() {
            return Ok(BTreeSet::new());
        }
        self.find_ids(Kind::Group, &Filter::any(&filters)).await
    }

    /// Takes groups whose members may not have been read.
    pub(super) async fn take_groups(&mut self, entries: &mut Entries) -> Result<(), Stop> {
        let settings = self.place.settings;
        for entry in entries.values_mut() {
            let names = &settings.member_attributes;
            groups::complete(entry, names, &self.place.connection).await?;
            self.learn_user_names(entry).await?;
            self.learn_primary_members(entry).await?;
        }
        for entry in entries.values() {
            self.take_group(entry).await?;
        }
        Ok(())
    }

    /// Finds who has the user names that a group names.
    async fn learn_user_names(&mut self, group: &Entry) -> Result<(), Stop> {
        if !self.wanted.user_names {
            return Ok(());
        }
        let names = group.texts(MEMBER_UID);
        if names.len() > LOOKUPS {
            return Err(Stop::unclear(
                "a large group names its members by user names",
            ));
        }
        for name in names {
            let filter = Filter::equals(people::USER_NAME, name.as_bytes());
            let asked = [people::USER_NAME.to_owned()];
            for entry in self.find_people(&filter, &asked).await? {
                let number = self.know(Kind::User, &entry)?;
                for name in entry.texts(people::USER_NAME) {
                    self.index.insert_user_name(&name, number);
                }
            }
        }
        Ok(())
    }

    /// Finds whose primary group it is.
    async fn learn_primary_members(&mut self, group: &Entry) -> Result<(), Stop> {
        let sid = match group.values("objectSid")[..] {
            [sid] if self.place.settings.primary_groups => sid.to_vec(),
            _ => return Ok(()),
        };
        let Some((_, relative)) = sid.split_last_chunk::<4>() else {
            return Ok(());
        };
        let relative = u32::from_le_bytes(*relative).to_string();
        let filter = Filter::equals("primaryGroupID", relative.as_bytes());
        let asked = ["primaryGroupID", "objectSid", "userAccountControl"].map(str::to_owned);
        for entry in self.find_people(&filter, &asked).await? {
            let primary = people::primary_group(&entry);
            let primary = primary.map_err(|problem| self.failed(&entry, problem))?;
            if primary.as_ref() == Some(&sid) {
                let number = self.know(Kind::User, &entry)?;
                self.index.insert_primary_group(&sid, number);
            }
        }
        Ok(())
    }

    async fn find_people(
        &self,
        filter: &Filter,
        attributes: &[String],
    ) -> Result<Vec<Entry>, SourceError> {
        let users = &self.place.settings.users;
        let mut asked = vec![self.place.settings.id_attribute.clone()];
        asked.extend_from_slice(attributes);
        let mut walk = self.walk(&users.bases, &users.filter.and(filter), &asked);
        let mut found = Vec::new();
        while let Some(chunk) = walk.next_chunk().await? {
            found.extend(chunk);
        }
        Ok(found)
    }

    fn know(&mut self, kind: Kind, entry: &Entry) -> Result<Number, SourceError> {
        let id = self.id(entry)?;
        let known = self.index.know(kind, &id, &entry.dn);
        known.map_err(|_| self.too_many())
    }

    /// Who is named and was not read: looks for the few, lists everybody for the many.
    pub(super) async fn find_missing_of_changes(&mut self) -> Result<(), SourceError> {
        let missing = match self.waiting.missing(&self.index) {
            Some(missing) if missing.len() <= LOOKUPS => missing,
            _ => return self.list_names(Arc::clone(&self.place.connection)).await,
        };
        let asked = vec![self.place.settings.id_attribute.clone()];
        for dn in missing {
            for kind in Kind::ALL {
                let part = self.part(kind).filter(|part| {
                    let mut bases = part.bases.iter();
                    bases.any(|base| dn.is_within(base))
                });
                let Some(filter) = part.map(|part| part.filter.clone()) else {
                    continue;
                };
                let connection = &self.place.connection;
                let found = lookup(connection, &dn, &filter, asked.clone()).await?;
                if let Some(entry) = found {
                    self.know(kind, &entry)?;
                    break;
                }
            }
        }
        Ok(())
    }
}
