use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::*;

fn new_tables(folder: &std::path::Path) -> Box<Tables> {
    let database = Database::open(&folder.join("db"), &tree_names()).unwrap();
    Tables::create(database).unwrap()
}

/// A key of the value index: all with one `start` share a bundle, as long as it has room.
fn value_key(start: u16, end: u16) -> Vec<u8> {
    let mut key = key::text("app");
    key.push(1);
    key.extend_from_slice(&start.to_be_bytes());
    key.push(0);
    key.extend_from_slice(&end.to_be_bytes());
    key
}

/// The key of the bundle that it is in.
fn bundle_key(start: u16) -> Vec<u8> {
    let mut key = value_key(start, 0);
    key.truncate(key.len() - 2);
    key
}

fn put(tables: &Tables, keys: impl IntoIterator<Item = Vec<u8>>) {
    let writes: Writes = keys
        .into_iter()
        .map(|key| ((Table::Values, key), Some(b"null".to_vec())))
        .collect();
    tables.writer().apply(&writes).unwrap();
}

/// What the database itself has of a table.
fn stored(tables: &Tables, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = tables.database.range(table as usize, Vec::new(), None);
    pairs.collect::<Result<_, _>>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is written, removed and written again, in a bundle or beside a full one.
    #[test]
    fn a_table_kept_in_bundles_holds_what_any_table_holds(
        // Some 80 values with one start after a round: more than a bundle holds.
        rounds in vec(vec((0_u16..2, 0_u16..110, weighted(0.85, any::<u8>())), 0..400), 1..6),
        from in (0_u16..2, 0_u16..110),
        to in (0_u16..2, 0_u16..110),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let tables = new_tables(folder.path());
        let mut model = BTreeMap::new();
        for round in rounds {
            let mut writes = Writes::new();
            for (start, end, value) in round {
                let value = value.map(|value| vec![value; usize::from(value % 8)]);
                writes.insert((Table::Values, value_key(start, end)), value);
            }
            tables.writer().apply(&writes).unwrap();
            for ((_, key), value) in writes {
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
            for (start, end) in (0..2).flat_map(|start| (0..110).map(move |end| (start, end))) {
                let key = value_key(start, end);
                let found = tables.get(Table::Values, &key).unwrap();
                prop_assert_eq!(found.as_ref(), model.get(&key));
            }
            let read = |from: Vec<u8>, to: Option<Vec<u8>>| -> Vec<(Vec<u8>, Vec<u8>)> {
                let mut found: Vec<_> = tables
                    .range(Table::Values, from, to)
                    .map(Result::unwrap)
                    .collect();
                found.sort();
                found
            };
            let all: Vec<_> = model.clone().into_iter().collect();
            prop_assert_eq!(&read(Vec::new(), None), &all);
            prop_assert_eq!(read(key::text("app"), key::after(&key::text("app"))), all);
            let (from, to) = (value_key(from.0, from.1), value_key(to.0, to.1));
            let between: Vec<_> = model
                .iter()
                .filter(|(key, _)| **key >= from && **key < to)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            prop_assert_eq!(read(from, Some(to)), between);
            tables.verify().unwrap();
        }
    }

    /// No panic, and nothing but what a bundle can be.
    #[test]
    fn a_bundle_of_any_bytes_is_read_or_refused(payload in vec(any::<u8>(), 0..60)) {
        let stored = [Ok((bundle_key(7), payload))].into_iter();
        let read: Result<Vec<_>, _> = bundle::spread(Table::Values, stored).collect();
        if let Ok(pairs) = read {
            prop_assert!(pairs.is_sorted());
            prop_assert!(pairs.iter().all(|(key, _)| key.starts_with(&bundle_key(7))));
        }
    }
}

#[test]
fn values_that_start_alike_are_one_value_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let tables = new_tables(folder.path());
    put(&tables, (0..64).map(|end| value_key(7, end)));
    put(&tables, (0..10).map(|start| value_key(start + 8, 0)));
    assert_eq!(stored(&tables, Table::Values).len(), 1 + 10);
    // A bundle does not grow without end: what comes late has a key of its own.
    put(&tables, (64..164).map(|end| value_key(7, end)));
    assert_eq!(stored(&tables, Table::Values).len(), 1 + 10 + 100);
}

/// Fails without `MOST_BYTES`.
#[test]
fn a_bundle_of_large_values_is_not_a_large_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let tables = new_tables(folder.path());
    let text = format!("\"{}\"", "x".repeat(500)).into_bytes();
    let all = 0..40;
    let writes: Writes = all
        .clone()
        .map(|end| ((Table::Values, value_key(7, end)), Some(text.clone())))
        .collect();
    tables.writer().apply(&writes).unwrap();
    let stored = stored(&tables, Table::Values);
    assert!(stored.iter().all(|(_, value)| value.len() < 5_000));
    assert!(stored.len() < 40, "some share a bundle");
    for end in all {
        let found = tables.get(Table::Values, &value_key(7, end)).unwrap();
        assert_eq!(found.as_deref(), Some(text.as_slice()), "{end}");
    }
    tables.verify().unwrap();
    // One that is too large for any bundle is in its own.
    let large = vec![b'1'; 10_000];
    let key = value_key(8, 0);
    let writes: Writes = [((Table::Values, key.clone()), Some(large.clone()))].into();
    tables.writer().apply(&writes).unwrap();
    assert_eq!(tables.get(Table::Values, &key).unwrap(), Some(large));
}

