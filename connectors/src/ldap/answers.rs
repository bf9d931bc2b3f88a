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
}
