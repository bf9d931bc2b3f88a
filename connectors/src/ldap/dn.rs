//! Distinguished names (RFC 4514): parsed, and compared as directories compare them.
//!
//! Two names are the same when their types and values are, without regard to case, escapes,
//! the spaces around and between words, and the order within a multi-valued RDN. Pure; must
//! not decide what a name stands for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A distinguished name, as written and as compared.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dn {
    text: String,
    /// The parts in their compared form, the entry's own first, each behind its length.
    key: Vec<u8>,
}

/// The text is no distinguished name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a distinguished name\nwrite it as the directory shows it, such as \
     \"ou=People,dc=example,dc=com\"; a comma within a value is written `\\,`"
)]
pub struct DnError;

impl Dn {
    /// Parses a name. The empty name is that of the root.
    ///
    /// # Errors
    ///
    /// [`DnError`] when the text does not follow RFC 4514 (or the quoted form of RFC 2253).
    pub fn parse(text: &str) -> Result<Self, DnError> {
        let mut parser = Parser {
            rest: text.as_bytes(),
            value: Vec::new(),
        };
        Ok(Self {
            key: parser.name()?,
            text: text.to_owned(),
        })
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it stands in, as it was written: all but its own part, which may be a person's name.
    pub(super) fn place(&self) -> &str {
        let (mut escaped, mut quoted) = (false, false);
        let end = self.text.bytes().position(|byte| {
            let ends = matches!(byte, b',' | b';') && !escaped && !quoted;
            quoted ^= byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        end.map_or("", |end| self.text[end + 1..].trim_start())
    }

    /// Whether this is `base` itself or stands below it.
    pub fn is_within(&self, base: &Dn) -> bool {
        let mut rest = self.key.as_slice();
        while rest.len() > base.key.len() {
            let Some((_, more)) = split_part(rest) else {
                return false;
            };
            rest = more;
        }
        rest == base.key
    }

    /// Whether one of the parts is this one, such as `cn=accounts`.
    pub(super) fn has_part(&self, part: &Dn) -> bool {
        let wanted = split_part(&part.key).filter(|(_, rest)| rest.is_empty());
        let mut parts = self.parts();
        wanted.is_some_and(|(wanted, _)| parts.any(|part| part == wanted))
    }

    /// The compared form as bytes: equal for equal names, and different for others.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.key.as_slice();
        std::iter::from_fn(move || {
            let (part, more) = split_part(rest)?;
            rest = more;
            Some(part)
        })
    }
}

/// The first part of a key, and what follows it.
fn split_part(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = key.split_first_chunk()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

/// Room for the length of what is written next, and where it is.
fn start_length(key: &mut Vec<u8>) -> usize {
    key.extend([0; 8]);
    key.len()
}

/// Writes the length of what was written since.
fn end_length(key: &mut [u8], start: usize) {
    let length = (key.len() - start) as u64;
    key[start - 8..start].copy_from_slice(&length.to_be_bytes());
}

impl PartialEq for Dn {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Dn {}

impl fmt::Display for Dn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl TryFrom<String> for Dn {
    type Error = DnError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(text.trim())
    }
}

impl From<Dn> for String {
    fn from(dn: Dn) -> Self {
        dn.text
    }
}

/// Reads a name from its front.
struct Parser<'a> {
    rest: &'a [u8],
    /// The value under way, without its escapes.
    value: Vec<u8>,
}

impl Parser<'_> {
    fn name(&mut self) -> Result<Vec<u8>, DnError> {
        self.skip_spaces();
        let mut key = Vec::with_capacity(2 * self.rest.len());
        if self.rest.is_empty() {
            return Ok(key);
        }
        loop {
            self.part(&mut key)?;
            match self.take() {
                None => return Ok(key),
                Some(b',' | b';') => {}
                Some(_) => return Err(DnError),
            }
        }
    }

    /// One RDN: several pairs joined by `+` are sorted, because their order means nothing.
    fn part(&mut self, key: &mut Vec<u8>) -> Result<(), DnError> {
        let start = start_length(key);
        self.pair(key)?;
        if self.rest.first() == Some(&b'+') {
            let mut pairs = vec![key.split_off(start)];
            while self.rest.first() == Some(&b'+') {
                self.take();
                let mut pair = Vec::new();
                self.pair(&mut pair)?;
                pairs.push(pair);
            }
            pairs.sort();
            key.extend(pairs.concat());
        }
        end_length(key, start);
        Ok(())
    }

    fn pair(&mut self, key: &mut Vec<u8>) -> Result<(), DnError> {
        self.skip_spaces();
        let length = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
            .count();
        let (name, rest) = self.rest.split_at(length);
        push_type(key, name)?;
        self.rest = rest;
        self.skip_spaces();
        if self.take() != Some(b'=') {
            return Err(DnError);
        }
        key.push(b'=');
        self.skip_spaces();
        self.value.clear();
        match self.rest.first() {
            Some(b'#') => self.hexadecimal()?,
            Some(b'"') => self.quoted()?,
            _ => self.plain()?,
        }
        let start = start_length(key);
        push_value(key, &self.value);
        end_length(key, start);
        Ok(())
    }

    /// Up to an unescaped separator. Spaces at the end count only when they are escaped.
    fn plain(&mut self) -> Result<(), DnError> {
        let mut significant = 0;
        while let Some(&byte) = self.rest.first() {
            match byte {
                b',' | b';' | b'+' => break,
                b'\\' => {
                    self.take();
                    let byte = self.escaped()?;
                    self.value.push(byte);
                    significant = self.value.len();
                }
                b'"' | b'<' | b'>' => return Err(DnError),
                _ => {
                    self.take();
                    self.value.push(byte);
                    if byte != b' ' {
                        significant = self.value.len();
                    }
                }
            }
        }
        self.value.truncate(significant);
        Ok(())
    }

    /// The form of RFC 2253 §4, which old servers still give.
    fn quoted(&mut self) -> Result<(), DnError> {
        self.take();
        loop {
            let byte = match self.take().ok_or(DnError)? {
                b'"' => break,
                b'\\' => self.escaped()?,
                byte => byte,
            };
            self.value.push(byte);
        }
        self.skip_spaces();
        Ok(())
    }

    /// `#` and the value's BER in hexadecimal (RFC 4514 §2.4). Texts and octet strings are
    /// the same as if they had been written plainly.
    fn hexadecimal(&mut self) -> Result<(), DnError> {
        self.take();
        while let Some(high) = self.rest.first().copied().and_then(hex_digit) {
            self.take();
            let low = self.take().and_then(hex_digit).ok_or(DnError)?;
            self.value.push(high << 4 | low);
        }
        self.skip_spaces();
        match self.value.as_slice() {
            [0x04 | 0x0c | 0x13 | 0x16, length, content @ ..]
                if usize::from(*length) == content.len() && *length < 0x80 =>
            {
                self.value.drain(..2);
                Ok(())
            }
            [] => Err(DnError),
            _ => Ok(()),
        }
    }

    /// What follows a backslash: two hexadecimal digits, or a character that stands for itself.
    fn escaped(&mut self) -> Result<u8, DnError> {
        let first = self.take().ok_or(DnError)?;
        match (
            hex_digit(first),
            self.rest.first().copied().and_then(hex_digit),
        ) {
            (Some(high), Some(low)) => {
                self.take();
                Ok(high << 4 | low)
            }
            _ if first.is_ascii_alphanumeric() => Err(DnError),
            _ => Ok(first),
        }
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip_spaces(&mut self) {
        while self.rest.first() == Some(&b' ') {
            self.take();
        }
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// Writes the type in small letters, and under one of its names (RFC 4519 §2, RFC 4514 §3).
fn push_type(key: &mut Vec<u8>, name: &[u8]) -> Result<(), DnError> {
    let name = match name.split_first_chunk::<4>() {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(b"oid.") => rest,
        _ => name,
    };
    if name.is_empty() {
        return Err(DnError);
    }
    let start = key.len();
    key.extend(name.iter().map(u8::to_ascii_lowercase));
    let canonical: &[u8] = match &key[start..] {
        b"2.5.4.3" | b"commonname" => b"cn",
        b"2.5.4.4" | b"surname" => b"sn",
        b"2.5.4.6" | b"countryname" => b"c",
        b"2.5.4.7" | b"localityname" => b"l",
        b"2.5.4.8" | b"stateorprovincename" => b"st",
        b"2.5.4.9" | b"streetaddress" => b"street",
        b"2.5.4.10" | b"organizationname" => b"o",
        b"2.5.4.11" | b"organizationalunitname" => b"ou",
        b"0.9.2342.19200300.100.1.25" | b"domaincomponent" => b"dc",
        b"0.9.2342.19200300.100.1.1" | b"userid" => b"uid",
        _ => return Ok(()),
    };
    key.truncate(start);
    key.extend_from_slice(canonical);
    Ok(())
}

/// Writes the value without regard to case, and with one space for many (RFC 4518 §2.6.1). What
/// is not text is compared byte for byte.
fn push_value(key: &mut Vec<u8>, value: &[u8]) {
    let Ok(text) = std::str::from_utf8(value) else {
        key.extend_from_slice(value);
        return;
    };
    let words = text.split(' ').filter(|word| !word.is_empty());
    if !text.is_ascii() {
        // What a letter's small form is may depend on its neighbours.
        let words: Vec<&str> = words.collect();
        key.extend_from_slice(words.join(" ").to_lowercase().as_bytes());
        return;
    }
    for (position, word) in words.enumerate() {
        if position > 0 {
            key.push(b' ');
        }
        key.extend(word.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
}

#[cfg(test)]
mod tests;
