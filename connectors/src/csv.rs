//! CSV files as a source.
use crate::source::*;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tokio::sync::mpsc::Sender;
/// `[sources.NAME.csv]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// The people.
    pub users: std::path::PathBuf,
    /// The groups.
    #[serde(default)]
    pub groups: Option<std::path::PathBuf>,
}
/// CSV files as a source.
pub struct CsvSource {}
impl CsvSource {
    /// Builds it.
    pub fn new(_config: &CsvConfig, _base: &Path) -> Self {
        Self {}
    }
}
impl Source for CsvSource {
    fn check(&self) -> BoxFuture<'_, Result<SourceFacts, SourceError>> {
        unimplemented!()
    }
    fn read<'a>(
        &'a self,
        _request: &'a ReadRequest,
        _changes: Sender<Vec<Change>>,
    ) -> BoxFuture<'a, Result<Batch, SourceError>> {
        unimplemented!()
    }
}
