//! A read. A full one: the deleted items, the assignments, every group, every user.
//!
//! Users are handed on as they come. Held per user are an id and their manager's, per group its
//! members' ids, because both may be named again on a later page. Must not decide what happens to
//! anybody.

mod removed;

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc::Sender;
use uuid::Uuid;

pub(super) use self::removed::soft_deleted;
use super::answer::{Item, Removed, id, related, removed};
use super::apps::{self, App};
use super::changes::{self, Stop};
use super::config::{Changes, EntraConfig};
use super::deleted;
use super::error::{GraphError, What, not_known};
use super::graph::Graph;
use super::group::{self, Member, member_key};
use super::person::{self, Absent, is_shown, lifecycle, record, set_manager, source_id};
use super::position::Position;
use super::properties::Wanted;
use super::roles::Roles;
use super::round::{Ends, Pages};
use crate::outbox::Outbox;
use crate::question::Question;
use crate::source::{
    Attributes, Batch, Change, Coverage, Kind, Lifecycle, ReadRequest, Record, SourceError, Warning,
};
use crate::unchanged::Content;

/// Reads what has changed, or everything. See the trait for what is promised.
pub(super) async fn read_all(
    graph: &Graph,
    config: &EntraConfig,
    request: &ReadRequest,
    changes: Sender<Vec<Change>>,
) -> Result<Batch, SourceError> {
    let wanted = Wanted::new(request.attributes.as_ref(), &config.extension_properties);
    let before = request.since.as_ref().map(Position::of);
    let mut voided = false;
    if !request.everything
        && config.changes == Changes::Auto
        && let (Some(before), Some(known)) = (&before, &request.known)
    {
        let obstacle = match before {
            None => Some("what the last read left cannot be understood"),
            Some(before) => before.obstacle(&wanted, request.now),
        };
        let why = match (obstacle, before) {
            (None, Some(before)) => {
                let place = changes::Place {
                    graph,
                    wanted: &wanted,
                    known,
                    before,
                };
                match changes::read(place, request, changes.clone()).await {
                    Ok(batch) => return Ok(batch),
                    Err(Stop::Failed(error)) => return Err(error),
                    Err(Stop::Refused(why)) => why,
                }
            }
            (obstacle, _) => obstacle.unwrap_or_default().to_owned(),
        };
        tracing::info!(
            server = graph.server,
            "everything is read, and not only what changed: {why}"
        );
        voided = true;
    }
    let reading = Reading {
        graph,
        wanted: &wanted,
        request,
        outbox: Outbox::new(changes),
        content: Content::default(),
        people: BTreeMap::new(),
        managers: BTreeMap::new(),
        tells: false,
        unanswered: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let batch = reading.read(before.flatten().as_ref()).await?;
    Ok(Batch { voided, ..batch })
}

/// What the last word on a user was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// They are there.
    There,
    /// They are not.
    Not(Removed),
}

/// Who is directly in which groups.
type InGroups = BTreeMap<Uuid, BTreeSet<Uuid>>;

/// What was read of the groups.
struct Groups {
    /// For changes.
    link: String,
    /// Those that are there.
    there: BTreeSet<Uuid>,
    /// Those of which nobody could tell who is in them.
    unclear: BTreeSet<Uuid>,
    /// Who is directly in one that gives roles.
    in_groups: InGroups,
}

struct Reading<'a> {
    graph: &'a Graph,
    wanted: &'a Wanted,
    request: &'a ReadRequest,
    outbox: Outbox,
    /// What is asked about the next person.
    content: Content,
    people: BTreeMap<Uuid, Word>,
    managers: BTreeMap<Uuid, Uuid>,
    /// Somebody was said to be active or not.
    tells: bool,
    unanswered: BTreeMap<String, String>,
    warnings: Vec<Warning>,
}

