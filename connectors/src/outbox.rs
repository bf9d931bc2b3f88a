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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::source::{Kind, SourceId};

    fn removal(number: usize) -> Change {
        Change::Removal(Kind::User, SourceId::new(number.to_string()))
    }

    /// How many have arrived so far, in each chunk.
    fn arrived(receiver: &mut Receiver<Vec<Change>>) -> Vec<usize> {
        std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|chunk| chunk.len())
            .collect()
    }

    #[tokio::test]
    async fn what_may_come_to_nothing_is_held_back_to_the_end() {
        let (sender, mut receiver) = channel(10);
        let mut outbox = Outbox::new(sender.clone());
        let mut holding = Outbox::holding(sender);
        for number in 0..CHUNK + 1 {
            holding.push(removal(number)).await.unwrap();
        }
        assert_eq!(arrived(&mut receiver), [0; 0]);
        for number in 0..CHUNK + 1 {
            outbox.push(removal(number)).await.unwrap();
        }
        assert_eq!(arrived(&mut receiver), [CHUNK]);
        outbox.flush().await.unwrap();
        assert_eq!(arrived(&mut receiver), [1]);
        holding.flush().await.unwrap();
        assert_eq!(arrived(&mut receiver), [CHUNK, 1]);
    }
}
