//! `drift = "…"`, or `[targets.NAME.drift]` with a default and exceptions by mapping path.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::explain::suggest;
use super::mapping::refuse;
use crate::mapping::expand_key;
use crate::plan::rules::{DriftRules, OnDrift};
use crate::scim::path::AttributePath;

/// As written.
#[derive(Debug)]
pub(super) enum RawDrift {
    Everything(RawOnDrift),
    ByPath(BTreeMap<Spanned<String>, Spanned<RawOnDrift>>),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawOnDrift {
    Enforce,
    List,
    Leave,
}

/// The rules, with paths expanded as in the mapping.
pub(super) fn check(raw: Option<RawDrift>, document: &Document) -> Result<DriftRules, ConfigError> {
    let mut rules = DriftRules::default();
    let by_path = match raw {
        None => return Ok(rules),
        Some(RawDrift::Everything(default)) => {
            rules.default = default.into();
            return Ok(rules);
        }
        Some(RawDrift::ByPath(by_path)) => by_path,
    };
    for (key, on_drift) in by_path {
        let on_drift = (*on_drift.get_ref()).into();
        let name = key.get_ref().trim();
        if name == "default" {
            rules.default = on_drift;
            continue;
        }
        let path = check_path(&key, document)?;
        if rules.by_path.insert(path.clone(), on_drift).is_some() {
            return Err(document.error(
                key.span(),
                &format!("`{path}` is named twice"),
                "keep one of them",
            ));
        }
    }
    Ok(rules)
}

fn check_path(key: &Spanned<String>, document: &Document) -> Result<AttributePath, ConfigError> {
    let name = key.get_ref().trim();
    if name.eq_ignore_ascii_case("members") {
        return Ok(AttributePath::core("members"));
    }
    if name.eq_ignore_ascii_case("active") {
        return Err(document.error(
            key.span(),
            "who is active at the target is not a matter of choice",
            "leave it out: who should not be active is switched off again, and whom somebody \
             there switched off is left alone",
        ));
    }
    // One letter off is a slip, and `expand_key` lets servers have attributes of their own.
    if let Some(meant) = crate::spelling::closest(name, ["default", "members"]) {
        return Err(document.error(
            key.span(),
            &format!("there is no `{name}`"),
            &suggest(name, [meant], "there is"),
        ));
    }
    expand_key(name).map_err(|error| refuse(document, key.span(), &error.problem))
}

impl From<RawOnDrift> for OnDrift {
    fn from(raw: RawOnDrift) -> Self {
        match raw {
            RawOnDrift::Enforce => Self::Enforce,
            RawOnDrift::List => Self::List,
            RawOnDrift::Leave => Self::Leave,
        }
    }
}

impl<'de> Deserialize<'de> for RawDrift {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = RawDrift;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "\"enforce\", \"list\", \"leave\", or a table of paths with one of them each",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawDrift, E> {
                Deserialize::deserialize(StrDeserializer::new(text)).map(RawDrift::Everything)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawDrift, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(RawDrift::ByPath)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
