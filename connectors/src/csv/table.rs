//! One CSV file as a header and rows, each with the line that it starts on.
//!
//! Everything that is wrong with a file as a table is found here: encoding, quotes, the
//! header, the number of cells, a file that changes while it is read. Must not know what a
//! column means.

use std::fs::{self, File, Metadata};
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use csv::{ByteRecord, ErrorKind, ReaderBuilder, StringRecord, Terminator};

use super::config::{CsvConfig, Delimiter, FinalNewline};
use super::strict::Strict;
use crate::source::SourceError;

/// Large enough that a read of a big file is few system calls.
const BUFFER: usize = 256 * 1024;

/// An open file, after its header.
pub(super) struct Table {
    path: PathBuf,
    opened: Stamp,
    reader: csv::Reader<Strict<File>>,
    header: Vec<String>,
    header_line: u64,
    row: StringRecord,
}

/// One row: as many cells as the header has names.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// The line that the row starts on, from 1.
    pub(super) line: u64,
    path: &'a Path,
    cells: &'a StringRecord,
}

impl<'a> Row<'a> {
    /// The cell of a column, trimmed.
    pub(super) fn cell(&self, column: usize) -> &'a str {
        self.cells.get(column).unwrap_or_default().trim()
    }

    /// The file that the row is from.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// An error in this row.
    pub(super) fn malformed(&self, problem: impl Into<String>) -> SourceError {
        malformed(self.path, self.line, problem)
    }
}

impl Table {
    /// Opens the file and reads its header.
    pub(super) fn open(path: &Path, config: &CsvConfig) -> Result<Self, SourceError> {
        let (file, opened) = open(path).map_err(|source| SourceError::File {
            path: path.to_owned(),
            source,
        })?;
        let mut table = Self {
            path: path.to_owned(),
            opened,
            reader: reader(file, config.delimiter, config.final_newline),
            header: Vec::new(),
            header_line: 1,
            row: StringRecord::new(),
        };
        let Some(line) = table.advance()? else {
            return Err(table.malformed(
                1,
                "the file is empty; even a list of nobody starts with the names of its columns",
            ));
        };
        table.header_line = line;
        table.header = table
            .row
            .iter()
            .map(|name| name.trim().to_owned())
            .collect();
        table.check_header()?;
        Ok(table)
    }

    /// The next row, or `None` after the last one.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<'_>>, SourceError> {
        let Some(line) = self.advance()? else {
            return Ok(None);
        };
        if self.row.len() != self.header.len() {
            return Err(self.malformed(
                line,
                format!(
                    "{} where the header has {}; a cell that contains the delimiter must be \
                     quoted",
                    count(self.row.len(), "cell", "cells"),
                    count(self.header.len(), "column", "columns"),
                ),
            ));
        }
        Ok(Some(Row {
            line,
            path: &self.path,
            cells: &self.row,
        }))
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the columns, in the order of the file.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// Where a column stands. A name that differs only in case is an error and not an absent
    /// column: what hides behind it would silently be lost. `key` is the configuration's key
    /// that can name another column, if there is one.
    pub(super) fn column(
        &self,
        name: &str,
        key: Option<&str>,
    ) -> Result<Option<usize>, SourceError> {
        let position = self.header.iter().position(|column| column == name);
        if position.is_some() {
            return Ok(position);
        }
        let folded = name.to_lowercase();
        let alike = |column: &&String| column.to_lowercase() == folded;
        match self.header.iter().find(alike) {
            None => Ok(None),
            Some(alike) => Err(self.malformed(
                self.header_line,
                format!(
                    "no column `{name}`; did you mean `{alike}`? {}",
                    match key {
                        Some(key) => format!("Then set `{key} = \"{alike}\"`"),
                        None => "Then rename it".to_owned(),
                    }
                ),
            )),
        }
    }

    /// Where a column stands that has to be there.
    pub(super) fn required_column(
        &self,
        name: &str,
        key: Option<&str>,
    ) -> Result<usize, SourceError> {
        if let Some(position) = self.column(name, key)? {
            return Ok(position);
        }
        let columns = self.header.join("`, `");
        let advice = match (self.header.len(), key) {
            (1, _) => "; if they are divided by another character, set `delimiter`".to_owned(),
            (_, Some(key)) => format!("; `{key}` can name another one"),
            (_, None) => String::new(),
        };
        Err(self.malformed(
            self.header_line,
            format!("no column `{name}`; there are `{columns}`{advice}"),
        ))
    }

