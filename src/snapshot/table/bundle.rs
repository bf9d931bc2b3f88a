//! Several values under one key of the database, for tables of many small ones.
//!
//! sled keeps an account of every page of its log in memory and puts at most 16 keys in a page,
//! however small: a million people whose every fact had a key of its own would cost hundreds of
//! megabytes before anything is read. The table's keys stay what they are: those that start
//! alike share one sealed value, a *bundle*, under that start. Layout only: whoever uses a table
//! need not know, and nothing is written here.

use std::borrow::Cow;

use super::{Table, Writes};
use crate::snapshot::key;
use crate::snapshot::sled::{Body, Pair, refuse};
use crate::snapshot::store::SnapshotError;

/// How many values a bundle has at most, because a change rewrites it. What comes after that,
/// such as the ten-thousandth person with one manager, gets a key of its own.
const MOST: usize = 64;
/// How many bytes a bundle has at most, unless a single value has more. sled puts up to 16 of them
/// in a node, and a node of 128 kB in a file of its own, which it never syncs.
const MOST_BYTES: usize = 4096;
/// How much of a digest is in the start: 65,536 bundles, of 15 values each for a million people. A
/// small store has a bundle for every value, which costs no more than a key for every value.
const DIGEST_BYTES: usize = 2;
/// Three values a person are indexed, so there are twice as many bundles of them: a bit more.
const VALUE_BYTES: usize = DIGEST_BYTES + 1;
/// How long the lengths before a value's key and payload are.
const LENGTH: usize = 4;
/// A bundle's first byte: whether other values with its start have keys of their own.
const ALONE: u8 = 0;
const OVERFLOWED: u8 = 1;

/// How much of a key of this table is the key of its bundle. `None` for a key that has none, and
/// for a start that is shorter than a bundle's.
pub(super) fn bundle_length(table: Table, whole: &[u8]) -> Option<usize> {
    let mut rest = whole;
    match table {
        // The target, the kind; then the digest of the resource.
        Table::Owners => {
            key::skip_text(&mut rest)?;
            rest = rest.get(1 + DIGEST_BYTES..)?;
        }
        // The target, the kind; then the digest of the value.
        Table::Values => {
            key::skip_text(&mut rest)?;
            rest = rest.get(1 + VALUE_BYTES..)?;
        }
        // The source, what was done, the generation; then a record's kind and digest, a page's
        // kind and number, or a group's digest, of which a byte more does no harm.
        Table::Changes => {
            key::skip_text(&mut rest)?;
            rest = rest.get(1 + 8 + 1 + DIGEST_BYTES..)?;
        }
        _ => return None,
    }
    Some(whole.len() - rest.len())
}

/// Whether what the database has under a key is a bundle.
pub(super) fn is_bundle(table: Table, whole: &[u8]) -> bool {
    bundle_length(table, whole) == Some(whole.len())
}

/// A bundle: the ends of keys, sorted, and what is under them.
pub(super) struct Bundle<'a> {
    values: Vec<(&'a [u8], &'a [u8])>,
    overflowed: bool,
    /// Whether it is another than was read.
    changed: bool,
}

/// Where a bundle finds the value that it was asked for.
pub(super) enum Found<'a> {
    Here(&'a [u8]),
    /// Nowhere.
    Nothing,
    /// Under its own key, if anywhere.
    Elsewhere,
}

impl<'a> Bundle<'a> {
    /// The bundle of a sealed value's payload; an empty one where there is none.
    pub(super) fn read(table: Table, payload: Option<&'a [u8]>) -> Result<Self, SnapshotError> {
        let mut bundle = Self {
            values: Vec::new(),
            overflowed: false,
            changed: false,
        };
        if let Some(payload) = payload {
            bundle.parse(payload).ok_or_else(|| SnapshotError::Value {
                what: table.what(),
                problem: "its bundle is not a sorted list".to_owned(),
            })?;
        }
        Ok(bundle)
    }

    fn parse(&mut self, payload: &'a [u8]) -> Option<()> {
        let (&mark, mut rest) = payload.split_first()?;
        self.overflowed = match mark {
            ALONE => false,
            OVERFLOWED => true,
            _ => return None,
        };
        while !rest.is_empty() {
            let end = take_bytes(&mut rest)?;
            let value = take_bytes(&mut rest)?;
            if self.values.last().is_some_and(|(last, _)| *last >= end) {
                return None;
            }
            self.values.push((end, value));
        }
        Some(())
    }

