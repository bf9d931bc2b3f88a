//! The only file that names sled: trees of bytes, transactions over several of them, and a
//! flush that reaches the disk.
//!
//! sled 0.34.7 never calls fsync in its own flush and may panic while it opens a damaged
//! file; [`Database::flush`] adds the fsync, `open.rs` catches the panic. Iteration is
//! forward only: sled guesses the predecessor of a key and can guess wrong. Knows nothing
//! of what the bytes mean.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use ::sled::transaction::{
    ConflictableTransactionError, TransactionError, Transactional, TransactionalTree,
    UnabortableTransactionError,
};

use super::store::REMEDY;

/// sled's page cache. Its default of 1 GiB is more than the whole agent may use.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// For what is written and read once, from one end to the other: a larger one would only take
/// memory, several times its size.
const COPY_CACHE_BYTES: u64 = 4 * 1024 * 1024;
/// How often sled's own flusher runs. It is also the only caller of its log cleaner.
const FLUSH_EVERY_MS: u64 = 500;

/// An open database with a fixed list of trees, which callers name by their index.
pub(super) struct Database {
    trees: Vec<::sled::Tree>,
    database: ::sled::Db,
    path: PathBuf,
}

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// A transaction in progress. May run twice: nothing else may happen inside it.
pub(super) struct Transaction<'a> {
    trees: &'a [TransactionalTree],
}

/// What a transaction's body may end in: a conflict, sled's own failure, or a refusal of its own.
pub(super) type Body<T, E = Infallible> = Result<T, ConflictableTransactionError<E>>;

/// What a step inside a transaction may end in: a conflict, or sled's own failure.
pub(super) type Step<T> = Result<T, UnabortableTransactionError>;

/// Ends a transaction's body so that nothing of it happens.
pub(super) fn refuse<E>(error: E) -> ConflictableTransactionError<E> {
    ConflictableTransactionError::Abort(error)
}

/// Why the database refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// Another handle on the same files has not let go of them yet.
    #[error("the database files are in use")]
    Busy,
    /// The files are not a database any more.
    #[error("the database is damaged: {0}; {REMEDY}")]
    Damaged(String),
    /// The system refused: the disk is full, permission is missing.
    #[error("the database could not use its files")]
    Io(#[from] io::Error),
}

impl Database {
    /// Opens or creates the database in a directory. Panics on some damaged files.
    pub(super) fn open(path: &Path, trees: &[&str]) -> Result<Self, DatabaseError> {
        Self::open_with(path, trees, CACHE_BYTES)
    }

    /// The same, for whoever makes a copy of another one and uses it no further.
    pub(super) fn open_copy(path: &Path, trees: &[&str]) -> Result<Self, DatabaseError> {
        Self::open_with(path, trees, COPY_CACHE_BYTES)
    }

    fn open_with(path: &Path, trees: &[&str], cache_bytes: u64) -> Result<Self, DatabaseError> {
        let database = ::sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .open()?;
        let trees = trees
            .iter()
            .map(|name| database.open_tree(name))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            trees,
            database,
            path: path.to_owned(),
        })
    }

    /// The value of a key.
    pub(super) fn get(&self, tree: usize, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        Ok(self.trees[tree].get(key)?.map(|value| value.to_vec()))
    }

    /// Every pair from `from` (inclusive) up to `to` (exclusive; `None`: to the end), in the
    /// order of the keys.
    pub(super) fn range(
        &self,
        tree: usize,
        from: Vec<u8>,
        to: Option<Vec<u8>>,
    ) -> impl Iterator<Item = Result<Pair, DatabaseError>> + Send + use<> {
        let end = to.map_or(Bound::Unbounded, Bound::Excluded);
        self.trees[tree]
            .range((Bound::Included(from), end))
            .map(|pair| {
                let (key, value) = pair?;
                Ok((key.to_vec(), value.to_vec()))
            })
    }

    /// Runs `body` so that all of its writes happen, or none. Keep it at a few hundred keys.
    pub(super) fn transaction<T>(
        &self,
        body: impl Fn(&Transaction<'_>) -> Body<T>,
    ) -> Result<T, DatabaseError> {
        match self.transaction_unless(body)? {
            Ok(value) => Ok(value),
            Err(never) => match never {},
        }
    }

    /// As [`Database::transaction`]; none of the writes happen when `body` refuses.
    pub(super) fn transaction_unless<T, E>(
        &self,
        body: impl Fn(&Transaction<'_>) -> Body<T, E>,
    ) -> Result<Result<T, E>, DatabaseError> {
        let result = self
            .trees
            .as_slice()
            .transaction(|trees: &Vec<TransactionalTree>| body(&Transaction { trees }));
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(TransactionError::Storage(error)) => Err(error.into()),
            Err(TransactionError::Abort(error)) => Ok(Err(error)),
        }
    }

    /// The bytes that the files take.
    pub(super) fn size_on_disk(&self) -> Result<u64, DatabaseError> {
        Ok(self.database.size_on_disk()?)
    }

    /// Makes everything written so far survive a power cut.
    pub(super) fn flush(&self) -> Result<(), DatabaseError> {
        self.database.flush()?;
        // Values of a quarter of a segment and more live in files of their own, which sled
        // never syncs. There are usually none.
        let blobs = self.path.join("blobs");
        if blobs.is_dir() {
            for blob in fs::read_dir(&blobs)? {
                match File::open(blob?.path()) {
                    Ok(file) => file.sync_all()?,
                    // sled removes what was replaced while we look.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
            File::open(&blobs)?.sync_all()?;
        }
        // Also waits for the length of a file that grew; only its times are left out.
        File::open(self.path.join("db"))?.sync_data()?;
        Ok(())
    }
}

impl Transaction<'_> {
    /// The value of a key. Setting or removing the key later does not look for it again.
    pub(super) fn get(&self, tree: usize, key: &[u8]) -> Step<Option<Vec<u8>>> {
        let value = self.trees[tree].get(key)?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Sets a key and returns what it held.
    pub(super) fn put(&self, tree: usize, key: &[u8], value: &[u8]) -> Step<Option<Vec<u8>>> {
        let old = self.trees[tree].insert(key, value)?;
        Ok(old.map(|value| value.to_vec()))
    }

    /// Removes a key and returns what it held.
    pub(super) fn remove(&self, tree: usize, key: &[u8]) -> Step<Option<Vec<u8>>> {
        let old = self.trees[tree].remove(key)?;
        Ok(old.map(|value| value.to_vec()))
    }
}

impl From<::sled::Error> for DatabaseError {
    fn from(error: ::sled::Error) -> Self {
        match error {
            ::sled::Error::Io(error) if is_busy(&error) => Self::Busy,
            // sled wraps some findings of damage into an I/O error of these kinds.
            ::sled::Error::Io(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
                ) =>
            {
                Self::Damaged(error.to_string())
            }
            ::sled::Error::Io(error) => Self::Io(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// sled reports a lock that is still held as an error of kind `Other` around `WouldBlock`.
fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("WouldBlock")
}
