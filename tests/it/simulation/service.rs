//! A SCIM service provider as simple as it can be: users, groups, `eq` filters, pages, the
//! forms of PATCH that RFC 7644 §3.5.2 describes and provisor sends. Names are unique. It
//! imports nothing of what it tests, and misbehaves only in `server`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Smaller than what is asked for, so that every listing has pages.
const PAGE: usize = 5;

/// A request for one of the services.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    /// `Users`, `Groups`, `ServiceProviderConfig`.
    pub(super) collection: String,
    pub(super) id: Option<String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Value,
}

impl Request {
    pub(super) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    pub(super) users: BTreeMap<String, User>,
    pub(super) groups: BTreeMap<String, Team>,
    next: u32,
}

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) active: bool,
    /// By attribute name; those of the enterprise extension with its URN before them.
    pub(super) values: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Team {
    pub(super) name: String,
    pub(super) external_id: Option<String>,
    pub(super) members: BTreeSet<String>,
}

impl User {
    pub(super) fn text(&self, name: &str) -> &str {
        self.values
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl Service {
    pub(super) fn handle(&mut self, request: &Request) -> Answer {
        let Request {
            method,
            collection,
            id,
            query,
            body,
        } = request;
        match (method.as_str(), collection.as_str(), id) {
            ("GET", "ServiceProviderConfig", None) => answer(
                200,
                json!({"patch": {"supported": true}, "filter": {"supported": true, "maxResults": 100}}),
            ),
            ("GET", _, None) => self.list(collection, query),
            ("GET", _, Some(id)) => self.shown(collection, id).map_or_else(missing, ok),
            ("POST", "Users", None) => self.create_user(body),
            ("POST", "Groups", None) => self.create_group(body),
            ("PATCH", "Users", Some(id)) => self.patch_user(id, body),
            ("PATCH", "Groups", Some(id)) => self.patch_group(id, body),
            ("DELETE", _, Some(id)) => self.delete(collection, id),
            _ => answer(501, json!({"detail": "not a form of this service"})),
        }
    }

    /// Adds somebody who was there before provisor, or whom somebody else made.
    pub(super) fn plant(&mut self, user_name: &str, external_id: Option<&str>) -> String {
        let id = self.new_id("u");
        let mut values = BTreeMap::from([("userName".to_owned(), json!(user_name))]);
        if let Some(external_id) = external_id {
            values.insert("externalId".to_owned(), json!(external_id));
        }
        let user = User {
            active: true,
            values,
        };
        self.users.insert(id.clone(), user);
        id
    }

    fn new_id(&mut self, letter: &str) -> String {
        self.next += 1;
        format!("{letter}{}", self.next)
    }

    fn create_user(&mut self, body: &Value) -> Answer {
        let values = flat(body);
        let name = values.get("userName").and_then(Value::as_str);
        let Some(name) = name else {
            return answer(400, json!({"scimType": "invalidValue"}));
        };
        if self.has_name(name, "") {
            return answer(409, json!({"scimType": "uniqueness"}));
        }
        let active = body["active"].as_bool().unwrap_or(true);
        let id = self.new_id("u");
        self.users.insert(id.clone(), User { active, values });
        Answer {
            status: 201,
            ..ok(self.shown("Users", &id).expect("just made"))
        }
    }

    fn create_group(&mut self, body: &Value) -> Answer {
        let mut others = self.groups.values();
        if others.any(|team| body["displayName"] == json!(team.name)) {
            return answer(409, json!({"scimType": "uniqueness"}));
        }
        let id = self.new_id("t");
        let team = Team {
            name: body["displayName"].as_str().unwrap_or_default().to_owned(),
            external_id: body["externalId"].as_str().map(str::to_owned),
            members: member_ids(&body["members"]),
        };
        self.groups.insert(id.clone(), team);
        Answer {
            status: 201,
            ..ok(self.shown("Groups", &id).expect("just made"))
        }
    }

    fn has_name(&self, name: &str, but_for: &str) -> bool {
        let same = |user: &User| user.text("userName").eq_ignore_ascii_case(name);
        self.users
            .iter()
            .any(|(id, user)| id != but_for && same(user))
    }

    fn patch_user(&mut self, id: &str, body: &Value) -> Answer {
        let Some(mut user) = self.users.get(id).cloned() else {
            return missing();
        };
        for operation in operations(body) {
            let (op, path, value) = operation;
            match (op.as_str(), path.as_str()) {
                ("replace", "active") if value.is_boolean() => {
                    user.active = value.as_bool().unwrap_or(true);
                }
                ("remove", path) if is_plain(path) => {
                    user.values.remove(path);
                }
                ("add" | "replace", path) if is_plain(path) && !value.is_null() => {
                    user.values.insert(path.to_owned(), value);
                }
                _ => return answer(400, json!({"scimType": "invalidPath", "detail": path})),
            }
        }
        if self.has_name(user.text("userName"), id) {
            return answer(409, json!({"scimType": "uniqueness"}));
        }
        self.users.insert(id.to_owned(), user);
        ok(self.shown("Users", id).expect("just changed"))
    }

    fn patch_group(&mut self, id: &str, body: &Value) -> Answer {
        let Some(mut team) = self.groups.get(id).cloned() else {
            return missing();
        };
        for (op, path, value) in operations(body) {
            match (op.as_str(), path.as_str()) {
                ("add", "members") => team.members.extend(member_ids(&value)),
                ("replace", "members") => team.members = member_ids(&value),
                ("remove", path) if removed_member(path).is_some() => {
                    team.members
                        .remove(removed_member(path).unwrap_or_default());
                }
                ("add" | "replace", "displayName") => {
                    team.name = value.as_str().unwrap_or_default().to_owned();
                }
                ("add" | "replace", "externalId") => {
                    team.external_id = value.as_str().map(str::to_owned);
                }
                _ => return answer(400, json!({"scimType": "invalidPath", "detail": path})),
            }
        }
        self.groups.insert(id.to_owned(), team);
        ok(self.shown("Groups", id).expect("just changed"))
    }

    pub(super) fn delete(&mut self, collection: &str, id: &str) -> Answer {
        let was_there = match collection {
            "Users" => self.users.remove(id).is_some(),
            _ => self.groups.remove(id).is_some(),
        };
        for team in self.groups.values_mut() {
            team.members.remove(id);
        }
        match was_there {
            true => answer(204, Value::Null),
            false => missing(),
        }
    }

    fn list(&self, collection: &str, query: &BTreeMap<String, String>) -> Answer {
        let ids: Vec<&String> = match collection {
            "Users" => self.users.keys().collect(),
            _ => self.groups.keys().collect(),
        };
        let mut all: Vec<Value> = ids
            .into_iter()
            .filter_map(|id| self.shown(collection, id))
            .collect();
        if let Some(filter) = query.get("filter") {
            let Some((path, value)) = equality(filter) else {
                return answer(400, json!({"scimType": "invalidFilter"}));
            };
            let matches = |resource: &Value| {
                let found = resource[path].as_str().unwrap_or_default();
                match path {
                    "externalId" => found == value,
                    _ => found.eq_ignore_ascii_case(value),
                }
            };
            all.retain(matches);
        }
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
        let start = number("startIndex").unwrap_or(1).max(1);
        let count = number("count").unwrap_or(PAGE).min(PAGE);
        let page: Vec<Value> = all.iter().skip(start - 1).take(count).cloned().collect();
        answer(
            200,
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
                "totalResults": all.len(),
                "startIndex": start,
                "itemsPerPage": page.len(),
                "Resources": page,
            }),
        )
    }

