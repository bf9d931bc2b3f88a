//! Bad input of every kind, made up at random: the short form of the fuzz targets in `fuzz/`,
//! and the same checks. `PROPTEST_CASES=100000 cargo test --test bad_input` tries longer.
//!
//! Each strategy writes something near to what the parser expects, because bytes without any
//! shape are refused at the first of them.

#[path = "../../fuzz/src/checks.rs"]
pub mod checks;

mod deep;
mod samples;

use checks::SEPARATOR;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use samples::{ACCOUNTS, ANSWERS, AUDIT, CONFIGURATION, CSV, EXPRESSION, FILTER, PATH, STORED};

/// Text of these pieces, and now and then of any characters.
fn pieces(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> + use<> {
    let piece = prop_oneof![
        20 => select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<char>().prop_map(|any| any.to_string().into_bytes()),
        1 => any::<u8>().prop_map(|any| vec![any]),
    ];
    vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

/// A good text in which a few places were overwritten, cut out or doubled.
fn mutated(samples: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = (
        any::<prop::sample::Index>(),
        any::<u8>(),
        0..4_u8,
        1..40_usize,
    );
    (select(samples), vec(change, 0..6)).prop_map(|(sample, changes)| {
        let mut bytes = sample.as_bytes().to_vec();
        for (place, byte, how, length) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.drain(at..end)),
                _ => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
            }
        }
        bytes
    })
}

/// JSON as servers might write it: names and values that mean something, in wrong places.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    const NAMES: &[&str] = &[
        "id",
        "ID",
        "active",
        "members",
        "value",
        "type",
        "primary",
        "userName",
        "name",
        "givenName",
        "emails",
        "Resources",
        "totalResults",
        "nextCursor",
        "detail",
        "scimType",
        "Errors",
        "error",
        "filter",
        "supported",
        "maxResults",
        "patch",
        "pagination",
        "maxPageSize",
        "name.givenName",
        "title",
        "",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        "manager",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        select(
            &[
                "", "true", "False", "1", "work", "é", "e\u{301}", "-1", "1e999", " 7 "
            ][..]
        )
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((select(NAMES), inner), 0..8).prop_map(|fields| {
                Value::Object(
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        // The variable of the library, read here because a number in the code would win.
        cases: std::env::var("PROPTEST_CASES").map_or(200, |cases| cases.parse().expect("a number")),
        // What fails becomes a test beside the code that was wrong.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn csv_files(data in pieces(CSV, 60)) {
        checks::csv(&data);
    }

    #[test]
    fn configurations(data in pieces(CONFIGURATION, 24)) {
        checks::configuration(&data);
    }

    #[test]
    fn the_example_configuration_with_mistakes(
        data in mutated(&[include_str!("../../config.example.toml")]),
    ) {
        checks::configuration(&data);
    }

    #[test]
    fn expressions(data in pieces(EXPRESSION, 24)) {
        checks::expression(&data);
    }

    #[test]
    fn answers(json in json()) {
        checks::response(json.to_string().as_bytes());
    }

    #[test]
    fn answers_with_mistakes(data in mutated(&[
        r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":1,"Resources":[{"id":"1","userName":"ana","active":"True","emails":[{"value":"a@example.com","primary":true}]}],"nextCursor":"c"}"#,
        r#"{"Errors":[{"description":"taken","code":"409"}],"detail":"x","status":1e99}"#,
        "Fri, 06 Nov 2026 08:49:37 GMT",
        "99999999999999999999.999",
    ])) {
        checks::response(&data);
    }

    #[test]
    fn filters(data in pieces(FILTER, 24)) {
        checks::filter(&data);
    }

    #[test]
    fn paths(data in pieces(PATH, 10)) {
        checks::path(&data);
    }

    #[test]
    fn stored_values(data in mutated(STORED)) {
        checks::stored(&data);
    }

    #[test]
    fn account_files(data in pieces(ACCOUNTS, 30)) {
        checks::accounts(&data);
    }

    #[test]
    fn audit_logs(data in pieces(AUDIT, 16)) {
        checks::audit_log(&data);
    }

    #[test]
    fn answers_of_directories(data in mutated(ANSWERS)) {
        checks::directory(&data);
    }

    #[test]
    fn bytes_of_no_kind(data in vec(any::<u8>(), 0..200)) {
        for check in CHECKS {
            check(&data);
        }
    }
}

/// That sample is one: a mutation of it comes far.
#[test]
fn a_directory_that_answers_rightly_is_read() {
    let records = checks::read_directory(ANSWERS[0].as_bytes());
    assert_eq!(records.map(|records| records.len()), Ok(1));
}

/// All of them: what is good input for one is bad input for the others.
const CHECKS: [fn(&[u8]); 10] = [
    checks::csv,
    checks::directory,
    checks::configuration,
    checks::expression,
    checks::response,
    checks::filter,
    checks::path,
    checks::stored,
    checks::accounts,
    checks::audit_log,
];

/// What a fuzz target has found, as it was found.
#[test]
fn what_was_found_before() {
    // A schema that no filter can name: a path to it was taken, and then looked for in vain.
    checks::path(b"Urn:nkkkknnn)nnnnnnnnnnn:nkkkknnnnnnnnnnnnnnnkkkkkkkkkkkkkknkkkkkkkkkkkkkkk:gA");
    checks::path(b"urn:example:(x:a.b");
}

/// A sample that a check would pass over proves nothing.
#[test]
fn the_samples_are_what_they_are_meant_to_be() {
    use provisor::snapshot::{BasePoint, Intent, Link, MirrorRow, Open};
    serde_json::from_str::<Link>(STORED[0]).expect("a link");
    serde_json::from_str::<Intent>(STORED[1]).expect("an intent");
    serde_json::from_str::<Open>(STORED[2]).expect("an open row");
    serde_json::from_str::<MirrorRow>(STORED[3]).expect("a row");
    serde_json::from_str::<BasePoint>(STORED[4]).expect("a base point");
    serde_json::from_str::<provisor::snapshot::Progress>(STORED[5]).expect("progress");
    assert!(
        EXPRESSION
            .iter()
            .any(|piece| piece.as_bytes().contains(&SEPARATOR))
    );
}
