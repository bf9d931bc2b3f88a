//! Active Directory's DirSync control: what has changed in a partition since a cookie
//! (MS-ADTS §3.1.1.3.4.1.3).
//!
//! An account with the right to replicate is told of everybody, also of who is deleted or was
//! moved to where it may not look; any other account of what it may see. The attributes that
//! are asked for say which changes are told. Must not read people or groups: it gives ids.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ldap3::controls::{Control, RawControl};
use serde::{Deserialize, Serialize};

use super::controller::{Controller, containers};
use super::deleted;
use super::dn::Dn;
use super::entry::Entry;
use super::error::{GARBAGE, Request, result_words};
use super::filter::Filter;
use super::flavor::Settings;
use super::message::{INTEGER, Malformed, OCTETS, SEQUENCE, elements, push_length};
use super::people::Wanted;
use super::read::Place;
use super::search::{Search, run_unpaged};
use super::tracking::{self, Deleted, IDS, MOST, Touched};
use super::walk::Walk;
use crate::source::{SourceError, SourceId};

/// The control that asks, and answers; and the sign that a server can do it.
pub(super) const DIRSYNC: &str = "1.2.840.113556.1.4.841";

/// LDAP_DIRSYNC_OBJECT_SECURITY: what this account may see, without any right to replicate.
const OBJECT_SECURITY: i32 = 0x1;

/// LDAP_DIRSYNC_INCREMENTAL_VALUES, the highest bit: of a group with many members only those
/// that changed, which keeps the answer in proportion.
const INCREMENTAL_VALUES: i32 = i32::MIN;

/// About as long may one answer be; the server goes on in the next.
const BYTES: i32 = 1 << 20;

/// insufficientAccessRights: the right to replicate is not granted.
const NOT_ALLOWED: u32 = 50;

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

/// One answer.
enum Answer {
    Told {
        entries: Vec<Entry>,
        /// Where to go on.
        cookie: Vec<u8>,
        /// Whether there is more to tell right now.
        more: bool,
    },
    NotAllowed,
    Refused(String),
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

async fn ask(
    place: &Place<'_>,
    search: &Search,
    only_visible: bool,
    cookie: &[u8],
) -> Result<Answer, SourceError> {
    let control = RawControl {
        ctype: DIRSYNC.to_owned(),
        crit: true,
        val: Some(request_value(only_visible, cookie)),
    };
    let connection = &place.connection;
    let mut entries = Vec::new();
    let result = run_unpaged(connection, search, control, |message| {
        if !message.is_ref() && !message.is_intermediate() {
            entries.push(Entry::decode(message.0).map_err(|_| Malformed)?);
        }
        Ok(())
    });
    let result = result.await?;
    match result.rc {
        0 => {}
        NOT_ALLOWED => return Ok(Answer::NotAllowed),
        _ => return Ok(Answer::Refused(result_words(&result))),
    }
    let request = Request::search(&search.base, &search.filter);
    match response(&result.ctrls) {
        Ok(Some((more, cookie))) => Ok(Answer::Told {
            entries,
            cookie,
            more,
        }),
        Ok(None) => Ok(Answer::Refused("it does not answer the control".to_owned())),
        Err(Malformed) => Err(request.failed(&connection.server, GARBAGE, None)),
    }
}

/// `SEQUENCE { flags INTEGER, maxBytes INTEGER, cookie OCTET STRING }`.
fn request_value(only_visible: bool, cookie: &[u8]) -> Vec<u8> {
    let flags = match only_visible {
        true => INCREMENTAL_VALUES | OBJECT_SECURITY,
        false => INCREMENTAL_VALUES,
    };
    let mut content = Vec::new();
    for number in [flags, BYTES] {
        content.extend([INTEGER, 4]);
        content.extend(number.to_be_bytes());
    }
    content.push(OCTETS);
    push_length(&mut content, cookie.len());
    content.extend_from_slice(cookie);
    let mut value = vec![SEQUENCE];
    push_length(&mut value, content.len());
    value.extend(content);
    value
}

/// `SEQUENCE { moreResults INTEGER, unused INTEGER, cookie OCTET STRING }`: whether there is
/// more, and the cookie.
fn response(controls: &[Control]) -> Result<Option<(bool, Vec<u8>)>, Malformed> {
    let mut controls = controls.iter();
    let found = controls.find(|Control(_, raw)| raw.ctype == DIRSYNC);
    let Some(value) = found.and_then(|found| found.1.val.as_deref()) else {
        return Ok(None);
    };
    let outer = elements(value)?;
    let [sequence] = outer.as_slice() else {
        return Err(Malformed);
    };
    let parts = elements(sequence.content)?;
    match parts.as_slice() {
        [more, unused, cookie]
            if [sequence.tag, more.tag, unused.tag, cookie.tag]
                == [SEQUENCE, INTEGER, INTEGER, OCTETS] =>
        {
            let more = more.content.iter().any(|byte| *byte != 0);
            Ok(Some((more, cookie.content.to_vec())))
        }
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn control(value: &[u8]) -> [Control; 1] {
        let raw = RawControl {
            ctype: DIRSYNC.to_owned(),
            crit: false,
            val: Some(value.to_vec()),
        };
        [Control(None, raw)]
    }

    #[test]
    fn the_request_asks_for_changed_values_and_holds_the_cookie() {
        for (only_visible, last) in [(false, 0), (true, 1)] {
            let head = [
                0x30, 0x11, 0x02, 0x04, 0x80, 0, 0, last, 0x02, 0x04, 0, 0x10, 0, 0, 0x04, 0x03,
            ];
            let value = request_value(only_visible, b"abc");
            assert_eq!(value, [&head[..], b"abc"].concat());
        }
        let long = request_value(false, &[7; 300]);
        let parts = elements(elements(&long).unwrap()[0].content).unwrap();
        assert_eq!(parts[2].content, [7; 300]);
    }

    #[test]
    fn the_answer_says_whether_there_is_more() {
        let value = |more: u8| [0x30, 9, 2, 1, more, 2, 1, 0, 4, 1, b'c'];
        let read = |value: &[u8]| response(&control(value)).unwrap();
        assert_eq!(read(&value(1)), Some((true, b"c".to_vec())));
        assert_eq!(read(&value(0)), Some((false, b"c".to_vec())));
        assert_eq!(response(&[]).unwrap(), None);
        assert!(response(&control(&[0x30, 3, 2, 1, 0])).is_err());
    }

    proptest! {
        #[test]
        fn whatever_a_server_answers_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = response(&control(&bytes));
        }
    }
}
