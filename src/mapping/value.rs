//! One value for one path: trimmed, typed, and refused where a target could not take it.
//!
//! Errors name the path and the source attribute, never the value.

use provisor_connectors::{Attributes, Value as SourceValue};
use serde_json::Value;

use super::MappingError;
use super::key::holds_text;
use crate::scim::path::AttributePath;
use crate::template::Template;

/// The longest text that is sent, in bytes. Longer ones are certificates, pictures and
/// mistakes, and targets answer them with errors that name nothing.
pub(super) const LONGEST_TEXT: usize = crate::template::LONGEST_OUTPUT;

/// The attribute's value for this path; `None` when there is none. Empty values do not
/// count; two real ones are an error, because every path takes one.
pub(super) fn single(
    path: &AttributePath,
    name: &str,
    attributes: &Attributes,
) -> Result<Option<Value>, MappingError> {
    let mut present = attributes
        .values(name)
        .iter()
        .filter(|value| !is_empty(value));
    let Some(first) = present.next() else {
        return Ok(None);
    };
    let others = present.count();
    if others > 0 {
        return Err(MappingError {
            path: Box::new(path.clone()),
            problem: format!(
                "the source's attribute `{name}` has {} values and this path takes one; pick one, \
                 as in {{{{ {} | first }}}}",
                others + 1,
                variable(name)
            ),
        });
    }
    let value = match first {
        SourceValue::Text(text) => Value::String(check_text(
            path,
            || format!("the source's attribute `{name}`"),
            text.trim().to_owned(),
        )?),
        other => plain(path, other),
    };
    Ok(Some(value))
}

/// What a template gives for this path; `None` when that is nothing.
pub(super) fn rendered(
    path: &AttributePath,
    template: &Template,
    attributes: &Attributes,
) -> Result<Option<Value>, MappingError> {
    let rendered = template.render(attributes).map_err(|error| MappingError {
        path: Box::new(path.clone()),
        problem: error.to_string(),
    })?;
    let value = match rendered {
        None => return Ok(None),
        Some(SourceValue::Text(text)) => {
            let origin = || format!("the result of `{}`", template.source().trim());
            Value::String(check_text(path, origin, text)?)
        }
        Some(other) => plain(path, &other),
    };
    Ok(Some(value))
}

/// A boolean or a number, as text where the schema asks for text.
fn plain(path: &AttributePath, value: &SourceValue) -> Value {
    match value {
        SourceValue::Boolean(value) if !holds_text(path) => Value::Bool(*value),
        SourceValue::Integer(value) if !holds_text(path) => Value::from(*value),
        other => Value::String(other.to_string()),
    }
}

/// How a template names an attribute.
fn variable(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_')
        && letters.all(|c| c.is_alphanumeric() || c == '_');
    match plain {
        true => name.to_owned(),
        false => format!("record['{name}']"),
    }
}

/// Refuses text that is too long or holds control characters. `origin` says where it came
/// from.
pub(super) fn check_text(
    path: &AttributePath,
    origin: impl FnOnce() -> String,
    text: String,
) -> Result<String, MappingError> {
    let problem = if text.len() > LONGEST_TEXT {
        "is longer than 64 KiB; correct it in the source"
    } else if text
        .chars()
        .any(|c| c.is_control() && !(takes_lines(path) && matches!(c, '\n' | '\r' | '\t')))
    {
        "contains a control character; correct it in the source"
    } else {
        return Ok(text);
    };
    Err(MappingError {
        path: Box::new(path.clone()),
        problem: format!("{} {problem}", origin()),
    })
}

fn is_empty(value: &SourceValue) -> bool {
    matches!(value, SourceValue::Text(text) if text.trim().is_empty())
}

/// Whether line breaks and tabs are ordinary: postal addresses (RFC 7643 §4.1.2) and the
/// free text of extensions. In names, keys and e-mail addresses they are mistakes.
fn takes_lines(path: &AttributePath) -> bool {
    path.schema.is_some() || path.attribute.eq_ignore_ascii_case("addresses")
}
