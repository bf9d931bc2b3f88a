//! userNames that change hands: who must let go before whom.
//!
//! A target keeps userNames unique, so a name must be free before another takes it. Renames
//! that free a wanted name move to the front, in order; a ring of renames is opened by
//! giving one of them a temporary name first.

use std::collections::BTreeMap;

use provisor_connectors::{Kind, RecordKey};
use serde_json::Value;

use super::action::{Acknowledge, Action, Phase, Release, Request, Write};
use super::input::Candidate;
use crate::scim::message::{Op, Operation};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, fold};

/// Moves the requests of `actions` that free a userName somebody else of the plan takes into
/// [`Phase::Releases`], and gives them their order (see [`Release`]). Returns the order:
/// indices of actions, an index twice where a temporary name opens a ring.
pub fn settle(actions: &mut [Action], people: &BTreeMap<RecordKey, Candidate>) -> Vec<Release> {
    let path = AttributePath::user_name();
    let mut held_now: BTreeMap<String, usize> = BTreeMap::new();
    let mut wanted: BTreeMap<usize, String> = BTreeMap::new();
    for (position, action) in actions.iter().enumerate() {
        if action.subject.kind != Kind::User {
            continue;
        }
        let after = action
            .requests
            .iter()
            .find_map(|request| request.acknowledge.attributes.as_ref());
        let put_back = action.differences.iter().find(|each| each.path == path);
        let name = after.and_then(|after| after.get(&path));
        let Some(name) = name.or(put_back.and_then(|each| each.new.as_ref())) else {
            continue;
        };
        let name = fold(&path, name);
        let before = current_name(action, people).map(|name| fold(&path, &name));
        if before.as_deref() == Some(name.as_str()) {
            continue;
        }
        wanted.insert(position, name);
        if let Some(before) = before {
            held_now.insert(before, position);
        }
    }
    // Who waits for whom: the taker of a name waits for its holder.
    let waits_for: BTreeMap<usize, usize> = wanted
        .iter()
        .filter_map(|(taker, name)| held_now.get(name).map(|holder| (*taker, *holder)))
        .filter(|(taker, holder)| taker != holder)
        .collect();
    let mut order = Vec::new();
    let mut done: BTreeMap<usize, bool> = BTreeMap::new();
    for start in waits_for.keys() {
        visit(*start, &waits_for, &mut done, &mut order);
    }
    for release in &order {
        apply(release, actions, people);
    }
    order
}

/// Depth first along "waits for": holders before takers; a ring is opened at the record
/// where it was entered.
fn visit(
    position: usize,
    waits_for: &BTreeMap<usize, usize>,
    done: &mut BTreeMap<usize, bool>,
    order: &mut Vec<Release>,
) {
    // A chain of renames can be as long as the plan, so this walks instead of recursing.
    let mut chain = Vec::new();
    let mut next = Some(position);
    while let Some(position) = next {
        match done.get(&position) {
            Some(true) => break,
            Some(false) => {
                order.push(Release::Temporary(position));
                break;
            }
            None => {
                done.insert(position, false);
                chain.push(position);
                next = waits_for.get(&position).copied();
            }
        }
    }
    for position in chain.into_iter().rev() {
        done.insert(position, true);
        order.push(Release::Rename(position));
    }
}

fn apply(release: &Release, actions: &mut [Action], people: &BTreeMap<RecordKey, Candidate>) {
    match *release {
        Release::Rename(position) => {
            for request in &mut actions[position].requests {
                // A creation waits for the name, but nobody waits for a creation.
                if !matches!(request.write, Write::Create { .. }) {
                    request.phase = Phase::Releases;
                }
            }
        }
        Release::Temporary(position) => {
            let path = AttributePath::user_name();
            let action = &actions[position];
            let Some(current) = current_name(action, people) else {
                return;
            };
            let temporary = Value::String(temporary_name(action, &current));
            let operation = Operation {
                op: Op::Replace,
                path: path.to_string(),
                value: Some(temporary.clone()),
            };
            let mut attributes = current_values(action, people);
            attributes.insert(path, temporary);
            let write = Write::Patch {
                active: None,
                operations: vec![operation],
                add: Vec::new(),
                remove: Vec::new(),
            };
            let acknowledge = Acknowledge {
                attributes: Some(attributes),
                ..Acknowledge::default()
            };
            let request = Request::new(Phase::Releases, write, acknowledge);
            let acknowledged = acknowledged(&actions[position], people);
            if let Some(second) = actions[position].requests.first_mut() {
                let after = &mut second.acknowledge.attributes;
                // What is only put back would leave the temporary name acknowledged.
                after.get_or_insert(acknowledged);
            }
            actions[position].requests.insert(0, request);
        }
    }
}

/// The name keeps the form of the one it stands in for, because some targets insist on an
/// e-mail address.
fn temporary_name(action: &Action, current: &Value) -> String {
    let current = current.as_str().unwrap_or_default();
    let id = action
        .subject
        .record
        .as_ref()
        .map_or("", |record| record.id.as_str());
    let id: String = id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(16)
        .collect();
    format!("renaming-{id}-{current}")
}

fn current_name(action: &Action, people: &BTreeMap<RecordKey, Candidate>) -> Option<Value> {
    current_values(action, people).remove(&AttributePath::user_name())
}

fn current_values(action: &Action, people: &BTreeMap<RecordKey, Candidate>) -> AttributeMap {
    if let Some(adoption) = &action.adoption {
        return adoption.found.clone();
    }
    let mut values = acknowledged(action, people);
    // What is there now may be another than what was acknowledged.
    let path = AttributePath::user_name();
    let shown = action.differences.iter().find(|each| each.path == path);
    values.extend(shown.and_then(|each| Some((path, each.old.clone()?))));
    values
}

fn acknowledged(action: &Action, people: &BTreeMap<RecordKey, Candidate>) -> AttributeMap {
    action
        .subject
        .resource
        .as_ref()
        .and(action.subject.record.as_ref())
        .and_then(|record| people.get(record))
        .and_then(|candidate| candidate.link.as_ref())
        .map(|link| link.acknowledged.clone())
        .unwrap_or_default()
}
