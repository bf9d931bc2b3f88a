//! Asking a server what has changed since a cookie: content synchronisation, refresh only
//! (RFC 4533 §3.3).
//!
//! Only what the server names is taken for changed or gone. An answer from which somebody's end
//! would only follow because nothing was said of them is no answer. Must not know what entries
//! mean: it gives their unique ids.

use std::collections::{BTreeMap, BTreeSet};

use ldap3::LdapResult;
use ldap3::asn1::{PL, StructureTag};
use ldap3::controls::{Control, RawControl};
use uuid::Uuid;

use super::connect::Connection;
use super::error::{GARBAGE, Request};
use super::lifecycle::generalized_time;
use super::message::{
    BOOLEAN, ENUMERATED, Element, Malformed, OCTETS, SEQUENCE, elements, push_length,
};
use super::search::{Search, run_unpaged};
use crate::source::SourceError;

/// The control that asks, and the sign that a server can do it (RFC 4533 §2.2).
pub(super) const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const SYNC_DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const SYNC_INFO: &[u8] = b"1.3.6.1.4.1.4203.1.9.1.4";

const REFRESH_ONLY: u8 = 1;
const SET: u8 = 0x31;

/// e-syncRefreshRequired (RFC 4533 §2.6).
const REFRESH_REQUIRED: u32 = 4096;

/// What the server says has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Entries that are there, and are new or different.
    pub(super) there: BTreeSet<Uuid>,
    /// Entries that do not match the search, or not any more.
    pub(super) gone: BTreeSet<Uuid>,
    /// Where to go on; as before when nothing has changed.
    pub(super) cookie: Vec<u8>,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Changed(Changed),
    /// The server does not accept the cookie: why, in words.
    Refused(String),
    /// What is gone would only follow from what was not said, or it cannot be told.
    Unclear,
}

/// What one answer said, until its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    there: BTreeSet<Uuid>,
    gone: BTreeSet<Uuid>,
    cookie: Option<Vec<u8>>,
    /// Something was said of who is unchanged: whoever is not named would be gone.
    present: bool,
}

/// Asks what has changed since a cookie.
pub(super) async fn ask(
    connection: &Connection,
    search: &Search,
    cookie: &[u8],
) -> Result<Answer, SourceError> {
    let (said, result) = run(connection, search, Some(cookie)).await?;
    match result.rc {
        0 => {}
        REFRESH_REQUIRED => {
            let words = "it wants everything to be read again (result code 4096)";
            return Ok(Answer::Refused(words.to_owned()));
        }
        // Limits: too much has changed for this way to ask. The full read pages.
        3 | 4 | 11 => return Ok(Answer::Unclear),
        _ => return Ok(Answer::Refused(super::error::result_words(&result))),
    }
    let done = done(&result.ctrls).map_err(|Malformed| garbage(connection, search))?;
    Ok(conclude(said, done, cookie))
}

/// The cookie of this moment, without reading anything; `None` where the server gives none.
/// `search` must match nobody.
pub(super) async fn begin(
    connection: &Connection,
    search: &Search,
) -> Result<Option<Vec<u8>>, SourceError> {
    let (_, result) = run(connection, search, None).await?;
    if result.rc != 0 {
        tracing::debug!(
            server = connection.server,
            "content synchronisation is refused: {}",
            super::error::result_words(&result)
        );
        return Ok(None);
    }
    let done = done(&result.ctrls).map_err(|Malformed| garbage(connection, search))?;
    Ok(done.and_then(|done| done.cookie))
}

/// Whether the server says by its answers that something is gone. One that is told to leave
/// that out (`syncprov-nopresent`) says of a cookie from before everything that it named all
/// that is gone, and names nothing. `search` must match nobody; `cookie` is of this moment.
pub(super) async fn tells_deletions(
    connection: &Connection,
    search: &Search,
    cookie: &[u8],
) -> Result<bool, SourceError> {
    let Some(old) = before_everything(cookie) else {
        return Ok(false);
    };
    let answer = ask(connection, search, &old).await?;
    Ok(!matches!(answer, Answer::Changed(_)))
}

