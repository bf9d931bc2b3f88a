//! OpenLDAP with `syncprov`, set up in ways in which its answers leave something out.

use std::time::Duration;

use chrono::{TimeDelta, Utc};

use super::TITLES;
use crate::ldap::directory::{Directory, Flavor, Record};
use crate::ldap::reader::Reader;
use crate::ldap::slapd::{self, SUFFIX};

fn with_openldap(test: impl FnOnce(&mut Directory)) {
    if let Some(mut directory) = Directory::start(Flavor::OpenLdap) {
        directory.join_clerks(["ana", "bo", "cy"]);
        test(&mut directory);
    }
}

/// Puts rules of who may read what before the usual ones.
fn set_access(directory: &Directory, rules: &[String]) {
    let mut record = Record::change("olcDatabase={1}mdb,cn=config", "modify");
    record.line("replace", "olcAccess");
    let password = "to attrs=userPassword by anonymous auth by * none".to_owned();
    let all = format!("to * by dn.exact=\"{}\" read by * none", slapd::agent().dn);
    let rules = rules.iter().cloned();
    for (at, rule) in [password].into_iter().chain(rules).chain([all]).enumerate() {
        record.line("olcAccess", &format!("{{{at}}}{rule}"));
    }
    let configurator = slapd::configurator();
    directory.server.modify_as(&configurator, &[], &record.0);
}

/// Hides from the agent when an entry was changed last.
fn hide_moments(directory: &Directory) {
    set_access(directory, &["to attrs=entryCSN by * none".to_owned()]);
}

/// Hides it of one entry.
fn hide_moments_of(directory: &Directory, dn: &str) {
    let rule = format!("to dn.base=\"{dn}\" attrs=entryCSN by * none");
    set_access(directory, &[rule]);
}

/// Sets an option of the overlay that tells changes.
fn set_syncprov(directory: &Directory, attribute: &str, value: &str) {
    let overlay = "olcOverlay={3}syncprov,olcDatabase={1}mdb,cn=config";
    let mut record = Record::change(overlay, "modify");
    record.line("replace", attribute).line(attribute, value);
    let configurator = slapd::configurator();
    directory.server.modify_as(&configurator, &[], &record.0);
}

/// The tables of a source that reads no groups.
fn only_people(directory: &Directory) -> String {
    let source = directory.source("");
    let (people, _) = source
        .split_once("[sources.corp.ldap.groups]")
        .expect("the groups come last");
    people.to_owned()
}

/// Such an account is told, without a word, that nothing has changed. Where groups are read, too,
/// it happens to be told of people as of entries that are no groups; so none are read here.
#[test]
fn who_may_not_see_when_an_entry_was_changed_reads_everything() {
    with_openldap(|directory| {
        let reader = Reader::new(&only_people(directory), TITLES);
        // Hidden from the beginning, as by an account that may see just what it was thought to
        // need; and then hidden later.
        hide_moments(directory);
        let (bo, cy) = (directory.person_dn("bo"), directory.person_dn("cy"));
        directory.set(&bo, "title", &["Assistant"]);
        reader.read(true, Utc::now());
        directory.set(&bo, "title", &["Boss"]);
        let read = reader.read(false, Utc::now());
        assert!(!read.partly && read.tells("Boss"), "{}", read.said);

        set_access(directory, &[]);
        reader.read(true, Utc::now());
        directory.set(&bo, "title", &["Clerk"]);
        let read = reader.read(false, Utc::now());
        assert!(read.partly && !read.tells("Boss"), "{}", read.said);
        hide_moments(directory);
        directory.set(&cy, "title", &["Boss"]);
        let read = reader.read(false, Utc::now());
        assert!(!read.partly && read.tells("Boss"), "{}", read.said);
    });
}

/// Of one person only, who is not the first: only a full read sees that.
#[test]
fn where_it_is_hidden_of_one_when_they_were_changed_everything_is_read() {
    with_openldap(|directory| {
        let cy = directory.person_dn("cy");
        hide_moments_of(directory, &cy);
        let reader = Reader::new(&only_people(directory), TITLES);
        reader.read(true, Utc::now());
        directory.set(&cy, "title", &["Boss"]);
        let read = reader.read(false, Utc::now());
        assert!(!read.partly && read.tells("Boss"), "{}", read.said);
    });
}

/// Of one person only, and only later: who is read anew for another reason shows it.
#[test]
fn of_whom_it_is_hidden_when_they_were_changed_the_directory_is_read_whole() {
    with_openldap(|directory| {
        let reader = Reader::new(&directory.source(""), TITLES);
        let (bo, cy) = (directory.person_dn("bo"), directory.person_dn("cy"));
        reader.read(true, Utc::now());
        hide_moments_of(directory, &cy);
        directory.set(&bo, "title", &["Assistant"]);
        assert!(reader.read(false, Utc::now()).partly, "Bo is to be seen");
        directory.set(&cy, "title", &["Boss"]);
        let read = reader.read(false, Utc::now());
        assert!(!read.partly && read.tells("Boss"), "{}", read.said);
    });
}

