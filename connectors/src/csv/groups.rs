//! The groups of a CSV source: from a file of their own, or from a column of the people.
//!
//! The groups file is read twice: once for its ids, because a group may name another one
//! further down, and once for the records, so that only one group's members are held at a
//! time. Must not flatten nested groups; that is the engine's choice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::columns::{AttributeColumns, split};
use super::config::CsvConfig;
use super::ids::{Ids, IdsSeen};
use super::table::{Row, Table, count};
use super::users::Grouped;
use crate::source::{
    Attributes, Change, Kind, Lifecycle, MemberKey, Members, Record, SourceError, SourceId, Value,
    Warning,
};

/// The group attribute that every target shows.
pub(super) const DISPLAY_NAME: &str = "displayName";

/// Unknown members named one by one; more are only counted.
const WARNINGS: usize = 10;

/// The groups file while it is read for its records.
pub(super) struct Groups {
    table: Table,
    id: usize,
    members: usize,
    member_groups: Option<usize>,
    separator: char,
    attributes: AttributeColumns,
    warnings: Vec<Warning>,
    unknown: usize,
}

impl Groups {
    /// Opens the file and finds the columns in its header.
    pub(super) fn open(
        path: &Path,
        config: &CsvConfig,
        requested: Option<&BTreeSet<String>>,
    ) -> Result<Self, SourceError> {
        let table = Table::open(path, config)?;
        let id = table.required_column("id", None)?;
        // Without it every group would count as empty, and everyone would lose membership.
        let members = table.required_column("members", None)?;
        let member_groups = table.column("member_groups", None)?;
        let without: Vec<usize> = [members].into_iter().chain(member_groups).collect();
        let several: Vec<&str> = config
            .multi_valued
            .iter()
            .map(String::as_str)
            .filter(|name| *name != "id")
            .collect();
        let attributes =
            AttributeColumns::new(&table, &without, requested, &several, config.separator);
        Ok(Self {
            table,
            id,
            members,
            member_groups,
            separator: config.separator,
            attributes,
            warnings: Vec::new(),
            unknown: 0,
        })
    }

    /// The file and its header.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// The names of the attributes that groups get.
    pub(super) fn attribute_names(&self) -> BTreeSet<String> {
        self.attributes.names()
    }

    /// Looks at the first rows without giving records.
    pub(super) fn check_rows(&mut self, limit: usize) -> Result<(), SourceError> {
        for _ in 0..limit {
            let Some(row) = self.table.next_row()? else {
                break;
            };
            group_id(&row, self.id)?;
        }
        Ok(())
    }

    /// Reads the file to its end for the ids of the groups; no two may share one.
    pub(super) fn read_ids(mut self) -> Result<Ids, SourceError> {
        let mut seen = IdsSeen::default();
        while let Some(row) = self.table.next_row()? {
            seen.insert(group_id(&row, self.id)?, row.line);
        }
        self.table.check_unchanged()?;
        seen.finish().map_err(|duplicate| {
            self.table.malformed(
                duplicate.again,
                format!(
                    "the `id` of this row is already on line {}; no two groups may share one",
                    duplicate.first
                ),
            )
        })
    }

    /// The next group, or `None` after the last one. A member that is neither among `users`
    /// nor `groups` references nobody: it is left out and becomes a warning.
    pub(super) fn next_change(
        &mut self,
        users: &Ids,
        groups: &Ids,
    ) -> Result<Option<Change>, SourceError> {
        let Some(row) = self.table.next_row()? else {
            return Ok(None);
        };
        let id = group_id(&row, self.id)?;
        let mut members = BTreeSet::new();
        let columns = [
            (Kind::User, Some(self.members), users),
            (Kind::Group, self.member_groups, groups),
        ];
        for (kind, column, known) in columns {
            let cell = column.map_or("", |column| row.cell(column));
            for member in split(cell, self.separator) {
                if known.contains(member) {
                    members.insert(MemberKey {
                        kind,
                        id: SourceId::new(member),
                    });
                    continue;
                }
                if self.unknown < WARNINGS {
                    self.warnings.push(Warning(format!(
                        "{}:{}: the group `{id}` names the {kind} `{member}`, whom no row \
                         describes; left out",
                        row.path().display(),
                        row.line,
                    )));
                }
                self.unknown += 1;
            }
        }
        Ok(Some(Change::Upsert(Record {
            kind: Kind::Group,
            id: SourceId::new(id),
            lifecycle: Lifecycle::Active,
            attributes: self.attributes.attributes(&row),
            members: Members::Complete(members),
        })))
    }

    /// After the last row: what an operator should see.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, SourceError> {
        self.table.check_unchanged()?;
        if let Some(more) = self.unknown.checked_sub(WARNINGS).filter(|more| *more > 0) {
            self.warnings.push(Warning(format!(
                "{}: {} left out besides",
                self.table.path().display(),
                count(more, "unknown member", "unknown members"),
            )));
        }
        Ok(self.warnings)
    }
}

/// The groups that a column of the people names: the name is id and `displayName`.
pub(super) fn from_column(
    grouped: Grouped,
    requested: Option<&BTreeSet<String>>,
) -> impl Iterator<Item = Change> {
    let named = requested.is_none_or(|requested| requested.contains(DISPLAY_NAME));
    grouped.into_iter().map(move |(name, people)| {
        let mut attributes = BTreeMap::new();
        if named {
            attributes.insert(DISPLAY_NAME.to_owned(), vec![Value::Text(name.clone())]);
        }
        let members = people.into_iter().map(|id| MemberKey {
            kind: Kind::User,
            id,
        });
        Change::Upsert(Record {
            kind: Kind::Group,
            id: SourceId::new(name),
            lifecycle: Lifecycle::Active,
            attributes: Attributes(attributes),
            members: Members::Complete(members.collect()),
        })
    })
}

fn group_id<'a>(row: &Row<'a>, column: usize) -> Result<&'a str, SourceError> {
    let id = row.cell(column);
    if id.is_empty() {
        return Err(row.malformed("the column `id` is empty"));
    }
    Ok(id)
}
