//! `docs/mapping.md`: every example is run, and every filter is named.

use std::collections::BTreeSet;

use provisor_connectors::{Attributes, Kind, SourceId, Value};

use super::*;
use crate::scope::Verdict;
use crate::template::Language;

const COOKBOOK: &str = include_str!("../../../docs/mapping.md");

/// The fenced blocks: language and text.
fn blocks() -> Vec<(&'static str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for line in COOKBOOK.lines() {
        match line.strip_prefix("```") {
            Some("") => open = false,
            Some(language) => {
                open = true;
                blocks.push((language, String::new()));
            }
            None if open => {
                if let Some((_, text)) = blocks.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            None => {}
        }
    }
    blocks
}

/// A record written as TOML.
fn record(text: &str) -> Attributes {
    fn values(value: &toml::Value) -> Vec<Value> {
        match value {
            toml::Value::String(text) => vec![Value::Text(text.clone())],
            toml::Value::Integer(number) => vec![Value::Integer(*number)],
            toml::Value::Boolean(flag) => vec![Value::Boolean(*flag)],
            toml::Value::Array(several) => several.iter().flat_map(values).collect(),
            other => panic!("{other} is no value"),
        }
    }
    let table: toml::Table = text.parse().expect(text);
    Attributes(
        table
            .iter()
            .map(|(name, found)| (name.clone(), values(found)))
            .collect(),
    )
}

#[test]
fn every_example_gives_what_it_says() {
    let mut target = None;
    let mut promises = 0;
    for (language, text) in blocks() {
        if language == "toml" {
            let config = demo(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
            target = Some(config.targets["demo"].target.clone());
            continue;
        }
        let target = target.as_ref().expect("a configuration above the record");
        let (promised, written): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("-> "));
        let attributes = record(&written.join("\n"));
        let mapped = target
            .mapping
            .apply(Kind::User, &SourceId::new("7"), &attributes);
        let verdict = target
            .scope
            .judge(&[], &[], &BTreeSet::new(), Some(&attributes));
        for promise in promised {
            promises += 1;
            let promise = promise.trim_start_matches("-> ");
            let kept = if let Some(part) = promise.strip_prefix("held: ") {
                mapped
                    .as_ref()
                    .is_err_and(|error| error.to_string().contains(part))
            } else if let Some(part) = promise.strip_prefix("unknown: ") {
                matches!(&verdict, Verdict::Unknown(why) if why.contains(part))
            } else if promise.ends_with(" scope") {
                let expected = match promise {
                    "in scope" => Verdict::In,
                    _ => Verdict::Out,
                };
                verdict == expected
            } else {
                let mapped = mapped.as_ref().unwrap_or_else(|error| panic!("{error}"));
                let mut lines: Vec<String> = mapped
                    .iter()
                    .map(|(path, value)| format!("{path} = {value}"))
                    .collect();
                match promise.strip_suffix(" = nothing") {
                    Some(path) => !lines.iter().any(|line| line.starts_with(path)),
                    None => {
                        lines.retain(|line| line == promise);
                        !lines.is_empty()
                    }
                }
            };
            assert!(kept, "{promise}: {mapped:?} {verdict:?}");
        }
    }
    assert!(promises > 20, "{promises}");
}

#[test]
fn every_word_of_the_language_is_in_the_cookbook() {
    let (_, all) = COOKBOOK.split_once("## All there is").unwrap();
    for word in Language::words() {
        let named = all.contains(&format!("`{word}`")) || all.contains(&format!("`{word}("));
        assert!(named, "{word}");
    }
}
