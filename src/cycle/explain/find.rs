//! Finding a person by whatever somebody knows of them.

use std::collections::BTreeSet;

use provisor_connectors::{Kind, RecordKey, SourceId};

use super::Search;
use crate::apply::report::Failure;
use crate::cycle::Target;
use crate::cycle::known::Known;
use crate::cycle::read::{Readings, failed};
use crate::cycle::select;
use crate::plan::joined::Joined;
use crate::plan::matching::key_values;
use crate::scim::path::{AttributePath, Selector};
use crate::scim::resource::{AttributeMap, ResourceId, fold};
use crate::snapshot::{SnapshotError, Store};
use crate::spelling;
use crate::text::is_same;

/// How many similar names are kept of a search that found nobody.
const NEAR: usize = 5;

/// Finds people by source id, `SOURCE/ID`, resource id, userName or e-mail, whatever the
/// case and Unicode form. Blocking; looks at everybody once.
pub fn find_person(
    store: &Store,
    readings: &Readings,
    targets: &[Target],
    wanted: &str,
) -> Result<Search, Failure> {
    search(store, readings, targets, wanted.trim()).map_err(failed)
}

fn search(
    store: &Store,
    readings: &Readings,
    targets: &[Target],
    wanted: &str,
) -> Result<Search, SnapshotError> {
    let mut search = Search::default();
    let sources: BTreeSet<&String> = targets.iter().flat_map(|target| &target.sources).collect();
    for source in sources {
        let users = targets
            .iter()
            .filter(|target| target.sources.contains(source));
        let Some(view) = readings.view(source) else {
            continue;
        };
        for row in view.rows(Kind::User) {
            let row = row?;
            let mut names = Vec::new();
            for target in users.clone() {
                let mapped = target.mapping.apply(Kind::User, &row.id, &row.attributes);
                names.extend(mapped.iter().flat_map(names_in));
            }
            let record = RecordKey {
                source: source.clone(),
                kind: Kind::User,
                id: row.id,
            };
            let name = names.first().cloned();
            let name = name.unwrap_or_else(|| record.id.to_string());
            let by_name = names.iter().any(|name| is_same(name, wanted));
            if by_name || is_id(&record, wanted) {
                search.found.insert(record, name);
            } else if search.near.len() < NEAR
                && spelling::closest(wanted, names.iter().map(String::as_str)).is_some()
            {
                search.near.insert(record, name);
            }
        }
    }
    for target in targets {
        let known = Known::new(store.target(&target.name), &target.fingerprint)?;
        for record in linked_as(&known, target, wanted)? {
            let link = known.link(&record)?;
            let name = link.and_then(|link| names_in(&link.acknowledged).into_iter().next());
            let name = name.unwrap_or_else(|| record.id.to_string());
            search.found.entry(record).or_insert(name);
        }
    }
    if !search.found.is_empty() {
        search.near.clear();
    }
    if search.found.len() > 1 {
        for target in targets.iter().filter(|it| it.rules.join_key.is_some()) {
            let known = Known::new(store.target(&target.name), &target.fingerprint)?;
            let joined = select::join(&known, readings, target)?;
            join_found(&mut search, &joined);
        }
    }
    Ok(search)
}

/// Several records that are one person at a target are found as one.
fn join_found(search: &mut Search, joined: &Joined) {
    let speakers = joined.speakers(search.found.keys());
    if let (1, Some(speaker)) = (speakers.len(), speakers.into_iter().next()) {
        let found = std::mem::take(&mut search.found);
        let name = found.get(&speaker).or_else(|| found.values().next());
        let name = name.cloned().unwrap_or_else(|| speaker.id.to_string());
        search.found.insert(speaker, name);
    }
}

/// Records whose links carry the key: people whom the source may have forgotten.
fn linked_as(
    known: &Known,
    target: &Target,
    wanted: &str,
) -> Result<BTreeSet<RecordKey>, SnapshotError> {
    let mut records = BTreeSet::new();
    let work = Selector {
        attribute: "type".to_owned(),
        value: "work".to_owned(),
    };
    let work = AttributePath::core("emails").select(work).join("value");
    for path in [AttributePath::user_name(), work] {
        let folded = fold(&path, &serde_json::Value::String(wanted.to_owned()));
        records.extend(known.owners_of(Kind::User, &path, &folded)?);
    }
    records.extend(known.owner(Kind::User, &ResourceId(wanted.to_owned()))?);
    for source in &target.sources {
        let record = RecordKey {
            source: source.clone(),
            kind: Kind::User,
            id: SourceId::new(wanted),
        };
        if known.link(&record)?.is_some() {
            records.insert(record);
        }
    }
    Ok(records)
}

/// userName first, then addresses.
fn names_in(mapped: &AttributeMap) -> Vec<String> {
    let user_name = AttributePath::user_name();
    [user_name, AttributePath::core("emails")]
        .iter()
        .flat_map(|path| key_values(mapped, path))
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

fn is_id(record: &RecordKey, wanted: &str) -> bool {
    is_same(record.id.as_str(), wanted)
        || wanted
            .split_once('/')
            .is_some_and(|(source, id)| source == record.source && is_same(record.id.as_str(), id))
}
