//! How text is written and compared, whichever way a directory or a target spells it.
//!
//! One rule for the whole engine: text is in Unicode Normalization Form C, and keys that are
//! not case-exact are compared in small letters besides. Ids are no text: they are never
//! changed and compare byte by byte. Pure; imports nothing else of ours.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc_quick, is_nfd};

/// The text in Normalization Form C (UAX #15): an `é` is one character, however many it was.
/// Copies only what is not in that form yet.
pub(crate) fn nfc(text: &str) -> Cow<'_, str> {
    use unicode_normalization::IsNormalized::Yes;
    if text.is_ascii() || is_nfc_quick(text.chars()) == Yes {
        return Cow::Borrowed(text);
    }
    let composed: String = text.nfc().collect();
    if composed == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(composed)
    }
}

/// The form in which keys are compared that are not case-exact: small letters, composed.
///
/// Letters get the small form that Unicode gives them everywhere, in no particular language:
/// `İ` is an `i` with a dot of its own and not `i`, and `ß` is not `SS`. A target that takes
/// two such names for one refuses the second; taking them for one here could give somebody
/// another person's resource.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    nfc(&nfc(text).to_lowercase()).into_owned()
}

/// Whether two texts are the same key, in whatever case and form.
pub(crate) fn is_same(left: &str, right: &str) -> bool {
    left == right || fold(left) == fold(right)
}

/// The same text taken apart, as some systems keep it; `None` where there is nothing to take
/// apart. For asking a server that compares bytes.
pub(crate) fn decomposed(text: &str) -> Option<String> {
    (!text.is_ascii() && !is_nfd(text)).then(|| text.nfd().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_letter_and_its_accent_are_one_character() {
        assert_eq!(nfc("Zoe\u{308}"), "Zo\u{eb}");
        assert!(matches!(nfc("Zo\u{eb}"), Cow::Borrowed(_)));
        // A mark that nothing composes with makes the quick look say "perhaps".
        assert!(matches!(nfc("q\u{301}"), Cow::Borrowed(_)));
        assert_eq!(decomposed("Zo\u{eb}").as_deref(), Some("Zoe\u{308}"));
        assert_eq!(decomposed("Zoe\u{308}"), None);
        assert_eq!(decomposed("Zoe"), None);
    }

    #[test]
    fn only_small_and_large_letters_are_the_same() {
        assert!(is_same("ZOE\u{308}", "zo\u{eb}"));
        assert!(is_same("\u{130}REM", "i\u{307}rem"));
        for (left, right) in [("Stra\u{df}e", "STRASSE"), ("\u{130}rem", "irem")] {
            assert!(!is_same(left, right), "{left} {right}");
        }
    }

    proptest! {
        // What is folded once, as `protect` is when it is read, meets what is folded later.
        #[test]
        fn folding_knows_no_form_and_ends_at_once(text in any::<String>()) {
            let folded = fold(&text);
            prop_assert_eq!(&fold(&folded), &folded);
            prop_assert_eq!(&fold(&text.nfd().collect::<String>()), &folded);
            prop_assert_eq!(&nfc(&folded), &folded);
        }

        #[test]
        fn letters_with_marks_fold_alike(text in "[A-Za-zİÅÉßΣς\u{301}\u{307}\u{323}\u{345}]{0,8}") {
            let folded = fold(&text);
            prop_assert_eq!(&fold(&folded), &folded);
            prop_assert_eq!(&fold(&text.nfd().collect::<String>()), &folded);
        }
    }
}
