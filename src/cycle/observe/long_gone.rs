//! Looking at those who are to be deleted: each by its id, or all by a listing where that
//! takes fewer requests.

use std::collections::BTreeMap;

use provisor_connectors::{Kind, RecordKey};

use super::{Observer, candidate_mut, unreachable};
use crate::apply::report::Failure;
use crate::cycle::select::Selection;
use crate::cycle::{clock, every_source_readable};
use crate::plan::input::{Candidate, Standing};
use crate::plan::long_gone::{Moments, has_come};
use crate::scim::resource::ResourceId;
use crate::target::error::Scope;
use crate::target::{Listing, Paging};

impl Observer<'_> {
    /// Whose time to be deleted has come, unless a source could not be read: then nobody is.
    pub(super) fn to_be_deleted(&self, selection: &Selection) -> BTreeMap<RecordKey, ResourceId> {
        if !every_source_readable(self.readings, self.target) {
            return BTreeMap::new();
        }
        let resource = |candidate: &Candidate| {
            let link = candidate.standing_link()?;
            let moment = Moments::of(link, &self.target.rules).delete;
            let gone = candidate.due && candidate.standing == Standing::Gone;
            (gone && has_come(moment, self.now)).then(|| link.resource.clone())
        };
        let people = selection.people.iter();
        people
            .filter_map(|(record, candidate)| Some((record.clone(), resource(candidate)?)))
            .collect()
    }

    /// Adds those who are to be deleted to what was seen. False, and not all of them are, where
    /// a listing may be had instead, in such pages, and takes fewer requests.
    pub(super) async fn look_at_each(
        &self,
        to_be_deleted: &BTreeMap<RecordKey, ResourceId>,
        seen: &mut Listing,
        selection: &mut Selection,
        may_list: Option<Paging>,
    ) -> Result<bool, Failure> {
        let unseen = to_be_deleted.iter();
        let unseen: Vec<_> = unseen
            .filter(|(_, resource)| !seen.resources.contains_key(*resource))
            .collect();
        let pages = may_list.map(|paging| self.pages(Kind::User, paging));
        let pages = pages.transpose()?;
        for (asked, (record, resource)) in unseen.iter().enumerate() {
            // One answer has told the time; in doubt about it nobody is deleted.
            let skew = self.client.clock_skew();
            let doubt = clock::doubt(self.known.progress(), self.now, skew);
            if asked > 0 && doubt.is_some() {
                break;
            }
            let left = (unseen.len() - asked) as u64;
            if asked > 0 && pages.is_some_and(|pages| left > pages) {
                return Ok(false);
            }
            match self.client.get(Kind::User, resource).await {
                Ok(Some(listed)) => {
                    seen.resources.insert((*resource).clone(), listed);
                }
                Ok(None) => {
                    if let Some(candidate) = candidate_mut(selection, Kind::User, record) {
                        candidate.missing = true;
                    }
                }
                Err(error) if error.scope() == Scope::Target => return Err(unreachable(error)),
                // Not seen, not deleted; the others need not wait for that.
                Err(error) => tracing::warn!(
                    target_name = self.target.name,
                    "somebody who is to be deleted cannot be looked at: {}",
                    error.for_log()
                ),
            }
        }
        Ok(true)
    }
}
