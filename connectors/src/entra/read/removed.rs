//! Those of whom a full read says that they are not there: in the deleted items, or perhaps back.
//!
//! Must not take anybody for gone: whoever is given nowhere is.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{InGroups, Reading, Word};
use crate::entra::answer::{Item, Removed};
use crate::entra::asked;
use crate::entra::deleted;
use crate::entra::error::{What, not_known};
use crate::entra::group::member_key;
use crate::entra::person::{self, Absent, record};
use crate::entra::properties::Wanted;
use crate::entra::roles::Roles;
use crate::known::KnownRecord;
use crate::source::{Attributes, Change, Kind, Lifecycle, Record, SourceError};

impl Reading<'_> {
    /// Asks for those of whom the round says that they are in the deleted items, which do not show
    /// them: Graph may not have told that they were restored.
    pub(super) async fn ask_for_the_removed(
        &mut self,
        deleted: &BTreeMap<Uuid, Item>,
        roles: &Roles<'_>,
        in_groups: &InGroups,
    ) -> Result<(), SourceError> {
        let people = self.people.iter();
        let removed = people.filter(|(_, word)| **word == Word::Not(Removed::Changed));
        let doubtful = removed.map(|(id, _)| *id);
        let doubtful = doubtful.filter(|id| !deleted.contains_key(id)).collect();
        let found = asked::ask(self.graph, self.wanted, doubtful).await;
        let found = found.map_err(|error| error.into_source(&What::People, &self.graph.server))?;
        let none = BTreeSet::new();
        for (id, item) in found {
            let Some(item) = item else {
                continue;
            };
            self.people.insert(id, Word::There);
            match asked::manager(&item) {
                Some(manager) => drop(self.managers.insert(id, manager)),
                None => drop(self.managers.remove(&id)),
            }
            let groups = in_groups.get(&id).unwrap_or(&none);
            let record = self.person(id, &item, roles, groups)?;
            // After what the round said, which was handed on: the last word counts.
            self.outbox.push(Change::Upsert(record)).await?;
        }
        Ok(())
    }

    /// Those in the deleted items, and those of whom only the round says that they are there.
    pub(super) async fn send_deleted(
        &mut self,
        deleted: &BTreeMap<Uuid, Item>,
    ) -> Result<BTreeSet<Uuid>, SourceError> {
        let mut all: BTreeMap<Uuid, Option<&Item>> = BTreeMap::new();
        let people = self.people.iter();
        let only_said = people.filter(|(_, word)| **word == Word::Not(Removed::Changed));
        all.extend(only_said.map(|(id, _)| (*id, None)));
        for (id, item) in deleted {
            if self.people.get(id) != Some(&Word::There) {
                all.insert(*id, Some(item));
            }
        }
        let mut sent = BTreeSet::new();
        for (id, item) in all {
            let known = self.request.known.as_ref();
            let known = known.map(|known| known.of(&member_key((Kind::User, id))));
            let known = known.transpose().map_err(not_known)?.unwrap_or_default();
            if let Some(record) = soft_deleted(self.wanted, id, item, &known) {
                sent.insert(id);
                self.outbox.push(Change::Upsert(record)).await?;
            }
        }
        Ok(sent)
    }
}

/// Somebody who is deleted, with what was known of them while they were there; of somebody
/// who never was, by the names in the deleted items. `None`: there is nothing to say.
pub(in crate::entra) fn soft_deleted(
    wanted: &Wanted,
    id: Uuid,
    item: Option<&Item>,
    known: &KnownRecord,
) -> Option<Record> {
    let since = item.map_or(Lifecycle::SoftDeleted { since: None }, deleted::lifecycle);
    let attributes = match (known.lifecycle, item) {
        (Some(_), _) => known.attributes.clone(),
        (None, Some(item)) => {
            let nothing = Attributes::default();
            person::attributes(&wanted.of_people, id, item, &nothing, Absent::Cleared)
        }
        (None, None) => return None,
    };
    Some(record(id, since, attributes))
}
