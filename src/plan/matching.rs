//! Matching: which resource at the target is this record's, if it has no link yet.
//!
//! Works on what was observed; every key is compared here, whatever a filter claimed.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::Kind;
use serde_json::Value;

use super::build;
use super::drift::Shown;
use super::input::{Input, Observed};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId, fold, read_emails, read_path};
use crate::snapshot::link::Link;

/// What the keys of a record find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// Nothing.
    Unmatched,
    /// One resource, and every key that finds anything finds it.
    One(ResourceId),
    /// Several resources; the text names the keys that found them.
    Ambiguous(BTreeSet<ResourceId>, String),
}

/// The resources of one endpoint, by the keys they can be found by.
#[derive(Debug, Default)]
pub struct Index {
    by_key: BTreeMap<(AttributePath, String), BTreeSet<ResourceId>>,
    keys: Vec<AttributePath>,
}

impl Index {
    /// Indexes what was observed by the configured match keys. A key that its owner lets go
    /// in this plan is free, and one that its owner takes is not.
    pub(super) fn new(observed: &Observed, keys: &[AttributePath], moves: &[Move<'_>]) -> Self {
        Self::build(&observed.resources, keys, moves)
    }

    /// Indexes resources by the keys that they have now.
    pub fn of_present(resources: &BTreeMap<ResourceId, Listed>, keys: &[AttributePath]) -> Self {
        Self::build(resources, keys, &[])
    }

    fn build(
        resources: &BTreeMap<ResourceId, Listed>,
        keys: &[AttributePath],
        moves: &[Move<'_>],
    ) -> Self {
        let moves: BTreeMap<&ResourceId, &Move<'_>> =
            moves.iter().map(|each| (each.resource, each)).collect();
        let mut index = Self {
            by_key: BTreeMap::new(),
            keys: keys.to_vec(),
        };
        for listed in resources.values() {
            for path in keys {
                let taken = moves.get(&listed.id).and_then(|each| each.taken(path));
                for value in taken.unwrap_or_else(|| values_at(&listed.json, path)) {
                    let entry = index.by_key.entry((path.clone(), fold(path, &value)));
                    entry.or_default().insert(listed.id.clone());
                }
            }
        }
        index
    }

    /// Finds the resources that carry a key of `desired`.
    pub fn find(&self, desired: &AttributeMap) -> Match {
        let mut found: BTreeMap<ResourceId, BTreeSet<String>> = BTreeMap::new();
        for path in &self.keys {
            for value in key_values(desired, path) {
                let key = (path.clone(), fold(path, value));
                for id in self.by_key.get(&key).into_iter().flatten() {
                    found
                        .entry(id.clone())
                        .or_default()
                        .insert(path.to_string());
                }
            }
        }
        match found.len() {
            0 => Match::Unmatched,
            1 => found
                .into_keys()
                .next()
                .map_or(Match::Unmatched, Match::One),
            count => {
                let keys: BTreeSet<String> = found.values().flatten().cloned().collect();
                let keys: Vec<String> = keys.into_iter().collect();
                let detail = format!("{count} resources match {}", keys.join(", "));
                Match::Ambiguous(found.into_keys().collect(), detail)
            }
        }
    }
}

/// The values of a mapped resource at a match key. `emails` stands for every address.
pub fn key_values<'a>(desired: &'a AttributeMap, key: &AttributePath) -> Vec<&'a Value> {
    if is_any_email(key) {
        desired
            .iter()
            .filter(|(path, _)| path.attribute == "emails" && path.sub.as_deref() == Some("value"))
            .map(|(_, value)| value)
            .collect()
    } else {
        desired.get(key).into_iter().collect()
    }
}

/// The match keys that make sense for a kind: groups are found by externalId and
/// displayName, whatever the configuration says for people.
pub fn keys_for(kind: Kind, configured: &[AttributePath]) -> Vec<AttributePath> {
    match kind {
        Kind::User => configured.to_vec(),
        Kind::Group => vec![AttributePath::external_id(), AttributePath::display_name()],
    }
}

/// The keys that no two records may share: those that match, and a person's userName.
pub fn claimed_keys(kind: Kind, configured: &[AttributePath]) -> Vec<AttributePath> {
    let mut keys = keys_for(kind, configured);
    if kind == Kind::User && !keys.contains(&AttributePath::user_name()) {
        keys.push(AttributePath::user_name());
    }
    keys
}

/// A linked resource that gets other values in this plan.
#[derive(Debug)]
pub(super) struct Move<'a> {
    /// Which.
    resource: &'a ResourceId,
    /// What it has now.
    before: AttributeMap,
    /// What it will have.
    desired: AttributeMap,
}

impl<'a> Move<'a> {
    /// What a linked resource that should have these values moves to, if it moves.
    pub(super) fn of(
        link: &'a Link,
        desired: &AttributeMap,
        shown: &Shown<'_>,
        input: &Input<'_>,
    ) -> Option<Self> {
        let resource = &link.resource;
        let own_part = shown.own_part(link);
        let desired = build::keep_what_stays(desired, &own_part.link, input);
        let before = shown.present(&own_part, &desired, false).values;
        (desired != before).then_some(Self {
            resource,
            before,
            desired,
        })
    }

    /// The new values of a key, if they are others than now.
    fn taken(&self, key: &AttributePath) -> Option<Vec<Value>> {
        let before = key_values(&self.before, key);
        let after = key_values(&self.desired, key);
        (before != after).then(|| after.into_iter().cloned().collect())
    }
}

fn values_at(json: &Value, path: &AttributePath) -> Vec<Value> {
    if is_any_email(path) {
        read_emails(json)
            .into_iter()
            .map(|email| Value::String(email.to_owned()))
            .collect()
    } else {
        read_path(json, path).cloned().into_iter().collect()
    }
}

fn is_any_email(path: &AttributePath) -> bool {
    path.attribute == "emails" && path.selector.is_none()
}
