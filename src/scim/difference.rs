//! The difference of two flat resources as PATCH operations in the default dialect.
//!
//! Pure. Exactly what differs, no more: `replace` for a path that both have, `add` for one
//! that only the new one has, `remove` for one that only the old one has. Values are
//! compared exactly; folding would lose a changed spelling.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::message::{Op, Operation};
use super::path::{AttributePath, Selector};
use super::resource::{AttributeMap, sub_values, to_json};

/// The operations that turn `old` into `new`, in the order of their paths, removals last.
/// Empty when the two are equal.
///
/// An element of a multi-valued attribute that `old` has nothing of is added as a whole,
/// because a path that selects it would select nothing (RFC 7644 §3.5.2.3, `noTarget`); one
/// that `new` has nothing of is removed as a whole.
pub fn operations(old: &AttributeMap, new: &AttributeMap) -> Vec<Operation> {
    let mut writes = Vec::new();
    let mut removals = Vec::new();
    for (attribute, (old, new)) in by_attribute(old, new) {
        if has_overlap(&attribute, old.keys().chain(new.keys())) {
            replace_whole(&attribute, &old, &new, &mut writes, &mut removals);
        } else {
            let mut removed = write_elements(&attribute, &old, &new, &mut writes);
            write_paths(&old, &new, &mut removed, &mut writes);
            removals.extend(removed);
        }
    }
    writes.extend(removals.into_iter().map(|path| Operation {
        op: Op::Remove,
        path: path.to_string(),
        value: None,
    }));
    writes
}

/// Both sides' values of one attribute, references instead of copies.
type Part<'a> = BTreeMap<&'a AttributePath, &'a Value>;

/// Splits both maps by attribute, which is where paths can touch one another.
fn by_attribute<'a>(
    old: &'a AttributeMap,
    new: &'a AttributeMap,
) -> BTreeMap<AttributePath, (Part<'a>, Part<'a>)> {
    let mut parts: BTreeMap<AttributePath, (Part<'a>, Part<'a>)> = BTreeMap::new();
    for (path, value) in old {
        let part = parts.entry(path.whole()).or_default();
        part.0.insert(path, value);
    }
    for (path, value) in new {
        let part = parts.entry(path.whole()).or_default();
        part.1.insert(path, value);
    }
    parts
}

/// Whether the attribute is set both as a whole and in parts, as while a mapping changes from
/// `emails` to `emails[type eq "work"].value`. Single paths would then undo one another.
fn has_overlap<'a>(
    attribute: &AttributePath,
    paths: impl Iterator<Item = &'a &'a AttributePath>,
) -> bool {
    let mut shapes = paths.map(|path| (*path == attribute, path.selector.is_some()));
    let Some(first) = shapes.next() else {
        return false;
    };
    shapes.any(|shape| shape != first)
}

fn replace_whole(
    attribute: &AttributePath,
    old: &Part<'_>,
    new: &Part<'_>,
    writes: &mut Vec<Operation>,
    removals: &mut Vec<AttributePath>,
) {
    match (assemble(attribute, old), assemble(attribute, new)) {
        (old, new) if old == new => {}
        (_, None) => removals.push(attribute.clone()),
        (old, Some(value)) => writes.push(Operation {
            op: if old.is_some() { Op::Replace } else { Op::Add },
            path: attribute.to_string(),
            value: Some(value),
        }),
    }
}

/// The attribute's JSON value as [`to_json`] writes it.
fn assemble(attribute: &AttributePath, part: &Part<'_>) -> Option<Value> {
    let map: AttributeMap = part
        .iter()
        .map(|(path, value)| (path.within(None), (*value).clone()))
        .collect();
    to_json("", &map).get(&attribute.attribute).cloned()
}

/// Adds elements that are new as a whole. Returns the elements that are gone as a whole.
fn write_elements(
    attribute: &AttributePath,
    old: &Part<'_>,
    new: &Part<'_>,
    writes: &mut Vec<Operation>,
) -> Vec<AttributePath> {
    let before = selectors(old);
    let after = selectors(new);
    let mut added = after.difference(&before).copied().collect::<Vec<_>>();
    added.sort();
    for (position, selector) in added.into_iter().enumerate() {
        let mut element = Map::new();
        element.insert(selector.attribute.clone(), json!(selector.value));
        if before.is_empty() && position == 0 {
            element.insert("primary".to_owned(), json!(true));
        }
        for (path, value) in new {
            if path.selector.as_ref() == Some(selector) {
                for (name, value) in sub_values(path.sub.as_deref(), value) {
                    element.insert(name.to_owned(), value.clone());
                }
            }
        }
        writes.push(Operation {
            op: Op::Add,
            path: attribute.to_string(),
            value: Some(json!([element])),
        });
    }
    before
        .difference(&after)
        .map(|selector| attribute.select((*selector).clone()))
        .collect()
}

fn selectors<'a>(part: &Part<'a>) -> BTreeSet<&'a Selector> {
    part.keys()
        .filter_map(|path| path.selector.as_ref())
        .collect()
}

