//! What users read: every word that a plan shows can be looked up, and links lead somewhere.
//!
//! What the pages say is not judged here; `docs/mapping.md` and `docs/configuration.md` are
//! tested beside the code they are about.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use provisor::plan::action::{HeldReason, Limit, ListedReason, Reason};
use serde::de::DeserializeOwned;

const CONCEPTS: &str = include_str!("../../docs/concepts.md");

/// Every word of an enum as it is printed. The type itself says them when it meets another.
fn words_of<T: DeserializeOwned + std::fmt::Debug>() -> BTreeSet<String> {
    let error = serde_json::from_str::<T>("\"?\"").expect_err("no variant is called `?`");
    let message = error.to_string();
    let (_, expected) = message
        .split_once("expected ")
        .expect("serde says which variants there are");
    let words = expected.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

#[test]
fn every_reason_that_is_shown_can_be_looked_up() {
    let mut words = words_of::<Reason>();
    words.extend(words_of::<HeldReason>());
    words.extend(words_of::<ListedReason>());
    assert!(words.contains("NewInScope") && words.contains("ScopeUnknown"));
    let headings: BTreeSet<String> = headings(CONCEPTS).into_iter().collect();
    let missing: Vec<&String> = words
        .iter()
        .filter(|word| !headings.contains(&format!("`{word}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/concepts.md has no heading for {missing:?}: say what it means and what to do"
    );
}

#[test]
fn every_limit_is_explained() {
    for limit in Limit::ALL {
        let row = format!("| `{}` |", limit.name());
        assert!(CONCEPTS.contains(&row), "docs/concepts.md lacks {row}");
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut broken = BTreeMap::new();
    for page in pages() {
        let found = broken_links(&page, &fs::read_to_string(&page).unwrap());
        if !found.is_empty() {
            broken.insert(page, found);
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_link_to_nowhere_is_found() {
    let here = root().join("docs/concepts.md");
    let page = "# A page\n[good](mapping.md#templates) [itself](#a-page) [web](https://example.com)\n\
                ```\n# no heading, and [no link](nowhere.md)\n```\n`[code](nowhere.md)`\n\
                [file](nowhere.md) [heading](mapping.md#nowhere) [here](#no-heading)\n";
    assert_eq!(
        broken_links(&here, page),
        ["nowhere.md", "mapping.md#nowhere", "#no-heading"]
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages for people: those at the top, and those in `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in [root().to_owned(), root().join("docs")] {
        for entry in fs::read_dir(folder).expect("the folder is part of the repository") {
            let path = entry.expect("the folder can be read").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    assert!(pages.iter().any(|page| page.ends_with("README.md")));
    pages
}

/// The lines outside blocks of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

fn headings(page: &str) -> Vec<String> {
    prose(page)
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_owned())
        .collect()
}

/// The anchor that viewers of Markdown give each heading, numbered where it comes again.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for heading in headings(page) {
        let anchor: String = heading
            .to_lowercase()
            .chars()
            .filter(|each| each.is_alphanumeric() || [' ', '-', '_'].contains(each))
            .map(|each| if each == ' ' { '-' } else { each })
            .collect();
        let times = seen.entry(anchor.clone()).or_default();
        anchors.insert(match times {
            0 => anchor,
            _ => format!("{anchor}-{times}"),
        });
        *times += 1;
    }
    anchors
}

/// Where the links of a page lead. Code is no link.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(page) {
        // A link's text may be code; a whole link within code is not one.
        for (at, _) in line.match_indices("](") {
            if line[..at].matches('`').count() % 2 == 0 {
                let rest = &line[at + 2..];
                links.extend(rest.split_once(')').map(|(link, _)| link.to_owned()));
            }
        }
    }
    links
}

fn broken_links(here: &Path, page: &str) -> Vec<String> {
    let leads_nowhere = |link: &String| {
        if link.contains("://") || link.starts_with("mailto:") {
            return false;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let there = match file {
            "" => page.to_owned(),
            file => match fs::read_to_string(here.with_file_name(file)) {
                Ok(text) => text,
                Err(_) => return !here.with_file_name(file).is_dir(),
            },
        };
        !anchor.is_empty() && !anchors(&there).contains(anchor)
    };
    let links = links(page).into_iter();
    links.filter(leads_nowhere).collect()
}
