//! People whom the directory keeps after their deletion, and from where they can come back
//! with the same id.
//!
//! Only where the account may read them; otherwise they are simply not there any more.

use std::sync::Arc;

use ldap3::controls::RawControl;

use super::config::Referrals;
use super::connect::{Connection, Connector};
use super::dn::Dn;
use super::entry::Entry;
use super::filter::Filter;
use super::flavor::{Flavor, RootDse, Settings};
use super::lifecycle::generalized_time;
use super::read::Place;
use super::search::{Outcome, Search};
use super::usn;
use super::walk::Walk;
use crate::source::{Lifecycle, SourceError};

/// MS-ADTS §3.1.1.3.4.1.14: deleted objects are shown.
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

/// Where the deleted person stood.
const LAST_PARENT: &str = "lastKnownParent";

/// What every deleted object has, and the container too.
const IS_DELETED: &str = "isDeleted";

/// As many are looked at for telling whether they can be read.
const LOOKED_AT: u16 = 20;

/// Of a deleted object nothing changes any more.
const WHEN: &str = "whenChanged";

/// The searches for deleted people; none where the directory keeps nobody.
pub(super) fn searches(
    settings: &Settings,
    root: &RootDse,
    attributes: &[String],
    page_size: u16,
) -> Vec<Search> {
    let (container, filter, controls) = match settings.flavor {
        Flavor::ActiveDirectory => (
            "CN=Deleted Objects",
            // Neither category nor the configured filter's attributes are kept.
            "(&(isDeleted=TRUE)(objectClass=user)(!(objectClass=computer)))",
            show_deleted(),
        ),
        Flavor::FreeIpa => (
            "cn=deleted users,cn=accounts,cn=provisioning",
            "(objectClass=posixAccount)",
            Vec::new(),
        ),
        _ => return Vec::new(),
    };
    let filter = Filter::constant(filter);
    let mut attributes = attributes.to_vec();
    attributes.extend([LAST_PARENT, WHEN].map(str::to_owned));
    partitions(&settings.users.bases, root)
        .into_iter()
        .flatten()
        .filter_map(|partition| Dn::parse(&format!("{container},{partition}")).ok())
        .map(|base| Search {
            controls: controls.clone(),
            optional: true,
            ..Search::below(&base, filter.clone(), attributes.clone(), page_size)
        })
        .collect()
}

/// What lets a search find deleted objects.
pub(super) fn show_deleted() -> Vec<RawControl> {
    vec![RawControl {
        ctype: SHOW_DELETED.to_owned(),
        crit: true,
        val: None,
    }]
}

/// The partitions that hold what is below the bases: around each base the nearest, and those
/// of other domains below it, which a global catalog has too. `None` where a base is in none
/// that is known of.
pub(super) fn partitions<'a>(
    bases: impl IntoIterator<Item = &'a Dn>,
    root: &RootDse,
) -> Option<Vec<Dn>> {
    let known: Vec<Dn> = root
        .naming_contexts
        .iter()
        .filter_map(|context| Dn::parse(context).ok())
        .collect();
    let mut partitions: Vec<Dn> = Vec::new();
    for base in bases {
        let around = known.iter().filter(|context| base.is_within(context));
        let nearest = around.max_by_key(|context| context.key().len())?;
        let below = known
            .iter()
            .filter(|context| context.is_within(base) && is_domain(context));
        for partition in std::iter::once(nearest).chain(below) {
            if !partitions.contains(partition) {
                partitions.push(partition.clone());
            }
        }
    }
    Some(partitions)
}

/// Whether people can be in a partition: not in the schema and the configuration, and not in
/// those of the name service.
fn is_domain(context: &Dn) -> bool {
    let name = context.as_str().to_ascii_lowercase();
    let of_names = ["dc=domaindnszones,", "dc=forestdnszones,"];
    name.starts_with("dc=") && !of_names.iter().any(|zones| name.starts_with(zones))
}

