//! Giving space back: sled never does, so a database grown far beyond what it holds is copied
//! while it is opened, before anyone uses it.
//!
//! The copy is checked before it takes the place of the original, and at every instant one of
//! the two is whole and found by the next opening. A compaction that fails changes nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::lock::io_error;
use super::open::{self, Found};
use super::sled::Database;
use super::store::SnapshotError;
use super::table::{self, Described, Tables};

/// Below this many bytes on disk it is never worth it.
const SMALLEST: u64 = 256 * 1024 * 1024;
/// A fresh database takes about twice its content, one in steady use up to five times.
const TIMES: u64 = 6;

/// Whether the files take far more than they hold.
pub(super) fn is_due(tables: &Tables) -> Result<bool, SnapshotError> {
    let (live, on_disk) = tables.sizes()?;
    Ok(on_disk > SMALLEST && on_disk / TIMES > live)
}

/// Replaces the database by a copy without the dead space, and opens that. Opens the
/// original again when the copy could not be made.
pub(super) fn compact(
    path: &Path,
    tables: Box<Tables>,
    floor: Option<u64>,
) -> Result<(Box<Tables>, u64), SnapshotError> {
    let copied = copy(&copy_of(path), &tables);
    drop(tables);
    match copied {
        Ok(()) => exchange(path)?,
        Err(error) => {
            tracing::warn!(%error, "the snapshot could not be compacted");
            finish_interrupted(path)?;
        }
    }
    match open::examine(path, floor)? {
        Found::Good(tables, flushed) => Ok((tables, flushed)),
        Found::Empty(_) | Found::Bad(_) => Err(SnapshotError::Value {
            what: "database",
            problem: "it could not be opened again after it was compacted".to_owned(),
        }),
    }
}

/// Brings a compaction that was interrupted to one of its two ends.
pub(super) fn finish_interrupted(path: &Path) -> Result<(), SnapshotError> {
    let (copy, original) = (copy_of(path), original_of(path));
    if original.exists() {
        if path.exists() {
            remove(&original)?;
        } else {
            rename(&original, path)?;
        }
    }
    if copy.exists() {
        remove(&copy)?;
    }
    Ok(())
}

fn copy(to: &Path, tables: &Tables) -> Result<(), SnapshotError> {
    let database = Database::open_copy(to, &table::tree_names());
    let database = database.map_err(table::refused("compact"))?;
    tables.copy_to(&database)?;
    match Tables::read(database)? {
        // The counts and sums were copied with the rest: what is damaged does not pass for whole.
        Described::Tables(copied, _) => copied.verify(),
        Described::Empty(_) => Err(SnapshotError::Value {
            what: "database",
            problem: "its copy is empty".to_owned(),
        }),
    }
}

fn exchange(path: &Path) -> Result<(), SnapshotError> {
    let original = original_of(path);
    rename(path, &original)?;
    rename(&copy_of(path), path)?;
    remove(&original)
}

fn copy_of(path: &Path) -> PathBuf {
    path.with_file_name("db.compacting")
}

fn original_of(path: &Path) -> PathBuf {
    path.with_file_name("db.before-compaction")
}

/// Renames durably.
fn rename(from: &Path, to: &Path) -> Result<(), SnapshotError> {
    fs::rename(from, to).map_err(io_error("rename", from))?;
    let folder = to.parent().unwrap_or(to);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error("sync", folder))
}

fn remove(folder: &Path) -> Result<(), SnapshotError> {
    fs::remove_dir_all(folder).map_err(io_error("remove", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::key;
    use crate::snapshot::table::{Table, Writes};

    fn write(tables: &Tables, round: u32) {
        for number in 0..200_u32 {
            let key = key::text(&number.to_string());
            let value = format!("{round} {number}").repeat(20).into_bytes();
            let writes = Writes::from([((Table::Open, key), Some(value))]);
            tables.writer().apply(&writes).unwrap();
        }
    }

    fn grown(path: &Path) -> Box<Tables> {
        grown_from(Database::open(path, &table::tree_names()).unwrap())
    }

    fn grown_from(database: Database) -> Box<Tables> {
        let tables = Tables::create(database).unwrap();
        for round in 0..30 {
            write(&tables, round);
        }
        tables.flush(7).unwrap();
        tables
    }

    fn content(tables: &Tables) -> Vec<(Vec<u8>, Vec<u8>)> {
        tables
            .prefix(Table::Open, &[])
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn a_compacted_database_holds_the_same_in_less_space() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let tables = grown(&path);
        let before = content(&tables);
        let (live, on_disk) = tables.sizes().unwrap();
        let digest = tables.digest(&[b"ana"]);

        let (tables, flushed) = compact(&path, tables, Some(7)).unwrap();
        assert_eq!(flushed, 7);
        assert_eq!(content(&tables), before);
        assert_eq!(tables.digest(&[b"ana"]), digest, "the state key came along");
        let after = tables.sizes().unwrap();
        assert_eq!(after.0, live);
        assert!(after.1 < on_disk, "{} is not less than {on_disk}", after.1);
        tables.verify().unwrap();
        assert!(!original_of(&path).exists() && !copy_of(&path).exists());
    }

    /// Fails when the copy takes the place of the original unchecked: it has fewer bytes.
    #[test]
    fn what_holds_more_than_it_should_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let database = Database::open(&path, &table::tree_names()).unwrap();
        database
            .transaction(|transaction| {
                transaction.put(Table::Open as usize, b"nobody wrote this", b"down")?;
                Ok(())
            })
            .unwrap();
        let tables = grown_from(database);
        let (_, on_disk) = tables.sizes().unwrap();

        let (tables, _) = compact(&path, tables, Some(7)).unwrap();
        assert!(tables.verify().is_err());
        assert!(tables.sizes().unwrap().1 >= on_disk);
        assert!(!original_of(&path).exists() && !copy_of(&path).exists());
    }

    #[test]
    fn an_interrupted_compaction_loses_nothing() {
        for renamed in [0, 1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("db");
            let tables = grown(&path);
            let before = content(&tables);
            copy(&copy_of(&path), &tables).unwrap();
            drop(tables);
            if renamed > 0 {
                rename(&path, &original_of(&path)).unwrap();
            }
            if renamed > 1 {
                rename(&copy_of(&path), &path).unwrap();
            }

            finish_interrupted(&path).unwrap();
            match open::examine(&path, Some(7)).unwrap() {
                Found::Good(tables, 7) => assert_eq!(content(&tables), before),
                _ => panic!("not whole after {renamed} renames"),
            }
            assert!(!original_of(&path).exists() && !copy_of(&path).exists());
        }
    }

    #[test]
    fn a_small_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_due(&grown(&folder.path().join("db"))).unwrap());
    }
}
