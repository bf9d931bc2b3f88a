//! Opening a database that may be missing, damaged or older than it should be.
//!
//! Nothing is ever deleted here: what cannot be used is set aside under another name, and a
//! new database takes its place. Whoever opened is told, because an empty snapshot must not
//! be read as "everything is new".

use std::cell::Cell;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::thread;
use std::time::Duration;

use super::compact;
use super::generation::{GenerationFile, Recorded};
use super::lock::io_error;
use super::sled::{Database, DatabaseError};
use super::store::{Condition, SnapshotError};
use super::table::{self, Described, Tables};

/// How often and how long to wait for a handle of this process that is just being dropped.
const TRIES: usize = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// An opened database.
pub(super) struct Ready {
    /// Its tables.
    pub(super) tables: Box<Tables>,
    /// The generation of its last flush, or of the lost one's.
    pub(super) flushed: u64,
    /// Where flushes are recorded.
    pub(super) generation_file: GenerationFile,
    /// What was found.
    pub(super) condition: Condition,
}

/// Opens or creates the database in a state directory whose lock is held.
pub(super) fn open(
    state_dir: &Path,
    audit_generation: Option<u64>,
) -> Result<Ready, SnapshotError> {
    let path = state_dir.join("db");
    let (generation_file, recorded) = GenerationFile::open(state_dir)?;
    let in_file = match recorded {
        Recorded::Generation(generation) => Some(generation),
        Recorded::Nothing | Recorded::Unreadable => None,
    };
    // The oldest that an intact database can be.
    let floor = in_file.max(audit_generation);

    compact::finish_interrupted(&path)?;
    let problem = if !path.exists() {
        if floor.is_none() && recorded == Recorded::Nothing {
            let tables = create(&path)?;
            return Ok(Ready {
                tables,
                flushed: 0,
                generation_file,
                condition: Condition::New,
            });
        }
        "the database is missing".to_owned()
    } else {
        match examine(&path, floor)? {
            Found::Empty(database) if floor.is_none() && recorded == Recorded::Nothing => {
                let tables = Tables::create(database)?;
                return Ok(Ready {
                    tables,
                    flushed: 0,
                    generation_file,
                    condition: Condition::New,
                });
            }
            Found::Empty(database) => {
                drop(database);
                "the database is empty".to_owned()
            }
            Found::Good(tables, _)
                if recorded != Recorded::Unreadable && compact::is_due(&tables)? =>
            {
                let (tables, flushed) = compact::compact(&path, tables, floor)?;
                return Ok(Ready {
                    tables,
                    flushed,
                    generation_file,
                    condition: Condition::Intact,
                });
            }
            Found::Good(tables, flushed) if recorded != Recorded::Unreadable => {
                return Ok(Ready {
                    tables,
                    flushed,
                    generation_file,
                    condition: Condition::Intact,
                });
            }
            Found::Good(tables, _) => {
                drop(tables);
                "the file `generation`, which tells its age, cannot be read".to_owned()
            }
            Found::Bad(problem) => problem,
        }
    };
    let text = match set_aside(&path)? {
        Some(aside) => {
            let name = aside.file_name().unwrap_or_default().to_string_lossy();
            // What was set aside because nobody knows its age is no younger when it is recovered.
            let recovered = match recorded {
                Recorded::Unreadable => None,
                Recorded::Nothing | Recorded::Generation(_) => recover(&aside, &path, floor)?,
            };
            match recovered {
                Some((tables, flushed)) => {
                    tracing::warn!(kept = %name, "the snapshot was recovered from its log");
                    return Ok(Ready {
                        tables,
                        flushed,
                        generation_file,
                        condition: Condition::Intact,
                    });
                }
                None => format!("{problem}; what was there is kept in {name}"),
            }
        }
        None => problem,
    };
    // Generations go on from the lost ones. Until the first flush names a higher one, every
    // opening finds the snapshot lost again: a crash before the loss is noted in it must not
    // make an empty database look intact.
    let flushed = floor.unwrap_or(1);
    generation_file.record(flushed)?;
    let tables = create(&path)?;
    Ok(Ready {
        tables,
        flushed,
        generation_file,
        condition: Condition::Lost(text),
    })
}

/// What a database directory turned out to be.
pub(super) enum Found {
    /// Nothing at all.
    Empty(Database),
    /// A store, and the generation of its last flush.
    Good(Box<Tables>, u64),
    /// Not to be used, and why.
    Bad(String),
}

