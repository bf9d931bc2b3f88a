//! A server that refuses, ends, is silent, or says what nobody can understand; each at every
//! place of a read where it matters.

use std::time::{Duration, Instant};

use super::begin;
use crate::ldap::domain::{PEOPLE, group, people, person_dn, source};
use crate::ldap::fake::{Fake, Instead, Rules};
use crate::support::run::run;
use crate::support::story::Story;

/// Twelve people in pages of five, and a group of them in ranges of five: all of it was read
/// once, and since then a good deal has changed that must not be written by halves.
fn changed_since(more: &str) -> (Fake, tempfile::TempDir, Story) {
    let fake = small_domain();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = source(&fake, folder.path(), more);
    let mut story = begin(&source, "A read that fails is not believed in part.");
    story.tell("name = \"twelve people and a group\"\nwrites = 13\n");
    change(&fake);
    fake.take_asked();
    (fake, folder, story)
}

fn small_domain() -> Fake {
    let rules = Rules {
        page_limit: Some(5),
        value_limit: Some(5),
        sync_limit: Some(2),
        replicates: true,
        one_cookie: true,
    };
    let mut objects = people(12);
    objects.push(group("Staff", 0..12));
    Fake::start(objects, rules)
}

/// One is deleted, one is switched off, one has another title, and two are no members any more.
fn change(fake: &Fake) {
    fake.delete(&person_dn(2));
    fake.change(&person_dn(7), |person| {
        person.set("userAccountControl", &["514"]);
    });
    fake.change(&person_dn(11), |person| person.set("title", &["Boss"]));
    fake.change("CN=Staff,OU=Groups,DC=ad,DC=example,DC=com", |group| {
        let gone = [person_dn(2), person_dn(5)];
        for (_, values) in &mut group.attributes {
            values.retain(|value| gone.iter().all(|gone| gone.as_bytes() != value));
        }
    });
}

/// The same as [`Story::sync_in_vain`], and a failure names its circumstances.
fn in_vain(story: &Story, circumstances: &str) {
    let vain = std::panic::AssertUnwindSafe(|| story.sync_in_vain());
    assert!(std::panic::catch_unwind(vain).is_ok(), "{circumstances}");
}

/// After all that: what changed is what is written.
fn ends_well(fake: &Fake, mut story: Story) {
    fake.behave();
    story.tell("name = \"at last it can be read\"\nwrites = 4\n");
    story.check_settled();
}

const FULL: &str = "timeout = \"1s\"\nchanges = \"full\"";

#[test]
fn every_result_but_success_is_a_failure_and_is_named() {
    let (fake, _folder, story) = changed_since(FULL);
    for code in [1, 2, 3, 4, 8, 10, 11, 12, 32, 50, 51, 52, 53, 80] {
        // On the first page of the people, with whatever entries it has.
        fake.instead(move |asked| {
            let here = asked.base == PEOPLE && !asked.goes_on;
            here.then_some(Instead::Result(code, "said by the server"))
        });
        let ran = story.sync_in_vain();
        let said = format!("result code {code}:");
        assert!(ran.stderr.contains(&said), "{said}: {ran:#?}");
        assert!(ran.stderr.contains(PEOPLE), "{ran:#?}");
    }
    ends_well(&fake, story);
}

#[test]
fn a_failure_is_one_wherever_it_comes() {
    for changes in ["full", "usn", "dirsync"] {
        fail_everywhere(changes);
    }
}

fn fail_everywhere(changes: &str) {
    let (fake, _folder, story) =
        changed_since(&format!("timeout = \"1s\"\nchanges = \"{changes}\""));
    // How many searches a read takes is the program's own affair.
    fake.instead(|asked| (asked.base == "nowhere").then_some(Instead::End));
    let ran = run(story.folder(), &["sync".into(), "--dry-run".into()]);
    assert_eq!(ran.exit, 0, "{ran:#?}");
    let searches = fake.take_asked();
    assert!(searches.len() > 6, "{searches:#?}");
    // It looks before it reads, which may fail; the reading begins with who the server is.
    let start = searches.iter().rposition(|asked| asked.base.is_empty());
    let start = start.expect("the server is asked who it is");
    for (at, asked) in searches.iter().enumerate().skip(start) {
        let mut troubles = vec![Instead::End];
        // Who is refused to be told of changes reads everything, which is no failure.
        if !asked.synchronises {
            troubles.push(Instead::Result(80, "trouble"));
        }
        // Deleted objects may be withheld from an account, and then are not there.
        if !asked.synchronises && !asked.base.starts_with("CN=Deleted Objects") {
            troubles.push(Instead::Result(50, "no"));
        }
        for instead in troubles {
            fake.take_asked();
            let here = instead.clone();
            fake.instead(move |asked| (asked.before == at).then(|| here.clone()));
            in_vain(&story, &format!("{changes}: {instead:?} at {asked:?}"));
        }
    }
    ends_well(&fake, story);
}

