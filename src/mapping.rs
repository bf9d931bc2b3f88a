//! Mapping: a record's attributes to SCIM attribute paths. Pure.
//!
//! Compiled once from the configuration, applied to each record. Must not know links,
//! targets' answers or time.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, Record, SourceId};

use crate::scim::path::AttributePath;
use crate::scim::resource::AttributeMap;

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
}

/// Why one record cannot be mapped. Names the attribute, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {problem}")]
pub struct MappingError {
    /// The path that could not be set.
    pub path: AttributePath,
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
    /// Compiles configured entries (the preset's first, then the target's over them).
    /// Short keys expand: `emails` is the work e-mail, `department` the enterprise one.
    /// A value with `{{` is refused for now.
    pub fn compile(
        _entries: &[(String, Entry)],
        _keep_when_empty: &[String],
    ) -> Result<Self, MappingConfigError> {
        unimplemented!()
    }

    /// Source attribute names that the explicit entries use.
    pub fn attributes(&self) -> BTreeSet<String> {
        unimplemented!()
    }

    /// Maps one record: defaults, then explicit entries over them. `externalId` is the
    /// source's id unless mapped otherwise. Values are trimmed; an empty one is left out.
    /// Groups map `displayName` (from `displayName`, else `name`/`cn`) and `externalId`.
    pub fn apply(
        &self,
        _kind: Kind,
        _id: &SourceId,
        _attributes: &provisor_connectors::Attributes,
    ) -> Result<AttributeMap, MappingError> {
        unimplemented!()
    }

    /// The same for a record just read.
    pub fn apply_record(&self, record: &Record) -> Result<AttributeMap, MappingError> {
        self.apply(record.kind, &record.id, &record.attributes)
    }
}
