//! How to read only what has changed: which way the server has, what to remember of a full
//! read for it, and what was touched since.
//!
//! Whatever is not clear leads to a full read. Must not read people or groups: it gives ids.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::config::{Changes, Referrals};
use super::deleted;
use super::dn::Dn;
use super::filter::Filter;
use super::flavor::{Flavor, Settings};
use super::id::IdEncoding;
use super::people::Wanted;
use super::read::Place;
use super::search::Search;
use super::sync::{self, Answer, SYNC_REQUEST};
use super::usn;
use super::walk::Walk;
use crate::digest::{Digest, digest};
use crate::source::{SourceError, SourceId};

/// More containers than this are not remembered.
const CONTAINERS: usize = 10_000;

/// What a server works out when it is asked, or keeps without noting that the entry has
/// changed: nobody is told of its changes.
const COMPUTED: &[&str] = &[
    "memberOf",
    "isMemberOf",
    "memberURL",
    "groupOfURLs",
    "nsRole",
    "directReports",
    "managedObjects",
    "tokenGroups",
    "lastLogon",
    "badPwdCount",
    "msDS-User-Account-Control-Computed",
    "msDS-UserPasswordExpiryTimeComputed",
    "msDS-memberTransitive",
    "msDS-memberOfTransitive",
];

/// How changes are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// By comparing everything, for this reason.
    Full(String),
    /// Active Directory's update sequence numbers.
    Usn,
    /// RFC 4533.
    SyncRepl,
}

/// What a full read leaves for reading only changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    /// What time it was: who is switched off by the clock since then has not changed.
    pub(super) at: DateTime<Utc>,
    /// What was asked for. Different bits only lead to a full read.
    pub(super) selection: Digest,
    /// What the filters and places that people are judged by came to.
    pub(super) judged: Digest,
    pub(super) spot: Spot,
}

/// Where a server's story of its changes goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Spot {
    Usn(usn::Spot),
    SyncRepl {
        /// One for each search, in base64.
        cookies: Vec<String>,
        /// What holds entries, or could: when it moves, they all do, and none has changed.
        containers: BTreeSet<Uuid>,
    },
}

/// What was touched since a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touched {
    Records {
        /// Those that match a search.
        there: BTreeSet<SourceId>,
        /// Those that do not, or not any more; most were never records of this source.
        elsewhere: BTreeSet<SourceId>,
        spot: Spot,
    },
    /// The server refuses to go on from the mark.
    Refused(String),
    /// What follows from the changes can only be found by reading everything.
    Unclear(&'static str),
}

/// What was asked for, for telling whether a mark belongs to it.
pub(super) fn selection(settings: &Settings, wanted: &Wanted) -> Digest {
    let text = format!(
        "{} {:?} {:?} {wanted:?}",
        settings.selection(),
        settings.inactive_when,
        settings.references
    );
    digest(text.as_bytes())
}

/// The configured way, or the best that this server has for this account.
pub(super) async fn choose(place: &Place<'_>, wanted: &Wanted) -> Result<Way, SourceError> {
    let refuse = |name: &str, obstacle: String| SourceError::Configuration {
        problem: format!(
            "`changes = \"{name}\"` cannot be used here: {obstacle}; leave `changes` out for the \
             best way that there is"
        ),
    };
    match place.changes {
        Changes::Full => Ok(Way::Full("`changes` says so".to_owned())),
        Changes::DirSync => Err(refuse(
            "dirsync",
            "this version does not know it".to_owned(),
        )),
        Changes::Usn => match usn_obstacle(place, wanted).await? {
            None => Ok(Way::Usn),
            Some(obstacle) => Err(refuse("usn", obstacle)),
        },
        Changes::SyncRepl => match sync_obstacle(place, wanted) {
            None => Ok(Way::SyncRepl),
            Some(obstacle) => Err(refuse("syncrepl", obstacle)),
        },
        Changes::Auto if place.settings.flavor == Flavor::ActiveDirectory => {
            let obstacle = usn_obstacle(place, wanted).await?;
            Ok(obstacle.map_or(Way::Usn, Way::Full))
        }
        Changes::Auto => Ok(sync_obstacle(place, wanted).map_or(Way::SyncRepl, Way::Full)),
    }
}

