//! Deviations of POST, PUT, PATCH and DELETE.

use std::collections::BTreeSet;

use axum::http::header;
use serde_json::{Value, json};

use super::super::Answer;
use super::super::routes::Call;
use crate::sandbox::deviation::Deviation;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::schema::Kind;
use crate::sandbox::state::{Change, Resource, State};
use crate::scim::resource::member;

/// See [`super::refuse`].
pub(super) fn refuse(
    deviations: &BTreeSet<Deviation>,
    call: &mut Call<'_>,
    _state: &State,
) -> Option<Answer> {
    if !call.is_write() {
        return None;
    }
    let patches = call.method == "PATCH";
    if patches && deviations.contains(&Deviation::NoPatch) {
        return Some(Refusal::plain(501, "PATCH is not implemented").into());
    }
    let body = match &mut call.body {
        Ok(Some(body)) => body,
        _ => return None,
    };
    let path_of = |operation: &Value| Some(member(operation, "path")?.as_str()?.to_owned());
    let paths: Vec<String> = operations(body).iter().filter_map(path_of).collect();
    if deviations.contains(&Deviation::NoPatchPath) && patches && !paths.is_empty() {
        let detail = "an operation may not have a path";
        return Some(Refusal::bad("invalidPath", detail).into());
    }
    let selects = |path: &String| path.to_ascii_lowercase().starts_with("members[");
    if deviations.contains(&Deviation::NoMemberFilter) && patches && paths.iter().any(selects) {
        return Some(Refusal::plain(501, "members cannot be selected").into());
    }
    if deviations.contains(&Deviation::RefRequired)
        && !sent_members(body).all(|it| member(it, "$ref").is_some())
    {
        return Some(Refusal::bad("invalidValue", "each member needs a `$ref`").into());
    }
    if deviations.contains(&Deviation::StringBooleans) {
        if has_boolean(body) {
            let detail = "a boolean must be \"True\" or \"False\"";
            return Some(Refusal::bad("invalidValue", detail).into());
        }
        read_booleans(body);
    }
    None
}

/// See [`super::alter`].
pub(super) fn alter(
    deviations: &BTreeSet<Deviation>,
    call: &mut Call<'_>,
    answer: &mut Answer,
    state: &State,
) {
    if !call.is_write() || answer.status >= 300 {
        return;
    }
    if deviations.contains(&Deviation::IgnoresPatch) && call.method == "PATCH" {
        answer.changes.clear();
    }
    if deviations.contains(&Deviation::DuplicateMembers) && call.method == "PATCH" {
        list_twice(call, answer, state);
    }
    if deviations.contains(&Deviation::SoftDeletes) {
        switch_off_instead(answer, state);
    }
    if deviations.contains(&Deviation::KeepsDeletedMembers) {
        keep_in_groups(answer, state);
    }
    let mut followers = Vec::new();
    for change in &mut answer.changes {
        let Change::Put(resource) = change else {
            continue;
        };
        if deviations.contains(&Deviation::NoExternalId) {
            resource.attributes.remove("externalId");
        }
        if deviations.contains(&Deviation::IdsAreNames) && resource.kind == Kind::User {
            followers.extend(rename(resource, state));
            if call.shows.is_some() {
                call.shows = Some((Kind::User, resource.id.clone()));
            }
        }
    }
    answer.changes.extend(followers);
}

/// See [`super::distort`].
pub(super) fn distort(
    deviations: &BTreeSet<Deviation>,
    call: &Call<'_>,
    answer: &mut Answer,
    _state: &State,
) {
    if answer.status >= 400 && deviations.contains(&Deviation::HtmlErrors) {
        answer.body = None;
        answer.page = Some(format!(
            "<!DOCTYPE html><html><head><title>Oops</title></head>\
             <body><h1>{} Oops</h1><p>Something went wrong.</p></body></html>",
            answer.status
        ));
    }
    if !call.is_write() || answer.status >= 300 {
        return;
    }
    if deviations.contains(&Deviation::NoId) && call.method == "POST" {
        answer.headers.retain(|(name, _)| name != header::LOCATION);
        if let Some(Value::Object(fields)) = &mut answer.body {
            fields.remove("id");
            fields.remove("meta");
        }
    }
    if deviations.contains(&Deviation::Accepted) {
        answer.status = 202;
        answer.body = None;
        answer.headers.clear();
    }
}

/// The operations of a PATCH.
fn operations(body: &Value) -> &[Value] {
    let operations = member(body, "Operations").and_then(Value::as_array);
    operations.map(Vec::as_slice).unwrap_or_default()
}

