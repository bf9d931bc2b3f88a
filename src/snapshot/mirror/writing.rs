//! A write on a thread of its own, so that the next one is put together meanwhile.
//!
//! What it writes is to be seen only once it was waited for. Knows nothing of what it writes.

use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use crate::snapshot::store::SnapshotError;

/// At most one write that is under way. Dropped, it is waited for.
#[derive(Default)]
pub(super) struct Writing(Option<JoinHandle<Result<(), SnapshotError>>>);

impl Writing {
    /// Starts the next write when the last one has ended, and tells what that one came to. Nothing is
    /// started after one that failed. Blocking.
    pub(super) fn start(
        &mut self,
        write: impl FnOnce() -> Result<(), SnapshotError> + Send + 'static,
    ) -> Result<(), SnapshotError> {
        self.wait()?;
        self.0 = Some(thread::spawn(write));
        Ok(())
    }

    /// Waits for what is under way, and tells what it came to. Blocking.
    pub(super) fn wait(&mut self) -> Result<(), SnapshotError> {
        let written = self.0.take().map(JoinHandle::join);
        // sled may have panicked: that is the read's end, as it would be on this thread.
        written.map_or(Ok(()), |it| it.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // What it came to is nobody's concern: it is discarded.
        if let Some(writing) = self.0.take() {
            let _ = writing.join();
        }
    }
}

/// What is said to make a test fail was tried.
#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    fn failing() -> Result<(), SnapshotError> {
        Err(SnapshotError::Staging {
            name: "hr".to_owned(),
        })
    }

    /// Fails when nobody asks what a write came to.
    #[test]
    fn a_write_that_failed_is_told_once_and_nothing_follows_it() {
        let mut writing = Writing::default();
        writing.start(failing).unwrap();
        assert!(writing.wait().is_err());
        writing.start(failing).unwrap();
        assert!(writing.start(|| unreachable!("started")).is_err());
        writing.start(|| Ok(())).unwrap();
        writing.wait().unwrap();
    }

    /// Fails without what is done when it is dropped.
    #[test]
    fn a_write_that_nobody_waited_for_is_waited_for() {
        let ended = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&ended);
        let mut writing = Writing::default();
        let write = move || {
            thread::sleep(Duration::from_millis(100));
            mark.store(true, Ordering::SeqCst);
            Ok(())
        };
        writing.start(write).unwrap();
        drop(writing);
        assert!(ended.load(Ordering::SeqCst));
    }
}
