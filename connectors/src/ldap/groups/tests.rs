use proptest::prelude::*;

use super::*;
use crate::ldap::config::LdapConfig;
use crate::ldap::entry::tests::entry;
use crate::ldap::flavor::Flavor;
use crate::source::{Kind, SourceId};

fn settings(flavor: Flavor) -> Settings {
    let config: LdapConfig = toml::from_str(
        "url = 'ldaps://dc1.example.com'\nbind_dn = 'cn=x'\nbind_password = { env = 'X' }\n\
         [users]\nbase = 'ou=people,dc=x'\n[groups]\nbase = 'ou=groups,dc=x'",
    )
    .unwrap();
    Settings::new(&config, flavor)
}

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

/// Two people and a group.
fn index() -> (Index, [Number; 3]) {
    let mut index = Index::default();
    let mut add =
        |kind, id: &str, name: &str| index.insert(kind, &SourceId::new(id), &dn(name)).unwrap();
    let ana = add(Kind::User, "1", "uid=ana,ou=people,dc=x");
    let ben = add(Kind::User, "2", "cn=Smith\\, Ben,ou=people,dc=x");
    let group = add(Kind::Group, "1", "cn=inner,ou=groups,dc=x");
    index.insert_user_name("ana", ana);
    index.insert_user_name("ben", ben);
    (index, [ana, ben, group])
}

#[test]
fn members_are_found_in_every_style() {
    let (index, [ana, ben, inner]) = index();
    let styles: [(&str, &[&[u8]]); 3] = [
        (
            "member",
            &[
                b"UID=Ana,OU=People,DC=X",
                b"cn=\"smith, ben\",ou=people,dc=x",
                b"cn=inner,ou=groups,dc=x",
            ],
        ),
        (
            "uniqueMember",
            &[
                b"uid=ana,ou=people,dc=x#'0101'B",
                b"cn=Smith\\2c Ben,ou=people,dc=x",
                b"cn=inner,ou=groups,dc=x",
            ],
        ),
        ("memberUid", &[b"ana", b"BEN", b"nobody"]),
    ];
    for (name, values) in styles {
        let group = entry("cn=g,ou=groups,dc=x", &[(name, values)]);
        let found = find_members(&group, &settings(Flavor::OpenLdap), &index);
        let mut expected = BTreeSet::from([ana, ben]);
        if name != "memberUid" {
            expected.insert(inner);
        }
        assert_eq!(found.members, expected, "{name}");
        assert!(found.missing.is_empty(), "{name}");
    }
}

#[test]
fn members_outside_the_bases_and_dummies_are_left_out_and_unknown_ones_looked_for() {
    let (index, [ana, ..]) = index();
    let members: &[&[u8]] = &[
        b"cn=dummy",
        b"",
        b"not a name",
        b"cn=S-1-5-21-1,CN=ForeignSecurityPrincipals,dc=x",
        b"uid=ana,ou=people,dc=x",
        b"uid=new,ou=people,dc=x",
        b"UID=NEW,ou=people,dc=x",
    ];
    let group = entry("cn=g,ou=groups,dc=x", &[("member", members)]);
    let found = find_members(&group, &settings(Flavor::OpenLdap), &index);
    assert_eq!(found.members, BTreeSet::from([ana]));
    assert_eq!(found.missing.len(), 1);
    assert_eq!(found.missing_names, [dn("uid=new,ou=people,dc=x")]);
}

#[test]
fn a_primary_group_has_those_who_name_it() {
    let (mut index, [ana, ben, _]) = index();
    let group_sid = [1, 1, 0, 0, 0, 0, 0, 5, 1, 2, 0, 0];
    index.insert_primary_group(&group_sid, ana);
    let group = entry(
        "cn=Domain Users,ou=groups,dc=x",
        &[
            ("objectSid", &[&group_sid]),
            ("member", &[b"cn=Smith\\, Ben,ou=people,dc=x"]),
        ],
    );
    let found = find_members(&group, &settings(Flavor::ActiveDirectory), &index);
    assert_eq!(found.members, BTreeSet::from([ana, ben]));
    let found = find_members(&group, &settings(Flavor::OpenLdap), &index);
    assert_eq!(found.members, BTreeSet::from([ben]));
}

fn part(first: u64, last: Option<u64>, values: usize) -> Range {
    let values = (0..values).map(|number| number.to_string().into_bytes());
    Range {
        first,
        last,
        values: values.collect(),
    }
}

#[test]
fn parts_are_joined_only_without_a_gap() {
    let mut whole = Whole::default();
    assert_eq!(whole.append(part(0, Some(1), 2)), Ok(Some(2)));
    assert_eq!(whole.append(part(2, None, 1)), Ok(None));
    assert_eq!(whole.values.len(), 3);
    let wrong = [
        part(0, None, 1),
        part(4, None, 1),
        part(3, Some(5), 2),
        part(3, Some(3), 0),
        part(3, Some(u64::MAX), 1),
    ];
    for part in wrong {
        assert_eq!(whole.append(part.clone()), Err(Gap), "{part:?}");
    }
    assert_eq!(Whole::default().append(part(0, None, 0)), Ok(None));
}

proptest! {
    #[test]
    fn a_list_in_any_parts_is_the_list(sizes in prop::collection::vec(1_usize..9, 1..9)) {
        let mut whole = Whole::default();
        let mut first = 0_u64;
        for (position, size) in sizes.iter().enumerate() {
            let end = first + *size as u64;
            let last = (position + 1 < sizes.len()).then_some(end - 1);
            prop_assert_eq!(whole.append(part(first, last, *size)), Ok(last.map(|_| end)));
            first = end;
        }
        prop_assert_eq!(whole.values.len() as u64, first);
    }
}
