//! Opening: what is intact, what is lost, and who may have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use provisor_connectors::{Kind, RecordKey, SourceId};
use tempfile::TempDir;

use super::link::{Link, Origin};
use super::store::{Condition, SnapshotError, Store, open_at};
use super::target::TargetChange;
use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;

fn state_dir() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    (folder, path)
}

fn record(number: u32) -> RecordKey {
    RecordKey {
        source: "staff".to_owned(),
        kind: Kind::User,
        id: SourceId::new(format!("u{number}")),
    }
}

fn put_links(store: &Store, numbers: std::ops::Range<u32>) {
    let changes = numbers.map(|number| {
        let name = format!("user{number}@example.com");
        let link = Link {
            resource: ResourceId(format!("r{number}")),
            origin: Origin::Created,
            acknowledged: [(AttributePath::user_name(), name.into())].into(),
            active: true,
            deactivated: None,
            foreign_external_id: None,
            unsettled: false,
            missing: false,
            own_forms: BTreeMap::new(),
            sent: BTreeSet::new(),
            keys_sent: BTreeMap::new(),
        };
        TargetChange::PutLink(record(number), Box::new(link))
    });
    store.target("demo").commit(changes.collect()).unwrap();
}

/// A store with flushed links, closed again; its last flush generation.
fn used(path: &Path) -> u64 {
    let store = open_at(path, None).unwrap().store;
    put_links(&store, 0..2_000);
    store.flush().unwrap();
    put_links(&store, 2_000..2_100);
    store.flush().unwrap()
}

fn lost(path: &Path, audit_generation: Option<u64>) -> String {
    let opened = open_at(path, audit_generation).unwrap();
    assert_eq!(
        opened.store.target("demo").links().count(),
        0,
        "a lost store is empty"
    );
    match opened.condition {
        Condition::Lost(text) => text,
        other => panic!("expected a lost store, found {other:?}"),
    }
}

