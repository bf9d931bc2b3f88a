//! Content synchronisation (RFC 4533) as a way to find changes: the cookies of all searches, and
//! what could take people along when it moves.
//!
//! Whatever is not clear leads to a full read. Must not read people or groups: it gives ids.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CONTAINERS, Deleted, Touched};
use crate::ldap::dn::Dn;
use crate::ldap::filter::Filter;
use crate::ldap::flavor::Settings;
use crate::ldap::read::Place;
use crate::ldap::search::{CHUNK, Search};
use crate::ldap::sync::{self, Answer};
use crate::ldap::walk::Walk;
use crate::source::{SourceError, SourceId};

/// What says when an entry was changed last: whoever may not see it is not told of changes.
pub(in crate::ldap) const CHANGED: &str = "entryCSN";

/// Where the story of a server goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ldap) struct Spot {
    /// The server's URL: another one may have a story of its own, and take the cookies.
    server: String,
    /// One for each search, in base64.
    cookies: Vec<String>,
    /// What holds entries, or could: when it moves, they all do, and none has changed.
    containers: BTreeSet<Uuid>,
}

impl Spot {
    /// Whether the server knows less than it did.
    pub(super) fn went_back(&self, before: &Self) -> bool {
        let cookies = |spot: &Self| -> Vec<Vec<u8>> {
            let cookies = spot.cookies.iter();
            cookies.filter_map(|it| STANDARD.decode(it).ok()).collect()
        };
        let pairs = cookies(self).into_iter().zip(cookies(before));
        self.server == before.server
            && pairs
                .into_iter()
                .any(|(now, before)| sync::is_earlier(&now, &before))
    }
}

/// Where the story of this server is now; `None` where that cannot be had.
pub(super) async fn here(place: &Place<'_>) -> Result<Option<Spot>, SourceError> {
    // Nobody has it, and where it has an index the server knows that without looking.
    let nobody = Filter::equals("entryUUID", Uuid::nil().to_string().as_bytes());
    let mut cookies = Vec::new();
    for (_, search) in sync_searches(place) {
        let search = Search {
            filter: search.filter.and(&nobody),
            ..search
        };
        let Some(cookie) = sync::begin(&place.connection, &search).await? else {
            return Ok(None);
        };
        if !sync::tells_deletions(&place.connection, &search, &cookie).await? {
            tracing::info!(
                server = place.connection.server,
                "content synchronisation does not tell what is gone here (perhaps \
                 `syncprov-nopresent`): changes are found by comparing"
            );
            return Ok(None);
        }
        cookies.push(STANDARD.encode(cookie));
    }
    let mut containers = BTreeSet::new();
    let asked = vec![place.settings.id_attribute.clone()];
    let filter = container_filter(place.settings);
    // It may be left in the middle, and then no page may be under way.
    let page_size = place.page_size.min(CHUNK);
    let searches = place
        .settings
        .outer_bases()
        .into_iter()
        .map(|base| Search::below(base, filter.clone(), asked.clone(), page_size));
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
    Ok(Some(Spot {
        server: place.connection.server.clone(),
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
    let records = settings.parts().flat_map(|part| {
        let bases = part.bases.iter();
        bases.map(|base| (Watched::Records, search(base, &part.filter)))
    });
    let containers = container_filter(settings);
    // Last: what moves after the records were asked for is seen, too.
    let containers = settings
        .outer_bases()
        .into_iter()
        .map(|base| (Watched::Containers, search(base, &containers)));
    records.chain(containers).collect()
}

/// Everything that is no record, or has entries below it.
fn container_filter(settings: &Settings) -> Filter {
    let records: Vec<Filter> = settings.parts().map(|part| part.filter.clone()).collect();
    let holds = Filter::constant("(hasSubordinates=TRUE)");
    Filter::any(&[holds, Filter::any(&records).not()])
}

/// What was touched since.
pub(super) async fn touched(place: &Place<'_>, before: &Spot) -> Result<Touched, SourceError> {
    if before.server != place.connection.server {
        return Ok(Touched::Unclear("another server answers"));
    }
    let searches = sync_searches(place);
    if searches.len() != before.cookies.len() {
        return Ok(Touched::Unclear("there are other bases than before"));
    }
    let id = |uuid: Uuid| SourceId::new(uuid.to_string());
    let (mut there, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
    let mut next = Vec::new();
    for ((watched, search), cookie) in searches.into_iter().zip(&before.cookies) {
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
                if !changed.there.is_empty() || !changed.gone.is_disjoint(&before.containers) {
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
        deleted: Deleted::Nobody,
        spot: super::Spot::SyncRepl(Spot {
            cookies: next,
            ..before.clone()
        }),
    })
}
