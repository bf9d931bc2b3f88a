//! The filters, tests and functions that a template can use.
//!
//! A closed list: what is not here is found when the configuration is loaded. Filters about
//! text apply to every value of a list, and filters about lists take a single value for a
//! list of one, so that nobody's mapping breaks on the day somebody gets a second address.

use std::borrow::Cow;
use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters, functions, tests};

use super::error::problem;
use super::{LONGEST_OUTPUT, Lookups, dn, text};
use crate::text::nfc;

/// Every filter.
pub(super) const FILTERS: &[&str] = &[
    "ascii",
    "bool",
    "capitalize",
    "default",
    "digits",
    "dn",
    "first",
    "int",
    "join",
    "last",
    "length",
    "list",
    "lookup",
    "lower",
    "map",
    "nfc",
    "reject",
    "replace",
    "reverse",
    "select",
    "sort",
    "split",
    "string",
    "switch",
    "title",
    "trim",
    "unique",
    "upper",
];

/// Every test, besides the comparisons that are written as signs.
pub(super) const TESTS: &[&str] = &[
    "boolean",
    "containing",
    "defined",
    "endingwith",
    "eq",
    "ge",
    "gt",
    "in",
    "integer",
    "le",
    "lt",
    "ne",
    "none",
    "number",
    "sequence",
    "startingwith",
    "string",
    "undefined",
];

/// Every function.
pub(super) const FUNCTIONS: &[&str] = &["range", "switch"];

/// Adds all of them.
pub(super) fn add(environment: &mut Environment<'static>, lookups: &Arc<Lookups>) {
    add_text(environment);
    add_choices(environment, lookups);
    add_lists(environment);
    add_tests(environment);
    environment.add_function("range", functions::range);
    environment.add_function("switch", switch);
}

fn add_text(environment: &mut Environment<'static>) {
    environment.add_filter("lower", |value: &Value| {
        each(value, |text| bounded(text.to_lowercase()))
    });
    environment.add_filter("upper", |value: &Value| {
        each(value, |text| bounded(text.to_uppercase()))
    });
    environment.add_filter("capitalize", |value: &Value| {
        each(value, |plain| bounded(text::capitalize(plain)))
    });
    environment.add_filter("title", |value: &Value| {
        each(value, |text| bounded(filters::title(Cow::Borrowed(text))))
    });
    environment.add_filter("trim", |value: &Value, characters: Option<String>| {
        each(value, |text| {
            Ok(Value::from(match &characters {
                Some(set) => text.trim_matches(|c| set.contains(c)),
                None => text.trim(),
            }))
        })
    });
    environment.add_filter("replace", |value: &Value, from: &str, to: &str| {
        if from.is_empty() {
            return Err(problem("`replace` needs a text to look for"));
        }
        each(value, |text| {
            let grown = text.matches(from).count().saturating_mul(to.len());
            if grown > LONGEST_OUTPUT {
                return Err(problem(TOO_LONG));
            }
            bounded(text.replace(from, to))
        })
    });
    environment.add_filter("split", |value: &Value, separator: Option<&str>| {
        let text = scalar(value)?;
        let parts: Vec<Value> = match separator {
            Some("") => return Err(problem("`split` needs a text to split at")),
            Some(separator) => text.split(separator).map(Value::from).collect(),
            None => text.split_whitespace().map(Value::from).collect(),
        };
        Ok(Value::from(parts))
    });
    environment.add_filter("nfc", |value: &Value| {
        each(value, |text| bounded(nfc(text).into_owned()))
    });
    environment.add_filter("ascii", |value: &Value, options: Kwargs| {
        let german = options.get::<Option<bool>>("german")?.unwrap_or(false);
        let other = options.get::<Option<&str>>("other")?;
        options.assert_all_used()?;
        each(value, |plain| match text::to_ascii(plain, german, other) {
            Some(ascii) => bounded(ascii),
            None => Err(problem(
                "a character has no ASCII form; say what stands for such ones, as in \
                 ascii(other='')",
            )),
        })
    });
    environment.add_filter("digits", |value: &Value| {
        each(value, |plain| bounded(text::phone_digits(plain)))
    });
    environment.add_filter("dn", |value: &Value, part: &str| {
        let mut found = Vec::new();
        for name in items(value)? {
            let parts = dn::parts(&scalar(&name)?, part)
                .ok_or_else(|| problem("this is not a distinguished name"))?;
            found.extend(parts.into_iter().map(Value::from));
        }
        Ok::<_, Error>(one_or_list(found))
    });
    environment.add_filter("string", |value: &Value| {
        each(value, |text| Ok(text.into()))
    });
    environment.add_filter("length", filters::length);
}

