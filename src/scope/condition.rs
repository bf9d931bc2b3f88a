//! `scope.when`: an expression over a record's attributes that is true or false.

use provisor_connectors::{Attributes, Value};

use super::Verdict;
use crate::template::{Language, Template, TemplateError};

/// A compiled condition. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(Template);

impl Condition {
    /// Compiles an expression, written without braces.
    pub fn compile(source: &str, language: &Language) -> Result<Self, TemplateError> {
        language.expression(source).map(Self)
    }

    /// The expression.
    pub fn template(&self) -> &Template {
        &self.0
    }

    /// Source attribute names that it looks at.
    pub fn attributes(&self) -> impl Iterator<Item = String> {
        self.0.uses().iter().map(|used| used.name.clone())
    }

    /// True is In, false is Out. What fails, or is neither, leaves the record Unknown: a
    /// mistake in an expression must not switch anybody off.
    pub fn judge(&self, attributes: &Attributes) -> Verdict {
        let unknown = |what: String| Verdict::Unknown(format!("the scope's condition: {what}"));
        match self.0.render(attributes) {
            Ok(Some(Value::Boolean(true))) => Verdict::In,
            Ok(Some(Value::Boolean(false))) => Verdict::Out,
            Ok(other) => {
                let found = match other {
                    None => "nothing",
                    Some(Value::Integer(_)) => "a number",
                    Some(_) => "text",
                };
                unknown(format!(
                    "it gives {found} and not true or false; compare it with something (`{}`)",
                    self.0.source().trim()
                ))
            }
            Err(error) => unknown(error.to_string()),
        }
    }
}