async fn usn_obstacle(place: &Place<'_>, wanted: &Wanted) -> Result<Option<String>, SourceError> {
    let settings = place.settings;
    if settings.flavor != Flavor::ActiveDirectory {
        return Ok(Some("the server is no Active Directory".to_owned()));
    }
    let is = |name: &str| settings.id_attribute.eq_ignore_ascii_case(name);
    if !is("objectGUID") && !is("objectSid") {
        return Ok(Some(format!(
            "deleted people have no `{}`",
            settings.id_attribute
        )));
    }
    if let Some(obstacle) = common_obstacle(place, wanted) {
        return Ok(Some(obstacle));
    }
    let asked = [settings.id_attribute.clone()];
    let root = &place.connection.root;
    let searches = deleted::searches(settings, root, &asked, place.page_size);
    let readable = deleted::are_readable(place.connector, &place.connection, searches);
    if !readable.await? {
        return Ok(Some(
            "this account may not read deleted objects, so that nobody would be missed".to_owned(),
        ));
    }
    if usn::here(place).await?.is_none() {
        return Ok(Some(
            "this account may not see which domain controller it is (`dsServiceName` and its \
             `invocationId`)"
                .to_owned(),
        ));
    }
    Ok(None)
}

fn sync_obstacle(place: &Place<'_>, wanted: &Wanted) -> Option<String> {
    let settings = place.settings;
    if settings.flavor != Flavor::OpenLdap {
        return Some("it is known to be complete at OpenLDAP only".to_owned());
    }
    if !place.connection.root.has_control(SYNC_REQUEST) {
        return Some("the server does not offer it (overlay `syncprov`)".to_owned());
    }
    let by_uuid = settings.id_attribute.eq_ignore_ascii_case("entryUUID");
    if !by_uuid || settings.id_encoding != IdEncoding::Text {
        return Some("it goes by `entryUUID`, and the ids are others".to_owned());
    }
    common_obstacle(place, wanted)
}

fn common_obstacle(place: &Place<'_>, wanted: &Wanted) -> Option<String> {
    if place.referrals == Referrals::Follow {
        return Some("referrals are followed, and other servers have changes of their own".into());
    }
    let settings = place.settings;
    let parts = [Some(&settings.users), settings.groups.as_ref()];
    let filtered = parts
        .into_iter()
        .flatten()
        .any(|part| part.filter.mentions(COMPUTED));
    let used = wanted.requested.iter().flatten().any(|name| {
        let mut computed = COMPUTED.iter();
        computed.any(|computed| computed.eq_ignore_ascii_case(name))
    });
    (filtered || used).then(|| {
        "an attribute in use, such as `memberOf`, changes without its entry being noted as changed"
            .to_owned()
    })
}

/// Where changes from now on will be found; `None` where that cannot be had.
pub(super) async fn begin(place: &Place<'_>, way: &Way) -> Result<Option<Spot>, SourceError> {
    match way {
        Way::Full(_) => Ok(None),
        Way::Usn => Ok(usn::here(place).await?.map(Spot::Usn)),
        Way::SyncRepl => begin_sync(place).await,
    }
}

async fn begin_sync(place: &Place<'_>) -> Result<Option<Spot>, SourceError> {
    let nobody = Filter::present("objectClass").not();
    let mut cookies = Vec::new();
    for (_, search) in sync_searches(place) {
        let search = Search {
            filter: search.filter.and(&nobody),
            ..search
        };
        let Some(cookie) = sync::begin(&place.connection, &search).await? else {
            return Ok(None);
        };
        cookies.push(STANDARD.encode(cookie));
    }
    let mut containers = BTreeSet::new();
    let asked = vec![place.settings.id_attribute.clone()];
    let filter = container_filter(place.settings);
    let searches = outer_bases(place.settings)
        .into_iter()
        .map(|base| Search::below(base, filter.clone(), asked.clone(), place.page_size));
    let mut walk = Walk::new(
        place.connector,
        &place.connection,
        place.referrals,
        searches,
    );
    while let Some(chunk) = walk.next_chunk().await? {
        for entry in chunk {
            let id = entry.texts(&place.settings.id_attribute);
            let Some(id) = id.first().and_then(|id| Uuid::try_parse(id).ok()) else {
                return Ok(None);
            };
            containers.insert(id);
        }
        if containers.len() > CONTAINERS {
            tracing::info!("more than {CONTAINERS} containers: changes are found by comparing");
            return Ok(None);
        }
    }
    Ok(Some(Spot::SyncRepl {
        cookies,
        containers,
    }))
}