fn add_choices(environment: &mut Environment<'static>, lookups: &Arc<Lookups>) {
    environment.add_filter(
        "default",
        |value: &Value, fallback: Value, _: Option<bool>| {
            if is_empty(value) {
                fallback
            } else {
                value.clone()
            }
        },
    );
    environment.add_filter("switch", switch);
    let lookups = Arc::clone(lookups);
    environment.add_filter(
        "lookup",
        move |value: &Value, table: &str, fallback: Option<Value>| {
            let rows = lookups
                .get(table)
                .ok_or_else(|| problem("there is no such lookup table"))?;
            if is_empty(value) {
                return Ok(fallback.unwrap_or_else(|| Value::from("")));
            }
            each(value, |key| match (rows.get(key), &fallback) {
                (Some(found), _) => Ok(Value::from(found.as_str())),
                (None, Some(fallback)) => Ok(fallback.clone()),
                (None, None) => Err(problem(format!(
                    "the lookup table `{table}` has no row for this value; add it, or a \
                     default, as in lookup('{table}', '')"
                ))),
            })
        },
    );
    environment.add_filter("bool", |value: &Value| {
        if value.kind() == ValueKind::Bool {
            return Ok(value.clone());
        }
        match scalar(value)?.trim().to_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(Value::from(true)),
            "false" | "no" | "0" => Ok(Value::from(false)),
            _ => Err(problem("this is none of true, false, yes, no, 1 and 0")),
        }
    });
    environment.add_filter("int", |value: &Value, fallback: Option<Value>| {
        let number = scalar(value)?.trim().parse::<i64>().ok();
        match (number, fallback) {
            (Some(number), _) => Ok(Value::from(number)),
            (None, Some(fallback)) => Ok(fallback),
            (None, None) => Err(problem(
                "this is not a whole number; give a default, as in int(0)",
            )),
        }
    });
}

fn add_lists(environment: &mut Environment<'static>) {
    environment.add_filter("list", |value: &Value| items(value).map(Value::from));
    environment.add_filter("first", |value: &Value| {
        Ok::<_, Error>(items(value)?.into_iter().next().unwrap_or_else(nothing))
    });
    environment.add_filter("last", |value: &Value| {
        Ok::<_, Error>(
            items(value)?
                .into_iter()
                .next_back()
                .unwrap_or_else(nothing),
        )
    });
    environment.add_filter("join", |value: &Value, separator: Option<&str>| {
        let mut joined = String::new();
        for item in items(value)? {
            if !joined.is_empty() {
                joined.push_str(separator.unwrap_or_default());
            }
            joined.push_str(&scalar(&item)?);
            if joined.len() > LONGEST_OUTPUT {
                return Err(problem(TOO_LONG));
            }
        }
        Ok(joined)
    });
    environment.add_filter("reverse", |value: &Value| {
        let mut items = items(value)?;
        items.reverse();
        Ok::<_, Error>(items)
    });
    environment.add_filter("sort", |state: &State, value: &Value, options: Kwargs| {
        filters::sort(state, Value::from(items(value)?), options)
    });
    environment.add_filter("unique", |state: &State, value: &Value, options: Kwargs| {
        filters::unique(state, Value::from(items(value)?), options)
    });
    environment.add_filter(
        "map",
        |state: &mut State, value: &Value, arguments: Rest<ValueOrKwargs>| {
            filters::map(state, Value::from(items(value)?), arguments)
        },
    );
    type Arguments<'a> = Rest<ValueOrKwargs>;
    environment.add_filter(
        "select",
        |state: &mut State, value: &Value, test: Option<Cow<'_, str>>, arguments: Arguments| {
            filters::select(state, Value::from(items(value)?), test, arguments)
        },
    );
    environment.add_filter(
        "reject",
        |state: &mut State, value: &Value, test: Option<Cow<'_, str>>, arguments: Arguments| {
            filters::reject(state, Value::from(items(value)?), test, arguments)
        },
    );
}

