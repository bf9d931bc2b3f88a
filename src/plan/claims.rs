//! Claims: which entitled records share a key, and who keeps it.
//!
//! Two records may not become one resource. The present owner of a key keeps it and the
//! others are held; without an owner all are held. Claims of the unknown stand.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::input::Candidate;
use super::matching::{key_values, keys_for};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, fold};

/// Records that must wait because another record has, or also wants, one of their keys; with
/// the words to say so.
pub(super) fn settle<'a>(
    kind: Kind,
    candidates: impl Iterator<Item = (&'a RecordKey, &'a Candidate)>,
    match_on: &[AttributePath],
) -> BTreeMap<RecordKey, String> {
    let keys = claimed_keys(kind, match_on);
    let mut claims: BTreeMap<(AttributePath, String), Claim<'a>> = BTreeMap::new();
    for (record, candidate) in candidates {
        let Some(wanted) = wanted(candidate) else {
            continue;
        };
        for path in &keys {
            for value in key_values(wanted, path) {
                let folded = fold(path, value);
                let owns = candidate
                    .link
                    .as_ref()
                    .filter(|link| !link.missing)
                    .is_some_and(|link| {
                        key_values(&link.acknowledged, path)
                            .iter()
                            .any(|held| fold(path, held) == folded)
                    });
                let claim = claims.entry((path.clone(), folded)).or_default();
                claim.claimants.insert(record);
                if owns {
                    claim.owners.insert(record);
                }
            }
        }
    }
    let mut waiting = BTreeMap::new();
    for ((path, _), claim) in &claims {
        if claim.claimants.len() < 2 {
            continue;
        }
        for record in claim.claimants.difference(&claim.owners) {
            let others: Vec<String> = claim
                .claimants
                .iter()
                .filter(|other| *other != record)
                .map(|other| format!("{} {}", other.source, other.id))
                .collect();
            let detail = format!("{path} is also claimed by {}", others.join(", "));
            waiting.entry((*record).clone()).or_insert(detail);
        }
    }
    waiting
}

#[derive(Default)]
struct Claim<'a> {
    claimants: BTreeSet<&'a RecordKey>,
    owners: BTreeSet<&'a RecordKey>,
}

/// The values a record lays claim to: what it should have, or, where that cannot be told,
/// what it has.
fn wanted(candidate: &Candidate) -> Option<&AttributeMap> {
    let acknowledged = candidate.link.as_ref().map(|link| &link.acknowledged);
    if candidate.standing.is_entitled() {
        match &candidate.desired {
            Some(Ok(desired)) => Some(desired),
            _ => acknowledged,
        }
    } else if candidate.standing.is_unknown() {
        acknowledged.or(match &candidate.desired {
            Some(Ok(desired)) => Some(desired),
            _ => None,
        })
    } else {
        None
    }
}

fn claimed_keys(kind: Kind, match_on: &[AttributePath]) -> Vec<AttributePath> {
    let mut keys = keys_for(kind, match_on);
    if kind == Kind::User && !keys.contains(&AttributePath::user_name()) {
        keys.push(AttributePath::user_name());
    }
    keys
}
