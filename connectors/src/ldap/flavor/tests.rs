use super::*;
use crate::ldap::entry::tests::entry;

fn root(attributes: &[(&str, &[&[u8]])]) -> RootDse {
    RootDse::of(&entry("", attributes))
}

fn config(more: &str) -> LdapConfig {
    let text = format!(
        "url = 'ldaps://dc1.example.com'\nbind_dn = 'cn=x'\nbind_password = {{ env = 'X' }}\n{more}\n\
         [users]\nbase = 'ou=People,dc=example,dc=com'\n[groups]\nbase = 'ou=Groups,dc=example,dc=com'"
    );
    toml::from_str(&text).unwrap()
}

#[test]
fn servers_are_told_apart_by_what_they_say_of_themselves() {
    let people = [Dn::parse("ou=People,dc=example,dc=com").unwrap()];
    let accounts = [Dn::parse("cn=users,cn=accounts,dc=example,dc=com").unwrap()];
    let directory = root(&[("supportedCapabilities", &[b"1.2.840.113556.1.4.800"])]);
    assert_eq!(directory.flavor(&people), Flavor::ActiveDirectory);
    let ds = root(&[
        ("vendorName", &[b"389 Project"]),
        ("vendorVersion", &[b"389-Directory/2.3"]),
    ]);
    assert_eq!(ds.vendor.as_deref(), Some("389 Project 389-Directory/2.3"));
    assert_eq!(ds.flavor(&people), Flavor::Ds389);
    assert_eq!(ds.flavor(&accounts), Flavor::FreeIpa);
    let open = root(&[("structuralObjectClass", &[b"OpenLDAProotDSE"])]);
    assert_eq!(open.flavor(&accounts), Flavor::OpenLdap);
    assert_eq!(root(&[]).flavor(&people), Flavor::Generic);
}

#[test]
fn what_is_configured_comes_before_the_flavors_way() {
    let usual = Settings::new(&config(""), Flavor::ActiveDirectory);
    assert_eq!(usual.id_attribute, "objectGUID");
    assert_eq!(usual.id_encoding, IdEncoding::GuidLe);
    assert!(
        usual
            .users
            .filter
            .as_str()
            .contains("objectCategory=person")
    );
    assert_eq!(
        usual.rules,
        [Rule::UserAccountControl, Rule::AccountExpires]
    );
    assert!(usual.primary_groups);
    let own = config("id_attribute = 'employeeNumber'\ninactive_by = []");
    let own = Settings::new(&own, Flavor::ActiveDirectory);
    assert_eq!(own.id_attribute, "employeeNumber");
    assert_eq!(own.id_encoding, IdEncoding::Text);
    assert_eq!(own.rules, []);
    assert_ne!(own.selection(), usual.selection());
    let own: LdapConfig = toml::from_str(
        "url = 'ldaps://x'\n[users]\nbase = 'dc=x'\nfilter = '(uid=*)'\n\
         [groups]\nbase = 'dc=x'\nfilter = '(cn=app-*)'\nmember_attribute = 'owner'",
    )
    .unwrap();
    let own = Settings::new(&own, Flavor::ActiveDirectory);
    assert_eq!(own.users.filter.as_str(), "(uid=*)");
    assert_eq!(own.groups.unwrap().filter.as_str(), "(cn=app-*)");
    assert_eq!(own.member_attributes, ["owner"]);
}

#[test]
fn every_flavors_filter_is_one() {
    for flavor in [
        Flavor::ActiveDirectory,
        Flavor::OpenLdap,
        Flavor::Ds389,
        Flavor::FreeIpa,
        Flavor::Generic,
    ] {
        let settings = Settings::new(&config(""), flavor);
        for part in [Some(settings.users), settings.groups]
            .into_iter()
            .flatten()
        {
            assert!(Filter::parse(part.filter.as_str()).is_ok(), "{flavor}");
        }
    }
}
