//! An entry as the server gave it: its name, and attributes whose names and options are taken
//! apart.
//!
//! Pure. What a server sends is data: what is not an entry is refused, never a panic. Must not
//! decide what an attribute means, apart from how its values are written as text.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ldap3::asn1::{PL, StructureTag};

use super::dn::Dn;
use super::id::{IdEncoding, sid_text};
use crate::source::{Attributes, Value};

/// The attribute that stands for the entry's own name, for whoever asks for it.
pub(super) const DN: &str = "dn";

/// One entry of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) dn: Dn,
    attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attribute {
    /// As the server spells it, without options.
    name: String,
    /// In small letters.
    options: Vec<String>,
    values: Vec<Vec<u8>>,
}

/// The part of a long list of values that a server gives at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    /// The number of the first value, from 0.
    pub(super) first: u64,
    /// The number of the last one; `None` where the list ends with this part.
    pub(super) last: Option<u64>,
    pub(super) values: Vec<Vec<u8>>,
}

/// What the server sent is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAnEntry;

impl Entry {
    /// Takes a SearchResultEntry apart (RFC 4511 §4.5.2).
    pub(super) fn decode(message: StructureTag) -> Result<Self, NotAnEntry> {
        let mut parts = constructed(message)?.into_iter();
        let dn = text(parts.next().ok_or(NotAnEntry)?)?;
        let dn = Dn::parse(&dn).map_err(|_| NotAnEntry)?;
        let listed = constructed(parts.next().ok_or(NotAnEntry)?)?;
        let attributes = listed.into_iter().map(|attribute| {
            let mut parts = constructed(attribute)?.into_iter();
            let description = text(parts.next().ok_or(NotAnEntry)?)?;
            let values = constructed(parts.next().ok_or(NotAnEntry)?)?;
            let values: Result<Vec<Vec<u8>>, NotAnEntry> = values
                .into_iter()
                .map(|value| value.expect_primitive().ok_or(NotAnEntry))
                .collect();
            Ok(Attribute::new(&description, values?))
        });
        Ok(Self {
            dn,
            attributes: attributes.collect::<Result<_, NotAnEntry>>()?,
        })
    }

    /// The values of an attribute. Where a description has no options, values with a language
    /// stand in only if there are none without (they are subtypes, RFC 4512 §2.5.2).
    pub(super) fn values(&self, description: &str) -> Vec<&[u8]> {
        let wanted = Attribute::new(description, Vec::new());
        let named = || {
            let attributes = self.attributes.iter();
            attributes.filter(|attribute| attribute.name.eq_ignore_ascii_case(&wanted.name))
        };
        let plain: Vec<&[u8]> = named()
            .filter(|attribute| attribute.options == wanted.options)
            .flat_map(|attribute| attribute.values.iter().map(Vec::as_slice))
            .collect();
        if !plain.is_empty() || !wanted.options.is_empty() {
            return plain;
        }
        named()
            .filter(|attribute| attribute.range().is_none())
            .flat_map(|attribute| attribute.values.iter().map(Vec::as_slice))
            .collect()
    }

    /// The values that are text, trimmed.
    pub(super) fn texts(&self, description: &str) -> Vec<String> {
        let values = self.values(description).into_iter();
        values
            .filter_map(|value| Some(std::str::from_utf8(value).ok()?.trim().to_owned()))
            .collect()
    }

    /// Whether there is a value.
    pub(super) fn has(&self, description: &str) -> bool {
        !self.values(description).is_empty()
    }

    /// The same, where the server gave only a part of a long list.
    pub(super) fn has_any(&self, name: &str) -> bool {
        let mut attributes = self.attributes.iter();
        attributes.any(|attribute| {
            attribute.name.eq_ignore_ascii_case(name) && !attribute.values.is_empty()
        })
    }

    /// The part of an attribute's values that the server gave, if it gave only a part
    /// (MS-ADTS §3.1.1.3.1.3.3).
    pub(super) fn take_range(&mut self, name: &str) -> Option<Range> {
        let attributes = self.attributes.iter_mut();
        attributes
            .filter(|attribute| attribute.name.eq_ignore_ascii_case(name))
            .find_map(|attribute| {
                let (first, last) = attribute.range()?;
                Some(Range {
                    first,
                    last,
                    values: std::mem::take(&mut attribute.values),
                })
            })
    }

    /// Puts the whole list in the place of its parts.
    pub(super) fn set_values(&mut self, name: &str, values: Vec<Vec<u8>>) {
        self.attributes
            .retain(|attribute| !attribute.name.eq_ignore_ascii_case(name));
        self.attributes.push(Attribute::new(name, values));
    }

    /// The attributes of a record: those asked for, spelled as they were asked for; else all,
    /// spelled as the server does. Values are in the order of their text, because a directory
    /// has none.
    pub(super) fn attributes(&self, requested: Option<&BTreeSet<String>>) -> Attributes {
        let mut attributes = BTreeMap::new();
        let mut take = |name: &str| {
            let values: BTreeSet<Value> = match name.eq_ignore_ascii_case(DN) {
                true => BTreeSet::from([Value::Text(self.dn.as_str().to_owned())]),
                false => self
                    .values(name)
                    .into_iter()
                    .filter_map(|value| value_text(name, value))
                    .map(Value::Text)
                    .collect(),
            };
            if !values.is_empty() {
                attributes.insert(name.to_owned(), Vec::from_iter(values));
            }
        };
        match requested {
            Some(names) => names.iter().for_each(|name| take(name)),
            None => self
                .attributes
                .iter()
                .for_each(|attribute| take(&attribute.name)),
        }
        Attributes(attributes)
    }
}

impl Attribute {
    /// Splits the options off. `binary` only says how a value is sent (RFC 4522).
    fn new(description: &str, values: Vec<Vec<u8>>) -> Self {
        let mut parts = description.split(';');
        let name = parts.next().unwrap_or_default().to_owned();
        let mut options: Vec<String> = parts
            .map(str::to_ascii_lowercase)
            .filter(|option| option != "binary")
            .collect();
        options.sort();
        Self {
            name,
            options,
            values,
        }
    }

    fn range(&self) -> Option<(u64, Option<u64>)> {
        self.options.iter().find_map(|option| parse_range(option))
    }
}

/// `range=0-1499`, or `range=1500-*` for the last part.
fn parse_range(option: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = option.strip_prefix("range=")?.split_once('-')?;
    let first = first.parse().ok()?;
    match last {
        "*" => Some((first, None)),
        last => {
            let last = last.parse().ok()?;
            (last >= first).then_some((first, Some(last)))
        }
    }
}

/// One value as text; what is no text is written in the way that is usual for it. `None` for
/// an empty one.
fn value_text(name: &str, value: &[u8]) -> Option<String> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let text = if is("objectGUID") {
        IdEncoding::GuidLe.text(value)
    } else if is("objectSid") || is("sIDHistory") {
        sid_text(value)
    } else {
        std::str::from_utf8(value)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let text = text.unwrap_or_else(|| STANDARD.encode(value));
    (!text.is_empty()).then_some(text)
}

fn constructed(tag: StructureTag) -> Result<Vec<StructureTag>, NotAnEntry> {
    match tag.payload {
        PL::C(parts) => Ok(parts),
        PL::P(_) => Err(NotAnEntry),
    }
}

fn text(tag: StructureTag) -> Result<String, NotAnEntry> {
    let bytes = tag.expect_primitive().ok_or(NotAnEntry)?;
    String::from_utf8(bytes).map_err(|_| NotAnEntry)
}

#[cfg(test)]
pub(super) mod tests;
