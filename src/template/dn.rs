//! Distinguished names as text (RFC 4514): the values of one attribute type, unescaped.

/// The values of the parts of this type, in the order in which they are written: the most
/// specific first. `None` when the text is not a distinguished name.
pub(super) fn parts(text: &str, wanted: &str) -> Option<Vec<String>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    for part in split(text) {
        let (kind, value) = part.split_once('=')?;
        let kind = kind.trim();
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if kind.is_empty() || !kind.chars().all(valid) {
            return None;
        }
        let value = unescape(value)?;
        if kind.eq_ignore_ascii_case(wanted) {
            found.push(value);
        }
    }
    Some(found)
}

/// Cuts at every comma, and at every plus sign of a part with several values, that is not
/// escaped.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            // Semicolons separate in older names (RFC 4514 §2.4 escapes them).
            ',' | '+' | ';' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A value without its escapes: `\,` and the like, and `\2C`, a byte of UTF-8. Spaces around
/// it go unless they are escaped.
fn unescape(value: &str) -> Option<String> {
    let value = value.trim_start();
    let mut bytes = Vec::with_capacity(value.len());
    // How many bytes end with something that is not a plain space.
    let mut kept = 0;
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'\\' {
            let first = rest.next()?;
            match (first as char).to_digit(16) {
                Some(high) => {
                    let low = (rest.next()? as char).to_digit(16)?;
                    bytes.push(u8::try_from(high * 16 + low).ok()?);
                }
                None => bytes.push(first),
            }
            kept = bytes.len();
        } else {
            bytes.push(byte);
            if byte != b' ' {
                kept = bytes.len();
            }
        }
    }
    bytes.truncate(kept);
    String::from_utf8(bytes).ok()
}
