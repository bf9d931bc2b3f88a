//! A read of only what has changed: what Graph says of it, and what it is known not to say.
//!
//! A restore, a deletion and a permanent deletion may be missing among the changes (Graph's own
//! issues): who comes to the deleted items or goes from there is looked at besides. What follows
//! from a change (somebody's roles by a group) is found by what is known of before.

mod fate;
mod groups;

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use self::fate::Fate;
use self::groups::Moved;
use super::apps::answer_id;
use super::asked;
use super::deleted;
use super::error::{GraphError, What, not_known};
use super::graph::Graph;
use super::group::member_key;
use super::person::{self, source_id};
use super::position::Position;
use super::properties::Wanted;
use super::read::{hear_groups, managers, read_apps, soft_deleted, user_id};
use super::roles::{Roles, differing};
use super::round::Pages;
use crate::known::{Known, KnownRecord};
use crate::outbox::Outbox;
use crate::source::{Batch, Change, Coverage, Kind, Lifecycle, ReadRequest, SourceError};

/// Where to read, and from where on.
pub(super) struct Place<'a> {
    pub(super) graph: &'a Graph,
    pub(super) wanted: &'a Wanted,
    pub(super) known: &'a Known,
    pub(super) before: &'a Position,
}

/// Why a read of only changes ended.
#[derive(Debug)]
pub(super) enum Stop {
    /// Graph does not go on from where the last read ended.
    Refused(String),
    Failed(SourceError),
}

impl Stop {
    pub(super) fn from(error: GraphError, what: &What, graph: &Graph) -> Self {
        match error {
            GraphError::Resync(code) => Stop::Refused(format!(
                "Graph refuses to go on from the last read (`{code}`)"
            )),
            GraphError::Missing => {
                Stop::Refused("Graph does not know where the last read ended".to_owned())
            }
            other => Stop::Failed(other.into_source(what, &graph.server)),
        }
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Stop::Failed(error)
    }
}

/// Reads what has changed.
pub(super) async fn read(
    place: Place<'_>,
    request: &ReadRequest,
    changes: Sender<Vec<Change>>,
) -> Result<Batch, Stop> {
    let Place {
        graph,
        wanted,
        before,
        ..
    } = place;
    let deleted = deleted::read(graph, wanted).await;
    let deleted = deleted.map_err(|error| Stop::from(error, &What::Deleted, graph))?;
    let apps = read_apps(graph, wanted, Some(&before.apps)).await;
    let pages = Pages::since(graph, What::Groups, &before.groups)?;
    let heard = hear_groups(graph, pages).await;
    let (mut groups, groups_link) =
        heard.map_err(|error| Stop::from(error, &What::Groups, graph))?;
    let (people, users_link) = hear_people(&place).await?;

    place.leave_parents(&mut groups)?;
    let mut moved = Moved::default();
    place.join_parents(&mut groups, &mut moved).await?;
    place.drop_the_gone(&mut groups)?;
    let returns = place.somebody_returns(&people, &deleted);
    place.list_again(&mut groups, returns)?;

    // Nothing is handed on before everything was read: all of it may have to be read anew.
    let mut outbox = Outbox::holding(changes);
    for name in &wanted.assigned {
        let answer = match apps.apps.get(name) {
            Some(app) => Change::Upsert(app.record(name, &place.there(app, &groups)?)),
            // Nobody can tell who is assigned: not the same as nobody.
            None => Change::Removal(Kind::Group, answer_id(name)),
        };
        outbox.push(answer).await?;
    }
    let roles = Roles::new(&wanted.roles, &apps.apps);
    for (id, group) in &groups {
        let change = place.group(*id, group, &groups, &mut moved).await?;
        outbox.push(change).await?;
    }

    let mut touched: BTreeSet<Uuid> = people.keys().copied().collect();
    if !roles.is_empty() {
        for (name, app) in &apps.apps {
            for principal in differing(before.apps.get(name), app) {
                touched.extend(place.people_of(principal, &moved)?);
            }
        }
        let by_groups = moved.people.iter();
        let by_groups =
            by_groups.filter(|(_, groups)| groups.keys().any(|it| roles.has_group(*it)));
        touched.extend(by_groups.map(|(person, _)| *person));
    }
    touched.extend(deleted.keys().filter(|id| !before.deleted.contains(id)));
    touched.extend(before.deleted.iter().filter(|id| !deleted.contains_key(id)));
    let doubtful = place.find_doubtful(&touched, &people, &deleted)?;
    let found = asked::ask(graph, wanted, doubtful).await;
    let found = found.map_err(|error| Stop::from(error, &What::People, graph))?;

    let mut soft = BTreeSet::new();
    let mut told = (false, false);
    for id in touched {
        let known = place.known(Kind::User, id)?;
        let fate = place.fate(id, people.get(&id), &found, &deleted, &known);
        let change = match fate {
            Fate::Gone => Change::Removal(Kind::User, source_id(id)),
            Fate::SoftDeleted => match soft_deleted(wanted, id, deleted.get(&id), &known) {
                Some(record) => {
                    soft.insert(id);
                    Change::Upsert(record)
                }
                None => continue,
            },
            Fate::AsKnown if known.lifecycle.is_none() => continue,
            Fate::AsKnown | Fate::There(_) => {
                let mut record = place.living(id, &fate, &known);
                let groups = moved.groups_of(id, &known);
                roles.put(&mut record.attributes, id, &groups, &known.attributes);
                let says = matches!(record.lifecycle, Lifecycle::Active | Lifecycle::Disabled);
                told = (true, told.1 | says);
                Change::Upsert(record)
            }
        };
        outbox.push(change).await?;
    }
    // Those of before who are still there were not touched.
    let still = deleted.keys().filter(|id| before.deleted.contains(id));
    soft.extend(still.filter(|id| !people.contains_key(id)));
    outbox.flush().await?;

    tracing::debug!(
        server = graph.server,
        people = people.len(),
        groups = groups.len(),
        "read what has changed"
    );
    let mut kept = apps.apps;
    for (name, app) in &before.apps {
        kept.entry(name.clone()).or_insert_with(|| app.clone());
    }
    let mut position = Position::new(request.now, wanted, users_link, groups_link, soft, kept);
    // With nobody in the deleted items nobody can come back.
    if !position.deleted.is_empty() {
        position.listed = place.listed_since(&moved);
    }
    position.unclear = moved.unclear;
    Ok(Batch {
        coverage: Kind::ALL
            .into_iter()
            .map(|kind| (kind, Coverage::Changes))
            .collect(),
        tells_lifecycle: !told.0 || told.1,
        cursor: position.cursor(),
        voided: false,
        unanswered: apps.unanswered,
        warnings: apps.warnings,
    })
}

/// What a round says of each user, and the link for what comes after it.
async fn hear_people(place: &Place<'_>) -> Result<(BTreeMap<Uuid, person::Heard>, String), Stop> {
    let graph = place.graph;
    let mut pages = Pages::since(graph, What::People, &place.before.users)?;
    let mut people: BTreeMap<Uuid, person::Heard> = BTreeMap::new();
    while let Some(items) = pages
        .next()
        .await
        .map_err(|error| Stop::from(error, &What::People, graph))?
    {
        for item in items {
            let id = user_id(graph, &item)?;
            let manager = managers(graph, &item)?;
            people.entry(id).or_default().take(item, manager.as_deref());
        }
    }
    Ok((people, pages.into_delta()?))
}

impl Place<'_> {
    fn known(&self, kind: Kind, id: Uuid) -> Result<KnownRecord, SourceError> {
        self.known.of(&member_key((kind, id))).map_err(not_known)
    }
}
