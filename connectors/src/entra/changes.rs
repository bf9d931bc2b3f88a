//! A read of only what has changed: what Graph says of it, and what it is known not to say.
//!
//! A restore, a deletion and a permanent deletion may be missing among the changes (Graph's own
//! issues): who comes to the deleted items or goes from there is looked at besides. What follows
//! from a change (somebody's roles by a group) is found by what is known of before.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use tokio::sync::mpsc::Sender;
use url::Url;
use uuid::Uuid;

use super::answer::{Item, Removed, id};
use super::apps::{App, answer_id};
use super::batch;
use super::deleted;
use super::error::{GraphError, What, not_known};
use super::graph::Graph;
use super::group::{self, Member, member_key};
use super::person::{
    self, Absent, is_shown, known_manager, lifecycle, record, set_manager, source_id,
};
use super::position::Position;
use super::properties::{ENABLED, UPN, Wanted};
use super::read::{hear_groups, managers, not_shown, read_apps, soft_deleted, user_id};
use super::roles::{Roles, differing};
use super::round::{Ends, Pages};
use crate::known::{Known, KnownRecord};
use crate::outbox::Outbox;
use crate::source::{
    Attributes, Batch, Change, Coverage, Kind, Lifecycle, MemberKey, Members, ReadRequest,
    SourceError,
};

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
    let mut moved = Moved::default();
    for (id, group) in &groups {
        let change = place.group(*id, group, &mut moved).await?;
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
    let asked = place.find_doubtful(&touched, &people, &deleted)?;
    let found = place.ask(asked).await?;

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
    let position = Position::new(request.now, wanted, users_link, groups_link, soft, kept);
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

/// What became of somebody.
enum Fate<'a> {
    /// They are there, and this is what is said of them.
    There(Shown<'a>),
    /// They are there, and nothing was said of them.
    AsKnown,
    SoftDeleted,
    Gone,
}

/// What is shown of somebody who is there.
enum Shown<'a> {
    /// What has changed.
    Changed(&'a person::Heard),
    /// All of it.
    Whole(&'a Item),
}

/// Who is in other groups than before, and in which, and whether in or out.
#[derive(Default)]
struct Moved {
    people: BTreeMap<Uuid, BTreeMap<Uuid, bool>>,
    lists: BTreeMap<Uuid, BTreeMap<Uuid, bool>>,
    /// Groups that are gone.
    gone: BTreeSet<Uuid>,
}

impl Moved {
    fn note(&mut self, group: Uuid, member: Member, there: bool) {
        if let (Kind::User, person) = member {
            let groups = self.people.entry(person).or_default();
            groups.insert(group, there);
            self.lists.entry(group).or_default().insert(person, there);
        }
    }

    /// The groups that somebody is directly in now.
    fn groups_of(&self, person: Uuid, known: &KnownRecord) -> BTreeSet<Uuid> {
        let known = known.groups.iter();
        let mut groups: BTreeSet<Uuid> = known
            .filter_map(|id| Uuid::try_parse(id.as_str()).ok())
            .filter(|id| !self.gone.contains(id))
            .collect();
        for (group, there) in self.people.get(&person).into_iter().flatten() {
            match there {
                true => groups.insert(*group),
                false => groups.remove(group),
            };
        }
        groups
    }
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

    /// Graph may never say that a group which is gone is not a member any more.
    fn leave_parents(&self, groups: &mut BTreeMap<Uuid, group::Heard>) -> Result<(), SourceError> {
        let gone = groups.iter().filter(|(_, group)| group.removed.is_some());
        let gone: Vec<Uuid> = gone.map(|(id, _)| *id).collect();
        for id in gone {
            for parent in self.known(Kind::Group, id)?.groups {
                if let Ok(parent) = Uuid::try_parse(parent.as_str()) {
                    let heard = groups.entry(parent).or_default();
                    heard.members.insert((Kind::Group, id), false);
                }
            }
        }
        Ok(())
    }

    /// Those of an app's groups that are there.
    fn there(
        &self,
        app: &App,
        groups: &BTreeMap<Uuid, group::Heard>,
    ) -> Result<BTreeSet<Uuid>, SourceError> {
        let mut there = BTreeSet::new();
        for id in app.groups() {
            let is_there = match groups.get(&id) {
                Some(heard) => heard.removed.is_none(),
                None => self.known(Kind::Group, id)?.lifecycle.is_some(),
            };
            if is_there {
                there.insert(id);
            }
        }
        Ok(there)
    }

    /// What became of a group. Of one that is new here, the whole list is read: it may have come
    /// back from the deleted items, with members of whom nothing is said.
    async fn group(
        &self,
        id: Uuid,
        heard: &group::Heard,
        moved: &mut Moved,
    ) -> Result<Change, SourceError> {
        let key = source_id(id);
        if heard.removed.is_some() {
            moved.gone.insert(id);
            for member in self.known.members(&key).map_err(not_known)? {
                if let Ok(person) = Uuid::try_parse(member.id.as_str()) {
                    moved.note(id, (member.kind, person), false);
                }
            }
            return Ok(Change::Removal(Kind::Group, key));
        }
        let known = self.known(Kind::Group, id)?;
        let members = match known.lifecycle {
            Some(_) => heard.changed(),
            None => {
                let mut whole = heard.clone();
                for member in self.read_members(id).await? {
                    whole.members.entry(member).or_insert(true);
                }
                whole.complete()
            }
        };
        if let Members::Complete(added) = &members {
            for MemberKey { kind, id: member } in added {
                if let Ok(person) = Uuid::try_parse(member.as_str()) {
                    moved.note(id, (*kind, person), true);
                }
            }
        }
        for (member, there) in &heard.members {
            moved.note(id, *member, *there);
        }
        let wanted = &self.wanted.of_groups;
        let record = heard.record(id, wanted, &known.attributes, Absent::Unchanged, members);
        Ok(Change::Upsert(record))
    }

    /// The direct members of a group that are users and groups.
    async fn read_members(&self, group: Uuid) -> Result<BTreeSet<Member>, SourceError> {
        let url = self.graph.url(
            &["groups", &group.to_string(), "members"],
            &[("$select", "id"), ("$top", "999")],
        );
        let mut pages = Pages::new(self.graph, What::Members, url, Ends::Plainly);
        let mut members = BTreeSet::new();
        loop {
            let page = match pages.next().await {
                Ok(page) => page,
                // It went while it was read: the next round says so.
                Err(GraphError::Missing) => return Ok(members),
                Err(error) => return Err(error.into_source(&What::Members, &self.graph.server)),
            };
            let Some(items) = page else {
                return Ok(members);
            };
            for item in items {
                let of_type = item.get("@odata.type").and_then(Json::as_str);
                let kind = match of_type {
                    Some("#microsoft.graph.user") => Kind::User,
                    Some("#microsoft.graph.group") => Kind::Group,
                    Some(_) => continue,
                    None => {
                        let problem = "a member does not say what it is";
                        return Err(What::Members.failed(&self.graph.server, problem, None));
                    }
                };
                let problem = "a member has no id";
                let missing = || What::Members.failed(&self.graph.server, problem, None);
                members.insert((kind, id(&item).ok_or_else(missing)?));
            }
        }
    }

    /// The people whom a change of a principal's roles concerns.
    fn people_of(
        &self,
        (kind, principal): Member,
        moved: &Moved,
    ) -> Result<BTreeSet<Uuid>, SourceError> {
        if kind == Kind::User {
            return Ok(BTreeSet::from([principal]));
        }
        let members = self
            .known
            .members(&source_id(principal))
            .map_err(not_known)?;
        let known = members.into_iter().filter(|it| it.kind == Kind::User);
        let mut people: BTreeSet<Uuid> = known
            .filter_map(|member| Uuid::try_parse(member.id.as_str()).ok())
            .collect();
        let moved = moved.lists.get(&principal).into_iter().flatten();
        people.extend(moved.map(|(person, _)| *person));
        Ok(people)
    }

    /// Those of whom the changes and the deleted items do not say the same, or not enough.
    fn find_doubtful(
        &self,
        touched: &BTreeSet<Uuid>,
        people: &BTreeMap<Uuid, person::Heard>,
        deleted: &BTreeMap<Uuid, Item>,
    ) -> Result<BTreeSet<Uuid>, SourceError> {
        let mut doubtful = BTreeSet::new();
        for id in touched {
            let (is_deleted, was_deleted) =
                (deleted.contains_key(id), self.before.deleted.contains(id));
            let is_doubtful = match people.get(id) {
                Some(heard) if heard.removed.is_some() => false,
                Some(_) if is_deleted => true,
                Some(heard) => !self.says_enough(heard, &self.known(Kind::User, *id)?),
                None => was_deleted && !is_deleted,
            };
            if is_doubtful {
                doubtful.insert(*id);
            }
        }
        Ok(doubtful)
    }

    /// Whether what has changed makes a whole with what is known.
    fn says_enough(&self, heard: &person::Heard, known: &KnownRecord) -> bool {
        let was_living = matches!(
            known.lifecycle,
            Some(Lifecycle::Active | Lifecycle::Disabled)
        );
        let Some(_) = heard.item.get(UPN) else {
            return was_living;
        };
        is_shown(&heard.item) && (was_living || heard.item.contains_key(ENABLED))
    }

    /// Asks for these users themselves; who is not there is not among the answers.
    async fn ask(&self, ids: BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, Option<Item>>, Stop> {
        let select = self.wanted.select_of_people();
        let mut query = vec![("$select", select.as_str())];
        if self.wanted.wants_manager() {
            query.push(("$expand", "manager($select=id)"));
        }
        let urls: Vec<Url> = ids
            .iter()
            .map(|id| self.graph.url(&["users", &id.to_string()], &query))
            .collect();
        let graph = self.graph;
        let bodies = batch::get_all(graph, &What::People, &urls).await;
        let bodies = bodies.map_err(|error| Stop::from(error, &What::People, graph))?;
        let mut found = BTreeMap::new();
        for (id, body) in ids.into_iter().zip(bodies) {
            let item = match body {
                None => None,
                Some(Json::Object(item)) if is_shown(&item) => Some(item),
                Some(_) => return Err(not_shown(graph).into()),
            };
            found.insert(id, item);
        }
        Ok(found)
    }

    fn fate<'f>(
        &self,
        id: Uuid,
        heard: Option<&'f person::Heard>,
        found: &'f BTreeMap<Uuid, Option<Item>>,
        deleted: &BTreeMap<Uuid, Item>,
        known: &KnownRecord,
    ) -> Fate<'f> {
        let is_deleted = deleted.contains_key(&id);
        match (found.get(&id), heard) {
            (Some(Some(item)), _) => Fate::There(Shown::Whole(item)),
            (Some(None), _) if is_deleted => Fate::SoftDeleted,
            (Some(None), _) => Fate::Gone,
            (None, Some(heard)) => match heard.removed {
                Some(Removed::Deleted) if !is_deleted => Fate::Gone,
                Some(_) => Fate::SoftDeleted,
                None => Fate::There(Shown::Changed(heard)),
            },
            (None, None) if is_deleted => Fate::SoftDeleted,
            // Only their roles are other ones. Who is deleted has none.
            (None, None) => match known.lifecycle {
                Some(Lifecycle::SoftDeleted { .. }) => Fate::SoftDeleted,
                _ => Fate::AsKnown,
            },
        }
    }

    /// The record of somebody who is there.
    fn living(&self, id: Uuid, fate: &Fate<'_>, known: &KnownRecord) -> crate::source::Record {
        let wanted = self.wanted;
        let before = &known.attributes;
        let nothing = Attributes::default();
        let of = |item: &Item, before: &Attributes, absent| {
            person::attributes(&wanted.of_people, id, item, before, absent)
        };
        let (mut attributes, said, manager) = match fate {
            Fate::There(Shown::Changed(heard)) => (
                of(&heard.item, before, Absent::Unchanged),
                lifecycle(&heard.item),
                heard.manager().unwrap_or(known_manager(before)),
            ),
            Fate::There(Shown::Whole(item)) => (
                of(item, &nothing, Absent::Cleared),
                lifecycle(item).or(Some(Lifecycle::Unknown)),
                item.get("manager")
                    .and_then(Json::as_object)
                    .and_then(super::answer::id),
            ),
            Fate::AsKnown | Fate::SoftDeleted | Fate::Gone => {
                (before.clone(), None, known_manager(before))
            }
        };
        set_manager(&mut attributes, wanted, manager);
        let lifecycle = said.or(known.lifecycle).unwrap_or(Lifecycle::Unknown);
        record(id, lifecycle, attributes)
    }
}
