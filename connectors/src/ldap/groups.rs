//! Who is in a group: the styles in which directories name members, and lists that a server
//! gives in parts.
//!
//! Must not flatten nested groups; that is the engine's choice.

use std::collections::BTreeSet;

use super::connect::Connection;
use super::dn::Dn;
use super::entry::{Entry, Range};
use super::error::Request;
use super::filter::Filter;
use super::flavor::Settings;
use super::index::{Index, Number};
use super::search::lookup;
use crate::digest::{Digest, digest};
use crate::source::SourceError;

/// RFC 2307: members by user name.
const MEMBER_UID: &str = "memberUid";

/// The members of a group as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Records of this read.
    pub(super) members: BTreeSet<Number>,
    /// DNs below the bases of this source that no record has, so far: groups that come later,
    /// entries that were renamed meanwhile, and what the filters leave out.
    pub(super) missing: BTreeSet<Digest>,
    /// What `missing` stands for, in words; for looking up.
    pub(super) missing_names: Vec<Dn>,
}

/// Finds the members that an entry names, among the records so far.
pub(super) fn find_members(entry: &Entry, settings: &Settings, index: &Index) -> Found {
    let mut found = Found::default();
    for attribute in &settings.member_attributes {
        let by_user_name = attribute.eq_ignore_ascii_case(MEMBER_UID);
        for value in entry.texts(attribute) {
            if by_user_name {
                found.members.extend(index.by_user_name(&value));
            } else if let Some(dn) = member_dn(&value) {
                found.note(dn, settings, index);
            }
            // What is no DN names nobody: a foreign reference, or a placeholder.
        }
    }
    if settings.primary_groups
        && let [sid] = entry.values("objectSid")[..]
    {
        found.members.extend(index.by_primary_group(sid));
    }
    found
}

impl Found {
    fn note(&mut self, dn: Dn, settings: &Settings, index: &Index) {
        if let Some(number) = index.by_dn(&dn) {
            self.members.insert(number);
        } else if settings.is_ours(&dn) && self.missing.insert(digest(dn.key())) {
            self.missing_names.push(dn);
        }
    }
}

/// A member's DN. `uniqueMember` may have a bit string behind it (RFC 4517 §3.3.21), which
/// tells apart who had the name one after the other.
fn member_dn(value: &str) -> Option<Dn> {
    let without_bits = value
        .strip_suffix("'B")
        .and_then(|rest| rest.rsplit_once("#'"))
        .filter(|(_, bits)| bits.bytes().all(|bit| matches!(bit, b'0' | b'1')))
        .map(|(name, _)| name);
    Dn::parse(without_bits.unwrap_or(value)).ok()
}

/// Reads the rest of the lists that the server gave only the beginning of, so that the entry
/// has them whole (MS-ADTS §3.1.1.3.1.3.3).
pub(super) async fn complete(
    entry: &mut Entry,
    names: &[String],
    connection: &Connection,
) -> Result<(), SourceError> {
    for name in names {
        let Some(part) = entry.take_range(name) else {
            continue;
        };
        let values = read_rest(entry, name, part, connection).await?;
        entry.set_values(name, values);
    }
    Ok(())
}

/// How often a list is read anew because the group changed meanwhile.
const ATTEMPTS: usize = 3;

/// What an Active Directory counts up with each change of an entry, its members included.
pub(super) const CHANGE_STAMP: &str = "uSNChanged";

async fn read_rest(
    entry: &Entry,
    name: &str,
    first: Range,
    connection: &Connection,
) -> Result<Vec<Vec<u8>>, SourceError> {
    let everything = Filter::constant("(objectClass=*)");
    let request = Request::search(&entry.dn, &everything);
    let failed = |problem: String| request.failed(&connection.server, &problem, None);
    let mut whole = Whole::default();
    let mut stamp = entry.texts(CHANGE_STAMP);
    let mut part = first;
    for _ in 0..ATTEMPTS {
        let changed = loop {
            let given = whole.append(part);
            let Ok(end) = given else {
                return Err(failed(format!(
                    "the server gave another part of `{name}` than was asked for"
                )));
            };
            let Some(next) = end else {
                return Ok(whole.values);
            };
            let read = read_part(entry, name, next, connection).await?;
            let Some((now, range)) = read else {
                return Err(failed(format!(
                    "the rest of `{name}` is gone; the group changed while it was read"
                )));
            };
            part = range;
            if now != stamp {
                break now;
            }
        };
        // Somebody who left meanwhile moves all the others up: one would be skipped.
        stamp = changed;
        whole = Whole::default();
        let read = read_part(entry, name, 0, connection).await?;
        match read {
            Some((now, range)) if now == stamp => part = range,
            Some(_) | None => {
                return Err(failed(format!("`{name}` keeps changing while it is read")));
            }
        }
    }
    Err(failed(format!("`{name}` keeps changing while it is read")))
}

/// The part of a list from this number on, and the entry's change stamp with it.
async fn read_part(
    entry: &Entry,
    name: &str,
    first: u64,
    connection: &Connection,
) -> Result<Option<(Vec<String>, Range)>, SourceError> {
    let asked = vec![format!("{name};range={first}-*"), CHANGE_STAMP.to_owned()];
    let everything = Filter::constant("(objectClass=*)");
    let read = lookup(connection, &entry.dn, &everything, asked).await?;
    Ok(read.and_then(|mut entry| {
        let stamp = entry.texts(CHANGE_STAMP);
        entry.take_range(name).map(|range| (stamp, range))
    }))
}

/// A list that is put together from its parts.
#[derive(Debug, Default)]
struct Whole {
    values: Vec<Vec<u8>>,
}

/// A part is not the one that follows.
#[derive(Debug, PartialEq, Eq)]
struct Gap;

impl Whole {
    /// Takes the next part. Gives the number of the value after it; `None` after the last.
    fn append(&mut self, mut part: Range) -> Result<Option<u64>, Gap> {
        let expected = u64::try_from(self.values.len()).map_err(|_| Gap)?;
        let given = u64::try_from(part.values.len()).map_err(|_| Gap)?;
        if part.first != expected {
            return Err(Gap);
        }
        if let Some(last) = part.last
            && (given == 0 || last != expected + given - 1)
        {
            return Err(Gap);
        }
        self.values.append(&mut part.values);
        Ok(part.last.map(|last| last + 1))
    }
}

/// The attributes to ask of groups besides those in use.
pub(super) fn group_attributes(settings: &Settings) -> Vec<String> {
    let mut names = settings.member_attributes.clone();
    if settings.primary_groups {
        names.extend(["objectSid", CHANGE_STAMP].map(str::to_owned));
    }
    names
}

#[cfg(test)]
mod tests;
