//! Building the HTTP client of one target: TLS, certificates, proxy, and what is refused.
//!
//! TLS is always verified; there is no switch against it (DESIGN §11).

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use provisor_connectors::secret::read_private_file;
use reqwest::{Certificate, Identity, Proxy, redirect, retry};

use super::client::Connection;
use super::endpoint::is_loopback;
use super::error::TargetError;

/// Many servers drop an idle connection after five seconds. Not to be writing on it just
/// then spares creates whose answer would be lost.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// Builds the client. Reads the certificate files; they are not read again.
pub(super) fn build_http(connection: &Connection) -> Result<reqwest::Client, TargetError> {
    check_base_url(connection)?;
    let encrypted = connection.base_url.scheme() == "https";
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("provisor/", env!("CARGO_PKG_VERSION")))
        .timeout(connection.timeout)
        // Less than the whole, so that a host which does not answer is told apart from a
        // request which was sent and not answered: only the latter leaves a create in doubt.
        .connect_timeout(connection.timeout.mul_f64(0.8))
        .pool_idle_timeout(IDLE_CONNECTION)
        // Redirects and retries are followed by hand: each hop and attempt is checked, paced
        // and counted.
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false);
    if is_loopback(&connection.base_url) {
        builder = builder.no_proxy();
    }
    if let Some(url) = &connection.proxy {
        if url.password().is_some() {
            return Err(configuration(
                "the proxy's URL holds a password; set it in the environment as HTTPS_PROXY instead",
                None,
            ));
        }
        let proxy = Proxy::all(url.clone())
            .map_err(|error| configuration("the proxy cannot be used", Some(error.into())))?;
        builder = builder.proxy(proxy);
    }
    let mut own_roots = Vec::new();
    if let Some(path) = &connection.ca_file {
        let pem = std::fs::read(path).map_err(|error| {
            configuration(
                &format!("cannot read the ca_file {}", path.display()),
                Some(error.into()),
            )
        })?;
        own_roots = Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| {
                let problem = format!(
                    "the ca_file {} holds no PEM certificate (`-----BEGIN CERTIFICATE-----`)",
                    path.display()
                );
                configuration(&problem, None)
            })?;
    }
    builder = if encrypted || connection.proxy.is_some() {
        builder.tls_certs_merge(own_roots)
    } else {
        // Plain http needs no roots, and a small container may have none.
        builder.tls_certs_only(own_roots)
    };
    if let Some(path) = &connection.client_certificate {
        builder = builder.identity(read_identity(path)?);
    }
    builder
        .build()
        .map_err(|error| configuration("the HTTP client cannot be set up", Some(error.into())))
}

fn check_base_url(connection: &Connection) -> Result<(), TargetError> {
    let url = &connection.base_url;
    let host = url.host_str().unwrap_or_default();
    let problem = if !url.username().is_empty() || url.password().is_some() {
        "the base_url holds a user name or a password; use `auth = { basic = … }`".to_owned()
    } else if url.query().is_some() || url.fragment().is_some() {
        "the base_url ends in a query or a fragment; it must end where `/Users` can follow"
            .to_owned()
    } else if url.scheme() == "http" && connection.proxy.is_some() && !connection.allow_plaintext {
        "plain http would show the token to the proxy; use https, or leave `proxy` out".to_owned()
    } else if url.scheme() == "https" || url.scheme() == "http" && is_loopback(url) {
        return Ok(());
    } else if url.scheme() != "http" {
        format!(
            "the base_url starts with `{}:`; only https can be used",
            url.scheme()
        )
    } else if connection.allow_plaintext {
        return Ok(());
    } else {
        format!(
            "plain http to {host} would show the token to the network; use https, \
             or set `allow_plaintext = true`"
        )
    };
    Err(configuration(&problem, None))
}

/// The file holds a private key, so it is guarded like any secret.
fn read_identity(path: &Path) -> Result<Identity, TargetError> {
    let pem = read_private_file(path)?;
    Identity::from_pem(&pem).map_err(|error| {
        let problem = format!(
            "the client_certificate {} does not hold a PEM certificate and its private key",
            path.display()
        );
        configuration(&problem, Some(error.into()))
    })
}

fn configuration(problem: &str, source: Option<Box<dyn Error + Send + Sync>>) -> TargetError {
    TargetError::Configuration {
        problem: problem.to_owned(),
        source,
    }
}
