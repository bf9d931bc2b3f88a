//! The resources in memory and the rules between them: unique names, members that exist,
//! `groups` that follow from members. Pure: time is passed in, and every change is returned
//! as a value that the journal keeps and that replays to the same state.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::schema::Kind;
use crate::scim::ENTERPRISE_SCHEMA;

/// One resource as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Resource {
    /// Its place in listings: the order of creation.
    pub(super) order: u64,
    pub(super) kind: Kind,
    pub(super) id: String,
    created: DateTime<Utc>,
    modified: DateTime<Utc>,
    /// Counts changes from 1; the ETag.
    version: u64,
    /// What the client set, and `schemas`. Neither `id`, `meta` nor `groups`.
    pub(super) attributes: Map<String, Value>,
}

/// One change, as the journal has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    /// A resource is new or replaced.
    Put(Box<Resource>),
    /// A resource is gone, from its groups too.
    Delete { order: u64, at: DateTime<Utc> },
    /// No order below this is given again.
    Next(u64),
}

impl Resource {
    /// The weak entity tag (RFC 7644 §3.14).
    pub(super) fn etag(&self) -> String {
        format!("W/\"{}\"", self.version)
    }

    pub(super) fn member_ids(&self) -> impl Iterator<Item = &str> {
        let members = match self.kind {
            Kind::Group => self.attributes.get("members"),
            Kind::User => None,
        };
        let members = members.and_then(Value::as_array).map(Vec::as_slice);
        members
            .unwrap_or_default()
            .iter()
            .filter_map(|member| member.get("value")?.as_str())
    }

    fn folded_name(&self) -> String {
        let name = self.attributes.get(self.kind.naming_attribute());
        name.and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase()
    }

    fn manager(&self) -> Option<&str> {
        let extension = self.attributes.get(ENTERPRISE_SCHEMA)?;
        extension.get("manager")?.get("value")?.as_str()
    }
}

/// All resources, and what is looked up often.
#[derive(Debug, Default)]
pub(super) struct State {
    resources: BTreeMap<u64, Resource>,
    ids: BTreeMap<String, u64>,
    names: BTreeMap<(Kind, String), u64>,
    /// Member id to the groups it is in.
    groups_of: BTreeMap<String, BTreeSet<u64>>,
    next: u64,
}

impl State {
    /// How many resources there are.
    pub(super) fn len(&self) -> usize {
        self.resources.len()
    }

    /// Everything, in order of creation.
    pub(super) fn all(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    /// The changes that rebuild this state.
    pub(super) fn snapshot(&self) -> impl Iterator<Item = Change> {
        std::iter::once(Change::Next(self.next)).chain(
            self.all()
                .map(|resource| Change::Put(Box::new(resource.clone()))),
        )
    }

    /// The order that the next resource gets.
    pub(super) fn next_order(&self) -> u64 {
        self.next
    }

    /// A resource of a kind by its id.
    pub(super) fn get(&self, kind: Kind, id: &str) -> Result<&Resource, Refusal> {
        self.ids
            .get(id)
            .and_then(|order| self.resources.get(order))
            .filter(|resource| resource.kind == kind)
            .ok_or_else(|| Refusal::plain(404, format!("there is no {} {id}", kind.name())))
    }

    /// A new resource, checked against the others. Not applied.
    pub(super) fn create(
        &self,
        kind: Kind,
        id: String,
        attributes: Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Change, Refusal> {
        let resource = Resource {
            order: self.next,
            kind,
            id,
            created: now,
            modified: now,
            version: 1,
            attributes,
        };
        self.check(&resource, None)?;
        Ok(Change::Put(Box::new(resource)))
    }

    /// A resource with other attributes, checked. `None` when nothing differs. Not applied.
    pub(super) fn replace(
        &self,
        current: &Resource,
        attributes: Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Option<Change>, Refusal> {
        if attributes == current.attributes {
            return Ok(None);
        }
        let resource = Resource {
            modified: now,
            version: current.version + 1,
            attributes,
            ..current.clone()
        };
        self.check(&resource, Some(current))?;
        Ok(Some(Change::Put(Box::new(resource))))
    }

    fn check(&self, resource: &Resource, current: Option<&Resource>) -> Result<(), Refusal> {
        let owner = self.names.get(&(resource.kind, resource.folded_name()));
        if owner.is_some_and(|owner| *owner != resource.order) {
            let attribute = resource.kind.naming_attribute();
            let kind = resource.kind.name();
            let detail = format!("another {kind} has this {attribute}");
            return Err(Refusal::taken(detail));
        }
        for id in resource.member_ids() {
            if id == resource.id {
                return Err(Refusal::bad(
                    "invalidValue",
                    "a group cannot be its own member",
                ));
            }
            // One who was deleted may be there still: see `Deviation::KeepsDeletedMembers`.
            let stays = current.is_some_and(|it| it.member_ids().any(|other| other == id));
            if !stays && !self.ids.contains_key(id) {
                let detail = format!("there is no User or Group {id} to be a member");
                return Err(Refusal::bad("invalidValue", detail));
            }
        }
        // A manager who left stays named; a new one must exist.
        let manager = resource.manager();
        let unchanged = current.is_some_and(|current| current.manager() == manager);
        if let Some(id) = manager.filter(|_| !unchanged)
            && self.get(Kind::User, id).is_err()
        {
            let detail = format!("there is no User {id} to be a manager");
            return Err(Refusal::bad("invalidValue", detail));
        }
        Ok(())
    }

    /// Applies a change that was checked, or that the journal has.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Put(resource) => {
                self.forget(resource.order);
                self.remember(*resource);
            }
            Change::Delete { order, at } => {
                let Some(gone) = self.forget(order) else {
                    return;
                };
                let groups = self.groups_of.remove(&gone.id).unwrap_or_default();
                for group in groups {
                    self.drop_member(group, &gone.id, at);
                }
            }
            Change::Next(next) => self.next = self.next.max(next),
        }
    }

