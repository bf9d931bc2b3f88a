//! Which columns of a file become attributes of a record, and how a cell becomes values.
//!
//! Decided once per file, so that a row costs no look-up by name. Must not know which
//! columns have a meaning of their own; the caller leaves those out.

use std::collections::BTreeSet;

use super::table::{Row, Table};
use crate::source::{Attributes, Value};
use crate::unchanged::Content;

/// The columns kept, in the order of their names, which is the order of [`Attributes`].
pub(super) struct AttributeColumns {
    kept: Vec<Kept>,
    separator: char,
}

struct Kept {
    name: String,
    position: usize,
    several: bool,
}

impl AttributeColumns {
    /// Takes the columns of `table` that are not at one of the positions `without`, and of
    /// those the requested ones (`None`: all). Cells of the columns in `several` are split.
    pub(super) fn new(
        table: &Table,
        without: &[usize],
        requested: Option<&BTreeSet<String>>,
        several: &[&str],
        separator: char,
    ) -> Self {
        let mut kept: Vec<Kept> = table
            .header()
            .iter()
            .enumerate()
            .filter(|(position, name)| {
                !without.contains(position)
                    && requested.is_none_or(|requested| requested.contains(*name))
            })
            .map(|(position, name)| Kept {
                name: name.clone(),
                position,
                several: several.contains(&name.as_str()),
            })
            .collect();
        kept.sort_by(|left, right| left.name.cmp(&right.name));
        Self { kept, separator }
    }

    /// The names of the attributes that these columns give.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.kept.iter().map(|column| column.name.clone()).collect()
    }

    /// The attributes of one row. An empty cell gives none.
    pub(super) fn attributes(&self, row: &Row<'_>) -> Attributes {
        let present = self.kept.iter().filter_map(|column| {
            let cell = row.cell(column.position);
            if cell.is_empty() {
                return None;
            }
            let values: Vec<Value> = if column.several {
                split(cell, self.separator).map(text).collect()
            } else {
                vec![text(cell)]
            };
            (!values.is_empty()).then(|| (column.name.clone(), values))
        });
        Attributes(present.collect())
    }

    /// Writes down what [`AttributeColumns::attributes`] would give, without building it.
    pub(super) fn write(&self, row: &Row<'_>, content: &mut Content) {
        for column in &self.kept {
            let cell = row.cell(column.position);
            if !column.several {
                if !cell.is_empty() {
                    content.attribute(&column.name);
                    content.text(cell);
                }
                continue;
            }
            for (position, value) in split(cell, self.separator).enumerate() {
                if position == 0 {
                    content.attribute(&column.name);
                }
                content.text(value);
            }
        }
    }
}

/// The values in one cell: trimmed, without empty ones.
pub(super) fn split(cell: &str, separator: char) -> impl Iterator<Item = &str> {
    cell.split(separator)
        .map(str::trim)
        .filter(|value| !value.is_empty())
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}