impl Reading<'_> {
    async fn read(mut self, before: Option<&Position>) -> Result<Batch, SourceError> {
        // Before the living: who is restored meanwhile is in both, and not in neither.
        let deleted = deleted::read(self.graph, self.wanted).await;
        let deleted =
            deleted.map_err(|error| error.into_source(&What::Deleted, &self.graph.server))?;
        let pinned = before.map(|before| &before.apps);
        let read = read_apps(self.graph, self.wanted, pinned).await;
        self.unanswered = read.unanswered;
        self.warnings = read.warnings;
        let roles = Roles::new(&self.wanted.roles, &read.apps);
        let Groups {
            link,
            there,
            unclear,
            in_groups,
        } = self.read_groups(&roles).await?;
        for name in &self.wanted.assigned {
            if let Some(app) = read.apps.get(name) {
                let answer = Change::Upsert(app.record(name, &there));
                self.outbox.push(answer).await?;
            }
        }
        let users = self.read_people(&roles, &in_groups).await?;
        self.ask_for_the_removed(&deleted, &roles, &in_groups)
            .await?;
        let soft_deleted = self.send_deleted(&deleted).await?;
        self.outbox.flush().await?;
        // A list that could not be read keeps what was known of the app.
        let mut apps = read.apps;
        for (name, app) in pinned.into_iter().flatten() {
            apps.entry(name.clone()).or_insert_with(|| app.clone());
        }
        let now = self.request.now;
        let mut position = Position::new(now, self.wanted, users, link, soft_deleted, apps);
        position.unclear = unclear;
        let everybody = self.people.values().any(|word| *word == Word::There);
        Ok(Batch {
            coverage: Kind::ALL
                .into_iter()
                .map(|kind| (kind, Coverage::Complete))
                .collect(),
            tells_lifecycle: self.tells || !everybody,
            cursor: position.cursor(),
            voided: false,
            unanswered: self.unanswered,
            warnings: self.warnings,
        })
    }

    /// Every group.
    async fn read_groups(&mut self, roles: &Roles<'_>) -> Result<Groups, SourceError> {
        let select = self.wanted.select_of_groups();
        let url = self
            .graph
            .url(&["groups", "delta"], &[("$select", &select)]);
        let pages = Pages::new(self.graph, What::Groups, url, Ends::WithToken);
        let heard = hear_groups(self.graph, pages).await;
        let server = &self.graph.server;
        let (groups, link) = heard.map_err(|error| error.into_source(&What::Groups, server))?;
        let mut in_groups = InGroups::new();
        let nothing = Attributes::default();
        let living = groups.iter().filter(|(_, group)| group.removed.is_none());
        let there: BTreeSet<Uuid> = living.map(|(id, _)| *id).collect();
        let mut unclear = BTreeSet::new();
        for (id, mut group) in groups {
            if !there.contains(&id) {
                continue;
            }
            // Graph goes on listing a group that was deleted for good.
            let is_there = |(kind, id): &Member| *kind == Kind::User || there.contains(id);
            group.members.retain(|member, _| is_there(member));
            if roles.has_group(id) {
                for (kind, member) in group.those(true) {
                    if kind == Kind::User {
                        in_groups.entry(member).or_default().insert(id);
                    }
                }
            }
            if group.is_unclear {
                unclear.insert(id);
            }
            let members = group.complete();
            let record = group.record(
                id,
                &self.wanted.of_groups,
                &nothing,
                Absent::Cleared,
                members,
            );
            self.outbox.push(Change::Upsert(record)).await?;
        }
        Ok(Groups {
            link,
            there,
            unclear,
            in_groups,
        })
    }

    async fn read_people(
        &mut self,
        roles: &Roles<'_>,
        in_groups: &InGroups,
    ) -> Result<String, SourceError> {
        let select = self.wanted.select_of_changed_people();
        let url = self.graph.url(&["users", "delta"], &[("$select", &select)]);
        let mut pages = Pages::new(self.graph, What::People, url, Ends::WithToken);
        let none = BTreeSet::new();
        loop {
            let page = pages.next().await;
            let page =
                page.map_err(|error| error.into_source(&What::People, &self.graph.server))?;
            let Some(items) = page else {
                return pages.into_delta();
            };
            for item in items {
                let id = user_id(self.graph, &item)?;
                if let Some(why) = removed(&item) {
                    let before = self.people.insert(id, Word::Not(why));
                    if before == Some(Word::There) {
                        // Somebody who was handed on already.
                        let gone = Change::Removal(Kind::User, source_id(id));
                        self.outbox.push(gone).await?;
                    }
                    continue;
                }
                if !is_shown(&item) {
                    return Err(not_shown(self.graph));
                }
                self.people.insert(id, Word::There);
                let groups = in_groups.get(&id).unwrap_or(&none);
                let record = self.person(id, &item, roles, groups)?;
                self.send(record).await?;
            }
        }
    }

    fn person(
        &mut self,
        id: Uuid,
        item: &Item,
        roles: &Roles<'_>,
        groups: &BTreeSet<Uuid>,
    ) -> Result<Record, SourceError> {
        let wanted = self.wanted;
        let nothing = Attributes::default();
        let mut attributes =
            person::attributes(&wanted.of_people, id, item, &nothing, Absent::Cleared);
        if wanted.wants_manager() {
            let manager = managers(self.graph, item)?;
            let mut heard = person::Heard::default();
            heard.take(Item::new(), manager.as_deref());
            // One who is named again on a later page, because something else of them has
            // changed, has the manager of before.
            match heard.manager() {
                Some(Some(manager)) => drop(self.managers.insert(id, manager)),
                Some(None) => drop(self.managers.remove(&id)),
                None => {}
            }
            let manager = self.managers.get(&id).copied();
            set_manager(&mut attributes, wanted, manager);
        }
        if !roles.is_empty() {
            let known = match &self.request.known {
                Some(known) => {
                    let key = member_key((Kind::User, id));
                    known.of(&key).map_err(not_known)?.attributes
                }
                None => nothing,
            };
            roles.put(&mut attributes, id, groups, &known);
        }
        let lifecycle = lifecycle(item);
        self.tells |= matches!(lifecycle, Some(Lifecycle::Active | Lifecycle::Disabled));
        Ok(record(
            id,
            lifecycle.unwrap_or(Lifecycle::Unknown),
            attributes,
        ))
    }

    /// Nothing more is said of somebody who is as they were.
    async fn send(&mut self, record: Record) -> Result<(), SourceError> {
        if let Some(unchanged) = &self.request.unchanged {
            self.content.record(&record.lifecycle, &record.attributes);
            if unchanged.confirms(record.id.as_str(), &self.content) {
                return Ok(());
            }
        }
        self.outbox.push(Change::Upsert(record)).await
    }
}

