//! One call: its attempts, redirects, retries, and what the last answer means.
//!
//! What may be repeated (DESIGN §10): everything but a create after any failure that may
//! pass; a create, and what else says so, only when it is certain that nothing happened. Must not know what a body
//! means.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, DATE, ETAG, HeaderMap, IF_MATCH, LOCATION, RETRY_AFTER,
};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep};
use url::Url;

use super::answer::{
    Answer, BodyError, ERROR_LIMIT, RESOURCE_LIMIT, explain, is_web_page, read_body, shorten,
};
use super::client::Client;
use super::error::TargetError;
use super::pacing::Closed;
use crate::scim::message::{ErrorBody, read_error};
use provisor_connectors::retry::{LONGEST_WAIT, backoff, read_retry_after};

/// How often a call is tried in all.
pub(super) const ATTEMPTS: u32 = 5;
/// How many redirects one attempt follows.
const MOST_REDIRECTS: u32 = 5;

/// The methods that provisor sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
        }
    }

    fn method(self) -> Method {
        match self {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        }
    }
}

/// What to send.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) verb: Verb,
    /// The endpoint as messages show it.
    pub(super) path: String,
    pub(super) url: Url,
    pub(super) body: Option<&'a Value>,
    /// The version that it is about (`If-Match`, RFC 7644 §3.14).
    pub(super) if_match: Option<String>,
    /// Whether it may be sent again when it may have happened.
    pub(super) repeatable: bool,
    /// How often it is tried in all.
    pub(super) attempts: u32,
    /// One for all attempts, so that a server's log shows them as one call.
    pub(super) request_id: String,
}

impl Call<'_> {
    /// An answer that cannot be used.
    pub(super) fn unusable(&self, problem: impl Into<String>) -> TargetError {
        TargetError::Unusable {
            method: self.verb.name(),
            path: self.path.clone(),
            problem: problem.into(),
        }
    }

    fn refused(&self, status: u16, body: ErrorBody, retry_after: Option<Duration>) -> TargetError {
        TargetError::Refused {
            method: self.verb.name(),
            path: self.path.clone(),
            status,
            scim_type: body.scim_type.as_deref().map(shorten),
            detail: body.detail.as_deref().map(shorten),
            retry_after,
        }
    }
}

/// A failed attempt, and whether another one makes sense.
struct Failure {
    error: TargetError,
    again: Again,
}

enum Again {
    Never,
    After(Duration),
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self {
            error,
            again: Again::Never,
        }
    }
}

impl Client {
    /// Sends a call until it is answered with 2xx, or until trying again makes no sense.
    pub(super) async fn exchange(&self, call: &Call<'_>) -> Result<Answer, TargetError> {
        let mut signed_again = false;
        let mut number = 1;
        loop {
            let failure = match self.attempt(call, number).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            // The secret may have been rotated: each attempt reads it anew, so one more
            // attempt is one more reading.
            if failure.error.status() == Some(401) && !signed_again {
                signed_again = true;
                continue;
            }
            match failure.again {
                Again::After(wait) if number < call.attempts => sleep(wait).await,
                _ => return Err(failure.error),
            }
            number += 1;
        }
    }

