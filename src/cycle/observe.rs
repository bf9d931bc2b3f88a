//! Looking at the target, no more than the plan needs: a listing, or a few lookups.
//!
//! Only reads. What it cannot see completely it says so, and people whose match cannot be
//! told are left for a later cycle; leavers do not wait for it.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey, SourceId};

use super::known::Known;
use super::read::{Readings, failed};
use super::select::Selection;
use super::{Progress, Target};
use crate::apply::report::{Failure, FailureKind};
use crate::plan::input::{Candidate, Observed};
use crate::plan::joined::Joined;
use crate::plan::matching::{key_values, keys_for};
use crate::plan::waiting_for_others;
use crate::scim::message::Capabilities;
use crate::scim::path::AttributePath;
use crate::scim::resource::{ResourceId, read_path};
use crate::snapshot::SnapshotError;
use crate::target::error::TargetError;
use crate::target::lookup::Lookup;
use crate::target::{Client, Listing};

/// What was seen of the target.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) users: Observed,
    pub(super) groups: Observed,
    /// What the target said of itself, if it was asked in this cycle.
    pub(super) capabilities: Option<Capabilities>,
    /// How many resources a complete listing had.
    pub(super) listed: BTreeMap<Kind, u64>,
    /// A listing that did not end as announced: nothing is concluded from it.
    pub(super) partial: Option<Failure>,
}

/// Looks at the target as far as the selection needs it. Makes no request at all when there
/// is nobody to match and no full cycle.
pub(super) async fn observe(
    known: &Known,
    readings: &Readings,
    target: &Target,
    client: &Client,
    selection: &mut Selection,
    full: bool,
    progress: &dyn Progress,
) -> Result<Seen, Failure> {
    let mut observer = Observer {
        known,
        readings,
        target,
        client,
        progress,
        full,
    };
    let mut seen = Seen::default();
    if full {
        seen.capabilities = Some(client.discover().await.map_err(unreachable)?);
    }
    for kind in Kind::ALL {
        let (observed, listed, partial) = observer
            .observe_kind(kind, selection, seen.capabilities.as_ref())
            .await?;
        if let Some(listed) = listed {
            seen.listed.insert(kind, listed);
        }
        seen.partial = seen.partial.or(partial);
        match kind {
            Kind::User => seen.users = observed,
            Kind::Group => seen.groups = observed,
        }
    }
    Ok(seen)
}

struct Observer<'a> {
    known: &'a Known,
    readings: &'a Readings,
    target: &'a Target,
    client: &'a Client,
    progress: &'a dyn Progress,
    full: bool,
}

