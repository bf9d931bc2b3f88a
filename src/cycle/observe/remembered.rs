//! After a lost snapshot: whose link a seen resource was, as the audit log remembers it.
//!
//! Only says it of those whom no source has any more, because everybody else is matched. What
//! the log says must agree with the target: a resource that does not carry the record's key as
//! its externalId may be another one by now.

use std::collections::BTreeMap;

use provisor_connectors::RecordKey;

use super::Observer;
use crate::audit::{FILE_NAME, remembered};
use crate::plan::input::Observed;
use crate::scim::path::AttributePath;
use crate::scim::resource::{Listed, ResourceId, read_path};
use crate::snapshot::SnapshotError;

impl Observer<'_> {
    /// Who of the seen was linked before the loss and is in no source. Blocking: reads the log.
    pub(in crate::cycle) fn remembered(
        &self,
        users: &Observed,
    ) -> Result<BTreeMap<ResourceId, RecordKey>, SnapshotError> {
        let store = self.known.store();
        let log = store.state_dir().join(FILE_NAME);
        let mut linked = match remembered::linked_people(&log, store.name()) {
            Ok(linked) => linked,
            Err(problem) => {
                // Whoever is left over waits for a person instead.
                tracing::warn!(
                    target_name = store.name(),
                    "who was linked before the snapshot was lost is not taken from the audit \
                     log: {problem}"
                );
                BTreeMap::new()
            }
        };
        let mut gone = BTreeMap::new();
        for (resource, listed) in &users.resources {
            if let Some(record) = linked.remove(resource)
                && carries_key(listed, &record)
                && self.is_gone(&record)?
            {
                gone.insert(resource.clone(), record);
            }
        }
        Ok(gone)
    }

    /// Whether the record's source is one of this target's, was read, and does not have it.
    fn is_gone(&self, record: &RecordKey) -> Result<bool, SnapshotError> {
        let source = &record.source;
        if !self.target.sources.contains(source) || self.readings.failures().contains_key(source) {
            return Ok(false);
        }
        let Some(view) = self.readings.view(source) else {
            return Ok(false);
        };
        let row = view.row(record.kind, &record.id)?;
        Ok(row.is_none_or(|row| row.gone_since.is_some()))
    }
}

fn carries_key(listed: &Listed, record: &RecordKey) -> bool {
    let external_id = read_path(&listed.json, &AttributePath::external_id());
    external_id.and_then(|value| value.as_str()) == Some(record.id.as_str())
}
