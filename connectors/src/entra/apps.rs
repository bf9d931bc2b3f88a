//! Enterprise applications: who is assigned to one, and with which roles.
//!
//! There is no way to ask for changes of assignments, so the list is read every time. One that
//! cannot be read is not an empty one: whoever asked is told nothing. Must not resolve groups.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use super::answer::{Item, id};
use super::error::{GraphError, What};
use super::graph::{Call, Graph};
use super::group::{Member, member_key};
use super::round::{Ends, Pages};
use crate::question::Question;
use crate::source::{Attributes, Kind, Lifecycle, Members, Record, SourceId};

/// Who is assigned to an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct App {
    /// The object id of its service principal: a renamed app is the same one.
    pub(super) id: Uuid,
    /// The names of the roles of each who is assigned; none for who has plain access. As a
    /// list, because JSON's keys are text.
    pub(super) assigned: Vec<(Kind, Uuid, BTreeSet<String>)>,
}

impl App {
    pub(super) fn roles_of(&self) -> BTreeMap<Member, &BTreeSet<String>> {
        let assigned = self.assigned.iter();
        assigned
            .map(|(kind, id, roles)| ((*kind, *id), roles))
            .collect()
    }

    /// The groups that are assigned.
    pub(super) fn groups(&self) -> impl Iterator<Item = Uuid> {
        let groups = self.assigned.iter();
        let groups = groups.filter(|(kind, _, _)| *kind == Kind::Group);
        groups.map(|(_, id, _)| *id)
    }

    /// The group that answers who is assigned. A group that is not there any more has nobody,
    /// whether or not its assignment is.
    pub(super) fn record(&self, name: &str, groups: &BTreeSet<Uuid>) -> Record {
        let members = self.assigned.iter();
        let members = members.filter(|(kind, id, _)| *kind == Kind::User || groups.contains(id));
        let members = members.map(|(kind, id, _)| member_key((*kind, *id)));
        Record {
            kind: Kind::Group,
            id: answer_id(name),
            lifecycle: Lifecycle::Active,
            attributes: Attributes::default(),
            members: Members::Complete(members.collect()),
        }
    }
}

/// The id of the group that answers who is assigned to the app that is configured so.
pub(super) fn answer_id(name: &str) -> SourceId {
    SourceId::new(Question::AssignedTo(name.to_owned()).name())
}

/// Reads who is assigned to an app, which is looked for by its name or id unless it was found
/// before. One that was made again under its name need not be the same.
pub(super) async fn read(
    graph: &Graph,
    name: &str,
    before: Option<Uuid>,
    with_roles: bool,
) -> Result<App, GraphError> {
    match (read_app(graph, name, before, with_roles).await, before) {
        (Err(GraphError::Missing), Some(id)) => {
            let problem = format!(
                "it is gone: the one that was meant has the object id {id}; if there is another of \
                 that name now, write its object id or application id instead"
            );
            let what = What::Assignments(name.to_owned());
            Err(what.failed(&graph.server, &problem, None).into())
        }
        (read, _) => read,
    }
}

async fn read_app(
    graph: &Graph,
    name: &str,
    before: Option<Uuid>,
    with_roles: bool,
) -> Result<App, GraphError> {
    let found = match before {
        Some(id) if !with_roles => (id, BTreeMap::new()),
        Some(id) => get(graph, name, id).await?,
        None => find(graph, name).await?,
    };
    let (id, roles) = found;
    let what = What::Assignments(name.to_owned());
    let failed = |problem: &str| -> GraphError { what.failed(&graph.server, problem, None).into() };
    let url = graph.url(
        &["servicePrincipals", &id.to_string(), "appRoleAssignedTo"],
        &[("$top", "999")],
    );
    let mut pages = Pages::new(graph, what.clone(), url, Ends::Plainly);
    let mut assigned: BTreeMap<Member, BTreeSet<String>> = BTreeMap::new();
    while let Some(items) = pages.next().await? {
        for item in items {
            let text = |name: &str| item.get(name).and_then(Json::as_str);
            let guid = |name: &str| text(name).and_then(|text| Uuid::try_parse(text).ok());
            let (Some(principal), Some(of_type)) = (guid("principalId"), text("principalType"))
            else {
                return Err(failed("an assignment does not say whose it is"));
            };
            let kind = match of_type {
                "User" => Kind::User,
                "Group" => Kind::Group,
                // Apps may be assigned to apps.
                _ => continue,
            };
            let names = assigned.entry((kind, principal)).or_default();
            names.extend(guid("appRoleId").and_then(|role| roles.get(&role).cloned()));
        }
    }
    let assigned = assigned.into_iter();
    Ok(App {
        id,
        assigned: assigned
            .map(|((kind, id), roles)| (kind, id, roles))
            .collect(),
    })
}

type Found = (Uuid, BTreeMap<Uuid, String>);

const SELECT: (&str, &str) = ("$select", "id,appId,displayName,appRoles");

/// The app of this object id.
async fn get(graph: &Graph, name: &str, id: Uuid) -> Result<Found, GraphError> {
    let what = What::App(name.to_owned());
    let url = graph.url(&["servicePrincipals", &id.to_string()], &[SELECT]);
    let body = graph
        .send(Call {
            what: &what,
            url,
            body: None,
            units: 1.0,
            goes_on: false,
        })
        .await?;
    let item: Item = serde_json::from_slice(&body)
        .map_err(|_| what.failed(&graph.server, "the answer is not an object", None))?;
    found(graph, &what, &item)
}

/// The one app of this name, application id or object id.
pub(super) async fn find(graph: &Graph, name: &str) -> Result<Found, GraphError> {
    let what = What::App(name.to_owned());
    let filter = match Uuid::try_parse(name) {
        Ok(id) => match get(graph, name, id).await {
            Err(GraphError::Missing) => format!("appId eq '{id}'"),
            found => return found,
        },
        Err(_) => format!("displayName eq '{}'", name.replace('\'', "''")),
    };
    let url = graph.url(&["servicePrincipals"], &[("$filter", &filter), SELECT]);
    let mut pages = Pages::new(graph, what.clone(), url, Ends::Plainly);
    let mut hits = Vec::new();
    while let Some(items) = pages.next().await? {
        hits.extend(items);
    }
    match &hits[..] {
        [one] => found(graph, &what, one),
        [] => Err(what
            .failed(
                &graph.server,
                "there is none of that name or id; write the enterprise application's name, its \
                 application id or its object id",
                None,
            )
            .into()),
        several => {
            let problem = format!("{} have that name; write its id instead", several.len());
            Err(what.failed(&graph.server, &problem, None).into())
        }
    }
}

fn found(graph: &Graph, what: &What, item: &Item) -> Result<Found, GraphError> {
    let roles = item.get("appRoles").and_then(Json::as_array);
    let roles = roles.into_iter().flatten().filter_map(|role| {
        let id = Uuid::try_parse(role.get("id")?.as_str()?).ok()?;
        let text = |name: &str| role.get(name)?.as_str().filter(|text| !text.is_empty());
        Some((
            id,
            text("value").or_else(|| text("displayName"))?.to_owned(),
        ))
    });
    let roles = roles.collect();
    match id(item) {
        Some(id) => Ok((id, roles)),
        None => Err(what.failed(&graph.server, "it has no id", None).into()),
    }
}
