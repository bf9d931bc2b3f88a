//! Groups within groups, shown as they are (`nested = "direct"`): which groups there will be
//! to contain, and in what order.
//!
//! Whoever is contained is created first. In a ring of new groups nobody can be first: there
//! one membership waits for a second request.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use crate::plan::action::{Action, Change, Reference};
use crate::plan::input::Input;

/// The groups that these actions link, and how to refer to them.
pub(super) fn arrivals(actions: &[Action]) -> BTreeMap<RecordKey, Reference> {
    let reference = |action: &Action| {
        let record = action.subject.record.clone()?;
        if action.change == Change::Create {
            return Some((record.clone(), Reference::Pending(record)));
        }
        let resource = action.adoption.as_ref()?.resource.clone();
        Some((record, Reference::Linked(resource)))
    };
    actions.iter().filter_map(reference).collect()
}

/// Memberships of new groups in new groups that no order of creation can carry: the outer
/// group, the inner group. As few as it takes to cut every ring at its first group.
pub(super) fn second(
    input: &Input<'_>,
    coming: &BTreeMap<RecordKey, Reference>,
) -> BTreeSet<(RecordKey, RecordKey)> {
    let created = |record: &&RecordKey| {
        record.kind == Kind::Group && matches!(coming.get(*record), Some(Reference::Pending(_)))
    };
    let mut waiting: BTreeMap<&RecordKey, BTreeSet<&RecordKey>> = input
        .groups
        .iter()
        .filter(|(record, _)| created(record))
        .map(|(record, group)| (record, group.members.iter().filter(created).collect()))
        .collect();
    let mut second = BTreeSet::new();
    while !waiting.is_empty() {
        let ready: BTreeSet<&RecordKey> = waiting
            .iter()
            .filter(|(_, inner)| !inner.iter().any(|each| waiting.contains_key(*each)))
            .map(|(record, _)| *record)
            .collect();
        if ready.is_empty() {
            let outer = first_in_a_ring(&waiting);
            let inner = waiting.remove(outer).unwrap_or_default();
            let inner = inner
                .into_iter()
                .filter(|each| waiting.contains_key(each) || *each == outer);
            second.extend(inner.map(|inner| (outer.clone(), inner.clone())));
        } else {
            waiting.retain(|record, _| !ready.contains(record));
        }
    }
    second
}

/// The first group that contains itself, through others. There is one whenever everybody
/// waits for somebody who waits.
fn first_in_a_ring<'a>(
    waiting: &BTreeMap<&'a RecordKey, BTreeSet<&'a RecordKey>>,
) -> &'a RecordKey {
    let contains_itself = |outer: &&RecordKey| {
        let mut entered: BTreeSet<&RecordKey> = BTreeSet::new();
        let mut ahead = vec![*outer];
        while let Some(record) = ahead.pop() {
            for inner in waiting.get(record).into_iter().flatten() {
                if inner == outer {
                    return true;
                }
                if entered.insert(inner) {
                    ahead.push(inner);
                }
            }
        }
        false
    };
    let mut records = waiting.keys().copied();
    records
        .clone()
        .find(contains_itself)
        .or_else(|| records.next())
        .expect("only asked while somebody waits")
}
