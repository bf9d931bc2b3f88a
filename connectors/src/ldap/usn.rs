//! Active Directory's update sequence numbers: what one domain controller has written since.
//!
//! They are one controller's own. A container that moves takes everybody in it along, and none
//! of those has changed. What this account may not see is not told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::config::Referrals;
use super::controller::{Controller, is_container};
use super::deleted;
use super::entry::Entry;
use super::filter::Filter;
use super::read::Place;
use super::search::Search;
use super::tracking::{self, Deleted, Touched};
use super::walk::Walk;
use crate::source::{SourceError, SourceId};

/// What counts up with each write of an object, at this controller.
pub(super) const CHANGED: &str = "uSNChanged";
/// The number of the write that made it.
const CREATED: &str = "uSNCreated";

/// Where the story of a domain controller goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spot {
    controller: Controller,
    /// The last number that was given out before the read.
    highest: u64,
}

impl Spot {
    /// Whether the controller knows less than it did.
    pub(super) fn went_back(&self, before: &Self) -> bool {
        let same = self.controller == before.controller;
        self.controller.was_restored(&before.controller) || same && self.highest < before.highest
    }

    /// What was written after it. There is no `>` in filters.
    fn since(&self) -> Filter {
        Filter::at_least(CHANGED, &self.highest.saturating_add(1).to_string())
    }
}

/// Where the story of this controller is now; `None` where it does not say. The number is of
/// the moment of the connection: before anything that is read on it.
pub(super) async fn here(place: &Place<'_>) -> Result<Option<Spot>, SourceError> {
    let controller = Controller::of(place).await?;
    let highest = place.connection.root.highest_committed_usn;
    Ok(controller.zip(highest).map(|(controller, highest)| Spot {
        controller,
        highest,
    }))
}

/// What this controller has written since.
pub(super) async fn touched(place: &Place<'_>, before: &Spot) -> Result<Touched, SourceError> {
    let Some(now) = here(place).await? else {
        return Ok(Touched::Unclear("the server does not say who it is"));
    };
    if let Some(answer) = now.controller.cannot_go_on(&before.controller) {
        return Ok(answer);
    }
    if now.highest < before.highest {
        let words = "its update sequence numbers went back";
        return Ok(Touched::Refused(words.to_owned()));
    }
    let settings = place.settings;
    let since = before.since();
    let asked: Vec<String> = [&settings.id_attribute, "objectClass", CREATED]
        .map(str::to_owned)
        .to_vec();
    // Everywhere, because who has left a base is not in it; and before the bases, because who
    // comes into one meanwhile is there.
    let everywhere = deleted::partitions(settings.bases(), &place.connection.root)
        .into_iter()
        .flatten()
        .map(|partition| Search {
            controls: deleted::show_deleted(),
            ..Search::below(&partition, since.clone(), asked.clone(), place.page_size)
        });
    let mut elsewhere = BTreeSet::new();
    let mut walk = walk(place, everywhere);
    while let Some(chunk) = walk.next_chunk().await? {
        for entry in &chunk {
            if is_old_container(entry, before.highest) {
                return Ok(Touched::Unclear("a container was changed or moved"));
            }
            // What has no id to be seen is no record of ours, or was none.
            elsewhere.extend(place.id(entry));
        }
    }
    let mut there = BTreeSet::new();
    let bases = settings.parts().flat_map(|part| {
        let filter = part.filter.and(&since);
        let asked = &asked;
        let bases = part.bases.iter();
        bases.map(move |base| Search::below(base, filter.clone(), asked.clone(), place.page_size))
    });
    let mut walk = self::walk(place, bases);
    while let Some(chunk) = walk.next_chunk().await? {
        for entry in &chunk {
            let Some(id) = place.id(entry) else {
                return Ok(Touched::Unclear("somebody's id is not to be seen"));
            };
            there.insert(id);
        }
    }
    elsewhere.retain(|id: &SourceId| !there.contains(id));
    Ok(Touched::Records {
        there,
        elsewhere,
        deleted: Deleted::Matching(since),
        spot: tracking::Spot::Usn(now),
    })
}

fn walk<'a>(place: &Place<'a>, searches: impl Iterator<Item = Search>) -> Walk<'a> {
    let connection = &place.connection;
    Walk::new(place.connector, connection, Referrals::Ignore, searches)
}

/// Whether it could have taken somebody along. Who is in a new one has come there since.
fn is_old_container(entry: &Entry, highest: u64) -> bool {
    let created = entry.texts(CREATED);
    let created = created
        .first()
        .and_then(|number| number.parse::<u64>().ok());
    is_container(&entry.texts("objectClass")) && created.is_none_or(|created| created <= highest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::entry::tests::entry;

    #[test]
    fn only_a_container_that_was_there_before_can_take_people_along() {
        let is_old = |class: &str, created: &str| {
            let attributes: &[(&str, &[&[u8]])] = &[
                ("objectClass", &[b"top", class.as_bytes()]),
                ("uSNCreated", &[created.as_bytes()]),
            ];
            is_old_container(&entry("OU=x,DC=y", attributes), 100)
        };
        assert!(is_old("organizationalUnit", "100"));
        assert!(is_old("CONTAINER", "7"));
        assert!(is_old("container", ""), "it does not say");
        assert!(!is_old("organizationalUnit", "101"));
        assert!(!is_old("user", "7"));
    }
}
