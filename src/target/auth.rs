//! How a request proves who sends it.
//!
//! The secret is read when a request is signed and kept nowhere, so that it rotates without a
//! restart. Must not name a secret's content in an error, only its place.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use provisor_connectors::secret::{Secret, SecretError};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

/// How requests are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Basic …`.
    Basic {
        /// The user name; not a secret.
        username: String,
        /// The password.
        password: Secret,
    },
    /// Any header.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret,
    },
}

impl Auth {
    /// Reads the secret and makes the header that signs a request. The value is marked
    /// sensitive, so that no HTTP library prints it or keeps it in a compression table.
    pub(super) fn header(&self) -> Result<(HeaderName, HeaderValue), SecretError> {
        let (name, secret, text) = match self {
            Auth::Bearer(secret) => {
                let token = secret.read()?;
                let text = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
                (AUTHORIZATION, secret, text)
            }
            Auth::Basic { username, password } => {
                let plain = password.read()?;
                let pair = Zeroizing::new(format!("{username}:{}", plain.expose_secret()));
                let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
                let text = Zeroizing::new(format!("Basic {}", encoded.as_str()));
                (AUTHORIZATION, password, text)
            }
            Auth::Header { name, value } => {
                let plain = value.read()?;
                let text = Zeroizing::new(plain.expose_secret().to_owned());
                let name =
                    HeaderName::from_bytes(name.as_bytes()).map_err(|_| SecretError::Unusable {
                        place: format!("the header name `{name}`"),
                    })?;
                (name, value, text)
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| SecretError::Unusable {
            place: secret.place(),
        })?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_sensitive_and_nothing_prints_a_secret() {
        let secret = Secret::Generated("s3cret".to_owned().into());
        let auth = Auth::Bearer(secret.clone());
        let (name, value) = auth.header().unwrap();
        assert_eq!(
            (name, value.to_str().unwrap()),
            (AUTHORIZATION, "Bearer s3cret")
        );
        assert!(value.is_sensitive());
        assert!(!format!("{auth:?} {value:?}").contains("s3cret"));

        let basic = Auth::Basic {
            username: "ana".to_owned(),
            password: secret.clone(),
        };
        assert_eq!(
            basic.header().unwrap().1.to_str().unwrap(),
            "Basic YW5hOnMzY3JldA=="
        );
        let own = Auth::Header {
            name: "X-Api-Key".to_owned(),
            value: secret,
        };
        assert_eq!(own.header().unwrap().0.as_str(), "x-api-key");
    }

    #[test]
    fn a_secret_that_no_header_can_carry_is_named_by_its_place_only() {
        let secret = Secret::Generated("two\nlines".to_owned().into());
        let error = Auth::Bearer(secret).header().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the generated token holds characters that a header cannot carry"
        );
    }
}
