//! Signing in: four ways to a token, and keeping it until shortly before it expires.
//!
//! One token at a time is asked for, whoever waits for it. A token is never logged, and given
//! to nobody but [`Graph`](super::graph::Graph), which sends it to its own origin only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use url::Url;
use url::form_urlencoded::Serializer;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::answer::{BodyError, read_body};
use super::assertion;
use super::config::{EntraConfig, is_loopback};
use super::error::{What, broken, is_transient, shorten};
use crate::retry::{LONGEST_WAIT, backoff, read_retry_after};
use crate::secret::{Secret, SecretError, read_token_file};
use crate::source::SourceError;

/// A token is renewed this long before it expires, so that none expires on its way.
const EARLY: Duration = Duration::from_secs(300);
/// No token is used for longer, whatever a login says of it.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The most that is read of an answer with a token, in bytes.
const LIMIT: usize = 256 * 1024;
const ATTEMPTS: u32 = 4;

/// Who signs in, and how.
#[derive(Debug)]
pub(super) struct SignIn {
    credential: Credential,
    client_id: Option<String>,
    /// Whose tokens are asked for: Graph's origin.
    resource: String,
    /// The token endpoint; of a managed identity it depends on the surroundings.
    endpoint: Url,
    cached: Mutex<Option<Token>>,
}

#[derive(Debug)]
enum Credential {
    Secret(Secret),
    Certificate(Secret),
    Federated(PathBuf),
    Managed,
}

/// A token while it is good.
#[derive(Debug, Clone)]
struct Token {
    text: SecretString,
    renew: Instant,
}

/// An answer with a token. A managed identity's says its numbers as text.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    /// In seconds since 1970, where `expires_in` is missing (App Service).
    #[serde(default, deserialize_with = "seconds")]
    expires_on: Option<u64>,
}

/// An answer without one (RFC 6749 §5.2, with Microsoft's codes).
#[derive(Default, Deserialize)]
struct Denied {
    #[serde(default)]
    error: serde_json::Value,
    #[serde(default)]
    error_codes: Vec<u64>,
}

impl SignIn {
    pub(super) fn new(config: &EntraConfig, base: &Path) -> Self {
        let file = |secret: &Secret| secret.clone().below(base);
        let credential = match config {
            EntraConfig {
                client_secret: Some(secret),
                ..
            } => Credential::Secret(file(secret)),
            EntraConfig {
                certificate: Some(secret),
                ..
            } => Credential::Certificate(file(secret)),
            EntraConfig {
                federated_token_file: Some(path),
                ..
            } => Credential::Federated(base.join(path)),
            _ => Credential::Managed,
        };
        let mut endpoint = config.login();
        let tenant = config.tenant_id.clone().unwrap_or_default();
        endpoint.set_path(&format!("/{tenant}/oauth2/v2.0/token"));
        Self {
            credential,
            client_id: config.client_id.clone(),
            resource: config.graph().origin().ascii_serialization(),
            endpoint,
            cached: Mutex::new(None),
        }
    }