#[test]
fn a_server_that_does_not_tell_deletions_is_read_whole() {
    let Some(directory) = Directory::start_openldap(slapd::Overlays::Discreet) else {
        return;
    };
    directory.join_clerks(["ana", "bo", "cy"]);
    let reader = Reader::new(&directory.source(""), TITLES);
    reader.read(true, Utc::now());
    directory.delete(&directory.person_dn("bo"));
    directory.set(&directory.person_dn("cy"), "title", &["Boss"]);
    let read = reader.read(false, Utc::now());
    assert!(read.tells("Boss"), "{}", read.said);
    assert!(!read.tells("bo@example.com"), "{}", read.said);
}

#[test]
fn without_a_log_of_what_went_everything_is_read() {
    with_openldap(|directory| {
        set_syncprov(directory, "olcSpSessionlog", "0");
        let reader = Reader::new(&directory.source(""), TITLES);
        reader.read(true, Utc::now());
        assert!(reader.read(false, Utc::now()).partly, "nothing has changed");
        directory.delete(&directory.person_dn("bo"));
        let read = reader.read(false, Utc::now());
        assert!(!read.partly && !read.careful, "{}", read.said);
        assert!(!read.tells("bo@example.com"), "{}", read.said);
    });
}

/// e-syncRefreshRequired (RFC 4533 §2.6), which OpenLDAP only says when it is set up to, its log
/// does not reach back, and nothing at all is as old as the cookie.
#[test]
fn a_server_that_calls_the_cookie_stale_is_read_whole_and_with_care() {
    with_openldap(|directory| {
        set_syncprov(directory, "olcSpSessionlog", "1");
        set_syncprov(directory, "olcSpReloadHint", "TRUE");
        let reader = Reader::new(&directory.source(""), TITLES);
        reader.read(true, Utc::now());
        assert!(reader.read(false, Utc::now()).partly, "nothing has changed");
        // Its index of moments knows seconds only, and doubt is no "stale".
        std::thread::sleep(Duration::from_millis(1_100));
        directory.delete(&directory.person_dn("bo"));
        directory.set(&directory.person_dn("cy"), "title", &["Boss"]);
        let units = ["people", "groups", "former", "services"];
        let mut rest: Vec<String> = Vec::from(units.map(|unit| format!("ou={unit},{SUFFIX}")));
        rest.extend([SUFFIX.to_owned(), slapd::agent().dn]);
        rest.push(directory.person_dn("ana"));
        for dn in &rest {
            directory.set(dn, "description", &["changed"]);
        }
        let read = reader.read(false, Utc::now());
        assert!(read.said.contains("result code 4096"), "{}", read.said);
        assert!(!read.partly && read.careful, "{}", read.said);
        assert!(read.tells("Boss") && !read.tells("bo@example.com"));
        assert!(
            reader.read(false, Utc::now()).partly,
            "it goes on from there"
        );
    });
}

/// The machine was set up again from yesterday's copy. Whoever joined since looks like somebody
/// who left.
#[test]
fn a_restored_server_is_read_whole_and_with_care() {
    for everything in [false, true] {
        restore(everything);
    }
}

fn restore(everything: bool) {
    let Some(mut yesterday) = Directory::start(Flavor::OpenLdap) else {
        return;
    };
    yesterday.join_clerks(["ana", "bo"]);
    yesterday.server.stop();
    with_openldap(|directory| {
        let source = directory.source("").replace("start_tls = true\n", "");
        let reader = Reader::new(&source, TITLES);
        reader.read(true, Utc::now());
        assert!(reader.read(false, Utc::now()).partly);
        let (ldap, ldaps) = (directory.server.ldap, directory.server.ldaps);
        directory.server.kill();
        let ldaps = ldaps.expect("it speaks TLS");
        let restored = slapd::serve(yesterday.server.folder(), ldap, ldaps);
        yesterday.server.revive(restored, ldap, ldaps);
        let read = reader.read(everything, Utc::now());
        assert!(!read.partly && read.careful, "{}", read.said);
        assert!(!read.tells("cy@example.com"), "{}", read.said);
    });
}

#[test]
fn another_server_is_read_whole() {
    with_openldap(|directory| {
        let source = directory.source("");
        let mut reader = Reader::new(&source, TITLES);
        reader.read(true, Utc::now());
        assert!(reader.read(false, Utc::now()).partly);
        reader.turn_to(&source.replace("//localhost", "//127.0.0.1"));
        let read = reader.read(false, Utc::now());
        assert!(!read.partly && !read.careful, "{}", read.said);
        assert!(reader.read(false, Utc::now()).partly);
    });
}