fn condition(path: &Path, audit_generation: Option<u64>) -> Condition {
    open_at(path, audit_generation).unwrap().condition
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.path().is_dir() {
            copy(&file.path(), &to.join(file.file_name()));
        } else {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

#[test]
fn a_first_run_is_new_and_the_next_one_finds_it_as_it_was() {
    let (_folder, path) = state_dir();
    let opened = open_at(&path, None).unwrap();
    assert_eq!(opened.condition, Condition::New);
    put_links(&opened.store, 0..3);
    let flushed = opened.store.flush().unwrap();
    drop(opened);

    let opened = open_at(&path, Some(flushed)).unwrap();
    assert_eq!(opened.condition, Condition::Intact);
    assert_eq!(opened.store.target("demo").links().count(), 3);
    assert_eq!(
        opened.store.flush().unwrap(),
        flushed,
        "nothing new to flush"
    );
    put_links(&opened.store, 3..4);
    assert_eq!(opened.store.flush().unwrap(), flushed + 1);
    opened.store.verify().unwrap();
}

#[test]
fn a_second_opening_learns_who_has_it() {
    let (_folder, path) = state_dir();
    let first = open_at(&path, None).unwrap();
    match open_at(&path, None).map(|opened| opened.condition) {
        Err(SnapshotError::InUse { owner, .. }) => {
            assert!(
                owner.starts_with(&std::process::id().to_string()),
                "{owner}"
            );
        }
        other => panic!("{other:?}"),
    }
    drop(first);
    open_at(&path, None).unwrap();
}

#[test]
fn a_directory_open_to_others_is_refused() {
    let (_folder, path) = state_dir();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(
        open_at(&path, None).map(|opened| opened.condition),
        Err(SnapshotError::Untrusted { .. })
    ));
    assert_eq!(
        fs::read_dir(&path).unwrap().count(),
        0,
        "nothing was written there"
    );
}

#[test]
fn a_database_cut_in_half_is_lost_and_kept() {
    let (_folder, path) = state_dir();
    let flushed = used(&path);
    let file = fs::File::options()
        .write(true)
        .open(path.join("db/db"))
        .unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let text = lost(&path, Some(flushed));
    assert!(text.contains("db.damaged-1"), "{text}");
    assert!(path.join("db.damaged-1/db").exists());
}

#[test]
fn a_database_of_garbage_is_lost() {
    for garbage in [0x00, 0xFF, 0x5A] {
        let (_folder, path) = state_dir();
        used(&path);
        let file = path.join("db/db");
        let length = usize::try_from(fs::metadata(&file).unwrap().len()).unwrap();
        fs::write(&file, vec![garbage; length]).unwrap();
        lost(&path, None);
    }
}

#[test]
fn damage_anywhere_is_either_lost_or_found_by_verifying() {
    let (folder, path) = state_dir();
    let flushed = used(&path);
    let length = fs::metadata(path.join("db/db")).unwrap().len();
    for part in 0..24 {
        let damaged = folder.path().join(format!("damaged-{part}"));
        copy(&path, &damaged);
        fs::set_permissions(&damaged, fs::Permissions::from_mode(0o700)).unwrap();
        let file = fs::File::options()
            .write(true)
            .open(damaged.join("db/db"))
            .unwrap();
        file.write_all_at(&[0xA5; 512], length * part / 24).unwrap();
        drop(file);

        let opened = open_at(&damaged, Some(flushed)).unwrap();
        if opened.condition == Condition::Intact && opened.store.verify().is_ok() {
            let links: Result<Vec<_>, _> = opened.store.target("demo").links().collect();
            assert_eq!(links.unwrap().len(), 2_100, "part {part}");
        }
    }
}

#[test]
fn a_damaged_snapshot_of_sled_costs_nothing() {
    let (_folder, path) = state_dir();
    let flushed = used(&path);
    // sled writes its snapshot while it opens.
    drop(open_at(&path, None).unwrap());
    let mut damaged = 0;
    for file in fs::read_dir(path.join("db")).unwrap() {
        let file = file.unwrap().path();
        if file
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("snap.")
        {
            let length = fs::metadata(&file).unwrap().len();
            let file = fs::File::options().write(true).open(&file).unwrap();
            file.write_all_at(&[0xA5; 8], length / 2).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "there is one to damage");
    let opened = open_at(&path, Some(flushed)).unwrap();
    assert_eq!(opened.condition, Condition::Intact);
    assert_eq!(opened.store.target("demo").links().count(), 2_100);
}

#[test]
fn a_snapshot_that_sled_was_killed_while_writing_is_no_obstacle() {
    let (_folder, path) = state_dir();
    let flushed = used(&path);
    fs::write(path.join("db/snap.0000000000000999.generating"), b"half").unwrap();
    assert_eq!(condition(&path, Some(flushed)), Condition::Intact);
    let aside = path.join("db.damaged-1");
    assert!(!aside.exists(), "nothing had to be recovered");
}

#[test]
fn a_missing_database_is_a_first_run_only_where_nothing_was_ever_flushed() {
    let (_folder, path) = state_dir();
    let flushed = used(&path);
    fs::remove_dir_all(path.join("db")).unwrap();
    assert!(lost(&path, None).contains("missing"));

    let (_folder, path) = state_dir();
    assert!(lost(&path, Some(flushed)).contains("missing"));
}

#[test]
fn a_loss_is_reported_until_the_first_flush() {
    let (_folder, path) = state_dir();
    let flushed = used(&path);
    fs::remove_dir_all(path.join("db")).unwrap();
    lost(&path, Some(flushed));
    lost(&path, Some(flushed));
    let opened = open_at(&path, Some(flushed)).unwrap();
    put_links(&opened.store, 0..1);
    assert!(opened.store.flush().unwrap() > flushed);
    drop(opened);
    assert_eq!(condition(&path, Some(flushed)), Condition::Intact);
}

// Fails without the recording in `open` of a loss's generation: the second opening is a first run.
#[test]
fn a_loss_that_nothing_else_remembers_is_reported_until_the_first_flush() {
    let (_folder, path) = state_dir();
    used(&path);
    fs::remove_file(path.join("generation")).unwrap();
    for file in fs::read_dir(path.join("db")).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            fs::write(file, b"no database").unwrap();
        }
    }
    lost(&path, None);
    lost(&path, None);
}

// Fails when a `generation` that cannot be read is taken for none, and when what was set aside
// for it is recovered: it may be of any age.
#[test]
fn a_database_whose_age_cannot_be_told_is_lost() {
    let (_folder, path) = state_dir();
    let flushed = used(&path);
    fs::write(path.join("generation"), [0; 76]).unwrap();
    let text = lost(&path, Some(flushed));
    assert!(text.contains("tells its age"), "{text}");
}