    fn remember(&mut self, resource: Resource) {
        let order = resource.order;
        self.next = self.next.max(order + 1);
        self.ids.insert(resource.id.clone(), order);
        self.names
            .insert((resource.kind, resource.folded_name()), order);
        for member in resource.member_ids() {
            let groups = self.groups_of.entry(member.to_owned()).or_default();
            groups.insert(order);
        }
        self.resources.insert(order, resource);
    }

    fn forget(&mut self, order: u64) -> Option<Resource> {
        let resource = self.resources.remove(&order)?;
        self.ids.remove(&resource.id);
        self.names.remove(&(resource.kind, resource.folded_name()));
        for member in resource.member_ids() {
            if let Some(groups) = self.groups_of.get_mut(member) {
                groups.remove(&order);
                if groups.is_empty() {
                    self.groups_of.remove(member);
                }
            }
        }
        Some(resource)
    }

    fn drop_member(&mut self, group: u64, id: &str, at: DateTime<Utc>) {
        let Some(mut group) = self.forget(group) else {
            return;
        };
        if let Some(Value::Array(members)) = group.attributes.get_mut("members") {
            members.retain(|member| member.get("value").and_then(Value::as_str) != Some(id));
            if members.is_empty() {
                group.attributes.remove("members");
            }
        }
        group.version += 1;
        group.modified = at;
        self.remember(group);
    }

    /// The resource as clients see it: with `id`, `meta`, a user's `groups`, and what is known
    /// of a group's members.
    pub(super) fn render(&self, resource: &Resource, base: &str) -> Value {
        let mut json = resource.attributes.clone();
        json.insert("id".to_owned(), json!(resource.id));
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        json.insert(
            "meta".to_owned(),
            json!({
                "resourceType": resource.kind.name(),
                "created": time(resource.created),
                "lastModified": time(resource.modified),
                "location": location(resource, base),
                "version": resource.etag(),
            }),
        );
        if let Some(Value::Array(members)) = json.get_mut("members") {
            for member in members {
                self.describe_member(member, base);
            }
        }
        let groups = self.groups_of.get(&resource.id);
        let groups: Vec<Value> = groups
            .into_iter()
            .flatten()
            .filter_map(|order| self.resources.get(order))
            .filter(|_| resource.kind == Kind::User)
            .map(|group| {
                json!({
                    "value": group.id,
                    "$ref": location(group, base),
                    "display": display(group),
                    "type": "direct",
                })
            })
            .collect();
        if !groups.is_empty() {
            json.insert("groups".to_owned(), json!(groups));
        }
        Value::Object(json)
    }

    fn describe_member(&self, member: &mut Value, base: &str) {
        let known = member
            .get("value")
            .and_then(Value::as_str)
            .and_then(|id| self.resources.get(self.ids.get(id)?));
        if let (Some(known), Some(member)) = (known, member.as_object_mut()) {
            member.insert("$ref".to_owned(), json!(location(known, base)));
            member.insert("type".to_owned(), json!(known.kind.name()));
            member
                .entry("display")
                .or_insert_with(|| json!(display(known)));
        }
    }
}

/// Where a resource is found.
pub(super) fn location(resource: &Resource, base: &str) -> String {
    format!("{base}/{}/{}", resource.kind.endpoint(), resource.id)
}

fn display(resource: &Resource) -> &str {
    ["displayName", resource.kind.naming_attribute()]
        .into_iter()
        .find_map(|name| resource.attributes.get(name)?.as_str())
        .unwrap_or_default()
}
