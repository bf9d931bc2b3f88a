//! The file of `accounts apply`: rows by target, or what is wrong with the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};

use super::super::terminal::Stop;
use crate::config::Config;
use crate::cycle::accounts::{Row, Wish};
use crate::spelling;

/// Reads the rows that ask for something. A row without an action is passed over.
pub(super) fn read(path: &Path, config: &Config) -> Result<BTreeMap<String, Vec<Row>>, Stop> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read {}", super::shown(path)))
        .map_err(Stop::usage)?;
    rows(&text, config)
        .map_err(|(line, problem)| Stop::usage(anyhow!("{}:{line}: {problem}", super::shown(path))))
}

/// What is wrong, and in which line (from 1).
type Problem = (u64, String);

/// The rows that ask for something, by target; or the first line that is wrong, and why.
pub fn rows(text: &str, config: &Config) -> Result<BTreeMap<String, Vec<Row>>, Problem> {
    // Spreadsheets like to write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headers = reader
        .headers()
        .map_err(|error| problem_of(&error))?
        .clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let action = column("action").ok_or((1, "there is no column `action`".to_owned()))?;
    let source_id = column("source_id");
    let resource_id = column("resource_id");
    if source_id.is_none() && resource_id.is_none() {
        let problem = "there is neither a column `source_id` nor `resource_id`".to_owned();
        return Err((1, problem));
    }
    let (target, source) = (column("target"), column("source"));
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| problem_of(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |column: Option<usize>| {
            let value = record.get(column?)?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        let Some(word) = cell(Some(action)) else {
            continue;
        };
        let row = Row {
            line,
            wish: wish(&word).map_err(|problem| (line, problem))?,
            source: cell(source),
            source_id: cell(source_id),
            resource_id: cell(resource_id),
        };
        let name = match cell(target) {
            Some(name) => name,
            None => only_target(config).map_err(|problem| (line, problem))?,
        };
        if !config.targets.contains_key(&name) {
            return Err((line, format!("there is no target `{name}`")));
        }
        rows.entry(name).or_default().push(row);
    }
    Ok(rows)
}

fn wish(word: &str) -> Result<Wish, String> {
    if let Some(wish) = Wish::ALL.into_iter().find(|wish| wish.name() == word) {
        return Ok(wish);
    }
    let names = Wish::ALL.map(Wish::name);
    let hint = match spelling::closest(word, names) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("the actions are {}", names.join(", ")),
    };
    Err(format!("there is no action `{word}`; {hint}"))
}

fn only_target(config: &Config) -> Result<String, String> {
    let mut names = config.targets.keys();
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(name.clone()),
        _ => Err("there are several targets: say which in a column `target`".to_owned()),
    }
}

fn problem_of(error: &csv::Error) -> Problem {
    let line = error.position().map_or(1, csv::Position::line);
    let problem = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} cells, and the header has {expected_len}"),
        _ => "it cannot be read as CSV".to_owned(),
    };
    (line, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(targets: &[&str]) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provisor.toml");
        let mut text = "[sources.staff.csv]\nusers = \"people.csv\"\n".to_owned();
        for target in targets {
            text.push_str(&format!(
                "[targets.{target}]\npreset = \"sandbox\"\nsource = \"staff\"\n"
            ));
        }
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap()
    }

    #[test]
    fn rows_are_taken_by_target_and_those_without_an_action_are_passed_over() {
        let text = "\u{feff}action,target,name,source_id,resource_id\n\
                    link,wiki,Ana,1,r1\n,wiki,Bo,2,r2\nprotect,demo,,,r3\n";
        let rows = rows(text, &config(&["demo", "wiki"])).unwrap();
        assert_eq!(rows["demo"].len(), 1);
        let row = Row {
            line: 2,
            wish: Wish::Link,
            source: None,
            source_id: Some("1".to_owned()),
            resource_id: Some("r1".to_owned()),
        };
        assert_eq!(rows["wiki"], [row]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let table = [
            ("source_id\n1\n", 1, "no column `action`"),
            ("action,name\nlink,Ana\n", 1, "neither a column"),
            ("action,source_id\nlnk,1\n", 2, "did you mean `link`?"),
            ("action,source_id\n,1\nburn,1\n", 3, "the actions are link"),
            ("action,source_id\nlink,1,2\n", 2, "3 cells"),
            (
                "action,source_id,target\nlink,1,wikki\n",
                2,
                "no target `wikki`",
            ),
        ];
        for (text, line, part) in table {
            let (at, problem) = rows(text, &config(&["demo"])).unwrap_err();
            assert_eq!(at, line, "{text}");
            assert!(problem.contains(part), "{problem}");
        }
        let (_, problem) =
            rows("action,source_id\nlink,1\n", &config(&["demo", "wiki"])).unwrap_err();
        assert!(problem.contains("column `target`"), "{problem}");
    }
}