    /// What is under a key that ends like this.
    pub(super) fn get(&self, end: &[u8]) -> Found<'a> {
        match self.position(end) {
            Ok(at) => Found::Here(self.values[at].1),
            Err(_) if self.overflowed => Found::Elsewhere,
            Err(_) => Found::Nothing,
        }
    }

    /// Whole keys, and what is under them.
    fn pairs(&self, start: &[u8]) -> Vec<Pair> {
        let pairs = self.values.iter();
        pairs
            .map(|(end, value)| ([start, end].concat(), value.to_vec()))
            .collect()
    }

    /// Changes one value; true when it is not to be here but under its own key. One that has its
    /// own key (`has_own_key`) keeps it and one that is here stays here, because a reader who
    /// looks at one after the other would miss what is moved in between.
    fn change(&mut self, end: &'a [u8], payload: Option<&'a [u8]>, has_own_key: bool) -> bool {
        let here = match (self.position(end), payload) {
            (Ok(at), Some(payload)) => {
                let before = std::mem::replace(&mut self.values[at].1, payload);
                if before == payload {
                    return false;
                }
                true
            }
            (Ok(at), None) => {
                self.values.remove(at);
                true
            }
            (Err(at), Some(payload)) if !has_own_key && self.has_room((end, payload)) => {
                self.values.insert(at, (end, payload));
                true
            }
            (Err(_), Some(_)) => {
                self.changed |= !self.overflowed;
                self.overflowed = true;
                false
            }
            (Err(_), None) => return has_own_key,
        };
        self.changed |= here;
        !here
    }

    /// Whether another value may come in here. The first may always: a value whose key is the
    /// bundle's has none of its own.
    fn has_room(&self, more: (&[u8], &[u8])) -> bool {
        let bytes = self.length() + length(&more);
        self.values.is_empty() || (self.values.len() < MOST && bytes <= MOST_BYTES)
    }

    /// The payload to store; `None` when there is nothing left to say.
    fn write(&self) -> Option<Vec<u8>> {
        if self.values.is_empty() && !self.overflowed {
            return None;
        }
        let mut payload = Vec::with_capacity(1 + self.length());
        payload.push(match self.overflowed {
            true => OVERFLOWED,
            false => ALONE,
        });
        for (end, value) in &self.values {
            for bytes in [end, value] {
                // Nobody has an id or a value of four thousand million bytes.
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                payload.extend_from_slice(&length.to_be_bytes());
                payload.extend_from_slice(bytes);
            }
        }
        Some(payload)
    }

    fn length(&self) -> usize {
        self.values.iter().map(length).sum()
    }

    fn position(&self, end: &[u8]) -> Result<usize, usize> {
        self.values.binary_search_by(|(known, _)| known.cmp(&end))
    }
}

/// What a value takes in a bundle, in bytes.
fn length((end, value): &(&[u8], &[u8])) -> usize {
    2 * LENGTH + end.len() + value.len()
}

/// A write as the database is to have it.
type Stored<'a> = (Table, &'a [u8], Option<Cow<'a, [u8]>>);

/// The writes as the database is to have them: with bundles in the place of what is in them. `get`
/// reads the payload under a key of the database, within the transaction that is to write.
pub(super) fn bundle(
    writes: &Writes,
    get: impl Fn(Table, &[u8]) -> Body<Option<Vec<u8>>, SnapshotError>,
) -> Body<Vec<Stored<'_>>, SnapshotError> {
    let mut bundled = Vec::with_capacity(writes.len());
    let mut rest = writes.iter().peekable();
    while let Some(((table, whole), payload)) = rest.next() {
        let table = *table;
        let Some(length) = bundle_length(table, whole) else {
            bundled.push((
                table,
                whole.as_slice(),
                payload.as_deref().map(Cow::Borrowed),
            ));
            continue;
        };
        let start = &whole[..length];
        let stored = get(table, start)?;
        let mut bundle = Bundle::read(table, stored.as_deref()).map_err(refuse)?;
        let mut next = Some((whole, payload));
        // Keys that start alike are side by side.
        while let Some((whole, payload)) = next {
            let end = &whole[length..];
            let has_own_key =
                matches!(bundle.get(end), Found::Elsewhere) && get(table, whole)?.is_some();
            if bundle.change(end, payload.as_deref(), has_own_key) {
                bundled.push((table, whole, payload.as_deref().map(Cow::Borrowed)));
            }
            next = rest
                .next_if(|((other, whole), _)| *other == table && whole.starts_with(start))
                .map(|((_, whole), payload)| (whole, payload));
        }
        if bundle.changed {
            bundled.push((table, start, bundle.write().map(Cow::Owned)));
        }
    }
    Ok(bundled)
}

/// What is in a table, of what the database has: the values in a bundle, and then those with its
/// start that have keys of their own.
pub(super) fn spread(
    table: Table,
    mut stored: impl Iterator<Item = Result<Pair, SnapshotError>>,
) -> impl Iterator<Item = Result<Pair, SnapshotError>> {
    let mut values = Vec::new().into_iter();
    std::iter::from_fn(move || {
        loop {
            if let Some(pair) = values.next() {
                return Some(Ok(pair));
            }
            let (start, payload) = match stored.next()? {
                Ok((start, payload)) if is_bundle(table, &start) => (start, payload),
                pair => return Some(pair),
            };
            match Bundle::read(table, Some(&payload)) {
                Ok(bundle) => values = bundle.pairs(&start).into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

/// Takes a length and as many bytes off the front.
fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (bytes, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}