/// OpenLDAP's cookie, such as `rid=000,csn=20260101120000.000000Z#000000#000#000000`, with
/// each of its moments in 1970; `None` where it is none of these.
fn before_everything(cookie: &[u8]) -> Option<Vec<u8>> {
    let (head, numbers) = numbers(cookie)?;
    let numbers: Vec<String> = numbers
        .into_iter()
        .map(|(_, count, server, more)| format!("19700101000000.000000Z#{count}#{server}#{more}"))
        .collect();
    Some(format!("{head}csn={}", numbers.join(";")).into_bytes())
}

/// Whether one of OpenLDAP's cookies is of an earlier moment than another, by what any server
/// had written: the directory was restored from a copy. Of what is not such a cookie it is not
/// said.
pub(super) fn is_earlier(cookie: &[u8], than: &[u8]) -> bool {
    let last = |cookie| {
        let (_, numbers) = numbers(cookie)?;
        let by_server = numbers.into_iter();
        let by_server = by_server.map(|(moment, count, server, _)| (server, (moment, count)));
        Some(by_server.collect::<BTreeMap<&str, (&str, &str)>>())
    };
    let (Some(now), Some(before)) = (last(cookie), last(than)) else {
        return false;
    };
    before
        .iter()
        .any(|(server, moment)| now.get(server).is_none_or(|now| now < moment))
}

/// What a cookie begins with, and its change sequence numbers: the moment, the count within
/// it, the server, and the count of modifications, each in a form that can be compared as text.
type Numbers<'a> = (&'a str, Vec<(&'a str, &'a str, &'a str, &'a str)>);

fn numbers(cookie: &[u8]) -> Option<Numbers<'_>> {
    let text = std::str::from_utf8(cookie).ok()?;
    let (head, numbers) = text.split_once("csn=")?;
    let numbers = numbers.split(';').map(|number| {
        let mut parts = number.split('#');
        let moment = parts
            .next()
            .filter(|moment| generalized_time(moment).is_some())?;
        let (count, server, more) = (parts.next()?, parts.next()?, parts.next()?);
        parts
            .next()
            .is_none()
            .then_some((moment, count, server, more))
    });
    Some((head, numbers.collect::<Option<_>>()?))
}

/// Whether the answer says all that has to be known (RFC 4533 §3.3.2).
fn conclude(said: Said, done: Option<Done>, cookie: &[u8]) -> Answer {
    let Some(done) = done else {
        return Answer::Unclear;
    };
    let silent = said == Said::default();
    let told = match (done.deletes, &done.cookie) {
        // What is gone was named.
        (true, _) => !said.present,
        // Neither the one nor the other phase, and no new cookie: nothing has changed. With a
        // new one, everybody would be gone of whom nothing was said.
        (false, None) => silent,
        (false, Some(_)) => false,
    };
    if !told {
        return Answer::Unclear;
    }
    Answer::Changed(Changed {
        there: said.there,
        gone: said.gone,
        cookie: done.cookie.unwrap_or_else(|| cookie.to_vec()),
    })
}

async fn run(
    connection: &Connection,
    search: &Search,
    cookie: Option<&[u8]>,
) -> Result<(Said, LdapResult), SourceError> {
    let control = RawControl {
        ctype: SYNC_REQUEST.to_owned(),
        crit: true,
        val: Some(request_value(cookie)),
    };
    let mut said = Said::default();
    let result = run_unpaged(connection, search, control, |message| {
        match (message.is_ref(), message.is_intermediate()) {
            (true, _) => Ok(()),
            (_, true) => said.note_info(message.0),
            _ => said.note_entry(&message.1),
        }
    });
    let result = result.await?;
    Ok((said, result))
}

fn garbage(connection: &Connection, search: &Search) -> SourceError {
    Request::search(&search.base, &search.filter).failed(&connection.server, GARBAGE, None)
}

