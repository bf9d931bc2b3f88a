//! Text filters as plain functions: ASCII, phone digits, capitals.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Text in ASCII letters: accents go, and letters that are more than an accent are spelled
/// out by a table (`ß` is `ss`, `ø` is `o`, `þ` is `th`). With `german`, umlauts keep their
/// sound: `ä` is `ae`. What has no ASCII form becomes `other`; without one it is `None`.
pub(super) fn to_ascii(text: &str, german: bool, other: Option<&str>) -> Option<String> {
    let mut ascii = String::with_capacity(text.len());
    // Composed first, so that an umlaut made of two characters is one as well.
    for composed in text.nfc() {
        match umlaut(composed).filter(|_| german) {
            Some(spelled) => ascii.push_str(spelled),
            None => push_ascii(&mut ascii, composed, other)?,
        }
    }
    Some(ascii)
}

fn push_ascii(ascii: &mut String, composed: char, other: Option<&str>) -> Option<()> {
    for character in std::iter::once(composed).nfkd() {
        if character.is_ascii() {
            ascii.push(character);
        } else if let Some(spelled) = spelled(character) {
            ascii.push_str(spelled);
        } else if !is_combining_mark(character) {
            ascii.push_str(other?);
        }
    }
    Some(())
}

fn umlaut(character: char) -> Option<&'static str> {
    Some(match character {
        'ä' => "ae",
        'ö' => "oe",
        'ü' => "ue",
        'Ä' => "Ae",
        'Ö' => "Oe",
        'Ü' => "Ue",
        _ => return None,
    })
}

/// Letters and signs that Unicode does not take apart (NFKD). In `docs/mapping.md` as well.
fn spelled(character: char) -> Option<&'static str> {
    Some(match character {
        'ß' => "ss",
        'ẞ' => "SS",
        'æ' => "ae",
        'Æ' => "Ae",
        'œ' => "oe",
        'Œ' => "Oe",
        'ø' => "o",
        'Ø' => "O",
        'ł' => "l",
        'Ł' => "L",
        'đ' | 'ð' => "d",
        'Đ' | 'Ð' => "D",
        'þ' => "th",
        'Þ' => "Th",
        'ħ' => "h",
        'Ħ' => "H",
        'ŧ' => "t",
        'Ŧ' => "T",
        'ŋ' => "ng",
        'Ŋ' => "Ng",
        'ı' => "i",
        'ĸ' => "k",
        'ə' => "e",
        'Ə' => "E",
        '‘' | '’' | '‚' | 'ʼ' | 'ʻ' | '′' => "'",
        '“' | '”' | '„' | '«' | '»' => "\"",
        '‐' | '‑' | '‒' | '–' | '—' | '−' => "-",
        _ => return None,
    })
}

/// A phone number's digits, with the `+` that it starts with. Wide digits become plain ones.
pub(super) fn phone_digits(text: &str) -> String {
    let plain: String = text.nfkc().collect();
    let plain = plain.trim_start();
    let sign = plain.strip_prefix('+').map(|_| '+');
    let digits = plain.chars().filter(char::is_ascii_digit);
    sign.into_iter().chain(digits).collect()
}

/// The first letter large, the rest small.
pub(super) fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first
            .to_uppercase()
            .chain(characters.flat_map(char::to_lowercase))
            .collect(),
        None => String::new(),
    }
}
