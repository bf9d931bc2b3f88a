//! The kinds of damage, and doing one of them to a state directory. What is done where is
//! drawn from a seed. Knows files and bytes, and nothing of what they mean.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

/// The user whom nothing should belong to.
const NOBODY: u32 = 65_534;

/// One way in which a state directory comes to harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    CutFile,
    FlippedBits,
    ZeroedPage,
    ZeroedSector,
    Garbage,
    AppendedGarbage,
    Leftovers,
    OldDirectory,
    OldDatabase,
    OldAuditLog,
    OldGeneration,
    LostDirectory,
    LostDatabase,
    LostDatabaseFile,
    LostAuditLog,
    LostGeneration,
    LostDatabaseAndGeneration,
    LostDatabaseAndAuditLog,
    LockFile,
    Mode,
    Owner,
    FullDisk,
    FillingDisk,
    ReadOnly,
}

impl Kind {
    pub(crate) const ALL: [Self; 24] = [
        Self::CutFile,
        Self::FlippedBits,
        Self::ZeroedPage,
        Self::ZeroedSector,
        Self::Garbage,
        Self::AppendedGarbage,
        Self::Leftovers,
        Self::OldDirectory,
        Self::OldDatabase,
        Self::OldAuditLog,
        Self::OldGeneration,
        Self::LostDirectory,
        Self::LostDatabase,
        Self::LostDatabaseFile,
        Self::LostAuditLog,
        Self::LostGeneration,
        Self::LostDatabaseAndGeneration,
        Self::LostDatabaseAndAuditLog,
        Self::LockFile,
        Self::Mode,
        Self::Owner,
        Self::FullDisk,
        Self::FillingDisk,
        Self::ReadOnly,
    ];

    /// Whether it changes bytes of a file at a random place, of which more seeds find more.
    fn is_about_bytes(self) -> bool {
        matches!(
            self,
            Self::CutFile
                | Self::FlippedBits
                | Self::ZeroedPage
                | Self::ZeroedSector
                | Self::Garbage
                | Self::FillingDisk
        )
    }

    /// Whether something is lost that provisor alone knew. A directory that is gone or old as
    /// a whole is not told from a first run or a crash.
    pub(crate) fn is_a_loss(self) -> bool {
        matches!(
            self,
            Self::OldDatabase
                | Self::OldAuditLog
                | Self::LostDatabase
                | Self::LostAuditLog
                | Self::LostDatabaseAndGeneration
                | Self::LostDatabaseAndAuditLog
        )
    }

    /// The kind that a seed plays: every other one is about bytes, the rest take turns.
    pub(crate) fn of(seed: u64) -> Self {
        let bytes: Vec<Self> = Self::ALL
            .into_iter()
            .filter(|it| it.is_about_bytes())
            .collect();
        let others: Vec<Self> = Self::ALL
            .into_iter()
            .filter(|it| !it.is_about_bytes())
            .collect();
        let (list, turn) = match seed % 2 {
            0 => (bytes, seed / 2),
            _ => (others, seed / 2),
        };
        let place = usize::try_from(turn).expect("a small number") % list.len();
        list[place]
    }

    /// The disk that the run is done on, where that is the damage.
    pub(crate) fn disk(self, random: &mut fastrand::Rng) -> Option<Disk> {
        match self {
            Self::FullDisk => Some(Disk::WithFree { kib: 0 }),
            // The run below needs about 40.
            Self::FillingDisk => Some(Disk::WithFree {
                kib: 4 * random.u32(1..=12),
            }),
            Self::ReadOnly => Some(Disk::ReadOnly),
            _ => None,
        }
    }
}

/// What kind of disk the state directory is on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disk {
    WithFree { kib: u32 },
    ReadOnly,
}

