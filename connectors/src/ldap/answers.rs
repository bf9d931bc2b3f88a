//! Answers to the questions that a target's scope asks: below which entries somebody stands,
//! and which filters match them.

use std::collections::{BTreeMap, BTreeSet};

use super::dn::Dn;
use super::filter::Filter;
use crate::digest::{Digest, digest};
use crate::question::Question;
use crate::source::{Attributes, SourceId, Value};

/// What can be answered in this read.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The places that exist, by the name of the question.
    places: BTreeMap<String, Dn>,
    /// Whom each filter matches, by the name of the question.
    matched: BTreeMap<String, BTreeSet<Digest>>,
}

/// What has to be looked up for the answers.
pub(super) enum Asked {
    Place(Dn),
    Filter(Filter),
}

/// The questions among the names of attributes in use, by those names. One that is written
/// wrong stays without an answer.
pub(super) fn asked(requested: Option<&BTreeSet<String>>) -> Vec<(String, Asked)> {
    let questions = requested.into_iter().flatten().filter_map(|name| {
        let asked = match Question::asked(name)? {
            Question::Below(place) => Asked::Place(Dn::parse(&place).ok()?),
            Question::Matches(filter) => Asked::Filter(Filter::parse(&filter).ok()?),
            Question::AssignedTo(_) | Question::RolesIn(_) => return None,
        };
        Some((name.clone(), asked))
    });
    questions.collect()
}

impl Answers {
    /// The place exists: who is not below it is elsewhere.
    pub(super) fn add_place(&mut self, name: String, place: Dn) {
        self.places.insert(name, place);
    }

    /// The filter matches these people, and nobody else.
    pub(super) fn add_matched(&mut self, name: String, people: BTreeSet<Digest>) {
        self.matched.insert(name, people);
    }

    /// The answer to a question about one person, by the question's name.
    pub(super) fn about(&self, name: &str, id: &SourceId, dn: &Dn) -> Option<bool> {
        if let Some(people) = self.matched.get(name) {
            return Some(people.contains(&digest(id.as_str().as_bytes())));
        }
        self.places.get(name).map(|place| dn.is_within(place))
    }

    /// Adds the answers about one person.
    pub(super) fn give(&self, attributes: &mut Attributes, id: &SourceId, dn: &Dn) {
        for name in self.places.keys().chain(self.matched.keys()) {
            if let Some(answer) = self.about(name, id, dn) {
                let answer = vec![Value::Boolean(answer)];
                attributes.0.insert(name.clone(), answer);
            }
        }
    }

    /// Writes all of it down, each part behind its length: the same bytes where the answers are
    /// the same about everybody, and only there.
    pub(super) fn push_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.places.len().to_le_bytes());
        for (name, place) in &self.places {
            push_text(bytes, name.as_bytes());
            push_text(bytes, place.key());
        }
        bytes.extend(self.matched.len().to_le_bytes());
        for (name, people) in &self.matched {
            push_text(bytes, name.as_bytes());
            push_digests(bytes, people);
        }
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend(text.len().to_le_bytes());
    bytes.extend(text);
}

/// Writes down who is in a set, behind their number.
pub(super) fn push_digests(bytes: &mut Vec<u8>, people: &BTreeSet<Digest>) {
    bytes.extend(people.len().to_le_bytes());
    bytes.extend(people.iter().flatten().flat_map(|half| half.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(places: &[(&str, &str)], matched: &[(&str, &[&str])]) -> Vec<u8> {
        let mut answers = Answers::default();
        for (name, place) in places {
            answers.add_place((*name).to_owned(), Dn::parse(place).unwrap());
        }
        for (name, people) in matched {
            let people = people.iter().map(|id| digest(id.as_bytes()));
            answers.add_matched((*name).to_owned(), people.collect());
        }
        let mut bytes = Vec::new();
        answers.push_to(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_written_down_is_the_same_only_for_the_same_answers() {
        let all = [
            written(&[], &[]),
            written(&[("a", "ou=x")], &[]),
            written(&[("a", "ou=y")], &[]),
            written(&[("b", "ou=x")], &[]),
            written(&[("a", "ou=x"), ("b", "ou=x")], &[]),
            written(&[], &[("a", &[])]),
            written(&[], &[("a", &["1"])]),
            written(&[], &[("a", &["2"])]),
            written(&[], &[("a", &["1", "2"])]),
            written(&[], &[("a", &["1"]), ("b", &["2"])]),
            written(&[], &[("a", &["1", "2"]), ("b", &[])]),
            written(&[], &[("a", &[]), ("b", &["1", "2"])]),
        ];
        let different: BTreeSet<&Vec<u8>> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        // Another spelling of one name is no other place.
        assert_eq!(
            written(&[("a", "OU=x, DC=y")], &[]),
            written(&[("a", "ou=X,dc=Y")], &[])
        );
    }
}
