//! What is counted while reading: what many had once and nobody has any more is a missing
//! permission, and no news of anybody.

use super::Reading;
use crate::ldap::entry::{Description, Entry};
use crate::ldap::lifecycle::Rule;
use crate::ldap::position::{MANY, Position};
use crate::source::{Kind, SourceError};

/// An attribute in use that few have had so far.
pub(super) struct Rare {
    pub(super) kind: Kind,
    pub(super) attribute: Description<'static>,
    pub(super) count: u64,
}

impl Reading<'_> {
    pub(super) fn count(&mut self, name: &str, has: bool) {
        if !has {
            return;
        }
        if let Some(count) = self.told.get_mut(name) {
            *count += 1;
        }
    }

    /// Notes which attributes in use many have. What many have is not counted any further.
    pub(super) fn count_rare(&mut self, kind: Kind, entry: &Entry) {
        let mut became_common = false;
        for rare in self.rare.iter_mut().filter(|rare| rare.kind == kind) {
            if entry.has_one(&rare.attribute) {
                rare.count += 1;
                became_common |= rare.count >= MANY;
            }
        }
        if became_common {
            let common = &mut self.common;
            self.rare.retain(|rare| {
                let is_rare = rare.count < MANY;
                if !is_rare {
                    let names = common.entry(rare.kind).or_default();
                    names.insert(rare.attribute.text().to_owned());
                }
                is_rare
            });
        }
    }

    pub(super) fn note(&mut self, name: &str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.told.insert(name.to_owned(), count);
    }

    pub(super) fn check_told(&self, position: &Position) -> Result<(), SourceError> {
        let before = Position::of(self.request.since.as_ref());
        let vanished = position.vanished(before.as_ref());
        if self.people == 0 || vanished.is_empty() {
            return Ok(());
        }
        let vanished: Vec<String> = vanished
            .into_iter()
            .map(|(name, count)| format!("`{name}` ({count} had it)"))
            .collect();
        Err(SourceError::Server {
            server: self.place.connection.server.clone(),
            problem: format!(
                "nothing is to be seen any more of {}: a permission is missing, and nobody is \
                 switched on or off for that; if it is meant so, take it out of the \
                 configuration (`inactive_by`, `inactive_when`, `member_attribute`, a scope's \
                 `filter`)",
                vanished.join(", ")
            ),
            source: None,
        })
    }

    /// An Active Directory says of everybody whether they are switched off; elsewhere to say
    /// nothing is to say that somebody is not.
    pub(super) fn tells_lifecycle(&self, position: &Position) -> bool {
        let rules = &self.place.settings.rules;
        let control = Rule::UserAccountControl;
        !rules.contains(&control) || self.people == 0 || position.has(control.attribute())
    }
}