#[test]
fn a_bundle_is_gone_with_its_last_value() {
    let folder = tempfile::tempdir().unwrap();
    let tables = new_tables(folder.path());
    put(&tables, (0..5).map(|end| value_key(7, end)));
    let writes: Writes = (0..5)
        .map(|end| ((Table::Values, value_key(7, end)), None))
        .collect();
    tables.writer().apply(&writes).unwrap();
    assert!(stored(&tables, Table::Values).is_empty());
    tables.verify().unwrap();
}

/// A reader looks at the bundle first and then beside it: what was moved meanwhile would be absent.
#[test]
fn what_has_its_own_key_keeps_it_when_its_bundle_has_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let tables = new_tables(folder.path());
    put(&tables, (0..65).map(|end| value_key(7, end)));
    let own = stored(&tables, Table::Values)[1].0.clone();
    assert_eq!(own, value_key(7, 64));
    let writes = Writes::from([((Table::Values, value_key(7, 0)), None)]);
    tables.writer().apply(&writes).unwrap();
    put(&tables, [own.clone()]);
    let keys: Vec<_> = stored(&tables, Table::Values);
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[1].0, own);
    // The room is for the next.
    put(&tables, [value_key(7, 70)]);
    assert_eq!(stored(&tables, Table::Values).len(), 2);
    assert_eq!(tables.prefix(Table::Values, &[]).count(), 65);
}

#[test]
fn a_damaged_bundle_is_an_error_for_everything_in_it_and_absence_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let tables = new_tables(folder.path());
    put(&tables, (0..5).map(|end| value_key(7, end)));
    put(&tables, [value_key(8, 0)]);
    let (bundle, sealed) = stored(&tables, Table::Values).swap_remove(0);
    for position in 0..sealed.len() {
        let mut damaged = sealed.clone();
        damaged[position] ^= 0x10;
        write_raw(&tables, &bundle, &damaged);
        for end in [0, 4, 9] {
            assert!(tables.get(Table::Values, &value_key(7, end)).is_err());
        }
        assert!(
            tables
                .prefix(Table::Values, &bundle)
                .any(|pair| pair.is_err())
        );
        let writes = Writes::from([((Table::Values, value_key(7, 1)), None)]);
        assert!(tables.writer().apply(&writes).is_err());
    }
    assert!(
        tables
            .get(Table::Values, &value_key(8, 0))
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_bundle_that_is_not_what_we_write_is_refused_though_its_checksum_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let tables = new_tables(folder.path());
    put(&tables, [value_key(7, 0)]);
    let bundle = bundle_key(7);
    let twice = [0, 0, 0, 1, b'a', 0, 0, 0, 0];
    let unsorted = [[0].as_slice(), &twice, &twice].concat();
    for payload in [&[][..], &[9], &[0, 0, 0], &[0, 0, 0, 0, 1], &unsorted] {
        write_raw(&tables, &bundle, &codec::seal("values", &bundle, payload));
        let error = tables.get(Table::Values, &value_key(7, 0)).unwrap_err();
        assert!(error.to_string().contains("sorted list"), "{error}");
    }
}

fn write_raw(tables: &Tables, key: &[u8], value: &[u8]) {
    tables
        .database
        .transaction(|transaction| {
            transaction.put(Table::Values as usize, key, value)?;
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_key_of_a_table_that_is_kept_in_bundles_has_one() {
    let hash = [0; 16];
    let owner = [key::text("app"), vec![1], hash.to_vec()].concat();
    assert_eq!(bundle::bundle_length(Table::Owners, &owner), Some(8));
    let value = [key::text("app"), vec![1], hash.to_vec(), key::text("a.b")].concat();
    assert_eq!(bundle::bundle_length(Table::Values, &value), Some(9));
    let note = [
        key::text("corp"),
        vec![1],
        vec![0; 8],
        vec![1],
        hash.to_vec(),
    ]
    .concat();
    assert_eq!(bundle::bundle_length(Table::Changes, &note), Some(18));
    let page_note = [key::text("corp"), vec![5], vec![0; 8], vec![1, 0, 0]].concat();
    assert!(bundle::is_bundle(Table::Changes, &page_note));
    // What several of them start with has none.
    assert_eq!(
        bundle::bundle_length(Table::Values, &key::text("app")),
        None
    );
    assert_eq!(bundle::bundle_length(Table::Values, b"app"), None);
}