/// Opens what is there and judges it. An error is something that setting the database aside
/// would not cure, such as a full disk or a newer format.
pub(super) fn examine(path: &Path, floor: Option<u64>) -> Result<Found, SnapshotError> {
    remove_half_written_snapshots(path)?;
    for _ in 0..TRIES {
        let described = guarded(|| {
            let database = Database::open(path, &table::tree_names());
            database.map(Tables::read)
        });
        return Ok(match described {
            None => Found::Bad("the database is damaged: it could not be opened".to_owned()),
            Some(Err(DatabaseError::Busy)) => {
                thread::sleep(PAUSE);
                continue;
            }
            Some(Err(DatabaseError::Damaged(problem))) => {
                Found::Bad(format!("the database is damaged: {problem}"))
            }
            Some(Err(error @ DatabaseError::Io(_))) => return Err(table::refused("open")(error)),
            Some(Ok(Err(newer @ SnapshotError::Newer { .. }))) => return Err(newer),
            // Their remedy is what is about to be done.
            Some(Ok(Err(SnapshotError::Value { what, problem }))) => Found::Bad(format!(
                "the database is damaged: a {what} cannot be read: {problem}"
            )),
            Some(Ok(Err(error))) => Found::Bad(format!("the database is damaged: {error}")),
            Some(Ok(Ok(Described::Empty(database)))) => Found::Empty(database),
            Some(Ok(Ok(Described::Tables(tables, flushed)))) => match floor {
                Some(floor) if flushed < floor => Found::Bad(format!(
                    "the database is older than it should be (flush {flushed}, and flush \
                     {floor} was recorded)"
                )),
                _ => Found::Good(tables, flushed),
            },
        });
    }
    Err(table::refused("open")(DatabaseError::Busy))
}

fn create(path: &Path) -> Result<Box<Tables>, SnapshotError> {
    let database = Database::open(path, &table::tree_names()).map_err(table::refused("open"))?;
    Tables::create(database)
}

/// sled's snapshots only shorten its recovery; a damaged one makes it refuse a log that is
/// whole. Tries the log alone, on a copy, and trusts it only if every sum is right.
fn recover(
    aside: &Path,
    path: &Path,
    floor: Option<u64>,
) -> Result<Option<(Box<Tables>, u64)>, SnapshotError> {
    let files = files_of(aside)?;
    if !files.iter().any(|file| is_snapshot(file)) {
        return Ok(None);
    }
    fs::create_dir(path).map_err(io_error("create", path))?;
    for file in files.iter().filter(|file| !is_snapshot(file)) {
        if let Some(name) = file.file_name()
            && file.is_file()
        {
            let copy = path.join(name);
            fs::copy(file, &copy).map_err(io_error("write", &copy))?;
        }
    }
    let blobs = aside.join("blobs");
    if blobs.is_dir() {
        let copies = path.join("blobs");
        fs::create_dir_all(&copies).map_err(io_error("create", &copies))?;
        for blob in files_of(&blobs)? {
            if let Some(name) = blob.file_name() {
                let copy = copies.join(name);
                fs::copy(&blob, &copy).map_err(io_error("write", &copy))?;
            }
        }
    }
    if let Ok(Found::Good(tables, flushed)) = examine(path, floor)
        && guarded(|| tables.verify().is_ok()) == Some(true)
    {
        return Ok(Some((tables, flushed)));
    }
    // Only our own copy: the original is in `aside`.
    fs::remove_dir_all(path).map_err(io_error("remove", path))?;
    Ok(None)
}

/// Renames the database out of the way, if there is one, to the first free name.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, SnapshotError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut number = 1_u32;
    let aside = loop {
        let name = path.with_file_name(format!("db.damaged-{number}"));
        if !name.exists() {
            break name;
        }
        number += 1;
    };
    fs::rename(path, &aside).map_err(io_error("rename", path))?;
    Ok(Some(aside))
}

/// sled does not open beside a snapshot that it was killed while writing, and never needs it.
fn remove_half_written_snapshots(path: &Path) -> Result<(), SnapshotError> {
    for file in files_of(path)? {
        if is_snapshot(&file) && file.extension().is_some_and(|end| end == "generating") {
            fs::remove_file(&file).map_err(io_error("remove", &file))?;
        }
    }
    Ok(())
}

fn is_snapshot(file: &Path) -> bool {
    file.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("snap."))
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let mut files = fs::read_dir(folder)
        .and_then(|listing| {
            listing
                .map(|file| file.map(|file| file.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(io_error("read", folder))?;
    files.sort();
    Ok(files)
}

thread_local! {
    /// True while this thread expects a panic and turns it into an error.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic on damaged files; `None` when it did. The panic is not printed: it
/// is reported as what it means. Its message is not kept: it may quote the file.
pub(super) fn guarded<T>(body: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            if !EXPECTED.get() {
                previous(information);
            }
        }));
    });
    EXPECTED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    EXPECTED.set(false);
    result.ok()
}
