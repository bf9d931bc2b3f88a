//! What `check` says of a tenant: what can be read, and which permission is missing.
//!
//! Asks for as little as possible of everything that a read asks for.

use std::collections::BTreeSet;

use super::config::{Changes, EntraConfig};
use super::error::{GraphError, What};
use super::graph::{Call, Graph};
use super::properties;
use crate::source::{SourceError, SourceFacts};

/// Looks whether everything may be read.
pub(super) async fn check(graph: &Graph, config: &EntraConfig) -> Result<SourceFacts, SourceError> {
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
    let mut missing = BTreeSet::new();
    for (what, url) in probes {
        match ask(graph, &what, url).await {
            Ok(()) => {}
            Err(GraphError::Forbidden(what, _)) => missing.extend(what.permission()),
            Err(error) => return Err(error.into_source(&what, &graph.server)),
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
    let apps = graph.url(&["servicePrincipals"], &[few, select]);
    let apps = match ask(graph, &What::App(String::new()), apps).await {
        Ok(()) => "app assignments: can be read (`assigned_to`)".to_owned(),
        Err(GraphError::Forbidden(..)) => {
            "app assignments: not for this app registration; a scope's `assigned_to` and app roles \
             need `Application.Read.All`"
                .to_owned()
        }
        Err(error) => {
            let what = What::App("any".to_owned());
            return Err(error.into_source(&what, &graph.server));
        }
    };
    let changes = match config.changes {
        Changes::Auto => "changes: by delta queries, with the deleted items looked at besides",
        Changes::Full => "changes: everything is read and compared; `changes` says so",
    };
    Ok(SourceFacts {
        lines: vec![
            format!("{}: Microsoft Entra", graph.server),
            "id: the object id".to_owned(),
            "people: users, those deleted within 30 days included".to_owned(),
            "switched off: by `accountEnabled`".to_owned(),
            "groups: every group, with its direct members".to_owned(),
            apps,
            changes.to_owned(),
        ],
        attributes: properties::names(&config.extension_properties),
    })
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
