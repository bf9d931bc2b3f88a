//! Attribute paths: the keys of a mapping and the paths of PATCH operations.
//!
//! Grammar (RFC 7644 §3.5.2, narrowed to what a mapping can set): `a`, `a.b`,
//! `a[type eq "x"]`, `a[type eq "x"].b`, `URN:a`, `URN:a.b`. Must not know about mappings
//! or targets.

mod names;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize, Serializer};

use super::ENTERPRISE_SCHEMA;

/// One place in a resource that holds one value. Cheap to clone, because a plan names the same
/// few paths for everybody.
///
/// Parsing canonicalises the spelling of core and enterprise attributes and URNs, so that
/// two spellings of one path are equal. `Display` gives the canonical text, which is also
/// the PATCH path.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct AttributePath(Arc<Spelled>);

/// A path and its canonical text, which is written for every value of everybody.
#[derive(Debug)]
struct Spelled {
    parts: Parts,
    text: String,
}

/// What an [`AttributePath`] is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parts {
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
        Self::from(Parts {
            schema: None,
            attribute: attribute.to_owned(),
            selector: None,
            sub: None,
        })
    }

    /// `userName`.
    pub fn user_name() -> Self {
        static PATH: LazyLock<AttributePath> = LazyLock::new(|| AttributePath::core("userName"));
        PATH.clone()
    }

    /// `externalId`.
    pub fn external_id() -> Self {
        static PATH: LazyLock<AttributePath> = LazyLock::new(|| AttributePath::core("externalId"));
        PATH.clone()
    }

    /// `displayName`.
    pub fn display_name() -> Self {
        static PATH: LazyLock<AttributePath> = LazyLock::new(|| AttributePath::core("displayName"));
        PATH.clone()
    }

    /// The enterprise extension's `manager` (RFC 7643 §4.3): a reference to another user.
    pub fn manager() -> Self {
        static PATH: LazyLock<AttributePath> =
            LazyLock::new(|| AttributePath::core("manager").within(Some(ENTERPRISE_SCHEMA)));
        PATH.clone()
    }

    /// The same attribute of an extension's schema; of the core schema, where there is none.
    #[must_use]
    pub fn within(&self, schema: Option<&str>) -> Self {
        Self::from(Parts {
            schema: schema.map(str::to_owned),
            ..Parts::clone(self)
        })
    }

    /// The element that is selected of the attribute, in place of another.
    #[must_use]
    pub fn select(&self, selector: Selector) -> Self {
        Self::from(Parts {
            selector: Some(selector),
            ..Parts::clone(self)
        })
    }

    /// A sub-attribute of the attribute or element, in place of another.
    #[must_use]
    pub fn join(&self, sub: &str) -> Self {
        Self::from(Parts {
            sub: Some(sub.to_owned()),
            ..Parts::clone(self)
        })
    }

    /// The attribute as a whole.
    #[must_use]
    pub fn whole(&self) -> Self {
        if self.selector.is_none() && self.sub.is_none() {
            return self.clone();
        }
        Self::from(Parts {
            schema: self.schema.clone(),
            attribute: self.attribute.clone(),
            selector: None,
            sub: None,
        })
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl Deref for AttributePath {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl From<Parts> for AttributePath {
    fn from(parts: Parts) -> Self {
        let text = parts.to_string();
        Self(Arc::new(Spelled { parts, text }))
    }
}

impl PartialEq for AttributePath {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for AttributePath {}

impl Hash for AttributePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.parts.hash(state);
    }
}

impl Ord for AttributePath {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.parts.cmp(&other.0.parts)
    }
}

impl PartialOrd for AttributePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            schema,
            attribute,
            selector,
            sub,
        } = self;
        if let Some(schema) = schema {
            write!(formatter, "{schema}:")?;
        }
        formatter.write_str(attribute)?;
        if let Some(Selector { attribute, value }) = selector {
            // A value in a path is a JSON string (RFC 7644 §3.4.2.2).
            let value = serde_json::Value::String(value.clone());
            write!(formatter, "[{attribute} eq {value}]")?;
        }
        if let Some(sub) = sub {
            write!(formatter, ".{sub}")?;
        }
        Ok(())
    }
}

impl FromStr for AttributePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        parse(text.trim()).map_err(|problem| PathError {
            text: text.to_owned(),
            problem,
        })
    }
}

