//! Resources that were taken for gone, and that the target shows again.
//!
//! A 404 may be about a route or a replica, and not about the resource. Whoever would be created or
//! adopted is looked for anyway; but who leaves would stay switched on, and who was taken out of a
//! group would stay in it, if a link that is good were not relied on again. Must not take a link for
//! good whose resource may be somebody else by now.

use provisor_connectors::{Kind, RecordKey};

use super::{Observer, candidate_mut};
use crate::cycle::select::Selection;
use crate::plan::long_gone::{carries_our_id, is_the_same};
use crate::scim::resource::{Listed, ResourceId};
use crate::snapshot::{Link, SnapshotError};
use crate::target::Listing;
use crate::target::profile::name_path;

impl Observer<'_> {
    /// Relies again on the links to what was seen, and on the edges that lead there: those may be
    /// there or not.
    pub(super) fn find_again(
        &self,
        kind: Kind,
        seen: &Listing,
        selection: &mut Selection,
    ) -> Result<(), SnapshotError> {
        let candidates: Vec<_> = match kind {
            Kind::User => selection.people.iter().collect(),
            Kind::Group => {
                let groups = selection.groups.iter();
                groups.map(|(key, group)| (key, &group.group)).collect()
            }
        };
        let mut found = Vec::new();
        for (record, candidate) in candidates {
            let missing = candidate.link.as_ref().filter(|link| link.missing);
            if let Some(link) = missing
                && let Some(listed) = seen.resources.get(&link.resource)
                && is_itself(kind, listed, link)
                && self.known.owner(kind, &link.resource)?.as_ref() == Some(record)
            {
                found.push((record.clone(), link.resource.clone()));
            }
        }
        for (record, resource) in found {
            self.rely_on(&record, &resource, selection);
            selection.found_again.insert(record, resource);
        }
        Ok(())
    }

    fn rely_on(&self, record: &RecordKey, resource: &ResourceId, selection: &mut Selection) {
        let candidate = candidate_mut(selection, record.kind, record);
        let Some(link) = candidate.and_then(|candidate| candidate.link.as_mut()) else {
            return;
        };
        link.missing = false;
        let is_member = link.active || !self.target.profile.deactivation_drops_memberships;
        for group in selection.groups.values_mut() {
            if is_member && group.members.contains(record) {
                let resources = &mut group.member_resources;
                resources.insert(record.clone(), resource.clone());
            }
            if let Some(edge) = group.owned.get_mut(resource).filter(|edge| edge.orphaned) {
                (edge.orphaned, edge.sent) = (false, true);
            }
        }
        for person in selection.people.values_mut() {
            if let Some(manager) = person.manager.as_mut().filter(|it| it.record == *record) {
                (manager.resource, manager.awaited) = (Some(resource.clone()), false);
            }
        }
    }
}

/// Whether what is seen is what was linked, and not something else that has got its id with its name.
fn is_itself(kind: Kind, listed: &Listed, link: &Link) -> bool {
    let name = link.acknowledged.get(&name_path(kind));
    let name = name.and_then(|name| name.as_str());
    let id_is_name = name.is_some_and(|name| name.eq_ignore_ascii_case(&link.resource.0));
    is_the_same(kind, listed, link).is_ok() && (!id_is_name || carries_our_id(listed, link))
}
