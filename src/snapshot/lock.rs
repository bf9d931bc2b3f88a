//! The state directory itself: private to one user, and in use by one process.
//!
//! The lock is the system's (released when the process dies, however it dies); the text in
//! the lock file only says who has it. Knows nothing of what the directory holds.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::store::SnapshotError;

/// provisor's commands, of which the one that runs is written into the lock. Arguments are
/// not: they may name a person.
const COMMANDS: [&str; 10] = [
    "check", "sync", "run", "status", "explain", "accounts", "approve", "history", "sandbox",
    "generate",
];

/// Holds the state directory for this process until it is dropped.
#[derive(Debug)]
pub struct Lock {
    state_dir: PathBuf,
    _file: File,
}

impl Lock {
    /// The directory that is held.
    pub(super) fn state_dir(&self) -> &Path {
        &self.state_dir
    }
}

/// Creates the state directory, or checks that the one that is there is ours alone.
pub(super) fn prepare(state_dir: &Path) -> Result<(), SnapshotError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
        .map_err(io_error("create", state_dir))?;
    let found = fs::metadata(state_dir).map_err(io_error("read", state_dir))?;
    let refuse = |problem: String| SnapshotError::Untrusted {
        path: state_dir.to_owned(),
        problem,
    };
    let own = own_user(state_dir)?;
    if found.uid() != own {
        return Err(refuse(format!(
            "belongs to user {} and this is user {own}; run provisor as its owner, or name \
             another state_dir",
            found.uid()
        )));
    }
    if found.mode() & 0o077 != 0 {
        return Err(refuse(format!(
            "can be read by others (mode {:03o}); run `chmod 700 {}`",
            found.mode() & 0o777,
            state_dir.display()
        )));
    }
    Ok(())
}

/// Takes the lock, or says which process has it.
pub(super) fn take(state_dir: &Path) -> Result<Lock, SnapshotError> {
    let path = state_dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Best effort: the other process may be writing its name just now.
            let _ = file.take(200).read_to_string(&mut owner);
            let owner = owner.trim();
            return Err(SnapshotError::InUse {
                path: state_dir.to_owned(),
                owner: if owner.is_empty() { "unknown" } else { owner }.to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
    }
    let owner = format!("{} ({})\n", std::process::id(), command());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(owner.as_bytes()))
        .map_err(io_error("write", &path))?;
    Ok(Lock {
        state_dir: state_dir.to_owned(),
        _file: file,
    })
}

/// Makes an I/O error the store's, naming the file.
pub(super) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> SnapshotError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| SnapshotError::Io {
        action,
        path,
        source,
    }
}

/// `provisor sync`: the program's file name and its command.
fn command() -> String {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let program = Path::new(&program).file_name().map_or_else(
        || "provisor".into(),
        |name| name.to_string_lossy().into_owned(),
    );
    match arguments.find(|argument| COMMANDS.contains(&argument.as_str())) {
        Some(command) => format!("{program} {command}"),
        None => program,
    }
}

/// The user this process is. The standard library does not say; the owner of our own entry
/// in /proc is, and where there is no /proc a new file's owner is.
fn own_user(state_dir: &Path) -> Result<u32, SnapshotError> {
    if let Ok(own) = fs::metadata("/proc/self") {
        return Ok(own.uid());
    }
    let probe = state_dir.join("owner.probe");
    let owner = File::create(&probe)
        .and_then(|file| file.metadata())
        .map(|metadata| metadata.uid())
        .map_err(io_error("write", &probe))?;
    fs::remove_file(&probe).map_err(io_error("remove", &probe))?;
    Ok(owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_that_others_can_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let error = prepare(folder.path()).unwrap_err();
        assert!(matches!(error, SnapshotError::Untrusted { .. }));
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }

    #[test]
    fn a_new_directory_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("deep/state");
        prepare(&state_dir).unwrap();
        assert_eq!(fs::metadata(&state_dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_second_holder_learns_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path()).unwrap();
        match take(folder.path()).unwrap_err() {
            SnapshotError::InUse { owner, .. } => {
                assert!(
                    owner.starts_with(&format!("{} (", std::process::id())),
                    "{owner}"
                );
            }
            other => panic!("{other}"),
        }
        drop(first);
        take(folder.path()).unwrap();
    }
}
