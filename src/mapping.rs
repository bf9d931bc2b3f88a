//! Mapping: a record's attributes to SCIM attribute paths. Pure.
//!
//! Compiled once from the configuration, applied to each record; templates come compiled
//! from `template`. Must not know links, targets' answers or time. Whether a required attribute is missing is the planner's
//! question; here an attribute without a value just maps to nothing.

mod default;
mod key;
mod value;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use provisor_connectors::{Attributes, Kind, Record, SourceId};
use serde_json::Value;

use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, normalized};
use crate::template::{Language, Template};
use crate::text::nfc;

pub use default::default_attributes;
pub use key::expand_key;

/// A compiled mapping for one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// Explicit entries from the preset and the configuration, expanded and merged;
    /// `None` drops the default for that path.
    pub entries: BTreeMap<AttributePath, Option<Expression>>,
    /// Paths that keep their last value when they map to nothing.
    pub keep_when_empty: BTreeSet<AttributePath>,
}

/// What a path's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// A bare attribute name.
    Attribute(String),
    /// A template over the record's attributes.
    Template(Template),
}

/// Why one record cannot be mapped. Names the path, the source attribute or the template and
/// the place in it, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {problem}")]
pub struct MappingError {
    /// The path that could not be set. Boxed to keep results small.
    pub path: Box<AttributePath>,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Why a mapping cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct MappingConfigError {
    /// The key in the configuration.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: String,
    /// Where in the entry's value, in bytes, if it is one place in a template.
    pub place: Option<Range<usize>>,
}

/// One entry as configured: a value, or `false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Maps from this.
    Value(String),
    /// Drops the key.
    Drop,
}

impl Mapping {
    /// Compiles configured entries (the preset's first, then the target's over them), without
    /// lookup tables. Short keys expand: `emails` is the work e-mail, `department` the
    /// enterprise one. Values with `{{` or `{%` are templates.
    pub fn compile(
        entries: &[(String, Entry)],
        keep_when_empty: &[String],
    ) -> Result<Self, MappingConfigError> {
        Self::compile_in(&Language::default(), entries, keep_when_empty)
    }

    /// The same with the lookup tables of this language.
    pub fn compile_in(
        language: &Language,
        entries: &[(String, Entry)],
        keep_when_empty: &[String],
    ) -> Result<Self, MappingConfigError> {
        let mut mapping = Self {
            entries: BTreeMap::new(),
            keep_when_empty: BTreeSet::new(),
        };
        for (key, entry) in entries {
            let path = expand_key(key)?;
            let expression = match entry {
                Entry::Value(text) => Some(Expression::parse(text, key, language)?),
                Entry::Drop if path == AttributePath::user_name() => {
                    return Err(MappingConfigError {
                        key: key.clone(),
                        problem: "`userName` cannot be dropped: every SCIM user has one \
                                  (RFC 7643 §4.1.1); map it from the attribute that people \
                                  sign in with"
                            .to_owned(),
                        place: None,
                    });
                }
                Entry::Drop => None,
            };
            mapping.entries.insert(path, expression);
        }
        for key in keep_when_empty {
            mapping.keep_when_empty.insert(expand_key(key)?);
        }
        Ok(mapping)
    }

    /// Source attribute names that the explicit entries use.
    pub fn attributes(&self) -> BTreeSet<String> {
        self.entries
            .values()
            .flatten()
            .flat_map(Expression::attributes)
            .map(str::to_owned)
            .collect()
    }

    /// Source attribute names that can change what a record of this kind maps to: those of
    /// the explicit entries, and those that defaults still look at. Nothing else needs to be
    /// read or kept for the mapping's sake.
    pub fn in_use(&self, kind: Kind) -> BTreeSet<String> {
        match kind {
            Kind::Group => default_attributes(Kind::Group),
            Kind::User => {
                let mut names = self.attributes();
                for (path, sources) in default::user() {
                    if !self.entries.contains_key(path) {
                        names.extend(sources.iter().map(|&name| name.to_owned()));
                    }
                }
                names
            }
        }
    }

