//! Which record an entry is, and what to say of one that cannot be any.

use super::Reading;
use crate::ldap::entry::Entry;
use crate::ldap::index::Clash;
use crate::source::{SourceError, SourceId};

impl Reading<'_> {
    pub(super) fn id(&self, entry: &Entry) -> Result<SourceId, SourceError> {
        self.place.id(entry).ok_or_else(|| {
            let name = &self.place.settings.id_attribute;
            let problem = format!(
                "it has no `{name}` that can be its id, or this account may not see it: grant \
                 that, or name another attribute as `id_attribute`"
            );
            self.failed(entry, problem)
        })
    }

    pub(super) fn clash(&self, clash: Clash, entry: &Entry) -> SourceError {
        let settings = self.place.settings;
        let problem = match clash {
            Clash::Id => format!(
                "another entry has the same `{}`, or this one was given twice; no two may share \
                 one",
                settings.id_attribute
            ),
            Clash::Name => "another entry has the same name; one of them was renamed meanwhile, \
                            or they differ in nothing but case"
                .to_owned(),
            Clash::TooMany => return self.too_many(),
        };
        self.failed(entry, problem)
    }

    pub(super) fn too_many(&self) -> SourceError {
        SourceError::Server {
            server: self.place.connection.server.clone(),
            problem: "it has more than 4 billion entries".to_owned(),
            source: None,
        }
    }

    /// Names an entry by its id, or by its place: its own name may be a person's.
    pub(super) fn failed(&self, entry: &Entry, problem: String) -> SourceError {
        tracing::debug!(dn = entry.dn.as_str(), "an entry that cannot be taken");
        let which = match self.place.id(entry) {
            Some(id) => format!("the entry with the id {id}"),
            None => format!("an entry of `{}` (-vv says which)", entry.dn.place()),
        };
        SourceError::Server {
            server: self.place.connection.server.clone(),
            problem: format!("{which}: {problem}"),
            source: None,
        }
    }
}
