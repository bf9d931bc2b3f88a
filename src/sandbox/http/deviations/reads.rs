//! Deviations of listings, filters and lookups.
//!
//! A server that deviates in how it filters or pages has small pages and says so, so that a
//! handful of people takes several of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::Answer;
use super::super::routes::Call;
use crate::sandbox::deviation::Deviation;
use crate::sandbox::query::MAX_COUNT;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::schema::Kind;
use crate::sandbox::state::State;

/// The most resources on a page of a server that deviates in filters or paging.
const SMALL_PAGE: usize = 2;
/// What a cursor begins and ends with. It has to be percent-encoded in a query.
const CURSOR: (&str, &str) = ("page+", "/&=");
/// Those that say so.
const SMALL_PAGED: &[Deviation] = &[
    Deviation::IgnoresFilters,
    Deviation::NoFilters,
    Deviation::FiltersFindNothing,
    Deviation::FirstPageAgain,
    Deviation::IgnoresPaging,
    Deviation::WrongTotals,
    Deviation::CursorPaging,
];

/// See [`super::refuse`].
pub(super) fn refuse(
    deviations: &BTreeSet<Deviation>,
    call: &mut Call<'_>,
    state: &State,
) -> Option<Answer> {
    if call.method != "GET" || call.is_operators() {
        return None;
    }
    let has = |deviation| deviations.contains(&deviation);
    let Some(kind) = listed_kind(call) else {
        let hidden = has(Deviation::HidesInactive) && is_inactive_user(call, state);
        return hidden.then(|| Refusal::plain(404, "there is no such User").into());
    };
    let mut asked = Asked::read(call.query_taken());
    let filtered = asked.get("filter").is_some();
    if filtered && has(Deviation::NoFilters) {
        let refusal = Refusal::bad("invalidFilter", "filters are not supported");
        return Some(refusal.into());
    }
    if filtered && has(Deviation::IgnoresFilters) {
        asked.remove("filter");
        asked.set("count", &MAX_COUNT.to_string());
    }
    if has(Deviation::HidesInactive) && kind == Kind::User {
        let visible = match asked.get("filter") {
            Some(filter) => format!("({filter}) and not (active eq false)"),
            None => "not (active eq false)".to_owned(),
        };
        asked.set("filter", &visible);
    }
    if has(Deviation::CursorPaging) {
        let start = match asked.get("cursor") {
            None | Some("") => "1".to_owned(),
            Some(cursor) => match read_cursor(cursor) {
                Some(start) => start.to_string(),
                None => return Some(Refusal::bad("invalidCursor", "no such cursor").into()),
            },
        };
        asked.set("startIndex", &start);
    }
    if has(Deviation::FirstPageAgain) {
        let size = state.all().filter(|each| each.kind == kind).count();
        if asked.number("startIndex") > Some(size) {
            asked.set("startIndex", "1");
        }
    }
    if has(Deviation::IgnoresPaging) {
        asked.remove("startIndex");
        asked.set("count", &MAX_COUNT.to_string());
    } else if !filtered && has_small_pages(deviations) {
        let count = asked.number("count").unwrap_or(SMALL_PAGE).min(SMALL_PAGE);
        asked.set("count", &count.to_string());
    }
    call.misread = Some(asked.write());
    None
}

/// See [`super::distort`].
pub(super) fn distort(
    deviations: &BTreeSet<Deviation>,
    call: &Call<'_>,
    answer: &mut Answer,
    _state: &State,
) {
    let has = |deviation| deviations.contains(&deviation);
    let Some(body) = answer.body.as_mut().filter(|_| answer.status < 300) else {
        return;
    };
    if call.is_operators() {
        return;
    }
    if call.path == "/ServiceProviderConfig" {
        announce(deviations, body);
    }
    if has(Deviation::HidesMembers) && call.path.starts_with("/Groups") {
        hide_members(body);
    }
    if call.method != "GET" || listed_kind(call).is_none() {
        return;
    }
    let asked = Asked::read(call.query.unwrap_or_default());
    if has(Deviation::FiltersFindNothing) && asked.get("filter").is_some() {
        body["totalResults"] = json!(0);
        body["itemsPerPage"] = json!(0);
        body["Resources"] = json!([]);
    }
    let total = body["totalResults"].as_u64().unwrap_or_default();
    if has(Deviation::WrongTotals) {
        body["totalResults"] = json!(total + 1);
    }
    if has(Deviation::FirstPageAgain)
        && let Some(start) = asked.number("startIndex")
    {
        body["startIndex"] = json!(start);
    }
    if has(Deviation::CursorPaging) {
        let start = body["startIndex"].as_u64().unwrap_or(1);
        let next = start + body["itemsPerPage"].as_u64().unwrap_or_default();
        if next <= total {
            let (before, after) = CURSOR;
            body["nextCursor"] = json!(format!("{before}{next}{after}"));
        }
        if let Some(body) = body.as_object_mut() {
            body.remove("startIndex");
        }
    }
}

/// What is listed, if the whole of an endpoint is asked for.
fn listed_kind(call: &Call<'_>) -> Option<Kind> {
    let kinds = [Kind::User, Kind::Group];
    kinds
        .into_iter()
        .find(|kind| call.path.strip_prefix('/') == Some(kind.endpoint()))
}

fn is_inactive_user(call: &Call<'_>, state: &State) -> bool {
    let user = call
        .path
        .strip_prefix("/Users/")
        .and_then(|id| state.get(Kind::User, id).ok());
    user.is_some_and(|user| user.attributes.get("active") == Some(&Value::Bool(false)))
}

fn has_small_pages(deviations: &BTreeSet<Deviation>) -> bool {
    SMALL_PAGED.iter().any(|each| deviations.contains(each))
}

/// What the server says of itself: its small pages, and RFC 9865 §3.
fn announce(deviations: &BTreeSet<Deviation>, body: &mut Value) {
    if has_small_pages(deviations) {
        body["filter"]["maxResults"] = json!(SMALL_PAGE);
    }
    if deviations.contains(&Deviation::CursorPaging) {
        body["pagination"] = json!({
            "cursor": true,
            "index": false,
            "defaultPaginationMethod": "cursor",
            "defaultPageSize": SMALL_PAGE,
            "maxPageSize": SMALL_PAGE,
        });
    }
}

/// Of one group, or of all that are listed.
fn hide_members(body: &mut Value) {
    if let Some(group) = body.as_object_mut() {
        group.remove("members");
    }
    let listed = body.get_mut("Resources").and_then(Value::as_array_mut);
    for group in listed.into_iter().flatten() {
        hide_members(group);
    }
}

fn read_cursor(cursor: &str) -> Option<usize> {
    let (before, after) = CURSOR;
    let start = cursor.strip_prefix(before)?.strip_suffix(after)?;
    start.parse().ok()
}

/// A query's names and values.
struct Asked(Vec<(String, String)>);

impl Asked {
    fn read(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        all.find(|(each, _)| each == name)
            .map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(each, _)| each != name);
    }

    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn write(&self) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(&self.0).finish()
    }
}
