//! Who goes from one base to another while one is read after the other: they are there all the
//! time, and that is what the app must go on believing.

use std::sync::Arc;

use crate::ldap::domain::{GROUPS, PEOPLE, group, people, person_dn, source};
use crate::ldap::fake::{Fake, Object, Rules};
use crate::ldap::stories::config;
use crate::support::run::run;
use crate::support::scenario::Scenario;
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
    // Where somebody may be named as a manager, whoever seems gone is looked for by a full read.
    let config = config(&source, "[targets.demo.groups]\npush = [\"*\"]\n").replace(
        "userName = \"mail\"",
        "userName = \"mail\"\nmanager = false",
    );
    let why = "Who moves is not gone, whenever that is.";
    let mut story = Story::begin(Scenario::told(why, &config));
    story.tell("name = \"four people and a group\"\nwrites = 5\n");
    (fake, folder, story)
}

/// Moves somebody, whose links follow, as in an Active Directory.
fn move_now(fake: &Fake, name: &str, to: &str) {
    let new = name_in(to, name);
    fake.change(name, |object| object.dn = new.clone());
    for object in fake.objects().iter_mut() {
        let values = object.attributes.iter_mut().flat_map(|(_, values)| values);
        for value in values.filter(|value| **value == name.as_bytes()) {
            *value = new.clone().into_bytes();
        }
    }
}

/// Somebody moves before this search is answered.
fn move_before(fake: &Arc<Fake>, search: usize, name: &str, to: &'static str) {
    let (of_script, name) = (Arc::downgrade(fake), name.to_owned());
    fake.instead(move |asked| {
        if asked.before == search
            && let Some(fake) = of_script.upgrade()
        {
            move_now(&fake, &name, to);
        }
        None
    });
}

/// Before each search of a read in turn. Fails without `read_moved`, and where changes are read when
/// `fetch` looks below each base once.
#[test]
fn who_moves_to_a_base_that_was_read_is_not_gone() {
    for changes in ["full", "usn"] {
        let (fake, _folder, mut story) = begin_in_two_places(changes);
        let (west, east) = (name_in(WEST, &person_dn(3)), name_in(EAST, &person_dn(3)));
        fake.change(&west, |person| person.set("title", &["Boss"]));
        fake.take_asked();
        let preview = || run(story.folder(), &["sync".into(), "--dry-run".into()]);
        assert_eq!(preview().exit, 0);
        let searches = fake.take_asked().len();
        let mut planned = 0;
        for at in 0..searches {
            fake.take_asked();
            move_before(&fake, at, &west, EAST);
            let ran = preview();
            fake.behave();
            move_now(&fake, &east, WEST);
            // Whoever is met twice may be two.
            assert!(matches!(ran.exit, 0 | 1), "{changes} {at}: {ran:#?}");
            for wrong in ["GoneFromSource", "MembersChanged"] {
                assert!(!ran.stdout.contains(wrong), "{changes} {at}: {ran:#?}");
            }
            planned += usize::from(ran.stdout.contains("AttributesChanged"));
        }
        assert!(planned > searches / 2, "{changes}: {planned} of {searches}");
        story.tell("name = \"the title\"\nwrites = 1\n");
        story.check_settled();
    }
}

/// Fails without `read_moved`.
#[test]
fn a_group_that_moves_to_a_base_that_was_read_keeps_its_members() {
    let (fake, _folder, mut story) = begin_in_two_places("full");
    let (roles, teams) = (
        name_in(ROLES, "CN=Staff,OU=Groups"),
        name_in(TEAMS, "CN=Staff,OU=Groups"),
    );
    fake.take_asked();
    let preview = || run(story.folder(), &["sync".into(), "--dry-run".into()]);
    assert_eq!(preview().exit, 0);
    for at in 0..fake.take_asked().len() {
        fake.take_asked();
        move_before(&fake, at, &roles, TEAMS);
        let ran = preview();
        fake.behave();
        move_now(&fake, &teams, ROLES);
        assert!(ran.stdout.contains("nothing to do"), "{at}: {ran:#?}");
    }
    story.check_settled();
}
