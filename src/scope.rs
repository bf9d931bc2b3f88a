//! Scope: which records a target should have. Pure.
//!
//! In, Out or Unknown, and nothing happens to the unknown. Must not read anything itself: it
//! is given the resolved scope groups, the groups a record is in, and its attributes.

mod condition;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use provisor_connectors::{Attributes, RecordKey, SourceId, Value};

pub use condition::Condition;

/// A target's scope as configured. The parts are joined by AND; none at all is everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Exact names or source ids of groups; a member of any of them is in. Empty: no such
    /// condition.
    pub groups: Vec<String>,
    /// Who is assigned to an app is in. `None`: no such condition.
    pub assigned: Option<Assigned>,
    /// What must be true of a record's attributes.
    pub when: Option<Condition>,
    /// Questions for the source, by the names of their answers. One of them must be true.
    pub below: Vec<String>,
    /// One more question, which must be true.
    pub matches: Option<String>,
}

/// The assignments of an app, which a source answers with a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The app as configured: its name or id.
    pub app: String,
    /// The source id of the group whose members are assigned.
    pub group: SourceId,
    /// Whether people in groups within an assigned group are assigned, too.
    pub transitive: bool,
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
    /// Judges one person. `groups` are the configured groups as resolved, and `assigned` those
    /// that answer who is assigned, of each source; `memberships` are those of all these groups
    /// that the person counts as being in. `attributes` are the person's, or `None` for who is
    /// gone: of them the condition is not asked.
    pub fn judge(
        &self,
        groups: &[ScopeGroup],
        assigned: &[ScopeGroup],
        memberships: &BTreeSet<RecordKey>,
        attributes: Option<&Attributes>,
    ) -> Verdict {
        let mut by_groups = Verdict::In;
        if !self.groups.is_empty() {
            by_groups = judge_groups(groups, memberships);
        }
        if self.assigned.is_some() {
            by_groups = and(by_groups, judge_groups(assigned, memberships));
        }
        let Some(attributes) = attributes else {
            return by_groups;
        };
        let answered = and(by_groups, self.judge_answers(attributes));
        match &self.when {
            Some(when) if answered != Verdict::Out => and(answered, when.judge(attributes)),
            _ => answered,
        }
    }

    /// What the source answered. Without an answer it cannot be told.
    fn judge_answers(&self, attributes: &Attributes) -> Verdict {
        let answer = |name: &String| match attributes.values(name) {
            [Value::Boolean(true)] => Verdict::In,
            [Value::Boolean(false)] => Verdict::Out,
            _ => Verdict::Unknown(format!("the source cannot tell `{name}`")),
        };
        let below = self.below.iter().map(answer).reduce(or);
        let matches = self.matches.as_ref().map(answer);
        let judged = below.into_iter().chain(matches);
        judged.fold(Verdict::In, and)
    }

    /// Whether somebody's own values are looked at, and not only whose members they are.
    pub fn depends_on_values(&self) -> bool {
        self.when.is_some() || !self.below.is_empty() || self.matches.is_some()
    }

    /// Source attribute names that the condition looks at, and the names of the questions.
    pub fn attributes(&self) -> BTreeSet<String> {
        let condition = self.when.iter().flat_map(Condition::attributes);
        let answers = self.below.iter().chain(&self.matches).cloned();
        let assigned = self.assigned.iter();
        let assigned = assigned.map(|assigned| assigned.group.as_str().to_owned());
        condition.chain(answers).chain(assigned).collect()
    }
}

/// Who is in any of the groups is in.
fn judge_groups(groups: &[ScopeGroup], memberships: &BTreeSet<RecordKey>) -> Verdict {
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

/// Either: who is in by one of them is in.
fn or(left: Verdict, right: Verdict) -> Verdict {
    match (left, right) {
        (Verdict::In, _) | (_, Verdict::In) => Verdict::In,
        (Verdict::Unknown(why), _) | (_, Verdict::Unknown(why)) => Verdict::Unknown(why),
        (Verdict::Out, Verdict::Out) => Verdict::Out,
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
