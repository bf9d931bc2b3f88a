//! One target's HTTP client: the calls that there are, and what their answers must hold.
//!
//! How a call is sent, paced and repeated is in `exchange` and `pacing`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use provisor_connectors::Kind;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::auth::Auth;
use super::connect::build_http;
use super::dialect::Dialect;
use super::endpoint::{collection, collection_url, resource_url, shown_resource};
use super::error::TargetError;
use super::exchange::{ATTEMPTS, Call, Verb};
use super::pacing::Pacing;
use super::write::is_same;
use crate::scim::message::{Capabilities, read_capabilities};
use crate::scim::resource::{Listed, ResourceId, read_listed};

/// Everything needed to reach one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The SCIM base URL, without a trailing slash.
    pub base_url: Url,
    /// How to sign.
    pub auth: Auth,
    /// One request's time-out, connecting included.
    pub timeout: Duration,
    /// A CA of one's own, PEM; trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// A client certificate with its key, PEM in one file that only its owner can read.
    pub client_certificate: Option<PathBuf>,
    /// An HTTP proxy. Without one the environment's (`HTTPS_PROXY`) is used, but never to
    /// reach loopback.
    pub proxy: Option<Url>,
    /// Plain http to another host than loopback.
    pub allow_plaintext: bool,
    /// How fast.
    pub pace: Pace,
}

/// How fast a target may be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Requests a second, over all connections; `None` is unlimited.
    pub requests_per_second: Option<f64>,
    /// Requests at the same time; at least one.
    pub concurrency: usize,
}

impl Eq for Pace {}

/// What a successful write came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The method: which form of a change it was.
    pub method: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The resource in the answer, where there was one.
    pub resource: Option<Listed>,
    /// The request id we sent (`X-Request-Id`), for the audit log. All attempts of one call
    /// carry the same.
    pub request_id: String,
}

/// A client for one target. Cheap to clone; clones share pace and counters.
#[derive(Clone)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
    /// Back-off delays are multiplied by this.
    pub(super) delay_factor: f64,
}

/// What clones share.
pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    pub(super) connection: Connection,
    pub(super) pacing: Pacing,
    pub(super) requests: AtomicU64,
    pub(super) writes: AtomicU64,
    /// What the target's answers have taught of its ways.
    pub(super) dialect: Mutex<Dialect>,
    /// By how much the server's clock was ahead of ours at its last answer with a Date.
    clock_skew: Mutex<Option<TimeDelta>>,
    /// The version of HTTP in which the server last answered.
    version: Mutex<Option<reqwest::Version>>,
}

impl Inner {
    /// Notes the Date of an answer, and when it came by our own clock.
    pub(super) fn note_server_clock(&self, date: DateTime<Utc>, received: DateTime<Utc>) {
        *self
            .clock_skew
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(date - received);
    }

    /// Whether the server ever answered.
    pub(super) fn has_answered(&self) -> bool {
        self.version
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Notes in which version of HTTP an answer came.
    pub(super) fn note_version(&self, version: reqwest::Version) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
    }
}

impl Client {
    /// Builds the client: reads certificates, refuses plain http beyond loopback.
    ///
    /// # Errors
    ///
    /// [`TargetError::Configuration`], or [`TargetError::Secret`] when others can read the
    /// client certificate's key. Nothing is sent, and the target's secret is not read yet.
    pub fn new(connection: Connection) -> Result<Self, TargetError> {
        let http = build_http(&connection)?;
        let pacing = Pacing::new(connection.pace)?;
        let inner = Inner {
            http,
            connection,
            pacing,
            requests: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            dialect: Mutex::new(Dialect::default()),
            clock_skew: Mutex::new(None),
            version: Mutex::new(None),
        };
        Ok(Self {
            inner: Arc::new(inner),
            delay_factor: 1.0,
        })
    }

    /// The same client with its back-off delays multiplied by `factor`, for tests against a
    /// server that fails on purpose. What a server asks for with Retry-After stays.
    #[must_use]
    pub fn with_delay_factor(mut self, factor: f64) -> Self {
        self.delay_factor = factor.clamp(0.0, 1.0);
        self
    }

    /// `GET /ServiceProviderConfig`. A 404 or an unreadable answer is an empty hint; 401,
    /// 403, a busy and an unreachable server are errors.
    pub async fn discover(&self) -> Result<Capabilities, TargetError> {
        let call = self.call(Verb::Get, "/ServiceProviderConfig", &[], None)?;
        match self.exchange(&call).await {
            Ok(answer) => Ok(answer
                .json()
                .map_or_else(Capabilities::default, |json| read_capabilities(&json))),
            Err(TargetError::Refused { status, .. })
                if !matches!(status, 401 | 403 | 429 | 502 | 503 | 504) =>
            {
                Ok(Capabilities::default())
            }
            Err(TargetError::Unusable { .. }) => Ok(Capabilities::default()),
            Err(error) => Err(error),
        }
    }

    /// `GET /Users/{id}`; `None` on 404. An answer that holds another resource than the one
    /// asked for is [`TargetError::Unusable`].
    pub async fn get(&self, kind: Kind, id: &ResourceId) -> Result<Option<Listed>, TargetError> {
        let found = self.get_with_tag(kind, id).await?;
        Ok(found.map(|(resource, _)| resource))
    }

