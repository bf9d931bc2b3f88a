//! The harness itself: an administrator's work at every directory, without provisor.

use super::directory::{Directory, Flavor, Person};

/// If this fails, the stories say nothing about the program.
fn look_after(flavor: Flavor) {
    let Some(directory) = Directory::start(flavor) else {
        return;
    };
    let dn = directory.person_dn("ana");
    directory.join(&Person {
        key: "ana",
        given_name: "Ana",
        surname: "Alba",
        mail: "ana@example.com",
        title: "Clerk",
    });
    directory.switch("ana", false);
    directory.switch("ana", true);
    directory.move_away("ana");
    assert_eq!(directory.server.read(&dn, "title"), Vec::<String>::new());
    directory.move_back("ana");
    assert_eq!(directory.server.read(&dn, "title"), ["Clerk"]);
    directory.add_group("Staff", std::slice::from_ref(&dn));
    directory.rename_group("Staff", "Team");
    assert_eq!(
        directory.server.read(&directory.group_dn("Team"), "member"),
        [dn]
    );
}

#[test]
fn openldap_is_looked_after() {
    look_after(Flavor::OpenLdap);
}

#[test]
fn active_directory_is_looked_after() {
    look_after(Flavor::ActiveDirectory);
}

#[test]
fn directory_server_is_looked_after() {
    look_after(Flavor::DirectoryServer);
}

#[test]
fn freeipa_is_looked_after() {
    look_after(Flavor::FreeIpa);
}
