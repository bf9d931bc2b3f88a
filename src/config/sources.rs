//! `source = "…"` or `source = ["…", …]`: where a target's people come from.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use provisor_connectors::SourceConfig;
use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::explain::suggest;

/// One text, or a list of them.
#[derive(Debug)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<Spanned<String>>),
}

/// The sources that a target names, in its order. `table` is the target's place.
pub(super) fn check(
    source: Option<Spanned<OneOrMany>>,
    table: Range<usize>,
    document: &Document,
    configured: &BTreeMap<String, SourceConfig>,
) -> Result<Vec<String>, ConfigError> {
    let known = || configured.keys().map(String::as_str);
    let Some(source) = source else {
        return Err(document.error(
            table,
            "`source` is missing",
            &format!("add source = \"{}\"", known().next().unwrap_or("staff")),
        ));
    };
    let span = source.span();
    let names = match source.into_inner() {
        OneOrMany::One(name) => vec![Spanned::new(span, name)],
        OneOrMany::Many(names) if names.is_empty() => {
            return Err(document.error(span, "the list of sources is empty", "name one or more"));
        }
        OneOrMany::Many(names) => names,
    };
    let mut sources = Vec::new();
    for name in names {
        if !configured.contains_key(name.get_ref()) {
            let names: Vec<&str> = known().collect();
            return Err(document.error(
                name.span(),
                &format!("there is no source `{}`", name.get_ref()),
                &suggest(name.get_ref(), names, "the sources are"),
            ));
        }
        if sources.contains(name.get_ref()) {
            return Err(document.error(
                name.span(),
                &format!("the source `{}` is named twice", name.get_ref()),
                "remove one of them; the order is the order of precedence",
            ));
        }
        sources.push(name.into_inner());
    }
    Ok(sources)
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMany;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name or a list of names")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<OneOrMany, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(seq)).map(OneOrMany::Many)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
