//! Encoding of stored values: a version byte, a checksum, the payload (nearly always JSON).
//!
//! The checksum covers the table and the key too, so that a value found under another key
//! is noticed. Values are JSON because a struct that gains fields must still read old rows.

use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::SnapshotError;

/// The version this build writes, and the only one it reads. No release wrote the others: version 1
/// had a key for every fact, and version 2 an index of values for every path.
const VERSION: u8 = 3;
/// Version byte and checksum.
const HEADER: usize = 9;
/// How much is set aside for the JSON of a value: what most links need.
const LINK_LENGTH: usize = 512;

/// Wraps bytes for storing under a key of a table.
pub(super) fn seal(table: &str, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER + payload.len());
    value.push(VERSION);
    value.extend_from_slice(&checksum(table, key, payload).to_be_bytes());
    value.extend_from_slice(payload);
    value
}

/// Unwraps what [`seal`] made; `what` names the value in errors.
pub(super) fn unseal<'a>(
    what: &'static str,
    table: &str,
    key: &[u8],
    value: &'a [u8],
) -> Result<&'a [u8], SnapshotError> {
    let refuse = |problem: String| SnapshotError::Value { what, problem };
    match value.first() {
        Some(&VERSION) if value.len() >= HEADER => {}
        Some(&version) if version > VERSION => {
            return Err(SnapshotError::Newer { what, version });
        }
        Some(&version) if version < VERSION => {
            return Err(refuse(format!(
                "it is in version {version} of the format, which is not read any more"
            )));
        }
        _ => return Err(refuse("it is cut short".to_owned())),
    }
    let payload = &value[HEADER..];
    if checksum(table, key, payload) != stored_checksum(value) {
        return Err(refuse("its checksum is wrong".to_owned()));
    }
    Ok(payload)
}

/// The JSON of a value.
pub(super) fn to_json<T: Serialize>(
    what: &'static str,
    value: &T,
) -> Result<Vec<u8>, SnapshotError> {
    let mut payload = Vec::with_capacity(LINK_LENGTH);
    serde_json::to_writer(&mut payload, value).map_err(|error| SnapshotError::Value {
        what,
        problem: error.to_string(),
    })?;
    Ok(payload)
}

/// Reads the JSON of a value. The error carries a position, never a piece of the data.
pub(super) fn from_json<T: DeserializeOwned>(
    what: &'static str,
    payload: &[u8],
) -> Result<T, SnapshotError> {
    serde_json::from_slice(payload).map_err(|error| SnapshotError::Value {
        what,
        problem: format!(
            "it is not of the expected shape (at byte {} of {})",
            error.column(),
            payload.len()
        ),
    })
}

/// The checksum a sealed value carries; 0 for a value too short to have one.
pub(super) fn stored_checksum(value: &[u8]) -> u64 {
    value
        .get(1..HEADER)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

/// The first eight bytes of SHA-256 over table, key and payload, each with its length.
fn checksum(table: &str, key: &[u8], payload: &[u8]) -> u64 {
    let mut context = Context::new(&SHA256);
    for part in [table.as_bytes(), key] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.update(payload);
    let digest = context.finish();
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_ref()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    proptest! {
        /// Whatever lies under a key: the payload that was sealed there, or an error.
        #[test]
        fn only_what_was_sealed_here_is_read(
            key in vec(any::<u8>(), 0..20),
            payload in vec(any::<u8>(), 0..60),
            damage in vec((any::<Index>(), any::<u8>()), 0..4),
            length in any::<Index>(),
            cut: bool,
        ) {
            let sealed = seal("links", &key, &payload);
            prop_assert_eq!(unseal("link", "links", &key, &sealed).unwrap(), &payload);
            let mut value = sealed.clone();
            for (place, byte) in damage {
                let at = place.index(value.len());
                value[at] = byte;
            }
            if cut {
                value.truncate(length.index(sealed.len()));
            }
            if value != sealed {
                prop_assert!(unseal("link", "links", &key, &value).is_err());
            }
            let _ = stored_checksum(&value);
        }

        #[test]
        fn bytes_of_no_kind_are_refused(value in vec(any::<u8>(), 0..40)) {
            // One in 2^64 would be taken.
            prop_assert!(unseal("link", "links", b"key", &value).is_err());
            let _ = from_json::<Vec<u64>>("link", &value);
        }
    }

    fn problem(result: Result<&[u8], SnapshotError>) -> String {
        match result {
            Err(SnapshotError::Value { problem, .. }) => problem,
            other => panic!("expected a refused value, got {other:?}"),
        }
    }

    #[test]
    fn gives_back_what_it_sealed() {
        let value = seal("links", b"key", b"payload");
        assert_eq!(unseal("link", "links", b"key", &value).unwrap(), b"payload");
    }

    #[test]
    fn refuses_every_single_changed_byte() {
        let value = seal("links", b"key", b"payload");
        for position in 0..value.len() {
            let mut damaged = value.clone();
            damaged[position] ^= 0x01;
            assert!(
                unseal("link", "links", b"key", &damaged).is_err(),
                "byte {position}"
            );
        }
    }

    #[test]
    fn refuses_a_value_of_another_key_or_table() {
        let value = seal("links", b"key", b"payload");
        assert!(problem(unseal("link", "links", b"kez", &value)).contains("checksum"));
        assert!(problem(unseal("link", "linksk", b"ey", &value)).contains("checksum"));
    }

    #[test]
    fn says_that_a_newer_version_wrote_it() {
        let mut value = seal("links", b"key", b"payload");
        value[0] = 9;
        let error = unseal("link", "links", b"key", &value).unwrap_err();
        assert!(
            matches!(error, SnapshotError::Newer { version: 9, .. }),
            "{error}"
        );
    }

    #[test]
    fn an_error_about_json_repeats_nothing_of_it() {
        let error = from_json::<u64>("link", br#""ana@example.com""#).unwrap_err();
        assert!(!error.to_string().contains("ana"), "{error}");
    }
}
