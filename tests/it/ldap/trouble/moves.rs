//! Who goes from one base to another while one is read after the other: they are there all the
//! time, and that is what the app must go on believing.

use std::sync::{Arc, Mutex};

use super::begin;
use crate::ldap::domain::{GROUPS, PEOPLE, group, people, person_dn, source};
use crate::ldap::fake::{Fake, Object, Rules};
use crate::support::story::Story;

const EAST: &str = "OU=East,OU=People,DC=ad,DC=example,DC=com";
const WEST: &str = "OU=West,OU=People,DC=ad,DC=example,DC=com";
const TEAMS: &str = "OU=Teams,OU=Groups,DC=ad,DC=example,DC=com";
const ROLES: &str = "OU=Roles,OU=Groups,DC=ad,DC=example,DC=com";

fn name_in(place: &str, dn: &str) -> String {
    let (name, _) = dn.split_once(',').expect("a name and a place");
    format!("{name},{place}")
}

/// Four people, of whom the last is in the west, and a group of them all among the roles.
fn begin_in_two_places(changes: &str) -> (Arc<Fake>, tempfile::TempDir, Story) {
    let mut objects = people(4);
    for place in [EAST, WEST, TEAMS, ROLES] {
        let unit = [("objectClass", "organizationalUnit"), ("uSNChanged", "6")];
        objects.push(Object::new(place, &unit));
    }
    let mut staff = group("Staff", []);
    staff.dn = name_in(ROLES, &staff.dn);
    for (number, place) in [EAST, EAST, EAST, WEST].into_iter().enumerate() {
        let dn = name_in(place, &person_dn(number));
        staff.add("member", dn.as_bytes());
        let mut objects = objects.iter_mut();
        let person = objects.find(|it| it.dn == person_dn(number));
        person.expect("one of the people").dn = dn;
    }
    objects.push(staff);
    let fake = Arc::new(Fake::start(objects, Rules::default()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = source(&fake, folder.path(), &format!("changes = \"{changes}\""))
        .replace(
            &format!("base = \"{PEOPLE}\""),
            &format!("base = [\"{EAST}\", \"{WEST}\"]"),
        )
        .replace(
            &format!("base = \"{GROUPS}\""),
            &format!("base = [\"{TEAMS}\", \"{ROLES}\"]"),
        );
    let mut story = begin(&source, "Who moves is not gone, whenever that is.");
    story.tell("name = \"four people and a group\"\nwrites = 5\n");
    (fake, folder, story)
}

/// The next time that something is read from `there`, it has gone to `here` before.
fn move_before(
    fake: &Arc<Fake>,
    attribute: &'static str,
    name: String,
    there: &'static str,
    here: &'static str,
) {
    let due = Mutex::new(Some(name));
    let of_script = Arc::downgrade(fake);
    fake.instead(move |asked| {
        let reads = asked.base == there && asked.attributes.iter().any(|it| it == attribute);
        if reads
            && let Some(fake) = of_script.upgrade()
            && let Some(name) = due.lock().expect("nobody panics with it").take()
        {
            let new = name_in(here, &name);
            fake.change(&name, |object| object.dn = new.clone());
            // Links follow in an Active Directory.
            for object in fake.objects().iter_mut() {
                let values = object.attributes.iter_mut().flat_map(|(_, values)| values);
                for value in values.filter(|value| **value == name.as_bytes()) {
                    *value = new.clone().into_bytes();
                }
            }
        }
        None
    });
}

/// Fails without `read_moved`, and where changes are read when `fetch` looks below each base once.
#[test]
fn who_moves_to_a_base_that_was_read_is_not_gone() {
    for changes in ["full", "usn"] {
        let (fake, _folder, mut story) = begin_in_two_places(changes);
        let last = name_in(WEST, &person_dn(3));
        fake.change(&last, |person| person.set("title", &["Boss"]));
        move_before(&fake, "title", last, WEST, EAST);
        story.tell(
            r#"
name = "who has another title moves while the east was read and the west was not"
writes = 1
members = { Staff = ["p0000@example.com", "p0001@example.com", "p0002@example.com", "p0003@example.com"] }
"#,
        );
        fake.behave();
        story.check_settled();
    }
}

/// Fails without `read_moved`.
#[test]
fn a_group_that_moves_to_a_base_that_was_read_keeps_its_members() {
    let (fake, _folder, mut story) = begin_in_two_places("full");
    let staff = name_in(ROLES, "CN=Staff,OU=Groups");
    move_before(&fake, "member", staff, ROLES, TEAMS);
    story.tell(
        r#"
name = "the group moves while one base was read and the other was not"
requests = ""
members = { Staff = ["p0000@example.com", "p0001@example.com", "p0002@example.com", "p0003@example.com"] }
"#,
    );
    fake.behave();
    story.check_settled();
}
