//! Every mistake shows its line, its column and what would be right; good files build what
//! they say.

mod built;
mod cookbook;
mod example;
mod mistakes;
mod reaching;

use super::document::Document;
use super::*;

const SOURCE: &str = "[sources.staff.csv]\nusers = \"people.csv\"\n";

/// A file with one source and these lines; they start at line 3.
fn load(text: &str) -> Result<Config, ConfigError> {
    load_raw(&format!("{SOURCE}{text}"))
}

fn load_raw(text: &str) -> Result<Config, ConfigError> {
    let document = Document::new(Path::new("config.toml"), text.to_owned());
    file::build(
        Path::new("/etc/provisor/config.toml"),
        document,
        Some(Path::new("/var/lib/elsewhere")),
    )
}

/// A sandbox target with these lines, which start at line 6, column 1.
fn demo(lines: &str) -> Result<Config, ConfigError> {
    load(&format!(
        "[targets.demo]\npreset = \"sandbox\"\nsource = \"staff\"\n{lines}"
    ))
}

/// A remote target with these lines, which start at line 6, column 1.
fn remote(lines: &str) -> Result<Config, ConfigError> {
    load(&format!(
        "[targets.app]\nsource = \"staff\"\nauth = {{ bearer = {{ env = \"T\" }} }}\n{lines}"
    ))
}

/// Asserts the place and that problem and hint are in the message.
#[track_caller]
fn assert_error(result: Result<Config, ConfigError>, line: usize, column: usize, parts: &[&str]) {
    let error = result.expect_err("a mistake");
    let message = &error.message;
    assert_eq!(
        (error.line, error.column),
        (Some(line), Some(column)),
        "{message}"
    );
    let place = format!("config.toml:{line}:{column}");
    for part in parts.iter().copied().chain([place.as_str(), "help: "]) {
        assert!(message.contains(part), "no {part:?} in\n{message}");
    }
    assert!(!message.contains('\u{1b}'), "{message}");
}
