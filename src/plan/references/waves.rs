//! Who is created before whom: managers before their reports.
//!
//! A ring of people who manage one another has no first. It is opened by creating one of
//! them without a manager and naming the manager once everybody is there: the only reference
//! that costs a write of its own.

use std::collections::BTreeMap;

use provisor_connectors::RecordKey;

use crate::plan::action::{Action, Phase, Request, Write};

/// Gives creations their turns, opens rings, and puts off references that would be sent
/// before what they refer to. Runs when nothing else moves between phases any more.
pub(in crate::plan) fn settle(actions: &mut [Action]) {
    for action in actions.iter_mut() {
        put_off(action, |request| {
            // A rename that frees a name runs before anybody is created.
            !matches!(request.write, Write::Create { .. }) && request.phase <= Phase::Joiners
        });
    }
    let created: BTreeMap<&RecordKey, usize> = actions
        .iter()
        .enumerate()
        .filter(|(_, action)| creates(action))
        .filter_map(|(position, action)| Some((action.subject.record.as_ref()?, position)))
        .collect();
    let manager_of = |position: usize| {
        let create = actions[position]
            .requests
            .iter()
            .find(|each| is_create(each));
        let manager = create.and_then(|request| request.manager.as_ref());
        manager.and_then(|record| created.get(record).copied())
    };
    let waits_for: BTreeMap<usize, usize> = created
        .values()
        .filter_map(|position| Some((*position, manager_of(*position)?)))
        .collect();
    let mut turns = BTreeMap::new();
    let mut opened = Vec::new();
    for start in waits_for.keys() {
        visit(*start, &waits_for, &mut turns, &mut opened);
    }
    for (position, turn) in turns {
        for request in &mut actions[position].requests {
            if let (true, Some(turn)) = (is_create(request), turn) {
                request.wave = turn;
            }
        }
    }
    for position in opened {
        put_off(&mut actions[position], is_create);
    }
}

/// Goes up from one person to whom they report, to somebody whose turn is known or who waits
/// for nobody, and down again. A ring is opened at the person where it was entered.
fn visit(
    start: usize,
    waits_for: &BTreeMap<usize, usize>,
    turns: &mut BTreeMap<usize, Option<u32>>,
    opened: &mut Vec<usize>,
) {
    // A chain can be as long as the plan, so this walks instead of recursing.
    let mut chain = Vec::new();
    let mut next = Some(start);
    while let Some(position) = next {
        match turns.get(&position) {
            Some(Some(_)) => break,
            Some(None) => {
                opened.push(position);
                turns.insert(position, Some(0));
                break;
            }
            None => {
                turns.insert(position, None);
                chain.push(position);
                next = waits_for.get(&position).copied();
            }
        }
    }
    for position in chain.into_iter().rev() {
        if turns.get(&position) == Some(&None) {
            let before = waits_for.get(&position).and_then(|above| turns.get(above));
            let turn = before.copied().flatten().map_or(0, |turn| turn + 1);
            turns.insert(position, Some(turn));
        }
    }
}

/// Moves the manager of a request like this into a request of its own, after everything that
/// could create them.
fn put_off(action: &mut Action, like: impl Fn(&Request) -> bool) {
    let mut requests = action.requests.iter_mut();
    let Some(request) = requests.find(|request| request.manager.is_some() && like(request)) else {
        return;
    };
    let write = Write::Patch {
        active: None,
        operations: Vec::new(),
        add: Vec::new(),
        remove: Vec::new(),
    };
    let mut later = Request::new(Phase::References, write, request.acknowledge.clone());
    later.acknowledge.active = None;
    later.manager = request.manager.take();
    action.requests.push(later);
    action.requests.retain(|request| !super::is_empty(request));
}

fn creates(action: &Action) -> bool {
    action.requests.iter().any(is_create)
}

fn is_create(request: &Request) -> bool {
    matches!(request.write, Write::Create { .. })
}
