//! Deviations of listings, filters and lookups.

use std::collections::BTreeSet;

use super::super::Answer;
use super::super::routes::Call;
use crate::sandbox::deviation::Deviation;
use crate::sandbox::state::State;

/// See [`super::refuse`].
pub(super) fn refuse(
    _deviations: &BTreeSet<Deviation>,
    _call: &mut Call<'_>,
    _state: &State,
) -> Option<Answer> {
    None
}

/// See [`super::distort`].
pub(super) fn distort(
    _deviations: &BTreeSet<Deviation>,
    _call: &Call<'_>,
    _answer: &mut Answer,
    _state: &State,
) {
}
