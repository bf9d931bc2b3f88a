//! How a target is reached: its URL, TLS, proxy and pace. Connects to nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use provisor_connectors::keys::HumanDuration;
use serde::Deserialize;
use toml::Spanned;
use url::{Host, Url};

use super::ConfigError;
use super::auth::RawAuth;
use super::document::Document;
use crate::target::{Connection, Pace};

/// One request's time-out where none is configured.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests at the same time where none is configured.
const DEFAULT_CONCURRENCY: usize = 4;
/// More would be an attack on most apps.
const MOST_CONCURRENCY: usize = 64;

/// `[targets.NAME.pace]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPace {
    requests_per_second: Option<Spanned<f64>>,
    concurrency: Option<Spanned<i64>>,
}

impl RawPace {
    pub(super) fn check(self, document: &Document) -> Result<Pace, ConfigError> {
        if let Some(rate) = &self.requests_per_second
            && !(rate.get_ref().is_finite() && *rate.get_ref() > 0.0)
        {
            return Err(document.error(
                rate.span(),
                "`requests_per_second` must be greater than 0",
                "leave it out for no limit; to send nothing, set `enabled = false`",
            ));
        }
        let concurrency = match self.concurrency {
            None => DEFAULT_CONCURRENCY,
            Some(number) => usize::try_from(*number.get_ref())
                .ok()
                .filter(|number| (1..=MOST_CONCURRENCY).contains(number))
                .ok_or_else(|| {
                    document.error(
                        number.span(),
                        &format!("`concurrency` must be from 1 to {MOST_CONCURRENCY}"),
                        &format!("leave it out for {DEFAULT_CONCURRENCY}"),
                    )
                })?,
        };
        Ok(Pace {
            requests_per_second: self.requests_per_second.map(Spanned::into_inner),
            concurrency,
        })
    }
}

/// One request's time-out.
pub(super) fn check_timeout(
    timeout: Option<Spanned<HumanDuration>>,
    document: &Document,
) -> Result<Duration, ConfigError> {
    match timeout {
        None => Ok(DEFAULT_TIMEOUT),
        Some(timeout) if timeout.get_ref().0.is_zero() => Err(document.error(
            timeout.span(),
            "no request can be answered in no time",
            "leave `timeout` out for 30s",
        )),
        Some(timeout) => Ok(timeout.get_ref().0),
    }
}

/// The settings that only a remote target has.
#[derive(Debug)]
pub(super) struct RawRemote {
    pub(super) base_url: Option<Spanned<String>>,
    pub(super) auth: Option<Spanned<RawAuth>>,
    pub(super) ca_file: Option<Spanned<PathBuf>>,
    pub(super) client_certificate: Option<Spanned<PathBuf>>,
    pub(super) proxy: Option<Spanned<String>>,
    pub(super) allow_plaintext: Option<Spanned<bool>>,
    pub(super) tenant: Option<Spanned<String>>,
    pub(super) shared: Option<Spanned<bool>>,
}

impl RawRemote {
    /// Refuses them all, for a target that is the embedded sandbox.
    pub(super) fn refuse_for_sandbox(&self, document: &Document) -> Result<(), ConfigError> {
        let places = [
            ("base_url", self.base_url.as_ref().map(Spanned::span)),
            ("auth", self.auth.as_ref().map(Spanned::span)),
            ("ca_file", self.ca_file.as_ref().map(Spanned::span)),
            (
                "client_certificate",
                self.client_certificate.as_ref().map(Spanned::span),
            ),
            ("proxy", self.proxy.as_ref().map(Spanned::span)),
            (
                "allow_plaintext",
                self.allow_plaintext.as_ref().map(Spanned::span),
            ),
            ("tenant", self.tenant.as_ref().map(Spanned::span)),
            ("shared", self.shared.as_ref().map(Spanned::span)),
        ];
        for (name, span) in places {
            if let Some(span) = span {
                return Err(document.error(
                    span,
                    &format!("the embedded sandbox takes no `{name}`"),
                    "leave it out, or choose another preset for a server of your own, such as \
                     preset = \"generic\"",
                ));
            }
        }
        Ok(())
    }

    /// Checks and builds. `table` is the target's place. A good but doubtful setting is added
    /// to `warnings`.
    pub(super) fn check(
        self,
        table: std::ops::Range<usize>,
        pace: Pace,
        timeout: Duration,
        base: &Path,
        document: &Document,
        warnings: &mut Vec<String>,
    ) -> Result<Connection, ConfigError> {
        let Some(base_url) = self.base_url else {
            return Err(document.error(
                table,
                "`base_url` is missing",
                "add base_url = \"https://app.example.com/scim/v2\", or preset = \"sandbox\" to \
                 try it out",
            ));
        };
        let Some(auth) = self.auth else {
            return Err(document.error(
                table,
                "`auth` is missing",
                "add auth = { bearer = { env = \"APP_TOKEN\" } }, or `basic` or `header`",
            ));
        };
        let mut url = parse_url(&base_url, "base_url", document)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(document.error(
                base_url.span(),
                "`base_url` ends in a query or a fragment",
                "write it up to the path under which /Users is found",
            ));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);

        let allow_plaintext = self.allow_plaintext.is_some_and(Spanned::into_inner);
        if url.scheme() == "http" && !is_loopback(&url) {
            if !allow_plaintext {
                return Err(document.error(
                    base_url.span(),
                    "plain http would send the token and people's data in the clear",
                    "use https, or set `allow_plaintext = true` if the network is otherwise \
                     protected",
                ));
            }
            warnings.push(document.warning(
                base_url.span(),
                "plain http: the token and people's data are sent in the clear",
            ));
        }
        if let Some(proxy) = &self.proxy
            && url.scheme() == "http"
            && !allow_plaintext
        {
            return Err(document.error(
                proxy.span(),
                "plain http would show the token to the proxy",
                "use https, or leave `proxy` out: this machine is reached without one",
            ));
        }
        let span = auth.span();
        Ok(Connection {
            base_url: url,
            auth: auth.into_inner().check(span, document, base)?,
            timeout,
            ca_file: self.ca_file.map(|path| base.join(path.into_inner())),
            client_certificate: self
                .client_certificate
                .map(|path| base.join(path.into_inner())),
            proxy: match &self.proxy {
                Some(proxy) => Some(parse_url(proxy, "proxy", document)?),
                None => None,
            },
            allow_plaintext,
            pace,
        })
    }
}

fn parse_url(text: &Spanned<String>, name: &str, document: &Document) -> Result<Url, ConfigError> {
    let url = Url::parse(text.get_ref().trim()).map_err(|error| {
        document.error(
            text.span(),
            &format!("`{name}` is not a URL: {error}"),
            "write it in full, such as \"https://app.example.com/scim/v2\"",
        )
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(document.error(
            text.span(),
            &format!("`{name}` is neither https nor http"),
            "write it in full, such as \"https://app.example.com/scim/v2\"",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(document.error(
            text.span(),
            &format!("`{name}` holds a user name or password"),
            "secrets are never literals: leave them out of the URL; a target's belong into \
             auth = { basic = { username = \"…\", password = { env = \"…\" } } }",
        ));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