fn add_tests(environment: &mut Environment<'static>) {
    environment.add_test("boolean", tests::is_boolean);
    environment.add_test("containing", |value: &Value, part: &str| {
        value.as_str().is_some_and(|text| text.contains(part))
    });
    environment.add_test("defined", tests::is_defined);
    environment.add_test("endingwith", tests::is_endingwith);
    for name in ["eq", "=="] {
        environment.add_test(name, tests::is_eq);
    }
    for name in ["ne", "!="] {
        environment.add_test(name, tests::is_ne);
    }
    for name in ["lt", "<"] {
        environment.add_test(name, tests::is_lt);
    }
    for name in ["le", "<="] {
        environment.add_test(name, tests::is_le);
    }
    for name in ["gt", ">"] {
        environment.add_test(name, tests::is_gt);
    }
    for name in ["ge", ">="] {
        environment.add_test(name, tests::is_ge);
    }
    environment.add_test("in", tests::is_in);
    environment.add_test("integer", tests::is_integer);
    environment.add_test("none", tests::is_none);
    environment.add_test("number", tests::is_number);
    environment.add_test("sequence", tests::is_sequence);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("string", tests::is_string);
    environment.add_test("undefined", tests::is_undefined);
}

const TOO_LONG: &str = "the text becomes longer than 64 KiB";

/// `switch(input, default, key1, value1, …)`: the value of the key that equals the input.
fn switch(input: &Value, fallback: Value, pairs: Rest<Value>) -> Result<Value, Error> {
    if !pairs.len().is_multiple_of(2) {
        return Err(problem(
            "`switch` takes a default and then pairs of a key and a value",
        ));
    }
    each(input, |text| {
        for pair in pairs.chunks_exact(2) {
            if scalar(&pair[0])? == text {
                return Ok(pair[1].clone());
            }
        }
        Ok(fallback.clone())
    })
}

/// Applies a function of text to a value, or to every value of a list.
fn each(value: &Value, apply: impl Fn(&str) -> Result<Value, Error>) -> Result<Value, Error> {
    if !is_list(value) {
        return apply(&scalar(value)?);
    }
    let applied: Result<Vec<Value>, Error> = items(value)?
        .iter()
        .map(|item| apply(&scalar(item)?))
        .collect();
    applied.map(Value::from)
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// The values of a list; a single value is a list of one, and the empty text of none.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    if is_list(value) {
        return value.try_iter()?.checked().collect();
    }
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let one = Some(value).filter(|value| !is_empty(value));
    Ok(one.cloned().into_iter().collect())
}

fn one_or_list(mut values: Vec<Value>) -> Value {
    match values.len() {
        0 => nothing(),
        1 => values.remove(0),
        _ => Value::from(values),
    }
}

/// Text that stands for no value.
fn nothing() -> Value {
    Value::from("")
}

/// A single value as text; numbers and booleans as they are written.
fn scalar(value: &Value) -> Result<Cow<'_, str>, Error> {
    match value.kind() {
        ValueKind::String => Ok(Cow::Borrowed(value.as_str().unwrap_or_default())),
        ValueKind::None => Ok(Cow::Borrowed("")),
        ValueKind::Bool if value.is_true() => Ok(Cow::Borrowed("true")),
        ValueKind::Bool => Ok(Cow::Borrowed("false")),
        ValueKind::Number => Ok(Cow::Owned(value.to_string())),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        _ => Err(problem(
            "this takes a single value and is given a list or a table; pick one with `first` \
             or `last`",
        )),
    }
}

fn is_empty(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => true,
        ValueKind::String | ValueKind::Seq => value.len() == Some(0),
        _ => false,
    }
}

fn bounded(text: String) -> Result<Value, Error> {
    if text.len() > LONGEST_OUTPUT {
        return Err(problem(TOO_LONG));
    }
    Ok(Value::from(text))
}
