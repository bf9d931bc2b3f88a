//! What `check` says of a directory: what was found, and what a read will go by.

use std::collections::BTreeMap;

use super::deleted;
use super::flavor::{Flavor, Part, RootDse, Settings};
use super::people::Wanted;
use super::read::Place;
use super::search::{PAGED_RESULTS, Search};
use super::tracking::{self, Way};
use super::walk::Walk;
use crate::source::{SourceError, SourceFacts};

/// Entries that a check looks at.
const ENTRIES: u16 = 20;

/// Looks at a few entries of each kind.
pub(super) async fn check(place: Place<'_>) -> Result<SourceFacts, SourceError> {
    let settings = place.settings;
    let root = &place.connection.root;
    let mut lines = vec![found(&place), identity(settings)];
    let users = look(&place, &settings.users).await?;
    lines.push(format!("people: {}, {users}", part(&settings.users)));
    lines.push(switched_off(settings));
    match &settings.groups {
        Some(groups) => {
            let found = look(&place, groups).await?;
            lines.push(format!("groups: {}, {found}", part(groups)));
            lines.push(members(settings));
        }
        None => lines.push("groups: not configured".to_owned()),
    }
    lines.extend(deleted_line(&place).await?);
    let wanted = Wanted::new(settings, None);
    lines.push(changes(&tracking::choose(&place, &wanted, None).await?));
    if !root.has_control(PAGED_RESULTS) {
        lines.push("the server cannot page: everything is read at once".to_owned());
    }
    Ok(SourceFacts {
        lines,
        // Names are the same in any case there, which is not how they would be compared.
        attributes: BTreeMap::new(),
    })
}

fn found(place: &Place<'_>) -> String {
    let root: &RootDse = &place.connection.root;
    let vendor = match &root.vendor {
        Some(vendor) => format!(" ({vendor})"),
        None => String::new(),
    };
    format!(
        "{}: {}{vendor}",
        place.connection.server, place.settings.flavor
    )
}

fn identity(settings: &Settings) -> String {
    format!("id: `{}`", settings.id_attribute)
}

fn part(part: &Part) -> String {
    let bases: Vec<String> = part.bases.iter().map(|base| format!("`{base}`")).collect();
    format!("`{}` below {}", part.filter, bases.join(" and "))
}

fn switched_off(settings: &Settings) -> String {
    let mut by: Vec<String> = settings
        .rules
        .iter()
        .map(|rule| format!("`{}`", rule.attribute()))
        .collect();
    by.extend(
        settings
            .inactive_when
            .iter()
            .map(|filter| format!("the filter `{filter}`")),
    );
    match by.is_empty() {
        true => "switched off: nobody, whatever the directory says".to_owned(),
        false => format!("switched off: by {}", by.join(", ")),
    }
}

fn members(settings: &Settings) -> String {
    let names: Vec<String> = settings
        .member_attributes
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let primary = match settings.primary_groups {
        true => " and primary groups",
        false => "",
    };
    format!("members: by {}{primary}", names.join(", "))
}

async fn deleted_line(place: &Place<'_>) -> Result<Option<String>, SourceError> {
    let settings = place.settings;
    let keeps = match settings.flavor {
        Flavor::ActiveDirectory => "deleted people",
        Flavor::FreeIpa => "preserved people",
        _ => return Ok(None),
    };
    Ok(Some(match deleted::are_readable(place).await? {
        true => format!("{keeps}: can be read"),
        false => format!("{keeps}: not for this account; they are taken to be gone"),
    }))
}

/// The first few entries, of which each has an id.
async fn look(place: &Place<'_>, part: &Part) -> Result<String, SourceError> {
    let settings = place.settings;
    let asked = Wanted::new(settings, None).of_people;
    let searches = part
        .bases
        .iter()
        .map(|base| Search::below(base, part.filter.clone(), asked.clone(), ENTRIES));
    let mut walk = Walk::new(
        place.connector,
        &place.connection,
        place.referrals,
        searches,
    );
    // A limit that a full read would hit is found by a full read only.
    let mut entries = 0;
    let mut without_id = 0;
    if let Some(chunk) = walk.next_chunk().await? {
        entries = chunk.len();
        without_id = chunk
            .iter()
            .filter(|entry| !entry.has(&settings.id_attribute))
            .count();
    }
    if without_id > 0 {
        return Err(SourceError::Server {
            server: place.connection.server.clone(),
            problem: format!(
                "{without_id} of the {entries} entries looked at have no `{}`, or this account \
                 may not see it: grant that, or name another attribute as `id_attribute`",
                settings.id_attribute
            ),
            source: None,
        });
    }
    Ok(match entries {
        0 => "nobody there".to_owned(),
        entries => format!("{entries} looked at"),
    })
}

fn changes(way: &Way) -> String {
    match way {
        Way::Full(reason) => format!("changes: everything is read and compared; {reason}"),
        Way::Usn => {
            "changes: by `uSNChanged` of this domain controller; who is moved to where this \
                     account may not look is found by the next full read"
                .to_owned()
        }
        Way::DirSync {
            only_visible: false,
        } => "changes: by DirSync of this domain controller, of everybody".to_owned(),
        Way::DirSync { only_visible: true } => {
            "changes: by DirSync of this domain controller; who is moved to where this account \
             may not look is found by the next full read"
                .to_owned()
        }
        Way::SyncRepl => "changes: by content synchronisation (RFC 4533)".to_owned(),
    }
}