impl TryFrom<String> for AttributePath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl Serialize for AttributePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Reads a path and settles its spelling. The error is the problem alone.
fn parse(text: &str) -> Result<AttributePath, String> {
    if text.is_empty() {
        return Err("it is empty; write an attribute such as `userName`".to_owned());
    }
    let (name, bracket) = match text.find('[') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (schema, rest) = split_schema(name)?;
    let (attribute, mut sub) = match rest.split_once('.') {
        Some((attribute, sub)) => (attribute, Some(sub)),
        None => (rest, None),
    };
    check_name(attribute, "attribute")?;
    let selector = match bracket {
        Some(_) if sub.is_some() => {
            return Err("the selector belongs before the sub-attribute, as in \
                 `emails[type eq \"work\"].value`"
                .to_owned());
        }
        Some(inside) => {
            let (selector, after) = parse_selector(inside)?;
            sub = match after.strip_prefix('.') {
                Some(sub) => Some(sub),
                None if after.is_empty() => None,
                None => {
                    return Err(format!(
                        "`{after}` follows the selector; write `.` and a sub-attribute, as in \
                         `emails[type eq \"work\"].value`"
                    ));
                }
            };
            Some(selector)
        }
        None => None,
    };
    if let Some(sub) = sub {
        if sub.contains('.') {
            return Err("sub-attributes are one level deep, as in `name.givenName`".to_owned());
        }
        check_name(sub, "sub-attribute")?;
    }
    names::canonicalise(schema, attribute, selector, sub)
}

/// Splits `URN:attribute`. The last colon separates: a URN has colons and dots of its own.
fn split_schema(name: &str) -> Result<(Option<&str>, &str), String> {
    let Some((schema, rest)) = name.rsplit_once(':') else {
        return Ok((None, name));
    };
    if !schema
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
    {
        return Err("what stands before the `:` must be a schema URN, as in \
             `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department`"
            .to_owned());
    }
    // Each of these ends a name in a filter (RFC 7644 §3.4.2.2), so nobody could be looked up.
    let ends_a_name =
        |c: &char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '[' | ']' | '(' | ')');
    if let Some(character) = schema.chars().find(ends_a_name) {
        return Err(format!("{character:?} cannot be in a schema URN"));
    }
    // `URN` or, as some identity providers once wrote, `URN.attribute`.
    let last = rest.split('.').next().unwrap_or(rest);
    if let Some(urn) = names::known_schema(&format!("{schema}:{last}")) {
        return Err(format!(
            "it names a schema without an attribute; write a `:` and one, as in `{urn}:{}`",
            names::example_of(urn)
        ));
    }
    Ok((Some(schema), rest))
}

/// Reads `type eq "work"]…` and returns what follows the bracket.
fn parse_selector(inside: &str) -> Result<(Selector, &str), String> {
    const SHAPE: &str = "write the selector as in `emails[type eq \"work\"].value`";
    let inside = inside.trim_start();
    let (attribute, rest) = inside
        .split_once(char::is_whitespace)
        .ok_or_else(|| SHAPE.to_owned())?;
    check_name(attribute, "selector's attribute")?;
    let rest = rest.trim_start();
    let rest = match rest.get(..2) {
        Some(operator) if operator.eq_ignore_ascii_case("eq") => rest[2..].trim_start(),
        _ => return Err(format!("a selector compares with `eq`; {SHAPE}")),
    };
    if !rest.starts_with('"') {
        return Err(format!(
            "the selector's value needs quotation marks; {SHAPE}"
        ));
    }
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        _ => {
            return Err(format!(
                "the selector's value is not a JSON string; {SHAPE}"
            ));
        }
    };
    let after = rest[values.byte_offset()..].trim_start();
    let after = after
        .strip_prefix(']')
        .ok_or_else(|| format!("the selector is not closed with `]`; {SHAPE}"))?;
    let selector = Selector {
        attribute: attribute.to_owned(),
        value,
    };
    Ok((selector, after))
}

/// `ATTRNAME` of RFC 7643 §2.1, and `$ref`.
fn check_name(name: &str, what: &str) -> Result<(), String> {
    let plain = name.strip_prefix('$').unwrap_or(name);
    let valid = plain.starts_with(|c: char| c.is_ascii_alphabetic())
        && plain
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if valid {
        return Ok(());
    }
    if name.is_empty() {
        return Err(format!("the {what} is missing"));
    }
    Err(format!(
        "`{name}` cannot name the {what}: names are letters, digits, `-` and `_`, and start \
         with a letter"
    ))
}
