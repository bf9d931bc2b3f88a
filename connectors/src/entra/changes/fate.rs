//! What became of each person who was touched.
//!
//! The changes and the deleted items are two witnesses who need not agree: where they do not, or
//! say too little, the person themself is asked for. Must not hand anything on.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Place;
use crate::entra::answer::{Item, Removed};
use crate::entra::asked;
use crate::entra::person::{self, Absent, is_shown, known_manager, lifecycle, record, set_manager};
use crate::entra::properties::{ENABLED, UPN};
use crate::known::KnownRecord;
use crate::source::{Attributes, Kind, Lifecycle, Record, SourceError};

/// What became of somebody.
pub(super) enum Fate<'a> {
    /// They are there, and this is what is said of them.
    There(Shown<'a>),
    /// They are there, and nothing was said of them.
    AsKnown,
    SoftDeleted,
    Gone,
}

/// What is shown of somebody who is there.
pub(super) enum Shown<'a> {
    /// What has changed.
    Changed(&'a person::Heard),
    /// All of it.
    Whole(&'a Item),
}

impl Place<'_> {
    /// Whether somebody who was in the deleted items is not there any more, or may not be.
    pub(super) fn somebody_returns(
        &self,
        people: &BTreeMap<Uuid, person::Heard>,
        deleted: &BTreeMap<Uuid, Item>,
    ) -> bool {
        self.before.deleted.iter().any(|id| match people.get(id) {
            Some(heard) => heard.removed.is_none(),
            None => !deleted.contains_key(id),
        })
    }

    /// Those of whom the changes and the deleted items do not say the same, or not enough.
    pub(super) fn find_doubtful(
        &self,
        touched: &BTreeSet<Uuid>,
        people: &BTreeMap<Uuid, person::Heard>,
        deleted: &BTreeMap<Uuid, Item>,
    ) -> Result<BTreeSet<Uuid>, SourceError> {
        let mut doubtful = BTreeSet::new();
        for id in touched {
            let (is_deleted, was_deleted) =
                (deleted.contains_key(id), self.before.deleted.contains(id));
            let is_doubtful = match people.get(id) {
                Some(heard) if heard.removed.is_some() => !is_deleted,
                Some(_) if is_deleted => true,
                Some(heard) => !self.says_enough(heard, &self.known(Kind::User, *id)?),
                None => was_deleted != is_deleted,
            };
            if is_doubtful {
                doubtful.insert(*id);
            }
        }
        Ok(doubtful)
    }

    /// Whether what has changed makes a whole with what is known.
    fn says_enough(&self, heard: &person::Heard, known: &KnownRecord) -> bool {
        let was_living = matches!(
            known.lifecycle,
            Some(Lifecycle::Active | Lifecycle::Disabled)
        );
        let Some(_) = heard.item.get(UPN) else {
            return was_living;
        };
        // Who comes back comes with the manager of before, whom nobody may have seen.
        let lacks_manager = self.wanted.wants_manager() && heard.manager().is_none();
        is_shown(&heard.item)
            && (was_living || (heard.item.contains_key(ENABLED) && !lacks_manager))
    }

    pub(super) fn fate<'f>(
        &self,
        id: Uuid,
        heard: Option<&'f person::Heard>,
        found: &'f BTreeMap<Uuid, Option<Item>>,
        deleted: &BTreeMap<Uuid, Item>,
        known: &KnownRecord,
    ) -> Fate<'f> {
        let is_deleted = deleted.contains_key(&id);
        match (found.get(&id), heard) {
            (Some(Some(item)), _) => Fate::There(Shown::Whole(item)),
            (Some(None), _) if is_deleted => Fate::SoftDeleted,
            // The deleted items may not show yet whom the changes tell.
            (Some(None), Some(heard)) if heard.removed == Some(Removed::Changed) => {
                Fate::SoftDeleted
            }
            // Graph may not show yet whom its changes tell in full; a deletion it tells later.
            (Some(None), Some(heard))
                if heard.removed.is_none() && heard.item.contains_key(ENABLED) =>
            {
                Fate::There(Shown::Changed(heard))
            }
            (Some(None), _) => Fate::Gone,
            (None, Some(heard)) if heard.removed.is_some() => Fate::SoftDeleted,
            (None, Some(heard)) => Fate::There(Shown::Changed(heard)),
            (None, None) if is_deleted => Fate::SoftDeleted,
            // Only their roles are other ones. Who is deleted has none.
            (None, None) => match known.lifecycle {
                Some(Lifecycle::SoftDeleted { .. }) => Fate::SoftDeleted,
                _ => Fate::AsKnown,
            },
        }
    }

    /// The record of somebody who is there.
    pub(super) fn living(&self, id: Uuid, fate: &Fate<'_>, known: &KnownRecord) -> Record {
        let wanted = self.wanted;
        let before = &known.attributes;
        let nothing = Attributes::default();
        let of = |item: &Item, before: &Attributes, absent| {
            person::attributes(&wanted.of_people, id, item, before, absent)
        };
        let (mut attributes, said, manager) = match fate {
            Fate::There(Shown::Changed(heard)) => (
                of(&heard.item, before, Absent::Unchanged),
                lifecycle(&heard.item),
                heard.manager().unwrap_or(known_manager(before)),
            ),
            Fate::There(Shown::Whole(item)) => (
                of(item, &nothing, Absent::Cleared),
                lifecycle(item).or(Some(Lifecycle::Unknown)),
                asked::manager(item),
            ),
            Fate::AsKnown | Fate::SoftDeleted | Fate::Gone => {
                (before.clone(), None, known_manager(before))
            }
        };
        set_manager(&mut attributes, wanted, manager);
        let lifecycle = said.or(known.lifecycle).unwrap_or(Lifecycle::Unknown);
        record(id, lifecycle, attributes)
    }
}
