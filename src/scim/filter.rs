//! Filters (RFC 7644 §3.4.2.2): writing the few that a client sends, and parsing and
//! evaluating all of them for the embedded service provider.
//!
//! Pure. Length and depth are bounded, because a service provider parses what strangers send.
//! Must not know any resource type: names are compared without regard to case, and which
//! values are case-exact follows from the names of RFC 7643.

mod evaluate;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(crate) use evaluate::is_core;
pub use evaluate::{compare, matches};
pub use parse::{parse, parse_attribute, parse_target};

/// The longest filter that is parsed, in bytes.
pub const MAX_LENGTH: usize = 8 * 1024;
/// The deepest nesting of groups, `not` and value paths that is parsed.
pub const MAX_DEPTH: usize = 32;

/// Writes `path eq "value"`, the value escaped as a JSON string. Not percent-encoded.
pub fn equals(path: &str, value: &str) -> String {
    format!("{path} eq {}", Value::String(value.to_owned()))
}

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them.
    And(Vec<Filter>),
    /// Any of them.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The attribute has a value that is not empty.
    Present(Attribute),
    /// A value of the attribute compares so.
    Compare(Attribute, Operator, Value),
    /// One element of the attribute fulfils the inner filter: `emails[type eq "work"]`.
    Element(Attribute, Box<Filter>),
}

/// An attribute as a filter names it, in the spelling given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The schema's URN, if one was written.
    pub schema: Option<String>,
    /// The attribute.
    pub name: String,
    /// The sub-attribute.
    pub sub: Option<String>,
}

/// What a PATCH path points at: an attribute, elements of one, or a sub-attribute of those
/// (`PATH` of RFC 7644 §3.5.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The attribute; its `sub` is the one before or after the brackets.
    pub attribute: Attribute,
    /// What stands in brackets.
    pub filter: Option<Filter>,
}

/// The comparisons. `pr` is [`Filter::Present`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `eq`.
    Equal,
    /// `ne`.
    NotEqual,
    /// `co`.
    Contains,
    /// `sw`.
    StartsWith,
    /// `ew`.
    EndsWith,
    /// `gt`.
    Greater,
    /// `ge`.
    GreaterOrEqual,
    /// `lt`.
    Less,
    /// `le`.
    LessOrEqual,
}

/// Why a text is not a filter, or not a path: `invalidFilter`, `invalidPath`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub struct FilterError {
    /// Where, in characters from 1.
    pub position: usize,
    /// What is wrong there, and what would be right.
    pub problem: String,
}