    fn shown(&self, collection: &str, id: &str) -> Option<Value> {
        let mut resource = Map::new();
        resource.insert("id".to_owned(), json!(id));
        if collection == "Users" {
            let user = self.users.get(id)?;
            resource.insert("active".to_owned(), json!(user.active));
            let mut extension = Map::new();
            for (name, value) in &user.values {
                match name
                    .strip_prefix(ENTERPRISE)
                    .and_then(|it| it.strip_prefix(':'))
                {
                    Some(inner) => extension.insert(inner.to_owned(), value.clone()),
                    None => resource.insert(name.clone(), value.clone()),
                };
            }
            if !extension.is_empty() {
                resource.insert(ENTERPRISE.to_owned(), Value::Object(extension));
            }
        } else {
            let team = self.groups.get(id)?;
            resource.insert("displayName".to_owned(), json!(team.name));
            if let Some(external_id) = &team.external_id {
                resource.insert("externalId".to_owned(), json!(external_id));
            }
            let members: Vec<Value> = team.members.iter().map(|id| json!({"value": id})).collect();
            resource.insert("members".to_owned(), json!(members));
        }
        Some(Value::Object(resource))
    }
}

/// The operations of a PATCH: op, path and value. One without a path is one for each attribute
/// that it names.
pub(super) fn operations(body: &Value) -> Vec<(String, String, Value)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = body["Operations"].as_array().into_iter().flatten();
    let each = all.flat_map(|it| {
        let op = text(&it["op"]).to_lowercase();
        match (&it["path"], &it["value"]) {
            (Value::Null, Value::Object(values)) => {
                let mut named = flat(&it["value"]);
                named.extend(
                    values
                        .get("active")
                        .map(|it| ("active".to_owned(), it.clone())),
                );
                let named = named.into_iter();
                named
                    .map(|(path, value)| (op.clone(), path, value))
                    .collect()
            }
            (path, value) => vec![(op, text(path), value.clone())],
        }
    });
    each.collect()
}

/// The id in `members[value eq "id"]`.
pub(super) fn removed_member(path: &str) -> Option<&str> {
    path.strip_prefix("members[value eq \"")?
        .strip_suffix("\"]")
}

pub(super) fn member_ids(members: &Value) -> BTreeSet<String> {
    let all = members.as_array().into_iter().flatten();
    all.filter_map(|member| member["value"].as_str().map(str::to_owned))
        .collect()
}

/// A body's attributes, but for what is not the person's.
pub(super) fn flat(body: &Value) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for (name, value) in body.as_object().into_iter().flatten() {
        match name.as_str() {
            "schemas" | "active" => {}
            ENTERPRISE => {
                for (inner, value) in value.as_object().into_iter().flatten() {
                    values.insert(format!("{ENTERPRISE}:{inner}"), value.clone());
                }
            }
            _ => {
                values.insert(name.clone(), value.clone());
            }
        }
    }
    values
}

fn is_plain(path: &str) -> bool {
    let name = path
        .strip_prefix(ENTERPRISE)
        .and_then(|rest| rest.strip_prefix(':'));
    let name = name.unwrap_or(path);
    name != "active" && !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric())
}

/// `path eq "value"`.
fn equality(filter: &str) -> Option<(&str, &str)> {
    let (path, rest) = filter.split_once(" eq ")?;
    Some((path, rest.strip_prefix('"')?.strip_suffix('"')?))
}

pub(super) fn answer(status: u16, body: Value) -> Answer {
    Answer { status, body }
}

fn ok(body: Value) -> Answer {
    answer(200, body)
}

fn missing() -> Answer {
    answer(404, json!({"detail": "not here"}))
}