    /// Whether the token is asked for on this machine, where no proxy is in between.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.credential, Credential::Managed) || is_loopback(&self.endpoint)
    }

    /// Whether TLS is needed for it.
    pub(super) fn is_encrypted(&self) -> bool {
        self.endpoint.scheme() == "https"
    }

    /// A token that is good for a while.
    pub(super) async fn token(&self, http: &reqwest::Client) -> Result<SecretString, SourceError> {
        // Held while a token is asked for: whoever comes meanwhile takes that one.
        let mut cached = self.cached.lock().await;
        if let Some(token) = cached.as_ref().filter(|it| Instant::now() < it.renew) {
            return Ok(token.text.clone());
        }
        let token = self.ask(http).await?;
        *cached = Some(token.clone());
        Ok(token.text)
    }

    /// Graph did not accept this token: the next one is a new one.
    pub(super) async fn forget(&self, refused: &SecretString) {
        let mut cached = self.cached.lock().await;
        let is_it = |token: &Token| token.text.expose_secret() == refused.expose_secret();
        if cached.as_ref().is_some_and(is_it) {
            *cached = None;
        }
    }

    async fn ask(&self, http: &reqwest::Client) -> Result<Token, SourceError> {
        let mut number = 1;
        loop {
            let request = self.request(http)?;
            let server = request.url().origin().ascii_serialization();
            let (problem, wait) = match self.attempt(http, request).await {
                Ok(token) => return Ok(token),
                Err(failure) => failure,
            };
            match wait {
                Some(wait) if number < ATTEMPTS => {
                    let least = backoff(number, fastrand::f64());
                    sleep(wait.unwrap_or(least)).await;
                }
                _ => return Err(What::SignIn.failed(&server, &problem, None)),
            }
            number += 1;
        }
    }

    /// What is sent. The secret is read for it, and not kept.
    fn request(&self, http: &reqwest::Client) -> Result<reqwest::Request, SourceError> {
        let request = match &self.credential {
            Credential::Managed => self.ask_machine(http)?,
            credential => {
                let body = self.form(credential)?;
                http.post(self.endpoint.clone())
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(body)
            }
        };
        request
            .build()
            .map_err(|error| self.refuse("the request cannot be built", Some(error)))
    }

    fn form(&self, credential: &Credential) -> Result<String, SourceError> {
        let client = self.client_id.as_deref().unwrap_or_default();
        let scope = format!("{}/.default", self.resource);
        let mut form = Serializer::new(String::new());
        form.append_pair("client_id", client)
            .append_pair("scope", &scope)
            .append_pair("grant_type", "client_credentials");
        let mut assert = |statement: &SecretString| {
            form.append_pair(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )
            .append_pair("client_assertion", statement.expose_secret());
        };
        match credential {
            Credential::Certificate(secret) => {
                let pem = secret.read()?;
                let audience = self.endpoint.as_str();
                let signed = assertion::sign(&pem, client, audience, Utc::now(), Uuid::new_v4());
                assert(&signed.map_err(|problem| self.refuse(problem, None))?);
            }
            Credential::Federated(path) => assert(&read_token_file(path)?),
            Credential::Secret(secret) => {
                form.append_pair("client_secret", secret.read()?.expose_secret());
            }
            Credential::Managed => {}
        }
        Ok(form.finish())
    }

    /// App Service and Container Apps say where to ask in the environment; a virtual machine
    /// always has the same address.
    fn ask_machine(&self, http: &reqwest::Client) -> Result<reqwest::RequestBuilder, SourceError> {
        const MACHINE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
        let here = std::env::var("IDENTITY_ENDPOINT").ok();
        let (address, version) = match &here {
            Some(address) => (address.as_str(), "2019-08-01"),
            None => (MACHINE, "2018-02-01"),
        };
        let mut url = Url::parse(address)
            .map_err(|_| self.refuse("`IDENTITY_ENDPOINT` is not an address", None))?;
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", &self.resource);
        if let Some(client) = &self.client_id {
            url.query_pairs_mut().append_pair("client_id", client);
        }
        let request = http.get(url);
        let Some(_) = here else {
            return Ok(request.header("Metadata", "true"));
        };
        let secret = Secret::Env("IDENTITY_HEADER".to_owned());
        let text = Zeroizing::new(secret.read()?.expose_secret().to_owned());
        let mut value = HeaderValue::from_str(&text).map_err(|_| SecretError::Unusable {
            place: secret.place(),
        })?;
        value.set_sensitive(true);
        Ok(request.header(HeaderName::from_static("x-identity-header"), value))
    }

    /// One attempt. Of a failure: the words, and whether and how long to wait for another one.
    async fn attempt(
        &self,
        http: &reqwest::Client,
        request: reqwest::Request,
    ) -> Result<Token, (String, Option<Option<Duration>>)> {
        let mut response = http.execute(request).await.map_err(|error| {
            let again = is_transient(&error).then_some(None);
            (broken(&error).to_owned(), again)
        })?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok())
            .and_then(|text| read_retry_after(text, Utc::now()));
        let body = match read_body(&mut response, LIMIT).await {
            Ok(body) => Zeroizing::new(body),
            Err(BodyError::TooLarge) => return Err(("the answer is too large".to_owned(), None)),
            Err(BodyError::Broken(error)) => return Err((broken(&error).to_owned(), Some(None))),
        };
        if status != 200 {
            let again = match (status, retry_after) {
                (429 | 500..=599, Some(wait)) if wait <= LONGEST_WAIT => Some(Some(wait)),
                (429 | 500..=599, None) => Some(None),
                _ => None,
            };
            return Err((denied(status, &body), again));
        }
        let granted: Granted = serde_json::from_slice(&body)
            .map_err(|_| ("the answer holds no token".to_owned(), None))?;
        let text = SecretString::from(granted.access_token);
        let now = u64::try_from(Utc::now().timestamp()).unwrap_or(0);
        let until = granted.expires_on.map(|moment| moment.saturating_sub(now));
        let lifetime = Duration::from_secs(granted.expires_in.or(until).unwrap_or(0));
        tracing::debug!(seconds = lifetime.as_secs(), "signed in");
        Ok(Token {
            text,
            renew: Instant::now() + time_of_use(lifetime),
        })
    }

    fn refuse(&self, problem: &str, source: Option<reqwest::Error>) -> SourceError {
        let server = self.endpoint.origin().ascii_serialization();
        let source = source.map(|error| error.without_url().into());
        What::SignIn.failed(&server, problem, source)
    }
}

/// Why there is no token, by Microsoft's number for it. Their own words are not repeated:
/// they are long, and name ids.
fn denied(status: u16, body: &[u8]) -> String {
    let denied: Denied = serde_json::from_slice(body).unwrap_or_default();
    let code = denied.error_codes.first().copied();
    let help = match code {
        Some(7_000_215) => "the client secret is not right; it is the secret's value, not its id",
        Some(7_000_222) => "the client secret has expired; make a new one",
        Some(90_002) => "there is no such tenant; see `tenant_id` and `cloud`",
        Some(700_016) => "the tenant has no such app registration; see `client_id`",
        Some(700_027) => "the certificate is not registered with the app, or has expired",
        Some(70_021 | 700_211 | 700_212 | 700_213) => {
            "no federated credential of the app registration matches the token's issuer, subject \
             and audience"
        }
        Some(700_024) => "the statement is not valid at this time; is the clock right?",
        Some(53_003) => "a Conditional Access policy does not let the app sign in from here",
        _ => "see the sign-in logs of the app registration",
    };
    let word = denied.error.as_str().map(shorten).unwrap_or_default();
    match code {
        Some(code) => format!("{status} {word} (AADSTS{code}): {help}"),
        None => format!("{status} {word}: {help}"),
    }
}

/// For how long a token of this lifetime is used: a short one for the half of it.
fn time_of_use(lifetime: Duration) -> Duration {
    (lifetime - EARLY.min(lifetime / 2)).min(LONGEST)
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let text = value.as_str().and_then(|text| text.parse().ok());
    Ok(value.as_u64().or(text))
}

#[cfg(test)]
mod tests;
