//! The flush generation in a file of its own: what a database that silently went back in
//! time is recognised by.
//!
//! Two lines of fixed width, written in turns: a write that a power cut tears leaves the
//! other line, which names the flush before it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::codec;
use super::lock::io_error;
use super::store::SnapshotError;

/// Twenty digits, a space, sixteen hexadecimal digits of checksum, a line feed.
const LINE: usize = 38;

/// The open file.
pub(super) struct GenerationFile {
    file: File,
    path: PathBuf,
}

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// Nothing was ever flushed here.
    Nothing,
    /// The last flush.
    Generation(u64),
    /// It was written to, and neither line can be read.
    Unreadable,
}

impl GenerationFile {
    /// Opens or creates the file in the state directory and reads it.
    pub(super) fn open(state_dir: &Path) -> Result<(Self, Recorded), SnapshotError> {
        let path = state_dir.join("generation");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open", &path))?;
        // The name must be as durable as what is written under it.
        File::open(state_dir)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error("sync", state_dir))?;
        let recorded = read(&file).map_err(io_error("read", &path))?;
        Ok((Self { file, path }, recorded))
    }

    /// Records a flush, durably.
    pub(super) fn record(&self, generation: u64) -> Result<(), SnapshotError> {
        let place = (generation % 2) * LINE as u64;
        self.file
            .write_all_at(line(generation).as_bytes(), place)
            // In place: there is no metadata to wait for but after the very first writes, and
            // those `sync_data` waits for as well.
            .and_then(|()| self.file.sync_data())
            .map_err(io_error("write", &self.path))
    }
}

fn read(file: &File) -> io::Result<Recorded> {
    let mut bytes = [0; 2 * LINE];
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    let newest = bytes.chunks(LINE).filter_map(parse).max();
    Ok(match newest {
        Some(generation) => Recorded::Generation(generation),
        None if length == 0 => Recorded::Nothing,
        None => Recorded::Unreadable,
    })
}

fn line(generation: u64) -> String {
    let number = format!("{generation:020}");
    let sealed = codec::seal("generation", number.as_bytes(), &[]);
    format!("{number} {:016x}\n", codec::stored_checksum(&sealed))
}

fn parse(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let generation = text.get(..20)?.parse().ok()?;
    (line(generation) == text).then_some(generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_falls_back_to_the_flush_before() {
        let folder = tempfile::tempdir().unwrap();
        let (file, recorded) = GenerationFile::open(folder.path()).unwrap();
        assert_eq!(recorded, Recorded::Nothing);
        file.record(7).unwrap();
        file.record(8).unwrap();
        let (_, recorded) = GenerationFile::open(folder.path()).unwrap();
        assert_eq!(recorded, Recorded::Generation(8));

        file.file.write_all_at(b"999", 0).unwrap();
        let (_, recorded) = GenerationFile::open(folder.path()).unwrap();
        assert_eq!(recorded, Recorded::Generation(7));

        file.file.write_all_at(b"999", LINE as u64).unwrap();
        let (_, recorded) = GenerationFile::open(folder.path()).unwrap();
        assert_eq!(recorded, Recorded::Unreadable);
    }
}
