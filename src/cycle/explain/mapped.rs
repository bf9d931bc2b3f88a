//! What each path of a record is mapped from, and what comes of it.
//!
//! Does not map anything itself: it asks the mapping, which alone knows its defaults.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Attributes, RecordKey};

use super::Mapped;
use crate::cycle::Target;
use crate::mapping::Expression;
use crate::scim::path::AttributePath;

/// Every path that is configured or that the defaults fill, in the order of the paths.
pub(super) fn mapped(target: &Target, record: &RecordKey, attributes: &Attributes) -> Vec<Mapped> {
    let mapping = &target.mapping;
    let results = mapping.apply(record.kind, &record.id, attributes);
    let result_at = |path: &AttributePath| results.as_ref().ok()?.get(path).cloned();
    let mut found: BTreeMap<AttributePath, Mapped> = BTreeMap::new();
    for (path, expression) in &mapping.entries {
        let (from, names) = match expression {
            Some(expression) => describe(expression),
            None => ("false".to_owned(), Vec::new()),
        };
        let inputs = names
            .into_iter()
            .map(|name| {
                let values = attributes.values(&name).to_vec();
                (name, values)
            })
            .collect();
        let mapped = Mapped {
            path: path.clone(),
            from,
            default: false,
            inputs,
            result: result_at(path),
        };
        found.insert(path.clone(), mapped);
    }
    // Defaults are seen by what each attribute alone is mapped to.
    for (name, values) in &attributes.0 {
        let alone = Attributes(BTreeMap::from([(name.clone(), values.clone())]));
        let Ok(alone) = mapping.apply(record.kind, &record.id, &alone) else {
            continue;
        };
        for (path, value) in alone {
            if path == AttributePath::external_id() {
                continue;
            }
            let result = result_at(&path);
            if result.as_ref() == Some(&value) && !found.contains_key(&path) {
                let mapped = Mapped {
                    path: path.clone(),
                    from: name.clone(),
                    default: true,
                    inputs: BTreeMap::from([(name.clone(), values.clone())]),
                    result,
                };
                found.insert(path, mapped);
            }
        }
    }
    let external_id = AttributePath::external_id();
    if let (false, Some(result)) = (found.contains_key(&external_id), result_at(&external_id)) {
        let mapped = Mapped {
            path: external_id.clone(),
            from: "the source's id".to_owned(),
            default: true,
            inputs: BTreeMap::new(),
            result: Some(result),
        };
        found.insert(external_id, mapped);
    }
    found.into_values().collect()
}

/// An expression as it was written, and the attributes it takes.
fn describe(expression: &Expression) -> (String, Vec<String>) {
    let text = match expression {
        Expression::Attribute(name) => name.clone(),
        Expression::Template(template) => template.source().to_owned(),
    };
    let inputs: BTreeSet<String> = expression.attributes().map(str::to_owned).collect();
    (text, inputs.into_iter().collect())
}
