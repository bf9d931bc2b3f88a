//! Holds the layers apart: who may import whom, and what may be named where.
//!
//! Every rule is a function over (path, text) that returns what it found, so that each can
//! be shown to fail on a bad sample. Tests are exempt: they may reach for anything.

mod code;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use code::{files_under, mentions, production_code, sources, test_modules};

/// What each part of `src/` may import of the others. A part may always import itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("spelling", &[]),
    ("text", &[]),
    ("scim", &["text"]),
    ("template", &["spelling", "text"]),
    ("mapping", &["scim", "spelling", "template", "text"]),
    ("scope", &["scim", "template"]),
    (
        "plan",
        &[
            "scim",
            "mapping",
            "scope",
            "snapshot::link",
            "target::profile",
            "text",
        ],
    ),
    ("target", &["scim", "text"]),
    ("snapshot", &["scim", "target::dialect"]),
    ("audit", &[]),
    ("apply", &["plan", "target", "snapshot", "audit", "scim"]),
    (
        "cycle",
        &[
            "apply", "audit", "mapping", "plan", "scim", "scope", "snapshot", "spelling", "target",
            "text",
        ],
    ),
    (
        "config",
        &[
            "cycle", "mapping", "plan", "scim", "scope", "spelling", "target", "template", "text",
        ],
    ),
    ("sandbox", &["scim"]),
    ("telemetry", &[]),
];
/// Parts that decide without doing.
const PURE: &[&str] = &[
    "spelling", "text", "scim", "template", "mapping", "scope", "plan",
];
/// What the pure parts must not name.
const IMPURE: &[&str] = &[
    "async",
    "await",
    "tokio",
    "reqwest",
    "std::fs",
    "std::net",
    "std::env",
    "Utc::now",
    "Local::now",
    "Instant::now",
    "fastrand",
];
/// What of the connectors is not a plain value.
const DOING: &[&str] = &[
    "Source",
    "SourceConfig",
    "SourceError",
    "csv",
    "ldap",
    "presets",
];
/// Outside systems, besides those that have a preset.
const VENDORS: &[&str] = &[
    "okta",
    "entra",
    "ldap",
    "azure",
    "keycloak",
    "onelogin",
    "gitguardian",
];
const PRINTING: &[&str] = &[
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "stdout()",
    "stderr()",
];

