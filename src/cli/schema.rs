//! The JSON Schema of the configuration, for editors: completion, and mistakes underlined
//! while they are typed.
//!
//! Written by hand, because the parser's own types check what no schema says, and say what
//! no editor shows. What the program knows (presets, limits) is put in when it is printed;
//! the tests hold the rest to what the parser takes and refuses.

use provisor_connectors::presets;
use serde_json::{Value, json};

use crate::plan::action::Limit;

/// Everything but the names that the program knows better.
const SCHEMA: &str = include_str!("schema/config.schema.json");

/// The whole schema (JSON Schema, draft 7: what editors of TOML understand best).
pub(super) fn schema() -> Value {
    let mut schema: Value =
        serde_json::from_str(SCHEMA).expect("the schema is part of the program and is tested");
    let target = &mut schema["definitions"]["target"]["properties"];
    target["preset"]["enum"] = presets::names().collect();
    let limits = Limit::ALL
        .into_iter()
        .map(|limit| {
            let allowed = json!({ "$ref": "#/definitions/limit" });
            (limit.name().to_owned(), allowed)
        })
        .collect();
    target["limits"]["properties"] = Value::Object(limits);
    schema
}

#[cfg(test)]
mod tests;
