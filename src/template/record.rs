//! A record's attributes as a template sees them.

use minijinja::Value;
use provisor_connectors::{Attributes, Value as SourceValue};

use super::Compiled;
use crate::text::nfc;

/// The name under which every attribute can be reached.
pub(super) const RECORD: &str = "record";

/// The variables of one rendering: exactly the attributes that the template names. What the
/// record does not have is declared all the same, so that strictness is only about names
/// that no source gives.
pub(super) fn context(compiled: &Compiled, attributes: &Attributes) -> Value {
    let variables = compiled
        .variables
        .iter()
        .map(|name| (name.as_str(), value(attributes.values(name))));
    if compiled.keys.is_empty() {
        return Value::from_pairs(variables);
    }
    let keys = compiled
        .keys
        .iter()
        .map(|name| (name.as_str(), value(attributes.values(name))));
    let record = (RECORD, Value::from_pairs(keys));
    Value::from_pairs(variables.chain([record]))
}

/// No value: the empty text; one: the value; several: a list. Text is trimmed, and empty
/// text does not count, as everywhere in the mapping. It is in Normalization Form C, so that
/// comparing it says the same whichever form the directory writes today.
fn value(values: &[SourceValue]) -> Value {
    let mut present = values.iter().filter_map(|value| match value {
        SourceValue::Boolean(value) => Some(Value::from(*value)),
        SourceValue::Integer(value) => Some(Value::from(*value)),
        SourceValue::Text(text) => match text.trim() {
            "" => None,
            text => Some(Value::from(nfc(text))),
        },
    });
    match (present.next(), present.next()) {
        (None, _) => Value::from(""),
        (Some(only), None) => only,
        (Some(first), Some(second)) => Value::from_iter([first, second].into_iter().chain(present)),
    }
}
