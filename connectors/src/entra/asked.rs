//! Users who are asked for themselves, because what else says of them does not agree, or does not
//! suffice.
//!
//! Must not decide what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use url::Url;
use uuid::Uuid;

use super::answer::{self, Item};
use super::batch;
use super::error::{GraphError, What};
use super::graph::Graph;
use super::person::is_shown;
use super::properties::Wanted;
use super::read::not_shown;

/// Asks for these users themselves, with their managers; `None`: nobody is there.
pub(super) async fn ask(
    graph: &Graph,
    wanted: &Wanted,
    ids: BTreeSet<Uuid>,
) -> Result<BTreeMap<Uuid, Option<Item>>, GraphError> {
    let select = wanted.select_of_people();
    let mut query = vec![("$select", select.as_str())];
    if wanted.wants_manager() {
        query.push(("$expand", "manager($select=id)"));
    }
    let urls: Vec<Url> = ids
        .iter()
        .map(|id| graph.url(&["users", &id.to_string()], &query))
        .collect();
    let bodies = batch::get_all(graph, &What::People, &urls).await?;
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

/// The manager of somebody who was asked for.
pub(super) fn manager(item: &Item) -> Option<Uuid> {
    item.get("manager")
        .and_then(Json::as_object)
        .and_then(answer::id)
}
