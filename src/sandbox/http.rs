//! From an HTTP request to its answer: faults, the token, the journal, the log of requests.
//!
//! Requests are handled one at a time under one lock, so the log's order is the order in
//! which they took effect; only the wait for the disk is shared. What a request means is in
//! `routes`.

mod deviations;
mod routes;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Extract};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::routes::Call;
use super::connection::Cut;
use super::deviation::Deviation;
use super::fault::Fault;
use super::journal::{Journal, Opened, Record};
use super::refusal::Refusal;
use super::state::{Change, State};
use super::trouble::{Fate, Trouble};

/// Where the API begins.
const ROOT: &str = "/scim/v2";
/// The largest body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// What all requests share.
pub(super) struct Shared {
    base: String,
    token: String,
    seed: u64,
    down: CancellationToken,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    trouble: Trouble,
    deviations: BTreeSet<Deviation>,
    requests: u64,
    /// `None` once the sandbox has stopped.
    journal: Option<Journal>,
}

/// An answer, before it is HTTP.
#[derive(Default)]
struct Answer {
    status: u16,
    headers: Vec<(HeaderName, String)>,
    body: Option<Value>,
    /// HTML in place of a body.
    page: Option<String>,
    changes: Vec<Change>,
}

impl Answer {
    fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Some(body),
            ..Self::default()
        }
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let answer = Answer::new(refusal.status, refusal.to_json());
        match refusal.allow {
            Some(methods) => answer.with(header::ALLOW, methods),
            None => answer,
        }
    }
}

/// The base URL at an address.
pub(super) fn base_url(address: SocketAddr) -> String {
    format!("http://{address}{ROOT}")
}

/// One handler for everything: unknown paths and methods are answered in SCIM's way too.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

impl Shared {
    pub(super) fn new(
        opened: Opened,
        address: SocketAddr,
        token: String,
        faults: Vec<Fault>,
        seed: u64,
        down: CancellationToken,
    ) -> Self {
        let trouble = Trouble::new(faults);
        Self {
            base: base_url(address),
            token,
            seed,
            down,
            inner: Mutex::new(Inner {
                state: opened.state,
                deviations: trouble.deviations(),
                trouble,
                requests: opened.requests,
                journal: Some(opened.journal),
            }),
        }
    }

    /// Takes the journal away, once; requests that still arrive are dropped.
    pub(super) fn take_journal(&self) -> Option<Journal> {
        self.lock().journal.take()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Changes are applied after everything that can fail, so a panic leaves no half state.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_authorised(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        // In constant time: how long it takes must not tell how much was right.
        given.is_some_and(|(_, token)| {
            aws_lc_rs::constant_time::verify_slices_are_equal(
                token.trim().as_bytes(),
                self.token.as_bytes(),
            )
            .is_ok()
        })
    }

    /// Handles one request up to the journal's queue. `None`: the connection is dropped.
    fn take(&self, request: &Request<()>, body: Result<Bytes, Refusal>) -> Option<Taken> {
        let now = Utc::now();
        let mut inner = self.lock();
        let inner = &mut *inner;
        let journal = inner.journal.as_ref()?;
        let mut call = Call::read(request, body);
        let logged = call.body_for_log();
        let mut answer = match inner.trouble.meet(call.method, call.names_one(), now) {
            Fate::Dropped => return None,
            Fate::Refused {
                refusal,
                retry_after,
            } => retry_after
                .into_iter()
                .fold(Answer::from(refusal), |answer, value| {
                    answer.with(header::RETRY_AFTER, value)
                }),
            Fate::Served if !self.is_authorised(request.headers()) => {
                Answer::from(Refusal::plain(401, "the bearer token is missing or wrong"))
                    .with(header::WWW_AUTHENTICATE, "Bearer realm=\"sandbox\"")
            }
            Fate::Served => deviations::refuse(&inner.deviations, &mut call, &inner.state)
                .unwrap_or_else(|| call.answer(&inner.state, &self.base, self.seed, now)),
        };
        deviations::alter(&inner.deviations, &mut call, &mut answer, &inner.state);
        let wrote = call.is_write() && (200..300).contains(&answer.status);
        let answered = !(wrote && inner.trouble.loses_answer(call.method));
        let changes = std::mem::take(&mut answer.changes);
        for change in &changes {
            inner.state.apply(change.clone());
        }
        call.complete(&mut answer, &inner.state, &self.base);
        deviations::distort(&inner.deviations, &call, &mut answer, &inner.state);
        if let Some(date) = inner.trouble.wrong_date(now) {
            answer = answer.with(header::DATE, date);
        }
        inner.requests += 1;
        let line = json!({
            "seq": inner.requests,
            "method": call.method,
            "path": call.path,
            "query": call.query,
            "body": logged,
            "status": answer.status,
            "answered": answered,
        });
        let (written, heard) = oneshot::channel();
        journal.append(Record {
            changes,
            request: line.to_string(),
            written,
        });
        if inner.trouble.is_down() {
            self.down.cancel();
        }
        Some(Taken {
            answer,
            answered,
            heard,
        })
    }
}

/// A request that was handled and is being written.
struct Taken {
    answer: Answer,
    answered: bool,
    heard: oneshot::Receiver<io::Result<()>>,
}

async fn handle(
    Extract(shared): Extract<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| Refusal::plain(413, format!("a body may have at most {BODY_LIMIT} bytes")));
    let delay = shared.lock().trouble.delay();
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    let Some(taken) = shared.take(&Request::from_parts(parts, ()), body) else {
        cut.cut();
        return Response::new(Body::empty());
    };
    let answer = match taken.heard.await {
        Ok(Ok(())) => taken.answer,
        Ok(Err(error)) => {
            tracing::error!(%error, "the sandbox cannot write its files");
            Refusal::plain(500, "the sandbox cannot write its files; see its log").into()
        }
        // The writing thread is gone: what became of the request cannot be said.
        Err(_) => {
            cut.cut();
            return Response::new(Body::empty());
        }
    };
    if !taken.answered {
        cut.cut();
    }
    into_response(answer)
}

fn into_response(answer: Answer) -> Response {
    let kind = match &answer.page {
        Some(_) => HeaderValue::from_static("text/html; charset=utf-8"),
        None => HeaderValue::from_static("application/scim+json"),
    };
    let body = answer.body.map(|body| body.to_string());
    let body = answer.page.or(body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if !matches!(answer.status, 204 | 304) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    for (name, value) in answer.headers {
        // Ours are all printable; one that is not would be a bug, not worth the answer.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
