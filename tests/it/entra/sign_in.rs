//! Where tokens come from: the login of Microsoft Entra, and a machine's own.
//!
//! Checks what is sent as Microsoft's pages say it must be; a token is good for one audience, for
//! a while, and for the permissions that were granted when it was given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::wire::{Answer, Request};

pub(super) const TENANT: &str = "9ad2a1a4-93b2-4d41-8d39-1e4a3a8f0c55";
pub(super) const CLIENT: &str = "0f7c5d0e-3a53-4f0e-9a4b-5b0c8c3f1a77";
pub(super) const SECRET: &str = "wJ8~entra-client-secret-of-the-tests";
pub(super) const MACHINE_HEADER: &str = "header-of-the-machine";
/// Where a virtual machine asks, at 169.254.169.254.
pub(super) const VIRTUAL_MACHINE_PATH: &str = "/metadata/identity/oauth2/token";

/// What the app registration knows its client by.
#[derive(Debug, Clone)]
pub(super) enum Registered {
    Secret(String),
    /// The certificate's bytes, and its public key.
    Certificate {
        der: Vec<u8>,
        key: Vec<u8>,
    },
    /// The token of another issuer.
    Federated(String),
    /// The machine itself.
    Machine,
}

/// A token that was given.
#[derive(Debug)]
struct Given {
    until: Instant,
    /// How many requests it was good for so far.
    uses: usize,
    permissions: BTreeSet<&'static str>,
}

/// The login.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) registered: Registered,
    pub(super) permissions: BTreeSet<&'static str>,
    pub(super) lifetime: Duration,
    /// How many requests a token is good for, if its lifetime is not what ends it.
    pub(super) uses: Option<usize>,
    /// Its own address, which is Graph's as well.
    pub(super) origin: String,
    given: BTreeMap<String, Given>,
    /// How many tokens were given.
    pub(super) count: u64,
    /// Ids of statements: each is good once.
    statements: BTreeSet<String>,
}

impl Login {
    pub(super) fn new(origin: &str) -> Self {
        Self {
            registered: Registered::Secret(SECRET.to_owned()),
            permissions: BTreeSet::from([
                "User.Read.All",
                "GroupMember.Read.All",
                "Application.Read.All",
            ]),
            lifetime: Duration::from_secs(3599),
            uses: None,
            origin: origin.to_owned(),
            given: BTreeMap::new(),
            count: 0,
            statements: BTreeSet::new(),
        }
    }

    /// Answers `POST /{tenant}/oauth2/v2.0/token`.
    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        if request.path != format!("/{TENANT}/oauth2/v2.0/token") {
            return refuse(400, "invalid_request", 90002);
        }
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(request.body.as_bytes())
            .into_owned()
            .collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let is_form = request.headers.get("content-type").map(String::as_str)
            == Some("application/x-www-form-urlencoded");
        if request.method != "POST" || !is_form || field("grant_type") != "client_credentials" {
            return refuse(400, "invalid_request", 900144);
        }
        if field("client_id") != CLIENT {
            return refuse(400, "unauthorized_client", 700016);
        }
        if field("scope") != format!("{}/.default", self.origin) {
            return refuse(400, "invalid_scope", 70011);
        }
        let asserted = field("client_assertion_type")
            == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let statement = field("client_assertion");
        let wrong = match &self.registered {
            Registered::Secret(secret) => (field("client_secret") != secret).then_some(7000215),
            Registered::Certificate { der, key } => {
                let audience = format!("{}{}", self.origin, request.path);
                match asserted.then(|| read_statement(statement, der, key, &audience)) {
                    Some(Ok(id)) => (!self.statements.insert(id)).then_some(700027),
                    Some(Err(code)) => Some(code),
                    None => Some(700027),
                }
            }
            Registered::Federated(token) => (!asserted || statement != token).then_some(700213),
            Registered::Machine => Some(7000215),
        };
        match wrong {
            Some(code) => refuse(401, "invalid_client", code),
            None => self.give(json!(self.lifetime.as_secs())),
        }
    }

    /// Answers a machine's own address for tokens: App Service's asks for a header that others
    /// cannot know, a virtual machine's for one that no forwarded request has.
    pub(super) fn answer_machine(&mut self, request: &Request) -> Answer {
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        let asked = |name: &str| request.query.get(name).map(String::as_str);
        let (is_known, version) = match request.path.as_str() {
            VIRTUAL_MACHINE_PATH => (
                header("metadata") == Some("true") && header("x-forwarded-for").is_none(),
                "2018-02-01",
            ),
            _ => (
                header("x-identity-header") == Some(MACHINE_HEADER),
                "2019-08-01",
            ),
        };
        let is_right = is_known
            && request.method == "GET"
            && asked("api-version") == Some(version)
            && asked("resource") == Some(self.origin.as_str());
        match is_right && matches!(self.registered, Registered::Machine) {
            // Numbers are text there.
            true => self.give(json!(self.lifetime.as_secs().to_string())),
            false => Answer::new(400, &json!({"error": "invalid_request"})),
        }
    }

    fn give(&mut self, seconds: Value) -> Answer {
        self.count += 1;
        let token = format!("eyJ0eXAi.access-token-{}.s1gnature", self.count);
        let given = Given {
            until: Instant::now() + self.lifetime,
            uses: 0,
            permissions: self.permissions.clone(),
        };
        self.given.insert(token.clone(), given);
        Answer::new(
            200,
            &json!({"token_type": "Bearer", "expires_in": seconds, "access_token": token}),
        )
    }

    /// The permissions of a request's token, while it is good.
    pub(super) fn admit(&mut self, request: &Request) -> Option<BTreeSet<&'static str>> {
        let header = request.headers.get("authorization")?;
        let given = self.given.get_mut(header.strip_prefix("Bearer ")?)?;
        given.uses += 1;
        let is_good =
            Instant::now() < given.until && self.uses.is_none_or(|most| given.uses <= most);
        is_good.then(|| given.permissions.clone())
    }

    /// The tokens that were given so far.
    pub(super) fn tokens(&self) -> Vec<String> {
        self.given.keys().cloned().collect()
    }
}

/// The id of a statement that is good (Microsoft identity platform, "Certificate credentials").
fn read_statement(text: &str, der: &[u8], key: &[u8], audience: &str) -> Result<String, u64> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err(50027);
    };
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| 50027_u64);
    let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)?).map_err(|_| 50027_u64);
    let (head, body) = (json(header)?, json(claims)?);
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, der));
    if head != json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}) {
        return Err(700027);
    }
    let signed = format!("{header}.{claims}");
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key)
        .verify(signed.as_bytes(), &bytes(signature)?)
        .map_err(|_| 700027_u64)?;
    if body["aud"] != audience || body["iss"] != CLIENT || body["sub"] != CLIENT {
        return Err(700023);
    }
    let now = chrono::Utc::now().timestamp();
    let moment = |name: &str| body[name].as_i64().ok_or(50027_u64);
    let (from, until) = (moment("nbf")?, moment("exp")?);
    if from > now + 5 || until <= now || until - from > 600 {
        return Err(700024);
    }
    let id = body["jti"].as_str().ok_or(50027_u64)?;
    Ok(id.to_owned())
}

fn refuse(status: u16, error: &str, code: u64) -> Answer {
    let words = format!("AADSTS{code}: {SECRET} is not what is expected of app '{CLIENT}'.");
    Answer::new(
        status,
        &json!({"error": error, "error_description": words, "error_codes": [code],
            "trace_id": "a4b1c2d3"}),
    )
}
