//! The known name that a misspelt one probably means, for "did you mean". Pure; knows no
//! names of its own.

/// The nearest of the known names, if any is near enough to have been meant. Letters' case
/// does not matter.
pub(crate) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (likeness(&name, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// From 0 to 1. One slip of the finger is always likely, which matters for short names.
fn likeness(name: &str, candidate: &str) -> f64 {
    match strsim::damerau_levenshtein(name, candidate) {
        0 => 1.0,
        1 => 0.95,
        _ => strsim::jaro_winkler(name, candidate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["csv", "userName", "displayName", "title"];
        let table = [
            ("cvs", Some("csv")),
            ("USERNAME", Some("userName")),
            ("dispalyName", Some("displayName")),
            ("titles", Some("title")),
            ("ldap", None),
            ("shoeSize", None),
        ];
        for (name, expected) in table {
            assert_eq!(closest(name, known), expected, "{name}");
        }
    }
}
