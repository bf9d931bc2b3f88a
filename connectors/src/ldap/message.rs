//! The form of LDAP messages (RFC 4511, BER as its §5.1 restricts it): cut out of a stream, and
//! checked before the library sees them, which relies on it.
//!
//! Pure. Whatever a server sends is a message of the right form and of bounded size, or is
//! refused. Must not know what a message means.

use std::collections::BTreeMap;
use std::ops::Range;

/// The longest message: a group with a million members is about 100 MB.
const LONGEST: usize = 256 * 1024 * 1024;

/// Deeper than any message of the protocol.
const DEEPEST: usize = 16;

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const CONTROLS: u8 = 0xa0;

/// The server's messages by their tags (RFC 4511 §4).
const BIND_RESPONSE: u8 = 0x61;
pub(super) const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_RESPONSE: u8 = 0x78;
const INTERMEDIATE: u8 = 0x79;

/// The client's messages that are answered.
const BIND_REQUEST: u8 = 0x60;
const SEARCH_REQUEST: u8 = 0x63;
const EXTENDED_REQUEST: u8 = 0x77;

/// What was sent is no message, or not one that belongs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// One tag, its content, and what follows.
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    rest: &'a [u8],
}

/// Reads elements one after the other, and tells where their content is.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// What is still to be read.
    rest: Range<usize>,
}

impl<'a> Reader<'a> {
    /// Reads the elements in this part of `bytes`. Whatever is found is within it.
    pub(super) fn new(bytes: &'a [u8], part: Range<usize>) -> Self {
        Self { bytes, rest: part }
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next element, and where its content is; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<(u8, Range<usize>)>, Malformed> {
        let rest = self.bytes.get(self.rest.clone()).ok_or(Malformed)?;
        if rest.is_empty() {
            return Ok(None);
        }
        let next = element(rest)?;
        let end = self.rest.end - next.rest.len();
        self.rest.start = end;
        Ok(Some((next.tag, end - next.content.len()..end)))
    }

    /// Where the content of the next element is, which has others in it.
    pub(super) fn constructed(&mut self) -> Result<Range<usize>, Malformed> {
        self.one(true)
    }

    /// Where the content of the next element is, which has none.
    pub(super) fn primitive(&mut self) -> Result<Range<usize>, Malformed> {
        self.one(false)
    }

    fn one(&mut self, constructed: bool) -> Result<Range<usize>, Malformed> {
        let next = self
            .next()?
            .filter(|(tag, _)| is_constructed(*tag) == constructed);
        next.map(|(_, content)| content).ok_or(Malformed)
    }
}

fn is_constructed(tag: u8) -> bool {
    tag & 0x20 != 0
}

/// How many bytes the message at the beginning has; `None` while that cannot be told.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((&tag, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if tag != SEQUENCE {
        return Err(Malformed);
    }
    match content_length(rest)? {
        Some((header, content)) if content <= LONGEST => Ok(Some(1 + header + content)),
        Some(_) => Err(Malformed),
        None => Ok(None),
    }
}

/// Bytes of the length itself, and the length: definite only.
fn content_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if first < 0x80 {
        return Ok(Some((1, usize::from(first))));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return Err(Malformed);
    }
    let Some(digits) = rest.get(..count) else {
        return Ok(None);
    };
    let length = digits
        .iter()
        .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    Ok(Some((1 + count, length)))
}

fn element(bytes: &[u8]) -> Result<Element<'_>, Malformed> {
    let (&tag, rest) = bytes.split_first().ok_or(Malformed)?;
    // No message has tags of several bytes.
    if tag & 0x1f == 0x1f {
        return Err(Malformed);
    }
    let (header, length) = content_length(rest)?.ok_or(Malformed)?;
    let (content, rest) = rest
        .get(header..)
        .and_then(|rest| rest.split_at_checked(length))
        .ok_or(Malformed)?;
    Ok(Element { tag, content, rest })
}

/// The elements of a constructed one, each whole.
pub(super) fn elements(mut bytes: &[u8]) -> Result<Vec<Element<'_>>, Malformed> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let next = element(bytes)?;
        bytes = next.rest;
        elements.push(next);
    }
    Ok(elements)
}

/// Writes an element.
pub(super) fn push_element(bytes: &mut Vec<u8>, tag: u8, content: &[u8]) {
    bytes.push(tag);
    push_length(bytes, content.len());
    bytes.extend_from_slice(content);
}

/// Writes the length of an element in the shortest form.
pub(super) fn push_length(bytes: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let digits = length.to_be_bytes();
            let zeros = digits.iter().take_while(|digit| **digit == 0).count();
            let digits = &digits[zeros..];
            // A length has 8 bytes at most.
            bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            bytes.extend_from_slice(digits);
        }
    }
}

fn check_depth(mut bytes: &[u8], left: usize) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let next = element(bytes)?;
        bytes = next.rest;
        if is_constructed(next.tag) {
            check_depth(next.content, left.checked_sub(1).ok_or(Malformed)?)?;
        }
    }
    Ok(())
}

/// What a message of the server's is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<'a> {
    /// Nobody has asked, and nobody has to see it, such as the notice that the server is going to
    /// hang up (RFC 4511 §4.4).
    Unasked,
    /// An entry that a search has found.
    Entry(Found<'a>),
    /// Any other answer.
    Answer,
}

