//! CSV files as a source: one file of people, and the groups from a second file or a column.
//!
//! Rows are streamed; what is held per person is 24 bytes. A file that is not provably whole
//! is an error, never a shorter batch. One cut cannot be seen: a file that ends exactly after
//! the newline of a row is a good file with fewer rows. The engine's limits are what stands
//! between such a file and a mass deactivation; exports should be written beside the file
//! and moved over it.
//!
//! Must not interpret attributes; apart from ids, the active column and members, a cell is text.

mod columns;
mod config;
mod groups;
mod ids;
mod strict;
mod table;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::Sender;
use tokio::task;

use self::config::DEFAULT_ACTIVE_COLUMN;
use self::groups::Groups;
use self::table::{Table, count};
use self::users::Users;
use crate::question::Question;
use crate::source::{
    Batch, Change, Coverage, Kind, ReadRequest, Source, SourceError, SourceFacts, Warning,
};

pub use self::config::{CsvConfig, Delimiter, DelimiterError, FinalNewline};

/// How many records go into one chunk.
const CHUNK: usize = 1_000;

/// How many rows a check looks at.
const ROWS_CHECKED: usize = 1_000;

/// CSV files as a source.
pub struct CsvSource {
    files: Arc<Files>,
}

impl CsvSource {
    /// Takes relative paths from the folder `base`. Opens nothing yet.
    pub fn new(config: &CsvConfig, base: &Path) -> Self {
        Self {
            files: Arc::new(Files {
                users: base.join(&config.users),
                groups: config.groups.as_ref().map(|groups| base.join(groups)),
                config: config.clone(),
            }),
        }
    }

    /// Runs blocking work on the files off the async threads.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let files = Arc::clone(&self.files);
        match task::spawn_blocking(move || work(&files)).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => Err(SourceError::Abandoned),
            },
        }
    }
}

impl Source for CsvSource {
    fn attribute_names(
        &self,
    ) -> BoxFuture<'_, Result<BTreeMap<Kind, BTreeSet<String>>, SourceError>> {
        Box::pin(async move { Ok(self.run(Files::check).await?.attributes) })
    }

    fn check<'a>(
        &'a self,
        _questions: &'a BTreeSet<Question>,
    ) -> BoxFuture<'a, Result<SourceFacts, SourceError>> {
        Box::pin(self.run(Files::check))
    }

    fn read<'a>(
        &'a self,
        request: &'a ReadRequest,
        changes: Sender<Vec<Change>>,
    ) -> BoxFuture<'a, Result<Batch, SourceError>> {
        let request = request.clone();
        Box::pin(self.run(move |files| files.read(&request, Outbox::new(changes))))
    }
}

/// The files of one source, with their paths resolved.
struct Files {
    users: PathBuf,
    groups: Option<PathBuf>,
    config: CsvConfig,
}

impl Files {
    fn read(&self, request: &ReadRequest, mut outbox: Outbox) -> Result<Batch, SourceError> {
        let requested = request.attributes.as_ref();
        let (mut users, groups) = self.open(requested)?;
        while let Some(change) = users.next_change(request.unchanged.as_ref())? {
            outbox.push(change)?;
        }
        let mut warnings = Vec::new();
        // Whoever names a column expects it; only the default may silently be absent.
        let named = &self.config.active_column;
        let tells_lifecycle = users.has_active_column() || named.is_empty();
        if !tells_lifecycle && named != DEFAULT_ACTIVE_COLUMN {
            warnings.push(Warning(self.all_active()));
        }
        let users = users.finish()?;

        let mut coverage = BTreeMap::from([(Kind::User, Coverage::Complete)]);
        if let (Some(mut groups), Some(path)) = (groups, &self.groups) {
            let ids = Groups::open(path, &self.config, requested)?.read_ids()?;
            while let Some(change) = groups.next_change(&users.ids, &ids)? {
                outbox.push(change)?;
            }
            warnings.extend(groups.finish()?);
            coverage.insert(Kind::Group, Coverage::Complete);
        } else if self.config.group_column.is_some() {
            for change in groups::from_column(users.grouped, requested) {
                outbox.push(change)?;
            }
            coverage.insert(Kind::Group, Coverage::Complete);
        }
        // Last of all, so that people and groups are of one moment.
        users.table.check_unchanged()?;
        outbox.flush()?;
        Ok(Batch {
            coverage,
            tells_lifecycle,
            cursor: None,
            voided: false,
            unanswered: BTreeMap::new(),
            warnings,
        })
    }

