//! People who left long ago: deleted at the target after `delete_after`, and forgotten after
//! `forget_after`. The only decisions that nothing but time makes.
//!
//! Deletes nobody whom this cycle has not seen at the target: there, inactive, and the same.

use provisor_connectors::{Kind, RecordKey};

use super::Table;
use crate::plan::action::{Change, HeldReason};
use crate::plan::build;
use crate::plan::input::{Candidate, Standing};
use crate::plan::long_gone::{Moments, has_come, is_the_same};
use crate::snapshot::link::Link;

/// What becomes of a deletion that is due.
enum Deletion {
    /// It is planned, has nothing to do, or waits for something that passes.
    Settled,
    /// It is none of ours to do; why a person should look, where that is so.
    NotOurs(Option<String>),
}

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
        let due = has_come(moments.delete, input.now);
        let detail = match due.then(|| self.delete(record, candidate, link)) {
            Some(Deletion::Settled) => return,
            Some(Deletion::NotOurs(detail)) => detail,
            None => None,
        };
        if has_come(moments.forget, input.now) && input.clock_doubt.is_none() {
            self.people.forgotten.insert(record.clone());
        } else if let Some(detail) = detail {
            let subject = self.subject(record, candidate);
            self.hold(subject, Change::Delete, HeldReason::AmbiguousMatch, detail);
        }
    }

    /// Deletes somebody whose time has come, or says what keeps that from being done.
    fn delete(&mut self, record: &RecordKey, candidate: &Candidate, link: &Link) -> Deletion {
        let subject = self.subject(record, candidate);
        let observed = self.input.observed_users.resources.get(&link.resource);
        if let Some(key) = self.protecting(&subject, candidate, observed, link) {
            self.list_protected(subject, "deleted (GoneFromSource)", &key);
            return Deletion::NotOurs(None);
        }
        if let Some(doubt) = &self.input.clock_doubt {
            let detail = format!("only time says that it is due, and {doubt}");
            self.hold(subject, Change::Delete, HeldReason::ClockDoubt, detail);
            return Deletion::Settled;
        }
        if link.missing || candidate.missing {
            self.people.forgotten.insert(record.clone());
            return Deletion::Settled;
        }
        // Somebody entitled may be the same person: that is settled first.
        let Some(listed) = observed.filter(|_| !self.suitors.contains_key(&link.resource)) else {
            return Deletion::Settled;
        };
        if let Err(detail) = is_the_same(Kind::User, listed, link) {
            let detail = format!("{detail}; nothing is deleted, do it there if it is right");
            return Deletion::NotOurs(Some(detail));
        }
        self.people.deleted.insert(record.clone());
        self.people.actions.push(build::delete(subject));
        Deletion::Settled
    }
}
