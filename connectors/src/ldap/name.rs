//! Attribute names (RFC 4512 §2.5): without regard to case, and with options behind a
//! semicolon.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An attribute's name as the configuration spells it; names are the same without regard to
/// case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttributeName(String);

/// The text is no attribute's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this cannot be an attribute's name\nit is made of letters, digits and `-`, such as \
     \"entryUUID\""
)]
pub struct NameError;

impl AttributeName {
    /// A name that this code knows.
    pub(super) fn constant(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this name.
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }
}

/// Whether a text could be asked of a server as an attribute, options included.
pub(super) fn is_description(text: &str) -> bool {
    let mut parts = text.split(';');
    let keyword = |part: &str, dots: bool| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || dots && byte == b'.')
    };
    parts.next().is_some_and(|name| keyword(name, true)) && parts.all(|part| keyword(part, false))
}

impl PartialEq for AttributeName {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for AttributeName {}

impl fmt::Display for AttributeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for AttributeName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match is_description(&text) {
            true => Ok(Self(text)),
            false => Err(NameError),
        }
    }
}

impl From<AttributeName> for String {
    fn from(name: AttributeName) -> Self {
        name.0
    }
}
