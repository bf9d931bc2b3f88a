//! The JSON document of `sync --format json`: the keys that every consumer may rely on, and
//! what its numbers must have to do with each other.

use serde_json::Value;

const TARGET: &[&str] = &[
    "target", "error", "plan_id", "held_id", "counts", "actions", "held", "listed", "requests",
];
const COUNTS: &[&str] = &[
    "create",
    "adopt",
    "patch",
    "deactivate",
    "reactivate",
    "delete",
    "held",
    "listed",
    "failed",
    "unchanged",
];
const ACTION: &[&str] = &[
    "change",
    "adopted",
    "kind",
    "source_id",
    "resource_id",
    "name",
    "reason",
    "requests",
];
const REQUEST: &[&str] = &["method", "path", "body"];
const HELD: &[&str] = &[
    "change",
    "kind",
    "source_id",
    "resource_id",
    "name",
    "reason",
    "limit",
    "detail",
];
const LISTED: &[&str] = &[
    "kind",
    "source_id",
    "resource_id",
    "name",
    "reason",
    "detail",
];

/// Checks the document of a preview. `Err` names what is missing or does not add up.
pub(crate) fn check(document: &Value) -> Result<(), String> {
    has_keys(document, &["version", "targets", "totals"], "the document")?;
    if document["version"] != 1 {
        return Err(format!("version is {}", document["version"]));
    }
    for target in list(document, "targets")? {
        has_keys(target, TARGET, "a target")?;
        has_keys(&target["counts"], COUNTS, "counts")?;
        let actions = list(target, "actions")?;
        let mut requests = 0;
        for action in actions {
            has_keys(action, ACTION, "an action")?;
            for request in list(action, "requests")? {
                has_keys(request, REQUEST, "a request")?;
                requests += 1;
            }
        }
        for held in list(target, "held")? {
            has_keys(held, HELD, "a held item")?;
        }
        for listed in list(target, "listed")? {
            has_keys(listed, LISTED, "a listed item")?;
        }
        equal("requests", &target["requests"], requests)?;
        let counts = &target["counts"];
        for change in [
            "create",
            "adopt",
            "patch",
            "deactivate",
            "reactivate",
            "delete",
        ] {
            let found = actions.iter().filter(|it| it["change"] == change).count();
            equal(change, &counts[change], found)?;
        }
        equal("held", &counts["held"], list(target, "held")?.len())?;
        equal("listed", &counts["listed"], list(target, "listed")?.len())?;
        equal("failed", &counts["failed"], 0)?;
    }
    has_keys(&document["totals"], COUNTS, "totals")?;
    for count in COUNTS {
        let each = list(document, "targets")?
            .iter()
            .filter_map(|target| target["counts"][*count].as_u64());
        let sum: u64 = each.sum();
        if document["totals"][*count].as_u64() != Some(sum) {
            return Err(format!("the totals' `{count}` is not {sum}"));
        }
    }
    Ok(())
}

/// The first held set's id, if any target has one.
pub(crate) fn held_id(document: &Value) -> Option<String> {
    let targets = document["targets"].as_array()?;
    let found = targets.iter().find_map(|target| target["held_id"].as_str());
    found.map(str::to_owned)
}

/// The writes planned at all targets together.
pub(crate) fn planned_requests(document: &Value) -> u64 {
    let targets = document["targets"].as_array().into_iter().flatten();
    targets
        .filter_map(|target| target["requests"].as_u64())
        .sum()
}

fn has_keys(value: &Value, keys: &[&str], what: &str) -> Result<(), String> {
    let object = value
        .as_object()
        .ok_or(format!("{what} is not an object"))?;
    match keys.iter().find(|key| !object.contains_key(**key)) {
        Some(key) => Err(format!("{what} lacks `{key}`")),
        None => Ok(()),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    let array = value[key].as_array();
    array
        .map(Vec::as_slice)
        .ok_or(format!("`{key}` is not a list"))
}

fn equal(what: &str, said: &Value, counted: usize) -> Result<(), String> {
    if said.as_u64() == Some(counted as u64) {
        Ok(())
    } else {
        Err(format!("`{what}` says {said}, there are {counted}"))
    }
}
