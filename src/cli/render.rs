//! Reports as text for people and as JSON for programs. Pure: values in, a string or a
//! serialisable document out; the caller prints.

pub(super) mod json;
pub(super) mod text;

#[cfg(test)]
pub(super) mod samples;

use serde::Serialize;
use serde_json::Value;

use crate::apply::report::{Outcome, TargetReport};
use crate::plan::action::{Action, Change, Plan};

/// Whether a plan was only made, or also applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing was sent.
    Preview,
    /// What could be sent was sent.
    Applied,
}

/// How many actions of each kind; in the order in which they are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) create: u64,
    pub(super) adopt: u64,
    pub(super) patch: u64,
    pub(super) deactivate: u64,
    pub(super) reactivate: u64,
    pub(super) delete: u64,
    pub(super) held: u64,
    pub(super) listed: u64,
    pub(super) failed: u64,
    pub(super) unchanged: u64,
}

impl Counts {
    /// Counts what a report plans; `failed` is what came of it.
    pub(super) fn planned(report: &TargetReport) -> Self {
        let Some(plan) = &report.plan else {
            return Self::default();
        };
        let mut counts = Self::of_actions(plan.actions.iter());
        counts.held = plan.held.len() as u64;
        counts.listed = plan.listed.len() as u64;
        counts.unchanged = plan.unchanged;
        counts.failed = report
            .outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Failed(_)))
            .count() as u64;
        counts
    }

    /// The counts of two together.
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        let Self {
            create,
            adopt,
            patch,
            deactivate,
            reactivate,
            delete,
            held,
            listed,
            failed,
            unchanged,
        } = other;
        Self {
            create: self.create + create,
            adopt: self.adopt + adopt,
            patch: self.patch + patch,
            deactivate: self.deactivate + deactivate,
            reactivate: self.reactivate + reactivate,
            delete: self.delete + delete,
            held: self.held + held,
            listed: self.listed + listed,
            failed: self.failed + failed,
            unchanged: self.unchanged + unchanged,
        }
    }

    /// Counts actions by their change, and nothing else.
    pub(super) fn of_actions<'a>(actions: impl Iterator<Item = &'a Action>) -> Self {
        let mut counts = Self::default();
        for action in actions {
            let count = match action.change {
                Change::Create => &mut counts.create,
                Change::Adopt => &mut counts.adopt,
                Change::Patch => &mut counts.patch,
                Change::Deactivate => &mut counts.deactivate,
                Change::Reactivate => &mut counts.reactivate,
                Change::Delete => &mut counts.delete,
            };
            *count += 1;
        }
        counts
    }
}

/// What an action came to. Applying that ended early says nothing about the actions after
/// that: they are pending.
pub(super) fn outcome_of(report: &TargetReport, position: usize) -> Outcome {
    report
        .outcomes
        .get(position)
        .cloned()
        .unwrap_or_else(|| Outcome::Pending("not tried".to_owned()))
}

/// How many writes a plan asks for.
pub(super) fn count_requests(plan: &Plan) -> u64 {
    plan.actions
        .iter()
        .map(|action| action.requests.len() as u64)
        .sum()
}

/// The word for a reason, the same in text as in JSON.
pub(super) fn word_of(reason: &impl Serialize) -> String {
    match serde_json::to_value(reason) {
        Ok(Value::String(word)) => word,
        // Reasons are unit variants: they cannot become anything else.
        other => unreachable!("a reason is a word, not {other:?}"),
    }
}
