//! Changes on their way to the engine, in chunks.

use tokio::sync::mpsc::Sender;

use crate::source::{Change, SourceError};

/// How many records go into one chunk.
const CHUNK: usize = 1_000;

/// Gathers changes and hands them on in chunks.
pub(crate) struct Outbox {
    changes: Sender<Vec<Change>>,
    chunk: Vec<Change>,
    /// How many are gathered before they are handed on.
    most: usize,
}

impl Outbox {
    pub(crate) fn new(changes: Sender<Vec<Change>>) -> Self {
        Self {
            changes,
            chunk: Vec::with_capacity(CHUNK),
            most: CHUNK,
        }
    }

    /// One that hands on nothing before [`Outbox::flush`]: for what may come to nothing.
    pub(crate) fn holding(changes: Sender<Vec<Change>>) -> Self {
        Self {
            most: usize::MAX,
            ..Self::new(changes)
        }
    }

    pub(crate) async fn push(&mut self, change: Change) -> Result<(), SourceError> {
        self.chunk.push(change);
        if self.chunk.len() < self.most {
            return Ok(());
        }
        self.flush().await
    }

    pub(crate) async fn flush(&mut self) -> Result<(), SourceError> {
        let mut rest = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(CHUNK));
            let sent = self.changes.send(rest).await;
            sent.map_err(|_| SourceError::Abandoned)?;
            rest = later;
        }
        Ok(())
    }
}
