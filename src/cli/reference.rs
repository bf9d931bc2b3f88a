//! The configuration reference as Markdown, made from the schema that editors use, so that
//! the two cannot say different things.
//!
//! Knows the keywords that our own schema uses and no others: it is not a general printer of
//! JSON Schema. What only a validator needs (`if`, `not`, patterns) is said in descriptions.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::schema::{self, resolve};

const INTRO: &str = include_str!("reference/intro.md");

/// The whole page.
pub(super) fn reference() -> String {
    let schema = schema::written();
    let reference = Reference::of(&schema);
    let mut page = INTRO.to_owned();
    reference.contents(&mut page);
    for table in &reference.tables {
        reference.table(&mut page, table);
    }
    reference.values(&mut page);
    page
}

/// One table of the configuration.
#[derive(Debug)]
struct Table<'a> {
    /// Where it stands: `targets.NAME.scope`; empty for the top of the file.
    path: String,
    node: &'a Value,
    /// Of the table, and of the table of tables that it is in.
    descriptions: Vec<&'a str>,
    /// Its keys, but for those that are tables themselves; in the order of their names.
    keys: Vec<(&'a str, &'a Value)>,
}

impl Table<'_> {
    /// As TOML writes it.
    fn heading(&self) -> String {
        match self.path.as_str() {
            "" => "The top of the file".to_owned(),
            path => format!("`[{path}]`"),
        }
    }

    /// Where a key of this table stands.
    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

struct Reference<'a> {
    definitions: &'a Value,
    tables: Vec<Table<'a>>,
}

impl<'a> Reference<'a> {
    fn of(schema: &'a Value) -> Self {
        let mut reference = Self {
            definitions: &schema["definitions"],
            tables: Vec::new(),
        };
        reference.collect(String::new(), schema, Vec::new());
        reference
    }

    /// Notes a table, and after it the tables within.
    fn collect(&mut self, path: String, node: &'a Value, mut descriptions: Vec<&'a str>) {
        let definition = resolve(node, self.definitions);
        let (inner, keys) = properties(definition)
            .into_iter()
            .partition(|(_, each)| self.is_table(each));
        let any = &definition["additionalProperties"];
        descriptions.extend(description(node).or_else(|| description(definition)));
        let below = |key: &str| match path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        let inner: Vec<(&str, &Value)> = inner;
        if self.is_table(any) {
            return self.collect(below("NAME"), any, descriptions);
        }
        let paths: Vec<String> = inner.iter().map(|(key, _)| below(key)).collect();
        self.tables.push(Table {
            path,
            node: definition,
            descriptions,
            keys,
        });
        for (path, (_, each)) in paths.into_iter().zip(inner) {
            self.collect(path, each, Vec::new());
        }
    }

    /// Whether a value is written as a table with a heading. Objects with a title are values,
    /// such as a secret.
    fn is_table(&self, node: &Value) -> bool {
        let definition = resolve(node, self.definitions);
        definition["type"] == "object" && definition["title"].is_null()
    }

    fn contents(&self, page: &mut String) {
        page.push_str("\n| table | keys |\n| --- | --- |\n");
        for table in &self.tables {
            let keys: Vec<String> = table
                .keys
                .iter()
                .map(|(key, _)| format!("[`{key}`](#{})", anchor(&table.path_of(key))))
                .collect();
            let heading = table.heading();
            let _ = writeln!(
                page,
                "| [{heading}](#{}) | {} |",
                anchor(&heading),
                keys.join(", ")
            );
        }
    }

    fn table(&self, page: &mut String, table: &Table<'_>) {
        let _ = writeln!(page, "\n## {}", table.heading());
        for description in &table.descriptions {
            let _ = writeln!(page, "\n{description}");
        }
        let any = &table.node["additionalProperties"];
        if any.is_object() {
            let _ = writeln!(page, "\nAny key; its value: {}.", self.kind(any));
        }
        for example in examples(table.node) {
            let lines: Vec<String> = map(example)
                .iter()
                .map(|(key, value)| format!("{} = {}", as_key(key), as_toml(value)))
                .collect();
            let _ = writeln!(
                page,
                "\n```toml\n[{}]\n{}\n```",
                table.path,
                lines.join("\n")
            );
        }
        let required = table.node["required"].as_array();
        for (key, node) in &table.keys {
            let required = required.is_some_and(|keys| keys.iter().any(|each| each == key));
            self.key(page, table, key, node, required);
        }
    }

