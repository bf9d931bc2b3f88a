//! Reading only what changed leaves what reading everything leaves: an administrator does one
//! thing after another at random, and after each few the mirror of a reader of changes is
//! compared with that of somebody who reads everything.

use chrono::{DateTime, TimeDelta, Utc};

use super::directory::{Directory, Flavor, Person, Record};
use super::reader::Reader;

/// Rounds of changes with each directory.
const ROUNDS: u64 = 60;

/// Numbers that look random and are the same in each run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sides = u64::try_from(sides).expect("a small number");
        usize::try_from((mixed ^ (mixed >> 31)) % sides).expect("a small number")
    }
}

const PEOPLE: usize = 14;
const GROUPS: usize = 5;

/// An administrator who tries things. What the directory refuses has not happened.
struct Administrator<'a> {
    directory: &'a Directory,
    dice: Dice,
    moment: DateTime<Utc>,
}

impl Administrator<'_> {
    /// Somebody who stays: a source without anybody is refused.
    fn welcome(&self) {
        self.directory.join(&Person {
            key: "ana",
            given_name: "Ana",
            surname: "Alba",
            mail: "ana@example.com",
            title: "Clerk",
        });
    }

    fn person(&mut self) -> String {
        self.directory
            .person_dn(&format!("p{}", self.dice.roll(PEOPLE)))
    }

    fn group(&mut self) -> String {
        self.directory
            .group_dn(&format!("G{}", self.dice.roll(GROUPS)))
    }

    fn join(&mut self) -> String {
        let key = format!("p{}", self.dice.roll(PEOPLE));
        let mut record = Record::add(&self.directory.person_dn(&key));
        let mail = format!("{key}@example.com");
        match self.directory.flavor {
            Flavor::ActiveDirectory => record
                .line("objectClass", "user")
                .line("sAMAccountName", &key)
                .line("userAccountControl", "544"),
            _ => record
                .line("objectClass", "inetOrgPerson")
                .line("objectClass", "shadowAccount")
                .line("uid", &key)
                .line("cn", &key),
        };
        record.line("sn", "X").line("mail", &mail);
        record.0
    }

    fn make_group(&mut self) -> String {
        let name = format!("G{}", self.dice.roll(GROUPS));
        let mut record = Record::add(&self.directory.group_dn(&name));
        match self.directory.flavor {
            Flavor::ActiveDirectory => record
                .line("objectClass", "group")
                .line("sAMAccountName", &format!("g-{name}"))
                .line("groupType", "-2147483646"),
            _ => record
                .line("objectClass", "groupOfNames")
                .line("cn", &name)
                .line("member", "cn=nobody"),
        };
        // Who is not there cannot be a member of an Active Directory's group.
        if self.directory.flavor != Flavor::ActiveDirectory {
            let member = self.person();
            record.line("member", &member);
        }
        record.0
    }

    fn rename(&mut self, from: String, to: &str, place: Option<String>) -> String {
        let mut record = Record::change(&from, "modrdn");
        record.line("newrdn", to).line("deleteoldrdn", "1");
        if let Some(place) = place {
            record.line("newsuperior", &place);
        }
        record.0
    }

    fn set(&mut self, dn: &str, attribute: &str, value: &str) -> String {
        let mut record = Record::change(dn, "modify");
        record.line("replace", attribute).line(attribute, value);
        record.0
    }

    fn value(&mut self, dn: &str, how: &str, attribute: &str, value: &str) -> String {
        let mut record = Record::change(dn, "modify");
        record.line(how, attribute).line(attribute, value);
        record.0
    }

    /// One thing that an administrator might do.
    fn think(&mut self) -> String {
        let is_ad = self.directory.flavor == Flavor::ActiveDirectory;
        let naming = if is_ad { "CN" } else { "uid" };
        match self.dice.roll(20) {
            0..=2 => self.join(),
            3 => {
                let (dn, title) = (self.person(), format!("T{}", self.dice.roll(9)));
                self.set(&dn, "title", &title)
            }
            4 => {
                let (dn, boss) = (self.person(), self.person());
                self.set(&dn, "manager", &boss)
            }
            5 => {
                let (dn, off) = (self.person(), self.dice.roll(2) == 0);
                match (is_ad, off) {
                    (true, true) => self.set(&dn, "userAccountControl", "546"),
                    (true, false) => self.set(&dn, "userAccountControl", "544"),
                    (false, true) => self.set(&dn, "pwdAccountLockedTime", "000001010000Z"),
                    (false, false) => {
                        let mut record = Record::change(&dn, "modify");
                        record.line("replace", "pwdAccountLockedTime");
                        record.0
                    }
                }
            }
            6 => {
                // By the clock alone, some hours from now.
                let (dn, hours) = (
                    self.person(),
                    i64::try_from(self.dice.roll(40)).expect("few"),
                );
                let ends = self.moment + TimeDelta::hours(hours);
                let ticks = (ends.timestamp() + 11_644_473_600) * 10_000_000;
                match is_ad {
                    true => self.set(&dn, "accountExpires", &ticks.to_string()),
                    false => {
                        let day = (ends.timestamp() / 86_400 + 1).to_string();
                        self.set(&dn, "shadowExpire", &day)
                    }
                }
            }
            7 => {
                let (dn, place) = (self.person(), self.directory.former_base());
                let rdn = dn.split(',').next().expect("a name").to_owned();
                self.rename(dn, &rdn, Some(place))
            }
            8 => {
                let key = format!("{naming}=p{}", self.dice.roll(PEOPLE));
                let from = format!("{key},{}", self.directory.former_base());
                let place = self.directory.users_base();
                self.rename(from, &key, Some(place))
            }
            9 => {
                let (dn, new) = (self.person(), self.dice.roll(PEOPLE));
                self.rename(dn, &format!("{naming}=p{new}"), None)
            }
            10 => Record::change(&self.person(), "delete").0,
            11 | 12 => self.make_group(),
            13 => Record::change(&self.group(), "delete").0,
            14 => {
                let (dn, new) = (self.group(), self.dice.roll(GROUPS));
                self.rename(dn, &format!("cn=G{new}"), None)
            }
            15 | 16 => {
                let (group, person) = (self.group(), self.person());
                self.value(&group, "add", "member", &person)
            }
            17 => {
                let (group, person) = (self.group(), self.person());
                self.value(&group, "delete", "member", &person)
            }
            18 => {
                let (group, other) = (self.group(), self.group());
                self.value(&group, "add", "member", &other)
            }
            _ => self.units(naming),
        }
    }

    /// A unit is made, filled, moved out with everybody in it, or comes back.
    fn units(&mut self, naming: &str) -> String {
        let users = self.directory.users_base();
        let former = self.directory.former_base();
        let unit = format!("ou=U,{users}");
        match self.dice.roll(5) {
            0 => {
                let mut record = Record::add(&unit);
                record
                    .line("objectClass", "organizationalUnit")
                    .line("ou", "U");
                record.0
            }
            1 | 2 => {
                let key = format!("{naming}=p{}", self.dice.roll(PEOPLE));
                self.rename(format!("{key},{users}"), &key, Some(unit))
            }
            3 => self.rename(unit, "ou=U", Some(former)),
            _ => self.rename(format!("ou=U,{former}"), "ou=U", Some(users)),
        }
    }
}

