//! After a lost snapshot: whose link a seen resource was, as the audit log remembers it.
//!
//! Decides nothing about them. What the log says must agree with the target: a resource that
//! does not carry the record's key as its externalId may be another one by now.

use std::collections::BTreeMap;

use provisor_connectors::RecordKey;

use super::Observer;
use crate::audit::{FILE_NAME, remembered};
use crate::plan::input::Observed;
use crate::scim::path::AttributePath;
use crate::scim::resource::{Listed, ResourceId, read_path};

impl Observer<'_> {
    /// Who of the seen was linked before the loss. Blocking: reads the log.
    pub(in crate::cycle) fn remembered(&self, users: &Observed) -> BTreeMap<ResourceId, RecordKey> {
        let store = self.known.store();
        let log = store.state_dir().join(FILE_NAME);
        let linked = match remembered::linked_people(&log, store.name()) {
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
        let linked = linked.into_iter();
        let mut linked: BTreeMap<ResourceId, RecordKey> = linked
            .map(|(resource, record)| (ResourceId(resource), record))
            .collect();
        linked.retain(|resource, record| {
            let listed = users.resources.get(resource);
            listed.is_some_and(|listed| carries_key(listed, record)) && self.was_read(record)
        });
        linked
    }

    /// Whether the record's source is one of this target's and was read: nothing is concluded
    /// about others.
    fn was_read(&self, record: &RecordKey) -> bool {
        let source = &record.source;
        self.target.sources.contains(source)
            && self.readings.view(source).is_some()
            && !self.readings.failures().contains_key(source)
    }
}

fn carries_key(listed: &Listed, record: &RecordKey) -> bool {
    let external_id = read_path(&listed.json, &AttributePath::external_id());
    external_id.and_then(|value| value.as_str()) == Some(record.id.as_str())
}