    /// As [`Client::get`], with the answer's ETag (RFC 7644 §3.14).
    pub(super) async fn get_with_tag(
        &self,
        kind: Kind,
        id: &ResourceId,
    ) -> Result<Option<(Listed, Option<String>)>, TargetError> {
        let call = self.resource_call(Verb::Get, kind, id, None)?;
        let answer = match self.exchange(&call).await {
            Ok(answer) => answer,
            Err(TargetError::Refused {
                status: 404 | 410, ..
            }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let resource = answer
            .json()
            .and_then(read_listed)
            .ok_or_else(|| call.unusable("the answer is not a resource with an `id`"))?;
        if is_same(&resource.id, id) {
            Ok(Some((resource, answer.etag)))
        } else {
            Err(call.unusable("the answer is another resource than the one asked for"))
        }
    }

    /// POST. Retried only on answers that prove that nothing happened (429, 503 with
    /// Retry-After, connection refused). An answer without an `id` is [`TargetError::Unusable`].
    pub async fn create(&self, kind: Kind, body: &Value) -> Result<Sent, TargetError> {
        let call = self.call(Verb::Post, collection(kind), &[], Some(body))?;
        let answer = self.exchange(&call).await?;
        let resource = answer.json().and_then(read_listed).ok_or_else(|| {
            call.unusable(format!(
                "{} without a resource that has an `id`",
                answer.status
            ))
        })?;
        Ok(sent(call, answer.status, Some(resource)))
    }

    /// PATCH or PUT, as it is. Repeatable, so also retried after lost answers and 5xx, unless
    /// it may be sent `once` only. With a `tag`, only if the resource is still that version.
    pub(super) async fn write(
        &self,
        verb: Verb,
        kind: Kind,
        id: &ResourceId,
        body: &Value,
        tag: Option<String>,
        once: bool,
    ) -> Result<Sent, TargetError> {
        let mut call = self.resource_call(verb, kind, id, Some(body))?;
        call.if_match = tag;
        call.repeatable = !once;
        let answer = self.exchange(&call).await?;
        let resource = answer.json().and_then(read_listed);
        Ok(sent(call, answer.status, resource))
    }

    /// DELETE; 404 is success.
    pub async fn delete(&self, kind: Kind, id: &ResourceId) -> Result<Sent, TargetError> {
        let call = self.resource_call(Verb::Delete, kind, id, None)?;
        match self.exchange(&call).await {
            Ok(answer) => Ok(sent(call, answer.status, None)),
            Err(TargetError::Refused {
                status: status @ (404 | 410),
                ..
            }) => Ok(sent(call, status, None)),
            Err(error) => Err(error),
        }
    }

    /// By how much the server's clock is ahead of ours (behind: below zero), from the Date
    /// header (RFC 9110 §6.6.1) of its last answer that had one. Whole seconds and the way of
    /// an answer are in it; `None` before there was any.
    pub fn clock_skew(&self) -> Option<TimeDelta> {
        *self
            .inner
            .clock_skew
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What was negotiated with the server: `HTTP/2 over TLS`. The version is that of the
    /// last answer; `None` before there was any.
    pub fn protocol(&self) -> Option<String> {
        let version = (*self
            .inner
            .version
            .lock()
            .unwrap_or_else(PoisonError::into_inner))?;
        let version = match version {
            reqwest::Version::HTTP_2 => "HTTP/2".to_owned(),
            other => format!("{other:?}"),
        };
        Some(match self.inner.connection.base_url.scheme() {
            "https" => format!("{version} over TLS"),
            _ => format!("{version}, not encrypted"),
        })
    }

    /// How many requests may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.inner.pacing.concurrency()
    }

    /// How many requests were sent, retries and redirects included.
    pub fn requests(&self) -> u64 {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// How many writes were seen to be answered with 2xx.
    pub fn writes(&self) -> u64 {
        self.inner.writes.load(Ordering::Relaxed)
    }

    /// A call to `path` below the base, with a query.
    pub(super) fn call<'a>(
        &self,
        verb: Verb,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&'a Value>,
    ) -> Result<Call<'a>, TargetError> {
        let url = collection_url(&self.inner.connection.base_url, path, query);
        Ok(Call {
            verb,
            path: path.to_owned(),
            url: url.ok_or_else(|| TargetError::Configuration {
                problem: "the base_url cannot be extended by a path".to_owned(),
                source: None,
            })?,
            body,
            if_match: None,
            repeatable: verb != Verb::Post,
            attempts: ATTEMPTS,
            request_id: new_request_id(),
        })
    }

    fn resource_call<'a>(
        &self,
        verb: Verb,
        kind: Kind,
        id: &ResourceId,
        body: Option<&'a Value>,
    ) -> Result<Call<'a>, TargetError> {
        let base = &self.inner.connection.base_url;
        Ok(Call {
            verb,
            path: shown_resource(kind),
            url: resource_url(base, verb.name(), kind, id)?,
            body,
            if_match: None,
            repeatable: verb != Verb::Post,
            attempts: ATTEMPTS,
            request_id: new_request_id(),
        })
    }
}

fn new_request_id() -> String {
    Uuid::now_v7().to_string()
}

fn sent(call: Call<'_>, status: u16, resource: Option<Listed>) -> Sent {
    Sent {
        method: call.verb.name(),
        status,
        resource,
        request_id: call.request_id,
    }
}

#[cfg(test)]
mod tests;
