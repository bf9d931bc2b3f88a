//! The lists and objects of Graph that are no delta queries.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::error;
use crate::entra::metadata;
use crate::entra::round::{Manners, select};
use crate::entra::tenant::{Life, Object, Tenant};
use crate::entra::wire::{Answer, Request};

/// The application permission with the least that suffices.
pub(super) fn permission(parts: &[&str]) -> Option<&'static str> {
    match parts {
        ["users", ..] | ["directory", "deletedItems", ..] => Some("User.Read.All"),
        ["groups", ..] => Some("GroupMember.Read.All"),
        ["servicePrincipals", ..] => Some("Application.Read.All"),
        _ => None,
    }
}

/// What a request costs: a base, one less for `$select`, one more for `$expand`, never below one.
pub(super) fn units(request: &Request) -> u32 {
    let base = match request.path.trim_start_matches("/v1.0/") {
        "$batch" => return 0,
        path if path.starts_with("users") => 2,
        path if path.ends_with("/members") => 3,
        _ => 1,
    };
    let has = |name: &str| request.query.contains_key(name);
    let cost = base - i32::from(has("$select")) + i32::from(has("$expand"));
    u32::try_from(cost.max(1)).expect("it is positive")
}

/// What `$select` names, if a type has all of it.
pub(super) fn selected(request: &Request, of_type: &str) -> Result<Vec<String>, Answer> {
    let known = metadata::properties(of_type);
    let Some(text) = request.query.get("$select") else {
        return Ok(vec!["id".to_owned(), "displayName".to_owned()]);
    };
    let names: Vec<String> = text.split(',').map(str::to_owned).collect();
    for name in &names {
        if !known.contains_key(name) && !name.starts_with("extension_") {
            let words = format!("Could not find a property named '{name}' on type '{of_type}'.");
            return Err(error(400, "BadRequest", &words));
        }
    }
    Ok(names)
}

/// Answers a GET.
pub(super) fn answer(
    tenant: &Tenant,
    manners: &Manners,
    origin: &str,
    request: &Request,
    parts: &[&str],
) -> Answer {
    let of_apps = matches!(parts, ["servicePrincipals"] | ["servicePrincipals", _]);
    if of_apps && let Err(answer) = selected(request, "servicePrincipal") {
        return answer;
    }
    match parts {
        ["users", id] => user(tenant, manners, request, id),
        ["groups", id, "members"] => members(tenant, manners, origin, request, id),
        ["groups", id, "memberOf"] => member_of(tenant, manners, origin, request, id),
        ["directory", "deletedItems", "microsoft.graph.user"] => {
            deleted(tenant, manners, origin, request)
        }
        ["servicePrincipals"] => apps(tenant, manners, origin, request),
        ["servicePrincipals", id] => {
            let app = Uuid::try_parse(id).ok().and_then(|id| tenant.apps.get(&id));
            match app {
                Some(app) => Answer::new(200, &show_app(app)),
                None => missing(),
            }
        }
        ["servicePrincipals", id, "appRoleAssignedTo"] => {
            assigned(tenant, manners, origin, request, id)
        }
        _ => error(400, "BadRequest", "Resource not found for the segment."),
    }
}

fn missing() -> Answer {
    error(
        404,
        "Request_ResourceNotFound",
        "Resource does not exist or one of its queried reference-property objects are not present.",
    )
}

fn living<'a>(objects: &'a BTreeMap<Uuid, Object>, id: &str) -> Option<&'a Object> {
    let object = objects.get(&Uuid::try_parse(id).ok()?)?;
    (object.life == Life::Living).then_some(object)
}

fn user(tenant: &Tenant, manners: &Manners, request: &Request, id: &str) -> Answer {
    let Some(user) = living(&tenant.users, id) else {
        return missing();
    };
    let names = match selected(request, "user") {
        Ok(names) => names,
        Err(answer) => return answer,
    };
    if manners.hidden.contains(&user.id) {
        return Answer::new(200, &json!({"id": user.id, "userPrincipalName": null}));
    }
    let mut shown = select(user, &names);
    // A plain GET shows what was never set, too.
    for name in names {
        shown.entry(name).or_insert(Value::Null);
    }
    if request
        .query
        .get("$expand")
        .is_some_and(|it| it == "manager($select=id)")
        && let Some(manager) = user.manager
    {
        let manager = json!({"@odata.type": "#microsoft.graph.user", "id": manager});
        shown.insert("manager".to_owned(), manager);
    }
    Answer::new(200, &Value::Object(shown))
}

fn members(
    tenant: &Tenant,
    manners: &Manners,
    origin: &str,
    request: &Request,
    id: &str,
) -> Answer {
    let Some(group) = living(&tenant.groups, id) else {
        return missing();
    };
    let members = group.members.iter().filter(|(_, (there, _))| *there);
    let members = members
        .filter(|(id, _)| tenant.is_living(**id))
        .map(|(id, _)| {
            let kind = if tenant.groups.contains_key(id) {
                "group"
            } else {
                "user"
            };
            json!({"@odata.type": format!("#microsoft.graph.{kind}"), "id": id})
        });
    page(manners, origin, request, members.collect())
}

