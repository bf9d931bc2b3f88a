//! Looking for a few people or groups by filter, where that takes fewer requests than a
//! listing and is as good as one.
//!
//! That a filter finds nobody proves nothing by itself: some servers say so of everybody. It is
//! believed once the same filter has found somebody who is known to be there.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};
use serde_json::Value;

use super::{Observer, candidate_mut, unreachable};
use crate::apply::report::Failure;
use crate::cycle::read::failed;
use crate::cycle::select::Selection;
use crate::plan::matching::{key_values, keys_for};
use crate::scim::message::Capabilities;
use crate::scim::path::AttributePath;
use crate::scim::resource::{ResourceId, is_same};
use crate::snapshot::SnapshotError;
use crate::target::lookup::Lookup;
use crate::target::{Listing, Paging};
use crate::text;

/// By kind and match key, whether a filter on it can be believed.
type Filters = BTreeMap<Kind, BTreeMap<AttributePath, bool>>;

impl Observer<'_> {
    /// Looks up a few records by filter, where that takes fewer requests than a listing and
    /// the filters can be believed. `None`: list.
    pub(super) async fn look_up(
        &self,
        kind: Kind,
        unmatched: &BTreeSet<RecordKey>,
        selection: &mut Selection,
        announced: Option<&Capabilities>,
        tried: &mut Filters,
    ) -> Result<Option<Listing>, Failure> {
        if unmatched.is_empty() {
            return Ok(Some(Listing::default()));
        }
        let refused = announced.is_some_and(|known| known.filter == Some(false));
        let distrusted = self.known.progress().distrust_filters;
        if !self.target.profile.filter || refused || distrusted {
            return Ok(None);
        }
        let keys = keys_for(kind, &self.target.rules.match_on);
        let Some(wanted) = wanted(kind, &keys, unmatched, selection) else {
            return Ok(None);
        };
        let believed = self.known.progress().filters.get(&kind);
        let believed = |path: &AttributePath| believed.and_then(|all| all.get(path)).copied();
        let used: BTreeSet<&AttributePath> = wanted.iter().map(|(path, _)| path).collect();
        if used.iter().any(|path| believed(path) == Some(false)) {
            return Ok(None);
        }
        let unproven: Vec<&AttributePath> = used
            .into_iter()
            .filter(|path| believed(path).is_none())
            .collect();
        let paging = Paging::new(&self.target.profile, announced);
        if (wanted.len() + unproven.len()) as u64 > self.pages(kind, paging)? {
            return Ok(None);
        }
        for path in unproven {
            let proven = self.prove(kind, path).await?;
            if let Some(proven) = proven {
                let tried = tried.entry(kind).or_default();
                tried.insert(path.clone(), proven);
            }
            if proven != Some(true) {
                return Ok(None);
            }
        }
        let mut found = Listing::default();
        for (path, value) in wanted {
            let hits = self.client.look_up(kind, &path, &value).await;
            let Lookup::Found(hits) = hits.map_err(unreachable)? else {
                tried.entry(kind).or_default().insert(path, false);
                return Ok(None);
            };
            let hits = hits.into_iter().map(|hit| (hit.id.clone(), hit));
            found.resources.extend(hits);
        }
        Ok(Some(found))
    }

    /// Whether a filter on this key finds somebody who has it, as the target has acknowledged;
    /// `None` where there is nobody to try it with.
    async fn prove(&self, kind: Kind, path: &AttributePath) -> Result<Option<bool>, Failure> {
        let Some((resource, value)) = self.somebody_known_by(kind, path).map_err(failed)? else {
            return Ok(None);
        };
        let answer = self.client.look_up(kind, path, &value).await;
        Ok(Some(match answer.map_err(unreachable)? {
            Lookup::Found(hits) => hits.iter().any(|hit| hit.id == resource),
            Lookup::NotHonoured => false,
        }))
    }

    fn somebody_known_by(
        &self,
        kind: Kind,
        path: &AttributePath,
    ) -> Result<Option<(ResourceId, Value)>, SnapshotError> {
        if self.known.is_void() {
            return Ok(None);
        }
        for linked in self.known.store().links() {
            let (record, link) = linked?;
            // Some servers hide the inactive.
            if record.kind != kind || link.missing || !link.is_surely_active() {
                continue;
            }
            if let Some(value) = key_values(&link.acknowledged, path).first() {
                return Ok(Some((link.resource, (*value).clone())));
            }
        }
        Ok(None)
    }

    /// How many requests a listing takes.
    pub(super) fn pages(&self, kind: Kind, paging: Paging) -> Result<u64, Failure> {
        let totals = self.known.totals().map_err(failed)?;
        let linked = match kind {
            Kind::User => totals.users,
            Kind::Group => totals.groups,
        };
        let listed = self.known.progress().listed.get(&kind).copied();
        let size = listed.unwrap_or(0).max(linked);
        Ok(size.div_ceil(paging.size.max(1)).max(1))
    }
}

/// What has to be asked for; `None` where only a listing will do.
fn wanted(
    kind: Kind,
    keys: &[AttributePath],
    unmatched: &BTreeSet<RecordKey>,
    selection: &mut Selection,
) -> Option<Vec<(AttributePath, Value)>> {
    let mut wanted = Vec::new();
    for record in unmatched {
        let Some(candidate) = candidate_mut(selection, kind, record) else {
            continue;
        };
        let desired = candidate.mapped()?;
        // Only a complete listing can prove that a lost create did not happen.
        if candidate.intent.is_some() {
            return None;
        }
        for path in keys {
            for value in key_values(desired, path) {
                wanted.push((path.clone(), value.clone()));
                wanted.extend(other_form(path, value).map(|other| (path.clone(), other)));
            }
        }
    }
    Some(wanted)
}

/// A key as a server may keep it that does not compose its text: it would not find the
/// composed one. Ids have no other form.
fn other_form(path: &AttributePath, value: &Value) -> Option<Value> {
    let taken_apart = Value::String(text::decomposed(value.as_str()?)?);
    is_same(path, value, &taken_apart).then_some(taken_apart)
}
