//! The sandbox's folder: a journal of changes, replayed at the start, and a log of requests.
//!
//! `resources.jsonl` has one change a line and is on the disk before a write is answered.
//! `requests.jsonl` has one request a line, in the order they were handled; it never holds
//! headers, so no token. One thread writes both and makes a whole queue durable at once.

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::SandboxError;
use super::state::{Change, State};

const RESOURCES: &str = "resources.jsonl";
const REQUESTS: &str = "requests.jsonl";

/// A journal with more lines than this for each resource is rewritten at the start.
const LINES_PER_RESOURCE: usize = 4;
/// A journal shorter than this is never rewritten.
const SMALL: usize = 1000;
/// The most records that are made durable at once.
const BATCH: usize = 256;

/// How long a folder in use is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// What one handled request leaves behind.
pub(super) struct Record {
    /// Durable before the answer.
    pub(super) changes: Vec<Change>,
    /// The request's line in the log, without its line break.
    pub(super) request: String,
    /// Told once everything is written.
    pub(super) written: oneshot::Sender<io::Result<()>>,
}

/// The writing thread. It ends once [`Journal::finish`] is called.
pub(super) struct Journal {
    queue: mpsc::Sender<Record>,
    thread: JoinHandle<()>,
}

/// What was found in the folder.
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) state: State,
    /// How many requests the log has.
    pub(super) requests: u64,
}

/// Opens the folder, creating it with mode 0700, replays its journal and starts the thread.
pub(super) fn open(folder: &Path) -> Result<Opened, SandboxError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SandboxError::State { path, source }
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed(folder))?;
    let lock_path = folder.join("lock");
    let lock = create_options()
        .open(&lock_path)
        .map_err(failed(&lock_path))?;
    if !take_lock(&lock).map_err(failed(&lock_path))? {
        return Err(SandboxError::InUse {
            path: folder.to_owned(),
        });
    }
    let path = folder.join(RESOURCES);
    let mut resources = create_options().open(&path).map_err(failed(&path))?;
    let (state, lines) = replay(&mut resources, &path)?;
    if lines > SMALL.max(state.len() * LINES_PER_RESOURCE) {
        resources = compact(folder, &path, &state).map_err(failed(&path))?;
    }
    let path = folder.join(REQUESTS);
    let mut requests = create_options().open(&path).map_err(failed(&path))?;
    let logged = drop_torn_line(&mut requests, &path, |_, _| Ok(())).map_err(failed(&path))?;
    // The folder's own names must survive too.
    sync_folder(folder).map_err(failed(folder))?;

    let (queue, records) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("sandbox-journal".to_owned())
        .spawn(move || {
            let _lock = lock;
            write_records(&records, &mut resources, &mut requests);
        })
        .map_err(failed(folder))?;
    Ok(Opened {
        journal: Journal { queue, thread },
        state,
        requests: u64::try_from(logged).unwrap_or(u64::MAX),
    })
}

impl Journal {
    /// Queues a record. Its `written` is dropped when the thread is gone.
    pub(super) fn append(&self, record: Record) {
        // A send error drops the record and with it `written`, which the caller hears of.
        let _ = self.queue.send(record);
    }

    /// Ends the thread once everything queued is written. Blocking.
    pub(super) fn finish(self) {
        drop(self.queue);
        // A panic in the thread has been reported by the panic hook already.
        let _ = self.thread.join();
    }
}

fn create_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options
}

/// Locks the folder. A killed process keeps its lock until its last write to the disk ends,
/// so a lock that is taken is tried again for a while.
fn take_lock(lock: &File) -> io::Result<bool> {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = LOCK_PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if left.is_zero() => return Ok(false),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(STEP);
                left = left.saturating_sub(STEP);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn replay(file: &mut File, path: &Path) -> Result<(State, usize), SandboxError> {
    let mut state = State::default();
    let mut damaged = None;
    let result = drop_torn_line(file, path, |number, line| {
        match serde_json::from_slice(line) {
            Ok(change) => state.apply(change),
            Err(source) => {
                damaged.get_or_insert((number, source));
            }
        }
        Ok(())
    });
    if let Some((line, source)) = damaged {
        return Err(SandboxError::Damaged {
            path: path.to_owned(),
            line,
            source,
        });
    }
    match result {
        Ok(lines) => Ok((state, lines)),
        Err(source) => Err(SandboxError::State {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads whole lines and cuts off a last one without its line break, which a crash leaves.
/// Returns how many lines there are.
fn drop_torn_line(
    file: &mut File,
    path: &Path,
    mut read: impl FnMut(usize, &[u8]) -> io::Result<()>,
) -> io::Result<usize> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(&*file);
    let mut line = Vec::new();
    let (mut lines, mut length) = (0, 0_u64);
    loop {
        line.clear();
        let read_bytes = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        lines += 1;
        length += u64::try_from(read_bytes).unwrap_or_default();
        read(lines, &line)?;
    }
    if !line.is_empty() {
        tracing::warn!(file = %path.display(), "dropping a torn last line");
        file.set_len(length)?;
        file.sync_all()?;
    }
    Ok(lines)
}

/// Rewrites the journal to what is alive: beside the old one, durably, then in its place.
fn compact(folder: &Path, path: &Path, state: &State) -> io::Result<File> {
    let new: PathBuf = folder.join("resources.jsonl.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_options().open(&new)?;
    let mut text = Vec::new();
    for change in state.snapshot() {
        write_line(&mut text, &change)?;
    }
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(folder)?;
    Ok(file)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn write_line(text: &mut Vec<u8>, change: &Change) -> io::Result<()> {
    serde_json::to_writer(&mut *text, change)?;
    text.push(b'\n');
    Ok(())
}

fn write_records(records: &mpsc::Receiver<Record>, resources: &mut File, requests: &mut File) {
    // After a failed write the file's end is unknown: nothing more is accepted, and the next
    // start drops the torn line.
    let mut failed = None;
    while let Ok(first) = records.recv() {
        let more = records.try_iter().take(BATCH - 1);
        let batch: Vec<Record> = std::iter::once(first).chain(more).collect();
        if failed.is_none() {
            failed = write_batch(&batch, resources, requests).err();
        }
        for record in batch {
            let answer = match &failed {
                None => Ok(()),
                Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            // Whoever asked may have gone.
            let _ = record.written.send(answer);
        }
    }
}

fn write_batch(batch: &[Record], resources: &mut File, requests: &mut File) -> io::Result<()> {
    let mut text = Vec::new();
    for change in batch.iter().flat_map(|record| &record.changes) {
        write_line(&mut text, change)?;
    }
    if !text.is_empty() {
        resources.write_all(&text)?;
        resources.sync_data()?;
    }
    let mut log = String::new();
    for record in batch {
        log.push_str(&record.request);
        log.push('\n');
    }
    requests.write_all(log.as_bytes())
}
