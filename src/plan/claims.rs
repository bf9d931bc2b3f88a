//! Claims: which entitled records share a key, and who keeps it.
//!
//! Two records may not become one resource. The present owner of a key keeps it and the
//! others are held; without an owner all are held. Claims of the unknown stand. Nothing here
//! looks at the target.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::input::Candidate;
use super::matching::{key_values, keys_for};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, fold};

/// Records that must wait because another record has, or also wants, one of their keys; with
/// the words to say so. `stays` tells which linked records this plan leaves as they are.
///
/// Whoever waits, or stays, keeps what they have now, so that others may have to wait for
/// them in turn: in a chain of renames, all who come behind.
pub(super) fn settle<'a>(
    kind: Kind,
    candidates: impl Iterator<Item = (&'a RecordKey, &'a Candidate)>,
    match_on: &[AttributePath],
    stays: impl Fn(&Candidate) -> bool,
) -> BTreeMap<RecordKey, String> {
    let mut claims = Claims {
        keys: claimed_keys(kind, match_on),
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
        for (record, detail) in claims.losers(&key) {
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

/// A key that only one record may have: where it is, and its folded value.
type Key = (AttributePath, String);

struct Claims<'a> {
    keys: Vec<AttributePath>,
    by_key: BTreeMap<Key, Claim<'a>>,
    /// Shared keys that are not looked at since somebody came to share them.
    unsettled: BTreeSet<Key>,
}

#[derive(Default)]
struct Claim<'a> {
    claimants: BTreeSet<&'a RecordKey>,
    /// Who has the key at the target, and whether they are active there.
    owners: BTreeMap<&'a RecordKey, bool>,
}

impl<'a> Claims<'a> {
    /// Lays claim to every key among `values`.
    fn claim(&mut self, record: &'a RecordKey, candidate: &Candidate, values: &AttributeMap) {
        for path in &self.keys {
            for value in key_values(values, path) {
                let folded = fold(path, value);
                let owns = held_by(candidate).is_some_and(|held| {
                    key_values(held, path)
                        .iter()
                        .any(|value| fold(path, value) == folded)
                });
                let key = (path.clone(), folded);
                let claim = self.by_key.entry(key.clone()).or_default();
                claim.claimants.insert(record);
                if owns {
                    let link = candidate.standing_link();
                    claim
                        .owners
                        .insert(record, link.is_some_and(|link| link.active));
                }
                if claim.claimants.len() > 1 {
                    self.unsettled.insert(key);
                }
            }
        }
    }

    /// Those who claim a key and do not own it, with the words to say so. Who comes back and
    /// finds their key with somebody active does not own it any more.
    fn losers(&self, key: &Key) -> Vec<(RecordKey, String)> {
        let Some(claim) = self.by_key.get(key) else {
            return Vec::new();
        };
        let taken = claim.owners.values().any(|active| *active);
        let loses = |record: &&&RecordKey| match claim.owners.get(**record) {
            None => true,
            Some(active) => taken && !active,
        };
        let described = |record: &&RecordKey| {
            let others: Vec<String> = claim
                .claimants
                .iter()
                .filter(|other| *other != record)
                .map(|other| format!("{} {}", other.source, other.id))
                .collect();
            let detail = format!("{} is also claimed by {}", key.0, others.join(", "));
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

/// What a record has at the target now.
fn held_by(candidate: &Candidate) -> Option<&AttributeMap> {
    candidate.standing_link().map(|link| &link.acknowledged)
}

fn claimed_keys(kind: Kind, match_on: &[AttributePath]) -> Vec<AttributePath> {
    let mut keys = keys_for(kind, match_on);
    if kind == Kind::User && !keys.contains(&AttributePath::user_name()) {
        keys.push(AttributePath::user_name());
    }
    keys
}