/// An entry in a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// The number of the search.
    pub(super) request: u32,
    /// The content of the SearchResultEntry (RFC 4511 §4.5.2).
    pub(super) entry: &'a [u8],
    /// The content of its controls, where it has some.
    pub(super) controls: Option<&'a [u8]>,
}

/// The requests that are waiting for answers.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    waiting: BTreeMap<u32, u8>,
}

impl Exchange {
    /// Notes a message of the client's.
    pub(super) fn sent(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let (id, parts) = parts(message)?;
        let operation = parts.get(1).ok_or(Malformed)?.tag;
        if [BIND_REQUEST, SEARCH_REQUEST, EXTENDED_REQUEST].contains(&operation) {
            self.waiting.insert(id, operation);
        }
        Ok(())
    }

    /// Checks a whole message of the server's.
    pub(super) fn received<'a>(&mut self, message: &'a [u8]) -> Result<Received<'a>, Malformed> {
        let (id, parts) = parts(message)?;
        if id == 0 {
            return Ok(Received::Unasked);
        }
        check_depth(message, DEEPEST)?;
        let operation = parts.get(1).ok_or(Malformed)?;
        let asked = *self.waiting.get(&id).ok_or(Malformed)?;
        let last = match (asked, operation.tag) {
            (BIND_REQUEST, BIND_RESPONSE)
            | (SEARCH_REQUEST, SEARCH_DONE)
            | (EXTENDED_REQUEST, EXTENDED_RESPONSE) => {
                check_result(operation.content)?;
                true
            }
            (SEARCH_REQUEST, SEARCH_ENTRY | SEARCH_REFERENCE | INTERMEDIATE) => false,
            _ => return Err(Malformed),
        };
        let controls = match &parts[2..] {
            [] => None,
            [controls] if controls.tag == CONTROLS => {
                check_controls(controls.content)?;
                Some(controls.content)
            }
            _ => return Err(Malformed),
        };
        if last {
            self.waiting.remove(&id);
        }
        if operation.tag != SEARCH_ENTRY {
            return Ok(Received::Answer);
        }
        Ok(Received::Entry(Found {
            request: id,
            entry: operation.content,
            controls,
        }))
    }
}

/// Whether an answer that was checked says success.
pub(super) fn succeeded(answer: &[u8]) -> bool {
    let code = || {
        let (_, parts) = parts(answer).ok()?;
        let result = elements(parts.get(1)?.content).ok()?;
        let code = result.first()?.content;
        Some(code.iter().all(|byte| *byte == 0))
    };
    code().unwrap_or(false)
}

/// The message's number, and its parts.
fn parts(message: &[u8]) -> Result<(u32, Vec<Element<'_>>), Malformed> {
    let outer = element(message)?;
    if outer.tag != SEQUENCE || !outer.rest.is_empty() {
        return Err(Malformed);
    }
    let parts = elements(outer.content)?;
    let number = parts.first().filter(|first| first.tag == INTEGER);
    let number = number.ok_or(Malformed)?.content;
    let positive = number.first().is_some_and(|first| *first < 0x80);
    if !positive || number.len() > 4 {
        return Err(Malformed);
    }
    let id = number
        .iter()
        .fold(0_u32, |id, byte| id << 8 | u32::from(*byte));
    Ok((id, parts))
}

/// `resultCode, matchedDN, diagnosticMessage`, and what may follow (RFC 4511 §4.1.9).
fn check_result(content: &[u8]) -> Result<(), Malformed> {
    let parts = elements(content)?;
    let [code, matched, message, more @ ..] = parts.as_slice() else {
        return Err(Malformed);
    };
    if code.tag != ENUMERATED || code.content.is_empty() || code.content.len() > 4 {
        return Err(Malformed);
    }
    check_text(matched, OCTETS)?;
    check_text(message, OCTETS)?;
    for part in more {
        match part.tag {
            // Referrals, each a text.
            0xa3 => {
                for uri in elements(part.content)? {
                    check_text(&uri, OCTETS)?;
                }
            }
            // The answer's name is a text; credentials and values are anything.
            0x8a => check_text(part, 0x8a)?,
            0x87 | 0x8b => {}
            _ => return Err(Malformed),
        }
    }
    Ok(())
}

fn check_text(element: &Element<'_>, tag: u8) -> Result<(), Malformed> {
    let text = element.tag == tag && std::str::from_utf8(element.content).is_ok();
    text.then_some(()).ok_or(Malformed)
}

/// `controlType, criticality, controlValue` each (RFC 4511 §4.1.11).
fn check_controls(content: &[u8]) -> Result<(), Malformed> {
    for control in elements(content)? {
        if control.tag != SEQUENCE {
            return Err(Malformed);
        }
        let parts = elements(control.content)?;
        let (name, more) = parts.split_first().ok_or(Malformed)?;
        check_text(name, OCTETS)?;
        let more = match more {
            [critical, more @ ..] if critical.tag == BOOLEAN => {
                if critical.content.len() != 1 {
                    return Err(Malformed);
                }
                more
            }
            more => more,
        };
        match more {
            [] => {}
            [value] if value.tag == OCTETS => {}
            _ => return Err(Malformed),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
