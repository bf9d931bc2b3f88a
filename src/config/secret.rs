//! Where secrets are, and how requests are signed. Never a secret itself: one that is typed
//! into the file is refused, and not shown.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::explain::with_help;
use crate::target::{Auth, Secret};

/// `auth = { bearer = … }`, or `basic`, or `header`.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table: { bearer = { env = \"…\" } }"
)]
pub(super) struct RawAuth {
    bearer: Option<Spanned<RawSecret>>,
    basic: Option<RawBasic>,
    header: Option<RawHeader>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table: { username = \"…\", password = { env = \"…\" } }"
)]
struct RawBasic {
    username: Spanned<String>,
    password: Spanned<RawSecret>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table: { name = \"…\", value = { env = \"…\" } }"
)]
struct RawHeader {
    name: Spanned<String>,
    value: Spanned<RawSecret>,
}

impl RawAuth {
    /// Checks and builds. Reads no secret.
    pub(super) fn check(
        self,
        span: Range<usize>,
        document: &Document,
        base: &Path,
    ) -> Result<Auth, ConfigError> {
        match self {
            RawAuth {
                bearer: Some(secret),
                basic: None,
                header: None,
            } => Ok(Auth::Bearer(check(secret, document, base)?)),
            RawAuth {
                bearer: None,
                basic: Some(RawBasic { username, password }),
                header: None,
            } => {
                let name = username.get_ref();
                if name.is_empty() || name.contains(':') || name.contains(char::is_control) {
                    return Err(document.error(
                        username.span(),
                        "this cannot be the user name of basic authentication",
                        "it must not be empty, nor contain a colon (RFC 7617 §2)",
                    ));
                }
                Ok(Auth::Basic {
                    password: check(password, document, base)?,
                    username: username.into_inner(),
                })
            }
            RawAuth {
                bearer: None,
                basic: None,
                header: Some(RawHeader { name, value }),
            } => {
                if reqwest::header::HeaderName::from_bytes(name.get_ref().as_bytes()).is_err() {
                    return Err(document.error(
                        name.span(),
                        "this cannot be a header's name",
                        "use letters, digits and `-`, such as \"X-Api-Key\"",
                    ));
                }
                Ok(Auth::Header {
                    value: check(value, document, base)?,
                    name: name.into_inner(),
                })
            }
            _ => Err(document.error(
                span,
                "`auth` takes exactly one of `bearer`, `basic` and `header`",
                "write for example auth = { bearer = { env = \"APP_TOKEN\" } }",
            )),
        }
    }
}

/// `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`.
#[derive(Debug)]
pub(super) struct RawSecret(RawPlace);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlace {
    env: Option<Spanned<String>>,
    file: Option<Spanned<PathBuf>>,
    credential: Option<Spanned<String>>,
}

/// Checks where a secret is said to be. `base` is where relative paths start.
fn check(
    secret: Spanned<RawSecret>,
    document: &Document,
    base: &Path,
) -> Result<Secret, ConfigError> {
    let span = secret.span();
    let RawSecret(place) = secret.into_inner();
    match place {
        RawPlace {
            env: Some(name),
            file: None,
            credential: None,
        } => {
            let valid = !name.get_ref().is_empty()
                && !name.get_ref().starts_with(|c: char| c.is_ascii_digit())
                && name
                    .get_ref()
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !valid {
                return Err(document.error(
                    name.span(),
                    "this cannot be an environment variable's name",
                    "`env` takes the name of a variable that holds the secret, such as \
                     { env = \"APP_TOKEN\" }",
                ));
            }
            Ok(Secret::Env(name.into_inner()))
        }
        RawPlace {
            env: None,
            file: Some(path),
            credential: None,
        } => {
            if path.get_ref().as_os_str().is_empty() {
                return Err(document.error(
                    path.span(),
                    "the secret's file has no name",
                    "write the path of a file that only its owner can read",
                ));
            }
            Ok(Secret::File(base.join(path.into_inner())))
        }
        RawPlace {
            env: None,
            file: None,
            credential: Some(name),
        } => {
            if name.get_ref().is_empty()
                || name.get_ref().contains('/')
                || name.get_ref().starts_with('.')
            {
                return Err(document.error(
                    name.span(),
                    "this cannot be a credential's name",
                    "`credential` takes the name given to LoadCredential= in the systemd unit, \
                     such as \"app-token\"; for a path use { file = … }",
                ));
            }
            Ok(Secret::Credential(name.into_inner()))
        }
        _ => Err(document.error(
            span,
            "a secret takes exactly one of `env`, `file` and `credential`",
            "write for example { env = \"APP_TOKEN\" }",
        )),
    }
}

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;

        fn literal<E: Error>() -> E {
            with_help(
                "secrets are never literals: use { env = … }",
                "write { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }; and \
                 if this was a real secret, replace it",
            )
        }

        impl<'de> Visitor<'de> for Table {
            type Value = RawSecret;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table: { env = \"…\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawSecret, A::Error> {
                RawPlace::deserialize(MapAccessDeserializer::new(map)).map(RawSecret)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<RawSecret, E> {
                Err(literal())
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<RawSecret, E> {
                Err(literal())
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<RawSecret, E> {
                Err(literal())
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<RawSecret, E> {
                Err(literal())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<RawSecret, A::Error> {
                Err(literal())
            }
        }

        deserializer.deserialize_any(Table)
    }
}
