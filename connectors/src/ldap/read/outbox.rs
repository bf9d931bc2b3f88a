//! Changes on their way to the engine, in chunks.

use tokio::sync::mpsc::Sender;

use crate::source::{Change, SourceError};

/// How many records go into one chunk.
const CHUNK: usize = 1_000;

/// Gathers changes and hands them on in chunks.
pub(super) struct Outbox {
    changes: Sender<Vec<Change>>,
    chunk: Vec<Change>,
}

impl Outbox {
    pub(super) fn new(changes: Sender<Vec<Change>>) -> Self {
        Self {
            changes,
            chunk: Vec::with_capacity(CHUNK),
        }
    }

    pub(super) async fn push(&mut self, change: Change) -> Result<(), SourceError> {
        self.chunk.push(change);
        if self.chunk.len() < CHUNK {
            return Ok(());
        }
        self.flush().await
    }

    pub(super) async fn flush(&mut self) -> Result<(), SourceError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        let sent = self.changes.send(chunk).await;
        sent.map_err(|_| SourceError::Abandoned)
    }
}
