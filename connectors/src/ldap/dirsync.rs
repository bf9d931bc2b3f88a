//! Active Directory's DirSync control: what has changed in a partition since a cookie
//! (MS-ADTS §3.1.1.3.4.1.3).
//!
//! An account with the right to replicate is told of everybody, also of who is deleted or was
//! moved to where it may not look; any other account of what it may see. The attributes that
//! are asked for say which changes are told. Must not read people or groups: it gives ids.

mod control;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use self::control::{Answer, ask};
use super::controller::{Controller, containers};
use super::deleted;
use super::dn::Dn;
use super::filter::Filter;
use super::flavor::Settings;
use super::people::Wanted;
use super::read::Place;
use super::search::Search;
use super::tracking::{self, Deleted, IDS, MOST, Touched};
use super::usn;
use super::walk::Walk;
use crate::source::{SourceError, SourceId};

pub(super) use self::control::DIRSYNC;

/// Where the story of a domain controller goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spot {
    controller: Controller,
    /// Whether only what this account may see is told.
    pub(super) only_visible: bool,
    /// One for each partition, in base64.
    cookies: Vec<String>,
    /// What holds people, or could: when it moves, they all do, and none of them has changed.
    containers: BTreeSet<SourceId>,
}

impl Spot {
    /// Whether the controller knows less than it did.
    pub(super) fn went_back(&self, before: &Self) -> bool {
        self.controller.was_restored(&before.controller)
    }
}

/// Whether this account has the right to replicate.
pub(super) async fn may_replicate(place: &Place<'_>) -> Result<bool, SourceError> {
    let partitions = partitions(place);
    for partition in partitions.iter().flatten() {
        let search = search(partition, nobody(), vec!["name".to_owned()]);
        match ask(place, &search, false, &[]).await? {
            Answer::Told { .. } => {}
            Answer::NotAllowed | Answer::Refused(_) => return Ok(false),
        }
    }
    Ok(partitions.is_some())
}

/// Where the story of this controller is now; `None` where that cannot be had.
pub(super) async fn here(
    place: &Place<'_>,
    only_visible: bool,
) -> Result<Option<Spot>, SourceError> {
    let Some(controller) = Controller::of(place).await? else {
        return Ok(None);
    };
    let mut cookies = Vec::new();
    let Some(partitions) = partitions(place) else {
        return Ok(None);
    };
    for partition in &partitions {
        // Nobody matches: the cookie is all that is wanted.
        let search = search(partition, nobody(), vec!["name".to_owned()]);
        let mut cookie = Vec::new();
        loop {
            let answer = ask(place, &search, only_visible, &cookie).await?;
            let Answer::Told {
                cookie: next, more, ..
            } = answer
            else {
                return Ok(None);
            };
            if more && next == cookie {
                return Ok(None);
            }
            cookie = next;
            if !more {
                break;
            }
        }
        cookies.push(STANDARD.encode(cookie));
    }
    let containers = find_containers(place, &containers()).await?;
    if containers.len() > tracking::CONTAINERS {
        return Ok(None);
    }
    Ok(Some(Spot {
        controller,
        only_visible,
        cookies,
        containers,
    }))
}