/// Does it, and says what was done.
pub(crate) fn damage(
    kind: Kind,
    state: &Path,
    older: &[PathBuf],
    random: &mut fastrand::Rng,
) -> String {
    let older = &older[random.usize(..older.len())];
    match kind {
        Kind::CutFile => change_file(state, random, |file, length, random| {
            let left = random.u64(0..length);
            file.set_len(left).expect("the file can be cut");
            format!("cut from {length} to {left} bytes")
        }),
        Kind::FlippedBits => change_file(state, random, flip_bits),
        Kind::ZeroedPage => change_file(state, random, |file, length, random| {
            overwrite(file, length, 4096, random, |_| 0)
        }),
        Kind::ZeroedSector => change_file(state, random, |file, length, random| {
            overwrite(file, length, 512, random, |_| 0)
        }),
        Kind::Garbage => change_file(state, random, |file, length, random| {
            let size = [64, 512, 4096, 65536][random.usize(..4)];
            overwrite(file, length, size, random, |random| random.u8(..))
        }),
        Kind::AppendedGarbage => change_file(state, random, |file, length, random| {
            let size = random.usize(1..8192);
            let bytes: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
            file.write_all_at(&bytes, length).expect("written");
            format!("{size} bytes appended")
        }),
        Kind::Leftovers => leave_remains(state, older, random),
        Kind::OldDirectory => {
            remove(state);
            copy(older, state);
            format!("all of {}", name(older))
        }
        Kind::OldDatabase => put_back(state, older, "db"),
        Kind::OldAuditLog => put_back(state, older, "audit.jsonl"),
        Kind::OldGeneration => put_back(state, older, "generation"),
        Kind::LostDirectory => lose(state, &["db", "generation", "audit.jsonl", "lock"]),
        Kind::LostDatabase => lose(state, &["db"]),
        Kind::LostDatabaseFile => {
            let files = files_in(&state.join("db"));
            let file = &files[random.usize(..files.len())];
            remove(file);
            format!("{} is gone", name(file))
        }
        Kind::LostAuditLog => lose(state, &["audit.jsonl"]),
        Kind::LostGeneration => lose(state, &["generation"]),
        Kind::LostDatabaseAndGeneration => lose(state, &["db", "generation"]),
        Kind::LostDatabaseAndAuditLog => lose(state, &["db", "audit.jsonl"]),
        Kind::LockFile => change_lock(state, random),
        Kind::Mode => change_mode(state, random),
        Kind::Owner => give_away(state),
        Kind::FullDisk | Kind::FillingDisk | Kind::ReadOnly => String::new(),
    }
}

/// Copies a folder as it is, permissions included.
pub(crate) fn copy(from: &Path, to: &Path) {
    let found = fs::metadata(from).expect("the original is there");
    if !found.is_dir() {
        fs::copy(from, to).expect("the file can be copied");
        return;
    }
    fs::create_dir_all(to).expect("the copy can be made");
    for entry in fs::read_dir(from).expect("the original can be read") {
        let entry = entry.expect("the original can be read");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
    fs::set_permissions(to, found.permissions()).expect("the copy is ours");
}

pub(crate) fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("the folder can be removed");
    } else if path.exists() {
        fs::remove_file(path).expect("the file can be removed");
    }
}

/// Every file of a folder and of those in it, in the order of their names.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Changes one file that has something in it; every other time the database's own.
fn change_file(
    state: &Path,
    random: &mut fastrand::Rng,
    change: impl FnOnce(&File, u64, &mut fastrand::Rng) -> String,
) -> String {
    let length_of = |path: &PathBuf| fs::metadata(path).map_or(0, |found| found.len());
    let mut files = files_in(state);
    files.retain(|path| length_of(path) > 0);
    let path = if random.bool() {
        state.join("db/db")
    } else {
        files.swap_remove(random.usize(..files.len()))
    };
    let length = length_of(&path);
    let file = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .expect("the file can be opened");
    let what = change(&file, length, random);
    let path = path.strip_prefix(state).expect("it is in there").display();
    format!("{path}: {what}")
}

/// A place in the part of the file that is not all zeros, most of the time: the rest of a
/// database's file is space that nothing was written to yet.
fn place(file: &File, length: u64, random: &mut fastrand::Rng) -> u64 {
    for _ in 0..20 {
        let place = random.u64(..length);
        let mut byte = [0];
        if file.read_at(&mut byte, place).is_ok_and(|read| read == 1) && byte[0] != 0 {
            return place;
        }
    }
    random.u64(..length)
}

fn flip_bits(file: &File, length: u64, random: &mut fastrand::Rng) -> String {
    let mut flipped = Vec::new();
    for _ in 0..random.usize(1..=4) {
        let place = place(file, length, random);
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).expect("read");
        byte[0] ^= 1 << random.u8(..8);
        file.write_all_at(&byte, place).expect("written");
        flipped.push(place);
    }
    format!("bits flipped at {flipped:?} of {length}")
}

