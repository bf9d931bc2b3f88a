//! What a deviating server does: before a request is looked at, and to its answer.
//!
//! The honest server stays as it is; everything that it is not stands here.

mod reads;
mod writes;

use std::collections::BTreeSet;

use super::Answer;
use super::routes::Call;
use crate::sandbox::deviation::Deviation;
use crate::sandbox::state::State;

/// Refuses a request that an honest server would take, or changes what it asks for.
pub(super) fn refuse(
    deviations: &BTreeSet<Deviation>,
    call: &mut Call<'_>,
    state: &State,
) -> Option<Answer> {
    if deviations.is_empty() {
        return None;
    }
    writes::refuse(deviations, call, state).or_else(|| reads::refuse(deviations, call, state))
}

/// Changes the answer that an honest server would give.
pub(super) fn distort(
    deviations: &BTreeSet<Deviation>,
    call: &Call<'_>,
    answer: &mut Answer,
    state: &State,
) {
    if !deviations.is_empty() {
        reads::distort(deviations, call, answer, state);
        writes::distort(deviations, call, answer, state);
    }
}
