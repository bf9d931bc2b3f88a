//! One person whom several targets may know by different records. Decides nothing: who is
//! joined with whom is a target's own question.

use provisor_connectors::RecordKey;

use crate::apply::report::Failure;
use crate::cycle::known::Known;
use crate::cycle::read::{Readings, failed};
use crate::cycle::{Target, select};
use crate::snapshot::Store;

/// The records of one person whom targets may know by different ones (`join_key`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The record that was found, and then those that some target joins with it.
    records: Vec<RecordKey>,
}

impl Person {
    /// Everybody that any of these targets takes for one with this record. Blocking.
    pub fn new(
        store: &Store,
        readings: &Readings,
        targets: &[Target],
        record: &RecordKey,
    ) -> Result<Self, Failure> {
        let mut records = vec![record.clone()];
        for target in targets.iter().filter(|it| it.rules.join_key.is_some()) {
            let known =
                Known::new(store.target(&target.name), &target.fingerprint).map_err(failed)?;
            let joined = select::join(&known, readings, target).map_err(failed)?;
            for other in joined.records(record) {
                if !records.contains(other) {
                    records.push(other.clone());
                }
            }
        }
        Ok(Self { records })
    }

    /// The record by which a target knows them; `None` when it reads none of their sources.
    pub fn at(&self, target: &Target) -> Option<&RecordKey> {
        let mut records = self.records.iter();
        records.find(|record| target.sources.contains(&record.source))
    }

    /// The same, or the record that was found, of which the target then knows nothing.
    pub fn at_or_found(&self, target: &Target) -> &RecordKey {
        self.at(target).unwrap_or(&self.records[0])
    }
}
