//! Whom people refer to, and who must be looked at because somebody they refer to comes to
//! the target, or comes back under another id.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey, SourceId};
use serde_json::Value;

use super::Selector;
use super::person::Said;
use crate::plan::input::{Candidate, Referenced, Standing};
use crate::plan::references;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, fold};
use crate::snapshot::{MirrorRow, Open, SnapshotError};

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
        said: &Said,
        desired: &mut AttributeMap,
    ) -> Result<Option<Referenced>, SnapshotError> {
        let id = match desired.remove(&AttributePath::manager()) {
            Some(Value::String(id)) => id,
            Some(other) => other.to_string(),
            None => return Ok(None),
        };
        let named = RecordKey {
            source: self.namer_of_manager(record, said).source.clone(),
            kind: Kind::User,
            id: SourceId::new(id),
        };
        let manager = self.selection.joined.speaker(&named).clone();
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

    /// Which of a person's records names the manager: the first that names one.
    fn namer_of_manager<'a>(&self, record: &'a RecordKey, said: &'a Said) -> &'a RecordKey {
        let path = AttributePath::manager();
        let mapping = &self.target.mapping;
        let names_one = |row: &MirrorRow| {
            let mapped = mapping.apply_path(&path, &row.attributes);
            mapped.is_ok_and(|manager| manager.is_some())
        };
        let mut living = said.living.iter();
        let namer = living.find(|(_, row)| said.living.len() > 1 && names_one(row));
        namer
            .or(said.living.first())
            .map_or(record, |(namer, _)| namer)
    }

    /// Whether somebody without a link should be at the target, or one cannot tell.
    fn may_come(&self, record: &RecordKey) -> Result<bool, SnapshotError> {
        let said = self.said_of(record)?;
        let verdict = self.judge_said(record, &said);
        let unreadable = said.unreadable.as_deref();
        let standing = Standing::settle(said.lifecycle, said.gone, unreadable, verdict);
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