/// A search for changes that takes too long would do so in every cycle, while a read of everything
/// need not. Fails when that is an error like any other: leavers stay until the next full cycle.
#[test]
fn changes_that_the_server_gives_up_on_are_read_with_everything_else() {
    for changes in ["usn", "dirsync"] {
        let (fake, _folder, story) = changed_since(&format!("changes = \"{changes}\""));
        let preview = || run(story.folder(), &["sync".into(), "--dry-run".into()]);
        let good = preview();
        assert_eq!(good.exit, 0, "{good:#?}");
        let searches = fake.take_asked();
        let mut everything = 0;
        for (at, asked) in searches.iter().enumerate() {
            fake.take_asked();
            fake.instead(move |it| (it.before == at).then_some(Instead::Result(11, "no")));
            let ran = preview();
            if ran.exit == 0 {
                assert_eq!(ran.stdout, good.stdout, "{changes}: at {asked:?}");
                everything += usize::from(ran.stderr.contains("result code 11"));
            } else {
                assert_eq!(ran.exit, 1, "{ran:#?}");
                assert!(ran.stdout.contains("nothing to do"), "{ran:#?}");
            }
        }
        assert!(everything > 0, "{changes}: none was given up on");
        ends_well(&fake, story);
    }
}

#[test]
fn silence_ends_with_the_time_limit() {
    let (fake, _folder, story) = changed_since(FULL);
    for goes_on in [false, true] {
        fake.instead(move |asked| {
            let here = asked.base == PEOPLE && asked.goes_on == goes_on;
            here.then_some(Instead::Silence)
        });
        let started = Instant::now();
        story.sync_in_vain();
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    ends_well(&fake, story);
}

#[test]
fn what_nobody_can_understand_is_a_failure() {
    let (fake, _folder, story) = changed_since(FULL);
    for (what, bytes) in garbage() {
        let ours = bytes.clone();
        fake.instead(move |asked| (asked.base == PEOPLE).then(|| Instead::Bytes(ours.clone())));
        let ran = story.sync_in_vain();
        assert!(!ran.stderr.is_empty(), "{what}");
        // And as the very first answer of all.
        fake.instead(move |_| Some(Instead::Bytes(bytes.clone())));
        story.sync_in_vain();
    }
    ends_well(&fake, story);
}

/// Bytes that are no answer, each in its own way.
fn garbage() -> Vec<(String, Vec<u8>)> {
    let mut all = vec![
        ("nothing".to_owned(), Vec::new()),
        (
            "HTTP".to_owned(),
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        ),
        ("a TLS alert".to_owned(), vec![0x15, 3, 3, 0, 2, 2, 40]),
        (
            "an element of 4 GiB".to_owned(),
            vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02],
        ),
        (
            "a length of 127 bytes".to_owned(),
            [&[0x30, 0xff][..], &[0xff; 127]].concat(),
        ),
        (
            "an indefinite length".to_owned(),
            vec![0x30, 0x80, 2, 1, 1, 0, 0],
        ),
        (
            "a message without an operation".to_owned(),
            vec![0x30, 3, 2, 1, 3],
        ),
        (
            "a message without an id".to_owned(),
            vec![0x30, 7, 0x65, 5, 10, 1, 0, 4, 0],
        ),
        ("elements in elements".to_owned(), nested(5_000)),
        ("zeros".to_owned(), vec![0; 5_000]),
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for number in 0..12 {
        let length = random.usize(1..400);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        if number % 2 == 0 {
            // A message as it begins, so that more of the reader is reached.
            bytes[0] = 0x30;
        }
        all.push((format!("random bytes {number}"), bytes));
    }
    all
}

fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for left in (0..depth).rev() {
        let length = u32::try_from(left * 6).expect("a small number");
        bytes.extend_from_slice(&[0x30, 0x84]);
        bytes.extend_from_slice(&length.to_be_bytes());
    }
    bytes
}

