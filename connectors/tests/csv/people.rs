//! What a row says about a person.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex};

use provisor_connectors::{Content, Coverage, Kind, Lifecycle, ReadRequest, Unchanged};

use super::folder::{Folder, PEOPLE, members, values};

#[test]
fn people_carry_their_columns_and_their_lifecycle() {
    let read = Folder::with_users(PEOPLE).read().unwrap();
    assert_eq!(read.ids(Kind::User), ["1", "2"]);
    assert_eq!(read.records[0].lifecycle, Lifecycle::Active);
    assert_eq!(read.records[1].lifecycle, Lifecycle::Disabled);
    assert_eq!(read.records[0].members, members(&[]));
    let names: Vec<&String> = read.records[0].attributes.0.keys().collect();
    assert_eq!(
        names,
        ["id", "mail"],
        "the id is an attribute, the active column is not"
    );
    assert_eq!(values(&read.records[0], "mail"), ["ana@example.com"]);
    assert_eq!(
        read.batch.coverage,
        BTreeMap::from([(Kind::User, Coverage::Complete)])
    );
    assert_eq!(read.batch.cursor, None);
    assert!(read.batch.warnings.is_empty());
}

#[test]
fn cells_are_trimmed_and_empty_ones_are_absent() {
    let read = Folder::with_users("id, mail ,title\n 1 ,\" a@example.com \",   \n")
        .read()
        .unwrap();
    assert_eq!(read.ids(Kind::User), ["1"]);
    assert_eq!(values(&read.records[0], "mail"), ["a@example.com"]);
    assert!(!read.records[0].attributes.0.contains_key("title"));
}

#[test]
fn every_spelling_of_active_is_understood_and_nothing_else() {
    for (cell, expected) in [
        ("true", Some(Lifecycle::Active)),
        ("TRUE", Some(Lifecycle::Active)),
        ("1", Some(Lifecycle::Active)),
        ("Yes", Some(Lifecycle::Active)),
        ("false", Some(Lifecycle::Disabled)),
        ("0", Some(Lifecycle::Disabled)),
        ("NO", Some(Lifecycle::Disabled)),
        ("", None),
        ("y", None),
        ("enabled", None),
        ("2", None),
    ] {
        let folder = Folder::with_users(format!("id,active\n1,true\n2,{cell}\n"));
        match expected {
            Some(lifecycle) => {
                assert_eq!(folder.read().unwrap().records[1].lifecycle, lifecycle);
            }
            None => assert!(
                folder
                    .failure()
                    .starts_with("people.csv:3: the column `active` must say"),
                "{cell}: {}",
                folder.failure()
            ),
        }
    }
}

#[test]
fn without_an_active_column_all_are_active_and_a_named_one_is_missed() {
    let folder = Folder::with_users("id\n1\n");
    let read = folder.read().unwrap();
    assert_eq!(read.records[0].lifecycle, Lifecycle::Active);
    assert!(read.warnings().is_empty());

    let read = folder.set("active_column = \"enabled\"").read().unwrap();
    assert_eq!(read.records[0].lifecycle, Lifecycle::Active);
    assert!(read.warnings()[0].contains("no column `enabled`"));
}

#[test]
fn a_column_that_differs_in_case_is_not_taken_for_absent() {
    assert_eq!(
        Folder::with_users("id,Active\n1,false\n").failure(),
        "people.csv:1: no column `active`; did you mean `Active`? \
         Then set `active_column = \"Active\"`"
    );
    assert_eq!(
        Folder::with_users("ID\n1\n").failure(),
        "people.csv:1: no column `id`; did you mean `ID`? Then set `id_column = \"ID\"`"
    );
    let groups = Folder::with_groups("id\n1\n", "id,members,Member_Groups\ng,1,\n");
    assert_eq!(
        groups.failure(),
        "groups.csv:1: no column `member_groups`; did you mean `Member_Groups`? Then rename it"
    );
}

#[test]
fn a_missing_id_column_names_the_columns_there_are() {
    assert_eq!(
        Folder::with_users("key,mail\n1,a@example.com\n").failure(),
        "people.csv:1: no column `id`; there are `key`, `mail`; `id_column` can name another one"
    );
    assert!(
        Folder::with_users("id;mail\n1;x\n")
            .failure()
            .contains("set `delimiter`")
    );
    let read = Folder::with_users("key,on\n7,no\n")
        .set("id_column = \"key\"\nactive_column = \"on\"")
        .read()
        .unwrap();
    assert_eq!(read.ids(Kind::User), ["7"]);
    assert_eq!(read.records[0].lifecycle, Lifecycle::Disabled);
}

