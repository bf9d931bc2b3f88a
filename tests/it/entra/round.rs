//! Delta queries: what a round of changes holds, page by page, with the quirks of §1 of the facts
//! that this was written from (Graph, "Use delta query", and issues of microsoft-graph-docs).

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::tenant::{Life, Object, Tenant};

/// What pages look like.
#[derive(Debug, Clone)]
pub(super) struct Manners {
    /// Objects a page.
    pub(super) page: usize,
    /// Members of a group in one slice.
    pub(super) slice: usize,
    /// Every so many pages one is empty, and not the last; 0: none.
    pub(super) empty_every: usize,
    /// Every so many objects one comes again on the last page; 0: none.
    pub(super) again_every: usize,
    /// A round begins with changes that were in the round before (replays).
    pub(super) replays: bool,
    /// A round of changes shows nothing of an object but what has changed.
    pub(super) terse: bool,
    /// Graph shows the ids of these and nothing else.
    pub(super) hidden: Vec<Uuid>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            page: 100,
            slice: 50,
            empty_every: 0,
            again_every: 0,
            replays: false,
            terse: false,
            hidden: Vec::new(),
        }
    }
}

/// What a token for changes stands for.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) of_users: bool,
    pub(super) select: Vec<String>,
    /// Everything after this change is still to be told.
    pub(super) since: u64,
    pub(super) at: DateTime<Utc>,
}

/// How long a token is good for.
pub(super) const LIFETIME: TimeDelta = TimeDelta::days(7);

/// One object on a page: which, and which of a group's members.
type Slot = (Uuid, Option<Vec<Uuid>>);

/// A round that is under way.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) mark: Mark,
    /// Shared, because a round is kept for every page of it.
    pages: Arc<Vec<Vec<Slot>>>,
    turned: usize,
    /// Where the next round goes on.
    pub(super) next: Mark,
    /// The first round tells everything.
    is_first: bool,
}

impl Round {
    /// A round from a mark on, as the tenant is now.
    pub(super) fn begin(tenant: &Tenant, mark: Mark, is_first: bool, manners: &Manners) -> Self {
        let mut mark = mark;
        if manners.replays && !is_first {
            mark.since = mark.since.saturating_sub(5);
        }
        let objects = if mark.of_users {
            &tenant.users
        } else {
            &tenant.groups
        };
        let mut slots: Vec<Slot> = Vec::new();
        for object in objects.values() {
            if !is_told(object, &mark, is_first) {
                continue;
            }
            let members: Vec<Uuid> = object
                .members
                .iter()
                .filter(|(_, (there, at))| if is_first { *there } else { *at > mark.since })
                .map(|(member, _)| *member)
                .collect();
            if members.is_empty() || object.life != Life::Living {
                slots.push((object.id, None));
            }
            for slice in members.chunks(manners.slice) {
                slots.push((object.id, Some(slice.to_vec())));
            }
        }
        if manners.again_every > 0 {
            let again: Vec<Slot> = slots.iter().step_by(manners.again_every).cloned().collect();
            slots.extend(again);
        }
        let mut pages = Vec::new();
        for (number, page) in slots.chunks(manners.page).enumerate() {
            if manners.empty_every > 0 && number % manners.empty_every == 0 {
                pages.push(Vec::new());
            }
            pages.push(page.to_vec());
        }
        if pages.is_empty() {
            pages.push(Vec::new());
        }
        Self {
            next: Mark {
                since: tenant.changes,
                at: tenant.now(),
                ..mark.clone()
            },
            mark,
            pages: Arc::new(pages),
            turned: 0,
            is_first,
        }
    }

    /// The next page; whether there is another one after it.
    pub(super) fn turn(&mut self, tenant: &Tenant, manners: &Manners) -> (Vec<Value>, bool) {
        let pages = Arc::clone(&self.pages);
        let page = pages.get(self.turned);
        self.turned += 1;
        let shown = page
            .into_iter()
            .flatten()
            .filter_map(|slot| self.show(tenant, manners, slot))
            .collect();
        (shown, self.turned < pages.len())
    }