fn agree(directory: &Directory, source: &str, mapping: &str, seed: u64) {
    let mut administrator = Administrator {
        directory,
        dice: Dice(seed),
        moment: Utc::now(),
    };
    administrator.welcome();
    let (one, other) = (Reader::new(source, mapping), Reader::new(source, mapping));
    let (mut partly, mut everything) = (0, Vec::new());
    for round in 0..ROUNDS {
        let mut done = Vec::new();
        for _ in 0..=administrator.dice.roll(4) {
            let record = administrator.think();
            if directory.server.attempt(&record) {
                done.push(record);
            }
        }
        administrator.moment += TimeDelta::hours(3);
        let now = administrator.moment;
        let changes = one.read(false, now);
        let how = &changes.said;
        partly += u64::from(changes.partly);
        let why = how.lines().find(|line| line.contains("everything is read"));
        everything.extend(why.map(str::to_owned));
        let whole = other.read(true, now);
        assert_eq!(
            changes.mirror, whole.mirror,
            "round {round}, after {done:#?}\n{how}"
        );
    }
    assert!(partly >= ROUNDS / 3, "{everything:#?}");
}

/// Who is deleted could be named by others, who have not changed.
const WITHOUT_REFERENCES: &str = "title = \"title\"\nmanager = false";
const WITH_REFERENCES: &str = "title = \"title\"\nmanager = \"manager\"";

fn agree_with_openldap(mapping: &str, seed: u64) {
    if let Some(directory) = Directory::start(Flavor::OpenLdap) {
        agree(&directory, &directory.source(""), mapping, seed);
    }
}

fn agree_with_active_directory(changes: &str, mapping: &str, seed: u64) {
    if let Some(directory) = Directory::start(Flavor::ActiveDirectory) {
        // Deleted objects are for administrators.
        let source = directory.source_as_admin(&format!("changes = \"{changes}\""));
        agree(&directory, &source, mapping, seed);
    }
}

#[test]
fn changes_and_everything_agree_with_openldap() {
    agree_with_openldap(WITHOUT_REFERENCES, 1);
}

#[test]
fn changes_and_everything_agree_with_openldap_when_people_name_each_other() {
    agree_with_openldap(WITH_REFERENCES, 7);
}

#[test]
fn changes_and_everything_agree_with_active_directory() {
    agree_with_active_directory("usn", WITHOUT_REFERENCES, 1);
}

#[test]
fn changes_and_everything_agree_with_active_directory_when_people_name_each_other() {
    agree_with_active_directory("usn", WITH_REFERENCES, 7);
}

#[test]
fn changes_and_everything_agree_with_dirsync() {
    agree_with_active_directory("dirsync", WITHOUT_REFERENCES, 1);
}

#[test]
fn changes_and_everything_agree_with_dirsync_when_people_name_each_other() {
    agree_with_active_directory("dirsync", WITH_REFERENCES, 7);
}

/// Nothing but full reads there: two of them, in whatever order the server gives people, leave
/// the same.
#[test]
fn reading_twice_agrees_with_389ds() {
    let Some(directory) = Directory::start(Flavor::DirectoryServer) else {
        return;
    };
    let mut administrator = Administrator {
        directory: &directory,
        dice: Dice(3),
        moment: Utc::now(),
    };
    administrator.welcome();
    let source = directory.source("");
    let (one, other) = (
        Reader::new(&source, WITH_REFERENCES),
        Reader::new(&source, WITH_REFERENCES),
    );
    for round in 0..ROUNDS / 3 {
        for _ in 0..=administrator.dice.roll(9) {
            let record = administrator.think();
            directory.server.attempt(&record);
        }
        administrator.moment += TimeDelta::hours(3);
        let (one, other) = (
            one.read(false, administrator.moment),
            other.read(true, administrator.moment),
        );
        assert!(!one.partly, "its changes are not known to be complete");
        assert_eq!(one.mirror, other.mirror, "round {round}");
    }
}
