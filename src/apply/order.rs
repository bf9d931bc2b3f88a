//! What must come first within a phase: whoever is created before those who refer to them.
//!
//! The plan has no rings within a phase; should there be one all the same, references that
//! cannot be resolved are left out when they are sent, and nothing waits forever.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::RecordKey;

use crate::plan::action::{Action, Phase, Plan, Reference, Write};

/// Splits the work of a phase into waves: nobody refers to what a later wave creates, or the
/// same one. Actions keep their order within a wave.
pub(super) fn waves(plan: &Plan, work: Vec<usize>, phase: Phase) -> Vec<Vec<usize>> {
    let created: BTreeMap<&RecordKey, usize> = work
        .iter()
        .filter(|index| creates(&plan.actions[**index], phase))
        .filter_map(|index| Some((plan.actions[*index].subject.record.as_ref()?, *index)))
        .collect();
    let mut waiting: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for index in &work {
        let needed = pending(&plan.actions[*index], phase)
            .filter_map(|record| created.get(record).copied())
            .filter(|needed| needed != index);
        waiting.insert(*index, needed.collect());
    }
    let mut waves = Vec::new();
    let mut work = work;
    while !work.is_empty() {
        let is_ready = |index: &usize| {
            let mut needed = waiting.get(index).into_iter().flatten();
            needed.all(|each| !waiting.contains_key(each))
        };
        let (ready, rest): (Vec<usize>, Vec<usize>) = work.into_iter().partition(is_ready);
        if ready.is_empty() {
            waves.push(rest);
            break;
        }
        for index in &ready {
            waiting.remove(index);
        }
        waves.push(ready);
        work = rest;
    }
    waves
}

fn creates(action: &Action, phase: Phase) -> bool {
    let mut requests = action.requests.iter();
    requests.any(|request| request.phase == phase && matches!(request.write, Write::Create { .. }))
}

/// Records of this plan that an action's requests of a phase refer to.
fn pending(action: &Action, phase: Phase) -> impl Iterator<Item = &RecordKey> {
    action
        .requests
        .iter()
        .filter(move |request| request.phase == phase)
        .flat_map(|request| match &request.write {
            Write::Create { members, .. } => members.as_slice(),
            Write::Patch { add, .. } => add.as_slice(),
            Write::Delete => &[],
        })
        .filter_map(|reference| match reference {
            Reference::Pending(record) => Some(record),
            Reference::Linked(_) => None,
        })
}
