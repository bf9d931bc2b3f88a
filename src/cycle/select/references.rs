//! Whom people refer to, and who must be looked at because somebody they refer to comes to
//! the target, or comes back under another id.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, Lifecycle, RecordKey, SourceId};
use serde_json::Value;

use super::Selector;
use crate::plan::input::{Candidate, Referenced, Standing};
use crate::plan::references;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, fold};
use crate::snapshot::{Open, SnapshotError};

/// Who waits for whom, by the awaited.
pub(super) fn awaited(
    open: &BTreeMap<RecordKey, Open>,
) -> BTreeMap<RecordKey, BTreeSet<RecordKey>> {
    let mut awaited: BTreeMap<RecordKey, BTreeSet<RecordKey>> = BTreeMap::new();
    for (record, open) in open {
        if let Some(manager) = &open.awaits {
            let waiting = awaited.entry(manager.clone()).or_default();
            waiting.insert(record.clone());
        }
    }
    awaited
}

impl Selector<'_> {
    /// Takes the manager out of somebody's mapped values: the source's id of a person of the
    /// same source. Not a value to send before it is known who that is at the target.
    pub(super) fn take_manager(
        &self,
        record: &RecordKey,
        desired: &mut AttributeMap,
    ) -> Result<Option<Referenced>, SnapshotError> {
        let id = match desired.remove(&AttributePath::manager()) {
            Some(Value::String(id)) => id,
            Some(other) => other.to_string(),
            None => return Ok(None),
        };
        let manager = RecordKey {
            source: record.source.clone(),
            kind: Kind::User,
            id: SourceId::new(id),
        };
        let (resource, awaited) = match self.known.link(&manager)? {
            Some(link) if link.missing => (None, true),
            Some(link) => (Some(link.resource), false),
            None => (None, self.may_come(&manager)?),
        };
        Ok(Some(Referenced {
            record: manager,
            resource,
            awaited,
        }))
    }

    /// Whether somebody without a link should be at the target, or one cannot tell.
    fn may_come(&self, record: &RecordKey) -> Result<bool, SnapshotError> {
        let row = match self.view(&record.source) {
            Some(view) => view.row(record.kind, &record.id)?,
            None => None,
        };
        let gone = row.as_ref().is_none_or(|row| row.gone_since.is_some());
        let lifecycle = row.as_ref().map_or(Lifecycle::Active, |row| row.lifecycle);
        let verdict = self.judge(record, row.as_ref().map(|row| &row.attributes));
        let unreadable = self.unreadable(&record.source);
        let standing = Standing::settle(lifecycle, gone, unreadable.as_deref(), verdict);
        Ok(standing.is_entitled() || standing.is_unknown())
    }

    /// Whose reference to somebody may change: of those who wait for them, and of those who
    /// refer to a resource that is no more.
    pub(super) fn reports(
        &self,
        record: &RecordKey,
        candidate: &Candidate,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut reports = BTreeSet::new();
        if candidate.standing.is_entitled() || candidate.link.is_some() {
            reports.extend(self.awaited.get(record).into_iter().flatten().cloned());
        }
        if let Some(link) = candidate.link.as_ref().filter(|link| link.missing) {
            let path = AttributePath::manager();
            let folded = fold(&path, &references::to(&link.resource.0));
            reports.extend(self.known.owners_of(Kind::User, &path, &folded)?);
        }
        Ok(reports)
    }
}
