//! What must hold for any CSV file: nothing is lost on the way in, and no cut passes unseen
//! but one between two rows.

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use provisor_connectors::Kind;

use super::folder::{Folder, values};

/// Cells with everything that CSV treats in its own way, already trimmed.
fn cell() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\""),
        Just(","),
        Just(";"),
        Just("\n"),
        Just("\r\n"),
        Just(" "),
        Just("\r"),
        Just("\0"),
        Just("é"),
        Just("佐"),
        Just("\u{feff}"),
        Just("a"),
        Just("bc"),
        Just("\t"),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat().trim().to_owned())
}

fn rows() -> impl Strategy<Value = Vec<[String; 3]>> {
    vec([cell(), cell(), cell()], 0..8)
}

fn written(rows: &[[String; 3]], crlf: bool, quote_all: bool) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(if crlf {
            csv::Terminator::CRLF
        } else {
            csv::Terminator::Any(b'\n')
        })
        .quote_style(if quote_all {
            csv::QuoteStyle::Always
        } else {
            csv::QuoteStyle::Necessary
        })
        .from_writer(Vec::new());
    writer.write_record(["id", "a", "b", "c"]).unwrap();
    for (number, [a, b, c]) in rows.iter().enumerate() {
        writer.write_record([&number.to_string(), a, b, c]).unwrap();
    }
    writer.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(rows in rows(), crlf: bool, quote_all: bool) {
        let read = Folder::with_users(written(&rows, crlf, quote_all)).read().unwrap();
        prop_assert_eq!(read.records.len(), rows.len());
        for (number, (record, row)) in read.records.iter().zip(&rows).enumerate() {
            prop_assert_eq!(record.id.as_str(), number.to_string());
            for (name, cell) in ["a", "b", "c"].into_iter().zip(row) {
                let expected: Vec<String> = match cell.as_str() {
                    "" => Vec::new(),
                    cell => vec![cell.to_owned()],
                };
                prop_assert_eq!(values(record, name), expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_is_an_error_unless_it_is_between_two_rows(
        rows in rows(), crlf: bool, quote_all: bool,
    ) {
        let whole = written(&rows, crlf, quote_all);
        // Where rows end, known from writing fewer of them.
        let ends: Vec<usize> = (0..=rows.len())
            .map(|kept| written(&rows[..kept], crlf, quote_all).len())
            .collect();
        let folder = Folder::with_users(&whole);
        for length in 0..=whole.len() {
            fs::write(folder.path("people.csv"), &whole[..length]).unwrap();
            match (folder.read(), ends.iter().position(|end| *end == length)) {
                (Ok(read), Some(kept)) => prop_assert_eq!(read.ids(Kind::User).len(), kept),
                (Err(_), None) => {}
                (result, kept) => {
                    prop_assert!(false, "{length} of {} bytes, {kept:?}: {result:?}", whole.len());
                }
            }
        }
    }
}