/// Reads the deleted people who stood below one of the bases, where this account may.
pub(super) async fn read(
    settings: &Settings,
    connector: &Connector,
    connection: &Arc<Connection>,
    searches: Vec<Search>,
) -> Result<Vec<Entry>, SourceError> {
    let mut found = Vec::new();
    let mut walk = Walk::new(connector, connection, Referrals::Ignore, searches);
    while let Some(chunk) = walk.next_chunk().await? {
        found.extend(chunk.into_iter().filter(|entry| was_ours(entry, settings)));
    }
    Ok(found)
}

/// Whether this account may read them: looks at no more than it has to.
///
/// An Active Directory can show the container, and nothing in it, to who may not: it counts
/// that everything of what is there to be seen, the container itself at least, can be read.
pub(super) async fn are_readable(place: &Place<'_>) -> Result<bool, SourceError> {
    let settings = place.settings;
    let is_ad = settings.flavor == Flavor::ActiveDirectory;
    let asked = match is_ad {
        true => [IS_DELETED, usn::CHANGED].map(str::to_owned).to_vec(),
        false => vec![settings.id_attribute.clone()],
    };
    let searches = searches(settings, &place.connection.root, &asked, LOOKED_AT);
    let mut readable = !searches.is_empty();
    for mut search in searches {
        if is_ad {
            search.filter = Filter::constant("(objectClass=*)");
        }
        let home = &place.connection;
        let mut walk = Walk::new(place.connector, home, Referrals::Ignore, [search]);
        let chunk = walk.next_chunk().await?.unwrap_or_default();
        let is_told = |entry: &Entry| asked.iter().all(|name| entry.has(name));
        readable &= walk.outcome() == Outcome::Read;
        readable &= !is_ad || !chunk.is_empty() && chunk.iter().all(is_told);
    }
    Ok(readable)
}

/// FreeIPA keeps only people, and no former place.
fn was_ours(entry: &Entry, settings: &Settings) -> bool {
    if settings.flavor == Flavor::FreeIpa {
        return true;
    }
    let parents = entry.texts(LAST_PARENT);
    let mut parents = parents.iter().filter_map(|parent| Dn::parse(parent).ok());
    parents.any(|parent| {
        let mut bases = settings.users.bases.iter();
        bases.any(|base| parent.is_within(base))
    })
}

/// Since when, where the directory says so.
pub(super) fn lifecycle(entry: &Entry) -> Lifecycle {
    let since = entry.texts(WHEN);
    Lifecycle::SoftDeleted {
        since: since.first().and_then(|text| generalized_time(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_base_is_in_the_nearest_partition_and_may_hold_other_domains() {
        let contexts = [
            "DC=corp,DC=example",
            "CN=Configuration,DC=corp,DC=example",
            "DC=DomainDnsZones,DC=corp,DC=example",
            "DC=eu,DC=corp,DC=example",
        ];
        let root = RootDse {
            naming_contexts: contexts.map(str::to_owned).to_vec(),
            ..RootDse::default()
        };
        let found = |bases: &[&str]| {
            let bases: Vec<Dn> = bases.iter().map(|base| Dn::parse(base).unwrap()).collect();
            let found = partitions(&bases, &root)?;
            Some(
                found
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<String>>(),
            )
        };
        let some = |contexts: &[&str]| Some(contexts.iter().map(ToString::to_string).collect());
        assert_eq!(found(&["OU=a,DC=corp,DC=example"]), some(&contexts[..1]));
        assert_eq!(
            found(&["OU=a,DC=EU,DC=corp,DC=example"]),
            some(&contexts[3..])
        );
        let both = [contexts[0], contexts[3]];
        assert_eq!(found(&["DC=corp,DC=example"]), some(&both));
        assert_eq!(
            found(&["DC=corp,DC=example", "OU=a,DC=eu,DC=corp,DC=example"]),
            some(&both)
        );
        assert_eq!(found(&["OU=a,DC=elsewhere"]), None);
        assert_eq!(found(&["OU=a,DC=corp,DC=example", "DC=elsewhere"]), None);
    }
}