/// `SEQUENCE { mode ENUMERATED, cookie OCTET STRING OPTIONAL }`.
fn request_value(cookie: Option<&[u8]>) -> Vec<u8> {
    let mut content = vec![ENUMERATED, 1, REFRESH_ONLY];
    if let Some(cookie) = cookie {
        content.push(OCTETS);
        push_length(&mut content, cookie.len());
        content.extend_from_slice(cookie);
    }
    let mut value = vec![SEQUENCE];
    push_length(&mut value, content.len());
    value.extend(content);
    value
}

impl Said {
    /// `SEQUENCE { state ENUMERATED, entryUUID OCTET STRING, cookie OPTIONAL }` with each entry.
    fn note_entry(&mut self, controls: &[Control]) -> Result<(), Malformed> {
        let Some(value) = value_of(controls, SYNC_STATE) else {
            // Whoever does not say it does not do this at all.
            self.present = true;
            return Ok(());
        };
        let parts = sequence(value)?;
        let [state, id, ..] = parts.as_slice() else {
            return Err(Malformed);
        };
        if state.tag != ENUMERATED || id.tag != OCTETS {
            return Err(Malformed);
        }
        let id = Uuid::from_slice(id.content).map_err(|_| Malformed)?;
        match state.content {
            [0] => self.present = true,
            [1 | 2] => {
                self.there.insert(id);
            }
            [3] => {
                self.gone.insert(id);
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    /// An intermediate message: its name in `[0]`, its value in `[1]` (RFC 4511 §4.13).
    fn note_info(&mut self, message: StructureTag) -> Result<(), Malformed> {
        let PL::C(parts) = message.payload else {
            return Err(Malformed);
        };
        let mut name = None;
        let mut value = None;
        for part in parts {
            let slot = match part.id {
                0 => &mut name,
                1 => &mut value,
                _ => return Err(Malformed),
            };
            *slot = Some(part.expect_primitive().ok_or(Malformed)?);
        }
        if name.as_deref() != Some(SYNC_INFO) {
            return Ok(());
        }
        self.note_info_value(&value.ok_or(Malformed)?)
    }

    /// RFC 4533 §2.5.
    fn note_info_value(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let parts = elements(value)?;
        let [info] = parts.as_slice() else {
            return Err(Malformed);
        };
        match info.tag {
            // newcookie; refreshDelete: the end of that phase.
            0x80 | 0xa1 => {}
            // refreshPresent.
            0xa2 => self.present = true,
            // syncIdSet { cookie OPTIONAL, refreshDeletes DEFAULT FALSE, SET OF id }.
            0xa3 => {
                let parts = elements(info.content)?;
                let deletes = parts.iter().find(|part| part.tag == BOOLEAN);
                let deletes = deletes.is_some_and(|part| part.content != [0]);
                let ids = parts.iter().find(|part| part.tag == SET).ok_or(Malformed)?;
                for id in elements(ids.content)? {
                    let id = Uuid::from_slice(id.content).map_err(|_| Malformed)?;
                    if deletes {
                        self.gone.insert(id);
                    }
                }
                self.present |= !deletes;
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }
}

/// The end of an answer (RFC 4533 §2.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Done {
    cookie: Option<Vec<u8>>,
    deletes: bool,
}

/// `None`: the server does not do this here.
fn done(controls: &[Control]) -> Result<Option<Done>, Malformed> {
    let Some(value) = value_of(controls, SYNC_DONE) else {
        return Ok(None);
    };
    let mut done = Done::default();
    for part in sequence(value)? {
        match part.tag {
            OCTETS => done.cookie = Some(part.content.to_vec()),
            BOOLEAN => done.deletes = part.content != [0],
            _ => return Err(Malformed),
        }
    }
    Ok(Some(done))
}

fn sequence(value: &[u8]) -> Result<Vec<Element<'_>>, Malformed> {
    let outer = elements(value)?;
    match outer.as_slice() {
        [one] if one.tag == SEQUENCE => elements(one.content),
        _ => Err(Malformed),
    }
}

fn value_of<'a>(controls: &'a [Control], name: &str) -> Option<&'a [u8]> {
    let mut controls = controls.iter();
    let found = controls.find(|Control(_, raw)| raw.ctype == name)?;
    found.1.val.as_deref()
}

#[cfg(test)]
mod tests;