#[test]
fn an_older_copy_put_back_is_lost() {
    let (folder, path) = state_dir();
    used(&path);
    let backup = folder.path().join("backup");
    copy(&path.join("db"), &backup);
    let opened = open_at(&path, None).unwrap();
    put_links(&opened.store, 5_000..5_001);
    opened.store.flush().unwrap();
    drop(opened);

    fs::remove_dir_all(path.join("db")).unwrap();
    copy(&backup, &path.join("db"));
    let text = lost(&path, None);
    assert!(text.contains("older"), "{text}");
}

#[test]
fn a_whole_directory_put_back_is_caught_by_the_audit_log() {
    let (_folder, path) = state_dir();
    let flushed = used(&path);
    assert_eq!(condition(&path, Some(flushed)), Condition::Intact);
    let text = lost(&path, Some(flushed + 1));
    assert!(text.contains("older"), "{text}");
    assert!(
        matches!(condition(&path, None), Condition::Lost(_)),
        "until the next flush"
    );
}

/// The bare database of a state directory. The handle that was just dropped may hold on to
/// the files for a moment: sled lets go of them on a thread of its own.
fn database_at(state_dir: &Path) -> super::sled::Database {
    use super::sled::{Database, DatabaseError};

    for _ in 0..200 {
        match Database::open(&state_dir.join("db"), &super::table::tree_names()) {
            Err(DatabaseError::Busy) => std::thread::sleep(std::time::Duration::from_millis(50)),
            opened => return opened.unwrap(),
        }
    }
    panic!("the database stayed busy for ten seconds");
}

#[test]
fn what_a_newer_version_wrote_is_an_error_and_stays_where_it_is() {
    let (_folder, path) = state_dir();
    used(&path);
    let database = database_at(&path);
    let mut value = database.get(0, b"flushed").unwrap().unwrap();
    value[0] = 200;
    database
        .transaction(|transaction| Ok(transaction.put(0, b"flushed", &value)?))
        .unwrap();
    database.flush().unwrap();
    drop(database);
    let error = open_at(&path, None)
        .map(|opened| opened.condition)
        .unwrap_err();
    assert!(
        matches!(error, SnapshotError::Newer { version: 200, .. }),
        "{error}"
    );
    assert!(!path.join("db.damaged-1").exists());
}

/// Its keys are others: what it has would seem absent.
#[test]
fn what_an_older_version_wrote_is_kept_and_not_read() {
    let (_folder, path) = state_dir();
    used(&path);
    let database = database_at(&path);
    let mut value = database.get(0, b"state-key").unwrap().unwrap();
    value[0] = 1;
    database
        .transaction(|transaction| Ok(transaction.put(0, b"state-key", &value)?))
        .unwrap();
    database.flush().unwrap();
    drop(database);
    let problem = lost(&path, None);
    assert!(problem.contains("in version 1 of the format"), "{problem}");
    assert!(path.join("db.damaged-1").exists());
}

/// Fails when `examine` takes what the system refuses for damage.
#[test]
fn a_database_on_a_disk_that_is_not_there_is_an_error_and_nothing_is_lost() {
    let (folder, path) = state_dir();
    used(&path);
    drop(database_at(&path));
    let file = path.join("db").join("db");
    let (disk, away) = (folder.path().join("disk"), folder.path().join("away"));
    fs::create_dir(&away).unwrap();
    fs::rename(&file, away.join("db")).unwrap();
    symlink(disk.join("db"), &file).unwrap();
    let error = open_at(&path, None)
        .map(|opened| opened.condition)
        .unwrap_err();
    assert!(matches!(error, SnapshotError::Database { .. }), "{error}");
    assert!(!path.join("db.damaged-1").exists());
    fs::rename(&away, &disk).unwrap();
    assert_eq!(condition(&path, None), Condition::Intact);
}

#[test]
fn verifying_misses_no_value_that_disappeared() {
    use super::table;

    let (_folder, path) = state_dir();
    used(&path);
    let database = database_at(&path);
    let links = table::tree_names()
        .iter()
        .position(|name| *name == "links")
        .unwrap();
    let (key, _) = database
        .range(links, Vec::new(), None)
        .next()
        .unwrap()
        .unwrap();
    database
        .transaction(|transaction| Ok(transaction.remove(links, &key)?))
        .unwrap();
    database.flush().unwrap();
    drop(database);
    let opened = open_at(&path, None).unwrap();
    assert_eq!(opened.condition, Condition::Intact);
    let error = opened.store.verify().unwrap_err();
    assert!(error.to_string().contains("2100"), "{error}");
}
