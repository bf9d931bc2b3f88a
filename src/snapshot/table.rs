//! Tables of sealed values, and their integrity: every transaction also keeps, per table, a
//! count of what the database has and an order-free sum of its checksums, which a full scan
//! compares.
//!
//! sled was seen to lose flushed values in silence after damage; a value that is missing
//! changes the count, one that is damaged its own checksum. One writer at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec;
use super::key;
use super::sled::{Database, DatabaseError, refuse};
use super::store::SnapshotError;

mod bundle;
mod names;
#[cfg(test)]
mod tests;

use bundle::{Bundle, Found};
pub(super) use names::{Table, tree_names};

/// Writes to be done together: `None` removes.
pub(super) type Writes = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// The database as tables.
pub(super) struct Tables {
    database: Database,
    digests: hmac::Key,
    sums: Mutex<Sums>,
    dirty: AtomicBool,
}

/// Count and checksum sum of each table.
type Sums = BTreeMap<Table, Sum>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    count: u64,
    sum: u64,
    /// Keys and values, to know what the files should need.
    bytes: u64,
}

/// The right to write. While it is held, what was read stays true.
pub(super) struct Writer<'a> {
    tables: &'a Tables,
    sums: MutexGuard<'a, Sums>,
}

/// How many keys are copied in one transaction.
const COPIED_TOGETHER: usize = 300;
const STATE_KEY: &[u8] = b"state-key";
const FLUSHED: &[u8] = b"flushed";

/// What a database says of itself.
pub(super) enum Described {
    /// It holds nothing at all.
    Empty(Database),
    /// Its tables, and the generation of its last flush.
    Tables(Box<Tables>, u64),
}

impl Tables {
    /// Reads what the database says of itself.
    pub(super) fn read(database: Database) -> Result<Described, SnapshotError> {
        let Some(state_key) = read_meta(&database, STATE_KEY)? else {
            return Ok(Described::Empty(database));
        };
        let flushed = match read_meta(&database, FLUSHED)? {
            Some(payload) => codec::from_json(Table::Meta.what(), &payload)?,
            None => 0,
        };
        let mut sums = Sums::new();
        for table in Table::ALL {
            if let Some(payload) = read_meta(&database, &sum_key(table))? {
                sums.insert(table, codec::from_json(Table::Meta.what(), &payload)?);
            }
        }
        let tables = Self {
            database,
            digests: hmac::Key::new(hmac::HMAC_SHA256, &state_key),
            sums: Mutex::new(sums),
            dirty: AtomicBool::new(false),
        };
        Ok(Described::Tables(Box::new(tables), flushed))
    }

    /// Makes an empty database a store, with a random key of its own.
    pub(super) fn create(database: Database) -> Result<Box<Self>, SnapshotError> {
        let mut state_key = [0; 32];
        aws_lc_rs::rand::fill(&mut state_key).map_err(|_| SnapshotError::Database {
            action: "make its key",
            source: "the system gave no random numbers".into(),
        })?;
        let sealed = codec::seal(Table::Meta.name(), STATE_KEY, &state_key);
        database
            .transaction(|transaction| {
                transaction.put(Table::Meta as usize, STATE_KEY, &sealed)?;
                Ok(())
            })
            .map_err(refused("be created"))?;
        Ok(Box::new(Self {
            database,
            digests: hmac::Key::new(hmac::HMAC_SHA256, &state_key),
            sums: Mutex::new(Sums::new()),
            dirty: AtomicBool::new(true),
        }))
    }

