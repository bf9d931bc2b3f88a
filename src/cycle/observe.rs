//! Looking at the target, no more than the plan needs: a listing, or a few lookups.
//!
//! Only reads. What it cannot see completely it says so, and people whose match cannot be
//! told are left for a later cycle; leavers do not wait for it.

mod few;
mod found_again;
mod long_gone;
mod remembered;
mod unlisted;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey, SourceId};

use super::known::Known;
use super::read::{Readings, failed};
use super::select::Selection;
use super::{Progress, Target};
use crate::apply::report::{Failure, FailureKind};
use crate::plan::input::{Candidate, Observed};
use crate::plan::joined::Joined;
use crate::plan::waiting_for_others;
use crate::scim::message::Capabilities;
use crate::scim::path::AttributePath;
use crate::scim::resource::read_path;
use crate::snapshot::SnapshotError;
use crate::target::error::{Scope, TargetError};
use crate::target::{Client, Listing, Paging};

/// What was seen of the target.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) users: Observed,
    pub(super) groups: Observed,
    /// What the target said of itself, if it was asked in this cycle.
    pub(super) capabilities: Option<Capabilities>,
    /// How many resources a complete listing had.
    pub(super) listed: BTreeMap<Kind, u64>,
    /// By kind and match key, whether a filter on it can be believed; those that were tried.
    pub(super) filters: BTreeMap<Kind, BTreeMap<AttributePath, bool>>,
    /// A listing that did not end as announced: nothing is concluded from it.
    pub(super) partial: Option<Failure>,
}

/// Looks at a target.
pub(super) struct Observer<'a> {
    pub(super) known: &'a Known,
    pub(super) readings: &'a Readings,
    pub(super) target: &'a Target,
    pub(super) client: &'a Client,
    /// List both endpoints, whoever is to be found.
    pub(super) full: bool,
    pub(super) now: DateTime<Utc>,
    pub(super) progress: &'a dyn Progress,
}

impl Observer<'_> {
    /// Looks as far as the selection needs it. Makes no request at all when there is nobody to
    /// match, nobody whose time has come, and no full cycle.
    pub(super) async fn observe(&self, selection: &mut Selection) -> Result<Seen, Failure> {
        let mut seen = Seen::default();
        if self.full {
            seen.capabilities = Some(self.client.discover().await.map_err(unreachable)?);
        }
        let announced = seen.capabilities.clone();
        let announced = announced.or_else(|| self.known.progress().capabilities.clone());
        for kind in Kind::ALL {
            let observed = self
                .observe_kind(kind, selection, announced.as_ref(), &mut seen)
                .await?;
            match kind {
                Kind::User => seen.users = observed,
                Kind::Group => seen.groups = observed,
            }
        }
        Ok(seen)
    }

    async fn observe_kind(
        &self,
        kind: Kind,
        selection: &mut Selection,
        announced: Option<&Capabilities>,
        seen: &mut Seen,
    ) -> Result<Observed, Failure> {
        let paging = Paging::new(&self.target.profile, announced);
        let groups_matter = self.target.profile.groups
            && (self.target.rules.groups.any() || self.known.totals().map_err(failed)?.groups > 0);
        let list = match kind {
            Kind::User => self.full,
            Kind::Group => self.full && groups_matter,
        };
        // A listing shows everybody, whoever is to be found.
        let unmatched = match list {
            true => BTreeSet::new(),
            false => self.unmatched(kind, selection),
        };
        let to_be_deleted = match kind {
            Kind::User => self.to_be_deleted(selection),
            Kind::Group => BTreeMap::new(),
        };
        if !list && unmatched.is_empty() && to_be_deleted.is_empty() {
            return Ok(Observed::default());
        }
        let found = match list {
            true => None,
            false => {
                self.look_up(kind, &unmatched, selection, announced, &mut seen.filters)
                    .await?
            }
        };
        if let Some(mut found) = found
            && self
                .look_at_each(&to_be_deleted, &mut found, selection, Some(paging))
                .await?
        {
            self.find_again(kind, &found, selection).map_err(failed)?;
            let observed = self.describe(kind, found, false, &selection.joined);
            return observed.map_err(failed);
        }
        let step = format!("listing {}", self.target.name);
        let report = |done, total| self.progress.report(&step, done, total);
        match self.client.list(kind, paging, &report).await {
            Ok(listing) => {
                seen.listed.insert(kind, listing.resources.len() as u64);
                let mut listing = self.confirm_missing(kind, listing, selection).await?;
                self.look_at_each(&to_be_deleted, &mut listing, selection, None)
                    .await?;
                self.find_again(kind, &listing, selection).map_err(failed)?;
                let observed = self.describe(kind, listing, true, &selection.joined);
                observed.map_err(failed)
            }
            Err(error) if error.scope() == Scope::Target => Err(unreachable(error)),
            // Unknown is not absent: whoever would have to be looked for waits.
            Err(error) => {
                for record in self.unmatched(kind, selection) {
                    if let Some(candidate) = candidate_mut(selection, kind, &record) {
                        candidate.due = false;
                    }
                }
                let failure = Failure::new(FailureKind::Failed, &error);
                seen.partial.get_or_insert(failure);
                Ok(Observed::default())
            }
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
