//! Deleted, and not yet for good: Active Directory's deleted objects and FreeIPA's preserved
//! users come back as who they were.

use super::{begin, with};
use crate::ldap::directory::{Directory, Flavor, Record};
use crate::ldap::{ns_slapd, samba};
use crate::support::story::Story;

with! { come_back:
    deleted_and_restored_with_active_directory ActiveDirectory,
    deleted_and_restored_with_freeipa FreeIpa,
}

with! { hidden: preserved_and_hidden_with_freeipa FreeIpa, }

fn come_back(directory: &Directory) {
    let mut story = two_people(directory);
    let guid = directory
        .server
        .read(&directory.person_dn("bo"), "objectGUID");
    if directory.flavor == Flavor::ActiveDirectory {
        directory.delete(&directory.person_dn("bo"));
    } else {
        directory.move_away("bo");
    }
    story.tell(
        r#"
name = "Bo is deleted"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
users = { "ana@example.com" = true, "bo@example.com" = false }
"#,
    );
    if directory.flavor == Flavor::ActiveDirectory {
        restore(directory, &guid[0]);
    } else {
        directory.move_back("bo");
    }
    story.tell(
        r#"
name = "Bo is restored"
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":true}]
'''
users = { "ana@example.com" = true, "bo@example.com" = true }
"#,
    );
    story.check_settled();
}

fn two_people(directory: &Directory) -> Story {
    let mut story = begin(
        directory,
        "Whoever comes back from among the deleted is the same person: 1 PATCH out, 1 PATCH in.",
        "",
    );
    directory.join_clerks(["ana", "bo"]);
    story.tell("name = \"two people\"\nwrites = 2\n");
    story
}

/// An account that may not read the preserved users: the directory then does not even say
/// that there is such a place, and they are gone like others.
fn hidden(directory: &Directory) {
    let rule = ns_slapd::agent_may_read("userPassword", &directory.agent());
    directory.set(ns_slapd::FREEIPA_SUFFIX, "aci", &[]);
    let accounts = format!("cn=accounts,{}", ns_slapd::FREEIPA_SUFFIX);
    directory.set(&accounts, "aci", &[rule.as_str()]);
    let mut story = two_people(directory);
    directory.move_away("bo");
    story.tell(
        r#"
name = "Bo is deleted"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (1 unchanged)

  - user   bo@example.com  GoneFromSource

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (1 unchanged)
'''
requests = '''
PATCH /Users/{id:bo@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    story.check_settled();
}

/// Takes somebody out of the deleted objects. What a deletion without recycle bin has taken
/// is written again: everything but who it was.
fn restore(directory: &Directory, guid: &str) {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(guid)
        .expect("base64");
    let guid = uuid::Uuid::from_slice_le(&bytes).expect("16 bytes");
    let dn = directory.person_dn("bo");
    let deleted = format!("CN=bo\\0ADEL:{guid},CN=Deleted Objects,{}", samba::SUFFIX);
    let mut record = Record::change(&deleted, "modify");
    record.line("delete", "isDeleted");
    record.0.push_str("-\n");
    record
        .line("replace", "distinguishedName")
        .line("distinguishedName", &dn);
    let show_deleted = ["-e", "!1.2.840.113556.1.4.417"];
    let admin = &directory.server.admin;
    directory.server.modify_as(admin, &show_deleted, &record.0);
    let mut record = Record::change(&dn, "modify");
    for (attribute, value) in [
        ("givenName", "A"),
        ("sn", "Person"),
        ("displayName", "A Person"),
        ("mail", "bo@example.com"),
        ("title", "Clerk"),
        ("userAccountControl", "544"),
    ] {
        record.line("replace", attribute).line(attribute, value);
        record.0.push_str("-\n");
    }
    directory.server.modify(&record.0);
}