fn member_of(
    tenant: &Tenant,
    manners: &Manners,
    origin: &str,
    request: &Request,
    id: &str,
) -> Answer {
    let Some(group) = living(&tenant.groups, id) else {
        return missing();
    };
    let all = tenant.groups.values().filter(|other| {
        let is_in = other
            .members
            .get(&group.id)
            .is_some_and(|(there, _)| *there);
        is_in && other.life == Life::Living
    });
    let all = all.map(|other| json!({"@odata.type": "#microsoft.graph.group", "id": other.id}));
    page(manners, origin, request, all.collect())
}

fn deleted(tenant: &Tenant, manners: &Manners, origin: &str, request: &Request) -> Answer {
    let names = match selected(request, "user") {
        Ok(names) => names,
        Err(answer) => return answer,
    };
    let users = tenant.users.values().filter_map(|user| {
        let Life::Deleted(at) = user.life else {
            return None;
        };
        let mut shown = select(user, &names);
        if names.iter().any(|name| name == "userPrincipalName") {
            shown.insert("userPrincipalName".to_owned(), json!(Tenant::mangled(user)));
        }
        if names.iter().any(|name| name == "deletedDateTime") {
            shown.insert("deletedDateTime".to_owned(), json!(at.to_rfc3339()));
        }
        Some(Value::Object(shown))
    });
    page(manners, origin, request, users.collect())
}

/// An object that is as Microsoft describes it.
fn served(of_type: &str, object: Value) -> Value {
    metadata::check(of_type, object.as_object().expect("an object"));
    object
}

fn show_app(app: &crate::entra::tenant::App) -> Value {
    let roles = app.roles.iter().map(|(id, value)| {
        json!({"id": id, "value": value, "displayName": format!("The role {value}"),
            "isEnabled": true, "allowedMemberTypes": ["User"]})
    });
    served(
        "servicePrincipal",
        json!({"id": app.id, "appId": app.app_id, "displayName": app.name,
            "appRoles": roles.collect::<Vec<_>>()}),
    )
}

fn apps(tenant: &Tenant, manners: &Manners, origin: &str, request: &Request) -> Answer {
    let filter = request.query.get("$filter").map(String::as_str);
    let matches = |app: &&crate::entra::tenant::App| match filter {
        None => true,
        Some(filter) => {
            let name = app.name.replace('\'', "''");
            filter == format!("displayName eq '{name}'")
                || filter == format!("appId eq '{}'", app.app_id)
        }
    };
    let found = tenant.apps.values().filter(matches).map(show_app).collect();
    page(manners, origin, request, found)
}

fn assigned(
    tenant: &Tenant,
    manners: &Manners,
    origin: &str,
    request: &Request,
    id: &str,
) -> Answer {
    let app = Uuid::try_parse(id).ok().and_then(|id| tenant.apps.get(&id));
    let Some(app) = app else {
        return missing();
    };
    let all = app.assigned.iter().map(|(principal, role)| {
        let kind = if tenant.groups.contains_key(principal) {
            "Group"
        } else {
            "User"
        };
        served(
            "appRoleAssignment",
            json!({"id": format!("{principal}-{role:?}"), "principalId": principal,
                "principalType": kind, "principalDisplayName": "somebody", "resourceId": app.id,
                "resourceDisplayName": app.name, "appRoleId": role.unwrap_or(Uuid::nil())}),
        )
    });
    page(manners, origin, request, all.collect())
}

/// One page of a plain list, with the place of the next one in its link.
fn page(manners: &Manners, origin: &str, request: &Request, all: Vec<Value>) -> Answer {
    let number = |name: &str| request.query.get(name).map(|text| text.parse::<usize>());
    let size = match number("$top") {
        Some(Ok(top)) if (1..=999).contains(&top) => top,
        None => 100,
        _ => {
            return error(
                400,
                "Request_UnsupportedQuery",
                "Invalid page size specified.",
            );
        }
    };
    // Pages of the tests are small, so that there are some.
    let size = size.min(manners.page.max(1) * 10);
    let from = number("$skiptoken").and_then(Result::ok).unwrap_or(0);
    let mut body = json!({"value": all.iter().skip(from).take(size).collect::<Vec<_>>()});
    if from + size < all.len() {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &request.query {
            if name != "$skiptoken" {
                query.append_pair(name, value);
            }
        }
        query.append_pair("$skiptoken", &(from + size).to_string());
        let link = format!("{origin}{}?{}", request.path, query.finish());
        body["@odata.nextLink"] = json!(link);
    }
    Answer::new(200, &body)
}
