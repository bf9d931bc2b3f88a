//! An entry as the server gave it: its name, and attributes whose names and options are taken
//! apart.
//!
//! Pure, and one copy of the bytes that were sent: a directory has millions of values, and most
//! are only looked at. What a server sends is data: what is not an entry is refused, never a
//! panic. Must not decide what an attribute means, apart from how its values are written as
//! text.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::dn::Dn;
use super::id::{IdEncoding, sid_text};
use super::message::{Malformed, Reader};
use crate::source::{Attributes, Value};

/// The attribute that stands for the entry's own name, for whoever asks for it.
pub(super) const DN: &str = "dn";

/// As many attributes and values have room from the start; most entries have fewer.
const ROOM: usize = 16;

/// A part of an entry's bytes, or of the list of its values.
type Span = std::ops::Range<usize>;

/// One entry of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) dn: Dn,
    /// The entry as it was sent, and behind that what was put in the place of some.
    bytes: Vec<u8>,
    attributes: Vec<Attribute>,
    /// The marks of all their names.
    marks: u64,
    /// Where the values of all attributes are.
    values: Vec<Span>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attribute {
    /// As the server spells it, without options.
    name: Span,
    mark: u64,
    /// In small letters, in their order.
    options: Vec<String>,
    /// Which of the values are its own.
    values: Span,
}

/// What an attribute is looked for by. Worth keeping for who looks into many entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description<'a> {
    text: Cow<'a, str>,
    /// How much of the text is the name; the rest are options.
    name: usize,
    options: Vec<String>,
    mark: u64,
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

impl Entry {
    /// Takes the content of a SearchResultEntry apart (RFC 4511 §4.5.2).
    pub(super) fn decode(content: &[u8]) -> Result<Self, Malformed> {
        let mut parts = Reader::new(content, 0..content.len());
        let dn = text(content, parts.primitive()?)?;
        let mut entry = Self {
            dn: Dn::parse(dn).map_err(|_| Malformed)?,
            bytes: content.to_vec(),
            attributes: Vec::with_capacity(ROOM),
            marks: 0,
            values: Vec::with_capacity(ROOM),
        };
        let mut listed = Reader::new(content, parts.constructed()?);
        while !listed.is_done() {
            let mut parts = Reader::new(content, listed.constructed()?);
            let description = parts.primitive()?;
            let (length, options) = split(text(content, description.clone())?);
            let name = description.start..description.start + length;
            let mark = mark(&content[name.clone()]);
            entry.marks |= mark;
            let mut values = Reader::new(content, parts.constructed()?);
            let first = entry.values.len();
            while !values.is_done() {
                entry.values.push(values.primitive()?);
            }
            entry.attributes.push(Attribute {
                name,
                mark,
                options,
                values: first..entry.values.len(),
            });
        }
        Ok(entry)
    }

    /// The values of an attribute. Where a description has no options, values with a language
    /// stand in only if there are none without (they are subtypes, RFC 4512 §2.5.2).
    pub(super) fn values(&self, description: &str) -> Vec<&[u8]> {
        self.each(&Description::new(description)).collect()
    }

    /// The same, one after the other.
    fn each(&self, wanted: &Description<'_>) -> impl Iterator<Item = &[u8]> {
        let named = |it: &&Attribute| it.mark == wanted.mark && self.is(it, wanted.name());
        let mut attributes = match self.marks & wanted.mark {
            0 => &[],
            _ => self.attributes.as_slice(),
        };
        let first = attributes.iter().position(|it| named(&it));
        attributes = &attributes[first.unwrap_or(attributes.len())..];
        let plain = |it: &Attribute| it.options == wanted.options && !it.values.is_empty();
        let others = wanted.options.is_empty() && !attributes.iter().filter(named).any(plain);
        attributes
            .iter()
            .filter(named)
            .filter(move |it| match others {
                true => it.range().is_none(),
                false => it.options == wanted.options,
            })
            .flat_map(|it| self.values_of(it))
    }

    fn is(&self, attribute: &Attribute, name: &[u8]) -> bool {
        self.bytes[attribute.name.clone()].eq_ignore_ascii_case(name)
    }

    fn values_of(&self, attribute: &Attribute) -> impl Iterator<Item = &[u8]> {
        let values = self.values[attribute.values.clone()].iter();
        values.map(|value| &self.bytes[value.clone()])
    }

    /// The values that are text, trimmed.
    pub(super) fn texts(&self, description: &str) -> Vec<String> {
        self.each(&Description::new(description))
            .filter_map(|value| Some(std::str::from_utf8(value).ok()?.trim().to_owned()))
            .collect()
    }

    /// Whether there is a value.
    pub(super) fn has(&self, description: &str) -> bool {
        self.has_one(&Description::new(description))
    }

    /// The same.
    pub(super) fn has_one(&self, description: &Description<'_>) -> bool {
        self.each(description).next().is_some()
    }

    /// The same, where the server gave only a part of a long list.
    pub(super) fn has_any(&self, name: &str) -> bool {
        let mut attributes = self.attributes.iter();
        attributes
            .any(|attribute| self.is(attribute, name.as_bytes()) && !attribute.values.is_empty())
    }

