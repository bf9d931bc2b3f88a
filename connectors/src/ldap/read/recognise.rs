//! Recognising a person who is as they were, before a record is built of them: of most nothing
//! more is needed than what their entry holds, written down in one buffer.
//!
//! Whoever cannot be written down like that goes the long way. Must not say that somebody has
//! changed.

use super::Reading;
use crate::ldap::answers::Answers;
use crate::ldap::entry::{Description, Entry};
use crate::ldap::flavor::Settings;
use crate::ldap::index::Index;
use crate::ldap::people;
use crate::source::{Lifecycle, SourceId};
use crate::unchanged::Content;

/// What came of asking whether somebody is as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recognised {
    /// Nothing more needs to be said of them.
    Yes,
    No,
    /// It cannot be asked before the record is there.
    NotAsked,
}

impl Reading<'_> {
    /// Whether a person is known with what their entry holds.
    pub(super) fn recognise(
        &mut self,
        entry: &Entry,
        id: &SourceId,
        lifecycle: &Lifecycle,
    ) -> Recognised {
        let (Some(unchanged), Some(requested)) = (&self.request.unchanged, &self.requested) else {
            return Recognised::NotAsked;
        };
        let person = Person {
            entry,
            id,
            lifecycle,
        };
        let (settings, answers) = (self.place.settings, &self.answers);
        if !person.write(requested, settings, answers, &self.index, &mut self.content) {
            return Recognised::NotAsked;
        }
        match unchanged.confirms(id.as_str(), &self.content) {
            true => Recognised::Yes,
            false => Recognised::No,
        }
    }
}

/// Somebody who was read.
struct Person<'a> {
    entry: &'a Entry,
    id: &'a SourceId,
    lifecycle: &'a Lifecycle,
}

impl Person<'_> {
    /// Writes down what the person's record would hold, the attributes in their order. `false`
    /// where they name somebody who was not read yet.
    fn write(
        &self,
        requested: &[Description<'_>],
        settings: &Settings,
        answers: &Answers,
        index: &Index,
        content: &mut Content,
    ) -> bool {
        content.start(self.lifecycle);
        let mut texts = Vec::new();
        for description in requested {
            let name = description.text();
            if let Some(answer) = answers.about(name, self.id, &self.entry.dn) {
                content.attribute(name);
                content.boolean(answer);
                continue;
            }
            self.entry.record_texts(description, &mut texts);
            if texts.is_empty() {
                continue;
            }
            if !people::is_reference(name, settings) {
                content.attribute(name);
                texts.iter().for_each(|text| content.text(text));
                continue;
            }
            let Some(ids) = people::known_ids(&texts, settings, index) else {
                return false;
            };
            if !ids.is_empty() {
                content.attribute(name);
                ids.iter().for_each(|id| content.text(id));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
