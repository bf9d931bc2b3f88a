//! Search filters (RFC 4515): checked when they are configured, and joined.
//!
//! Nothing else is ever put into a filter: what a directory says stays out of the question.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A filter that was parsed once. Always in parentheses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter(String);

/// The text is no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not an LDAP filter\nwrite it in parentheses, such as \
     \"(&(objectClass=person)(mail=*))\"; in a value, `*`, `(`, `)` and `\\` are written \
     `\\2a`, `\\28`, `\\29` and `\\5c`"
)]
pub struct FilterError;

impl Filter {
    /// Checks a filter.
    ///
    /// # Errors
    ///
    /// [`FilterError`] when it does not follow RFC 4515, or stands in no parentheses.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let text = text.trim();
        match text.starts_with('(') && ldap3::parse_filter(text).is_ok() {
            true => Ok(Self(text.to_owned())),
            false => Err(FilterError),
        }
    }

    /// A filter that this code wrote.
    pub(super) fn constant(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// What both match.
    pub(super) fn and(&self, other: &Filter) -> Self {
        Self(format!("(&{}{})", self.0, other.0))
    }

    /// The filter as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Filter {
    type Error = FilterError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_are_checked_when_they_are_configured() {
        for good in ["(objectClass=person)", " (&(a=b)(!(c=*))) ", "(a:1.2.3:=2)"] {
            assert!(Filter::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "objectClass=person", "(a=b", "(a=b))", "()", "(a=(b))"] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_joined_of_two_filters_is_one(text in "\\PC{0,30}") {
            if let Ok(filter) = Filter::parse(&text) {
                let both = filter.and(&Filter::constant("(a=b)"));
                prop_assert!(Filter::parse(both.as_str()).is_ok(), "{both}");
            }
        }
    }
}