#[test]
fn layers_import_only_what_they_may() {
    let found = check_every_file(wrong_imports);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn pure_parts_name_no_io_no_clock_and_no_async() {
    let found = check_every_file(|path, text| match PURE.contains(&layer(path)) {
        true => names(text, IMPURE),
        false => Vec::new(),
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_engine_names_no_vendor() {
    let vendors = vendors();
    let found = check_every_file(|_, text| vendor_words(text, &vendors));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_command_line_knows_previews_prints_and_uses_anyhow() {
    let found = check_every_file(|path, text| match layer(path) {
        "cli" => Vec::new(),
        // Logs go to stderr, and this is where that is said.
        "telemetry" => names(text, &["dry_run", "anyhow"]),
        _ => names(text, &[&["dry_run", "anyhow"], PRINTING].concat()),
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn one_file_names_the_database() {
    let found = check_every_file(|_, text| names_database(text));
    let files: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(files, BTreeSet::from(["snapshot/sled.rs"]));
}

#[test]
fn no_module_hides_in_a_mod_rs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "connectors/src", "tests/it"] {
        for file in files_under(&root.join(folder)) {
            assert_ne!(file.file_name().unwrap(), "mod.rs", "{}", file.display());
        }
    }
}

#[test]
fn every_part_is_in_the_table() {
    let known: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    for path in sources().keys() {
        let layer = layer(path);
        assert!(
            known.contains(layer) || ["cli", "daemon", "lib", "main"].contains(&layer),
            "{path} belongs to no layer; say in the table what it may import"
        );
    }
}

#[test]
fn every_dependency_has_a_sentence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("the file is there");
    let explained = read("ARCHITECTURE.md");
    for manifest in ["Cargo.toml", "connectors/Cargo.toml"] {
        let unexplained = without_sentence(&read(manifest), &explained);
        assert!(unexplained.is_empty(), "{manifest}: {unexplained:?}");
    }
}

/// The rules themselves: each must find what it is for.
#[test]
fn each_rule_can_fail() {
    assert_eq!(
        wrong_imports("scim/path.rs", "use crate::plan::action;"),
        ["plan::action"]
    );
    assert_eq!(
        wrong_imports("scim.rs", "use provisor_connectors::Kind;"),
        ["connectors Kind"]
    );
    assert_eq!(
        wrong_imports(
            "plan.rs",
            "use crate::{\n scim::path,\n snapshot::{link::Link, Store},\n};"
        ),
        ["snapshot::Store"]
    );
    assert_eq!(
        wrong_imports("plan/order.rs", "super::super::apply::run()"),
        ["apply::run"]
    );
    assert_eq!(
        wrong_imports("target/client.rs", "provisor_connectors::{Kind, Record}"),
        ["connectors Record"]
    );
    assert_eq!(
        wrong_imports("mapping.rs", "use provisor_connectors::{Kind, Source};"),
        ["connectors Source"]
    );
    assert_eq!(
        wrong_imports("plan.rs", "use super::scim::path; use crate::plan::action;"),
        [""; 0]
    );

    assert_eq!(names("let now = Utc::now();", IMPURE), ["Utc::now"]);
    assert_eq!(names("asynchronous(); // tokio", IMPURE), [""; 0]);
    assert_eq!(
        names("struct Options { dry_run: bool }", &["dry_run"]),
        ["dry_run"]
    );
    assert_eq!(names("println!(\"x\")", PRINTING), ["println!"]);

    let vendors = vendors();
    assert_eq!(
        vendor_words("if preset == \"Okta-org\" {}", &vendors),
        ["okta"]
    );
    assert_eq!(vendor_words("let central = oktal;", &vendors), [""; 0]);

    assert_eq!(names_database("let tree: ::sled::Tree;"), ["sled::"]);
    assert_eq!(
        names_database("use super::sled::Tables; mod sled;"),
        [""; 0]
    );

    assert_eq!(
        without_sentence(
            "[dependencies]\na = \"1\"\nb.workspace = true",
            "| `b` | why |"
        ),
        ["a"]
    );

    let code = "use a; // why crate::b\n/// crate::c\n#[cfg(test)]\nmod tests {\n  crate::d\n}\n";
    assert_eq!(production_code(code), "use a; \n\n");
    assert_eq!(
        test_modules("#[cfg(test)]\npub(super) mod samples;\nmod real;"),
        ["samples"]
    );
}

/// Runs a rule over every file of `src/` and keeps what it found.
fn check_every_file(rule: impl Fn(&str, &str) -> Vec<String>) -> BTreeMap<String, Vec<String>> {
    sources()
        .into_iter()
        .map(|(path, text)| {
            let found = rule(&path, &text);
            (path, found)
        })
        .filter(|(_, found)| !found.is_empty())
        .collect()
}

fn layer(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or(path)
}

fn wrong_imports(path: &str, code: &str) -> Vec<String> {
    let layer = layer(path);
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return Vec::new();
    };
    let depth = path.trim_end_matches(".rs").split('/').count();
    let mut mentioned = mentions(code, "crate::");
    let to_the_root = "super::".repeat(depth);
    mentioned.extend(mentions(code, &to_the_root));
    let may = |path: &str| {
        let under = |part: &str| path == part || path.starts_with(&format!("{part}::"));
        under(layer) || allowed.iter().any(|part| under(part))
    };
    let mut wrong: Vec<String> = mentioned.into_iter().filter(|path| !may(path)).collect();
    for name in mentions(code, "provisor_connectors::") {
        let first = name.split("::").next().unwrap_or(&name);
        let fine = match layer {
            "scim" | "spelling" | "telemetry" | "sandbox" => false,
            // Secrets of sources and targets are one type, and so is when to try again.
            "target" => ["Kind", "retry", "secret"].contains(&first),
            "cycle" | "config" => true,
            _ => !DOING.contains(&first),
        };
        if !fine {
            wrong.push(format!("connectors {name}"));
        }
    }
    wrong
}

/// Which of these words stand in the code, as words of their own.
fn names(code: &str, words: &[&str]) -> Vec<String> {
    let code = production_code(code);
    let in_word = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    let stands_alone = |word: &&&str| {
        code.match_indices(**word).any(|(position, _)| {
            !in_word(code[..position].chars().next_back())
                && !in_word(code[position + word.len()..].chars().next())
        })
    };
    words
        .iter()
        .filter(stands_alone)
        .map(|word| (*word).to_owned())
        .collect()
}

fn names_database(code: &str) -> Vec<String> {
    let ours = ["super::", "self::", "snapshot::"];
    let outside = |position: usize| {
        let before = &code[..position];
        !ours.iter().any(|path| before.ends_with(path))
            && !before.ends_with(|before: char| before.is_alphanumeric() || before == '_')
    };
    code.match_indices("sled::")
        .filter(|(position, _)| outside(*position))
        .map(|(_, text)| text.to_owned())
        .take(1)
        .collect()
}

/// Everything with a preset, and more.
fn vendors() -> BTreeSet<String> {
    let presets = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/targets");
    let named: Vec<String> = fs::read_dir(presets)
        .expect("there are presets")
        .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .filter(|name| !["generic", "sandbox"].contains(&name.as_str()))
        .collect();
    VENDORS
        .iter()
        .map(|name| (*name).to_owned())
        .chain(named)
        .collect()
}

fn vendor_words(code: &str, vendors: &BTreeSet<String>) -> Vec<String> {
    let words: BTreeSet<String> = code
        .split(|character: char| !character.is_alphanumeric())
        .map(str::to_lowercase)
        .collect();
    vendors.intersection(&words).cloned().collect()
}

/// Dependencies of a manifest that have no row in the table of `ARCHITECTURE.md`.
fn without_sentence(manifest: &str, explained: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let named = |row: &str, name: &str| {
        row.split('|')
            .nth(1)
            .is_some_and(|crates| crates.contains(&format!("`{name}`")))
    };
    ["dependencies", "dev-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(toml::Table::keys)
        .filter(|name| *name != "provisor-connectors")
        .filter(|name| !explained.lines().any(|row| named(row, name)))
        .cloned()
        .collect()
}
