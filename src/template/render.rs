//! Rendering one template for one record, within the limits.

use std::io;
use std::ops::Range;

use minijinja::value::ValueKind;
use minijinja::{Error, Output, State, Value};
use provisor_connectors::{Attributes, Value as SourceValue};

use super::error::{TemplateError, describe, problem};
use super::language::NAME;
use super::{Compiled, Form, LONGEST_OUTPUT, record};

/// Where the formatter leaves the value of the last `{{ }}`, with its type.
const LAST: &str = "provisor.last";

const TOO_LONG: &str = "its output is longer than 64 KiB";

pub(super) fn render(
    compiled: &Compiled,
    attributes: &Attributes,
) -> Result<Option<SourceValue>, TemplateError> {
    let mut output = Limited(Vec::new());
    let captured = compiled
        .environment
        .get_template(NAME)
        .and_then(|template| {
            template.render_captured_to(record::context(compiled, attributes), &mut output)
        })
        .map_err(|error| failed(compiled, &error))?;
    let value = match compiled.form {
        Form::Text => Value::from(String::from_utf8_lossy(&output.0).as_ref()),
        Form::Expression => captured.state().get_temp(LAST).unwrap_or_default(),
    };
    typed(&value).map_err(|error| failed(compiled, &error))
}

/// Writes what a `{{ }}` gives, and remembers it. Lists and tables have no text that a
/// target could want.
pub(super) fn write_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    let value = only(value)?;
    match value.kind() {
        ValueKind::None => {}
        // Booleans as SCIM writes them; the engine's own words are Python's.
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" })?,
        _ => out.write_fmt(format_args!("{value}"))?,
    }
    state.set_temp(LAST, value);
    Ok(())
}

/// The one value of what an expression gives; none of an empty list.
fn only(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(minijinja::ErrorKind::UndefinedError)),
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::String => {
            Ok(value.clone())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let mut found = None;
            for item in value.try_iter()?.checked() {
                let item = only(&item?)?;
                if item.is_none() || item.as_str().is_some_and(|text| text.trim().is_empty()) {
                    continue;
                }
                if found.replace(item).is_some() {
                    return Err(problem(
                        "it gives several values and this takes one; pick with `first` or \
                         `last`, or put them together with `join`",
                    ));
                }
            }
            Ok(found.unwrap_or_else(|| Value::from(())))
        }
        _ => Err(problem(
            "it gives a table and not a value; pick one of its values",
        )),
    }
}

/// A result as the rest of the engine knows values. Whole numbers stay numbers.
fn typed(value: &Value) -> Result<Option<SourceValue>, Error> {
    if value.kind() == ValueKind::Bool {
        return Ok(Some(SourceValue::Boolean(value.is_true())));
    }
    if let Some(number) = value.as_i64() {
        return Ok(Some(SourceValue::Integer(number)));
    }
    let text = match value.as_str() {
        Some(text) => text.trim().to_owned(),
        None if value.is_none() || value.is_undefined() => String::new(),
        None => value.to_string(),
    };
    if text.len() > LONGEST_OUTPUT {
        return Err(problem(TOO_LONG));
    }
    Ok(Some(text)
        .filter(|text| !text.is_empty())
        .map(SourceValue::Text))
}

fn failed(compiled: &Compiled, error: &Error) -> TemplateError {
    let problem = match error.kind() {
        minijinja::ErrorKind::WriteFailure => TOO_LONG.to_owned(),
        _ => describe(error),
    };
    TemplateError {
        problem,
        place: place(compiled, error),
        source_text: compiled.source.clone(),
    }
}

fn place(compiled: &Compiled, error: &Error) -> Option<Range<usize>> {
    let range = error.range()?;
    let end = compiled.source.len();
    let at = |offset: usize| offset.saturating_sub(compiled.shift).min(end);
    let place = at(range.start)..at(range.end);
    compiled.source.get(place.clone()).map(|_| place)
}

/// Takes as much as a target would, and no more.
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_OUTPUT {
            return Err(io::Error::other(TOO_LONG));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
