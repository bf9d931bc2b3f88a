//! Linked resources that a complete listing lacks: gone, or only not shown.
//!
//! Some servers hide the inactive, listed and by id. So a 404 on a resource that provisor
//! switched off means nothing, unless the listing shows somebody else who is inactive.

use provisor_connectors::{Kind, RecordKey};

use super::{Observer, candidate_mut, unreachable};
use crate::apply::report::Failure;
use crate::cycle::select::Selection;
use crate::plan::matching::{Index, Match, keys_for};
use crate::scim::resource::ResourceId;
use crate::target::Listing;
use crate::target::error::Scope;

impl Observer<'_> {
    /// Asks for each by its id. Those provisor switched off itself do not matter until they
    /// return.
    pub(super) async fn confirm_missing(
        &self,
        kind: Kind,
        mut listing: Listing,
        selection: &mut Selection,
    ) -> Result<Listing, Failure> {
        let shows_inactive = listing.resources.values().any(|listed| !listed.active);
        let candidates: Vec<(RecordKey, ResourceId, bool)> = match kind {
            Kind::User => selection.people.iter().collect::<Vec<_>>(),
            Kind::Group => selection
                .groups
                .iter()
                .map(|(key, group)| (key, &group.group))
                .collect(),
        }
        .into_iter()
        .filter_map(|(record, candidate)| {
            let link = candidate.link.as_ref().filter(|link| !link.missing)?;
            let matters = candidate.standing.is_entitled() || link.active;
            let known = listing.resources.contains_key(&link.resource);
            let may_be_hidden = !link.is_surely_active() && !shows_inactive;
            (matters && !known).then(|| (record.clone(), link.resource.clone(), may_be_hidden))
        })
        .collect();
        let keys = keys_for(kind, &self.target.rules.match_on);
        let in_doubt = candidates.iter().any(|(_, _, hidden)| *hidden);
        let index = in_doubt.then(|| Index::of_present(&listing.resources, &keys));
        for (record, resource, may_be_hidden) in candidates {
            match self.client.get(kind, &resource).await {
                Ok(Some(listed)) => {
                    listing.resources.insert(resource, listed);
                }
                Ok(None) => {
                    let Some(candidate) = candidate_mut(selection, kind, &record) else {
                        continue;
                    };
                    // Who is hidden is switched on by id, and who is gone after all answers
                    // that with 404. A create would make a second of who is hidden.
                    let index = index.as_ref().filter(|_| may_be_hidden);
                    // Who cannot be mapped is looked for as they were.
                    let link = candidate.link.as_ref();
                    let known = link.map(|link| &link.acknowledged);
                    let hidden =
                        index
                            .zip(candidate.mapped().or(known))
                            .is_some_and(|(index, sought)| {
                                // Not there under another id either.
                                index.find(sought) == Match::Unmatched
                            });
                    candidate.missing = !hidden;
                }
                Err(error) if error.scope() == Scope::Target => return Err(unreachable(error)),
                // Unknown is not absent: some servers answer 500 for an id that they do not know.
                Err(error) => tracing::warn!(
                    target_name = self.target.name,
                    "somebody who is not listed cannot be looked at either, and is not taken \
                     for missing: {}",
                    error.for_log()
                ),
            }
        }
        Ok(listing)
    }
}