/// What a search is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    Records,
    Containers,
}

/// The searches whose changes are asked for, always in the same order.
fn sync_searches(place: &Place<'_>) -> Vec<(Watched, Search)> {
    let settings = place.settings;
    let search = |base: &Dn, filter: &Filter| {
        Search::below(
            base,
            filter.clone(),
            vec!["1.1".to_owned()],
            place.page_size,
        )
    };
    let parts = [Some(&settings.users), settings.groups.as_ref()];
    let records = parts.into_iter().flatten().flat_map(|part| {
        let bases = part.bases.iter();
        bases.map(|base| (Watched::Records, search(base, &part.filter)))
    });
    let containers = container_filter(settings);
    // Last: what moves after the records were asked for is seen, too.
    let containers = outer_bases(settings)
        .into_iter()
        .map(|base| (Watched::Containers, search(base, &containers)));
    records.chain(containers).collect()
}

/// Everything that is no record, or has entries below it.
fn container_filter(settings: &Settings) -> Filter {
    let parts = [Some(&settings.users), settings.groups.as_ref()];
    let records: Vec<Filter> = parts
        .into_iter()
        .flatten()
        .map(|part| part.filter.clone())
        .collect();
    let holds = Filter::constant("(hasSubordinates=TRUE)");
    Filter::any(&[holds, Filter::any(&records).not()])
}

/// The bases that are not part of another.
fn outer_bases(settings: &Settings) -> Vec<&Dn> {
    let parts = [Some(&settings.users), settings.groups.as_ref()];
    let mut outer: Vec<&Dn> = Vec::new();
    for base in parts.into_iter().flatten().flat_map(|part| &part.bases) {
        if outer.iter().any(|known| base.is_within(known)) {
            continue;
        }
        outer.retain(|known| !known.is_within(base));
        outer.push(base);
    }
    outer
}

/// What everything matches that was written since, where a filter can say that.
pub(super) fn since(spot: &Spot) -> Option<Filter> {
    match spot {
        Spot::Usn(spot) => Some(spot.since()),
        Spot::SyncRepl { .. } => None,
    }
}

/// What was touched since a mark.
pub(super) async fn touched(place: &Place<'_>, spot: &Spot) -> Result<Touched, SourceError> {
    match spot {
        Spot::Usn(spot) => usn::touched(place, spot).await,
        Spot::SyncRepl {
            cookies,
            containers,
        } => touched_by_sync(place, cookies, containers).await,
    }
}

async fn touched_by_sync(
    place: &Place<'_>,
    cookies: &[String],
    containers: &BTreeSet<Uuid>,
) -> Result<Touched, SourceError> {
    let searches = sync_searches(place);
    if searches.len() != cookies.len() {
        return Ok(Touched::Unclear("there are other bases than before"));
    }
    let id = |uuid: Uuid| SourceId::new(uuid.to_string());
    let (mut there, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
    let mut next = Vec::new();
    for ((watched, search), cookie) in searches.into_iter().zip(cookies) {
        let Ok(cookie) = STANDARD.decode(cookie) else {
            return Ok(Touched::Unclear("the last read left no cookie"));
        };
        let changed = match sync::ask(&place.connection, &search, &cookie).await? {
            Answer::Changed(changed) => changed,
            Answer::Refused(words) => return Ok(Touched::Refused(words)),
            Answer::Unclear => {
                return Ok(Touched::Unclear(
                    "the server does not name everything that has changed",
                ));
            }
        };
        next.push(STANDARD.encode(&changed.cookie));
        match watched {
            Watched::Records => {
                there.extend(changed.there.into_iter().map(id));
                elsewhere.extend(changed.gone.into_iter().map(id));
            }
            Watched::Containers => {
                if !changed.there.is_empty() || !changed.gone.is_disjoint(containers) {
                    return Ok(Touched::Unclear(
                        "something that can hold entries was made, changed or moved",
                    ));
                }
            }
        }
    }
    Ok(Touched::Records {
        there,
        elsewhere,
        spot: Spot::SyncRepl {
            cookies: next,
            containers: containers.clone(),
        },
    })
}