/// What was read of the apps that are asked for.
pub(super) struct ReadApps {
    /// Without those that could not be read.
    pub(super) apps: BTreeMap<String, App>,
    /// Why nobody can tell who is assigned to one of those.
    pub(super) unanswered: BTreeMap<String, String>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads who is assigned. That one list cannot be read concerns only who asked for it.
pub(super) async fn read_apps(
    graph: &Graph,
    wanted: &Wanted,
    pinned: Option<&BTreeMap<String, App>>,
) -> ReadApps {
    let mut read = ReadApps {
        apps: BTreeMap::new(),
        unanswered: BTreeMap::new(),
        warnings: Vec::new(),
    };
    for name in wanted.assigned.union(&wanted.roles) {
        let before = pinned.and_then(|apps| apps.get(name)).map(|app| app.id);
        let with_roles = wanted.roles.contains(name);
        match apps::read(graph, name, before, with_roles).await {
            Ok(app) => drop(read.apps.insert(name.clone(), app)),
            Err(error) => {
                let error = error.into_source(&What::Assignments(name.clone()), &graph.server);
                if wanted.assigned.contains(name) {
                    let question = Question::AssignedTo(name.clone()).name();
                    read.unanswered.insert(question, error.to_string());
                }
                if with_roles {
                    let warning = format!("{error}; everybody keeps the roles that were known");
                    read.warnings.push(Warning(warning));
                }
            }
        }
    }
    read
}

/// What a round says of each group, and the link for what comes after it.
pub(super) async fn hear_groups(
    graph: &Graph,
    mut pages: Pages<'_>,
) -> Result<(BTreeMap<Uuid, group::Heard>, String), GraphError> {
    let mut groups: BTreeMap<Uuid, group::Heard> = BTreeMap::new();
    while let Some(items) = pages.next().await? {
        for item in items {
            let Some(id) = id(&item) else {
                let problem = "a group has no id";
                return Err(What::Groups.failed(&graph.server, problem, None).into());
            };
            let members = related(&item, "members@delta");
            groups.entry(id).or_default().take(item, members);
        }
    }
    Ok((groups, pages.into_delta()?))
}

pub(super) fn user_id(graph: &Graph, item: &Item) -> Result<Uuid, SourceError> {
    let error = || What::People.failed(&graph.server, "a user has no id", None);
    id(item).ok_or_else(error)
}

/// What is said of a user's manager.
pub(super) fn managers(
    graph: &Graph,
    item: &Item,
) -> Result<Option<Vec<super::answer::Related>>, SourceError> {
    related(item, "manager@delta").map_err(|()| {
        let problem = "a user's manager cannot be understood";
        What::People.failed(&graph.server, problem, None)
    })
}

/// Graph shows that there is somebody, and no more.
pub(super) fn not_shown(graph: &Graph) -> SourceError {
    let problem = "Graph shows a user's id and nothing else, so the read is not complete; grant \
                   the app registration the application permission `User.Read.All` (Microsoft \
                   Graph) and give admin consent";
    What::People.failed(&graph.server, problem, None)
}
