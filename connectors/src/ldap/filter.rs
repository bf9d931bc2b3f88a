//! Search filters (RFC 4515): checked when they are configured, and joined.
//!
//! Nothing else is ever put into a filter: of what a directory says, only names and ids, each of
//! their bytes escaped. They are sent and not shown: they may be people's names.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A filter that was parsed once. Always in parentheses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter {
    text: String,
    /// The same for messages.
    shown: String,
}

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
            true => Ok(Self::all_shown(text.to_owned())),
            false => Err(FilterError),
        }
    }

    /// A filter that this code wrote.
    pub(super) fn constant(text: &'static str) -> Self {
        Self::all_shown(text.to_owned())
    }

    fn all_shown(text: String) -> Self {
        let shown = text.clone();
        Self { text, shown }
    }

    /// What both match.
    pub(super) fn and(&self, other: &Filter) -> Self {
        Self {
            text: format!("(&{}{})", self.text, other.text),
            shown: format!("(&{}{})", self.shown, other.shown),
        }
    }

    /// What any of these match; nothing at all where there are none.
    pub(super) fn any(filters: &[Filter]) -> Self {
        match filters {
            [one] => one.clone(),
            filters => {
                let text: String = filters.iter().map(Filter::as_str).collect();
                // Of many that differ in what is not shown, one.
                let shown: BTreeSet<&str> = filters.iter().map(|it| it.shown.as_str()).collect();
                let shown: String = shown.into_iter().collect();
                Self {
                    text: format!("(|{text})"),
                    shown: format!("(|{shown})"),
                }
            }
        }
    }

    /// What this does not match.
    pub(super) fn not(&self) -> Self {
        Self {
            text: format!("(!{})", self.text),
            shown: format!("(!{})", self.shown),
        }
    }

    /// What has this value, whatever it holds.
    pub(super) fn equals(attribute: &str, value: &[u8]) -> Self {
        Self {
            text: format!("({attribute}={})", escape(value)),
            shown: format!("({attribute}=…)"),
        }
    }

    /// What has any value.
    pub(super) fn present(attribute: &str) -> Self {
        Self::all_shown(format!("({attribute}=*)"))
    }

    /// What has a value that is not below this one, in the attribute's own order.
    pub(super) fn at_least(attribute: &str, from: &str) -> Self {
        Self::all_shown(format!("({attribute}>={})", escape(from.as_bytes())))
    }

    /// What has a value in this range, its ends included, in the attribute's own order.
    pub(super) fn between(attribute: &str, from: &str, to: &str) -> Self {
        let (from, to) = (escape(from.as_bytes()), escape(to.as_bytes()));
        Self::all_shown(format!("(&({attribute}>={from})({attribute}<={to}))"))
    }

    /// The names of the attributes that it looks at, without options; `None` where it looks
    /// at all of them (an extensible match without a name, RFC 4515 §3).
    pub(super) fn attributes(&self) -> Option<BTreeSet<String>> {
        // In a value a parenthesis is always escaped.
        let parts = self.text.split('(').map(str::trim_start);
        let items = parts.filter(|part| !part.is_empty() && !part.starts_with(['&', '|', '!']));
        let names = items.map(|item| {
            let end = item.find([';', ':', '=', '<', '>', '~'])?;
            let name = item[..end].trim();
            (!name.is_empty()).then(|| name.to_owned())
        });
        names.collect()
    }

    /// Whether it mentions one of these attributes.
    pub(super) fn mentions(&self, names: &[&str]) -> bool {
        let text = self.text.to_ascii_lowercase();
        names
            .iter()
            .any(|name| text.contains(&name.to_ascii_lowercase()))
    }

    /// The filter as it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Everything but letters and digits as RFC 4515 §3 lets any octet be written.
fn escape(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value {
        match byte {
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
            byte => text.push_str(&format!("\\{byte:02x}")),
        }
    }
    text
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
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
        filter.text
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

    #[test]
    fn a_filter_says_which_attributes_it_looks_at() {
        let names = |text: &str| {
            let names = Filter::parse(text).unwrap().attributes();
            names.map(|names| Vec::from_iter(names).join(" "))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            names("(&(a=1)(|(b>=2)(!(c~=\\28x=\\29)))(d=*))"),
            some("a b c d")
        );
        assert_eq!(
            names("(userAccountControl:1.2.3:=2)"),
            some("userAccountControl")
        );
        assert_eq!(names("(&(cn;lang-de=x))"), some("cn"));
        assert_eq!(names("(&(a=1)(:dn:2.4.6:=x))"), None);
    }

    #[test]
    fn what_a_directory_says_is_asked_for_and_not_shown() {
        let named = ["CN=Ana", "CN=Bo"].map(|name| Filter::equals("manager", name.as_bytes()));
        let filter = Filter::parse("(mail=*)").unwrap().and(&Filter::any(&named));
        assert_eq!(filter.to_string(), "(&(mail=*)(|(manager=…)))");
        assert_eq!(
            filter.as_str(),
            "(&(mail=*)(|(manager=CN\\3dAna)(manager=CN\\3dBo)))"
        );
    }

    proptest! {
        #[test]
        fn any_value_can_be_asked_for_and_stays_one(value in prop::collection::vec(any::<u8>(), 1..20)) {
            let filter = Filter::equals("member", &value);
            prop_assert!(Filter::parse(filter.as_str()).is_ok(), "{filter}");
            let all = Filter::any(&[filter.clone(), filter.not()]).and(&Filter::present("cn"));
            prop_assert!(Filter::parse(all.as_str()).is_ok(), "{all}");
            prop_assert_eq!(filter.as_str().matches(['(', ')', '*']).count(), 2);
        }

        #[test]
        fn what_is_joined_of_two_filters_is_one(text in "\\PC{0,30}") {
            if let Ok(filter) = Filter::parse(&text) {
                let both = filter.and(&Filter::constant("(a=b)"));
                prop_assert!(Filter::parse(both.as_str()).is_ok(), "{both}");
            }
        }
    }
}