/// What has changed since.
pub(super) async fn touched(
    place: &Place<'_>,
    wanted: &Wanted,
    before: &Spot,
) -> Result<Touched, SourceError> {
    let Some(controller) = Controller::of(place).await? else {
        return Ok(Touched::Unclear("the server does not say who it is"));
    };
    if let Some(answer) = controller.cannot_go_on(&before.controller) {
        return Ok(answer);
    }
    let settings = place.settings;
    let partitions = partitions(place).unwrap_or_default();
    if partitions.len() != before.cookies.len() {
        return Ok(Touched::Unclear("there are other partitions than before"));
    }
    let asked = attributes(settings, wanted);
    let everything = Filter::constant("(objectClass=*)");
    let (mut there, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
    let (mut deleted, mut moved) = (BTreeSet::new(), BTreeSet::new());
    let mut cookies = Vec::new();
    for (partition, cookie) in partitions.iter().zip(&before.cookies) {
        let Ok(mut cookie) = STANDARD.decode(cookie) else {
            return Ok(Touched::Unclear("the last read left no cookie"));
        };
        let search = search(partition, everything.clone(), asked.clone());
        loop {
            let answer = ask(place, &search, before.only_visible, &cookie).await?;
            let (entries, next, more) = match answer {
                Answer::Told {
                    entries,
                    cookie,
                    more,
                } => (entries, cookie, more),
                Answer::NotAllowed => {
                    return Ok(Touched::Unclear("the right to replicate was taken away"));
                }
                Answer::Refused(words) => return Ok(Touched::Refused(words)),
            };
            for entry in entries {
                let Some(id) = place.id(&entry) else {
                    return Ok(Touched::Unclear("something changed that has no id"));
                };
                if before.containers.contains(&id) {
                    return Ok(Touched::Unclear("a container was changed or moved"));
                }
                let is_deleted = entry.texts("isDeleted").iter().any(|text| text == "TRUE");
                if is_deleted {
                    deleted.insert(id.clone());
                }
                if settings.is_ours(&entry.dn) && !is_deleted {
                    if entry.has("name") || entry.has("parentGUID") {
                        moved.insert(id.clone());
                    }
                    there.insert(id);
                } else {
                    elsewhere.insert(id);
                }
            }
            if there.len() > MOST {
                return Ok(Touched::Unclear("much has changed"));
            }
            if more && next == cookie {
                return Ok(Touched::Unclear("the server goes on without end"));
            }
            cookie = next;
            if !more {
                break;
            }
        }
        cookies.push(STANDARD.encode(cookie));
    }
    if holds_containers(place, moved).await? {
        return Ok(Touched::Unclear("a container was made or moved here"));
    }
    // Told twice, in two answers: where it was last is looked up in any case.
    elsewhere.retain(|id| !there.contains(id));
    Ok(Touched::Records {
        there,
        elsewhere,
        deleted: Deleted::These(deleted),
        spot: tracking::Spot::DirSync(Spot {
            cookies,
            ..before.clone()
        }),
    })
}

/// The partitions to ask about: the control wants the root of one as its base.
fn partitions(place: &Place<'_>) -> Option<Vec<Dn>> {
    deleted::partitions(place.settings.bases(), &place.connection.root)
}

/// What somebody is judged by, besides what is read of them: their name and place, and what the
/// filters look at.
fn attributes(settings: &Settings, wanted: &Wanted) -> Vec<String> {
    let mut asked: BTreeSet<String> = ["name", "parentGUID", "isDeleted", "objectClass"]
        .map(str::to_owned)
        .into();
    asked.extend(wanted.of_people.iter().chain(&wanted.of_groups).cloned());
    // It is this controller's own, and no part of what is replicated.
    asked.remove(usn::CHANGED);
    for part in settings.parts() {
        match part.filter.attributes() {
            Some(names) => asked.extend(names),
            None => return vec!["*".to_owned()],
        }
    }
    match asked.contains("*") {
        true => vec!["*".to_owned()],
        false => Vec::from_iter(asked),
    }
}

fn search(partition: &Dn, filter: Filter, attributes: Vec<String>) -> Search {
    Search::below(partition, filter, attributes, 1)
}

fn nobody() -> Filter {
    Filter::present("objectClass").not()
}

/// Whether one of these is a container, with people in it perhaps that came along.
async fn holds_containers(place: &Place<'_>, ids: BTreeSet<SourceId>) -> Result<bool, SourceError> {
    let ids = Vec::from_iter(ids);
    for ids in ids.chunks(IDS) {
        let Some(filter) = place.settings.any_of(ids) else {
            return Ok(true);
        };
        let found = find_containers(place, &containers().and(&filter)).await?;
        if !found.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn find_containers(
    place: &Place<'_>,
    filter: &Filter,
) -> Result<BTreeSet<SourceId>, SourceError> {
    let asked = vec![place.settings.id_attribute.clone()];
    let bases = place.settings.outer_bases();
    let searches = bases
        .into_iter()
        .map(|base| Search::below(base, filter.clone(), asked.clone(), place.page_size));
    let home = &place.connection;
    let mut walk = Walk::new(place.connector, home, place.referrals, searches);
    let mut found = BTreeSet::new();
    while let Some(chunk) = walk.next_chunk().await? {
        for entry in &chunk {
            found.extend(place.id(entry));
        }
    }
    Ok(found)
}
