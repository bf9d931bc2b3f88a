//! Active Directory: on Samba what it does, and on our own server what it does not.

use std::path::Path;

use chrono::Utc;
use tempfile::TempDir;

use super::TITLES;
use crate::ldap::directory::{Directory, Flavor};
use crate::ldap::domain::{self, person_dn};
use crate::ldap::fake::{Asked, Fake, Instead, Object, Rules, SERVICE};
use crate::ldap::reader::Reader;

const WAYS: [&str; 2] = ["usn", "dirsync"];

/// A small domain, and what a source of it is called.
fn small_domain(rules: Rules) -> (Fake, TempDir) {
    let mut objects = domain::people(12);
    objects.push(domain::group("Staff", 0..12));
    let fake = Fake::start(objects, rules);
    (fake, tempfile::tempdir().expect("a temporary folder"))
}

fn source(fake: &Fake, folder: &Path, changes: &str) -> String {
    domain::source(fake, folder, &format!("changes = \"{changes}\""))
}

#[test]
fn an_account_that_may_not_read_the_deleted_reads_everything() {
    let Some(directory) = Directory::start(Flavor::ActiveDirectory) else {
        return;
    };
    directory.join_clerks(["ana", "bo"]);
    let reader = Reader::new(&directory.source(""), TITLES);
    reader.read(true, Utc::now());
    directory.delete(&directory.person_dn("bo"));
    let read = reader.read(false, Utc::now());
    assert!(!read.partly, "{}", read.said);
    assert!(!read.tells("bo@example.com"), "{}", read.said);
}

/// The right to replicate is enough: nothing else tells of somebody in a place that is hidden.
#[test]
fn who_may_replicate_is_told_of_everybody() {
    let Some(directory) = Directory::start(Flavor::ActiveDirectory) else {
        return;
    };
    directory.join_clerks(["ana", "bo"]);
    let reader = Reader::new(&directory.source_as_admin(""), TITLES);
    reader.read(true, Utc::now());
    directory.set(&directory.person_dn("ana"), "title", &["Boss"]);
    directory.move_away("bo");
    let read = reader.read(false, Utc::now());
    assert!(read.partly && read.tells("Boss"), "{}", read.said);
    assert!(!read.tells("bo@example.com"), "{}", read.said);
    directory.move_back("bo");
    directory.add_group("Staff", &[directory.person_dn("bo")]);
    directory.delete(&directory.person_dn("ana"));
    let read = reader.read(false, Utc::now());
    assert!(read.partly && read.tells("bo@example.com"), "{}", read.said);
    assert!(read.tells("SoftDeleted"), "{}", read.said);
}

/// The answer comes in parts, each behind the cookie of the one before.
#[test]
fn dirsync_goes_on_until_everything_is_told() {
    let (fake, folder) = small_domain(Rules {
        sync_limit: Some(3),
        replicates: true,
        ..Rules::default()
    });
    let source = source(&fake, folder.path(), "auto");
    let (one, other) = (Reader::new(&source, TITLES), Reader::new(&source, TITLES));
    one.read(true, Utc::now());
    for number in 0..8 {
        fake.change(&person_dn(number), |person| person.set("title", &["Boss"]));
    }
    fake.delete(&person_dn(9));
    fake.take_asked();
    let read = one.read(false, Utc::now());
    assert!(read.partly, "{}", read.said);
    let asked = fake.take_asked();
    let parts = asked.iter().filter(|asked| asked.synchronises).count();
    assert_eq!(parts, 3, "nine changes, by threes: {asked:#?}");
    assert_eq!(read.mirror, other.read(true, Utc::now()).mirror);
    fake.take_asked();
    assert!(one.read(false, Utc::now()).partly);
    let asked = fake.take_asked();
    assert_eq!(asked.iter().filter(|asked| asked.synchronises).count(), 1);
}

