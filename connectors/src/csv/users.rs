//! The people of a CSV source: one row, one record.
//!
//! Holds nothing per person but what uniqueness and membership need. Must not decide what
//! happens to a person who is not active.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::{AttributeColumns, split};
use super::config::CsvConfig;
use super::ids::{Ids, IdsSeen};
use super::table::{Row, Table};
use crate::source::{Change, Kind, Lifecycle, Members, Record, SourceError, SourceId};
use crate::unchanged::{Content, Unchanged};

/// The users file while it is read.
pub(super) struct Users<'c> {
    table: Table,
    config: &'c CsvConfig,
    id: usize,
    active: Option<usize>,
    group: Option<usize>,
    attributes: AttributeColumns,
    seen: IdsSeen,
    grouped: Grouped,
    content: Content,
}

/// The users file after its last row.
pub(super) struct UsersRead {
    pub(super) table: Table,
    pub(super) ids: Ids,
    pub(super) grouped: Grouped,
}

/// The people in each group that `group_column` names.
pub(super) type Grouped = BTreeMap<String, Vec<SourceId>>;

impl<'c> Users<'c> {
    /// Finds the columns in the header.
    pub(super) fn new(
        table: Table,
        config: &'c CsvConfig,
        requested: Option<&BTreeSet<String>>,
    ) -> Result<Self, SourceError> {
        let id = table.required_column(&config.id_column, Some("id_column"))?;
        let active = if config.active_column.is_empty() {
            None
        } else {
            table.column(&config.active_column, Some("active_column"))?
        };
        let group = match &config.group_column {
            Some(name) => Some(table.required_column(name, Some("group_column"))?),
            None => None,
        };
        let several: Vec<&str> = config
            .multi_valued
            .iter()
            .chain(&config.group_column)
            .map(String::as_str)
            .filter(|name| *name != config.id_column)
            .collect();
        // The active column is the record's lifecycle, and no attribute beside it.
        let without: Vec<usize> = active.into_iter().collect();
        let attributes =
            AttributeColumns::new(&table, &without, requested, &several, config.separator);
        Ok(Self {
            table,
            config,
            id,
            active,
            group,
            attributes,
            seen: IdsSeen::default(),
            grouped: Grouped::new(),
            content: Content::default(),
        })
    }

    /// The file and its header.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// The names of the attributes that people get.
    pub(super) fn attribute_names(&self) -> BTreeSet<String> {
        self.attributes.names()
    }

    /// Whether the file says who is active.
    pub(super) fn has_active_column(&self) -> bool {
        self.active.is_some()
    }

    /// The next person who is not known to be unchanged, or `None` after the last row. Every
    /// row is checked all the same.
    pub(super) fn next_change(
        &mut self,
        unchanged: Option<&Unchanged>,
    ) -> Result<Option<Change>, SourceError> {
        while let Some(row) = self.table.next_row()? {
            let id = row.cell(self.id);
            if id.is_empty() {
                let problem = format!("the column `{}` is empty", self.config.id_column);
                return Err(row.malformed(problem));
            }
            let lifecycle = match self.active {
                Some(column) => lifecycle(&row, column, &self.config.active_column)?,
                None => Lifecycle::Active,
            };
            self.seen.insert(id, row.line);
            if let Some(column) = self.group {
                for name in split(row.cell(column), self.config.separator) {
                    let id = SourceId::new(id);
                    match self.grouped.get_mut(name) {
                        Some(members) => members.push(id),
                        None => {
                            self.grouped.insert(name.to_owned(), vec![id]);
                        }
                    }
                }
            }
            if let Some(unchanged) = unchanged {
                self.content.start(&lifecycle);
                self.attributes.write(&row, &mut self.content);
                if unchanged.confirms(id, &self.content) {
                    continue;
                }
            }
            return Ok(Some(Change::Upsert(Record {
                kind: Kind::User,
                id: SourceId::new(id),
                lifecycle,
                attributes: self.attributes.attributes(&row),
                members: Members::Complete(BTreeSet::new()),
            })));
        }
        Ok(None)
    }

    /// After the last row: no two people share an id.
    pub(super) fn finish(self) -> Result<UsersRead, SourceError> {
        match self.seen.finish() {
            Ok(ids) => Ok(UsersRead {
                table: self.table,
                ids,
                grouped: self.grouped,
            }),
            Err(duplicate) => Err(self.table.malformed(
                duplicate.again,
                format!(
                    "the `{}` of this row is already on line {}; no two people may share one",
                    self.config.id_column, duplicate.first
                ),
            )),
        }
    }
}

/// An empty or unknown word is an error and not `Active` nor `Disabled`: a column that is
/// half filled in says nothing about anyone.
fn lifecycle(row: &Row<'_>, column: usize, name: &str) -> Result<Lifecycle, SourceError> {
    let cell = row.cell(column);
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| cell.eq_ignore_ascii_case(word));
    if is_one_of(["true", "1", "yes"]) {
        return Ok(Lifecycle::Active);
    }
    if is_one_of(["false", "0", "no"]) {
        return Ok(Lifecycle::Disabled);
    }
    let given = if cell.is_empty() {
        "is empty"
    } else {
        "says something else"
    };
    Err(row.malformed(format!(
        "the column `{name}` must say true or false, 1 or 0, yes or no; it {given}"
    )))
}
