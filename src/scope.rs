//! Scope: which records a target should have. Pure.
//!
//! In, Out or Unknown, and nothing happens to the unknown. Must not read anything itself: it
//! is given the resolved scope groups and the groups a record is in.

use std::collections::BTreeSet;

use provisor_connectors::RecordKey;

/// A target's scope as configured. The parts are joined by AND; none at all is everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Exact names or source ids of groups; a member of any of them is in. Empty: no such
    /// condition.
    pub groups: Vec<String>,
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
    /// all groups the person is in, directly or through nested groups.
    pub fn judge(&self, groups: &[ScopeGroup], memberships: &BTreeSet<RecordKey>) -> Verdict {
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

#[cfg(test)]
mod tests {
    use provisor_connectors::{Kind, SourceId};

    use super::*;

    fn key(id: &str) -> RecordKey {
        RecordKey {
            source: "staff".to_owned(),
            kind: Kind::Group,
            id: SourceId::new(id),
        }
    }

    #[test]
    fn members_of_any_group_are_in_and_a_missing_group_makes_the_rest_unknown() {
        let found = || ScopeGroup::Resolved(key("a"));
        let missing = || ScopeGroup::Unresolved("no group `b`".to_owned());
        let unknown = || Verdict::Unknown("no group `b`".to_owned());
        let table = [
            (vec![found()], vec!["a"], Verdict::In),
            (vec![found()], vec!["c"], Verdict::Out),
            (vec![found()], vec![], Verdict::Out),
            (vec![missing(), found()], vec!["a", "c"], Verdict::In),
            (vec![missing(), found()], vec!["c"], unknown()),
            (vec![missing()], vec![], unknown()),
        ];
        let scope = Scope {
            groups: vec!["a".to_owned(), "b".to_owned()],
        };
        for (groups, memberships, verdict) in table {
            let memberships: BTreeSet<_> = memberships.into_iter().map(key).collect();
            assert_eq!(
                scope.judge(&groups, &memberships),
                verdict,
                "{groups:?} {memberships:?}"
            );
        }
    }

    #[test]
    fn a_scope_without_groups_is_everyone() {
        assert_eq!(Scope::default().judge(&[], &BTreeSet::new()), Verdict::In);
    }

    #[test]
    fn a_group_is_its_source_and_its_id() {
        let scope = Scope {
            groups: vec!["a".to_owned()],
        };
        let elsewhere = RecordKey {
            source: "contractors".to_owned(),
            ..key("a")
        };
        let verdict = scope.judge(
            &[ScopeGroup::Resolved(key("a"))],
            &BTreeSet::from([elsewhere]),
        );
        assert_eq!(verdict, Verdict::Out);
    }
}