#[test]
fn an_answer_that_contradicts_itself_is_a_failure() {
    let (fake, _folder, story) = changed_since(FULL);
    type Alteration = fn(Vec<u8>) -> Vec<u8>;
    let alterations: [(&str, Alteration); 3] = [
        ("no cookie: whether a page follows is not said", |answer| {
            replaced(
                &answer,
                b"1.2.840.113556.1.4.319",
                b"1.2.840.113556.1.4.318",
            )
        }),
        ("nobody has the attribute that never changes", |answer| {
            replaced(&answer, b"objectGUID", b"objectGUIX")
        }),
        ("two people have one id", |answer| {
            let id = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
            let one: Vec<u8> = [&id[..], &[1]].concat();
            let other: Vec<u8> = [&id[..], &[0]].concat();
            replaced(&answer, &one, &other)
        }),
    ];
    for (what, how) in alterations {
        fake.instead(move |asked| (asked.base == PEOPLE).then_some(Instead::Altered(how)));
        let ran = story.sync_in_vain();
        assert!(!ran.stderr.is_empty(), "{what}");
    }
    ends_well(&fake, story);
}

/// Twenty had an address, and none can be seen any more, or none of what says who is switched
/// off: whoever was changed meanwhile has lost nothing.
#[test]
fn an_attribute_that_is_hidden_freezes_the_source() {
    for changes in ["full", "usn", "dirsync"] {
        let rules = Rules {
            replicates: true,
            ..Rules::default()
        };
        let fake = Fake::start(people(20), rules);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = source(&fake, folder.path(), &format!("changes = \"{changes}\""));
        let mut story = begin(&source, "What cannot be seen any more has not gone.");
        story.tell("name = \"twenty people\"\nwrites = 20\n");
        fake.change(&person_dn(3), |person| person.set("title", &["Boss"]));
        let hidden: [fn(Vec<u8>) -> Vec<u8>; 2] = [
            |answer| replaced(&answer, b"\x04\x04mail", b"\x04\x04maiX"),
            |answer| {
                replaced(
                    &answer,
                    b"\x04\x12userAccountControl",
                    b"\x04\x12userAccountControX",
                )
            },
        ];
        for how in hidden {
            fake.instead(move |asked| (!asked.base.is_empty()).then_some(Instead::Altered(how)));
            in_vain(&story, changes);
        }
        fake.behave();
        story.tell("name = \"everything can be seen again\"\nwrites = 1\n");
        story.check_settled();
    }
}

/// Every occurrence replaced by as many bytes, so that no length changes.
fn replaced(bytes: &[u8], this: &[u8], that: &[u8]) -> Vec<u8> {
    assert_eq!(this.len(), that.len());
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(this.len() - 1) {
        if bytes[at..].starts_with(this) {
            bytes[at..at + that.len()].copy_from_slice(that);
        }
    }
    bytes
}

/// A sync knows nothing until it was told everything: whatever byte is the last.
#[test]
fn a_connection_cut_at_any_byte_is_a_failure() {
    for (changes, cuts) in [("full", CUTS), ("usn", CUTS / 4), ("dirsync", CUTS / 4)] {
        cut_everywhere(changes, cuts);
    }
}

fn cut_everywhere(changes: &str, cuts: usize) {
    use crate::ldap::cut::Cut;
    use crate::ldap::domain::source_at;

    let fake = small_domain();
    let cut = Cut::start(fake.address);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let more = format!("changes = \"{changes}\"");
    let source = source_at(&format!("ldap://{}", cut.address), folder.path(), &more);
    let mut story = begin(&source, "A read that is cut short is not believed in part.");
    story.tell("name = \"twelve people and a group\"\nwrites = 13\n");
    change(&fake);
    cut.cut_at(usize::MAX);
    let ran = run(story.folder(), &["sync".into(), "--dry-run".into()]);
    assert_eq!(ran.exit, 0, "{ran:#?}");
    let whole = cut.passed();
    assert!(whole > 2_000, "{whole} bytes");
    let seed = std::env::var("PROVISOR_CUT_SEED").ok();
    let seed = seed.and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..cuts {
        let at = match number {
            // The edges, and then anywhere.
            0 => 0,
            1 => whole - 1,
            _ => random.usize(..whole),
        };
        cut.cut_at(at);
        let place =
            format!("{changes}: cut at byte {at} of {whole}, number {number} of seed {seed}");
        in_vain(&story, &place);
    }
    cut.cut_at(usize::MAX);
    ends_well(&fake, story);
}

/// How often the connection is cut.
const CUTS: usize = 200;
