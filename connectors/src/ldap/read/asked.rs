//! What the directory is asked beforehand: whom filters match, and which places there are.

use std::collections::BTreeSet;

use super::Reading;
use crate::digest::{Digest, digest};
use crate::ldap::answers::{self, Asked};
use crate::ldap::filter::Filter;
use crate::ldap::search::lookup;
use crate::source::SourceError;

/// What counts those whom `inactive_when` matches.
const INACTIVE_WHEN: &str = "inactive_when";

impl Reading<'_> {
    /// Whom `inactive_when` matches.
    pub(super) async fn find_inactive(&mut self) -> Result<(), SourceError> {
        if let Some(when) = &self.place.settings.inactive_when {
            self.inactive = self.find_matched(when).await?;
            self.note(INACTIVE_WHEN, self.inactive.len());
        }
        Ok(())
    }

    /// The people whom a filter matches: the server decides, by its own rules of comparison.
    async fn find_matched(&self, filter: &Filter) -> Result<BTreeSet<Digest>, SourceError> {
        let users = &self.place.settings.users;
        let filter = users.filter.and(filter);
        let asked = vec![self.place.settings.id_attribute.clone()];
        let mut walk = self.walk(&users.bases, &filter, &asked).reading_ahead();
        let mut matched = BTreeSet::new();
        while let Some(chunk) = walk.next_chunk().await? {
            for entry in chunk {
                let id = self.id(&entry)?;
                matched.insert(digest(id.as_str().as_bytes()));
            }
        }
        Ok(matched)
    }

    /// A place that does not exist, or is hidden, has no answer: nobody leaves it for that.
    pub(super) async fn find_answers(&mut self) -> Result<(), SourceError> {
        let everything = Filter::constant("(objectClass=*)");
        for (name, asked) in answers::asked(self.request.attributes.as_ref()) {
            match asked {
                Asked::Place(dn) => {
                    let connection = &self.place.connection;
                    let none = vec!["1.1".to_owned()];
                    if lookup(connection, &dn, &everything, none).await?.is_some() {
                        self.answers.add_place(name, dn);
                    } else {
                        let why = format!(
                            "there is no `{dn}` that this account may see, for the scope's `ou`"
                        );
                        self.unanswered.insert(name, why);
                    }
                }
                Asked::Filter(filter) => {
                    let matched = self.find_matched(&filter).await?;
                    self.note(&name, matched.len());
                    self.answers.add_matched(name, matched);
                }
            }
        }
        Ok(())
    }
}
