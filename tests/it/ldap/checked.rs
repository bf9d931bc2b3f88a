//! What `check` says of each directory: what it found, and what it will use; and that whatever is
//! configured comes before that.

use super::directory::{Directory, Flavor};
use super::stories::config;
use crate::support::run::run;
use crate::support::scenario::Scenario;
use crate::support::story::Story;

/// Runs `check` with these tables. Every one of these must be in what it prints.
fn check(source: &str, expected: &[&str]) {
    let config = config(source, "");
    let mut story = Story::begin(Scenario::told("A look writes nothing.", &config));
    story.set_config(&config);
    let ran = run(story.folder(), &["check".to_owned()]);
    assert_eq!(ran.exit, 0, "{ran:#?}");
    for line in expected {
        assert!(ran.stdout.contains(line), "`{line}` is not in {ran:#?}");
    }
}

fn what_was_found(flavor: Flavor, expected: &[&str]) {
    let Some(directory) = Directory::start(flavor) else {
        return;
    };
    directory.join_clerks(["ana", "bo"]);
    directory.add_group("Staff", &[directory.person_dn("ana")]);
    let base = directory.users_base();
    let mut expected = expected.to_vec();
    let people = format!("below `{base}`, 2 looked at");
    expected.extend([people.as_str(), ", 1 looked at"]);
    check(&directory.source(""), &expected);
}

#[test]
fn an_openldap() {
    what_was_found(
        Flavor::OpenLdap,
        &[
            ": OpenLDAP",
            "id: `entryUUID`",
            "switched off: by `pwdAccountLockedTime`, `pwdEndTime`, `shadowExpire`",
            "members: by `member`, `uniqueMember`, `memberUid`",
            "changes: by content synchronisation (RFC 4533)",
        ],
    );
}

#[test]
fn an_active_directory() {
    what_was_found(
        Flavor::ActiveDirectory,
        &[
            ": Active Directory",
            "id: `objectGUID`",
            "switched off: by `userAccountControl`, `accountExpires`",
            "members: by `member` and primary groups",
            "deleted people: not for this account",
            "changes: everything is read and compared; ",
        ],
    );
}

#[test]
fn a_389_directory_server() {
    what_was_found(
        Flavor::DirectoryServer,
        &[
            ": 389 Directory Server (389 Project 389-Directory/",
            "id: `nsUniqueId`",
            "switched off: by `nsAccountLock`",
            "changes: everything is read and compared; ",
        ],
    );
}

#[test]
fn the_layout_of_a_freeipa() {
    what_was_found(
        Flavor::FreeIpa,
        &[
            ": FreeIPA (389 Project 389-Directory/",
            "id: `ipaUniqueID`",
            "switched off: by `nsAccountLock`, `krbPrincipalExpiration`",
            "preserved people: can be read",
            "changes: everything is read and compared; ",
        ],
    );
}

#[test]
fn what_is_configured_comes_first() {
    let Some(directory) = Directory::start(Flavor::OpenLdap) else {
        return;
    };
    directory.join_clerks(["ana", "bo"]);
    directory.add_group("Staff", &[directory.person_dn("ana")]);
    let source = directory
        .source(
            "flavor = \"generic\"\nid_attribute = \"uid\"\nid_encoding = \"text\"\n\
             inactive_by = [\"shadowExpire\"]\ninactive_when = \"(title=former)\"\n\
             changes = \"full\"",
        )
        .replace(
            "[sources.corp.ldap.users]\n",
            "[sources.corp.ldap.users]\nfilter = \"(uid=a*)\"\n",
        );
    // Groups have no `uid`, and are read elsewhere.
    let (source, _) = source
        .split_once("[sources.corp.ldap.groups]")
        .expect("the groups come last");
    check(
        source,
        &[
            ": a directory of no kind known here",
            "id: `uid`",
            "people: `(uid=a*)` below `ou=people,dc=example,dc=com`, 1 looked at",
            "switched off: by `shadowExpire`, the filter `(title=former)`",
            "groups: not configured",
            "changes: everything is read and compared; `changes` says so",
        ],
    );
    let source = directory.source("").replace(
        "[sources.corp.ldap.groups]\n",
        "[sources.corp.ldap.groups]\nfilter = \"(cn=S*)\"\nmember_attribute = \"owner\"\n",
    );
    check(
        &source,
        &[
            "groups: `(cn=S*)` below `ou=groups,dc=example,dc=com`, 1 looked at",
            "members: by `owner`",
        ],
    );
}
