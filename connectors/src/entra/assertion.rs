//! A signed statement instead of a secret: a JWT under PS256 with the certificate's SHA-256
//! thumbprint (Microsoft identity platform, "Certificate credentials").
//!
//! Must not keep the key: it is read for every sign-in, so that it rotates.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long a statement is good for, in seconds. Five to ten minutes are recommended.
const LIFETIME: i64 = 300;

/// Signs a statement that this is the client, for one token endpoint.
///
/// # Errors
///
/// What is wrong with the certificate or key, in words.
pub(super) fn sign(
    pem: &SecretString,
    client_id: &str,
    audience: &str,
    now: DateTime<Utc>,
    id: Uuid,
) -> Result<SecretString, &'static str> {
    let pem = pem.expose_secret().as_bytes();
    let certificate = CertificateDer::from_pem_slice(pem)
        .map_err(|_| "`certificate` holds no PEM certificate (`-----BEGIN CERTIFICATE-----`)")?;
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "`certificate` holds no PEM private key beside the certificate")?;
    let key = match &key {
        PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(NOT_RSA),
    };
    let key = key.map_err(|_| NOT_RSA)?;
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate));
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint});
    let now = now.timestamp();
    let claims = json!({
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": id,
        "nbf": now,
        "iat": now,
        "exp": now + LIFETIME,
    });
    let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mut signature = Zeroizing::new(vec![0; key.public_modulus_len()]);
    let random = SystemRandom::new();
    key.sign(&RSA_PSS_SHA256, &random, signed.as_bytes(), &mut signature)
        .map_err(|_| "the private key in `certificate` cannot sign")?;
    let signature = URL_SAFE_NO_PAD.encode(&signature);
    Ok(SecretString::from(format!("{signed}.{signature}")))
}

const NOT_RSA: &str =
    "the private key in `certificate` is not an RSA key, which is what Microsoft Entra takes";
