//! Who is assigned to the app of the scope: a group that a source gives as its answer.
//!
//! Where a source gave none, nobody can tell who is assigned, and nothing happens to anybody of
//! it. Only reads the mirror.

use std::collections::BTreeSet;

use provisor_connectors::{Kind, Question, RecordKey};

use super::{Selector, key};
use crate::scope::{Assigned, ScopeGroup};
use crate::snapshot::SnapshotError;

impl Selector<'_> {
    /// Looks for the answers, of each source, and for the people in them.
    pub(super) fn resolve_assigned(&mut self) -> Result<(), SnapshotError> {
        let target = self.target;
        let Some(assigned) = &target.scope.assigned else {
            return Ok(());
        };
        for source in &target.sources {
            let resolved = self.resolve_in(source, assigned)?;
            if let ScopeGroup::Unresolved(why) = &resolved {
                self.selection.unresolved.push(why.clone());
            }
            self.assigned.push(resolved);
        }
        Ok(())
    }

    fn resolve_in(
        &mut self,
        source: &str,
        assigned: &Assigned,
    ) -> Result<ScopeGroup, SnapshotError> {
        let app = &assigned.app;
        let unresolved = |why: &str| {
            Ok(ScopeGroup::Unresolved(format!(
                "who is assigned to `{app}` is not known: {why}"
            )))
        };
        if let Some(why) = self.unreadable(source) {
            return unresolved(&why);
        }
        let question = assigned.group.as_str();
        if let Some(why) = self.readings.unanswered(source, question) {
            return unresolved(why);
        }
        let Some(view) = self.view(source) else {
            return unresolved("its source was not read");
        };
        let row = view.row(Kind::Group, &assigned.group)?;
        if row.is_none_or(|row| row.gone_since.is_some()) {
            return unresolved(&format!("the source {source} could not tell"));
        }
        let group = key(view, Kind::Group, assigned.group.clone());
        let Some(people) = self.assigned_people(&group, assigned.transitive)? else {
            return unresolved("the members of a group that is assigned are not known");
        };
        self.scope_members.insert(group.clone(), people);
        Ok(ScopeGroup::Resolved(group))
    }

    /// The people who are assigned themselves, and those in the groups that are; `None`: a list
    /// on the way is not known. A group that is gone has nobody.
    fn assigned_people(
        &self,
        answer: &RecordKey,
        transitive: bool,
    ) -> Result<Option<BTreeSet<RecordKey>>, SnapshotError> {
        let Some(view) = self.view(&answer.source) else {
            return Ok(None);
        };
        let mut people = BTreeSet::new();
        let mut entered = BTreeSet::new();
        let mut waiting = vec![answer.id.clone()];
        while let Some(id) = waiting.pop() {
            let Some(row) = view.row(Kind::Group, &id)? else {
                return Ok(None);
            };
            if row.gone_since.is_some() {
                continue;
            }
            if !row.members_known {
                return Ok(None);
            }
            let goes_deeper = id == answer.id || transitive;
            for member in view.members(&id)? {
                match member.kind {
                    Kind::User => {
                        let record = key(view, Kind::User, member.id);
                        people.insert(self.selection.joined.speaker(&record).clone());
                    }
                    Kind::Group if goes_deeper && entered.insert(member.id.clone()) => {
                        waiting.push(member.id);
                    }
                    Kind::Group => {}
                }
            }
        }
        Ok(Some(people))
    }
}

/// Whether a group is a source's answer to a question, and no group of the directory.
pub(super) fn is_answer(group: &RecordKey) -> bool {
    let asked = Question::asked(group.id.as_str());
    matches!(asked, Some(Question::AssignedTo(_)))
}
