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
use super::search::{Outcome, Search};
use super::walk::Walk;
use crate::source::{Lifecycle, SourceError};

/// MS-ADTS §3.1.1.3.4.1.14: deleted objects are shown.
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

/// Where the deleted person stood.
const LAST_PARENT: &str = "lastKnownParent";

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

/// The partitions that the bases are in: the longest that fits each.
pub(super) fn partitions(bases: &[Dn], root: &RootDse) -> Vec<Dn> {
    let known: Vec<Dn> = root
        .naming_contexts
        .iter()
        .filter_map(|context| Dn::parse(context).ok())
        .collect();
    let mut partitions: Vec<Dn> = Vec::new();
    for base in bases {
        let around = known.iter().filter(|context| base.is_within(context));
        let nearest = around.max_by_key(|context| context.key().len());
        if let Some(nearest) = nearest
            && !partitions.contains(nearest)
        {
            partitions.push(nearest.clone());
        }
    }
    partitions
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
pub(super) async fn are_readable(
    connector: &Connector,
    connection: &Arc<Connection>,
    searches: Vec<Search>,
) -> Result<bool, SourceError> {
    let mut readable = !searches.is_empty();
    for search in searches {
        let mut walk = Walk::new(connector, connection, Referrals::Ignore, [search]);
        walk.next_chunk().await?;
        readable &= walk.outcome() == Outcome::Read;
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
