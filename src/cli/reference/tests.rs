//! The page is the schema's, whole, and says nothing that the parser does not do.

use std::path::Path;

use super::*;
use crate::config::Config;

#[test]
fn the_page_in_docs_is_what_the_program_prints() {
    let page = include_str!("../../../docs/configuration.md");
    assert!(
        page == reference(),
        "docs/configuration.md is not what the program prints; renew it with \
         `cargo run -- generate reference > docs/configuration.md`"
    );
}

#[test]
fn every_key_is_explained() {
    let schema = schema::written();
    let reference = Reference::of(&schema);
    let page = super::reference();
    for table in &reference.tables {
        let heading = table.heading();
        assert!(
            table.path.is_empty() || !table.descriptions.is_empty(),
            "{heading} has no description in the schema"
        );
        for (key, node) in &table.keys {
            let path = table.path_of(key);
            assert!(
                description(node).is_some_and(|text| text.ends_with('.')),
                "{path} has no description of its own in the schema"
            );
            assert!(page.contains(&format!("\n### `{path}`\n")), "{path}");
        }
    }
    // A table that the walk did not reach would be left out of the page.
    let paths: Vec<&str> = reference
        .tables
        .iter()
        .map(|each| each.path.as_str())
        .collect();
    for expected in [
        "",
        "lookups.NAME",
        "sources.NAME.csv",
        "sources.NAME.ldap.users",
        "sources.NAME.entra",
        "targets.NAME",
        "targets.NAME.auth.basic",
        "targets.NAME.groups.rename",
        "targets.NAME.limits",
        "targets.NAME.mapping",
    ] {
        assert!(paths.contains(&expected), "{expected}: {paths:?}");
    }
}

#[test]
fn a_value_is_described_in_words() {
    let schema = serde_json::json!({
        "definitions": { "duration": { "title": "Duration", "description": "So long." } },
    });
    let reference = Reference::of(&schema);
    let table = [
        (serde_json::json!({ "type": "string" }), "text"),
        (
            serde_json::json!({ "enum": ["a", "b"] }),
            "`\"a\"` or `\"b\"`",
        ),
        (
            serde_json::json!({ "type": "integer", "minimum": 1, "maximum": 64 }),
            "whole number from 1 to 64",
        ),
        (
            serde_json::json!({ "type": "number", "exclusiveMinimum": 0 }),
            "number above 0",
        ),
        (
            serde_json::json!({ "anyOf": [{ "type": "string" }, { "const": false }] }),
            "text or `false`",
        ),
        (
            serde_json::json!({ "type": "array", "items": { "$ref": "#/definitions/duration" } }),
            "list of [duration](#duration)",
        ),
    ];
    for (node, words) in table {
        assert_eq!(reference.kind(&node), words);
    }
}

/// Something right of everything that other keys need beside them.
const BASE: &str = r#"
[sources.staff.csv]
users = "people.csv"
[sources.contractors.csv]
users = "others.csv"
[sources.corp.ldap]
url = "ldaps://dc1.example.com"
bind_dn = "cn=provisor"
bind_password = { env = "CORP_PASSWORD" }
[sources.corp.ldap.users]
base = "ou=People,dc=example,dc=com"
[sources.corp.ldap.groups]
base = "ou=Groups,dc=example,dc=com"
[sources.cloud.entra]
tenant_id = "contoso.onmicrosoft.com"
client_id = "0f7c5d0e-3a53-4f0e-9a4b-5b0c8c3f1a77"
client_secret = { env = "ENTRA_SECRET" }
[targets.app]
source = "staff"
base_url = "https://app.example.com/scim/v2"
auth = { bearer = { env = "APP_TOKEN" } }
[targets.app.groups]
group_by = "team"
"#;

/// What the parser makes of the base with this value at this place of the reference.
fn load(folder: &Path, table: &str, key: &str, value: &Value) -> Config {
    let mut document: toml::Table = BASE.parse().unwrap();
    let place = table
        .replace("sources.NAME.ldap", "sources.corp.ldap")
        .replace("sources.NAME.entra", "sources.cloud.entra")
        .replace("sources.NAME", "sources.staff")
        .replace("targets.NAME", "targets.app")
        .replace("lookups.NAME", "lookups.table");
    let mut at = &mut document;
    for name in place.split('.').filter(|name| !name.is_empty()) {
        let next = at.entry(name).or_insert_with(|| toml::Table::new().into());
        at = next.as_table_mut().unwrap();
    }
    if place == "targets.app.auth" {
        at.clear();
    }
    if ["certificate", "federated_token_file"].contains(&key) {
        // One way to sign in is taken.
        at.remove("client_secret");
    }
    at.insert(key.to_owned(), toml::Value::try_from(value).unwrap());
    if place == "targets.app.scope" && ["ou", "filter"].contains(&key) {
        // Not every source can answer that.
        document["targets"]["app"]["source"] = "corp".into();
    }
    if place == "targets.app.scope" && key == "assigned_to" {
        document["targets"]["app"]["source"] = "cloud".into();
    }
    write_and_load(folder, &document.to_string())
}

fn write_and_load(folder: &Path, text: &str) -> Config {
    let path = folder.join("config.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path).unwrap_or_else(|error| panic!("{}\n{text}", error.message))
}

/// Everything in a configuration but where in the file it stood.
fn contents(config: &Config) -> Vec<String> {
    let text = format!("{config:#?}");
    let lines = text.lines().filter(|line| !line.contains("span: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_default_is_what_the_parser_does_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let schema = schema::written();
    let base: toml::Table = BASE.parse().unwrap();
    let silent = contents(&write_and_load(folder.path(), &base.to_string()));
    let mut compared = 0;
    for table in Reference::of(&schema).tables {
        for (key, node) in &table.keys {
            let Some(default) = node.get("default") else {
                continue;
            };
            let written = contents(&load(folder.path(), &table.path, key, default));
            let differing: Vec<_> = written
                .iter()
                .zip(&silent)
                .filter(|(a, b)| a != b)
                .collect();
            assert!(
                differing.is_empty() && written.len() == silent.len(),
                "{}: {differing:?}",
                table.path_of(key)
            );
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn the_parser_takes_every_example() {
    let folder = tempfile::tempdir().unwrap();
    let schema = schema::written();
    for table in Reference::of(&schema).tables {
        for (key, node) in &table.keys {
            for example in examples(node) {
                load(folder.path(), &table.path, key, example);
            }
        }
        for example in examples(table.node) {
            let (parent, key) = table.path.rsplit_once('.').unwrap();
            let _ = load(folder.path(), parent, key, example);
        }
    }
}

#[test]
fn a_key_is_quoted_where_toml_would_take_it_apart() {
    assert_eq!(as_key("cost_center"), "cost_center");
    assert_eq!(as_key("name.givenName"), "\"name.givenName\"");
}
