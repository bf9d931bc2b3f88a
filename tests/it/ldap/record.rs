//! What an administrator's tools are given: change records, and names as parts of others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An LDIF change record (RFC 2849).
pub(super) struct Record(pub(super) String);

impl Record {
    pub(super) fn add(dn: &str) -> Self {
        Self::change(dn, "add")
    }

    pub(super) fn change(dn: &str, kind: &str) -> Self {
        let mut record = Self(String::new());
        record.line("dn", dn).line("changetype", kind);
        record
    }

    /// One line, in base64 where the text would not survive.
    pub(super) fn line(&mut self, name: &str, value: &str) -> &mut Self {
        let plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
            && !value.starts_with([' ', ':', '<'])
            && !value.ends_with(' ');
        let line = if plain {
            format!("{name}: {value}\n")
        } else {
            format!("{name}:: {}\n", STANDARD.encode(value))
        };
        self.0.push_str(&line);
        self
    }
}

/// A value as part of a DN (RFC 4514 §2.4).
pub(super) fn escape(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut escaped = String::new();
    for (at, letter) in value.chars().enumerate() {
        let edge = (letter == ' ' && (at == 0 || at == last)) || (letter == '#' && at == 0);
        if edge || "\"+,;<=>\\".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
