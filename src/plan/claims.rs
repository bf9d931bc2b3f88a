//! Claims: which entitled records share a key, and who keeps it.
//!
//! Two records may not become one resource. The present owner of a key keeps it and the
//! others are held; without an owner all are held. Claims of the unknown stand. What the target
//! still has is told from outside.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::input::Candidate;
use super::matching::{claimed_keys, key_values};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, fold};
use crate::snapshot::link::Link;

/// Records that must wait because another record has, or also wants, one of their keys; with
/// the words to say so. `stays` tells which linked records this plan leaves as they are, `kept`
/// what the target still has of what it acknowledged.
///
/// Whoever waits, or stays, keeps what they have now, so that others may have to wait for
/// them in turn: in a chain of renames, all who come behind.
pub(super) fn settle<'a>(
    kind: Kind,
    candidates: impl Iterator<Item = (&'a RecordKey, &'a Candidate)>,
    match_on: &[AttributePath],
    stays: impl Fn(&Candidate) -> bool,
    kept: impl Fn(&Link) -> AttributeMap,
) -> BTreeMap<RecordKey, String> {
    let mut keys = claimed_keys(kind, match_on);
    keys.sort();
    let mut claims = Claims {
        keys,
        by_key: BTreeMap::new(),
        unsettled: BTreeSet::new(),
    };
    let mut people = BTreeMap::new();
    for (record, candidate) in candidates {
        people.insert(record, candidate);
        let entitled = candidate.standing.is_entitled();
        if !entitled && !candidate.standing.is_unknown() {
            continue;
        }
        match (candidate.mapped(), held_by(candidate)) {
            (Some(desired), _) if entitled => claims.claim(record, candidate, desired),
            (_, Some(held)) => claims.claim(record, candidate, held),
            (Some(desired), None) => claims.claim(record, candidate, desired),
            (None, None) => {}
        }
        if let (true, Some(held)) = (stays(candidate), held_by(candidate)) {
            claims.claim(record, candidate, held);
        }
    }
    let mut waiting = BTreeMap::new();
    while let Some(key) = claims.unsettled.pop_first() {
        for (record, detail) in claims.losers(&key, &people, &kept) {
            if waiting.contains_key(&record) {
                continue;
            }
            let (loser, candidate) = people
                .get_key_value(&record)
                .expect("only candidates have claims");
            if let Some(held) = held_by(candidate) {
                claims.claim(loser, candidate, held);
            }
            waiting.insert(record, detail);
        }
    }
    waiting
}

/// A key that only one record may have: which of the paths it is at, and its folded value.
type Key = (usize, String);

struct Claims<'a> {
    keys: Vec<AttributePath>,
    by_key: BTreeMap<Key, Claim<'a>>,
    /// Shared keys that are not looked at since somebody came to share them.
    unsettled: BTreeSet<Key>,
}

#[derive(Default)]
struct Claim<'a> {
    claimants: BTreeSet<&'a RecordKey>,
    /// Of whom the target has acknowledged the key.
    owners: BTreeSet<&'a RecordKey>,
}

/// How sure the key is with one of its owners; the last is the surest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Hold {
    /// Nobody at the target has written over it.
    kept: bool,
    active: bool,
}

impl<'a> Claims<'a> {
    /// Lays claim to every key among `values`.
    fn claim(&mut self, record: &'a RecordKey, candidate: &Candidate, values: &AttributeMap) {
        for (number, path) in self.keys.iter().enumerate() {
            for value in key_values(values, path) {
                let folded = fold(path, value);
                let owns = held_by(candidate).is_some_and(|held| has(held, path, &folded));
                let key = (number, folded);
                let claim = self.by_key.entry(key.clone()).or_default();
                claim.claimants.insert(record);
                if owns {
                    claim.owners.insert(record);
                }
                if claim.claimants.len() > 1 {
                    self.unsettled.insert(key);
                }
            }
        }
    }

    /// Those who claim a key and do not own it, with the words to say so. Who comes back and
    /// finds their key with somebody active does not own it any more, nor does anybody who lost
    /// it at the target to whom it has now.
    fn losers(
        &self,
        key: &Key,
        people: &BTreeMap<&RecordKey, &Candidate>,
        kept: impl Fn(&Link) -> AttributeMap,
    ) -> Vec<(RecordKey, String)> {
        let Some(claim) = self.by_key.get(key) else {
            return Vec::new();
        };
        let (number, folded) = key;
        let path = &self.keys[*number];
        // An address may be that of several: whoever has it, nobody else has lost it.
        let is_unique = path.attribute != "emails";
        let hold = |record: &&'a RecordKey| {
            let link = people.get(record)?.standing_link()?;
            let hold = Hold {
                kept: !is_unique || has(&kept(link), path, folded),
                active: link.active,
            };
            Some((*record, hold))
        };
        let holds: BTreeMap<&RecordKey, Hold> = claim.owners.iter().filter_map(hold).collect();
        let surest = holds.values().max();
        let keeps = |record: &RecordKey| holds.get(record).is_some_and(|it| Some(it) == surest);
        let should_have = |record: &RecordKey| {
            let candidate = people.get(record).filter(|it| it.standing.is_entitled());
            let desired = candidate.and_then(|candidate| candidate.mapped());
            desired.is_some_and(|desired| has(desired, path, folded))
        };
        // Two have a key where the target refused to take it from one of them when the other
        // came. If both should have it by now, it is nobody's.
        let may_keep = claim.owners.iter().filter(|owner| keeps(owner));
        let is_torn = is_unique && may_keep.filter(|owner| should_have(owner)).count() > 1;
        let loses = |record: &&&RecordKey| !keeps(record) || (is_torn && should_have(record));
        let described = |record: &&RecordKey| {
            let others: Vec<String> = claim
                .claimants
                .iter()
                .filter(|other| *other != record)
                .map(|other| format!("{} {}", other.source, other.id))
                .collect();
            let detail = format!("{path} is also claimed by {}", others.join(", "));
            ((*record).clone(), detail)
        };
        claim
            .claimants
            .iter()
            .filter(loses)
            .map(described)
            .collect()
    }
}

/// Whether a key is among values.
fn has(values: &AttributeMap, path: &AttributePath, folded: &str) -> bool {
    let mut values = key_values(values, path).into_iter();
    values.any(|value| fold(path, value) == folded)
}

/// What a record has at the target, as far as that was acknowledged.
fn held_by(candidate: &Candidate) -> Option<&AttributeMap> {
    candidate.standing_link().map(|link| &link.acknowledged)
}
