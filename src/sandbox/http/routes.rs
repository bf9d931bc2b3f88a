//! What each request means: the endpoints and methods of RFC 7644 §3.
//!
//! Answers are made against a state that does not change meanwhile; changes are returned,
//! applied by the caller, and the answer's body is completed from the state after them.

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use serde_json::Value;
use url::form_urlencoded;
use uuid::Uuid;

use super::{Answer, ROOT};
use crate::sandbox::query::Query;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::schema::Kind;
use crate::sandbox::state::{Change, Resource, State, location};
use crate::sandbox::{discovery, patch, validate};

/// The header by which who runs the server is known, with any value.
const OPERATOR: &str = "x-sandbox-operator";

/// A request, read.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    /// The path below the base URL, as it was sent; whole when it is not below it.
    pub(super) path: &'a str,
    /// The query as it was sent.
    pub(super) query: Option<&'a str>,
    /// What a deviating server takes the query for.
    pub(super) misread: Option<String>,
    headers: &'a HeaderMap,
    /// JSON, nothing, or why it is neither.
    pub(super) body: Result<Option<Value>, Refusal>,
    /// The resource that the answer shows, once changes are applied.
    pub(super) shows: Option<(Kind, String)>,
}

impl<'a> Call<'a> {
    pub(super) fn read(request: &'a Request<()>, body: Result<Bytes, Refusal>) -> Self {
        let path = request.uri().path();
        Self {
            method: request.method().as_str(),
            path: below_root(path).unwrap_or(path),
            query: request.uri().query(),
            misread: None,
            headers: request.headers(),
            body: body.and_then(|body| read_body(request.headers(), &body)),
            shows: None,
        }
    }

    /// Whether it comes from who runs the server: they see what is there, whatever the server
    /// shows to its clients.
    pub(super) fn is_operators(&self) -> bool {
        self.headers.contains_key(OPERATOR)
    }

    /// The query as it is understood.
    pub(super) fn query_taken(&self) -> &str {
        self.misread.as_deref().or(self.query).unwrap_or_default()
    }

    /// Whether it would change something.
    pub(super) fn is_write(&self) -> bool {
        matches!(self.method, "POST" | "PUT" | "PATCH" | "DELETE")
            && !self.path.ends_with("/.search")
    }

    /// Whether a client asks for, or changes, one user or one group.
    pub(super) fn names_one(&self) -> bool {
        let endpoints = ["/Users/", "/Groups/"];
        let mut below = endpoints.iter().filter_map(|it| self.path.strip_prefix(it));
        !self.is_operators() && below.any(|id| !id.is_empty() && id != ".search")
    }

    /// The body for the log, without passwords.
    pub(super) fn body_for_log(&self) -> Value {
        let mut body = match &self.body {
            Ok(Some(body)) => body.clone(),
            _ => Value::Null,
        };
        hide_passwords(&mut body);
        body
    }

    /// Finds the answer. Bodies of single resources are filled in by [`Call::complete`].
    pub(super) fn answer(
        &mut self,
        state: &State,
        base: &str,
        seed: u64,
        now: DateTime<Utc>,
    ) -> Answer {
        self.route(state, base, seed, now)
            .unwrap_or_else(Answer::from)
    }

    /// Fills in the resource that the answer shows, as it is now.
    pub(super) fn complete(&self, answer: &mut Answer, state: &State, base: &str) {
        let Some((kind, id)) = &self.shows else {
            return;
        };
        let shown = Query::from_url(self.query_taken())
            .and_then(|query| Ok((query, state.get(*kind, id)?)));
        match shown {
            Ok((query, resource)) => {
                answer.body = Some(query.project(state.render(resource, base)));
                answer.headers.push((header::ETAG, resource.etag()));
                if answer.status == 201 {
                    let location = location(resource, base);
                    answer.headers.push((header::LOCATION, location));
                }
            }
            Err(refusal) => *answer = refusal.into(),
        }
    }

