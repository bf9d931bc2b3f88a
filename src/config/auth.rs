//! How requests are signed. Never a secret itself, but the place where it is.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use crate::target::{Auth, Secret};

/// `auth = { bearer = … }`, or `basic`, or `header`.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table: { bearer = { env = \"…\" } }"
)]
pub(super) struct RawAuth {
    bearer: Option<Secret>,
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
    password: Secret,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table: { name = \"…\", value = { env = \"…\" } }"
)]
struct RawHeader {
    name: Spanned<String>,
    value: Secret,
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
            } => Ok(Auth::Bearer(secret.below(base))),
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
                    password: password.below(base),
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
                    value: value.below(base),
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
