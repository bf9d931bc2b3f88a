//! What `check` says of a tenant: what can be read, and which permission is missing.
//!
//! Asks for as little as possible of everything that a read asks for.

use std::collections::BTreeSet;

use super::apps;
use super::config::{Changes, EntraConfig};
use super::error::{GraphError, What};
use super::graph::{Call, Graph};
use super::properties;
use crate::question::Question;
use crate::source::{SourceError, SourceFacts};

/// Looks whether everything may be read.
pub(super) async fn check(
    graph: &Graph,
    config: &EntraConfig,
    questions: &BTreeSet<Question>,
) -> Result<SourceFacts, SourceError> {
    let latest = ("$deltatoken", "latest");
    let few = ("$top", "1");
    let select = ("$select", "id");
    let probes = [
        (
            What::People,
            graph.url(&["users", "delta"], &[latest, select]),
        ),
        (
            What::Groups,
            graph.url(&["groups", "delta"], &[latest, ("$select", "id,members")]),
        ),
        (
            What::Deleted,
            graph.url(
                &["directory", "deletedItems", "microsoft.graph.user"],
                &[few, select],
            ),
        ),
    ];
    let named: BTreeSet<&str> = questions.iter().filter_map(app_of).collect();
    let mut missing = BTreeSet::new();
    for (what, url) in probes {
        match ask(graph, &what, url).await {
            Ok(()) => {}
            Err(GraphError::Forbidden(what, _)) => missing.extend(what.permission()),
            Err(error) => return Err(error.into_source(&what, &graph.server)),
        }
    }
    let mut apps = Vec::new();
    for name in &named {
        match apps::find(graph, name).await {
            Ok(_) => apps.push(format!(
                "app {name}: there, and its assignments can be read"
            )),
            Err(GraphError::Forbidden(what, _)) => missing.extend(what.permission()),
            Err(error) => return Err(error.into_source(&app(name), &graph.server)),
        }
    }
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
        return Err(SourceError::Server {
            server: graph.server.clone(),
            problem: format!(
                "the app registration lacks {} ({}): add as application permission of Microsoft \
                 Graph, and give admin consent",
                match names.len() {
                    1 => "a permission",
                    _ => "permissions",
                },
                names.join(", ")
            ),
            source: None,
        });
    }
    if named.is_empty() {
        apps.push(look_for_apps(graph, &[few, select]).await?);
    }
    let changes = match config.changes {
        Changes::Auto => "changes: by delta queries, with the deleted items looked at besides",
        Changes::Full => "changes: everything is read and compared; `changes` says so",
    };
    let mut lines = vec![
        format!("{}: Microsoft Entra", graph.server),
        "id: the object id".to_owned(),
        "people: users, those deleted within 30 days included".to_owned(),
        "switched off: by `accountEnabled`".to_owned(),
        "groups: every group, with its direct members".to_owned(),
    ];
    lines.extend(apps);
    lines.push(changes.to_owned());
    Ok(SourceFacts {
        lines,
        attributes: properties::names(&config.extension_properties),
    })
}

/// Whether a scope could ask who is assigned, where none does.
async fn look_for_apps(graph: &Graph, few: &[(&str, &str)]) -> Result<String, SourceError> {
    let any = app("any");
    match ask(graph, &any, graph.url(&["servicePrincipals"], few)).await {
        Ok(()) => Ok("app assignments: can be read (`assigned_to`)".to_owned()),
        Err(GraphError::Forbidden(..)) => Ok(
            "app assignments: not for this app registration; a scope's `assigned_to` and app roles \
             need `Application.Read.All`"
                .to_owned(),
        ),
        Err(error) => Err(error.into_source(&any, &graph.server)),
    }
}

fn app(name: &str) -> What {
    What::App(name.to_owned())
}

fn app_of(question: &Question) -> Option<&str> {
    match question {
        Question::AssignedTo(app) | Question::RolesIn(app) => Some(app),
        Question::Below(_) | Question::Matches(_) => None,
    }
}

async fn ask(graph: &Graph, what: &What, url: url::Url) -> Result<(), GraphError> {
    let call = Call {
        what,
        url,
        body: None,
        units: 1.0,
        goes_on: false,
    };
    graph.send(call).await.map(|_| ())
}