    fn check(&self) -> Result<SourceFacts, SourceError> {
        let (mut users, groups) = self.open(None)?;
        let mut facts = SourceFacts {
            lines: Vec::new(),
            attributes: BTreeMap::from([(Kind::User, users.attribute_names())]),
        };
        let mut people = 0;
        let mut ended = false;
        while people < ROWS_CHECKED && !ended {
            match users.next_change(None)? {
                Some(_) => people += 1,
                None => ended = true,
            }
        }
        let columns = columns_line(users.table());
        let people = count(people, "person", "people");
        let more = if ended { "" } else { " or more" };
        facts.lines.push(format!("{columns}, {people}{more}"));
        if !users.has_active_column() && !self.config.active_column.is_empty() {
            facts.lines.push(self.all_active());
        }
        if ended {
            users.finish()?;
        }
        if let Some(mut groups) = groups {
            groups.check_rows(ROWS_CHECKED)?;
            facts.lines.push(columns_line(groups.table()));
            facts
                .attributes
                .insert(Kind::Group, groups.attribute_names());
        } else if let Some(column) = &self.config.group_column {
            facts
                .lines
                .push(format!("groups are named in the column `{column}`"));
            let names = BTreeSet::from([groups::DISPLAY_NAME.to_owned()]);
            facts.attributes.insert(Kind::Group, names);
        }
        Ok(facts)
    }

    fn all_active(&self) -> String {
        format!(
            "no column `{}` in {}: everyone in it counts as active",
            self.config.active_column,
            self.users.display()
        )
    }

    /// Opens every file and judges the headers, before a single record is sent.
    fn open(
        &self,
        requested: Option<&BTreeSet<String>>,
    ) -> Result<(Users<'_>, Option<Groups>), SourceError> {
        self.config.validate()?;
        let users = Users::new(
            Table::open(&self.users, &self.config)?,
            &self.config,
            requested,
        )?;
        let groups = match &self.groups {
            Some(path) => Some(Groups::open(path, &self.config, requested)?),
            None => None,
        };
        for name in &self.config.multi_valued {
            let tables = [Some(users.table()), groups.as_ref().map(Groups::table)];
            if !tables
                .iter()
                .flatten()
                .any(|table| table.header().contains(name))
            {
                return Err(SourceError::Configuration {
                    problem: format!(
                        "`multi_valued` names the column `{name}`, which {} does not have",
                        self.users.display()
                    ),
                });
            }
        }
        Ok((users, groups))
    }
}

/// Gathers changes and hands them on in chunks.
struct Outbox {
    changes: Sender<Vec<Change>>,
    chunk: Vec<Change>,
}

impl Outbox {
    fn new(changes: Sender<Vec<Change>>) -> Self {
        Self {
            changes,
            chunk: Vec::with_capacity(CHUNK),
        }
    }

    fn push(&mut self, change: Change) -> Result<(), SourceError> {
        self.chunk.push(change);
        if self.chunk.len() < CHUNK {
            return Ok(());
        }
        self.flush()?;
        self.chunk.reserve(CHUNK);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SourceError> {
        let chunk = mem::take(&mut self.chunk);
        if chunk.is_empty() {
            return Ok(());
        }
        self.changes
            .blocking_send(chunk)
            .map_err(|_| SourceError::Abandoned)
    }
}

fn columns_line(table: &Table) -> String {
    format!(
        "{} in {}",
        count(table.header().len(), "column", "columns"),
        table.name()
    )
}
