//! What is wrong with a template, in words that never repeat a record's values.

use std::error::Error as _;
use std::fmt;
use std::ops::Range;

use minijinja::{Error, ErrorKind};

/// Why a template cannot be compiled, or cannot be rendered for one record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}{}", At(.source_text, .place))]
pub struct TemplateError {
    /// What is wrong and what to do; a lower-case fragment.
    pub problem: String,
    /// Where in the configured text, in bytes, if it is one place.
    pub place: Option<Range<usize>>,
    /// The configured text.
    pub source_text: String,
}

/// A problem found by a filter of ours. Its words hold no value, other than those of
/// `minijinja`, whose details quote what they were given.
#[derive(Debug)]
pub(super) struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

/// An error of a filter. `text` must not quote a value.
pub(super) fn problem(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, "see the cause").with_source(Problem(text.into()))
}

/// What failed while rendering, without the details that could quote a value.
pub(super) fn describe(error: &Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(Problem(text)) = inner.downcast_ref::<Problem>() {
            return text.clone();
        }
        cause = inner.source();
    }
    match error.kind() {
        ErrorKind::UndefinedError => "there is no such value; only attributes and what the \
                                      template itself sets can be used"
            .to_owned(),
        ErrorKind::OutOfFuel => format!(
            "it takes more than {} steps; loop over less",
            super::MOST_STEPS
        ),
        ErrorKind::InvalidOperation => {
            "this does not fit the kind of value that it is given here".to_owned()
        }
        kind => kind.to_string(),
    }
}

/// ", at character 4 of `…`": the place in words.
struct At<'a>(&'a str, &'a Option<Range<usize>>);

/// As much of a template as an error shows, and how much of that stands before the place, in
/// characters.
const SHOWN: usize = 120;
const BEFORE: usize = 30;

impl fmt::Display for At<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, place) = self;
        formatter.write_str(" (")?;
        if let Some(place) = place {
            let before = text.get(..place.start).unwrap_or_default();
            write!(formatter, "character {} of ", before.chars().count() + 1)?;
        }
        let whole = text.trim();
        if whole.chars().count() <= SHOWN {
            return write!(formatter, "`{whole}`)");
        }
        let start = place.as_ref().map_or(0, |place| place.start);
        let before = text.get(..start).unwrap_or_default();
        let from = before
            .char_indices()
            .rev()
            .nth(BEFORE)
            .map_or(0, |(at, _)| at);
        let rest = text.get(from..).unwrap_or_default();
        let shown: String = rest.chars().take(SHOWN).collect();
        let cut = if from > 0 { "…" } else { "" };
        let end = if shown.len() < rest.len() { "…" } else { "" };
        write!(formatter, "`{cut}{shown}{end}`)")
    }
}
