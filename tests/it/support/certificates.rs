//! Certificates, good and bad, made while a test runs: none can expire in the repository, and
//! no key is ever committed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its private key.
    pub(crate) key: String,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, new_key()).expect("an authority can be made"))
    }

    /// Its own certificate, PEM: what `ca_file` holds.
    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these hosts (names or addresses), valid for decades.
    pub(crate) fn issue(&self, hosts: &[&str]) -> Pair {
        self.issue_between(hosts, 2000, 2100)
    }

    /// A certificate that is valid between the first days of two years.
    pub(crate) fn issue_between(&self, hosts: &[&str], from: i32, until: i32) -> Pair {
        let mut params = named("leaf", hosts);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = new_key();
        let issuer: &Issuer<'_, KeyPair> = &self.0;
        let certificate = params
            .signed_by(&key, issuer)
            .expect("a certificate can be signed");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Pair {
    /// A certificate that vouches for itself. As an authority it is what `openssl req -x509`
    /// makes when nothing else is asked for.
    pub(crate) fn self_signed(hosts: &[&str], as_authority: bool) -> Self {
        let mut params = named("self", hosts);
        if as_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = new_key();
        let certificate = params.self_signed(&key).expect("a certificate can be made");
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Writes both into one file that only its owner can read: a `client_certificate`.
    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, format!("{}{}", self.certificate, self.key))
            .expect("a file in the temporary folder");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, private).expect("its mode can be set");
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("hosts are names or addresses");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}
