//! Presets: what is known of particular apps, as data.
//!
//! A preset is a TOML file with `[profile]`, the fields of a target's profile that differ
//! from the RFC's letter, and optionally `[mapping]`, entries that stand under the target's
//! own. This module only carries the text: the engine parses it, and no code may ask for an
//! app by its name.

/// Name and TOML text of every preset shipped, ordered by name.
pub const ALL: &[(&str, &str)] = &[
    ("generic", include_str!("../targets/generic.toml")),
    ("sandbox", include_str!("../targets/sandbox.toml")),
];

/// The TOML text of a preset; `None` where none is shipped under this name.
pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter()
        .find(|(preset, _)| *preset == name)
        .map(|(_, text)| *text)
}

/// The names of all presets, in order, for messages and the command line.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_profile_with_a_description_and_nothing_unheard_of() {
        for (name, text) in ALL {
            let document: toml::Table = text.parse().expect(name);
            assert!(
                document
                    .keys()
                    .all(|key| key == "profile" || key == "mapping"),
                "{name}"
            );
            let description = document["profile"]["description"].as_str().expect(name);
            assert!(
                !description.is_empty() && !description.contains('\n'),
                "{name}"
            );
        }
        assert!(names().is_sorted());
    }

    #[test]
    fn a_preset_is_found_by_its_exact_name() {
        assert!(find("generic").is_some());
        assert_eq!(find("Generic"), None);
    }
}
