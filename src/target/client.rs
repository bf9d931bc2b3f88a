//! One target's HTTP client: signing, pacing, retries, bounds.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use provisor_connectors::Kind;
use serde_json::Value;
use url::Url;

use super::auth::Auth;
use super::error::TargetError;
use crate::scim::message::Capabilities;
use crate::scim::resource::{Listed, ResourceId};

/// Everything needed to reach one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The SCIM base URL, without a trailing slash.
    pub base_url: Url,
    /// How to sign.
    pub auth: Auth,
    /// One request's time-out, connecting included.
    pub timeout: Duration,
    /// A CA of one's own, PEM.
    pub ca_file: Option<PathBuf>,
    /// A client certificate with its key, PEM in one file.
    pub client_certificate: Option<PathBuf>,
    /// An HTTP proxy.
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
    /// Requests at the same time.
    pub concurrency: usize,
}

impl Eq for Pace {}

/// What a successful write came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The HTTP status.
    pub status: u16,
    /// The resource in the answer, where there was one.
    pub resource: Option<Listed>,
    /// The request id we sent (`X-Request-Id`), for the audit log.
    pub request_id: String,
}

/// A client for one target. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    _private: (),
}

impl Client {
    /// Builds the client: reads certificates, refuses plain http beyond loopback.
    pub fn new(_connection: Connection) -> Result<Self, TargetError> {
        unimplemented!()
    }

    /// `GET /ServiceProviderConfig`. A 404 or an unreadable answer is an empty hint; 401,
    /// 403 and an unreachable server are errors.
    pub async fn discover(&self) -> Result<Capabilities, TargetError> {
        unimplemented!()
    }

    /// `GET /Users/{id}`; `None` on 404.
    pub async fn get(&self, _kind: Kind, _id: &ResourceId) -> Result<Option<Listed>, TargetError> {
        unimplemented!()
    }

    /// POST. Retried only on answers that prove that nothing happened (429, 503 with
    /// Retry-After, connection refused). An answer without an `id` is [`TargetError::Unusable`].
    pub async fn create(&self, _kind: Kind, _body: &Value) -> Result<Sent, TargetError> {
        unimplemented!()
    }

    /// PATCH. Repeatable, so also retried after lost answers and 5xx.
    pub async fn patch(
        &self,
        _kind: Kind,
        _id: &ResourceId,
        _body: &Value,
    ) -> Result<Sent, TargetError> {
        unimplemented!()
    }

    /// DELETE; 404 is success.
    pub async fn delete(&self, _kind: Kind, _id: &ResourceId) -> Result<Sent, TargetError> {
        unimplemented!()
    }

    /// The largest difference seen between a server's Date header and our clock, in seconds.
    pub fn clock_skew(&self, _now: DateTime<Utc>) -> Option<i64> {
        unimplemented!()
    }

    /// How many requests may be under way at once.
    pub fn concurrency(&self) -> usize {
        unimplemented!()
    }
}