    async fn attempt(&self, call: &Call<'_>, number: u32) -> Result<Answer, Failure> {
        let mut url = call.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let (response, permit) = self.send(call, &url, number).await?;
            match self.redirected(call, &response)? {
                Some(next) => url = next,
                None => {
                    let answer = self.conclude(call, response, number).await;
                    drop(permit);
                    return answer;
                }
            }
        }
        Err(call
            .unusable(format!("redirects more than {MOST_REDIRECTS} times"))
            .into())
    }

    /// Waits for a turn, signs and sends.
    async fn send(
        &self,
        call: &Call<'_>,
        url: &Url,
        number: u32,
    ) -> Result<(Response, SemaphorePermit<'_>), Failure> {
        let inner = &*self.inner;
        let permit = inner.pacing.admit().await.map_err(|closed: Closed| {
            let remaining = closed.remaining();
            let body = ErrorBody {
                scim_type: None,
                detail: Some(format!(
                    "the server asked not to be called for another {} s",
                    remaining.as_secs()
                )),
            };
            Failure::from(call.refused(closed.status, body, Some(remaining)))
        })?;
        let (name, value) = inner.connection.auth.header().map_err(TargetError::from)?;
        let mut request = inner
            .http
            .request(call.verb.method(), url.clone())
            .header(ACCEPT, "application/scim+json, application/json;q=0.9")
            .header("X-Request-Id", &call.request_id)
            .header(name, value);
        if let Some(tag) = &call.if_match {
            request = request.header(IF_MATCH, tag);
        }
        if let Some(body) = call.body {
            request = request
                .header(CONTENT_TYPE, "application/scim+json")
                .json(body);
        }
        inner.requests.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        let result = request.send().await;
        tracing::debug!(
            method = call.verb.name(),
            path = call.path,
            request_id = call.request_id,
            attempt = number,
            status = result
                .as_ref()
                .ok()
                .map(|response| response.status().as_u16()),
            http = result
                .as_ref()
                .ok()
                .map(|response| tracing::field::debug(response.version())),
            milliseconds = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX),
            "sent a request"
        );
        match result {
            Ok(response) => {
                self.note_server_clock(response.headers());
                inner.note_version(response.version());
                Ok((response, permit))
            }
            Err(error) => Err(self.broken(call, error, number)),
        }
    }

    /// Where a redirect leads; `None` when the answer is none. Only to the configured
    /// origin, because every request carries the token; and a write only where the method
    /// stays (307, 308; RFC 9110 §15.4), because elsewhere it would turn into a GET.
    fn redirected(&self, call: &Call<'_>, response: &Response) -> Result<Option<Url>, TargetError> {
        let status = response.status().as_u16();
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let next = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| response.url().join(location).ok())
            .ok_or_else(|| call.unusable(format!("{status} does not say where to")))?;
        let base = &self.inner.connection.base_url;
        if next.origin() != base.origin() {
            return Err(call.unusable(format!(
                "redirects to another host ({}), which is not given the token; \
                 set base_url to where the app is",
                next.origin().ascii_serialization()
            )));
        }
        if call.verb != Verb::Get && !matches!(status, 307 | 308) {
            return Err(call.unusable(format!(
                "answers a write with the redirect {status}, which would lose it; \
                 set base_url to where the app is"
            )));
        }
        Ok(Some(next))
    }

    async fn conclude(
        &self,
        call: &Call<'_>,
        mut response: Response,
        number: u32,
    ) -> Result<Answer, Failure> {
        let status = response.status().as_u16();
        if !response.status().is_success() {
            return Err(self.refusal(call, response, number).await);
        }
        if call.verb != Verb::Get {
            self.inner.writes.fetch_add(1, Ordering::Relaxed);
        }
        if status != 204 && is_web_page(&response) {
            return Err(call
                .unusable("answered with a web page, not with SCIM; is base_url right?")
                .into());
        }
        let etag = response.headers().get(ETAG);
        let etag = etag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let body = match read_body(&mut response, RESOURCE_LIMIT).await {
            Ok(body) => Some(body),
            // The status has said that the change or deletion is done.
            Err(_) if matches!(call.verb, Verb::Put | Verb::Patch | Verb::Delete) => None,
            Err(BodyError::TooLarge) => {
                let problem = format!("the answer is larger than {} MiB", RESOURCE_LIMIT >> 20);
                return Err(call.unusable(problem).into());
            }
            Err(BodyError::Broken(error)) => return Err(self.broken(call, error, number)),
        };
        Ok(Answer { status, body, etag })
    }

    /// An answer other than 2xx. 429, and 503 with Retry-After, close the gate for all.
    async fn refusal(&self, call: &Call<'_>, mut response: Response, number: u32) -> Failure {
        let status = response.status().as_u16();
        // Dates are counted from the server's own clock, where it tells it: ours may differ.
        let now = read_date(response.headers()).unwrap_or_else(Utc::now);
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| read_retry_after(text, now));
        let delay = self.delay(number);
        let again = match (status, retry_after) {
            (429, _) | (503, Some(_)) => {
                let wait = retry_after.unwrap_or_default().max(delay);
                self.inner.pacing.close(wait, status);
                if wait > LONGEST_WAIT {
                    Again::Never
                } else {
                    Again::After(wait)
                }
            }
            (500 | 502 | 503 | 504, _) if call.repeatable => Again::After(delay),
            _ => Again::Never,
        };
        let body = match read_body(&mut response, ERROR_LIMIT).await {
            Ok(body) => read_error(&body),
            // The status says enough.
            Err(_) => ErrorBody::default(),
        };
        Failure {
            error: call.refused(status, body, retry_after),
            again,
        }
    }

    /// No answer, or only a part of one.
    fn broken(&self, call: &Call<'_>, error: reqwest::Error, number: u32) -> Failure {
        let breakdown = explain(&error, &self.inner.connection, self.inner.has_answered());
        let repeatable = call.repeatable || !breakdown.in_doubt;
        Failure {
            again: if breakdown.transient && repeatable {
                Again::After(self.delay(number))
            } else {
                Again::Never
            },
            error: TargetError::Unreachable {
                method: call.verb.name(),
                path: call.path.clone(),
                problem: breakdown.problem,
                in_doubt: breakdown.in_doubt,
                // Its URL could show a userName.
                source: Some(error.without_url().into()),
            },
        }
    }

    pub(super) fn delay(&self, number: u32) -> Duration {
        backoff(number, fastrand::f64()).mul_f64(self.delay_factor)
    }

    fn note_server_clock(&self, headers: &HeaderMap) {
        if let Some(date) = read_date(headers) {
            self.inner.note_server_clock(date, Utc::now());
        }
    }
}

fn read_date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get(DATE)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok().map(DateTime::from)
}

#[cfg(test)]
mod tests;
