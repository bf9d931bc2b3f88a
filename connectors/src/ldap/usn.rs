//! Active Directory's update sequence numbers: what one domain controller has written since.
//!
//! They are one controller's own: another one, or the same one restored, has another story. A
//! container that moves takes everybody in it along, and none of those has changed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::config::Referrals;
use super::deleted;
use super::dn::Dn;
use super::entry::Entry;
use super::filter::Filter;
use super::read::Place;
use super::search::{Search, lookup};
use super::tracking::{self, Touched};
use super::walk::Walk;
use crate::source::{SourceError, SourceId};

/// What counts up with each write of an object, at this controller.
const CHANGED: &str = "uSNChanged";
/// The number of the write that made it.
const CREATED: &str = "uSNCreated";

/// The classes of what holds people and can be moved.
const CONTAINERS: &[&str] = &[
    "organizationalUnit",
    "container",
    "organization",
    "locality",
];

/// Where the story of a domain controller goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spot {
    /// The entry of the controller's service.
    service: String,
    /// Which copy of its database it is, in hexadecimal digits.
    invocation: String,
    /// The last number that was given out before the read.
    highest: u64,
}

impl Spot {
    /// What was written after it. There is no `>` in filters.
    pub(super) fn since(&self) -> Filter {
        Filter::at_least(CHANGED, &self.highest.saturating_add(1).to_string())
    }
}

/// Where the story of this controller is now; `None` where it does not say.
pub(super) async fn here(place: &Place<'_>) -> Result<Option<Spot>, SourceError> {
    let connection = &place.connection;
    let root = &connection.root;
    let (Some(service), Some(highest)) = (&root.ds_service_name, root.highest_committed_usn) else {
        return Ok(None);
    };
    let Ok(dn) = Dn::parse(service) else {
        return Ok(None);
    };
    let everything = Filter::constant("(objectClass=*)");
    let asked = vec!["invocationId".to_owned()];
    let found = lookup(connection, &dn, &everything, asked).await?;
    let invocation = found.and_then(|entry| {
        let values = entry.values("invocationId");
        let value = values.first()?;
        Some(value.iter().map(|byte| format!("{byte:02x}")).collect())
    });
    Ok(invocation.map(|invocation| Spot {
        service: service.clone(),
        invocation,
        highest,
    }))
}

/// What this controller has written since.
pub(super) async fn touched(place: &Place<'_>, before: &Spot) -> Result<Touched, SourceError> {
    let Some(now) = here(place).await? else {
        return Ok(Touched::Unclear("the server does not say who it is"));
    };
    if (&now.service, &now.invocation) != (&before.service, &before.invocation) {
        return Ok(Touched::Unclear(
            "another domain controller answers, or one that was restored",
        ));
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
    let parts = [Some(&settings.users), settings.groups.as_ref()];
    let bases: Vec<Dn> = parts
        .into_iter()
        .flatten()
        .flat_map(|part| part.bases.clone())
        .collect();
    // Everywhere, because who has left a base is not in it; and before the bases, because who
    // comes into one meanwhile is there.
    let everywhere = deleted::partitions(&bases, &place.connection.root)
        .into_iter()
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
            elsewhere.extend(id(place, entry));
        }
    }
    let mut there = BTreeSet::new();
    let bases = parts.into_iter().flatten().flat_map(|part| {
        let filter = part.filter.and(&since);
        let asked = &asked;
        let bases = part.bases.iter();
        bases.map(move |base| Search::below(base, filter.clone(), asked.clone(), place.page_size))
    });
    let mut walk = self::walk(place, bases);
    while let Some(chunk) = walk.next_chunk().await? {
        there.extend(chunk.iter().filter_map(|entry| id(place, entry)));
    }
    elsewhere.retain(|id| !there.contains(id));
    Ok(Touched::Records {
        there,
        elsewhere,
        spot: tracking::Spot::Usn(now),
    })
}

fn walk<'a>(place: &Place<'a>, searches: impl Iterator<Item = Search>) -> Walk<'a> {
    let connection = &place.connection;
    Walk::new(place.connector, connection, Referrals::Ignore, searches)
}

fn id(place: &Place<'_>, entry: &Entry) -> Option<SourceId> {
    let settings = place.settings;
    match entry.values(&settings.id_attribute)[..] {
        [value] => settings.id_encoding.text(value).map(SourceId::new),
        _ => None,
    }
}

/// Whether it could have taken somebody along. Who is in a new one has come there since.
fn is_old_container(entry: &Entry, highest: u64) -> bool {
    let classes = entry.texts("objectClass");
    let is_container = classes.iter().any(|class| {
        let mut containers = CONTAINERS.iter();
        containers.any(|container| container.eq_ignore_ascii_case(class))
    });
    let created = entry.texts(CREATED);
    let created = created
        .first()
        .and_then(|number| number.parse::<u64>().ok());
    is_container && created.is_none_or(|created| created <= highest)
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
