//! Which ids a file has: no two rows may share one, and groups name them as members.
//!
//! A million ids have to fit beside everything else, so each is kept as a 128-bit hash and
//! its line: 24 bytes, whatever the id's length. Two different ids that share 128 bits are
//! not to be expected in any number of reads. Must not keep the ids themselves.

use crate::digest::{Digest, digest};

/// The ids of a file that is being read.
#[derive(Debug, Default)]
pub(super) struct IdsSeen {
    rows: Vec<(Digest, u64)>,
}

/// The ids of a file that was read; each is there once.
#[derive(Debug)]
pub(super) struct Ids {
    rows: Vec<(Digest, u64)>,
}

/// Two rows with one id.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Duplicate {
    /// The line of the row that has the id first.
    pub(super) first: u64,
    /// The line of the row that has it again.
    pub(super) again: u64,
}

impl IdsSeen {
    /// Notes the id of the row that starts on this line.
    pub(super) fn insert(&mut self, id: &str, line: u64) {
        self.rows.push((digest(id.as_bytes()), line));
    }

    /// Checks that no two rows share an id; where several do, names the first repetition.
    pub(super) fn finish(mut self) -> Result<Ids, Duplicate> {
        self.rows.sort_unstable();
        let duplicate = self
            .rows
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| Duplicate {
                first: pair[0].1,
                again: pair[1].1,
            })
            .min_by_key(|duplicate| duplicate.again);
        match duplicate {
            Some(duplicate) => Err(duplicate),
            None => Ok(Ids { rows: self.rows }),
        }
    }
}

impl Ids {
    /// Whether a row has this id.
    pub(super) fn contains(&self, id: &str) -> bool {
        let wanted = digest(id.as_bytes());
        self.rows
            .binary_search_by(|(digest, _)| digest.cmp(&wanted))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_repetition_in_the_file_is_named() {
        let mut seen = IdsSeen::default();
        for (id, line) in [("a", 2), ("b", 3), ("c", 4), ("b", 5), ("a", 6)] {
            seen.insert(id, line);
        }
        let duplicate = seen.finish().expect_err("`a` and `b` are there twice");
        assert_eq!(duplicate, Duplicate { first: 3, again: 5 });
    }

    #[test]
    fn only_what_was_inserted_is_contained() {
        let mut seen = IdsSeen::default();
        for number in 0..10_000 {
            seen.insert(&format!("person-{number}"), number + 2);
        }
        let ids = seen.finish().expect("all are different");
        assert!((0..10_000).all(|number| ids.contains(&format!("person-{number}"))));
        assert!((10_000..20_000).all(|number| !ids.contains(&format!("person-{number}"))));
    }
}