    fn show(&self, tenant: &Tenant, manners: &Manners, (id, members): &Slot) -> Option<Value> {
        let objects = if self.mark.of_users {
            &tenant.users
        } else {
            &tenant.groups
        };
        let object = &objects[id];
        match object.life {
            // Who goes while the first round is under way may be told as gone.
            Life::Deleted(_) => return Some(json!({"id": id, "@removed": {"reason": "changed"}})),
            Life::Purged => return Some(json!({"id": id, "@removed": {"reason": "deleted"}})),
            Life::Living => {}
        }
        if manners.hidden.contains(id) {
            return Some(json!({"@odata.type": "#microsoft.graph.user", "id": id,
                "userPrincipalName": null, "displayName": null, "mail": null}));
        }
        let since = self.mark.since;
        let mut shown = select(object, &self.mark.select);
        if manners.terse && !self.is_first && object.life_at <= since {
            let is_new = |name: &String| object.set_at.get(name).is_some_and(|at| *at > since);
            shown.retain(|name, _| name == "id" || is_new(name));
        }
        let wants = |name: &str| self.mark.select.iter().any(|it| it == name);
        let manager_told = object.manager_at > since || (self.is_first && object.manager.is_some());
        if wants("manager") && manager_told {
            let mut list = Vec::new();
            let of = |id: Uuid| json!({"@odata.type": "#microsoft.graph.user", "id": id});
            if let Some(former) = object.former_manager.filter(|_| !self.is_first) {
                let mut former = of(former);
                former["@removed"] = json!({"reason": "deleted"});
                list.push(former);
            }
            list.extend(object.manager.map(of));
            if !list.is_empty() {
                shown.insert("manager@delta".to_owned(), Value::Array(list));
            }
        }
        if wants("members")
            && let Some(members) = members
        {
            let list = members.iter().map(|member| {
                let kind = if tenant.groups.contains_key(member) {
                    "group"
                } else {
                    "user"
                };
                let mut shown =
                    json!({"@odata.type": format!("#microsoft.graph.{kind}"), "id": member});
                if !object.members[member].0 {
                    shown["@removed"] = json!({"reason": "deleted"});
                }
                shown
            });
            shown.insert("members@delta".to_owned(), list.collect());
        }
        Some(Value::Object(shown))
    }
}

/// Whether a round tells of an object: only what was selected counts as a change.
fn is_told(object: &Object, mark: &Mark, is_first: bool) -> bool {
    if is_first {
        return object.life == Life::Living;
    }
    if object.life_at > mark.since && object.life_told {
        return true;
    }
    if object.life != Life::Living {
        return false;
    }
    let selected = |name: &str| mark.select.iter().any(|it| it == name);
    let mut properties = object.set_at.iter();
    let property = properties.any(|(name, at)| *at > mark.since && selected(name));
    let manager = object.manager_at > mark.since && selected("manager");
    let mut members = object.members.values();
    let member = members.any(|(_, at)| *at > mark.since) && selected("members");
    property || manager || member
}

/// The selected properties that were ever set; a cleared one is `null`.
pub(super) fn select(object: &Object, names: &[String]) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(object.id));
    for name in names {
        if let Some(value) = object.properties.get(name) {
            shown.insert(name.clone(), value.clone());
        }
    }
    shown
}

/// The rounds and tokens that were handed out.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) rounds: BTreeMap<String, Round>,
    pub(super) marks: BTreeMap<String, Mark>,
    number: u64,
}

impl Tokens {
    /// A text that means nothing to anybody else, as it stands in a link: whoever reads it and
    /// writes it anew writes another one.
    pub(super) fn new_text(&mut self) -> String {
        self.number += 1;
        format!(
            "R0usmcCM996atia_s-{}.~{:x}%2b%2F!*",
            self.number,
            self.number * 7919
        )
    }
}
