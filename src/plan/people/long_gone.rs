//! People who left long ago: deleted at the target after `delete_after`, and forgotten after
//! `forget_after`. The only decisions that nothing but time makes.
//!
//! Deletes nobody whom this cycle has not seen at the target: there, inactive, and the same.

use provisor_connectors::RecordKey;

use super::Table;
use crate::plan::action::{Change, HeldReason};
use crate::plan::build;
use crate::plan::input::{Candidate, Standing};
use crate::plan::long_gone::{Moments, has_come, is_the_same};
use crate::snapshot::link::Link;

impl Table<'_> {
    /// Not entitled and inactive: nothing, until they are gone long enough.
    pub(super) fn inactive_leaver(
        &mut self,
        record: &RecordKey,
        candidate: &Candidate,
        link: &Link,
    ) {
        let input = self.input;
        let known = input.complete && candidate.contested.is_none();
        if candidate.standing != Standing::Gone || !candidate.due || !known {
            return;
        }
        let moments = Moments::of(link, input.rules);
        if has_come(moments.delete, input.now) && self.deletes(record, candidate, link) {
            return;
        }
        if has_come(moments.forget, input.now) && input.clock_doubt.is_none() {
            self.people.forgotten.insert(record.clone());
        }
    }

    /// Deletes somebody whose time has come, or says what keeps that from being done. False
    /// where nothing is, or can be, deleted.
    fn deletes(&mut self, record: &RecordKey, candidate: &Candidate, link: &Link) -> bool {
        let subject = self.subject(record, candidate);
        if let Some(doubt) = &self.input.clock_doubt {
            let detail = format!("only time says that it is due, and {doubt}");
            self.hold(subject, Change::Delete, HeldReason::ClockDoubt, detail);
            return true;
        }
        if link.missing || candidate.missing {
            self.people.forgotten.insert(record.clone());
            return true;
        }
        let observed = &self.input.observed_users;
        // Somebody entitled may be the same person: that is settled first.
        let Some(listed) = observed
            .resources
            .get(&link.resource)
            .filter(|_| !self.suitors.contains_key(&link.resource))
        else {
            return true;
        };
        if let Some(key) = self.protecting(&subject, candidate, Some(listed), link) {
            self.list_protected(subject, "deleted (GoneFromSource)", &key);
            return false;
        }
        if let Err(detail) = is_the_same(listed, link) {
            let detail = format!("{detail}; nothing is deleted, do it there if it is right");
            self.hold(subject, Change::Delete, HeldReason::AmbiguousMatch, detail);
            return false;
        }
        self.people.actions.push(build::delete(subject));
        true
    }
}