    /// A digest of the parts, one after another, that only this store can make, so that a
    /// stolen copy of an index cannot be searched for known values.
    pub(super) fn digest(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.digests);
        for part in parts {
            context.update(part);
        }
        let tag = context.sign();
        let mut digest = [0; 16];
        digest.copy_from_slice(&tag.as_ref()[..16]);
        digest
    }

    /// The payload under a key.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
        let Some(length) = bundle::bundle_length(table, key) else {
            return self.stored(table, key);
        };
        let (start, end) = key.split_at(length);
        let payload = self.stored(table, start)?;
        match Bundle::read(table, payload.as_deref())?.get(end) {
            Found::Here(payload) => Ok(Some(payload.to_vec())),
            Found::Nothing => Ok(None),
            Found::Elsewhere => self.stored(table, key),
        }
    }

    /// The payload that the database has under a key: a value's, or a bundle's.
    fn stored(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
        let value = self
            .database
            .get(table as usize, key)
            .map_err(refused("read"))?;
        value.map(|value| open_value(table, key, value)).transpose()
    }

    /// The JSON under a key.
    pub(super) fn get_json<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<T>, SnapshotError> {
        self.get(table, key)?
            .map(|payload| codec::from_json(table.what(), &payload))
            .transpose()
    }

    /// Keys and payloads from `from` (inclusive) to `to` (exclusive), in the order of the keys;
    /// those of a table that is kept in bundles in an order that is only stable.
    pub(super) fn range(
        &self,
        table: Table,
        from: Vec<u8>,
        to: Option<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), SnapshotError>> + Send + use<> {
        let mut first = from.clone();
        if let Some(length) = bundle::bundle_length(table, &from) {
            first.truncate(length);
        }
        let stored = self.database.range(table as usize, first, to.clone());
        let stored = stored.map(move |pair| {
            let (key, value) = pair.map_err(refused("read"))?;
            let payload = open_value(table, &key, value)?;
            Ok((key, payload))
        });
        let is_asked = move |key: &Vec<u8>| *key >= from && to.as_ref().is_none_or(|to| key < to);
        bundle::spread(table, stored)
            .filter(move |pair| pair.as_ref().map_or(true, |(key, _)| is_asked(key)))
    }

    /// Keys and payloads of everything that starts with `prefix`.
    pub(super) fn prefix(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), SnapshotError>> + Send + use<> {
        self.range(table, prefix.to_vec(), key::after(prefix))
    }

    /// Waits for the right to write.
    pub(super) fn writer(&self) -> Writer<'_> {
        Writer {
            tables: self,
            // The sums change only after a commit: a panic cannot leave them half done.
            sums: self.sums.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Whether anything was written since the last [`Tables::flush`].
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::SeqCst)
    }

    /// Records the flush generation and makes everything written so far durable.
    pub(super) fn flush(&self, generation: u64) -> Result<(), SnapshotError> {
        self.dirty.store(false, Ordering::SeqCst);
        let result = self.flush_now(generation);
        if result.is_err() {
            self.dirty.store(true, Ordering::SeqCst);
        }
        result
    }

    fn flush_now(&self, generation: u64) -> Result<(), SnapshotError> {
        let payload = codec::to_json(Table::Meta.what(), &generation)?;
        let sealed = codec::seal(Table::Meta.name(), FLUSHED, &payload);
        self.database
            .transaction(|transaction| {
                transaction.put(Table::Meta as usize, FLUSHED, &sealed)?;
                Ok(())
            })
            .map_err(refused("flush"))?;
        self.database.flush().map_err(refused("flush"))
    }

    /// The bytes that are stored, and the bytes that the files take.
    pub(super) fn sizes(&self) -> Result<(u64, u64), SnapshotError> {
        let writer = self.writer();
        let live = writer.sums.values().map(|sum| sum.bytes).sum();
        let on_disk = self.database.size_on_disk().map_err(refused("read"))?;
        Ok((live, on_disk))
    }

    /// Copies everything as it is into another, empty database, durably.
    pub(super) fn copy_to(&self, other: &Database) -> Result<(), SnapshotError> {
        let _writer = self.writer();
        let names = tree_names();
        for tree in 0..names.len() {
            let mut pairs = self.database.range(tree, Vec::new(), None).peekable();
            while pairs.peek().is_some() {
                let chunk = pairs
                    .by_ref()
                    .take(COPIED_TOGETHER)
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(refused("read"))?;
                other
                    .transaction(|transaction| {
                        for (key, value) in &chunk {
                            transaction.put(tree, key, value)?;
                        }
                        Ok(())
                    })
                    .map_err(refused("commit"))?;
            }
        }
        other.flush().map_err(refused("flush"))
    }

    /// Reads everything and compares each table with its count and sum. Nothing is written
    /// meanwhile.
    pub(super) fn verify(&self) -> Result<(), SnapshotError> {
        let writer = self.writer();
        for table in Table::ALL {
            if table == Table::Meta {
                continue;
            }
            let mut found = Sum::default();
            for pair in self.database.range(table as usize, Vec::new(), None) {
                let (key, value) = pair.map_err(refused("read"))?;
                codec::unseal(table.what(), table.name(), &key, &value)?;
                found.add(&key, &value);
            }
            let expected = writer.sums.get(&table).copied().unwrap_or_default();
            if found != expected {
                return Err(SnapshotError::Value {
                    what: table.what(),
                    problem: format!(
                        "there should be {} of them and {} were found, or some are not those \
                         that were written",
                        expected.count, found.count
                    ),
                });
            }
        }
        Ok(())
    }
}

