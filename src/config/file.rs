//! The whole file: its top level, and what only shows when sources and targets are seen
//! together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use provisor_connectors::SourceConfig;
use serde::Deserialize;
use toml::Spanned;

use super::document::Document;
use super::target::{RawTarget, Surroundings};
use super::{Config, ConfigError};
use crate::template::{Language, Lookups};

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    state_dir: Option<Spanned<PathBuf>>,
    audit_values: Option<bool>,
    #[serde(default)]
    sources: BTreeMap<Spanned<String>, Spanned<SourceConfig>>,
    #[serde(default)]
    targets: BTreeMap<Spanned<String>, Spanned<RawTarget>>,
    #[serde(default)]
    lookups: BTreeMap<Spanned<String>, BTreeMap<String, String>>,
}

const DEFAULT_STATE_DIR: &str = "/var/lib/provisor";

const MINIMAL: &str = "the least that does something is

[sources.staff.csv]
users = \"people.csv\"

[targets.demo]
preset = \"sandbox\"
source = \"staff\"
";

/// Reads, checks and builds. `state_directory` is what `$STATE_DIRECTORY` says.
pub(super) fn load(path: &Path, state_directory: Option<&Path>) -> Result<Config, ConfigError> {
    build(path, Document::read(path)?, state_directory)
}

/// The same for a text that was read from `path`.
pub(super) fn build(
    path: &Path,
    document: Document,
    state_directory: Option<&Path>,
) -> Result<Config, ConfigError> {
    let document = Arc::new(document);
    let raw: RawFile =
        toml::from_str(document.text()).map_err(|error| document.toml_error(&error))?;
    let absolute = std::path::absolute(path)
        .map_err(|error| document.error_without_place(&error.to_string(), "give its full path"))?;
    let base = absolute
        .parent()
        .map_or_else(|| PathBuf::from("/"), Path::to_owned);
    let state_dir = match raw.state_dir {
        Some(folder) if folder.get_ref().as_os_str().is_empty() => {
            return Err(document.error(
                folder.span(),
                "`state_dir` is empty",
                "name a folder, or leave it out for /var/lib/provisor",
            ));
        }
        Some(folder) => base.join(folder.into_inner()),
        None => base.join(state_directory.unwrap_or(Path::new(DEFAULT_STATE_DIR))),
    };

    if raw.sources.is_empty() {
        return Err(document.error_without_place("no source is configured", MINIMAL));
    }
    if raw.targets.is_empty() {
        return Err(document.error_without_place("no target is configured", MINIMAL));
    }
    let mut sources = BTreeMap::new();
    for (name, source) in raw.sources {
        check_name(&name, "source", &document)?;
        source.get_ref().validate().map_err(|error| {
            document.error(
                source.span(),
                &format!("the source `{}` contradicts itself", name.get_ref()),
                &error.to_string(),
            )
        })?;
        sources.insert(name.into_inner(), source.into_inner());
    }

    let mut lookups = Lookups::new();
    for (name, rows) in raw.lookups {
        check_name(&name, "lookup table", &document)?;
        lookups.insert(name.into_inner(), rows);
    }
    let language = Language::new(lookups);

    let around = Surroundings {
        document: &document,
        base: &base,
        state_dir: &state_dir,
        sources: &sources,
        language: &language,
    };
    let mut warnings = Vec::new();
    let mut targets = BTreeMap::new();
    let mut fingerprints: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for (name, target) in raw.targets {
        check_name(&name, "target", &document)?;
        let checked =
            target
                .into_inner()
                .check(name.get_ref(), name.span(), &around, &mut warnings)?;
        let fingerprint = checked.config.target.fingerprint.clone();
        if let Some((other, other_shared)) = fingerprints.get(&fingerprint)
            && !(*other_shared && checked.shared)
        {
            return Err(document.error(
                checked.place,
                &format!(
                    "the targets `{other}` and `{}` are the same app",
                    name.get_ref()
                ),
                "each would undo the other's work: join them, or tell them apart with `tenant`, \
                 or set `shared = true` in both if they never have the same people",
            ));
        }
        fingerprints.insert(fingerprint, (name.get_ref().clone(), checked.shared));
        targets.insert(name.into_inner(), checked.config);
    }

    for source in sources.keys() {
        let used = targets
            .values()
            .any(|target| target.target.sources.contains(source));
        if !used {
            warnings.push(format!("no target uses the source `{source}`"));
        }
    }
    Ok(Config {
        path: path.to_owned(),
        base,
        state_dir,
        audit_values: raw.audit_values.unwrap_or(false),
        sources,
        targets,
        warnings,
    })
}

/// Names are keys in the state and parts of file names.
fn check_name(name: &Spanned<String>, what: &str, document: &Document) -> Result<(), ConfigError> {
    let valid = !name.get_ref().is_empty()
        && name
            .get_ref()
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if valid {
        return Ok(());
    }
    Err(document.error(
        name.span(),
        &format!("this cannot be a {what}'s name"),
        "use letters, digits, `_` and `-`",
    ))
}
