//! The configuration file's text: turns byte ranges into places, and mistakes into errors
//! that show the line.
//!
//! Lines that could hold a secret somebody typed in are never shown, only their place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::ConfigError;
use super::explain::explain;

/// One configuration file, as read.
#[derive(Clone)]
pub(super) struct Document {
    path: PathBuf,
    text: String,
}

/// Does not print the text: it may hold what nobody should have written there.
impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Document")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|error| {
            let hint = if error.kind() == std::io::ErrorKind::NotFound {
                "name another file with `--config` or `$PROVISOR_CONFIG`; config.example.toml is a \
                 good start"
            } else {
                "the file must be readable by the user that runs provisor"
            };
            without_place(path, &format!("cannot read the file: {error}"), hint)
        })?;
        let text = String::from_utf8(bytes).map_err(|_| {
            without_place(
                path,
                "the file is not UTF-8",
                "TOML is always UTF-8; save it with that encoding",
            )
        })?;
        Ok(Self::new(path, text))
    }

    /// A text that was read from this file.
    pub(super) fn new(path: &Path, text: String) -> Self {
        Self {
            path: path.to_owned(),
            text,
        }
    }

    /// The whole text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A mistake in this range. `help` says what would be right.
    pub(super) fn error(&self, span: Range<usize>, problem: &str, help: &str) -> ConfigError {
        let span = self.first_line_of(span);
        let (line, column) = self.place(span.start);
        let name = self.path.display().to_string();
        let title = Level::ERROR.primary_title(problem);
        let shown = if self.may_hold_a_secret(&span) {
            title.element(Origin::path(name).line(line).char_column(column))
        } else {
            title.element(
                Snippet::source(&self.text)
                    .path(name)
                    .annotation(AnnotationKind::Primary.span(span)),
            )
        };
        let mut report = vec![shown];
        if !help.is_empty() {
            report.push(Group::with_title(Level::HELP.secondary_title(help)));
        }
        ConfigError {
            message: Renderer::plain().render(&report),
            line: Some(line),
            column: Some(column),
        }
    }

    /// The place of a part of a text's value, where `span` is the text with its quotation
    /// marks. The whole text where it has escapes, which make the two differ.
    pub(super) fn inside(&self, span: Range<usize>, part: Range<usize>) -> Range<usize> {
        let Some(written) = self.text.get(span.clone()) else {
            return span;
        };
        let marks = ["\"\"\"", "'''", "\"", "'"];
        let Some(mark) = marks.into_iter().find(|mark| written.starts_with(mark)) else {
            return span;
        };
        let literal = mark.starts_with('\'');
        let mut start = mark.len();
        if mark.len() == 3 {
            // A line break right behind the opening marks is not part of the text.
            let rest = &written[start..];
            let after = rest.strip_prefix('\r').unwrap_or(rest);
            let after = after.strip_prefix('\n').unwrap_or(rest);
            start = written.len() - after.len();
        }
        let before = written.get(start..start + part.end);
        match before {
            Some(before) if literal || !before.contains('\\') => {
                span.start + start + part.start..span.start + start + part.end
            }
            _ => span,
        }
    }

    /// A mistake of the file as a whole.
    pub(super) fn error_without_place(&self, problem: &str, help: &str) -> ConfigError {
        without_place(&self.path, problem, help)
    }

    /// What TOML or serde did not like.
    pub(super) fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let hidden = self.may_hold_a_secret(&self.first_line_of(span.clone()));
        let (problem, help) = explain(error.message(), hidden);
        self.error(span, &problem, &help)
    }

    /// Something to say about a place although it is no mistake.
    pub(super) fn warning(&self, span: Range<usize>, text: &str) -> String {
        let (line, column) = self.place(span.start);
        format!("{}:{line}:{column}: {text}", self.path.display())
    }

    /// Line and column, both from 1, the column in characters.
    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The part of a range that is on its first line: a table's range can be a screenful.
    fn first_line_of(&self, span: Range<usize>) -> Range<usize> {
        let start = span.start.min(self.text.len());
        let end = span.end.clamp(start, self.text.len());
        match self.text.get(start..end).and_then(|text| text.find('\n')) {
            Some(length) => start..start + length,
            None => start..end,
        }
    }

    /// Whether the line, or the table it stands in, is about signing in.
    fn may_hold_a_secret(&self, span: &Range<usize>) -> bool {
        const PARTS: [&str; 5] = ["bearer", "password", "secret", "token", "credential"];
        const WORDS: [&str; 4] = ["auth", "basic", "header", "value"];
        let about = |line: &str| {
            let line = line.to_lowercase();
            let user_in_url = line
                .split_once("://")
                .is_some_and(|(_, rest)| rest.contains('@'));
            user_in_url
                || PARTS.iter().any(|part| line.contains(part))
                || line
                    .split(|c: char| !c.is_alphanumeric())
                    .any(|word| WORDS.contains(&word))
        };
        let Some(before) = self.text.get(..span.start) else {
            return true;
        };
        // A mapping's keys have `.value` in them and are never secret.
        let about = |line: &str| about(&line.replace("].value", "]"));
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        if about(line) {
            return true;
        }
        // Above it: the table's header, or the start of an inline table still open here.
        let mut open = 0_i64;
        for above in before[..line_start].lines().rev() {
            for character in above.chars() {
                match character {
                    '{' => open += 1,
                    '}' => open -= 1,
                    _ => {}
                }
            }
            let header = above.trim_start().starts_with('[');
            if (header || open > 0) && about(above) {
                return true;
            }
            if header {
                return false;
            }
        }
        false
    }
}

fn without_place(path: &Path, problem: &str, help: &str) -> ConfigError {
    let mut lines = help.lines();
    let mut help = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        help.push('\n');
        if !line.is_empty() {
            help.push_str("      ");
            help.push_str(line);
        }
    }
    ConfigError {
        message: format!("error: {problem}\n --> {}\nhelp: {help}", path.display()),
        line: None,
        column: None,
    }
}
