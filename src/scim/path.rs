//! Attribute paths: the keys of a mapping and the paths of PATCH operations.
//!
//! Grammar (RFC 7644 §3.5.2, narrowed to what a mapping can set): `a`, `a.b`,
//! `a[type eq "x"].b`, `URN:a`, `URN:a.b`. Must not know about mappings or targets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One place in a resource that holds one value.
///
/// Parsing canonicalises the spelling of core and enterprise attributes and URNs, so that
/// two spellings of one path are equal. `Display` gives the canonical text, which is also
/// the PATCH path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttributePath {
    /// The extension schema's URN; `None` for core attributes.
    pub schema: Option<String>,
    /// The attribute: `userName`, `name`, `emails`.
    pub attribute: String,
    /// `[type eq "work"]`: which element of a multi-valued attribute.
    pub selector: Option<Selector>,
    /// The sub-attribute: `givenName`, `value`.
    pub sub: Option<String>,
}

/// Picks the element of a multi-valued attribute whose sub-attribute equals a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// Usually `type`.
    pub attribute: String,
    /// Usually `work`.
    pub value: String,
}

/// Why a text is not an attribute path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an attribute path: {problem}")]
pub struct PathError {
    /// What was given.
    pub text: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl AttributePath {
    /// A core attribute without sub-attribute, such as `userName`.
    pub fn core(attribute: &str) -> Self {
        Self {
            schema: None,
            attribute: attribute.to_owned(),
            selector: None,
            sub: None,
        }
    }

    /// `userName`.
    pub fn user_name() -> Self {
        Self::core("userName")
    }

    /// `externalId`.
    pub fn external_id() -> Self {
        Self::core("externalId")
    }

    /// `displayName`.
    pub fn display_name() -> Self {
        Self::core("displayName")
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, _formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}

impl FromStr for AttributePath {
    type Err = PathError;
    fn from_str(_text: &str) -> Result<Self, PathError> {
        unimplemented!()
    }
}

impl TryFrom<String> for AttributePath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<AttributePath> for String {
    fn from(path: AttributePath) -> String {
        path.to_string()
    }
}
