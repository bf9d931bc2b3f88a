//! A made-up Active Directory domain for the server of our own: people and groups by rule,
//! and a source that reads them.

use std::path::Path;

use super::fake::{Fake, LOGIN, Object, SUFFIX};
use crate::support::private;

/// Where the people are.
pub(super) const PEOPLE: &str = "OU=People,DC=ad,DC=example,DC=com";

/// Where the groups are.
pub(super) const GROUPS: &str = "OU=Groups,DC=ad,DC=example,DC=com";

/// Where the deleted are.
pub(super) const DELETED: &str = "CN=Deleted Objects,DC=ad,DC=example,DC=com";

/// The domain's containers, and as many people as are wanted.
pub(super) fn people(count: usize) -> Vec<Object> {
    let mut objects = vec![
        Object::new(SUFFIX, &[("objectClass", "domain"), ("uSNChanged", "1")]),
        Object::new(
            PEOPLE,
            &[("objectClass", "organizationalUnit"), ("uSNChanged", "2")],
        ),
        Object::new(
            GROUPS,
            &[("objectClass", "organizationalUnit"), ("uSNChanged", "3")],
        ),
    ];
    let mut deleted = Object::new(
        DELETED,
        &[
            ("objectClass", "container"),
            ("isDeleted", "TRUE"),
            ("uSNChanged", "4"),
        ],
    );
    deleted.deleted = true;
    objects.push(deleted);
    objects.push(service());
    objects.extend((0..count).map(person));
    objects
}

/// The object whose `invocationId` tells this domain controller from another.
fn service() -> Object {
    let mut service = Object::new(
        super::fake::SERVICE,
        &[("objectClass", "nTDSDSA"), ("uSNChanged", "5")],
    );
    service.add("invocationId", &[7; 16]);
    service
}

/// One of the people.
pub(super) fn person(number: usize) -> Object {
    let mut person = Object::new(
        &person_dn(number),
        &[
            ("objectClass", "top"),
            ("objectClass", "person"),
            ("objectClass", "user"),
            ("objectCategory", "person"),
            ("sAMAccountName", &format!("p{number:04}")),
            ("userAccountControl", "512"),
            ("accountExpires", "9223372036854775807"),
            ("primaryGroupID", "513"),
            ("mail", &mail(number)),
            ("title", "Clerk"),
            ("uSNChanged", &(100 + number).to_string()),
        ],
    );
    person.add("objectGUID", &guid(1, number));
    person.add("objectSid", &sid(10_000 + number));
    person
}

pub(super) fn person_dn(number: usize) -> String {
    format!("CN=p{number:04},{PEOPLE}")
}

pub(super) fn mail(number: usize) -> String {
    format!("p{number:04}@example.com")
}

/// A group of the people with these numbers.
pub(super) fn group(name: &str, members: impl IntoIterator<Item = usize>) -> Object {
    let mut group = Object::new(
        &format!("CN={name},{GROUPS}"),
        &[
            ("objectClass", "top"),
            ("objectClass", "group"),
            ("cn", name),
            ("sAMAccountName", name),
            ("uSNChanged", "50"),
        ],
    );
    group.add("objectGUID", &guid(2, name.len()));
    group.add("objectSid", &sid(5_000 + name.len()));
    for number in members {
        group.add("member", person_dn(number).as_bytes());
    }
    group
}

/// The tables of a source that reads it, with further lines of the first; and the secret in
/// its file.
pub(super) fn source(fake: &Fake, folder: &Path, more: &str) -> String {
    source_at(&format!("ldap://{}", fake.address), folder, more)
}

/// The same, at another address.
pub(super) fn source_at(url: &str, folder: &Path, more: &str) -> String {
    let secret = folder.join("bind-password");
    private::write(&secret, LOGIN.1).expect("a file in the temporary folder");
    format!(
        "[sources.corp.ldap]\nurl = \"{url}\"\nbind_dn = \"{}\"\n\
         bind_password = {{ file = \"{}\" }}\n{more}\n\
         [sources.corp.ldap.users]\nbase = \"{PEOPLE}\"\n\n\
         [sources.corp.ldap.groups]\nbase = \"{GROUPS}\"\n",
        LOGIN.0,
        secret.display()
    )
}

pub(super) fn guid(kind: u8, number: usize) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    bytes
}

/// `S-1-5-21-1-2-3-RID`.
pub(super) fn sid(relative: usize) -> Vec<u8> {
    let mut bytes = vec![1, 5, 0, 0, 0, 0, 0, 5];
    for part in [
        21,
        1,
        2,
        3,
        u32::try_from(relative).expect("a small number"),
    ] {
        bytes.extend_from_slice(&part.to_le_bytes());
    }
    bytes
}
