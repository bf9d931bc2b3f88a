//! Templates and expressions of the configuration: compiled once, rendered for each record.
//! Pure.
//!
//! Strict, and bounded in length, steps and output, so that a mistake is an error of one
//! record and never a stuck or swollen process. There is no clock and no chance in it. An
//! error shows the configuration's text and a position in it, never a record's value. Must
//! not know paths, targets or scopes: what a result is good for is the caller's question.

mod dn;
mod error;
mod filters;
mod language;
mod record;
mod render;
mod scan;
mod text;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use minijinja::Environment;
use provisor_connectors::{Attributes, Value};

pub use error::TemplateError;
pub use language::Language;

/// `[lookups.NAME]`: tables from text to text, by name.
pub type Lookups = BTreeMap<String, BTreeMap<String, String>>;

/// The longest template, in characters. Longer chains of operators overflow the parser's
/// stack, and nobody can read them.
pub const LONGEST_SOURCE: usize = 2_000;

/// The longest output, in bytes: the longest text that is sent to a target.
pub const LONGEST_OUTPUT: usize = 64 * 1024;

/// How many steps one rendering may take. An ordinary template takes a few dozen; the limit
/// is there for loops over loops.
pub const MOST_STEPS: u64 = 20_000;

/// One compiled template. Cheap to clone.
#[derive(Clone)]
pub struct Template(Arc<Compiled>);

/// A source attribute that a template names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The attribute's name.
    pub name: String,
    /// Where the template names it first, in bytes.
    pub place: Range<usize>,
}

struct Compiled {
    /// As configured.
    source: String,
    form: Form,
    /// How many bytes were put before the source to make it a template.
    shift: usize,
    /// Holds just this template, under the name [`language::NAME`].
    environment: Environment<'static>,
    /// Attributes that are variables.
    variables: BTreeSet<String>,
    /// Attributes that are reached through `record`.
    keys: BTreeSet<String>,
    uses: Vec<Use>,
    /// The tables that the template names.
    lookups: Lookups,
}

/// What a template's result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One expression, whose value keeps its type.
    Expression,
    /// Text.
    Text,
}

impl Template {
    /// Whether a configured text is a template and not just a name.
    pub fn is_one(text: &str) -> bool {
        ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
    }

    /// The text as configured.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The source attributes that it names, each once, in order of name.
    pub fn uses(&self) -> &[Use] {
        &self.0.uses
    }

    /// The lookup tables that it names, with their rows.
    pub fn lookups(&self) -> &Lookups {
        &self.0.lookups
    }

    /// Renders for one record. A template that is one expression gives its value with its
    /// type; any other gives text. Text is trimmed, and empty text is `None`. An attribute
    /// that the record does not have is the empty text.
    ///
    /// # Errors
    ///
    /// What the template does with this record's values cannot be done, or gives several
    /// values, or goes beyond a limit.
    pub fn render(&self, attributes: &Attributes) -> Result<Option<Value>, TemplateError> {
        render::render(&self.0, attributes)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Template")
            .field(&self.0.source)
            .finish()
    }
}

/// Two templates are equal when they cannot give different results.
impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        let Compiled {
            source,
            form,
            shift,
            environment: _,
            variables: _,
            keys: _,
            uses: _,
            lookups,
        } = self.0.as_ref();
        (source, form, shift, lookups)
            == (
                &other.0.source,
                &other.0.form,
                &other.0.shift,
                &other.0.lookups,
            )
    }
}

impl Eq for Template {}
