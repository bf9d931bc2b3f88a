//! `[sources.NAME.entra]`: which tenant, and who signs in.
//!
//! What can be judged from the keys alone is judged here. Must not touch the network, the
//! file system or the environment.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::properties;
use crate::keys::HumanDuration;
use crate::secret::Secret;
use crate::source::SourceError;

/// The keys of `[sources.NAME.entra]`. A tenant, a client and one way to sign in are required;
/// a managed identity brings its own tenant, and its own client where there is only one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntraConfig {
    /// The tenant's id, or one of its domains.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// The application (client) id of the app registration, or of a user-assigned identity.
    #[serde(default)]
    pub client_id: Option<String>,
    /// A client secret of that registration.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// A PEM certificate that is registered there, with its RSA key.
    #[serde(default)]
    pub certificate: Option<Secret>,
    /// A file with another issuer's token (workload identity federation). Read anew for every
    /// sign-in, because it rotates.
    #[serde(default)]
    pub federated_token_file: Option<PathBuf>,
    /// Sign in as the machine, container or app that this runs in.
    #[serde(default)]
    pub managed_identity: bool,
    /// Which of Microsoft's clouds the tenant is in.
    #[serde(default)]
    pub cloud: Cloud,
    /// Instead of the cloud's own address for signing in.
    #[serde(default)]
    pub login_url: Option<Url>,
    /// Instead of the cloud's own address of Graph.
    #[serde(default)]
    pub graph_url: Option<Url>,
    /// Directory extensions and other properties that Graph knows and provisor does not.
    #[serde(default)]
    pub extension_properties: Vec<String>,
    /// How changes are found.
    #[serde(default)]
    pub changes: Changes,
    /// PEM certificates that are trusted besides the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How long each request may take. Default: 30 s.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
}

/// Microsoft's clouds: where they sign in, and where their Graph is. A token of one is worth
/// nothing in another (Graph, "National cloud deployments").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cloud {
    /// Everybody's, GCC included.
    #[default]
    Global,
    /// US Government L4 (GCC High).
    UsGovL4,
    /// US Government L5 (DoD).
    UsGovL5,
    /// China, operated by 21Vianet.
    China,
}

/// How changes are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Changes {
    /// By delta queries.
    #[default]
    Auto,
    /// Everything is read and compared.
    Full,
}

impl Cloud {
    fn login(self) -> &'static str {
        match self {
            Cloud::Global => "https://login.microsoftonline.com",
            Cloud::UsGovL4 | Cloud::UsGovL5 => "https://login.microsoftonline.us",
            Cloud::China => "https://login.chinacloudapi.cn",
        }
    }

    fn graph(self) -> &'static str {
        match self {
            Cloud::Global => "https://graph.microsoft.com",
            Cloud::UsGovL4 => "https://graph.microsoft.us",
            Cloud::UsGovL5 => "https://dod-graph.microsoft.us",
            Cloud::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }
}

impl EntraConfig {
    /// One request's time-out.
    pub fn timeout(&self) -> Duration {
        self.timeout.0
    }

    /// Where to sign in.
    pub(super) fn login(&self) -> Url {
        let own = self.login_url.clone();
        own.unwrap_or_else(|| constant(self.cloud.login()))
    }

    /// Where Graph is.
    pub(super) fn graph(&self) -> Url {
        let own = self.graph_url.clone();
        own.unwrap_or_else(|| constant(self.cloud.graph()))
    }

    /// Refuses keys that contradict each other. Opens nothing.
    ///
    /// # Errors
    ///
    /// [`SourceError::Configuration`], naming the keys.
    pub fn validate(&self) -> Result<(), SourceError> {
        let ways = [
            ("client_secret", self.client_secret.is_some()),
            ("certificate", self.certificate.is_some()),
            ("federated_token_file", self.federated_token_file.is_some()),
            ("managed_identity", self.managed_identity),
        ];
        let given: Vec<&str> = ways
            .iter()
            .filter_map(|(name, given)| given.then_some(*name))
            .collect();
        match given[..] {
            [_] => {}
            [] => {
                return refuse(
                    "nothing says how to sign in: set `client_secret`, `certificate`, \
                     `federated_token_file` or `managed_identity = true`",
                );
            }
            [first, second, ..] => {
                return refuse(&format!(
                    "`{first}` and `{second}` are two ways to sign in; keep one of them"
                ));
            }
        }
        if !self.managed_identity {
            match &self.tenant_id {
                Some(tenant) if is_tenant(tenant) => {}
                Some(tenant) => {
                    return refuse(&format!(
                        "`tenant_id = \"{tenant}\"` is neither a tenant's id nor one of its \
                         domains, such as contoso.onmicrosoft.com"
                    ));
                }
                None => return refuse("`tenant_id` is missing: the tenant's id, or its domain"),
            }
        }
        match &self.client_id {
            Some(client) if uuid::Uuid::try_parse(client).is_ok() => {}
            None if self.managed_identity => {}
            _ => {
                return refuse(
                    "`client_id` must be the \"Application (client) ID\" of the app registration",
                );
            }
        }
        for (key, url) in [
            ("login_url", &self.login_url),
            ("graph_url", &self.graph_url),
        ] {
            if let Some(url) = url {
                check_url(key, url)?;
            }
        }
        for name in &self.extension_properties {
            if !properties::is_name(name) {
                return refuse(&format!(
                    "`{name}` in `extension_properties` is not a property's name: letters, digits \
                     and `_`, such as extension_0123456789abcdef0123456789abcdef_badge"
                ));
            }
        }
        if self.timeout().is_zero() {
            return refuse("`timeout` must be longer than nothing; leave it out for 30s");
        }
        Ok(())
    }
}

/// An origin, and nothing more: what follows it is known.
fn check_url(key: &str, url: &Url) -> Result<(), SourceError> {
    let is_origin = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_origin || url.host().is_none() {
        return refuse(&format!(
            "`{key}` must be an address without a path, such as https://graph.microsoft.com"
        ));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        _ => refuse(&format!(
            "`{key}` must start with https://: a token would cross the network in the clear"
        )),
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Of one tenant: `common` and `organizations` are of none.
fn is_tenant(text: &str) -> bool {
    let is_domain = text.contains('.')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    uuid::Uuid::try_parse(text).is_ok() || is_domain
}

fn refuse(problem: &str) -> Result<(), SourceError> {
    Err(SourceError::Configuration {
        problem: problem.to_owned(),
    })
}

fn constant(url: &str) -> Url {
    Url::parse(url).expect("the clouds' addresses are URLs")
}

fn default_timeout() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}

#[cfg(test)]
mod tests;
