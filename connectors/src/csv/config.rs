//! `[sources.NAME.csv]`: which files, and how they are written.
//!
//! What can be judged from the keys alone is judged here, so that a wrong configuration is
//! refused before a file is opened. Must not touch the file system.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::source::SourceError;

/// The one active column that may be absent without a word.
pub(super) const DEFAULT_ACTIVE_COLUMN: &str = "active";

/// The keys of `[sources.NAME.csv]`. Only `users` is required; paths may be relative to the
/// folder of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// The people, one row each.
    pub users: PathBuf,
    /// The groups, one row each: `id`, `displayName`, `members` (user ids), `member_groups`
    /// (group ids). Excludes `group_column`.
    #[serde(default)]
    pub groups: Option<PathBuf>,
    /// The users column that never changes for a person. Default: `id`.
    #[serde(default = "default_id_column")]
    pub id_column: String,
    /// The users column that says who is active: true/false, 1/0 or yes/no in any case.
    /// A file that never had that column has only active people; one that loses it is not
    /// believed. Empty: there is no such column, and everyone is active. Default: `active`.
    #[serde(default = "default_active_column")]
    pub active_column: String,
    /// What stands between two cells. Default: a comma.
    #[serde(default)]
    pub delimiter: Delimiter,
    /// What stands between two values inside one cell. Default: a semicolon.
    #[serde(default = "default_separator")]
    pub separator: char,
    /// The columns, of either file, whose cells hold several values.
    #[serde(default)]
    pub multi_valued: Vec<String>,
    /// A users column whose cell names the groups that the person is in. Each distinct name
    /// is a group; the name is its id and its `displayName`. Excludes `groups`.
    #[serde(default)]
    pub group_column: Option<String>,
    /// Whether the last line must end in a newline. Default: required.
    #[serde(default)]
    pub final_newline: FinalNewline,
}

impl CsvConfig {
    /// People from this file, everything else as by default.
    pub fn new(users: impl Into<PathBuf>) -> Self {
        Self {
            users: users.into(),
            groups: None,
            id_column: default_id_column(),
            active_column: default_active_column(),
            delimiter: Delimiter::default(),
            separator: default_separator(),
            multi_valued: Vec::new(),
            group_column: None,
            final_newline: FinalNewline::default(),
        }
    }

    /// Refuses keys that contradict each other. Opens nothing.
    ///
    /// # Errors
    ///
    /// [`SourceError::Configuration`], naming the keys.
    pub fn validate(&self) -> Result<(), SourceError> {
        let refuse = |problem: String| Err(SourceError::Configuration { problem });
        if self.groups.is_some() && self.group_column.is_some() {
            return refuse(
                "`groups` and `group_column` are two answers to where the groups come from; \
                 keep one of them"
                    .to_owned(),
            );
        }
        if self.id_column == self.active_column {
            return refuse(format!(
                "`id_column` and `active_column` both name the column `{}`",
                self.id_column
            ));
        }
        if self.group_column.as_ref() == Some(&self.active_column) {
            return refuse(format!(
                "`group_column` and `active_column` both name the column `{}`",
                self.active_column
            ));
        }
        for column in &self.multi_valued {
            if *column == self.id_column || *column == self.active_column {
                return refuse(format!(
                    "`multi_valued` names the column `{column}`, which can only hold one value"
                ));
            }
        }
        Ok(())
    }
}

/// What stands between two cells: one ASCII character, neither a quote nor a line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "char", into = "char")]
pub struct Delimiter(u8);

impl Delimiter {
    /// The character as the byte that it is in UTF-8.
    pub fn byte(self) -> u8 {
        self.0
    }
}

impl Default for Delimiter {
    fn default() -> Self {
        Self(b',')
    }
}

impl TryFrom<char> for Delimiter {
    type Error = DelimiterError;

    fn try_from(character: char) -> Result<Self, Self::Error> {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(Self(byte)),
            _ => Err(DelimiterError),
        }
    }
}

impl From<Delimiter> for char {
    fn from(delimiter: Delimiter) -> Self {
        char::from(delimiter.0)
    }
}

/// The character cannot stand between two cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelimiterError;

impl fmt::Display for DelimiterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .write_str("a delimiter is one ASCII character, and neither a quote nor a line break")
    }
}

impl std::error::Error for DelimiterError {}

/// Whether a last line without a newline is taken for a file that was cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalNewline {
    /// It is an error: the export may have stopped inside that line.
    #[default]
    Required,
    /// It is read as it is, for exports that never write the last newline.
    Optional,
}

fn default_id_column() -> String {
    "id".to_owned()
}

fn default_active_column() -> String {
    DEFAULT_ACTIVE_COLUMN.to_owned()
}

fn default_separator() -> char {
    ';'
}