    /// An error on a line of this file.
    pub(super) fn malformed(&self, line: u64, problem: impl Into<String>) -> SourceError {
        malformed(&self.path, line, problem)
    }

    /// The file's name without its folder.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// To be called after the last row: the path must still lead to the file that was opened,
    /// unchanged and read to its end. A writer who is at work while we read leaves a mixture
    /// that no rule about rows can tell from a good file.
    pub(super) fn check_unchanged(&self) -> Result<(), SourceError> {
        let now = fs::metadata(&self.path).map(|metadata| Stamp::of(&metadata));
        let whole = self.reader.get_ref().bytes() == self.opened.length;
        match now {
            Ok(now) if now == self.opened && whole => Ok(()),
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SourceError::File {
                path: self.path.clone(),
                source,
            }),
            _ => Err(SourceError::Changed {
                path: self.path.clone(),
            }),
        }
    }

    /// Reads the next record that is not a blank line into `self.row`; gives its first line.
    fn advance(&mut self) -> Result<Option<u64>, SourceError> {
        let mut record: ByteRecord = mem::take(&mut self.row).into_byte_record();
        loop {
            match self.reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => return Err(self.failed(error)),
            }
            // A blank line of a file with CRLF; those of LF are skipped by the parser.
            if record.len() != 1 || record.get(0) != Some(b"\r") {
                break;
            }
        }
        // The parser stands at the start of the next line, because every row is terminated.
        // The position that it notes in the record lies before skipped blank lines.
        let inside = record
            .as_slice()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        let line = self.reader.position().line().saturating_sub(1 + inside);
        match StringRecord::from_byte_record(record) {
            Ok(row) => {
                self.row = row;
                Ok(Some(line))
            }
            Err(error) => {
                let column = error.utf8_error().field() + 1;
                Err(self.malformed(
                    line,
                    format!("cell {column} is not UTF-8; export the file as UTF-8"),
                ))
            }
        }
    }

    fn failed(&self, error: csv::Error) -> SourceError {
        if let Some(problem) = self.reader.get_ref().problem() {
            return self.malformed(problem.line, problem.text);
        }
        let source = match error.into_kind() {
            ErrorKind::Io(source) => source,
            // Rows of any length are asked for as bytes, so the parser has nothing else to say.
            other => io::Error::other(format!("{other:?}")),
        };
        SourceError::File {
            path: self.path.clone(),
            source,
        }
    }

    fn check_header(&self) -> Result<(), SourceError> {
        for (position, name) in self.header.iter().enumerate() {
            if name.is_empty() {
                return Err(self.malformed(
                    self.header_line,
                    format!("column {} of the header has no name", position + 1),
                ));
            }
            if self.header[..position].contains(name) {
                return Err(self.malformed(
                    self.header_line,
                    format!("the header names the column `{name}` twice"),
                ));
            }
        }
        Ok(())
    }
}

fn malformed(path: &Path, line: u64, problem: impl Into<String>) -> SourceError {
    SourceError::Malformed {
        path: path.to_owned(),
        line,
        problem: problem.into(),
    }
}

/// `1 cell`, `1,200 cells`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if number == 1 { one } else { many })
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Device and inode: a file moved over the old one may carry its length and time.
    #[cfg(unix)]
    node: (u64, u64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            node: (metadata.dev(), metadata.ino()),
        }
    }
}

fn open(path: &Path) -> io::Result<(File, Stamp)> {
    // Asked before opening: opening a pipe would wait for a writer, perhaps for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    Ok((file, stamp))
}

fn reader(
    file: File,
    delimiter: Delimiter,
    final_newline: FinalNewline,
) -> csv::Reader<Strict<File>> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter.byte())
        // A carriage return before the line feed is trimmed with the cell. The parser's own
        // CRLF mode takes a lone carriage return for a line and then counts lines wrongly.
        .terminator(Terminator::Any(b'\n'))
        .buffer_capacity(BUFFER)
        .from_reader(Strict::new(file, delimiter, final_newline))
}