    /// Maps one record: defaults, then explicit entries over them. `externalId` is the
    /// source's id unless mapped otherwise. Values are trimmed; an empty one is left out. Text
    /// is in Normalization Form C, but for ids: `externalId` and references are as they were.
    /// Groups map `displayName` (from `displayName`, else `name`/`cn`) and `externalId`;
    /// explicit entries are about users only.
    pub fn apply(
        &self,
        kind: Kind,
        id: &SourceId,
        attributes: &Attributes,
    ) -> Result<AttributeMap, MappingError> {
        let mut mapped = AttributeMap::new();
        let explicit = match kind {
            Kind::User => Some(&self.entries),
            Kind::Group => None,
        };
        let overridden =
            |path: &AttributePath| explicit.is_some_and(|entries| entries.contains_key(path));

        let external_id = AttributePath::external_id();
        if !overridden(&external_id) {
            let origin = || "the source's id".to_owned();
            let text = value::check_text(&external_id, origin, id.as_str().to_owned())?;
            if !text.trim().is_empty() {
                mapped.insert(external_id, Value::String(text));
            }
        }
        let defaults = match kind {
            Kind::User => default::user(),
            Kind::Group => default::group(),
        };
        for (path, sources) in defaults {
            if !overridden(path)
                && let Some(found) = first_of(path, sources, attributes)?
            {
                mapped.insert(path.clone(), found);
            }
        }
        for (path, expression) in explicit.into_iter().flatten() {
            if let Some(found) = evaluate(path, expression.as_ref(), attributes)? {
                mapped.insert(path.clone(), found);
            }
        }
        for (path, value) in mapped.iter_mut() {
            *value = normalized(path, std::mem::take(value));
        }
        Ok(mapped)
    }

    /// What one path of a user maps to: as in [`Mapping::apply`], which it is a part of.
    pub fn apply_path(
        &self,
        path: &AttributePath,
        attributes: &Attributes,
    ) -> Result<Option<Value>, MappingError> {
        if let Some(expression) = self.entries.get(path) {
            return evaluate(path, expression.as_ref(), attributes);
        }
        let default = default::user().iter().find(|(known, _)| known == path);
        default.map_or(Ok(None), |(_, sources)| first_of(path, sources, attributes))
    }

    /// The same for a record just read.
    pub fn apply_record(&self, record: &Record) -> Result<AttributeMap, MappingError> {
        self.apply(record.kind, &record.id, &record.attributes)
    }
}

/// The value of the first of these attributes that has one.
fn first_of(
    path: &AttributePath,
    names: &[&str],
    attributes: &Attributes,
) -> Result<Option<Value>, MappingError> {
    for name in names {
        if let Some(found) = value::single(path, name, attributes)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn evaluate(
    path: &AttributePath,
    expression: Option<&Expression>,
    attributes: &Attributes,
) -> Result<Option<Value>, MappingError> {
    match expression {
        Some(Expression::Attribute(name)) => value::single(path, name, attributes),
        Some(Expression::Template(template)) => value::rendered(path, template, attributes),
        None => Ok(None),
    }
}

impl Expression {
    /// The text that it gives for one record, for comparing, in Normalization Form C; `None`
    /// when that is nothing.
    ///
    /// # Errors
    ///
    /// In words: several values, or what the template cannot do. Never a value.
    pub fn text(&self, attributes: &Attributes) -> Result<Option<String>, String> {
        let text = match self {
            Self::Attribute(name) => {
                let mut values = attributes.values(name).iter().map(ToString::to_string);
                let found = values.find(|value| !value.trim().is_empty());
                if values.any(|value| !value.trim().is_empty()) {
                    return Err(format!(
                        "the source's attribute `{name}` has several values"
                    ));
                }
                found
            }
            Self::Template(template) => template
                .render(attributes)
                .map_err(|error| error.to_string())?
                .map(|value| value.to_string()),
        };
        Ok(text.map(|text| nfc(text.trim()).into_owned()))
    }

    /// The source attributes that it is about.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        let (bare, uses) = match self {
            Self::Attribute(name) => (Some(name.as_str()), &[][..]),
            Self::Template(template) => (None, template.uses()),
        };
        bare.into_iter()
            .chain(uses.iter().map(|used| used.name.as_str()))
    }

    /// Reads a configured value. The error says what would be right.
    pub fn parse(text: &str, key: &str, language: &Language) -> Result<Self, MappingConfigError> {
        if Template::is_one(text) {
            return language
                .template(text)
                .map(Self::Template)
                .map_err(|error| MappingConfigError {
                    key: key.to_owned(),
                    problem: error.problem,
                    place: error.place,
                });
        }
        let name = text.trim();
        if name.is_empty() {
            return Err(MappingConfigError {
                key: key.to_owned(),
                problem: "an attribute name is missing; write `false` to map nothing here"
                    .to_owned(),
                place: None,
            });
        }
        Ok(Self::Attribute(name.to_owned()))
    }
}