    fn route(
        &mut self,
        state: &State,
        base: &str,
        seed: u64,
        now: DateTime<Utc>,
    ) -> Result<Answer, Refusal> {
        let not_found = || Refusal::plain(404, "there is no such endpoint");
        if !self.path.starts_with('/') || self.path.starts_with(ROOT) {
            return Err(not_found());
        }
        let segments: Vec<String> = self.path[1..].split('/').map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["ServiceProviderConfig"] => {
                self.only_get()?;
                Ok(Answer::new(200, discovery::service_provider_config(base)))
            }
            ["ResourceTypes", rest @ ..] if rest.len() < 2 => {
                self.only_get()?;
                let id = rest.first().copied();
                discovery::resource_types(base, id).map(|body| Answer::new(200, body))
            }
            ["Schemas", rest @ ..] if rest.len() < 2 => {
                self.only_get()?;
                let id = rest.first().copied();
                discovery::schemas(base, id).map(|body| Answer::new(200, body))
            }
            ["Me", ..] => Err(Refusal::plain(501, "/Me is not supported")),
            ["Bulk"] => Err(Refusal::plain(501, "/Bulk is not supported")),
            [".search"] => self.search(state, &[Kind::User, Kind::Group], base),
            ["Users", rest @ ..] => self.resources(Kind::User, rest, state, base, seed, now),
            ["Groups", rest @ ..] => self.resources(Kind::Group, rest, state, base, seed, now),
            _ => Err(not_found()),
        }
    }

    fn resources(
        &mut self,
        kind: Kind,
        rest: &[&str],
        state: &State,
        base: &str,
        seed: u64,
        now: DateTime<Utc>,
    ) -> Result<Answer, Refusal> {
        match (self.method, rest) {
            (_, [".search"]) => self.search(state, &[kind], base),
            ("GET", []) => {
                let query = Query::from_url(self.query_taken())?;
                Ok(Answer::new(200, query.list(state, &[kind], base)))
            }
            ("POST", []) => {
                self.check_query()?;
                let attributes = validate::resource(kind, self.body()?)?;
                let id = new_id(state, seed);
                let change = state.create(kind, id.clone(), attributes, now)?;
                Ok(self.show(201, kind, &id, Some(change)))
            }
            ("GET", [id]) => {
                let resource = state.get(kind, id)?;
                if self.matches_tag(header::IF_NONE_MATCH, resource) == Some(true) {
                    let answer = Answer {
                        status: 304,
                        ..Answer::default()
                    };
                    return Ok(answer.with(header::ETAG, resource.etag()));
                }
                Ok(self.show(200, kind, id, None))
            }
            ("PUT", [id]) => {
                let resource = self.current(state, kind, id)?;
                let attributes = validate::resource(kind, self.body()?)?;
                let change = state.replace(resource, attributes, now)?;
                Ok(self.show(200, kind, id, change))
            }
            ("PATCH", [id]) => {
                let resource = self.current(state, kind, id)?;
                let attributes = patch::apply(kind, &resource.attributes, self.body()?)?;
                let change = state.replace(resource, attributes, now)?;
                Ok(self.show(200, kind, id, change))
            }
            ("DELETE", [id]) => {
                let resource = self.current(state, kind, id)?;
                Ok(Answer {
                    status: 204,
                    changes: vec![Change::Delete {
                        order: resource.order,
                        at: now,
                    }],
                    ..Answer::default()
                })
            }
            (method, []) => Err(Refusal::wrong_method(method, "GET, POST")),
            (method, [_]) => Err(Refusal::wrong_method(method, "GET, PUT, PATCH, DELETE")),
            _ => Err(Refusal::plain(404, "there is no such endpoint")),
        }
    }

    fn search(&self, state: &State, kinds: &[Kind], base: &str) -> Result<Answer, Refusal> {
        if self.method != "POST" {
            return Err(Refusal::wrong_method(self.method, "POST"));
        }
        let query = Query::from_body(self.body()?)?;
        Ok(Answer::new(200, query.list(state, kinds, base)))
    }

    /// The resource to be changed, if the client's `If-Match` allows it.
    fn current<'s>(&self, state: &'s State, kind: Kind, id: &str) -> Result<&'s Resource, Refusal> {
        self.check_query()?;
        let resource = state.get(kind, id)?;
        match self.matches_tag(header::IF_MATCH, resource) {
            Some(false) => Err(Refusal::plain(
                412,
                format!("it has changed; its version is {}", resource.etag()),
            )),
            _ => Ok(resource),
        }
    }

    /// Refuses a bad query before anything is changed.
    fn check_query(&self) -> Result<(), Refusal> {
        Query::from_url(self.query_taken()).map(|_| ())
    }

    fn show(&mut self, status: u16, kind: Kind, id: &str, change: Option<Change>) -> Answer {
        self.shows = Some((kind, id.to_owned()));
        Answer {
            status,
            changes: change.into_iter().collect(),
            ..Answer::default()
        }
    }

    fn body(&self) -> Result<&Value, Refusal> {
        match &self.body {
            Ok(Some(body)) => Ok(body),
            Ok(None) => Err(Refusal::bad("invalidSyntax", "the body is missing")),
            Err(refusal) => Err(refusal.clone()),
        }
    }

    fn only_get(&self) -> Result<(), Refusal> {
        match self.method {
            "GET" => Ok(()),
            method => Err(Refusal::wrong_method(method, "GET")),
        }
    }

    /// Whether a header of entity tags names this version; weakly compared (RFC 9110 §8.8.3.2).
    fn matches_tag(&self, name: header::HeaderName, resource: &Resource) -> Option<bool> {
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let tags = self.headers.get(name)?.to_str().ok()?;
        let version = strong(&resource.etag());
        Some(tags.trim() == "*" || tags.split(',').any(|tag| strong(tag) == version))
    }
}

fn below_root(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT).filter(|rest| rest.starts_with('/'))
}

fn read_body(headers: &HeaderMap, body: &[u8]) -> Result<Option<Value>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    match kind.as_deref() {
        Some("application/scim+json" | "application/json") => {}
        _ => return Err(Refusal::plain(415, "send application/scim+json")),
    }
    serde_json::from_slice(body)
        .map(Some)
        .map_err(|error| Refusal::bad("invalidSyntax", format!("the body is not JSON: {error}")))
}

/// Undoes percent-encoding. A `+` is a plus sign in a path, unlike in a form.
fn decode(segment: &str) -> String {
    let escaped = segment
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

/// An id that is free, random or of the seed.
fn new_id(state: &State, seed: u64) -> String {
    if seed == 0 {
        return Uuid::new_v4().to_string();
    }
    let mut random = fastrand::Rng::with_seed(seed ^ state.next_order().wrapping_mul(0x9e37_79b9));
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

fn hide_passwords(json: &mut Value) {
    match json {
        Value::Array(elements) => elements.iter_mut().for_each(hide_passwords),
        Value::Object(fields) => {
            let is_password = |text: &str| {
                text.get(text.len().saturating_sub(8)..)
                    .is_some_and(|end| end.eq_ignore_ascii_case("password"))
            };
            let by_path = fields
                .get("path")
                .and_then(Value::as_str)
                .is_some_and(is_password);
            for (name, value) in fields {
                if is_password(name) || (by_path && name.eq_ignore_ascii_case("value")) {
                    *value = Value::from("(hidden)");
                } else {
                    hide_passwords(value);
                }
            }
        }
        _ => {}
    }
}
