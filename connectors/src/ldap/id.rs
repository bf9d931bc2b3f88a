//! Ids as text: a GUID's mixed byte order, SIDs, and whatever else a directory keys by.
//! Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How an id attribute's bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdEncoding {
    /// 16 bytes, the first three fields little-endian: `objectGUID` (MS-DTYP §2.3.4.2).
    GuidLe,
    /// 16 bytes in the order in which they are written (RFC 4122).
    GuidBe,
    /// Hexadecimal digits.
    Hex,
    /// RFC 4648 §4.
    Base64,
    /// Text as it is.
    Text,
}

impl IdEncoding {
    /// How the ids in this attribute are usually written.
    pub(super) fn of_attribute(name: &str) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("objectGUID") || is("mS-DS-ConsistencyGuid") {
            IdEncoding::GuidLe
        } else if is("GUID") {
            IdEncoding::Hex
        } else {
            IdEncoding::Text
        }
    }

    /// The id as text; `None` where the bytes are not what this encoding is for.
    pub(super) fn text(self, bytes: &[u8]) -> Option<String> {
        match self {
            IdEncoding::GuidLe => {
                let bytes = bytes.try_into().ok()?;
                Some(Uuid::from_bytes_le(bytes).to_string())
            }
            IdEncoding::GuidBe => {
                let bytes = bytes.try_into().ok()?;
                Some(Uuid::from_bytes(bytes).to_string())
            }
            IdEncoding::Hex => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            IdEncoding::Base64 => Some(STANDARD.encode(bytes)),
            IdEncoding::Text => {
                let text = std::str::from_utf8(bytes).ok()?.trim();
                (!text.contains(char::is_control)).then(|| text.to_owned())
            }
        }
        .filter(|text| !text.is_empty())
    }
}

impl IdEncoding {
    /// The bytes that have this text; `None` where none have.
    pub(super) fn bytes(self, text: &str) -> Option<Vec<u8>> {
        match self {
            IdEncoding::GuidLe => Some(Uuid::try_parse(text).ok()?.to_bytes_le().to_vec()),
            IdEncoding::GuidBe => Some(Uuid::try_parse(text).ok()?.into_bytes().to_vec()),
            IdEncoding::Hex => {
                let digits: Option<Vec<u8>> = text
                    .as_bytes()
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                    .collect();
                digits.filter(|_| text.len().is_multiple_of(2))
            }
            IdEncoding::Base64 => STANDARD.decode(text).ok(),
            IdEncoding::Text => Some(text.as_bytes().to_vec()),
        }
    }
}

/// A security identifier as text: `S-1-5-21-…` (MS-DTYP §2.4.2).
pub(super) fn sid_text(bytes: &[u8]) -> Option<String> {
    use std::fmt::Write;

    let (revision, rest) = bytes.split_first()?;
    let (count, rest) = rest.split_first()?;
    let (authority, rest) = rest.split_at_checked(6)?;
    if *revision != 1 || rest.len() != usize::from(*count) * 4 {
        return None;
    }
    let authority = authority
        .iter()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut text = format!("S-1-{authority}");
    for part in rest.chunks_exact(4) {
        let _ = write!(text, "-{}", u32::from_le_bytes(part.try_into().ok()?));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the vendor's documentation of GUIDs.
    const GUID: [u8; 16] = [
        0x10, 0x5f, 0x39, 0x90, 0x8a, 0x7b, 0xcd, 0x4e, 0x9f, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
        0xcd,
    ];

    #[test]
    fn a_guid_has_three_little_endian_fields() {
        let text = IdEncoding::GuidLe.text(&GUID).unwrap();
        assert_eq!(text, "90395f10-7b8a-4ecd-9f01-23456789abcd");
        let text = IdEncoding::GuidBe.text(&GUID).unwrap();
        assert_eq!(text, "105f3990-8a7b-cd4e-9f01-23456789abcd");
        assert_eq!(IdEncoding::GuidLe.text(&GUID[1..]), None);
    }

    #[test]
    fn ids_that_are_no_text_are_refused_as_text() {
        assert_eq!(IdEncoding::Text.text(b" ana "), Some("ana".to_owned()));
        for bytes in [&b""[..], b"  ", b"\xff\xfe", b"a\0b"] {
            assert_eq!(IdEncoding::Text.text(bytes), None, "{bytes:?}");
        }
        assert_eq!(IdEncoding::Hex.text(&[0, 255]), Some("00ff".to_owned()));
    }

    #[test]
    fn a_security_identifier_is_written_as_windows_does() {
        let bytes = [
            1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 2, 0, 0,
        ];
        assert_eq!(sid_text(&bytes), Some("S-1-5-21-1-2-3-513".to_owned()));
        assert_eq!(sid_text(&bytes[..27]), None);
        assert_eq!(sid_text(&[2, 0, 0, 0, 0, 0, 0, 5]), None);
    }

    proptest! {
        #[test]
        fn different_bytes_are_different_ids(
            one in prop::collection::vec(any::<u8>(), 16),
            other in prop::collection::vec(any::<u8>(), 16),
        ) {
            let encodings = [
                IdEncoding::GuidLe, IdEncoding::GuidBe, IdEncoding::Hex, IdEncoding::Base64,
            ];
            for encoding in encodings {
                let text = encoding.text(&one).unwrap();
                prop_assert_eq!(encoding.bytes(&text), Some(one.clone()));
                let same = Some(text) == encoding.text(&other);
                prop_assert_eq!(same, one == other);
            }
        }
    }
}
