//! What a difference spends of the guards' limits. Nothing here holds anything back.

use std::collections::BTreeSet;

use super::action::{Cost, Difference, Limit};
use crate::scim::path::AttributePath;
use crate::scim::resource::fold;

/// One unit of a limit.
pub(super) fn cost(limit: Limit) -> Cost {
    Cost { limit, amount: 1 }
}

/// What a patch spends: these differences, of which some only put back what the target shows
/// otherwise. Filling what was emptied there costs nothing.
pub(super) fn patch_costs(
    differences: &[Difference],
    drifted: &BTreeSet<&AttributePath>,
) -> Vec<Cost> {
    let mut costs = Vec::new();
    if differences.iter().any(|each| overwrites(each, drifted)) {
        costs.push(cost(Limit::Overwrites));
    }
    if differences.iter().any(changes_identifier) {
        costs.push(cost(Limit::Identifiers));
    }
    if differences
        .iter()
        .any(|difference| difference.new.is_none())
    {
        costs.push(cost(Limit::Cleared));
    }
    costs
}

/// Whether a difference puts ours in place of a value that somebody else wrote.
pub(super) fn overwrites(difference: &Difference, drifted: &BTreeSet<&AttributePath>) -> bool {
    difference.old.is_some() && drifted.contains(&difference.path)
}

/// A userName or externalId gets another value. Filling an empty one is no such change, nor
/// is another spelling of the same userName.
pub(super) fn changes_identifier(difference: &Difference) -> bool {
    let Difference { path, old, new } = difference;
    let identifier = path.attribute == "userName" || path.attribute == "externalId";
    match (old, new) {
        (Some(old), Some(new)) => identifier && fold(path, old) != fold(path, new),
        _ => false,
    }
}