/// Writes single paths; elements that come or go as a whole are done already.
fn write_paths(
    old: &Part<'_>,
    new: &Part<'_>,
    removed: &mut Vec<AttributePath>,
    writes: &mut Vec<Operation>,
) {
    let before = selectors(old);
    let after = selectors(new);
    for (path, value) in new {
        let op = match old.get(path) {
            Some(known) if known == value => continue,
            Some(_) => Op::Replace,
            None if path.selector.as_ref().is_some_and(|s| !before.contains(s)) => continue,
            None => Op::Add,
        };
        writes.push(write(op, path, value));
    }
    for path in old.keys() {
        let element_gone = path.selector.as_ref().is_some_and(|s| !after.contains(s));
        if !new.contains_key(path) && !element_gone {
            removed.push((*path).clone());
        }
    }
}

/// One write. A whole element keeps what selects it: the value of such a path is either the
/// element's `value`, or an object that may not repeat its `type`.
fn write(op: Op, path: &AttributePath, value: &Value) -> Operation {
    let (path, value) = match (&path.selector, &path.sub, value) {
        (Some(selector), None, Value::Object(fields)) => {
            let mut element = fields.clone();
            element
                .entry(selector.attribute.clone())
                .or_insert_with(|| json!(selector.value));
            (path.clone(), Value::Object(element))
        }
        (Some(_), None, value) => (path.join("value"), value.clone()),
        (_, _, value) => (path.clone(), value.clone()),
    };
    Operation {
        op,
        path: path.to_string(),
        value: Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: &[(&str, Value)]) -> AttributeMap {
        values
            .iter()
            .map(|(path, value)| (path.parse().expect("a valid path"), value.clone()))
            .collect()
    }

    fn render(old: &[(&str, Value)], new: &[(&str, Value)]) -> Vec<String> {
        operations(&map(old), &map(new))
            .into_iter()
            .map(|Operation { op, path, value }| {
                let value = value.map(|value| format!(" {value}")).unwrap_or_default();
                format!("{} {path}{value}", format!("{op:?}").to_lowercase())
            })
            .collect()
    }

    const WORK: &str = "emails[type eq \"work\"].value";
    const HOME: &str = "emails[type eq \"home\"].value";

    #[test]
    fn equal_resources_need_nothing() {
        let same = [("userName", json!("ana")), (WORK, json!("ana@example.com"))];
        assert_eq!(render(&same, &same), Vec::<String>::new());
    }

    #[test]
    fn each_path_gets_the_verb_it_needs() {
        assert_eq!(
            render(
                &[
                    ("title", json!("Engineer")),
                    ("nickName", json!("An")),
                    ("userName", json!("ana")),
                ],
                &[
                    ("title", json!("engineer")),
                    ("name.givenName", json!("Ana")),
                    ("userName", json!("ana")),
                ]
            ),
            [
                "add name.givenName \"Ana\"",
                "replace title \"engineer\"",
                "remove nickName",
            ]
        );
    }

    #[test]
    fn a_new_element_is_added_whole_and_the_first_is_primary() {
        assert_eq!(
            render(
                &[],
                &[
                    (WORK, json!("w@example.com")),
                    ("emails[type eq \"work\"].display", json!("W")),
                    (HOME, json!("h@example.com")),
                ]
            ),
            [
                r#"add emails [{"primary":true,"type":"home","value":"h@example.com"}]"#,
                r#"add emails [{"display":"W","type":"work","value":"w@example.com"}]"#,
            ]
        );
        assert_eq!(
            render(
                &[(WORK, json!("w@example.com"))],
                &[
                    (WORK, json!("w@example.com")),
                    (HOME, json!("h@example.com"))
                ]
            ),
            [r#"add emails [{"type":"home","value":"h@example.com"}]"#]
        );
    }

    #[test]
    fn an_element_is_changed_in_place_and_removed_whole() {
        assert_eq!(
            render(
                &[
                    (WORK, json!("old@example.com")),
                    ("emails[type eq \"work\"].display", json!("Old")),
                    (HOME, json!("h@example.com")),
                    ("emails[type eq \"home\"].display", json!("H")),
                ],
                &[(WORK, json!("new@example.com"))]
            ),
            [
                "replace emails[type eq \"work\"].value \"new@example.com\"",
                "remove emails[type eq \"home\"]",
                "remove emails[type eq \"work\"].display",
            ]
        );
    }

    #[test]
    fn a_mapping_that_moves_to_parts_does_not_undo_itself() {
        assert_eq!(
            render(
                &[("emails", json!([{"value": "a@example.com"}]))],
                &[(WORK, json!("a@example.com"))]
            ),
            [r#"replace emails [{"primary":true,"type":"work","value":"a@example.com"}]"#]
        );
        assert_eq!(
            render(
                &[("name.givenName", json!("Ana"))],
                &[("name", json!({"formatted": "Ana"}))]
            ),
            [r#"replace name {"formatted":"Ana"}"#]
        );
    }

    #[test]
    fn extension_paths_carry_their_urn() {
        let urn = crate::scim::ENTERPRISE_SCHEMA;
        let department = format!("{urn}:department");
        assert_eq!(
            render(&[(&department, json!("R&D"))], &[]),
            [format!("remove {urn}:department")]
        );
    }
}
