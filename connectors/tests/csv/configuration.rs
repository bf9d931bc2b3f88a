//! What is judged before a read: the keys, and what `check` says.

use std::collections::BTreeSet;

use provisor_connectors::{Kind, SourceConfig};

use super::folder::{Folder, PEOPLE, parse};

#[test]
fn a_wrong_configuration_is_refused() {
    for keys in [
        "groups = \"groups.csv\"",
        "users = \"people.csv\"\nuser = \"x\"",
        "users = \"people.csv\"\ndelimiter = \"\"",
        "users = \"people.csv\"\ndelimiter = \",,\"",
        "users = \"people.csv\"\ndelimiter = \"\\\"\"",
        "users = \"people.csv\"\ndelimiter = \"é\"",
        "users = \"people.csv\"\nseparator = \"\"",
        "users = \"people.csv\"\nfinal_newline = \"maybe\"",
    ] {
        assert!(parse(keys).is_err(), "{keys}");
    }
    for keys in [
        "groups = \"g.csv\"\ngroup_column = \"team\"",
        "id_column = \"active\"",
        "group_column = \"active\"",
        "multi_valued = [\"id\"]",
        "multi_valued = [\"active\"]",
    ] {
        let config = parse(&format!("users = \"people.csv\"\n{keys}")).unwrap();
        assert!(config.validate().is_err(), "{keys}");
    }
    let config = parse("users = \"people.csv\"\ndelimiter = \"\\t\"").unwrap();
    assert!(config.validate().is_ok());
    let written = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<SourceConfig>(&written).unwrap(), config);
}

#[test]
fn check_reads_the_headers_and_fails_as_a_read_would() {
    let facts = Folder::with_groups(PEOPLE, "id,displayName,members\n")
        .check()
        .unwrap();
    assert_eq!(
        facts.lines,
        [
            "3 columns in people.csv, 2 people",
            "3 columns in groups.csv"
        ]
    );
    assert_eq!(
        facts.attributes[&Kind::User],
        BTreeSet::from(["id".to_owned(), "mail".to_owned()])
    );
    assert_eq!(
        facts.attributes[&Kind::Group],
        BTreeSet::from(["displayName".to_owned(), "id".to_owned()])
    );
    let folder = Folder::with_users("id,teams\n1,red\n").set("group_column = \"teams\"");
    let facts = folder.check().unwrap();
    assert_eq!(
        facts.attributes[&Kind::Group],
        BTreeSet::from(["displayName".to_owned()])
    );

    assert!(Folder::with_users("id\n1\n1\n").check().is_err());
    assert!(
        Folder::with_groups(PEOPLE, "id,members\ng\n")
            .check()
            .is_err()
    );
    let many: String = (0..5_000).map(|number| format!("{number}\n")).collect();
    let facts = Folder::with_users(format!("id\n{many}")).check().unwrap();
    assert_eq!(
        facts.lines[0],
        "1 column in people.csv, 1,000 people or more"
    );
}
