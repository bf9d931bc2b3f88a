use proptest::prelude::*;
use serde_json::json;

use super::*;

fn ana() -> Value {
    json!({
        "schemas": [crate::scim::USER_SCHEMA],
        "id": "Ab",
        "externalId": "E-1",
        "userName": "Ana",
        "active": true,
        "name": {"familyName": "O'Malley"},
        "title": "",
        "emails": [
            {"type": "work", "value": "ana@example.com", "primary": true},
            {"type": "home", "value": "ana@home.example"},
        ],
        "meta": {"lastModified": "2026-05-13T04:42:34Z"},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "7"},
        "floor": 3,
    })
}

fn finds(filter: &str) -> bool {
    let filter = parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    matches(&filter, &ana())
}

#[test]
fn conditions_that_hold() {
    for filter in [
        "userName eq \"ana\"",
        "USERNAME EQ \"ANA\"",
        "userName ne \"bo\"",
        "userName co \"n\"",
        "userName sw \"a\"",
        "userName ew \"A\"",
        "userName gt \"amy\" and userName lt \"bo\"",
        "urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"ana\"",
        "name.familyName co \"o'm\"",
        "id eq \"Ab\" and externalId eq \"E-1\"",
        "active eq true",
        "not (active eq false)",
        "title eq null",
        "not (title pr)",
        "userName pr",
        "emails pr and not(phoneNumbers pr)",
        "emails co \"@example.com\"",
        "emails.type eq \"home\"",
        "emails[type eq \"WORK\" and value co \"@example\"]",
        "emails[not (type eq \"work\") and primary ne true]",
        "meta.lastModified gt \"2026-05-13T04:42:33Z\"",
        "meta.lastModified eq \"2026-05-13T06:42:34+02:00\"",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber eq \"7\"",
        "floor ge 3 and floor le 3.0 and floor lt 10",
        "userName eq \"bo\" or userName eq \"ana\" and active eq true",
        "(userName eq \"ana\" or userName eq \"bo\") and emails[type eq \"work\"]",
        "schemas eq \"urn:ietf:params:scim:schemas:core:2.0:User\"",
        "displayName ne \"x\"",
    ] {
        assert!(finds(filter), "{filter}");
    }
}

#[test]
fn conditions_that_do_not_hold() {
    for filter in [
        "id eq \"ab\"",
        "externalId sw \"e\"",
        "active eq \"true\"",
        "userName eq 1",
        "emails[type eq \"work\" and value co \"home\"]",
        "phoneNumbers[type eq \"work\"]",
        "userName eq \"ana\" and (active eq false or title pr)",
        "displayName eq \"x\"",
        "floor gt 3",
    ] {
        assert!(!finds(filter), "{filter}");
    }
}

#[test]
fn errors_say_where() {
    let problem = |text: &str| parse(text).expect_err(text).to_string();
    insta::assert_snapshot!(
        [
            "",
            "userName",
            "userName eq",
            "userName eq ana",
            "userName is \"ana\"",
            "userName eq \"ana",
            "userName eq \"é\" x",
            "(userName pr",
            "emails[type eq \"work\"",
            "emails[a[b pr]]",
            "active gt true",
            "userName co 1",
            "userName eq [1]",
            "userName eq \"a\" and",
        ]
        .map(problem)
        .join("\n")
    );
}

#[test]
fn length_and_depth_are_bounded() {
    let deep = format!("{}a pr{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
    assert!(parse(&deep).is_ok());
    let deeper = format!("({deep})");
    assert!(
        parse(&deeper)
            .unwrap_err()
            .problem
            .contains("nested deeper")
    );
    let nots = format!("{}a pr{}", "not(".repeat(2000), ")".repeat(2000));
    assert!(parse(&nots).is_err());
    let long = equals("userName", &"x".repeat(MAX_LENGTH));
    assert!(parse(&long).unwrap_err().problem.contains("longer"));
}

#[test]
fn patch_paths_are_parsed() {
    let target = parse_target("urn:ietf:x:User:emails[type eq \"work\"].value").unwrap();
    assert_eq!(target.attribute.schema.as_deref(), Some("urn:ietf:x:User"));
    assert_eq!(target.attribute.name, "emails");
    assert_eq!(target.attribute.sub.as_deref(), Some("value"));
    assert!(target.filter.is_some());
    for bad in [
        "",
        "name.",
        "a.b.c",
        "emails[",
        "emails[]",
        "a.b[c pr]",
        "emails[a pr]b",
    ] {
        assert!(parse_target(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn a_written_value_is_found_whatever_it_holds(value in any::<String>()) {
        let filter = parse(&equals("id", &value)).unwrap();
        let assigned = !value.is_empty();
        prop_assert_eq!(matches(&filter, &json!({"id": value})), assigned);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z.\\[\\]()\" 0-9é:$-]{0,60}") {
        let _ = parse(&text);
        let _ = parse_target(&text);
    }
}