/// Overwrites an aligned block, or the part of it that the file has.
fn overwrite(
    file: &File,
    length: u64,
    size: u64,
    random: &mut fastrand::Rng,
    mut byte: impl FnMut(&mut fastrand::Rng) -> u8,
) -> String {
    let start = place(file, length, random) / size * size;
    let size = size.min(length - start);
    let bytes: Vec<u8> = (0..size).map(|_| byte(random)).collect();
    file.write_all_at(&bytes, start).expect("written");
    format!("{size} bytes overwritten at {start} of {length}")
}

/// What a process that died, an editor or a hasty repair leaves behind.
fn leave_remains(state: &Path, older: &Path, random: &mut fastrand::Rng) -> String {
    let garbage: Vec<u8> = (0..random.usize(0..4096)).map(|_| random.u8(..)).collect();
    let write = |name: &str| {
        fs::write(state.join(name), &garbage).expect("written");
        name.to_owned()
    };
    match random.u32(..8) {
        0 => write("db/snap.00000000000000FF.generating"),
        1 => write("db/snap.0000000000000999"),
        2 => write("db/conf.tmp"),
        3 => write("generation.tmp"),
        4 => write("audit.torn-1"),
        5 => {
            fs::create_dir(state.join("db.compacting")).expect("a new folder");
            write("db.compacting/db")
        }
        6 => {
            copy(&older.join("db"), &state.join("db.before-compaction"));
            "an older db as db.before-compaction".to_owned()
        }
        _ => {
            fs::rename(state.join("db"), state.join("db.before-compaction")).expect("renamed");
            copy(&older.join("db"), &state.join("db.compacting"));
            "a compaction that died between its two renames".to_owned()
        }
    }
}

fn put_back(state: &Path, older: &Path, what: &str) -> String {
    remove(&state.join(what));
    copy(&older.join(what), &state.join(what));
    format!("{what} of {}", name(older))
}

fn lose(state: &Path, what: &[&str]) -> String {
    for name in what {
        remove(&state.join(name));
    }
    format!("{} lost", what.join(", "))
}

fn change_lock(state: &Path, random: &mut fastrand::Rng) -> String {
    let lock = state.join("lock");
    remove(&lock);
    match random.u32(..4) {
        0 => {
            fs::write(&lock, "").expect("written");
            "an empty lock".to_owned()
        }
        1 => {
            // Above the largest process id that Linux gives.
            fs::write(&lock, "4194999 (provisor sync)\n").expect("written");
            "a lock of a process that is dead".to_owned()
        }
        2 => {
            fs::create_dir(&lock).expect("a new folder");
            "a folder in the lock's place".to_owned()
        }
        _ => "no lock".to_owned(),
    }
}

fn change_mode(state: &Path, random: &mut fastrand::Rng) -> String {
    let (path, mode) = match random.u32(..6) {
        0 => (state.to_owned(), 0o755),
        1 => (state.to_owned(), 0o770),
        2 => (state.join("db/db"), 0o000),
        3 => (state.join("audit.jsonl"), 0o444),
        4 => (state.join("generation"), 0o000),
        _ => (state.join("db"), 0o500),
    };
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
    format!("{} has mode {mode:03o}", name(&path))
}

/// Gives the directory to another user; who may not puts one of root's in its place.
fn give_away(state: &Path) -> String {
    if chown(state, Some(NOBODY), None).is_ok() {
        return format!("the directory belongs to user {NOBODY}");
    }
    fs::rename(state, state.with_extension("ours")).expect("renamed");
    symlink("/usr", state).expect("a new link");
    "a directory of root's in its place".to_owned()
}

/// Takes that back.
pub(crate) fn give_back(state: &Path) {
    let ours = state.with_extension("ours");
    if ours.exists() {
        fs::remove_file(state).expect("the link can be removed");
        fs::rename(ours, state).expect("renamed");
    } else {
        let user = fs::metadata("/proc/self")
            .expect("a process has a user")
            .uid();
        chown(state, Some(user), None).expect("root may take back");
    }
}
