use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::digest::digest;
use crate::ldap::config::LdapConfig;
use crate::ldap::dn::Dn;
use crate::ldap::entry::tests::entry;
use crate::ldap::flavor::Flavor;
use crate::source::Kind;

const BELOW: &str = "below:ou=people,dc=x";
const MATCHES: &str = "matches:(title=a)";

fn settings() -> Settings {
    let config: LdapConfig = toml::from_str(
        "url = 'ldaps://dc1.example.com'\nbind_dn = 'cn=x'\nbind_password = { env = 'X' }\n\
         reference_attributes = ['manager', 'secretary']\n[users]\nbase = 'ou=people,dc=x'",
    )
    .unwrap();
    Settings::new(&config, Flavor::OpenLdap)
}

fn index() -> Index {
    let mut index = Index::default();
    for (id, name) in [
        ("9", "uid=ana,ou=people,dc=x"),
        ("1", "uid=ben,ou=people,dc=x"),
    ] {
        let dn = Dn::parse(name).unwrap();
        index.insert(Kind::User, &SourceId::new(id), &dn).unwrap();
    }
    index
}

fn answers(matched: &[&str]) -> Answers {
    let mut answers = Answers::default();
    answers.add_place(
        BELOW.to_owned(),
        Dn::parse("ou=people,dc=x").expect("a name"),
    );
    let matched = matched.iter().map(|id| digest(id.as_bytes()));
    answers.add_matched(MATCHES.to_owned(), matched.collect());
    answers
}

/// What a built record holds; `None` where somebody is missing.
fn built(
    entry: &Entry,
    id: &SourceId,
    requested: &BTreeSet<String>,
    answers: &Answers,
) -> Option<Vec<u8>> {
    let mut attributes = entry.attributes(Some(requested));
    answers.give(&mut attributes, id, &entry.dn);
    let missing = people::resolve_references(&mut attributes, &settings(), &index());
    let mut content = Content::default();
    content.record(&Lifecycle::Active, &attributes);
    missing.names.is_empty().then(|| content.bytes().to_vec())
}

fn written(
    entry: &Entry,
    id: &SourceId,
    requested: &BTreeSet<String>,
    answers: &Answers,
) -> Option<Vec<u8>> {
    let lifecycle = &Lifecycle::Active;
    let person = Person {
        entry,
        id,
        lifecycle,
    };
    let mut content = Content::default();
    let requested: Vec<Description<'_>> = requested
        .iter()
        .map(|name| Description::new(name.as_str()))
        .collect();
    let written = person.write(&requested, &settings(), answers, &index(), &mut content);
    written.then(|| content.bytes().to_vec())
}

#[test]
fn who_names_somebody_not_read_yet_is_not_written_down() {
    let requested = BTreeSet::from(["manager".to_owned()]);
    let id = SourceId::new("5");
    let of = |manager: &str| {
        let entry = entry(
            "uid=eva,ou=people,dc=x",
            &[("manager", &[manager.as_bytes()])],
        );
        written(&entry, &id, &requested, &Answers::default())
    };
    let nothing = of("uid=boss,ou=elsewhere,dc=y");
    assert!(nothing.is_some(), "nobody of this source");
    assert_eq!(of("uid=new,ou=people,dc=x"), None);
    let known = of("UID=Ben,OU=People,DC=X");
    assert!(known.is_some() && known != nothing);
}

proptest! {
    #[test]
    fn what_is_written_down_is_what_a_built_record_holds(
        sent in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "mail", "MAIL", "mail;lang-de", "title", "title;binary", "manager",
                    "Secretary", "objectGUID", "dn", "manager;range=0-1",
                ]),
                prop::collection::vec(
                    prop::sample::select(vec![
                        "", " ", "a", " a ", "B", "\u{e9}", "0123456789abcdef",
                        "uid=ana,ou=people,dc=x", "UID=BEN, ou=people,dc=x",
                        "uid=new,ou=people,dc=x", "uid=x,dc=y",
                    ]),
                    0..4,
                ),
            ),
            0..8,
        ),
        name in prop::sample::select(vec!["uid=eva,ou=people,dc=x", "uid=eva,dc=x"]),
        requested in prop::collection::btree_set(
            prop::sample::select(vec![
                "mail", "Mail", "mail;lang-de", "title", "manager", "SECRETARY", "objectguid",
                "dn", "absent",
            ]),
            0..9,
        ),
        asks in any::<bool>(),
        matched in any::<bool>(),
    ) {
        let values: Vec<Vec<&[u8]>> = sent
            .iter()
            .map(|(_, values)| values.iter().map(|value| value.as_bytes()).collect())
            .collect();
        let sent: Vec<(&str, &[&[u8]])> = sent
            .iter()
            .zip(&values)
            .map(|((name, _), values)| (*name, values.as_slice()))
            .collect();
        let entry = entry(name, &sent);
        let mut requested: BTreeSet<String> = requested.into_iter().map(str::to_owned).collect();
        let answers = match asks {
            true => answers(if matched { &["5"] } else { &["6"] }),
            false => Answers::default(),
        };
        if asks {
            requested.extend([BELOW, MATCHES].map(str::to_owned));
        }
        let id = SourceId::new("5");
        prop_assert_eq!(
            written(&entry, &id, &requested, &answers),
            built(&entry, &id, &requested, &answers)
        );
    }
}
