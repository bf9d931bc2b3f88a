use proptest::prelude::*;

use super::*;
use crate::ldap::message::{OCTETS, SEQUENCE, push_element};

/// An element of these parts.
fn list(tag: u8, parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_element(&mut bytes, tag, &Vec::from_iter(parts).concat());
    bytes
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    list(OCTETS, [bytes.to_vec()])
}

/// An entry as a server sends it.
pub(in crate::ldap) fn entry(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Entry {
    let attributes = attributes.iter().map(|(name, values)| {
        let values = list(SET, values.iter().map(|value| octets(value)));
        list(SEQUENCE, [octets(name.as_bytes()), values])
    });
    let content = [octets(dn.as_bytes()), list(SEQUENCE, attributes)].concat();
    Entry::decode(&content).expect("it is an entry")
}

const SET: u8 = 0x31;

#[test]
fn what_is_made_of_no_parts_is_no_attribute() {
    let attribute = [octets(b"mail"), list(SET, [octets(b"a@example.com")])].concat();
    let of_tag = |tag: u8| {
        let attributes = list(SEQUENCE, [list(tag, [attribute.clone()])]);
        Entry::decode(&[octets(b"cn=x"), attributes].concat())
    };
    assert!(of_tag(SEQUENCE).is_ok_and(|entry| entry.has("mail")));
    assert_eq!(of_tag(OCTETS), Err(Malformed));
}

fn asked(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn texts(attributes: &Attributes, name: &str) -> Vec<String> {
    let values = attributes.values(name).iter();
    values.map(ToString::to_string).collect()
}

#[test]
fn attributes_are_spelled_as_they_were_asked_for_and_sorted() {
    let entry = entry(
        "uid=ana,dc=x",
        &[
            (
                "MAIL",
                &[b"b@example.com", b" a@example.com ", b"b@example.com"],
            ),
            ("givenname", &[b"Ana"]),
            ("empty", &[b"", b"  "]),
        ],
    );
    let requested = asked(&["mail", "givenName", "GivenName", "empty", "dn", "absent"]);
    let attributes = entry.attributes(Some(&requested));
    assert_eq!(
        texts(&attributes, "mail"),
        ["a@example.com", "b@example.com"]
    );
    assert_eq!(texts(&attributes, "givenName"), ["Ana"]);
    assert_eq!(texts(&attributes, "GivenName"), ["Ana"]);
    assert_eq!(texts(&attributes, "dn"), ["uid=ana,dc=x"]);
    assert_eq!(attributes.0.len(), 4);
    let names: Vec<String> = entry.attributes(None).0.into_keys().collect();
    assert_eq!(names, ["MAIL", "givenname"]);
}

#[test]
fn options_are_split_off_and_a_language_stands_in_only_for_nothing() {
    let entry = entry(
        "uid=ana,dc=x",
        &[
            ("cn;lang-de", &[b"Anna"]),
            ("cn", &[b"Ana"]),
            ("title;lang-de", &[b"Leiterin"]),
            ("userCertificate;binary", &[b"\xff\x00"]),
        ],
    );
    let requested = asked(&["cn", "cn;LANG-DE", "title", "userCertificate"]);
    let attributes = entry.attributes(Some(&requested));
    assert_eq!(texts(&attributes, "cn"), ["Ana"]);
    assert_eq!(texts(&attributes, "cn;LANG-DE"), ["Anna"]);
    assert_eq!(texts(&attributes, "title"), ["Leiterin"]);
    assert_eq!(texts(&attributes, "userCertificate"), ["/wA="]);
}

#[test]
fn ids_and_security_identifiers_are_written_as_administrators_know_them() {
    let guid: Vec<u8> = (0..16).collect();
    let sid = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    let entry = entry(
        "cn=a,dc=x",
        &[("objectGUID", &[&guid]), ("objectSid", &[&sid])],
    );
    let attributes = entry.attributes(Some(&asked(&["objectguid", "objectSid"])));
    assert_eq!(
        texts(&attributes, "objectguid"),
        ["03020100-0504-0706-0809-0a0b0c0d0e0f"]
    );
    assert_eq!(texts(&attributes, "objectSid"), ["S-1-5-18"]);
}

#[test]
fn a_part_of_a_list_is_never_taken_for_the_list() {
    let mut entry = entry(
        "cn=g,dc=x",
        &[("member", &[]), ("Member;Range=0-1", &[b"cn=a", b"cn=b"])],
    );
    assert_eq!(entry.values("member"), Vec::<&[u8]>::new());
    let range = entry.take_range("member").unwrap();
    assert_eq!(
        (range.first, range.last, range.values.len()),
        (0, Some(1), 2)
    );
    entry.set_values("member", vec![b"cn=c".to_vec()]);
    assert_eq!(entry.values("MEMBER"), [b"cn=c"]);
    assert_eq!(entry.take_range("member"), None);
}

#[test]
fn only_ranges_are_ranges() {
    let table = [
        ("range=0-1499", Some((0, Some(1499)))),
        ("range=1500-*", Some((1500, None))),
        ("range=5-4", None),
        ("range=*-5", None),
        ("range=-5", None),
        ("range=0", None),
        ("lang-de", None),
        ("range=99999999999999999999-*", None),
    ];
    for (option, expected) in table {
        assert_eq!(parse_range(option), expected, "{option}");
    }
}

/// Any tree of elements.
fn elements() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| octets(&bytes));
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|parts| list(SEQUENCE, parts))
    })
}

proptest! {
    #[test]
    fn whatever_is_sent_is_an_entry_or_refused(
        name in "(cn=[a-z]{1,3})?",
        parts in prop::collection::vec(elements(), 0..4),
        cut in 0_usize..40,
    ) {
        let mut content = [octets(name.as_bytes()), list(SEQUENCE, parts)].concat();
        content.truncate(content.len().saturating_sub(cut.saturating_sub(20)));
        if let Ok(entry) = Entry::decode(&content) {
            let attributes = entry.attributes(None);
            prop_assert!(attributes.0.values().all(|values| !values.is_empty()));
        }
    }
}
