//! Scope: which records a target should have. Pure.
//!
//! In, Out or Unknown, and nothing happens to the unknown. Must not read anything itself: it
//! is given the resolved scope groups, the groups a record is in, and its attributes.

mod condition;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use provisor_connectors::{Attributes, RecordKey};

pub use condition::Condition;

/// A target's scope as configured. The parts are joined by AND; none at all is everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Exact names or source ids of groups; a member of any of them is in. Empty: no such
    /// condition.
    pub groups: Vec<String>,
    /// What must be true of a record's attributes.
    pub when: Option<Condition>,
}

/// Whether a target should have a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It should.
    In,
    /// It should not.
    Out,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// A configured scope group, looked for in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeGroup {
    /// Found.
    Resolved(RecordKey),
    /// Not found, or its members could not be read: everyone not in another group of the
    /// list is Unknown.
    Unresolved(String),
}

impl Scope {
    /// Judges one person. `groups` are the configured groups as resolved; `memberships` are
    /// all groups the person is in, directly or through nested groups. `attributes` are the
    /// person's, or `None` for who is gone: of them the condition is not asked.
    pub fn judge(
        &self,
        groups: &[ScopeGroup],
        memberships: &BTreeSet<RecordKey>,
        attributes: Option<&Attributes>,
    ) -> Verdict {
        let by_groups = self.judge_groups(groups, memberships);
        match (&self.when, attributes) {
            (Some(when), Some(attributes)) if by_groups != Verdict::Out => {
                and(by_groups, when.judge(attributes))
            }
            _ => by_groups,
        }
    }

    /// Source attribute names that the condition looks at.
    pub fn attributes(&self) -> BTreeSet<String> {
        self.when.iter().flat_map(Condition::attributes).collect()
    }

    fn judge_groups(&self, groups: &[ScopeGroup], memberships: &BTreeSet<RecordKey>) -> Verdict {
        if self.groups.is_empty() {
            return Verdict::In;
        }
        let mut unknown = None;
        for group in groups {
            match group {
                ScopeGroup::Resolved(key) if memberships.contains(key) => return Verdict::In,
                ScopeGroup::Resolved(_) => {}
                ScopeGroup::Unresolved(why) => unknown = Some(why.clone()),
            }
        }
        unknown.map_or(Verdict::Out, Verdict::Unknown)
    }
}

/// Both conditions: who is out by one of them is out, whatever the other says.
fn and(left: Verdict, right: Verdict) -> Verdict {
    match (left, right) {
        (Verdict::Out, _) | (_, Verdict::Out) => Verdict::Out,
        (Verdict::Unknown(why), _) | (_, Verdict::Unknown(why)) => Verdict::Unknown(why),
        (Verdict::In, Verdict::In) => Verdict::In,
    }
}
