//! What Active Directory does and Samba does not: pages that end sooner than asked, lists of
//! members in ranges, and deleted objects that keep what they had. And what OpenLDAP does when
//! it is slow: one paged search a connection, whose end comes late.

use std::time::Duration;

use chrono::Utc;

use super::domain::{DELETED, PEOPLE, group, guid, mail, people, person_dn, sid, source};
use super::fake::{Fake, Instead, Rules};
use super::reader::Reader;
use super::stories::config;
use crate::support::scenario::Scenario;
use crate::support::story::Story;

const GROUPS_AND_MEMBERS: &str = "[targets.demo.groups]\npush = [\"*\"]\n";

fn begin(fake: &Fake, folder: &tempfile::TempDir, why: &str, more: &str) -> Story {
    let source = source(fake, folder.path(), "");
    Story::begin(Scenario::told(why, &config(&source, more)))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A step that writes so often.
fn step(name: &str, writes: usize) -> String {
    format!("name = \"{name}\"\nwrites = {writes}\n")
}

#[test]
fn a_page_that_is_shorter_than_asked_is_not_the_end() {
    let rules = Rules {
        page_limit: Some(7),
        ..Rules::default()
    };
    let fake = Fake::start(people(30), rules);
    let folder = folder();
    let mut story = begin(&fake, &folder, "Everybody is read, in pages of seven.", "");
    story.tell(&step("thirty people", 30));
    let pages = fake.take_asked();
    assert!(
        pages.iter().filter(|asked| asked.goes_on).count() >= 4,
        "{pages:?}"
    );
    story.check_settled();
}

/// A client that does not know of ranges sees a group of nobody, and would empty it.
#[test]
fn a_forced_range_is_read_to_its_end() {
    let rules = Rules {
        value_limit: Some(15),
        ..Rules::default()
    };
    let mut objects = people(50);
    objects.push(group("Everybody", 0..50));
    objects.push(group("Few", 0..15));
    let fake = Fake::start(objects, rules);
    let folder = folder();
    let mut story = begin(
        &fake,
        &folder,
        "50 people and 2 groups are 52 POSTs; a list in four parts is one list.",
        GROUPS_AND_MEMBERS,
    );
    let everybody: Vec<String> = (0..50).map(mail).collect();
    let few: Vec<String> = (0..15).map(mail).collect();
    story.tell(&format!(
        "{}[members]\nEverybody = {everybody:?}\nFew = {few:?}\n",
        step("a group of fifty", 52)
    ));
    // The middle of the list cannot be read: nobody is taken out for that.
    fake.change("CN=Everybody,OU=Groups,DC=ad,DC=example,DC=com", |group| {
        group.add("member", person_dn(3).as_bytes());
    });
    for instead in [
        Instead::Result(1, "000020EF: operations error"),
        Instead::Result(32, "0000208D: no object"),
        Instead::Result(52, "unavailable"),
        Instead::End,
    ] {
        fake.instead(move |asked| {
            let ranged = asked
                .attributes
                .iter()
                .any(|name| name.contains("range=30-"));
            ranged.then(|| instead.clone())
        });
        story.tell("name = \"the third part is missing\"\nwrites = 0\nexit = 1\n");
    }
    fake.behave();
    story.check_settled();
}

/// Groups come in pages, and the rest of their members is asked for between two pages, or while
/// the rest of a page of a thousand is still under way: neither disturbs the other.
#[test]
fn ranges_are_read_while_a_page_is_under_way() {
    for (page_size, groups) in [(3, 8), (2_000, 1_100)] {
        let rules = Rules {
            value_limit: Some(4),
            one_cookie: true,
            ..Rules::default()
        };
        let mut objects = people(10);
        for number in 0..groups {
            let mut object = group(&format!("G{number:04}"), 0..9);
            object.set("objectGUID", &[]);
            object.set("objectSid", &[]);
            object.add("objectGUID", &guid(3, number));
            object.add("objectSid", &sid(20_000 + number));
            objects.push(object);
        }
        let fake = Fake::start(objects, rules);
        let folder = folder();
        let source = source(&fake, folder.path(), &format!("page_size = {page_size}"));
        let read = Reader::new(&source, "").read(true, Utc::now());
        let whole = read
            .mirror
            .iter()
            .filter(|(key, record)| key.starts_with("group") && members(record) == 9);
        assert_eq!(whole.count(), groups, "pages of {page_size}");
    }
}

/// How many members the mirror's text of a group has.
fn members(record: &str) -> usize {
    record.matches("01010101-").count()
}

/// A glance at the first entry is over when the server says so: until then the cookie of the
/// next search is not safe.
#[test]
fn a_glance_is_taken_to_its_end() {
    let rules = Rules {
        page_limit: Some(3),
        one_cookie: true,
        ..Rules::default()
    };
    let fake = Fake::start(people(12), rules);
    let folder = folder();
    let source = source(&fake, folder.path(), "changes = \"usn\"");
    let reader = Reader::new(&source, "");
    reader.read(true, Utc::now());
    for number in 0..10 {
        fake.change(&person_dn(number), |person| {
            person.set("mail", &[format!("new{number}@example.com").as_str()]);
        });
    }
    // Whoever does not wait for it has asked again by then.
    let late = Duration::from_millis(300);
    fake.instead(move |asked| {
        let glance = asked.attributes == ["uSNChanged"] && asked.base == PEOPLE;
        glance.then_some(Instead::LateEnd(late))
    });
    fake.take_asked();
    let read = reader.read(false, Utc::now());
    assert!(
        read.partly && read.tells("new9@example.com"),
        "{}",
        read.said
    );
    let asked = fake.take_asked();
    let glances = asked.iter().filter(|it| it.attributes == ["uSNChanged"]);
    assert!(
        glances.count() > 0 && asked.iter().any(|it| it.goes_on),
        "{asked:#?}"
    );
}

/// The account of this source may read deleted objects, which keep their attributes.
#[test]
fn the_recycle_bin_says_who_is_deleted_and_gives_them_back() {
    let fake = Fake::start(people(3), Rules::default());
    let folder = folder();
    let mut story = begin(
        &fake,
        &folder,
        "Into the recycle bin is 1 PATCH, out of it is 1 PATCH of the same resource; recycled \
         for good is nothing more.",
        "",
    );
    story.tell(&step("three people", 3));
    let name = person_dn(1);
    let gone = format!("CN=p0001\nDEL:01010101-0101-0101-0000-000000000001,{DELETED}");
    fake.change(&name, |person| {
        person.dn.clone_from(&gone);
        person.deleted = true;
        person.set("isDeleted", &["TRUE"]);
        person.set("lastKnownParent", &[PEOPLE]);
        person.set("whenChanged", &["20260101120000.0Z"]);
    });
    story.tell(
        r#"
name = "one is deleted"
plan = '''
demo: 0 to create, 0 to adopt, 0 to patch, 1 to deactivate, 0 to reactivate, 0 to delete, 0 held (2 unchanged)

  - user   p0001@example.com  SoftDeleted

  1 request, about 1 s at 100 requests a second

demo: would be 0 created, 0 adopted, 0 patched, 1 deactivated, 0 reactivated, 0 deleted, 0 failed, 0 held (2 unchanged)
'''
requests = '''
PATCH /Users/{id:p0001@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
    );
    fake.change(&gone, |person| {
        person.dn.clone_from(&name);
        person.deleted = false;
        person.set("isDeleted", &[]);
        person.set("lastKnownParent", &[]);
    });
    story.tell(
        r#"
name = "and restored"
requests = '''
PATCH /Users/{id:p0001@example.com} [{"op":"replace","path":"active","value":true}]
'''
"#,
    );
    story.check_settled();
}
