//! Names that nobody had when they were met: looked for when everybody else was read.

use std::sync::Arc;

use super::Reading;
use crate::ldap::connect::Connection;
use crate::ldap::filter::Filter;
use crate::ldap::search::{Search, lookup};
use crate::ldap::walk::Walk;
use crate::source::{Kind, SourceError};

/// As many names are looked up one by one; with more, all names are listed again.
pub(super) const LOOKUPS: usize = 100;

impl Reading<'_> {
    /// Whoever is named and was not met: looks for the few, lists everybody for the many.
    /// Somebody who was renamed since they were read is known by the new name after that.
    pub(super) async fn find_missing(&mut self) -> Result<(), SourceError> {
        let missing = match self.waiting.missing(&self.index) {
            Some(missing) if missing.len() <= LOOKUPS => missing,
            _ => return self.list_names(Arc::clone(&self.place.connection)).await,
        };
        let everything = Filter::constant("(objectClass=*)");
        let asked = vec![self.place.settings.id_attribute.clone()];
        for dn in missing {
            let connection = &self.place.connection;
            let found = lookup(connection, &dn, &everything, asked.clone()).await?;
            let Some(id) = found.and_then(|entry| self.place.id(&entry)) else {
                continue;
            };
            for kind in Kind::ALL {
                if self.index.has(kind, &id) {
                    let known = self.index.expect(kind, &id, &dn);
                    known.map_err(|_| self.too_many())?;
                }
            }
        }
        Ok(())
    }

    /// Lists the names and ids of everybody, on a connection on which no other search is half-way.
    pub(super) async fn list_names(
        &mut self,
        connection: Arc<Connection>,
    ) -> Result<(), SourceError> {
        self.listed = true;
        let place = &self.place;
        let asked = vec![place.settings.id_attribute.clone()];
        let parts = [Some(&place.settings.users), place.settings.groups.as_ref()];
        for (kind, part) in Kind::ALL.into_iter().zip(parts) {
            let Some(part) = part else {
                continue;
            };
            let searches = part.bases.iter().map(|base| {
                Search::below(base, part.filter.clone(), asked.clone(), place.page_size)
            });
            let walk = Walk::new(place.connector, &connection, place.referrals, searches);
            let mut walk = walk.reading_ahead();
            while let Some(chunk) = walk.next_chunk().await? {
                for entry in chunk {
                    let id = self.id(&entry)?;
                    let noted = match self.only_changes {
                        true => self.index.know(kind, &id, &entry.dn).map(drop),
                        false => self.index.expect(kind, &id, &entry.dn),
                    };
                    noted.map_err(|_| self.too_many())?;
                }
            }
        }
        Ok(())
    }
}
