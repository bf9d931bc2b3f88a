//! From what Graph shows of a group to a record. Pure.
//!
//! A large group comes in slices: the same object again and again, with other members. Must not
//! ask anything.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::answer::{Item, Related, Removed, removed};
use super::person::{Absent, attributes, source_id};
use super::properties::VISIBILITY;
use crate::source::{Attributes, Kind, Lifecycle, MemberKey, Members, Record};

/// A direct member, in little room: there may be millions.
pub(super) type Member = (Kind, Uuid);

/// What was said of a group in one round; the last word counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    pub(super) item: Item,
    /// Who is there, and who is not any more.
    pub(super) members: BTreeMap<Member, bool>,
    /// A member of which nobody knows what it is.
    pub(super) is_unclear: bool,
    pub(super) removed: Option<Removed>,
}

impl Heard {
    /// Takes one more word, with what `members@delta` lists; `Err`: it cannot be understood.
    pub(super) fn take(&mut self, item: Item, members: Result<Option<Vec<Related>>, ()>) {
        self.removed = removed(&item);
        if self.removed.is_some() {
            return;
        }
        match members {
            Err(()) => self.is_unclear = true,
            Ok(members) => {
                for member in members.into_iter().flatten() {
                    self.take_member(&member);
                }
            }
        }
        self.item.extend(item);
        self.item.remove("members@delta");
    }

    fn take_member(&mut self, member: &Related) {
        let there = !member.is_removed;
        match member.of_type.as_deref() {
            Some("user") => drop(self.members.insert((Kind::User, member.id), there)),
            Some("group") => drop(self.members.insert((Kind::Group, member.id), there)),
            // Devices, contacts, apps.
            Some(_) => {}
            None if there => self.is_unclear = true,
            None => {
                for kind in Kind::ALL {
                    self.members.insert((kind, member.id), false);
                }
            }
        }
    }

    /// The members of whom this says that they are there, or are not.
    pub(super) fn those(&self, there: bool) -> BTreeSet<Member> {
        let those = self.members.iter().filter(|(_, it)| **it == there);
        those.map(|(member, _)| *member).collect()
    }

    /// The whole list. Of a group that hides its members, none to be seen need not be none.
    pub(super) fn complete(&self) -> Members {
        let members = self.those(true);
        let is_hidden = self
            .item
            .get(VISIBILITY)
            .and_then(|visibility| visibility.as_str())
            .is_some_and(|visibility| visibility.eq_ignore_ascii_case("HiddenMembership"));
        if self.is_unclear || (is_hidden && members.is_empty()) {
            return Members::Unknown;
        }
        Members::Complete(members.into_iter().map(member_key).collect())
    }

    /// What has changed since the last read.
    pub(super) fn changed(&self) -> Members {
        if self.is_unclear {
            return Members::Unknown;
        }
        let keys = |there| self.those(there).into_iter().map(member_key).collect();
        Members::Changed {
            added: keys(true),
            removed: keys(false),
        }
    }

    /// The record, over what was known of it.
    pub(super) fn record(
        &self,
        id: Uuid,
        wanted: &BTreeSet<String>,
        before: &Attributes,
        absent: Absent,
        members: Members,
    ) -> Record {
        Record {
            kind: Kind::Group,
            id: source_id(id),
            lifecycle: Lifecycle::Active,
            attributes: attributes(wanted, id, &self.item, before, absent),
            members,
        }
    }
}

pub(super) fn member_key((kind, id): Member) -> MemberKey {
    MemberKey {
        kind,
        id: source_id(id),
    }
}

#[cfg(test)]
mod tests;
