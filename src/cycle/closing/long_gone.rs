//! What closing a cycle notes of people who are gone: since when, and when time decides.
//!
//! Drops the links that the plan forgets. Decides about nobody.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use provisor_connectors::RecordKey;

use super::waiting;
use crate::cycle::clock;
use crate::cycle::prepared::Parts;
use crate::plan::long_gone::Moments;
use crate::snapshot::{Due, Link, Open, SnapshotError, TargetChange, TargetStore};

/// Why somebody is looked at again who is gone and deactivated.
const GONE: &str = "gone from the source and deactivated";

impl Parts {
    /// Notes since when somebody is gone who was looked at, and opens a row for the moment at
    /// which only time decides about them. Says what changes of the links.
    pub(super) fn note_the_gone<'a>(
        &'a self,
        store: &TargetStore,
        rows: &mut BTreeMap<&'a RecordKey, Option<Open>>,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        let mut changes = Vec::new();
        let doubt = clock::doubt(self.known.progress(), self.now, self.client.clock_skew());
        let now = doubt.is_none().then_some(self.now);
        for (record, gone) in &self.looked_at.gone {
            let Some(mut link) = store.link(record)? else {
                continue;
            };
            if self.planned.forgotten.contains(record) {
                changes.push(TargetChange::DropLink(record.clone()));
                rows.insert(record, None);
                continue;
            }
            if note(&mut link, *gone, now) {
                let put = TargetChange::PutLink(record.clone(), Box::new(link.clone()));
                changes.push(put);
            }
            let settled = rows.get(record).is_some_and(Option::is_none);
            if settled
                && *gone
                && let Some(due) = self.next_look(&link)
            {
                rows.insert(record, Some(waiting(GONE, due)));
            }
        }
        Ok(changes)
    }

    /// When time decides about a link next; `None`: never.
    fn next_look(&self, link: &Link) -> Option<Due> {
        let rules = &self.target.rules;
        let deactivated = link.deactivated.as_ref().filter(|_| !link.active)?;
        if deactivated.gone_since.is_none() {
            // The clock was in doubt. Without these settings nothing depends on it.
            let timed = rules.delete_after.or(rules.forget_after);
            return timed.map(|_| Due::FullCycle);
        }
        let moment = Moments::of(link, rules).first()?;
        // Whose turn it was, and who was left alone, has to be seen at the target again.
        let left = moment <= self.now && self.complete;
        Some(if left {
            Due::FullCycle
        } else {
            Due::Moment(moment)
        })
    }
}

/// Keeps `gone_since` true to the source. Tells whether that changes anything.
fn note(link: &mut Link, gone: bool, now: Option<DateTime<Utc>>) -> bool {
    let Some(deactivated) = &mut link.deactivated else {
        return false;
    };
    let since = match (gone, deactivated.gone_since) {
        (false, _) => None,
        (true, None) => now,
        (true, since) => since,
    };
    std::mem::replace(&mut deactivated.gone_since, since) != since
}
