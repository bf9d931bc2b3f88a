//! How to read only what has changed: which way the server has, what to remember of a full
//! read for it, and what was touched since.
//!
//! Whatever is not clear leads to a full read. Must not read people or groups: it gives ids.

mod syncrepl;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::config::{Changes, Referrals};
use super::controller::Controller;
use super::deleted;
use super::dirsync;
use super::filter::Filter;
use super::flavor::{Flavor, Settings};
use super::id::IdEncoding;
use super::people::Wanted;
use super::read::Place;
use super::sync::SYNC_REQUEST;
use super::usn;
use crate::digest::{Digest, digest};
use crate::source::{SourceError, SourceId};

/// With more, reading everything is less work.
pub(super) const MOST: usize = 1_000;

/// As many ids go into one filter.
pub(super) const IDS: usize = 50;

/// More containers than this are not remembered.
pub(super) const CONTAINERS: usize = 10_000;

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
    "lastLogoff",
    "logonCount",
    "badPwdCount",
    "badPasswordTime",
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
    /// Active Directory's DirSync control.
    DirSync {
        /// Whether only what this account may see is told.
        only_visible: bool,
    },
    /// RFC 4533.
    SyncRepl,
}

impl Way {
    /// What has to be seen of an entry for its changes to be told. Of whom it is hidden it would
    /// be said that nothing has changed, whatever has.
    pub(super) fn stamp(&self) -> Option<&'static str> {
        match self {
            Way::Usn => Some(usn::CHANGED),
            Way::SyncRepl => Some(syncrepl::CHANGED),
            // That control does not go by what this account may see, or gives what it may see.
            Way::Full(_) | Way::DirSync { .. } => None,
        }
    }
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
    DirSync(dirsync::Spot),
    SyncRepl(syncrepl::Spot),
}

impl Spot {
    /// Whether the server was restored from a copy since: whoever it had to forget looks like
    /// somebody who left.
    pub(super) fn went_back(&self, before: &Self) -> bool {
        match (self, before) {
            (Spot::Usn(now), Spot::Usn(before)) => now.went_back(before),
            (Spot::DirSync(now), Spot::DirSync(before)) => now.went_back(before),
            (Spot::SyncRepl(now), Spot::SyncRepl(before)) => now.went_back(before),
            _ => false,
        }
    }
}

/// What was touched since a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touched {
    Records {
        /// Those that match a search, or are where one looks.
        there: BTreeSet<SourceId>,
        /// Those that do not, or not any more; most were never records of this source.
        elsewhere: BTreeSet<SourceId>,
        deleted: Deleted,
        spot: Spot,
    },
    /// The server refuses to go on from the mark.
    Refused(String),
    /// What follows from the changes can only be found by reading everything.
    Unclear(&'static str),
}

/// Who of those that a directory keeps after their deletion was deleted since a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deleted {
    /// It keeps nobody.
    Nobody,
    /// Whom this filter matches.
    Matching(Filter),
    These(BTreeSet<SourceId>),
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

/// The configured way, or the best that this server has for this account. `before`: the way
/// that the last read left, which is not found out anew before the next full one.
pub(super) async fn choose(
    place: &Place<'_>,
    wanted: &Wanted,
    before: Option<&Spot>,
) -> Result<Way, SourceError> {
    let or_refuse = |name: &str, way: Result<Way, String>| {
        way.map_err(|obstacle| SourceError::Configuration {
            problem: format!(
                "`changes = \"{name}\"` cannot be used here: {obstacle}; leave `changes` out for \
                 the best way that there is"
            ),
        })
    };
    match place.changes {
        Changes::Full => Ok(Way::Full("`changes` says so".to_owned())),
        Changes::DirSync => or_refuse("dirsync", dirsync_way(place, wanted, before).await?),
        Changes::Usn => or_refuse("usn", usn_way(place, wanted).await?),
        Changes::SyncRepl => or_refuse("syncrepl", sync_way(place, wanted)),
        Changes::Auto if place.settings.flavor == Flavor::ActiveDirectory => {
            let way = match before {
                Some(Spot::Usn(_)) => usn_way(place, wanted).await?,
                // Only with the right to replicate it tells more than the numbers do.
                _ => match dirsync_way(place, wanted, before).await? {
                    Ok(
                        way @ Way::DirSync {
                            only_visible: false,
                        },
                    ) => Ok(way),
                    Ok(_) | Err(_) => usn_way(place, wanted).await?,
                },
            };
            Ok(way.unwrap_or_else(Way::Full))
        }
        Changes::Auto => Ok(sync_way(place, wanted).unwrap_or_else(Way::Full)),
    }
}

