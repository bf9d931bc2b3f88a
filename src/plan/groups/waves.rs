//! Which group goes before which: a child before the group that has it as a member.
//!
//! A ring of new groups is opened before this runs. Should there be one all the same, it is
//! one wave: a reference that cannot be resolved is left out when it is sent, and nothing
//! waits for ever.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::RecordKey;

use crate::plan::action::{Action, Phase, Reference, Write};

/// Gives the requests of groups their waves: none refers to what a later wave creates, or the
/// same one.
pub(in crate::plan) fn settle(actions: &mut [Action]) {
    let in_phase = |action: &Action| {
        action
            .requests
            .iter()
            .any(|request| request.phase == Phase::Groups)
    };
    let mut work: Vec<usize> = (0..actions.len())
        .filter(|index| in_phase(&actions[*index]))
        .collect();
    let mut waiting = waits_for(actions, &work);
    for wave in 0.. {
        if work.is_empty() {
            return;
        }
        let is_ready = |index: &usize| {
            let mut needed = waiting.get(index).into_iter().flatten();
            needed.all(|each| !waiting.contains_key(each))
        };
        let (ready, rest): (Vec<usize>, Vec<usize>) = work.into_iter().partition(is_ready);
        let (ready, rest) = if ready.is_empty() {
            (rest, ready)
        } else {
            (ready, rest)
        };
        for index in ready {
            waiting.remove(&index);
            let requests = actions[index].requests.iter_mut();
            for request in requests.filter(|request| request.phase == Phase::Groups) {
                request.wave = wave;
            }
        }
        work = rest;
    }
}

/// For each action, those of `work` that create what it refers to.
fn waits_for(actions: &[Action], work: &[usize]) -> BTreeMap<usize, BTreeSet<usize>> {
    let created: BTreeMap<&RecordKey, usize> = work
        .iter()
        .filter(|index| creates(&actions[**index]))
        .filter_map(|index| Some((actions[*index].subject.record.as_ref()?, *index)))
        .collect();
    let needed = |index: usize| {
        pending(&actions[index])
            .filter_map(|record| created.get(record).copied())
            .filter(|needed| *needed != index)
            .collect()
    };
    work.iter().map(|index| (*index, needed(*index))).collect()
}

fn creates(action: &Action) -> bool {
    let mut requests = action.requests.iter();
    requests.any(|request| {
        request.phase == Phase::Groups && matches!(request.write, Write::Create { .. })
    })
}

/// Records of this plan that an action's requests refer to.
fn pending(action: &Action) -> impl Iterator<Item = &RecordKey> {
    action
        .requests
        .iter()
        .filter(|request| request.phase == Phase::Groups)
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
