//! How far a plan's actions are while it is applied, and what they came to at its end.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Failure, Outcome};
use crate::plan::action::Plan;

/// What a plan came to.
pub(crate) struct Applied {
    /// In the plan's order.
    pub(crate) outcomes: Vec<Outcome>,
    /// Why the rest was not tried.
    pub(crate) aborted: Option<Failure>,
    /// Actions that met a conflict: a filter has missed something.
    pub(crate) conflicts: BTreeSet<usize>,
}

/// How one request ended.
pub(super) enum Ending {
    Acknowledged,
    Failed(String),
    /// 409: something that matching has not found has the key.
    Conflict(String),
    Pending(String),
    /// The whole target is out of reach: nothing else is tried.
    Aborted(Failure),
}

/// How far each action of a plan is.
pub(super) struct Run<'a> {
    plan: &'a Plan,
    /// Acknowledged requests, by action.
    acknowledged: BTreeMap<usize, usize>,
    /// Actions that ended otherwise than well.
    ended: BTreeMap<usize, Outcome>,
    /// Requests that ended, for the progress bar.
    pub(super) touched: u64,
    conflicts: BTreeSet<usize>,
}

impl<'a> Run<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            acknowledged: BTreeMap::new(),
            ended: BTreeMap::new(),
            touched: 0,
            conflicts: BTreeSet::new(),
        }
    }

    pub(super) fn going(&self) -> impl Iterator<Item = usize> {
        (0..self.plan.actions.len()).filter(|index| self.is_going(*index))
    }

    pub(super) fn is_going(&self, index: usize) -> bool {
        !self.ended.contains_key(&index)
    }

    pub(super) fn note(
        &mut self,
        index: usize,
        acknowledged: usize,
        ending: Ending,
    ) -> Option<Failure> {
        self.touched += 1;
        *self.acknowledged.entry(index).or_default() += acknowledged;
        let (outcome, aborted) = match ending {
            Ending::Acknowledged => return None,
            Ending::Failed(why) => (Outcome::Failed(why), None),
            Ending::Conflict(why) => {
                self.conflicts.insert(index);
                (Outcome::Failed(why), None)
            }
            Ending::Pending(why) => (Outcome::Pending(why), None),
            Ending::Aborted(failure) => (Outcome::Pending(failure.chain.join(": ")), Some(failure)),
        };
        self.ended.insert(index, outcome);
        aborted
    }

    pub(super) fn nothing_done(&mut self) {
        for index in 0..self.plan.actions.len() {
            self.ended
                .insert(index, Outcome::Pending(NOT_TRIED.to_owned()));
        }
    }

    /// Everything that did not end badly is done.
    pub(super) fn finish(self, aborted: Option<Failure>) -> Applied {
        let outcomes = (0..self.plan.actions.len())
            .map(|index| self.ended.get(&index).cloned().unwrap_or(Outcome::Done))
            .collect();
        Applied {
            outcomes,
            aborted,
            conflicts: self.conflicts,
        }
    }

    /// What was not acknowledged in full before the target was out of reach waits.
    pub(super) fn abort(mut self, failure: Failure) -> Applied {
        for (index, action) in self.plan.actions.iter().enumerate() {
            let acknowledged = self.acknowledged.get(&index).copied().unwrap_or(0);
            if acknowledged < action.requests.len() {
                self.ended
                    .entry(index)
                    .or_insert(Outcome::Pending(NOT_TRIED.to_owned()));
            }
        }
        self.finish(Some(failure))
    }
}

const NOT_TRIED: &str = "not tried in this run";