/// The way, or what is in its way.
async fn usn_way(place: &Place<'_>, wanted: &Wanted) -> Result<Result<Way, String>, SourceError> {
    let settings = place.settings;
    if settings.flavor != Flavor::ActiveDirectory {
        return Ok(Err("the server is no Active Directory".to_owned()));
    }
    let is = |name: &str| settings.id_attribute.eq_ignore_ascii_case(name);
    if !is("objectGUID") && !is("objectSid") {
        let id = &settings.id_attribute;
        return Ok(Err(format!("deleted people have no `{id}`")));
    }
    if let Some(obstacle) = common_obstacle(place, wanted) {
        return Ok(Err(obstacle));
    }
    if !deleted::are_readable(place).await? {
        return Ok(Err(
            "this account may not read deleted objects, so that nobody would be missed".to_owned(),
        ));
    }
    if usn::here(place).await?.is_none() {
        return Ok(Err(NO_CONTROLLER.to_owned()));
    }
    Ok(Ok(Way::Usn))
}

const NO_CONTROLLER: &str = "this account may not see which domain controller it is \
    (`dsServiceName` and its `invocationId`)";

/// The way, or what is in its way.
async fn dirsync_way(
    place: &Place<'_>,
    wanted: &Wanted,
    before: Option<&Spot>,
) -> Result<Result<Way, String>, SourceError> {
    let settings = place.settings;
    if settings.flavor != Flavor::ActiveDirectory {
        return Ok(Err("the server is no Active Directory".to_owned()));
    }
    if !place.connection.root.has_control(dirsync::DIRSYNC) {
        return Ok(Err("the server does not offer it".to_owned()));
    }
    if !settings.id_attribute.eq_ignore_ascii_case("objectGUID") {
        let id = &settings.id_attribute;
        return Ok(Err(format!(
            "it goes by `objectGUID`, and the ids are `{id}`"
        )));
    }
    if let Some(obstacle) = common_obstacle(place, wanted) {
        return Ok(Err(obstacle));
    }
    let replicates = match before {
        Some(Spot::DirSync(spot)) => !spot.only_visible,
        _ => dirsync::may_replicate(place).await?,
    };
    if !replicates && !deleted::are_readable(place).await? {
        return Ok(Err(
            "this account may neither replicate (`Replicating Directory Changes`) nor read \
             deleted objects, so that nobody would be missed"
                .to_owned(),
        ));
    }
    if Controller::of(place).await?.is_none() {
        return Ok(Err(NO_CONTROLLER.to_owned()));
    }
    let only_visible = !replicates;
    Ok(Ok(Way::DirSync { only_visible }))
}

fn sync_way(place: &Place<'_>, wanted: &Wanted) -> Result<Way, String> {
    let settings = place.settings;
    if settings.flavor != Flavor::OpenLdap {
        return Err("it is known to be complete at OpenLDAP only".to_owned());
    }
    if !place.connection.root.has_control(SYNC_REQUEST) {
        return Err("the server does not offer it (overlay `syncprov`)".to_owned());
    }
    let by_uuid = settings.id_attribute.eq_ignore_ascii_case("entryUUID");
    if !by_uuid || settings.id_encoding != IdEncoding::Text {
        return Err("it goes by `entryUUID`, and the ids are others".to_owned());
    }
    common_obstacle(place, wanted).map_or(Ok(Way::SyncRepl), Err)
}

fn common_obstacle(place: &Place<'_>, wanted: &Wanted) -> Option<String> {
    if place.referrals == Referrals::Follow {
        return Some("referrals are followed, and other servers have changes of their own".into());
    }
    let settings = place.settings;
    let filtered = settings.parts().any(|part| part.filter.mentions(COMPUTED));
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
    Ok(match way {
        Way::Full(_) => None,
        Way::Usn => usn::here(place).await?.map(Spot::Usn),
        Way::DirSync { only_visible } => {
            let here = dirsync::here(place, *only_visible).await?;
            here.map(Spot::DirSync)
        }
        Way::SyncRepl => syncrepl::here(place).await?.map(Spot::SyncRepl),
    })
}

/// What was touched since a mark.
pub(super) async fn touched(
    place: &Place<'_>,
    wanted: &Wanted,
    spot: &Spot,
) -> Result<Touched, SourceError> {
    match spot {
        Spot::Usn(spot) => usn::touched(place, spot).await,
        Spot::DirSync(spot) => dirsync::touched(place, wanted, spot).await,
        Spot::SyncRepl(spot) => syncrepl::touched(place, spot).await,
    }
}
