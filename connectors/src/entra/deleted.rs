//! The deleted items: users who can come back for thirty days, with the same id.
//!
//! Their user principal name is not theirs while they are there: 32 digits of their id stand
//! before it, so that somebody else can have it. It is never given like that.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use uuid::Uuid;

use super::answer::{Item, id};
use super::error::{GraphError, What};
use super::graph::Graph;
use super::properties::{UPN, Wanted};
use super::round::{Ends, Pages};
use crate::source::Lifecycle;

const SINCE: &str = "deletedDateTime";

/// Everybody who is there now. The type has to be in the address (Graph, "List deletedItems").
pub(super) async fn read(
    graph: &Graph,
    wanted: &Wanted,
) -> Result<BTreeMap<Uuid, Item>, GraphError> {
    let select = format!("{},{SINCE}", wanted.select_of_people());
    let url = graph.url(
        &["directory", "deletedItems", "microsoft.graph.user"],
        &[("$select", &select), ("$top", "999")],
    );
    let mut pages = Pages::new(graph, What::Deleted, url, Ends::Plainly);
    let mut deleted = BTreeMap::new();
    while let Some(items) = pages.next().await? {
        for mut item in items {
            let Some(id) = id(&item) else {
                let problem = "a deleted user has no id";
                return Err(What::Deleted.failed(&graph.server, problem, None).into());
            };
            restore_name(id, &mut item);
            deleted.insert(id, item);
        }
    }
    Ok(deleted)
}

/// What a deleted user is.
pub(super) fn lifecycle(item: &Item) -> Lifecycle {
    let since = item.get(SINCE).and_then(Json::as_str);
    let since = since.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    Lifecycle::SoftDeleted {
        since: since.map(|since| since.with_timezone(&Utc)),
    }
}

/// Gives the user principal name as it was. One that is still mangled in a way that is not
/// known is left out.
fn restore_name(id: Uuid, item: &mut Item) {
    let Some(name) = item.get(UPN).and_then(Json::as_str) else {
        return;
    };
    let prefix = id.simple().to_string();
    let own = name
        .get(..prefix.len())
        .filter(|start| start.eq_ignore_ascii_case(&prefix))
        .map(|start| name[start.len()..].to_owned());
    match own {
        Some(own) if !own.is_empty() => item.insert(UPN.to_owned(), Json::String(own)),
        Some(_) => item.remove(UPN),
        None => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_mangled_name_is_never_given() {
        let id = Uuid::try_parse("46cc6179-19d0-473e-97ad-6ff84347bbbb").unwrap();
        let restored = |name: &str| {
            let mut item = json!({ UPN: name }).as_object().cloned().unwrap();
            restore_name(id, &mut item);
            item.get(UPN).cloned()
        };
        for prefix in [
            "46cc617919d0473e97ad6ff84347bbbb",
            "46CC617919D0473E97AD6FF84347BBBB",
        ] {
            let name = restored(&format!("{prefix}ana@example.com"));
            assert_eq!(name, Some(json!("ana@example.com")));
        }
        assert_eq!(restored("ana@example.com"), Some(json!("ana@example.com")));
        assert_eq!(restored("46cc617919d0473e97ad6ff84347bbbb"), None);
        // Of somebody else's id, it is a name that somebody gave them.
        let other = "00cc617919d0473e97ad6ff84347bbbbana@example.com";
        assert_eq!(restored(other), Some(json!(other)));
    }
}
