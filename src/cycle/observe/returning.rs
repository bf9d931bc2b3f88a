//! Looking at the groups of those who are switched on again: an app may have taken them out when
//! they were switched off.
//!
//! A full cycle sees all groups anyway. Must not say who returns: that is for the plan, which may
//! still hold it.

use std::collections::BTreeSet;

use provisor_connectors::Kind;

use super::{Observer, unreachable};
use crate::apply::report::Failure;
use crate::cycle::select::Selection;
use crate::plan::input::{Candidate, GroupCandidate};
use crate::scim::resource::ResourceId;
use crate::target::error::Scope;
use crate::target::{Listing, Paging};

impl Observer<'_> {
    /// The pushed groups of those who may be switched on again, where the target shows members.
    pub(super) fn to_be_joined_again(&self, selection: &Selection) -> BTreeSet<ResourceId> {
        if !self.target.profile.members_listed {
            return BTreeSet::new();
        }
        // Who was taken out with provisor's knowledge is put in again without a look.
        let returns = |group: &GroupCandidate, person: &Candidate| {
            let link = person.standing_link().filter(|link| !link.active);
            let is_in = link.is_some_and(|link| group.owned.contains_key(&link.resource));
            person.due && person.standing.is_entitled() && is_in
        };
        let groups = selection.groups.values().filter(|group| {
            let members = group.members.iter();
            let mut people = members.filter_map(|member| selection.people.get(member));
            let is_pushed = group.group.due && group.group.standing.is_entitled();
            is_pushed && people.any(|person| returns(group, person))
        });
        let links = groups.filter_map(|group| group.group.standing_link());
        links.map(|link| link.resource.clone()).collect()
    }

    /// Adds these groups to what was seen. False, and they are not, where a listing in such pages
    /// takes fewer requests.
    pub(super) async fn look_at_groups(
        &self,
        groups: &BTreeSet<ResourceId>,
        seen: &mut Listing,
        paging: Paging,
    ) -> Result<bool, Failure> {
        if groups.len() as u64 > self.pages(Kind::Group, paging)? {
            return Ok(groups.is_empty());
        }
        for resource in groups {
            match self.client.get(Kind::Group, resource).await {
                Ok(Some(listed)) => drop(seen.resources.insert(resource.clone(), listed)),
                // A full cycle confirms that it is gone.
                Ok(None) => {}
                Err(error) if error.scope() == Scope::Target => return Err(unreachable(error)),
                Err(error) => tracing::warn!(
                    target_name = self.target.name,
                    "a group whose members return cannot be looked at: {error}"
                ),
            }
        }
        Ok(true)
    }
}
