//! The Basic Encoding Rules as far as LDAP uses them (RFC 4511 §5.1), by hand: the connector's
//! own reader must not be what judges the connector.

use std::io::Read;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// An element: tag, length, content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len();
    if length < 0x80 {
        bytes.push(u8::try_from(length).expect("it is below 128"));
    } else {
        let digits = length.to_be_bytes();
        let zeros = digits.iter().take_while(|byte| **byte == 0).count();
        let digits = &digits[zeros..];
        bytes.push(0x80 | u8::try_from(digits.len()).expect("at most eight"));
        bytes.extend_from_slice(digits);
    }
    bytes.extend_from_slice(content);
    bytes
}

/// An element made of elements.
pub(super) fn of(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

pub(super) fn text(text: &str) -> Vec<u8> {
    element(OCTETS, text.as_bytes())
}

pub(super) fn number(tag: u8, number: i64) -> Vec<u8> {
    let digits = number.to_be_bytes();
    // As short as the sign allows (X.690 §8.3.2).
    let mut start = 0;
    while start < 7 {
        let sign = if digits[start + 1] & 0x80 == 0 {
            0
        } else {
            0xff
        };
        if digits[start] != sign {
            break;
        }
        start += 1;
    }
    element(tag, &digits[start..])
}

/// The elements in some content, one after the other. Ends at the first that is broken.
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first & 0x80 != 0 {
            let digits = rest.split_off(..usize::from(first & 0x7f))?;
            length = digits
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        }
        let content = rest.split_off(..length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

impl<'a> Elements<'a> {
    /// The content of the next element as text.
    pub(super) fn text(&mut self) -> Option<String> {
        let (_, content) = self.next()?;
        Some(String::from_utf8_lossy(content).into_owned())
    }

    /// The content of the next element as a number.
    pub(super) fn number(&mut self) -> Option<i64> {
        let (_, content) = self.next()?;
        Some(integer(content))
    }
}

/// Where the last of several elements begins.
pub(super) fn start_of_last(bytes: &[u8]) -> usize {
    let mut elements = Elements(bytes);
    let mut start = 0;
    loop {
        let here = bytes.len() - elements.0.len();
        match elements.next() {
            Some(_) => start = here,
            None => return start,
        }
    }
}

/// A number's content.
pub(super) fn integer(content: &[u8]) -> i64 {
    let negative = content.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    content
        .iter()
        .fold(start, |sum, byte| sum << 8 | i64::from(*byte))
}

/// Reads one element from a stream: its tag and content. `None` at the end.
pub(super) fn read(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut length = usize::from(head[1]);
    if head[1] & 0x80 != 0 {
        let mut digits = vec![0; usize::from(head[1] & 0x7f)];
        stream.read_exact(&mut digits).ok()?;
        length = digits
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    }
    let mut content = vec![0; length.min(1 << 20)];
    stream.read_exact(&mut content).ok()?;
    Some((head[0], content))
}