#[test]
fn a_header_alone_is_an_empty_source() {
    let read = Folder::with_groups("id,mail\n", "id,members\n")
        .read()
        .unwrap();
    assert!(read.records.is_empty());
    assert_eq!(read.batch.coverage.len(), 2);
}

#[test]
fn listed_columns_are_split_and_others_are_not() {
    let read = Folder::with_users("id,phones,title\n1, 11 ;; 22;,a;b\n2,;,\n")
        .set("multi_valued = [\"phones\"]")
        .read()
        .unwrap();
    assert_eq!(values(&read.records[0], "phones"), ["11", "22"]);
    assert_eq!(values(&read.records[0], "title"), ["a;b"]);
    assert!(!read.records[1].attributes.0.contains_key("phones"));

    let folder = Folder::with_users("id,phones\n1,11|22\n")
        .set("multi_valued = [\"phones\"]\nseparator = \"|\"");
    assert_eq!(
        values(&folder.read().unwrap().records[0], "phones"),
        ["11", "22"]
    );
    let folder = Folder::with_users("id\n1\n").set("multi_valued = [\"phones\"]");
    assert!(
        folder
            .failure()
            .starts_with("`multi_valued` names the column `phones`")
    );
}

#[test]
fn only_requested_attributes_are_kept() {
    let request = ReadRequest {
        attributes: Some(BTreeSet::from(["mail".to_owned(), "nickname".to_owned()])),
        ..ReadRequest::default()
    };
    let folder = Folder::with_groups(PEOPLE, "id,displayName,members\ng,G,1\n");
    let read = folder.read_only(request.clone()).unwrap();
    assert_eq!(read.records[0].attributes.0.len(), 1);
    assert_eq!(values(&read.records[0], "mail"), ["ana@example.com"]);
    assert!(read.of(Kind::Group)[0].attributes.0.is_empty());
    assert_eq!(
        read.of(Kind::Group)[0].members,
        members(&[(Kind::User, "1")])
    );
}

#[test]
fn the_example_files_are_read_without_a_warning() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/");
    let [people, groups] =
        ["people.csv", "groups.csv"].map(|name| fs::read(format!("{examples}{name}")).unwrap());
    let read = Folder::with_groups(people, groups).read().unwrap();
    assert_eq!(read.of(Kind::User).len(), 12);
    assert_eq!(read.of(Kind::Group).len(), 4);
    assert!(read.batch.warnings.is_empty());
    for person in read.of(Kind::User) {
        assert!(values(person, "mail")[0].ends_with("@example.com"));
    }
}

/// The content of everybody who was asked about, by id.
type Asked = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Answers every question about a person alike, and keeps what was asked.
fn answering(answer: bool) -> (ReadRequest, Asked) {
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    let unchanged = Unchanged::new(move |person, content| {
        noted
            .lock()
            .unwrap()
            .insert(person.to_owned(), content.to_vec());
        answer
    });
    let request = ReadRequest {
        unchanged: Some(unchanged),
        ..ReadRequest::default()
    };
    (request, asked)
}

// Fails when `AttributeColumns::write` and `AttributeColumns::attributes` part ways.
#[test]
fn what_is_asked_about_a_person_is_what_would_be_given() {
    let folder = Folder::with_users(
        "id,active,mail,tags,none\n1,true, ana@example.com ,a; ;b;,\n2,no,,; ;,x\n3,1,c@example.com,d,\n",
    )
    .set("multi_valued = [\"tags\"]");
    let (request, asked) = answering(false);
    let read = folder.read_only(request).unwrap();
    let mut content = Content::default();
    let given: BTreeMap<String, Vec<u8>> = read
        .records
        .iter()
        .map(|record| {
            content.record(&record.lifecycle, &record.attributes);
            (record.id.to_string(), content.bytes().to_vec())
        })
        .collect();
    assert_eq!(given.len(), 3);
    assert_eq!(*asked.lock().unwrap(), given);
}

#[test]
fn who_is_unchanged_is_not_given_and_still_counts_as_read() {
    let (request, _) = answering(true);
    let folder = Folder::with_groups(PEOPLE, "id,displayName,members\ng,G,1;2\n");
    let read = folder.read_only(request.clone()).unwrap();
    assert_eq!(read.ids(Kind::User), Vec::<String>::new());
    assert_eq!(
        read.records[0].members,
        members(&[(Kind::User, "1"), (Kind::User, "2")]),
        "members are known"
    );
    assert_eq!(read.batch.coverage[&Kind::User], Coverage::Complete);

    let twice = Folder::with_users("id,mail\n1,a@example.com\n1,a@example.com\n");
    let error = twice.read_only(request).unwrap_err().to_string();
    assert!(error.contains("already on line 2"), "{error}");
}