impl Observer<'_> {
    async fn observe_kind(
        &mut self,
        kind: Kind,
        selection: &mut Selection,
        capabilities: Option<&Capabilities>,
    ) -> Result<(Observed, Option<u64>, Option<Failure>), Failure> {
        let unmatched = self.unmatched(kind, selection);
        let groups_matter = self.target.profile.groups
            && (self.target.rules.groups.any() || self.known.totals().map_err(failed)?.groups > 0);
        let list = match kind {
            Kind::User => self.full,
            Kind::Group => self.full && groups_matter,
        };
        if !list && unmatched.is_empty() {
            return Ok((Observed::default(), None, None));
        }
        if !list
            && let Some(found) = self
                .look_up(kind, &unmatched, selection, capabilities)
                .await?
        {
            return Ok((
                self.describe(kind, found, false, &selection.joined)
                    .map_err(failed)?,
                None,
                None,
            ));
        }
        let step = format!("listing {}", self.target.name);
        let report = |done, total| self.progress.report(&step, done, total);
        let page_size = self.target.profile.page_size;
        match self.client.list(kind, page_size, &report).await {
            Ok(listing) => {
                let count = listing.resources.len() as u64;
                let listing = self.confirm_missing(kind, listing, selection).await?;
                let observed = self.describe(kind, listing, true, &selection.joined);
                let observed = observed.map_err(failed)?;
                Ok((observed, Some(count), None))
            }
            Err(error @ TargetError::Partial { .. }) => {
                // Unknown is not absent: whoever would have to be looked for waits.
                for record in unmatched {
                    if let Some(candidate) = candidate_mut(selection, kind, &record) {
                        candidate.due = false;
                    }
                }
                let failure = Failure::new(FailureKind::Failed, &error);
                Ok((Observed::default(), None, Some(failure)))
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    /// Entitled people (or pushed groups) without a link, who would be created or adopted.
    fn unmatched(&self, kind: Kind, selection: &Selection) -> BTreeSet<RecordKey> {
        let candidates: BTreeMap<&RecordKey, &Candidate> = match kind {
            Kind::User => selection.people.iter().collect(),
            Kind::Group => selection
                .groups
                .iter()
                .map(|(key, group)| (key, &group.group))
                .collect(),
        };
        let waiting = waiting_for_others(
            kind,
            candidates
                .iter()
                .map(|(record, candidate)| (*record, *candidate)),
            &self.target.rules.match_on,
        );
        let required: &[AttributePath] = match kind {
            Kind::User => &self.target.profile.required,
            Kind::Group => &[],
        };
        candidates
            .into_iter()
            .filter(|(record, candidate)| {
                let linked = candidate.link.as_ref().is_some_and(|link| !link.missing);
                let complete = match &candidate.desired {
                    Some(Ok(desired)) => required.iter().all(|path| desired.contains_key(path)),
                    _ => false,
                };
                let doubt = candidate.intent.is_some() && !candidate.standing.is_unknown();
                let contested = candidate.contested.is_some();
                let entitled = candidate.standing.is_entitled() && complete && !contested;
                candidate.due && !linked && (entitled || doubt) && !waiting.contains_key(*record)
            })
            .map(|(record, _)| record.clone())
            .collect()
    }

    /// Looks up a few records by filter, where that takes fewer requests than a listing and
    /// the filters have earned it. `None`: list.
    async fn look_up(
        &self,
        kind: Kind,
        unmatched: &BTreeSet<RecordKey>,
        selection: &mut Selection,
        capabilities: Option<&Capabilities>,
    ) -> Result<Option<Listing>, Failure> {
        let progress = self.known.progress();
        let capabilities = capabilities.or(progress.capabilities.as_ref());
        let refused = capabilities.is_some_and(|known| known.filter == Some(false));
        if !self.target.profile.filter || refused || progress.distrust_filters {
            return Ok(None);
        }
        let mut wanted = Vec::new();
        for record in unmatched {
            let Some(candidate) = candidate_mut(selection, kind, record) else {
                continue;
            };
            let Some(Ok(desired)) = &candidate.desired else {
                return Ok(None);
            };
            // Only a complete listing can prove that a lost create did not happen.
            if candidate.intent.is_some() {
                return Ok(None);
            }
            for path in keys_for(kind, &self.target.rules.match_on) {
                for value in key_values(desired, &path) {
                    wanted.push((path.clone(), value.clone()));
                }
            }
        }
        let totals = self.known.totals().map_err(failed)?;
        let linked = match kind {
            Kind::User => totals.users,
            Kind::Group => totals.groups,
        };
        let size = progress.listed.get(&kind).copied().unwrap_or(0).max(linked);
        let pages = size.div_ceil(self.target.profile.page_size.max(1)).max(1);
        if wanted.len() as u64 > pages {
            return Ok(None);
        }
        let mut found = Listing::default();
        for (path, value) in wanted {
            match self
                .client
                .look_up(kind, &path, &value)
                .await
                .map_err(unreachable)?
            {
                Lookup::Found(hits) => {
                    found
                        .resources
                        .extend(hits.into_iter().map(|hit| (hit.id.clone(), hit)));
                }
                Lookup::NotHonoured => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// A linked resource that a complete listing lacks is asked for by id: some servers hide
    /// the inactive. Those provisor switched off itself do not matter until they return.
    async fn confirm_missing(
        &self,
        kind: Kind,
        mut listing: Listing,
        selection: &mut Selection,
    ) -> Result<Listing, Failure> {
        let candidates: Vec<(RecordKey, ResourceId)> = match kind {
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
            (matters && !known).then(|| (record.clone(), link.resource.clone()))
        })
        .collect();
        for (record, resource) in candidates {
            match self
                .client
                .get(kind, &resource)
                .await
                .map_err(unreachable)?
            {
                Some(listed) => {
                    listing.resources.insert(resource, listed);
                }
                None => {
                    if let Some(candidate) = candidate_mut(selection, kind, &record) {
                        candidate.missing = true;
                    }
                }
            }
        }
        Ok(listing)
    }

    /// Adds who owns what was seen, and whose externalId it carries.
    fn describe(
        &self,
        kind: Kind,
        listing: Listing,
        complete: bool,
        joined: &Joined,
    ) -> Result<Observed, SnapshotError> {
        let mut observed = Observed {
            complete,
            ..Observed::default()
        };
        for (id, listed) in listing.resources {
            if let Some(owner) = self.known.owner(kind, &id)? {
                observed.owners.insert(id.clone(), owner);
            } else {
                let external_id = read_path(&listed.json, &AttributePath::external_id());
                if let Some(external_id) = external_id.and_then(|value| value.as_str())
                    && let Some(record) = self.record_named(kind, external_id)?
                {
                    let speaker = joined.speaker(&record).clone();
                    observed.external_owners.insert(id.clone(), speaker);
                }
            }
            observed.resources.insert(id, listed);
        }
        Ok(observed)
    }

    /// The living record of this target's sources whose source id an externalId is.
    fn record_named(
        &self,
        kind: Kind,
        external_id: &str,
    ) -> Result<Option<RecordKey>, SnapshotError> {
        let id = SourceId::new(external_id);
        for source in &self.target.sources {
            let Some(view) = self.readings.view(source) else {
                continue;
            };
            let row = view.row(kind, &id)?;
            if row.is_some_and(|row| row.gone_since.is_none()) {
                return Ok(Some(RecordKey {
                    source: source.clone(),
                    kind,
                    id,
                }));
            }
        }
        Ok(None)
    }
}

fn candidate_mut<'a>(
    selection: &'a mut Selection,
    kind: Kind,
    record: &RecordKey,
) -> Option<&'a mut Candidate> {
    match kind {
        Kind::User => selection.people.get_mut(record),
        Kind::Group => selection
            .groups
            .get_mut(record)
            .map(|group| &mut group.group),
    }
}

/// A target's error as a cycle's failure; a missing secret is a matter of configuration.
pub(super) fn unreachable(error: TargetError) -> Failure {
    let kind = match &error {
        TargetError::Secret(_) | TargetError::Configuration { .. } => FailureKind::Configuration,
        _ => FailureKind::Failed,
    };
    Failure::new(kind, &error)
}