#[test]
fn another_question_is_read_whole_and_with_care() {
    with_openldap(|directory| {
        let source = directory.source("");
        let mut reader = Reader::new(&source, TITLES);
        reader.read(true, Utc::now());
        let others = [
            (
                "base = \"ou=people,",
                "base = \"ou=people,",
                "filter = \"(uid=*)\"\n",
            ),
            (
                "base = \"ou=people,",
                "base = [\"ou=former,dc=example,dc=com\", \"ou=people,",
                "",
            ),
        ];
        for (from, to, more) in others {
            let text = source.replace(from, &format!("{more}{to}"));
            let text = match to.contains('[') {
                true => text.replacen("com\"\n\n", "com\"]\n\n", 1),
                false => text,
            };
            reader.turn_to(&text);
            let read = reader.read(false, Utc::now());
            assert!(!read.partly && read.careful, "{}", read.said);
            assert!(reader.read(false, Utc::now()).partly);
        }
    });
}

/// The account sees the place where people work, and not the one they are moved to.
#[test]
fn who_is_moved_out_of_sight_is_gone() {
    with_openldap(|directory| {
        let reader = Reader::new(&directory.source(""), TITLES);
        let former = directory.former_base();
        set_access(
            directory,
            &[format!("to dn.subtree=\"{former}\" by * none")],
        );
        reader.read(true, Utc::now());
        directory.move_away("bo");
        let read = reader.read(false, Utc::now());
        assert!(read.partly, "{}", read.said);
        assert!(!read.tells("bo@example.com"), "{}", read.said);
        directory.move_back("bo");
        let read = reader.read(false, Utc::now());
        assert!(read.partly && read.tells("bo@example.com"), "{}", read.said);
    });
}

/// A unit that moves takes everybody along, and none of them has changed. This OpenLDAP refuses to
/// move one that has somebody in it; others do, and all that is told then is that it has changed.
#[test]
fn a_unit_that_changes_is_read_whole() {
    with_openldap(|directory| {
        let unit = directory.add_unit("Sales");
        directory.move_person("bo", &directory.users_base(), &unit);
        let reader = Reader::new(&only_people(directory), TITLES);
        reader.read(true, Utc::now());
        assert!(reader.read(false, Utc::now()).partly, "nothing has changed");
        directory.set(&unit, "description", &["in the field"]);
        let read = reader.read(false, Utc::now());
        assert!(
            !read.partly && read.tells("bo@example.com"),
            "{}",
            read.said
        );
    });
}

/// What only a full read finds is not looked for by the changes.
#[test]
fn what_is_worked_out_is_read_whole() {
    with_openldap(|directory| {
        directory.add_group("Staff", &[directory.person_dn("ana")]);
        let source = directory.source("").replace(
            "[sources.corp.ldap.users]\n",
            "[sources.corp.ldap.users]\nfilter = \"(memberOf=cn=Staff,ou=groups,dc=example,dc=com)\"\n",
        );
        let reader = Reader::new(&source, TITLES);
        assert!(!reader.read(true, Utc::now()).tells("bo@example.com"));
        directory.add_member("Staff", &directory.person_dn("bo"));
        let read = reader.read(false, Utc::now());
        assert!(
            !read.partly && read.tells("bo@example.com"),
            "{}",
            read.said
        );
    });
}

/// Nobody knows what the clock alone has done since a moment that is still to come.
#[test]
fn a_clock_that_was_ahead_leads_to_a_full_read() {
    with_openldap(|directory| {
        let reader = Reader::new(&directory.source(""), TITLES);
        let now = Utc::now();
        reader.read(true, now + TimeDelta::hours(1));
        assert!(!reader.read(false, now).partly);
        assert!(reader.read(false, now + TimeDelta::seconds(1)).partly);
    });
}

/// Whom a filter matches can change without a change of theirs, where the directory works out what
/// it looks at: it is asked anew, and another answer leads to a full read.
#[test]
fn whom_a_filter_matches_is_asked_each_time() {
    with_openldap(|directory| {
        directory.add_group("Former", &[directory.person_dn("ana")]);
        let source = directory
            .source("inactive_when = \"(memberOf=cn=Former,ou=groups,dc=example,dc=com)\"");
        let reader = Reader::new(&source, TITLES);
        reader.read(true, Utc::now());
        assert!(reader.read(false, Utc::now()).partly, "nothing has changed");
        directory.add_member("Former", &directory.person_dn("bo"));
        let read = reader.read(false, Utc::now());
        let disabled = read.mirror.values().filter(|it| it.contains("Disabled"));
        assert_eq!(disabled.count(), 2, "{}", read.said);
    });
}
