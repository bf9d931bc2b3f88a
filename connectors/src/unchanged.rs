//! Recognising a record that is as the mirror has it, before anything is built of it.
//!
//! Most reads find nearly everybody unchanged, and building a million records only to compare
//! them costs more than reading them. A source may write down what a record holds as
//! [`Content`] and ask [`Unchanged`]; whatever that does not confirm it gives as a
//! [`Change::Upsert`](crate::Change::Upsert). Must not decide that something has changed.

use std::fmt;
use std::sync::Arc;

use crate::source::{Attributes, Lifecycle, Value};

/// What a record holds, apart from its id and members, as bytes: the same bytes for the same
/// lifecycle and attributes, and others for others.
#[derive(Debug, Default)]
pub struct Content {
    bytes: Vec<u8>,
}

// Every part starts with its own mark, and every text with its length: no two records can
// give the same bytes.
const ATTRIBUTE: u8 = b'A';
const TEXT: u8 = b'T';
const INTEGER: u8 = b'I';
const BOOLEAN: u8 = b'B';

impl Content {
    /// Starts the next record; what was there is forgotten.
    pub fn start(&mut self, lifecycle: &Lifecycle) {
        self.bytes.clear();
        match lifecycle {
            Lifecycle::Active => self.bytes.push(b'a'),
            Lifecycle::Disabled => self.bytes.push(b'd'),
            Lifecycle::Unknown => self.bytes.push(b'u'),
            Lifecycle::SoftDeleted { since: None } => self.bytes.push(b's'),
            Lifecycle::SoftDeleted { since: Some(since) } => {
                self.bytes.push(b'S');
                self.bytes.extend(since.timestamp().to_be_bytes());
                self.bytes
                    .extend(since.timestamp_subsec_nanos().to_be_bytes());
            }
        }
    }

    /// Starts an attribute. Attributes come in the order of their names, as in [`Attributes`],
    /// and one without values does not come at all.
    pub fn attribute(&mut self, name: &str) {
        self.push(ATTRIBUTE, name);
    }

    /// The next value of the attribute, which is text.
    pub fn text(&mut self, value: &str) {
        self.push(TEXT, value);
    }

    /// The next value of the attribute, which is a boolean.
    pub fn boolean(&mut self, value: bool) {
        self.bytes.extend([BOOLEAN, u8::from(value)]);
    }

    /// The content of a record that was built.
    pub fn record(&mut self, lifecycle: &Lifecycle, attributes: &Attributes) {
        self.start(lifecycle);
        for (name, values) in &attributes.0 {
            self.attribute(name);
            for value in values {
                match value {
                    Value::Text(text) => self.text(text),
                    Value::Integer(number) => {
                        self.bytes.push(INTEGER);
                        self.bytes.extend(number.to_be_bytes());
                    }
                    Value::Boolean(value) => self.boolean(*value),
                }
            }
        }
    }

    /// The bytes of the record that was written last.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn push(&mut self, mark: u8, text: &str) {
        self.bytes.push(mark);
        self.bytes.extend((text.len() as u64).to_be_bytes());
        self.bytes.extend(text.as_bytes());
    }
}

/// Asks the engine whether a person is as they were.
#[derive(Clone)]
pub struct Unchanged {
    ask: Arc<Ask>,
}

/// A person's id and content; whether they are known like that.
type Ask = dyn Fn(&str, &[u8]) -> bool + Send + Sync;

impl Unchanged {
    /// `ask` is given a person's id and content. When it says yes, it also notes that the
    /// running read has seen the person.
    pub fn new(ask: impl Fn(&str, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask) }
    }

    /// Whether the person is known with this content. Then nothing more needs to be said of
    /// them in this read; otherwise they are to be given in full, changed or not.
    pub fn confirms(&self, person: &str, content: &Content) -> bool {
        (self.ask)(person, content.bytes())
    }
}

impl fmt::Debug for Unchanged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Unchanged")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn bytes(lifecycle: Lifecycle, attributes: &[(&str, &[Value])]) -> Vec<u8> {
        let attributes = attributes
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.to_vec()));
        let mut content = Content::default();
        content.record(&lifecycle, &Attributes(BTreeMap::from_iter(attributes)));
        content.bytes().to_vec()
    }

    #[test]
    fn different_records_have_different_content() {
        let text = |text: &str| Value::Text(text.to_owned());
        let since = chrono::DateTime::from_timestamp(1, 0);
        let records = [
            bytes(Lifecycle::Active, &[]),
            bytes(Lifecycle::Disabled, &[]),
            bytes(Lifecycle::Unknown, &[]),
            bytes(Lifecycle::SoftDeleted { since: None }, &[]),
            bytes(Lifecycle::SoftDeleted { since }, &[]),
            bytes(Lifecycle::Active, &[("a", &[text("x"), text("y")])]),
            bytes(Lifecycle::Active, &[("a", &[text("xy")])]),
            bytes(Lifecycle::Active, &[("a", &[text("x")]), ("y", &[])]),
            bytes(
                Lifecycle::Active,
                &[("a", &[text("x")]), ("b", &[text("y")])],
            ),
            bytes(Lifecycle::Active, &[("a", &[text("1")])]),
            bytes(Lifecycle::Active, &[("a", &[Value::Integer(1)])]),
            bytes(Lifecycle::Active, &[("a", &[Value::Boolean(true)])]),
        ];
        for (position, record) in records.iter().enumerate() {
            assert!(!records[..position].contains(record), "{position}");
        }
    }

    #[test]
    fn a_record_written_piece_by_piece_is_the_same_as_one_that_was_built() {
        let mut content = Content::default();
        content.start(&Lifecycle::Disabled);
        content.attribute("a");
        content.text("x");
        content.text("y");
        let values = [Value::Text("x".to_owned()), Value::Text("y".to_owned())];
        assert_eq!(
            content.bytes(),
            bytes(Lifecycle::Disabled, &[("a", &values)])
        );
    }
}
