//! Keys of the store: texts that sort and can be read back, kinds, record keys.
//!
//! A text ends in two zero bytes and a zero inside it is escaped, so that no text is a prefix
//! of another and keys sort by their parts. Bytes only; no database here.

use provisor_connectors::{Kind, MemberKey, RecordKey, SourceId};

/// Follows a zero byte that belongs to the text.
const ESCAPED: u8 = 0xFF;
/// Follows a zero byte that ends the text.
const END: u8 = 0x00;

/// Appends a text.
pub(super) fn push_text(key: &mut Vec<u8>, text: &str) {
    key.reserve(text.len() + 2);
    let mut parts = text.as_bytes().split(|&byte| byte == 0);
    key.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        key.extend_from_slice(&[0, ESCAPED]);
        key.extend_from_slice(part);
    }
    key.extend_from_slice(&[0, END]);
}

/// Takes a text off the front. `None` when the key is not well-formed.
pub(super) fn take_text(key: &mut &[u8]) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let zero = key.iter().position(|&byte| byte == 0)?;
        let &mark = key.get(zero + 1)?;
        text.extend_from_slice(&key[..zero]);
        *key = &key[zero + 2..];
        if mark == END {
            return String::from_utf8(text).ok();
        }
        text.push(0);
    }
}

/// Takes a text off the front without reading it. `None` when the key is not well-formed.
pub(super) fn skip_text(key: &mut &[u8]) -> Option<()> {
    loop {
        let zero = key.iter().position(|&byte| byte == 0)?;
        let &mark = key.get(zero + 1)?;
        *key = &key[zero + 2..];
        if mark == END {
            return Some(());
        }
    }
}

/// A key that starts with this text.
pub(super) fn text(text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(text.len() + 2);
    push_text(&mut key, text);
    key
}

/// One byte a kind; sorts as [`Kind`] does.
pub(super) fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::User => 1,
        Kind::Group => 2,
    }
}

/// Takes a kind off the front.
pub(super) fn take_kind(key: &mut &[u8]) -> Option<Kind> {
    let (&byte, rest) = key.split_first()?;
    *key = rest;
    Kind::ALL.into_iter().find(|kind| kind_byte(*kind) == byte)
}

/// Appends a record key; sorts by source, kind and id.
pub(super) fn push_record(key: &mut Vec<u8>, record: &RecordKey) {
    key.reserve(record.source.len() + record.id.as_str().len() + 5);
    push_text(key, &record.source);
    key.push(kind_byte(record.kind));
    push_text(key, record.id.as_str());
}

/// Takes a record key off the front.
pub(super) fn take_record(key: &mut &[u8]) -> Option<RecordKey> {
    Some(RecordKey {
        source: take_text(key)?,
        kind: take_kind(key)?,
        id: SourceId::new(take_text(key)?),
    })
}

/// Takes a big-endian number off the front.
pub(super) fn take_u64(key: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = key.split_first_chunk::<8>()?;
    *key = rest;
    Some(u64::from_be_bytes(*bytes))
}

/// The first key after all that start with `prefix`; `None` when there can be none.
pub(super) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// What a member's digest is taken over: its kind and id.
pub(super) fn member_bytes(member: &MemberKey) -> Vec<u8> {
    let mut bytes = vec![kind_byte(member.kind)];
    bytes.extend_from_slice(member.id.as_str().as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_come_back_and_sort_as_they_do(a in "[a-c\\x00\\x01]{0,4}", b in "[a-c\\x00\\x01]{0,4}") {
            let (first, second) = (text(&a), text(&b));
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
            let mut rest = first.as_slice();
            prop_assert_eq!(take_text(&mut rest), Some(a));
            prop_assert!(rest.is_empty());
            let mut rest = first.as_slice();
            prop_assert_eq!(skip_text(&mut rest), Some(()));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_text_is_a_prefix_of_another(a in "[a-b\\x00]{0,4}", b in "[a-b\\x00]{0,4}") {
            prop_assume!(a != b);
            prop_assert!(!text(&b).starts_with(&text(&a)));
        }
    }

    #[test]
    fn record_keys_come_back() {
        let record = RecordKey {
            source: "corp".to_owned(),
            kind: Kind::Group,
            id: SourceId::new("a\0b"),
        };
        let mut key = Vec::new();
        push_record(&mut key, &record);
        assert_eq!(take_record(&mut key.as_slice()), Some(record));
    }

    #[test]
    fn the_end_of_a_prefix_skips_trailing_maximal_bytes() {
        assert_eq!(after(&[1, 0xFF]), Some(vec![2]));
        assert_eq!(after(&[0xFF]), None);
    }
}
