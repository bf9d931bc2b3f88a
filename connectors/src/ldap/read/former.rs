//! People whom the directory keeps after their deletion.

use std::collections::BTreeSet;

use super::Reading;
use crate::ldap::deleted;
use crate::ldap::filter::Filter;
use crate::ldap::people;
use crate::source::{Kind, Members, Record, SourceError};

impl Reading<'_> {
    /// Those who were deleted; of those, whom this filter matches, where there is one.
    pub(super) async fn find_deleted(
        &self,
        matching: Option<&Filter>,
    ) -> Result<Vec<Record>, SourceError> {
        let place = &self.place;
        let root = &place.connection.root;
        let asked = &self.wanted.of_people;
        let mut searches = deleted::searches(place.settings, root, asked, place.page_size);
        for search in &mut searches {
            if let Some(matching) = matching {
                search.filter = search.filter.and(matching);
            }
        }
        let found = deleted::read(place.settings, place.connector, &place.connection, searches);
        let records = found.await?.into_iter().map(|entry| {
            let mut attributes = entry.attributes(self.wanted.requested.as_ref());
            people::drop_references(&mut attributes, &place.settings.references);
            Ok(Record {
                kind: Kind::User,
                id: self.id(&entry)?,
                lifecycle: deleted::lifecycle(&entry),
                attributes,
                members: Members::Complete(BTreeSet::new()),
            })
        });
        records.collect()
    }
}
