//! `[targets.NAME.mapping]` and `keep_when_empty`, compiled together with the preset's.
//!
//! Also remembers where each source attribute was named, so that a name which no source
//! gives can be pointed at once the sources have been asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use provisor_connectors::keys::with_help;
use provisor_connectors::{Kind, Question, SourceFacts};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::explain::suggest;
use crate::mapping::{Entry, Expression, Mapping, expand_key};
use crate::template::{Language, Template, Use};

/// `[targets.NAME.mapping]`.
pub(super) type RawMapping = BTreeMap<Spanned<String>, Spanned<RawEntry>>;

/// An attribute's name, or `false`.
#[derive(Debug, Clone)]
pub(super) struct RawEntry(pub(super) Entry);

/// A source attribute that the configuration names, and where.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) document: Arc<Document>,
    pub(super) name: Spanned<String>,
}

impl Written {
    /// What a mapping's value in this range names.
    pub(super) fn all_of(
        expression: &Expression,
        span: Range<usize>,
        document: &Arc<Document>,
    ) -> Vec<Self> {
        match expression {
            Expression::Attribute(name) => vec![Self {
                document: Arc::clone(document),
                name: Spanned::new(span, name.clone()),
            }],
            Expression::Template(template) => Self::in_template(template, span, document),
        }
    }

    /// What a template in this range names.
    pub(super) fn in_template(
        template: &Template,
        span: Range<usize>,
        document: &Arc<Document>,
    ) -> Vec<Self> {
        let written = |used: &Use| Self {
            document: Arc::clone(document),
            name: Spanned::new(
                document.inside(span.clone(), used.place.clone()),
                used.name.clone(),
            ),
        };
        template.uses().iter().map(written).collect()
    }
}

/// Compiles the preset's entries and the target's over them.
pub(super) fn check(
    preset: &[(String, Entry)],
    raw: RawMapping,
    keep_when_empty: Vec<Spanned<String>>,
    language: &Language,
    document: &Arc<Document>,
) -> Result<(Mapping, Vec<Written>), ConfigError> {
    let mut entries = preset.to_vec();
    let mut written = Vec::new();
    let mut paths = BTreeMap::new();
    for (key, entry) in raw {
        let pair = (key.get_ref().clone(), entry.get_ref().0.clone());
        // Compiled alone first, so that an error is about this line.
        let alone = Mapping::compile_in(language, std::slice::from_ref(&pair), &[]);
        let compiled = match alone {
            Ok(compiled) => compiled,
            Err(error) => {
                let at_value = matches!(pair.1, Entry::Value(_)) && expand_key(&pair.0).is_ok();
                let span = match error.place {
                    Some(place) => document.inside(entry.span(), place),
                    None if at_value => entry.span(),
                    None => key.span(),
                };
                return Err(refuse(document, span, &error.problem));
            }
        };
        if let Ok(path) = expand_key(&pair.0)
            && let Some(other) = paths.insert(path.clone(), pair.0.clone())
        {
            return Err(document.error(
                key.span(),
                &format!("`{other}` and `{}` both mean `{path}`", pair.0),
                "keep one of them",
            ));
        }
        for expression in compiled.entries.values().flatten() {
            written.extend(Written::all_of(expression, entry.span(), document));
        }
        entries.push(pair);
    }
    let mut kept = Vec::new();
    for key in keep_when_empty {
        if let Err(error) = expand_key(key.get_ref()) {
            return Err(refuse(document, key.span(), &error.problem));
        }
        kept.push(key.into_inner());
    }
    let mapping = Mapping::compile_in(language, &entries, &kept)
        .map_err(|error| document.error_without_place(&error.problem, "correct the preset"))?;
    Ok((mapping, written))
}

/// Checks every named attribute against what the sources can give. Says nothing when one of
/// them cannot tell.
pub(super) fn check_names(
    written: &[Written],
    sources: &[String],
    facts: &BTreeMap<String, SourceFacts>,
) -> Result<(), ConfigError> {
    let mut known = BTreeSet::new();
    for source in sources {
        let attributes = facts
            .get(source)
            .and_then(|facts| facts.attributes.get(&Kind::User));
        match attributes {
            Some(attributes) if !attributes.is_empty() => known.extend(attributes),
            _ => return Ok(()),
        }
    }
    for Written { document, name } in written {
        // A question is no attribute's name.
        if !known.contains(name.get_ref()) && Question::asked(name.get_ref()).is_none() {
            return Err(document.error(
                name.span(),
                &format!(
                    "no source of this target has an attribute `{}`",
                    name.get_ref()
                ),
                &suggest_attribute(name.get_ref(), &known),
            ));
        }
    }
    Ok(())
}

/// Checks that each source can give at least one of the named attributes, so that none is left
/// out by oversight. Says nothing of one that cannot tell what it has.
pub(super) fn check_each_source(
    written: &[Written],
    sources: &[String],
    facts: &BTreeMap<String, SourceFacts>,
) -> Result<(), ConfigError> {
    let Some(Written { document, name }) = written.first() else {
        return Ok(());
    };
    for source in sources {
        let attributes = facts
            .get(source)
            .and_then(|facts| facts.attributes.get(&Kind::User))
            .filter(|attributes| !attributes.is_empty());
        let lacks_all = |attributes: &BTreeSet<String>| {
            let mut named = written.iter().map(|written| written.name.get_ref());
            !named.any(|name| attributes.contains(name))
        };
        if attributes.is_some_and(lacks_all) {
            return Err(document.error(
                name.span(),
                &format!("the source `{source}` has no such attribute, so nobody of it is joined"),
                "where the sources name it differently, write a template that takes either, as \
                 in \"{{ employeeNumber or employeeId }}\"",
            ));
        }
    }
    Ok(())
}

/// The attribute that was probably meant. In a template, a name like `msDS-x` reads as a
/// difference, and only its beginning was taken for the name.
fn suggest_attribute(name: &str, known: &BTreeSet<&String>) -> String {
    let longer = known.iter().find(|known| {
        let rest = known.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(|c: char| !c.is_alphanumeric() && c != '_'))
    });
    match longer {
        Some(longer) => format!("in a template, write record['{longer}'] for `{longer}`"),
        None => suggest(
            name,
            known.iter().map(|known| known.as_str()),
            "the attributes are",
        ),
    }
}

/// An error of the mapping: its words carry problem and advice in one.
pub(super) fn refuse(document: &Document, span: Range<usize>, problem: &str) -> ConfigError {
    match problem
        .find("; ")
        .into_iter()
        .chain(problem.find(": "))
        .min()
    {
        Some(at) => document.error(span, &problem[..at], &problem[at + 2..]),
        None => document.error(span, problem, ""),
    }
}

impl<'de> Deserialize<'de> for RawEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrFalse;

        impl<'de> Visitor<'de> for NameOrFalse {
            type Value = RawEntry;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an attribute's name, or false")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawEntry, E> {
                Ok(RawEntry(Entry::Value(text.to_owned())))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<RawEntry, E> {
                if value {
                    return Err(with_help(
                        "`true` maps nothing",
                        "write the name of a source attribute, or `false` to drop the key",
                    ));
                }
                Ok(RawEntry(Entry::Drop))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEntry, A::Error> {
                let key = map
                    .next_entry::<String, IgnoredAny>()?
                    .map(|(key, _)| key)
                    .unwrap_or_default();
                Err(with_help(
                    "a mapping's keys are texts, not tables",
                    &format!("put the whole key in quotation marks, as in \"name.{key}\" = …"),
                ))
            }
        }

        deserializer.deserialize_any(NameOrFalse)
    }
}
