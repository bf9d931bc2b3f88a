//! Asking Graph: signed, paced, within bounds, and never anybody else.
//!
//! The token goes to the configured origin only: no redirect is followed, and every address is
//! compared before it is asked, whoever gave it. Must not know what an answer means.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Response, redirect, retry};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};
use url::Url;
use zeroize::Zeroizing;

use super::answer::{BodyError, ERROR_LIMIT, LIMIT, is_resync, read_body, read_refusal};
use super::config::{EntraConfig, is_loopback};
use super::error::{GraphError, What, broken, is_transient, shorten};
use super::pace::Pace;
use super::sign_in::SignIn;
use crate::retry::{LONGEST_WAIT, backoff, read_retry_after};
use crate::source::SourceError;

/// How often a request is tried in all, and how often when it is Graph that asks to wait.
const ATTEMPTS: u32 = 5;
const THROTTLED_ATTEMPTS: u32 = 10;

/// Graph of one tenant.
pub(super) struct Graph {
    /// Its origin, for messages.
    pub(super) server: String,
    base: Url,
    sign_in: SignIn,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    clients: OnceCell<Clients>,
    pace: Mutex<Pace>,
}

struct Clients {
    graph: reqwest::Client,
    /// Not by way of a proxy where the token is to be had on this machine.
    sign_in: reqwest::Client,
}

/// A request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) what: &'a What,
    pub(super) url: Url,
    /// A body makes it a POST.
    pub(super) body: Option<String>,
    /// What it costs (see [`Pace`]).
    pub(super) units: f64,
    /// It goes on from a token for changes, which may not be good any more.
    pub(super) goes_on: bool,
}

/// An attempt that failed.
enum Attempt {
    /// The token was not accepted.
    Unsigned(GraphError),
    /// It may go better after this time.
    Again(Duration, bool, GraphError),
    Never(GraphError),
}

impl Graph {
    pub(super) fn new(config: &EntraConfig, base: &Path) -> Self {
        let graph = config.graph();
        Self {
            server: graph.origin().ascii_serialization(),
            base: graph,
            sign_in: SignIn::new(config, base),
            ca_file: config.ca_file.as_ref().map(|path| base.join(path)),
            timeout: config.timeout(),
            clients: OnceCell::new(),
            pace: Mutex::new(Pace::new()),
        }
    }

    /// An address below `/v1.0/`, with these parameters.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1.0").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// An address that Graph gave. It is asked only if it is one of Graph's own.
    pub(super) fn own_link(&self, what: &What, link: &str) -> Result<Url, SourceError> {
        /// Longer than any that was seen, and short enough to be kept.
        const LONGEST: usize = 64 * 1024;
        let url = Url::parse(link).ok().filter(|_| link.len() <= LONGEST);
        let Some(url) = url else {
            return Err(what.failed(&self.server, "a link in the answer is not one", None));
        };
        self.check_origin(what, &url)?;
        Ok(url)
    }

    fn check_origin(&self, what: &What, url: &Url) -> Result<(), SourceError> {
        let is_own = url.origin() == self.base.origin()
            && url.path().starts_with("/v1.0/")
            && url.username().is_empty()
            && url.password().is_none();
        if is_own {
            return Ok(());
        }
        let elsewhere = url.origin().ascii_serialization();
        let problem = format!(
            "a link in the answer leads to {elsewhere} and not to Graph's v1.0 here; it is not \
             followed, because the token would go there"
        );
        Err(what.failed(&self.server, &problem, None))
    }

