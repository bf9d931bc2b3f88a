//! TLS to a directory: the same library, provider and trust store as towards the targets.
//!
//! Always verified; there is no switch against it.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::Verifier;

use crate::secret::read_private_file;
use crate::source::SourceError;

/// Reads the certificate files and builds the client's side. Blocking.
pub(super) fn client(
    ca_file: Option<&Path>,
    client_certificate: Option<&Path>,
) -> Result<Arc<ClientConfig>, SourceError> {
    let roots = match ca_file {
        Some(path) => read_roots(path)?,
        None => Vec::new(),
    };
    let provider = Arc::new(default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
        .map_err(|error| refused("the certificates to trust cannot be used", &error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused("TLS cannot be set up", &error))?
        .dangerous() // its name; what is set is the system's own verifier
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match client_certificate {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let (chain, key) = read_client_certificate(path)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| refused("the `client_certificate` cannot be used", &error))?
        }
    };
    Ok(Arc::new(config))
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let pem = std::fs::read(path).map_err(|source| SourceError::File {
        path: path.to_owned(),
        source,
    })?;
    certificates(&pem).ok_or_else(|| SourceError::Configuration {
        problem: format!(
            "the `ca_file` {} holds no PEM certificate (`-----BEGIN CERTIFICATE-----`)",
            path.display()
        ),
    })
}

/// The file holds a private key, so it is guarded like any secret.
fn read_client_certificate(
    path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SourceError> {
    let pem = read_private_file(path)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).ok();
    certificates(&pem)
        .zip(key)
        .ok_or_else(|| SourceError::Configuration {
            problem: format!(
                "the `client_certificate` {} does not hold a PEM certificate and its private key",
                path.display()
            ),
        })
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|found| !found.is_empty())
}

fn refused(problem: &str, error: &rustls::Error) -> SourceError {
    SourceError::Configuration {
        problem: format!("{problem}: {error}"),
    }
}