    fn key(&self, page: &mut String, table: &Table<'_>, key: &str, node: &Value, required: bool) {
        let _ = writeln!(page, "\n### `{}`", table.path_of(key));
        let _ = write!(page, "\n*Value:* {}", self.kind(node));
        if required {
            page.push_str("; required");
        }
        if let Some(default) = node.get("default") {
            let _ = write!(page, "; default `{}`", as_toml(default));
        }
        page.push('\n');
        let definition = resolve(node, self.definitions);
        if let Some(description) = description(node).or_else(|| description(definition)) {
            let _ = writeln!(page, "\n{description}");
        }
        let lines: Vec<String> = examples(node)
            .iter()
            .map(|example| format!("{key} = {}", as_toml(example)))
            .collect();
        if !lines.is_empty() {
            let _ = writeln!(page, "\n```toml\n{}\n```", lines.join("\n# or\n"));
        }
    }

    /// What may be written, in words.
    fn kind(&self, node: &Value) -> String {
        let definition = resolve(node, self.definitions);
        if let Some(title) = definition["title"].as_str() {
            let word = title.to_lowercase();
            return match description(definition) {
                Some(_) => format!("[{word}](#{})", anchor(title)),
                None => word,
            };
        }
        if let Some(value) = definition.get("const") {
            return format!("`{}`", as_toml(value));
        }
        if let Some(values) = definition["enum"].as_array() {
            let words: Vec<String> = values
                .iter()
                .map(|value| format!("`{}`", as_toml(value)))
                .collect();
            return words.join(" or ");
        }
        if let Some(forms) = definition["anyOf"].as_array() {
            let words: Vec<String> = forms.iter().map(|form| self.kind(form)).collect();
            return words.join(" or ");
        }
        match definition["type"].as_str() {
            Some("string") => "text".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("integer") => format!("whole number{}", range(definition)),
            Some("number") => format!("number{}", range(definition)),
            Some("array") => format!("list of {}", self.kind(&definition["items"])),
            Some("object") => "table".to_owned(),
            _ => "anything".to_owned(),
        }
    }

    /// The kinds of values that have a name.
    fn values(&self, page: &mut String) {
        page.push_str("\n## Values\n");
        for (_, definition) in map(self.definitions) {
            let (Some(title), Some(text)) = (definition["title"].as_str(), description(definition))
            else {
                continue;
            };
            let _ = writeln!(page, "\n### {title}\n\n{text}");
            let words: Vec<String> = examples(definition)
                .iter()
                .map(|example| format!("`{}`", as_toml(example)))
                .collect();
            if !words.is_empty() {
                let _ = writeln!(page, "\nFor example {}.", words.join(", "));
            }
        }
    }
}

/// The range of a number, where it has one.
fn range(definition: &Value) -> String {
    let above = definition.get("exclusiveMinimum");
    match (definition.get("minimum"), definition.get("maximum"), above) {
        (Some(least), Some(most), _) => format!(" from {least} to {most}"),
        (Some(least), None, _) => format!(" from {least}"),
        (None, _, Some(bound)) => format!(" above {bound}"),
        (None, _, None) => String::new(),
    }
}

/// In the order of their names, whatever order the map keeps.
fn map(node: &Value) -> Vec<(&str, &Value)> {
    let entries = node.as_object().into_iter().flat_map(Map::iter);
    let mut entries: Vec<(&str, &Value)> =
        entries.map(|(key, node)| (key.as_str(), node)).collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

fn properties(definition: &Value) -> Vec<(&str, &Value)> {
    map(&definition["properties"])
}

fn description(node: &Value) -> Option<&str> {
    node["description"].as_str()
}

fn examples(node: &Value) -> &[Value] {
    node["examples"].as_array().map_or(&[], Vec::as_slice)
}

/// A value as it is written behind `=`.
fn as_toml(value: &Value) -> String {
    let value = toml::Value::try_from(value).expect("the schema's values are TOML's, and tested");
    value.to_string()
}

/// A key as it is written before `=`: quoted where TOML would read more into it.
fn as_key(key: &str) -> String {
    let bare = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if key.chars().all(bare) {
        key.to_owned()
    } else {
        as_toml(&Value::from(key))
    }
}

/// The anchor that Markdown's viewers give a heading.
fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter_map(|character| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ => character.is_alphanumeric().then_some(character),
    });
    kept.collect()
}

#[cfg(test)]
mod tests;