    /// Asks, and gives the body of a good answer.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Vec<u8>, GraphError> {
        self.check_origin(call.what, &call.url)?;
        let mut signed_again = false;
        let mut number = 1;
        loop {
            let clients = self.clients().await?;
            let token = self.sign_in.token(&clients.sign_in).await?;
            let wait = self.with_pace(|pace| pace.spend(call.units, Instant::now()));
            sleep(wait).await;
            match self.attempt(clients, &call, &token).await {
                Ok(body) => return Ok(body),
                Err(Attempt::Unsigned(_)) if !signed_again => {
                    self.sign_in.forget(&token).await;
                    signed_again = true;
                    continue;
                }
                Err(Attempt::Again(wait, asked, error)) => {
                    let most = if asked { THROTTLED_ATTEMPTS } else { ATTEMPTS };
                    if number >= most || wait > LONGEST_WAIT {
                        return Err(error);
                    }
                    sleep(wait).await;
                }
                Err(Attempt::Unsigned(error) | Attempt::Never(error)) => return Err(error),
            }
            number += 1;
        }
    }

    async fn attempt(
        &self,
        clients: &Clients,
        call: &Call<'_>,
        token: &SecretString,
    ) -> Result<Vec<u8>, Attempt> {
        let mut request = match &call.body {
            None => clients.graph.get(call.url.clone()),
            Some(body) => clients
                .graph
                .post(call.url.clone())
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone()),
        };
        let text = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let problem = "the token holds characters that a header cannot carry";
            Attempt::Never(What::SignIn.failed(&self.server, problem, None).into())
        })?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
        let mut response = request
            .send()
            .await
            .map_err(|error| self.cut(call, error))?;
        tracing::debug!(
            what = ?call.what,
            status = response.status().as_u16(),
            "asked Graph"
        );
        self.note_limit(response.headers());
        if response.status().as_u16() != 200 {
            return Err(self.refused(call, response).await);
        }
        match read_body(&mut response, LIMIT).await {
            Ok(body) => Ok(body),
            Err(BodyError::TooLarge) => {
                let problem = format!("an answer is larger than {} MiB", LIMIT >> 20);
                let error = call.what.failed(&self.server, &problem, None);
                Err(Attempt::Never(error.into()))
            }
            Err(BodyError::Broken(error)) => Err(self.cut(call, error)),
        }
    }

    async fn refused(&self, call: &Call<'_>, mut response: Response) -> Attempt {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok())
            .and_then(|text| read_retry_after(text, Utc::now()));
        let body = match read_body(&mut response, ERROR_LIMIT).await {
            Ok(body) => read_refusal(&body),
            // The status says enough.
            Err(_) => Default::default(),
        };
        let code = shorten(&body.code);
        let failed =
            |problem: &str| -> GraphError { call.what.failed(&self.server, problem, None).into() };
        if is_resync(status, &code) || (call.goes_on && status == 400) {
            let code = if code.is_empty() {
                status.to_string()
            } else {
                code
            };
            return Attempt::Never(GraphError::Resync(code));
        }
        match status {
            301 | 302 | 303 | 307 | 308 => Attempt::Never(failed(
                "the answer is a redirect, which is not followed, because the token would go \
                 along; set `graph_url` to where Graph is",
            )),
            401 => Attempt::Unsigned(failed(&format!(
                "the token is not accepted (`{code}`); do `tenant_id`, `cloud` and `graph_url` \
                 belong together?"
            ))),
            403 => Attempt::Never(GraphError::Forbidden(
                call.what.clone(),
                call.what.forbidden(&self.server),
            )),
            404 => Attempt::Never(GraphError::Missing),
            429 | 503 if retry_after.is_some() || status == 429 => {
                let wait = retry_after.unwrap_or_else(|| backoff(3, fastrand::f64()));
                let problem = format!("{status}, and again, however long it is waited for");
                Attempt::Again(wait, true, failed(&problem))
            }
            500..=599 => {
                let problem = format!("Graph is in trouble ({status} `{code}`)");
                Attempt::Again(backoff(1, fastrand::f64()), false, failed(&problem))
            }
            _ => {
                let words = shorten(&body.message);
                Attempt::Never(failed(&format!("{status} `{code}`: {words}")))
            }
        }
    }

    fn cut(&self, call: &Call<'_>, error: reqwest::Error) -> Attempt {
        let words = broken(&error);
        let transient = is_transient(&error);
        // Its URL may hold a token for changes.
        let source = Some(error.without_url().into());
        let failed = call.what.failed(&self.server, words, source).into();
        match transient {
            true => Attempt::Again(backoff(1, fastrand::f64()), false, failed),
            false => Attempt::Never(failed),
        }
    }

    fn note_limit(&self, headers: &HeaderMap) {
        let part = headers
            .get("x-ms-throttle-limit-percentage")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse::<f64>().ok());
        if let Some(part) = part {
            self.with_pace(|pace| pace.note_limit(part, Instant::now()));
        }
    }

    fn with_pace<T>(&self, work: impl FnOnce(&mut Pace) -> T) -> T {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut pace)
    }

    async fn clients(&self) -> Result<&Clients, SourceError> {
        self.clients
            .get_or_try_init(|| async {
                Ok(Clients {
                    graph: self.build(is_loopback(&self.base))?,
                    sign_in: self.build(self.sign_in.is_local())?,
                })
            })
            .await
    }

    /// TLS is always verified; there is no switch against it.
    fn build(&self, direct: bool) -> Result<reqwest::Client, SourceError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("provisor/", env!("CARGO_PKG_VERSION")))
            .timeout(self.timeout)
            .connect_timeout(self.timeout)
            // The token would go along.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false);
        if direct {
            builder = builder.no_proxy();
        }
        let mut own_roots = Vec::new();
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read(path).map_err(|source| SourceError::File {
                path: path.clone(),
                source,
            })?;
            own_roots = Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|found| !found.is_empty())
                .ok_or_else(|| SourceError::Configuration {
                    problem: format!(
                        "the `ca_file` {} holds no PEM certificate (`-----BEGIN CERTIFICATE-----`)",
                        path.display()
                    ),
                })?;
        }
        builder = match self.base.scheme() == "http" && !self.sign_in.is_encrypted() {
            // Plain http needs no roots, and a small container may have none.
            true => builder.tls_certs_only(own_roots),
            false => builder.tls_certs_merge(own_roots),
        };
        builder.build().map_err(|error| SourceError::Server {
            server: self.server.clone(),
            problem: "the HTTP client cannot be set up".to_owned(),
            source: Some(error.into()),
        })
    }
}