/// The members that a body brings: as a resource, or in operations that add or replace.
fn sent_members(body: &Value) -> impl Iterator<Item = &Value> {
    let whole = |operation: &&Value| {
        let path = member(operation, "path").and_then(Value::as_str);
        path.is_some_and(|path| path.eq_ignore_ascii_case("members"))
    };
    let writes = |operation: &&Value| {
        let op = member(operation, "op").and_then(Value::as_str);
        op.is_none_or(|op| !op.eq_ignore_ascii_case("remove"))
    };
    let given = operations(body).iter().filter(writes);
    let given = given.filter_map(move |operation| {
        let value = member(operation, "value")?;
        if whole(&operation) {
            Some(value)
        } else {
            member(value, "members")
        }
    });
    let members = member(body, "members").into_iter().chain(given);
    members.filter_map(Value::as_array).flatten()
}

fn has_boolean(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::Array(elements) => elements.iter().any(has_boolean),
        Value::Object(fields) => fields.values().any(has_boolean),
        _ => false,
    }
}

/// Reads "True" and "False" where a boolean belongs.
fn read_booleans(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(read_booleans),
        Value::Object(fields) => {
            let path = fields.get("path").and_then(Value::as_str);
            let points_to_one = path.is_some_and(is_truth);
            for (name, value) in fields {
                let belongs = is_truth(name) || (points_to_one && name == "value");
                match value.as_str() {
                    Some("True") if belongs => *value = json!(true),
                    Some("False") if belongs => *value = json!(false),
                    _ => read_booleans(value),
                }
            }
        }
        _ => {}
    }
}

fn is_truth(name: &str) -> bool {
    name == "active" || name.ends_with("primary")
}

/// Who is added and there already is there twice.
fn list_twice(call: &Call<'_>, answer: &mut Answer, state: &State) {
    let (Ok(Some(body)), Some((Kind::Group, id))) = (&call.body, &call.shows) else {
        return;
    };
    let Ok(before) = state.get(Kind::Group, id) else {
        return;
    };
    let there = before.attributes.get("members").and_then(Value::as_array);
    let ids: BTreeSet<&str> = there.into_iter().flatten().filter_map(value_of).collect();
    let again: Vec<Value> = sent_members(body)
        .filter_map(value_of)
        .filter(|id| ids.contains(id))
        .map(|id| json!({ "value": id }))
        .collect();
    if again.is_empty() {
        return;
    }
    if answer.changes.is_empty() {
        answer.changes.push(Change::Put(Box::new(before.clone())));
    }
    if let Some(Change::Put(group)) = answer.changes.first_mut()
        && let Some(Value::Array(members)) = group.attributes.get_mut("members")
    {
        members.extend(again);
    }
}

fn value_of(element: &Value) -> Option<&str> {
    member(element, "value")?.as_str()
}

fn switch_off_instead(answer: &mut Answer, state: &State) {
    for change in &mut answer.changes {
        if let Change::Delete { order, .. } = change
            && let Some(user) = state
                .all()
                .find(|it| it.order == *order && it.kind == Kind::User)
        {
            let mut user = user.clone();
            user.attributes.insert("active".to_owned(), json!(false));
            *change = Change::Put(Box::new(user));
        }
    }
}

/// Puts the groups of who is deleted back as they were.
fn keep_in_groups(answer: &mut Answer, state: &State) {
    let is_deleted = |order: u64| {
        let mut changes = answer.changes.iter();
        changes.any(|change| matches!(change, Change::Delete { order: it, .. } if *it == order))
    };
    let deleted: BTreeSet<&str> = state
        .all()
        .filter(|it| it.kind == Kind::User && is_deleted(it.order))
        .map(|user| user.id.as_str())
        .collect();
    let has_one = |group: &&Resource| group.member_ids().any(|id| deleted.contains(id));
    let groups = state.all().filter(has_one).cloned();
    let kept: Vec<Change> = groups.map(|group| Change::Put(Box::new(group))).collect();
    answer.changes.extend(kept);
}

/// Gives a user the id that the name says, and tells the groups.
fn rename(user: &mut Resource, state: &State) -> Vec<Change> {
    let name = user.attributes.get("userName").and_then(Value::as_str);
    let Some(name) = name.map(str::to_owned) else {
        return Vec::new();
    };
    let old = std::mem::replace(&mut user.id, name.clone());
    if old == name {
        return Vec::new();
    }
    let mut changes = Vec::new();
    for group in state.all().filter(|it| it.kind == Kind::Group) {
        let mut group = group.clone();
        let mut renamed = false;
        if let Some(Value::Array(members)) = group.attributes.get_mut("members") {
            for element in members {
                if value_of(element) == Some(&old) {
                    element["value"] = json!(name);
                    renamed = true;
                }
            }
        }
        if renamed {
            changes.push(Change::Put(Box::new(group)));
        }
    }
    changes
}
