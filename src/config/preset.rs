//! Presets: a profile and mapping entries under a name, shipped as TOML by the connectors.

use std::collections::BTreeMap;

use provisor_connectors::presets;
use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::explain::suggest;
use super::mapping::RawEntry;
use crate::mapping::Entry;
use crate::target::Profile;

/// The preset that is served by the embedded sandbox.
pub(super) const SANDBOX: &str = "sandbox";
/// The preset of a target that names none.
pub(super) const GENERIC: &str = "generic";

/// What a preset says.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) name: String,
    pub(super) profile: Profile,
    pub(super) mapping: Vec<(String, Entry)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawPreset {
    profile: Profile,
    mapping: BTreeMap<String, RawEntry>,
}

/// Finds the preset that a target names, or the default one.
pub(super) fn find(
    name: Option<&Spanned<String>>,
    document: &Document,
) -> Result<Preset, ConfigError> {
    let wanted = name.map_or(GENERIC, |name| name.get_ref().as_str());
    let Some(text) = presets::find(wanted) else {
        let span = name.map_or(0..0, Spanned::span);
        return Err(document.error(
            span,
            &format!("unknown preset `{wanted}`"),
            &suggest(
                wanted,
                presets::names().collect::<Vec<_>>(),
                "the presets are",
            ),
        ));
    };
    read(wanted, text).map_err(|error| {
        document.error_without_place(
            &format!(
                "the preset `{wanted}` does not fit this version: {}",
                error.message()
            ),
            "use another preset",
        )
    })
}

fn read(name: &str, text: &str) -> Result<Preset, toml::de::Error> {
    let RawPreset { profile, mapping } = toml::from_str(text)?;
    Ok(Preset {
        name: name.to_owned(),
        profile,
        mapping: mapping
            .into_iter()
            .map(|(key, RawEntry(entry))| (key, entry))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;

    #[test]
    fn every_shipped_preset_reads_and_its_mapping_compiles() {
        for (name, text) in presets::ALL {
            let preset = read(name, text).expect(name);
            Mapping::compile(&preset.mapping, &[]).expect(name);
        }
        assert!(presets::find(GENERIC).is_some());
        assert!(presets::find(SANDBOX).is_some());
    }
}
