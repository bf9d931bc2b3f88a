//! Search filters (RFC 4511 §4.5.1.7), as far as anybody asks this server.

use super::ber::Elements;
use super::object::Object;

/// Whether an object matches. A kind of filter that is not known matches nothing.
pub(super) fn matches(tag: u8, content: &[u8], object: &Object) -> bool {
    match tag {
        0xa0 => Elements(content).all(|(tag, content)| matches(tag, content, object)),
        0xa1 => Elements(content).any(|(tag, content)| matches(tag, content, object)),
        0xa2 => !Elements(content).any(|(tag, content)| matches(tag, content, object)),
        0x87 => object.has(&String::from_utf8_lossy(content)),
        0xa3 => compare(content, object, |own, asked| {
            own.eq_ignore_ascii_case(asked)
        }),
        0xa5 => compare(content, object, |own, asked| decimal(own) >= decimal(asked)),
        0xa6 => compare(content, object, |own, asked| decimal(own) <= decimal(asked)),
        0xa9 => extensible(content, object),
        _ => false,
    }
}

fn compare(content: &[u8], object: &Object, holds: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let mut parts = Elements(content);
    let (Some(name), Some((_, asked))) = (parts.text(), parts.next()) else {
        return false;
    };
    object.values(&name).iter().any(|own| holds(own, asked))
}

/// Only bits that are all set: LDAP_MATCHING_RULE_BIT_AND.
fn extensible(content: &[u8], object: &Object) -> bool {
    let part = |wanted: u8| {
        let mut parts = Elements(content);
        parts
            .find(|(tag, _)| *tag == wanted)
            .map(|(_, content)| content)
    };
    let (Some(rule), Some(name), Some(asked)) = (part(0x81), part(0x82), part(0x83)) else {
        return false;
    };
    let bits = decimal(asked).unwrap_or_default();
    rule == b"1.2.840.113556.1.4.803"
        && object
            .values(&String::from_utf8_lossy(name))
            .iter()
            .any(|own| decimal(own).unwrap_or_default() & bits == bits)
}

fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