impl Writer<'_> {
    /// Does all of the writes or none. Keep them at a few hundred keys.
    pub(super) fn apply(&mut self, writes: &Writes) -> Result<(), SnapshotError> {
        if writes.is_empty() {
            return Ok(());
        }
        let before = &*self.sums;
        let after = self
            .tables
            .database
            .transaction_unless(|transaction| {
                let bundled = bundle::bundle(writes, |table, key| {
                    let value = transaction.get(table as usize, key)?;
                    let payload = value.map(|value| open_value(table, key, value));
                    payload.transpose().map_err(refuse)
                })?;
                let mut changed = Sums::new();
                for (table, key, payload) in bundled {
                    let sum = changed
                        .entry(table)
                        .or_insert_with(|| before.get(&table).copied().unwrap_or_default());
                    let old = match payload {
                        Some(payload) => {
                            let value = codec::seal(table.name(), key, &payload);
                            sum.add(key, &value);
                            transaction.put(table as usize, key, &value)?
                        }
                        None => transaction.remove(table as usize, key)?,
                    };
                    if let Some(old) = old {
                        sum.subtract(key, &old);
                    }
                }
                for (table, sum) in &changed {
                    let key = sum_key(*table);
                    let payload = format!(
                        r#"{{"count":{},"sum":{},"bytes":{}}}"#,
                        sum.count, sum.sum, sum.bytes
                    );
                    let value = codec::seal(Table::Meta.name(), &key, payload.as_bytes());
                    transaction.put(Table::Meta as usize, &key, &value)?;
                }
                Ok(changed)
            })
            .map_err(refused("commit"))??;
        self.sums.extend(after);
        self.tables.dirty.store(true, Ordering::SeqCst);
        Ok(())
    }
}

impl Sum {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add((key.len() + value.len()) as u64);
        self.sum = self.sum.wrapping_add(codec::stored_checksum(value));
    }

    fn subtract(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_sub(1);
        self.bytes = self.bytes.wrapping_sub((key.len() + value.len()) as u64);
        self.sum = self.sum.wrapping_sub(codec::stored_checksum(value));
    }
}

/// Turns a refusal of the database into the store's error.
pub(super) fn refused(action: &'static str) -> impl Fn(DatabaseError) -> SnapshotError {
    move |error| SnapshotError::Database {
        action,
        source: Box::new(error),
    }
}

fn open_value(table: Table, key: &[u8], mut value: Vec<u8>) -> Result<Vec<u8>, SnapshotError> {
    let length = codec::unseal(table.what(), table.name(), key, &value)?.len();
    value.drain(..value.len() - length);
    Ok(value)
}

fn read_meta(database: &Database, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
    let value = database
        .get(Table::Meta as usize, key)
        .map_err(refused("read"))?;
    value
        .map(|value| open_value(Table::Meta, key, value))
        .transpose()
}

fn sum_key(table: Table) -> Vec<u8> {
    [b"sum/", table.name().as_bytes()].concat()
}