/// A part that fails is no answer: the cookie of the one before is not kept either.
#[test]
fn a_dirsync_that_fails_between_two_parts_is_asked_again() {
    let (fake, folder) = small_domain(Rules {
        sync_limit: Some(3),
        replicates: true,
        ..Rules::default()
    });
    let reader = Reader::new(&source(&fake, folder.path(), "dirsync"), TITLES);
    reader.read(true, Utc::now());
    for number in 0..8 {
        fake.change(&person_dn(number), |person| person.set("title", &["Boss"]));
    }
    let parts = std::sync::atomic::AtomicUsize::new(0);
    fake.instead(move |asked| {
        let part = asked
            .synchronises
            .then(|| parts.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        (part == Some(1)).then_some(Instead::Result(51, "busy"))
    });
    let read = reader.read(false, Utc::now());
    assert!(!read.partly && read.careful, "{}", read.said);
    let bosses = read.mirror.values().filter(|it| it.contains("Boss"));
    assert_eq!(bosses.count(), 8);
}

/// Without the right to replicate it tells of what the account may see, if that is wanted.
#[test]
fn dirsync_without_the_right_to_replicate_is_chosen_by_hand_only() {
    for (changes, synchronises) in [("auto", false), ("dirsync", true)] {
        let (fake, folder) = small_domain(Rules::default());
        let reader = Reader::new(&source(&fake, folder.path(), changes), TITLES);
        reader.read(true, Utc::now());
        fake.change(&person_dn(3), |person| person.set("title", &["Boss"]));
        fake.delete(&person_dn(4));
        fake.take_asked();
        let read = reader.read(false, Utc::now());
        assert!(
            read.partly && read.tells("Boss"),
            "{changes}: {}",
            read.said
        );
        assert!(read.tells("SoftDeleted"), "{changes}: {}", read.said);
        let asked = fake.take_asked();
        let used = asked.iter().any(|asked| asked.synchronises);
        assert_eq!(used, synchronises, "{changes}");
    }
}

#[test]
fn the_right_to_replicate_that_is_taken_away_leaves_a_full_read() {
    let (fake, folder) = small_domain(Rules {
        replicates: true,
        ..Rules::default()
    });
    let reader = Reader::new(&source(&fake, folder.path(), "auto"), TITLES);
    reader.read(true, Utc::now());
    assert!(reader.read(false, Utc::now()).partly);
    fake.change(&person_dn(3), |person| person.set("title", &["Boss"]));
    let denied = |asked: &Asked| {
        asked
            .synchronises
            .then_some(Instead::Result(50, "Replication access was denied"))
    };
    fake.instead(denied);
    for _ in 0..2 {
        let read = reader.read(false, Utc::now());
        assert!(read.tells("Boss") && !read.careful, "{}", read.said);
    }
}

#[test]
fn a_restored_controller_is_read_whole_and_with_care_and_another_one_whole() {
    for changes in WAYS {
        let (fake, folder) = small_domain(Rules {
            replicates: true,
            ..Rules::default()
        });
        let reader = Reader::new(&source(&fake, folder.path(), changes), TITLES);
        reader.read(true, Utc::now());
        let read = reader.read(false, Utc::now());
        assert!(read.partly, "{changes}: {}", read.said);
        fake.objects().retain(|object| object.dn != person_dn(2));
        let mut other = service(&fake);
        other.attributes.retain(|(name, _)| name != "invocationId");
        other.add("invocationId", &[8; 16]);
        replace_service(&fake, other);
        let read = reader.read(false, Utc::now());
        assert!(!read.partly && read.careful, "{changes}: {}", read.said);
        assert!(!read.tells(&domain::mail(2)), "{changes}: {}", read.said);
    }
}

fn service(fake: &Fake) -> Object {
    let objects = fake.objects();
    let mut objects = objects.iter();
    let found = objects.find(|object| object.dn == SERVICE);
    found.expect("the controller's service").clone()
}

fn replace_service(fake: &Fake, service: Object) {
    let mut objects = fake.objects();
    objects.retain(|object| object.dn != SERVICE);
    objects.push(service);
}

#[test]
fn a_refused_cookie_is_read_whole_and_with_care() {
    let (fake, folder) = small_domain(Rules {
        replicates: true,
        ..Rules::default()
    });
    let reader = Reader::new(&source(&fake, folder.path(), "dirsync"), TITLES);
    reader.read(true, Utc::now());
    fake.change(&person_dn(3), |person| person.set("title", &["Boss"]));
    let first = std::sync::atomic::AtomicBool::new(true);
    fake.instead(move |asked| {
        let refused = asked.synchronises && first.swap(false, std::sync::atomic::Ordering::SeqCst);
        refused.then_some(Instead::Result(
            12,
            "0000203D: LdapErr: Error processing control",
        ))
    });
    let read = reader.read(false, Utc::now());
    assert!(
        !read.partly && read.careful && read.tells("Boss"),
        "{}",
        read.said
    );
    assert!(reader.read(false, Utc::now()).partly);
}

/// Of whom it is hidden when they were changed last, a search for changes finds nothing.
#[test]
fn who_hides_when_they_were_changed_is_not_waited_for() {
    let (fake, folder) = small_domain(Rules::default());
    let hide = |number: usize| {
        let mut objects = fake.objects();
        let mut objects = objects.iter_mut();
        let person = objects.find(|object| object.dn == person_dn(number));
        person.expect("a person").set("uSNChanged", &[]);
    };
    hide(5);
    let reader = Reader::new(&source(&fake, folder.path(), "auto"), TITLES);
    reader.read(true, Utc::now());
    fake.change(&person_dn(5), |person| {
        person.set("userAccountControl", &["514"]);
    });
    hide(5);
    let read = reader.read(false, Utc::now());
    assert!(read.tells("Disabled"), "{}", read.said);
}

/// A unit takes everybody along when it moves, and none of them has changed.
#[test]
fn a_unit_that_moves_takes_its_people_along() {
    for changes in WAYS {
        let (fake, folder) = small_domain(Rules {
            replicates: true,
            ..Rules::default()
        });
        let unit = format!("OU=Sales,{}", domain::PEOPLE);
        let mut object = Object::new(
            &unit,
            &[
                ("objectClass", "organizationalUnit"),
                ("uSNChanged", "6"),
                ("uSNCreated", "6"),
            ],
        );
        object.add("objectGUID", &[9; 16]);
        object.add("name", b"Sales");
        fake.objects().push(object);
        fake.change(&person_dn(3), |person| {
            person.dn = format!("CN=p0003,{unit}")
        });
        let source = source(&fake, folder.path(), changes);
        let (one, other) = (Reader::new(&source, TITLES), Reader::new(&source, TITLES));
        one.read(true, Utc::now());
        let away = format!("OU=Sales,{}", crate::ldap::fake::SUFFIX);
        fake.change(&unit, |object| object.dn.clone_from(&away));
        let moved = |from: &str, to: &str| {
            for object in fake.objects().iter_mut() {
                object.dn = object.dn.replace(from, to);
            }
        };
        moved(&format!("CN=p0003,{unit}"), &format!("CN=p0003,{away}"));
        let read = one.read(false, Utc::now());
        assert!(!read.tells(&domain::mail(3)), "{changes}: {}", read.said);
        assert_eq!(
            read.mirror,
            other.read(true, Utc::now()).mirror,
            "{changes}"
        );
        fake.change(&away, |object| object.dn.clone_from(&unit));
        moved(&format!("CN=p0003,{away}"), &format!("CN=p0003,{unit}"));
        let read = one.read(false, Utc::now());
        assert!(read.tells(&domain::mail(3)), "{changes}: {}", read.said);
    }
}
