use proptest::prelude::*;

use super::*;

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap_or_else(|_| panic!("{text}"))
}

#[test]
fn names_are_the_same_in_every_spelling() {
    let table = [
        ("cn=Ana,dc=example,dc=com", "CN=ana, DC=Example , dc=COM"),
        (
            "cn=Ana,dc=example",
            "2.5.4.3=Ana;0.9.2342.19200300.100.1.25=example",
        ),
        ("ou=a+cn=b,dc=x", "cn=B+ou=A,dc=x"),
        ("cn=Smith\\, Ana,dc=x", "cn=\"Smith, Ana\",dc=x"),
        ("cn=Smith\\, Ana,dc=x", "cn=smith\\2c  ana,dc=x"),
        (
            "cn=\\#1 \\\"x\\\" \\<y\\> a\\+b\\=c\\;d\\\\e,dc=x",
            "cn=\\231 \\22x\\22 \\3cy\\3e a\\2bb=c\\3bd\\5ce,dc=x",
        ),
        ("cn=J\\C3\\B6rg,dc=x", "cn=JÖRG,dc=x"),
        ("cn=\\ a\\ ,dc=x", "cn=a,dc=x"),
        ("1.2.3=#0403616263,dc=x", "1.2.3=abc,dc=x"),
        ("cn=,dc=x", "cn=,DC=X"),
        ("", ""),
    ];
    for (left, right) in table {
        assert_eq!(dn(left), dn(right), "{left}");
        assert_eq!(dn(left).key(), dn(right).key(), "{left}");
    }
}

#[test]
fn different_names_are_different() {
    let table = [
        ("cn=a,dc=x", "cn=b,dc=x"),
        ("cn=a,dc=x", "ou=a,dc=x"),
        ("cn=a,dc=x", "cn=a,cn=b,dc=x"),
        ("cn=a\\,dc\\=x", "cn=a,dc=x"),
        ("cn=a+ou=b", "cn=a,ou=b"),
        ("cn=a\\+ou\\=b", "cn=a+ou=b"),
        ("cn=ab,dc=x", "cn=a b,dc=x"),
        ("cn=\\ff,dc=x", "cn=\\fe,dc=x"),
    ];
    for (left, right) in table {
        assert_ne!(dn(left), dn(right), "{left}");
        assert_ne!(dn(left).key(), dn(right).key(), "{left}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    for text in [
        "ana",
        "cn",
        "=a",
        "cn=a,",
        "cn=a,,dc=x",
        "cn=a\\",
        "cn=\"a",
        "cn=a\\zb",
        "cn=a<b",
        "cn=#zz",
        "cn=#0",
        "c n=a",
        ",",
        "cn=a+",
        "cn=\\f",
    ] {
        assert_eq!(Dn::parse(text).err(), Some(DnError), "{text}");
    }
}

#[test]
fn a_name_is_within_its_parents_and_itself() {
    let person = dn("cn=a,OU=People,dc=Example,dc=com");
    for base in [
        "ou=people,dc=example,dc=com",
        "dc=com",
        "",
        "cn=A,ou=people,dc=example,dc=com",
    ] {
        assert!(person.is_within(&dn(base)), "{base}");
    }
    for base in [
        "ou=eople,dc=example,dc=com",
        "dc=example",
        "cn=b,cn=a,ou=people,dc=example,dc=com",
    ] {
        assert!(!person.is_within(&dn(base)), "{base}");
    }
    assert!(person.has_part(&dn("ou=PEOPLE")));
    assert!(!person.has_part(&dn("ou=groups")));
}

/// A name as RFC 4514 §2.4 writes it, of types and values.
fn written(parts: &[(String, String)]) -> String {
    let parts = parts.iter().map(|(name, value)| {
        let value: String = value
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
                _ => format!("\\{byte:02x}"),
            })
            .collect();
        format!("{name}={value}")
    });
    parts.collect::<Vec<_>>().join(",")
}

proptest! {
    #[test]
    fn nothing_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = Dn::parse(&text);
    }

    #[test]
    fn escapes_mean_what_they_stand_for(
        parts in prop::collection::vec(("[a-z]{1,5}", "\\PC{0,12}"), 0..4),
    ) {
        let name = dn(&written(&parts));
        prop_assert_eq!(name.parts().count(), parts.len());
        let shouted: Vec<(String, String)> = parts
            .iter()
            .map(|(name, value)| (name.to_uppercase(), format!("  {value} ")))
            .collect();
        prop_assert_eq!(&name, &dn(&written(&shouted)));
        let below = dn(&format!("cn=x{}{}", if parts.is_empty() { "" } else { "," }, written(&parts)));
        prop_assert!(below.is_within(&name) && !name.is_within(&below));
    }

    #[test]
    fn keys_are_equal_exactly_when_names_are(
        left in prop::collection::vec(("[ab]", "[ab ,+]{0,3}"), 0..3),
        right in prop::collection::vec(("[ab]", "[ab ,+]{0,3}"), 0..3),
    ) {
        let (left, right) = (dn(&written(&left)), dn(&written(&right)));
        prop_assert_eq!(left == right, left.key() == right.key());
    }
}

#[test]
fn the_place_of_an_entry_does_not_hold_its_own_name() {
    let table = [
        ("cn=Ana,ou=People,dc=x", "ou=People,dc=x"),
        ("CN=Albers\\, Ana , OU=P\\,x,DC=x", "OU=P\\,x,DC=x"),
        ("cn=\"Albers, Ana\",dc=x", "dc=x"),
        ("cn=back\\\\,dc=x", "dc=x"),
        ("dc=x", ""),
        ("", ""),
    ];
    for (name, place) in table {
        assert_eq!(Dn::parse(name).unwrap().place(), place, "{name}");
    }
}
