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
    /// The parts in their compared form, the entry's own first.
    parts: Vec<Vec<u8>>,
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
        };
        Ok(Self {
            parts: parser.name()?,
            text: text.to_owned(),
        })
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is `base` itself or stands below it.
    pub fn is_within(&self, base: &Dn) -> bool {
        self.parts.ends_with(&base.parts)
    }

    /// Whether one of the parts is this one, such as `cn=accounts`.
    pub(super) fn has_part(&self, part: &Dn) -> bool {
        part.parts.len() == 1 && self.parts.contains(&part.parts[0])
    }

    /// The compared form as bytes: equal for equal names, and different for others.
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.text.len() + 8 * self.parts.len());
        for part in &self.parts {
            key.extend((part.len() as u64).to_be_bytes());
            key.extend(part);
        }
        key
    }
}

impl PartialEq for Dn {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
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
}

impl Parser<'_> {
    fn name(&mut self) -> Result<Vec<Vec<u8>>, DnError> {
        self.skip_spaces();
        let mut parts = Vec::new();
        if self.rest.is_empty() {
            return Ok(parts);
        }
        loop {
            parts.push(self.part()?);
            match self.take() {
                None => return Ok(parts),
                Some(b',' | b';') => {}
                Some(_) => return Err(DnError),
            }
        }
    }

    /// One RDN: several pairs joined by `+` are sorted, because their order means nothing.
    fn part(&mut self) -> Result<Vec<u8>, DnError> {
        let mut pairs = vec![self.pair()?];
        while self.rest.first() == Some(&b'+') {
            self.take();
            pairs.push(self.pair()?);
        }
        pairs.sort();
        let mut part = Vec::new();
        for (name, value) in pairs {
            part.extend(name.bytes());
            part.push(b'=');
            part.extend((value.len() as u64).to_be_bytes());
            part.extend(value);
        }
        Ok(part)
    }

    fn pair(&mut self) -> Result<(String, Vec<u8>), DnError> {
        self.skip_spaces();
        let length = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
            .count();
        let (name, rest) = self.rest.split_at(length);
        let name = canonical_type(name).ok_or(DnError)?;
        self.rest = rest;
        self.skip_spaces();
        if self.take() != Some(b'=') {
            return Err(DnError);
        }
        self.skip_spaces();
        let value = match self.rest.first() {
            Some(b'#') => self.hexadecimal()?,
            Some(b'"') => self.quoted()?,
            _ => self.plain()?,
        };
        Ok((name, canonical_value(value)))
    }

    /// Up to an unescaped separator. Spaces at the end count only when they are escaped.
    fn plain(&mut self) -> Result<Vec<u8>, DnError> {
        let mut value = Vec::new();
        let mut significant = 0;
        while let Some(&byte) = self.rest.first() {
            match byte {
                b',' | b';' | b'+' => break,
                b'\\' => {
                    self.take();
                    value.push(self.escaped()?);
                    significant = value.len();
                }
                b'"' | b'<' | b'>' => return Err(DnError),
                _ => {
                    self.take();
                    value.push(byte);
                    if byte != b' ' {
                        significant = value.len();
                    }
                }
            }
        }
        value.truncate(significant);
        Ok(value)
    }

    /// The form of RFC 2253 §4, which old servers still give.
    fn quoted(&mut self) -> Result<Vec<u8>, DnError> {
        self.take();
        let mut value = Vec::new();
        loop {
            match self.take().ok_or(DnError)? {
                b'"' => break,
                b'\\' => value.push(self.escaped()?),
                byte => value.push(byte),
            }
        }
        self.skip_spaces();
        Ok(value)
    }

    /// `#` and the value's BER in hexadecimal (RFC 4514 §2.4). Texts and octet strings are
    /// the same as if they had been written plainly.
    fn hexadecimal(&mut self) -> Result<Vec<u8>, DnError> {
        self.take();
        let mut bytes = Vec::new();
        while let Some(high) = self.rest.first().copied().and_then(hex_digit) {
            self.take();
            let low = self.take().and_then(hex_digit).ok_or(DnError)?;
            bytes.push(high << 4 | low);
        }
        self.skip_spaces();
        match bytes.as_slice() {
            [0x04 | 0x0c | 0x13 | 0x16, length, content @ ..]
                if usize::from(*length) == content.len() && *length < 0x80 =>
            {
                Ok(content.to_vec())
            }
            [] => Err(DnError),
            _ => Ok(bytes),
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

/// The type in small letters, and under one of its names (RFC 4519 §2, RFC 4514 §3).
fn canonical_type(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    let name = name.strip_prefix("oid.").unwrap_or(&name);
    if name.is_empty() {
        return None;
    }
    let canonical = match name {
        "2.5.4.3" | "commonname" => "cn",
        "2.5.4.4" | "surname" => "sn",
        "2.5.4.6" | "countryname" => "c",
        "2.5.4.7" | "localityname" => "l",
        "2.5.4.8" | "stateorprovincename" => "st",
        "2.5.4.9" | "streetaddress" => "street",
        "2.5.4.10" | "organizationname" => "o",
        "2.5.4.11" | "organizationalunitname" => "ou",
        "0.9.2342.19200300.100.1.25" | "domaincomponent" => "dc",
        "0.9.2342.19200300.100.1.1" | "userid" => "uid",
        other => other,
    };
    Some(canonical.to_owned())
}

/// Without regard to case, and with one space for many (RFC 4518 §2.6.1). What is not text is
/// compared byte for byte.
fn canonical_value(value: Vec<u8>) -> Vec<u8> {
    match std::str::from_utf8(&value) {
        Ok(text) => {
            let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
            words.join(" ").to_lowercase().into_bytes()
        }
        Err(_) => value,
    }
}

#[cfg(test)]
mod tests;
