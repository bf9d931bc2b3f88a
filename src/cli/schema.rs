//! The JSON Schema of the configuration, for editors: completion, and mistakes underlined
//! while they are typed.
//!
//! Written by hand, because the parser's own types check what no schema says, and say what
//! no editor shows. The presets are put in when it is printed; the tests hold the rest to
//! what the parser takes, refuses and falls back on.

use provisor_connectors::presets;
use serde_json::Value;

/// Everything but the names of the presets.
const SCHEMA: &str = include_str!("schema/config.schema.json");

/// The schema as it is written (JSON Schema, draft 7), with the presets that there are.
pub(super) fn written() -> Value {
    let mut schema: Value =
        serde_json::from_str(SCHEMA).expect("the schema is part of the program and is tested");
    let target = &mut schema["definitions"]["target"]["properties"];
    target["preset"]["enum"] = presets::names().collect();
    schema
}

/// The schema as editors need it. In draft 7, which editors of TOML understand best, what
/// stands beside a `$ref` is ignored, and they show no description that is there; so there
/// the reference gives way to what it stands for.
pub(super) fn schema() -> Value {
    let mut schema = written();
    let definitions = schema["definitions"].clone();
    replace_references(&mut schema, &definitions);
    schema
}

/// What a node stands for: itself, or the definition that it is a reference to.
pub(super) fn resolve<'a>(node: &'a Value, definitions: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(reference) => &definitions[reference.trim_start_matches("#/definitions/")],
        None => node,
    }
}

fn replace_references(node: &mut Value, definitions: &Value) {
    let definition = resolve(node, definitions).clone();
    match node {
        Value::Object(keywords) => {
            if keywords.len() > 1 && keywords.remove("$ref").is_some() {
                for (keyword, value) in definition.as_object().into_iter().flatten() {
                    keywords
                        .entry(keyword.as_str())
                        .or_insert_with(|| value.clone());
                }
            }
            for value in keywords.values_mut() {
                replace_references(value, definitions);
            }
        }
        Value::Array(values) => {
            for value in values {
                replace_references(value, definitions);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