    /// The part of an attribute's values that the server gave, if it gave only a part
    /// (MS-ADTS §3.1.1.3.1.3.3).
    pub(super) fn take_range(&mut self, name: &str) -> Option<Range> {
        let (position, (first, last)) = self
            .attributes
            .iter()
            .enumerate()
            .filter(|(_, attribute)| self.is(attribute, name.as_bytes()))
            .find_map(|(position, attribute)| Some((position, attribute.range()?)))?;
        let values = self.values_of(&self.attributes[position]);
        let values = values.map(<[u8]>::to_vec).collect();
        self.attributes[position].values = 0..0;
        Some(Range {
            first,
            last,
            values,
        })
    }

    /// Puts the whole list in the place of its parts.
    pub(super) fn set_values(&mut self, name: &str, values: Vec<Vec<u8>>) {
        let bytes = &self.bytes;
        self.attributes
            .retain(|it| !bytes[it.name.clone()].eq_ignore_ascii_case(name.as_bytes()));
        let mark = mark(name.as_bytes());
        self.marks |= mark;
        let name = self.append(name.as_bytes());
        let first = self.values.len();
        for value in values {
            let value = self.append(&value);
            self.values.push(value);
        }
        self.attributes.push(Attribute {
            name,
            mark,
            options: Vec::new(),
            values: first..self.values.len(),
        });
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// What a record has of an attribute: its values as text, each once, and in the order of
    /// their text, because a directory has none.
    pub(super) fn record_texts<'e>(
        &'e self,
        description: &Description<'_>,
        texts: &mut Vec<Cow<'e, str>>,
    ) {
        texts.clear();
        let name = &*description.text;
        if name.eq_ignore_ascii_case(DN) {
            texts.push(Cow::Borrowed(self.dn.as_str()));
            return;
        }
        let values = self.each(description);
        texts.extend(values.filter_map(|value| value_text(name, value)));
        texts.sort_unstable();
        texts.dedup();
    }

    /// The attributes of a record: those asked for, spelled as they were asked for; else all,
    /// spelled as the server does.
    pub(super) fn attributes(&self, requested: Option<&BTreeSet<String>>) -> Attributes {
        let mut attributes = BTreeMap::new();
        let mut texts = Vec::new();
        let mut take = |name: &str| {
            self.record_texts(&Description::new(name), &mut texts);
            if !texts.is_empty() {
                let values = texts.drain(..).map(|text| Value::Text(text.into_owned()));
                attributes.insert(name.to_owned(), values.collect());
            }
        };
        match requested {
            Some(names) => names.iter().for_each(|name| take(name)),
            None => {
                for attribute in &self.attributes {
                    // Checked when it was taken apart.
                    take(std::str::from_utf8(&self.bytes[attribute.name.clone()]).unwrap_or(""));
                }
            }
        }
        Attributes(attributes)
    }
}

impl Attribute {
    fn range(&self) -> Option<(u64, Option<u64>)> {
        self.options.iter().find_map(|option| parse_range(option))
    }
}

impl<'a> Description<'a> {
    pub(super) fn new(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        let (name, options) = split(&text);
        Self {
            mark: mark(&text.as_bytes()[..name]),
            name,
            options,
            text,
        }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn name(&self) -> &[u8] {
        &self.text.as_bytes()[..self.name]
    }
}

/// One bit that is the same for names that differ in nothing but case: most names that are looked
/// for in an entry are not there, and most of those are known by this.
fn mark(name: &[u8]) -> u64 {
    let letters = name.iter().map(|byte| u32::from(byte | 0x20));
    let mixed = letters.fold(0_u32, |mixed, letter| mixed.rotate_left(5) ^ letter);
    1 << (mixed.wrapping_mul(0x9e37_79b1) >> 26)
}

/// The length of the name, and the options behind it in small letters. `binary` only says how a
/// value is sent (RFC 4522).
fn split(description: &str) -> (usize, Vec<String>) {
    let length = description.bytes().position(|byte| byte == b';');
    let Some(length) = length else {
        return (description.len(), Vec::new());
    };
    let options = description.split(';').skip(1).map(str::to_ascii_lowercase);
    let mut options: Vec<String> = options.filter(|option| option != "binary").collect();
    options.sort();
    (length, options)
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
fn value_text<'v>(name: &str, value: &'v [u8]) -> Option<Cow<'v, str>> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let text = if is("objectGUID") {
        IdEncoding::GuidLe.text(value).map(Cow::Owned)
    } else if is("objectSid") || is("sIDHistory") {
        sid_text(value).map(Cow::Owned)
    } else {
        std::str::from_utf8(value)
            .ok()
            .map(|text| Cow::Borrowed(text.trim()))
    };
    let text = text.unwrap_or_else(|| Cow::Owned(STANDARD.encode(value)));
    (!text.is_empty()).then_some(text)
}

fn text(bytes: &[u8], span: Span) -> Result<&str, Malformed> {
    std::str::from_utf8(&bytes[span]).map_err(|_| Malformed)
}

#[cfg(test)]
pub(super) mod tests;
