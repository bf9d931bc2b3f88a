//! Who went from one base to another while the bases were read one after the other: they were in
//! neither, and would be taken for gone.
//!
//! Must not look at anybody who was read.

use super::Reading;
use crate::ldap::dn::Dn;
use crate::ldap::search::lookup;
use crate::source::{Kind, SourceError};

/// All bases, and after them again those that somebody may have come to meanwhile.
pub(super) fn twice(bases: &[Dn]) -> Vec<Dn> {
    [bases, earlier(bases)].concat()
}

/// All but the last.
fn earlier(bases: &[Dn]) -> &[Dn] {
    bases.split_last().map_or(&[], |(_, earlier)| earlier)
}

impl Reading<'_> {
    /// Reads those who are below a base now and were below none when it was read. Nothing is asked
    /// where there is only one.
    pub(super) async fn read_moved(&mut self, kind: Kind) -> Result<(), SourceError> {
        let Some(part) = self.part(kind).cloned() else {
            return Ok(());
        };
        let wanted = match kind {
            Kind::User => self.wanted.of_people.clone(),
            Kind::Group => self.wanted.of_groups.clone(),
        };
        let id_alone = [self.place.settings.id_attribute.clone()];
        let mut walk = self.walk(earlier(&part.bases), &part.filter, &id_alone);
        while let Some(chunk) = walk.next_chunk().await? {
            for entry in chunk {
                if self.index.has(kind, &self.id(&entry)?) {
                    continue;
                }
                let connection = walk.connection();
                let found = lookup(connection, &entry.dn, &part.filter, wanted.clone()).await?;
                match (kind, found) {
                    (Kind::User, Some(person)) => self.take_person(&person).await?,
                    (Kind::Group, Some(group)) => self.read_group(group, connection).await?,
                    // Gone again.
                    (_, None) => {}
                }
            }
        }
        Ok(())
    }
}
