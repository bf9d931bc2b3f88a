//! The organisation whose state is damaged: who is in it on each day, and what the target
//! must look like then. A model of its own, of plain numbers; imports nothing from provisor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::http::Http;

/// What changes from day to day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Day {
    /// Everybody is new; one is at the target already.
    First,
    /// Leavers, joiners, movers; all of it pushed.
    Second,
    /// Somebody joins while the target goes away: in doubt when the damage happens.
    Doubt,
    /// What the source says when provisor runs again, for half of the damages.
    Next,
}

const PEOPLE: u32 = 60;
const TEAMS: u32 = 6;
/// Joins on [`Day::Doubt`].
pub(crate) const IN_DOUBT: u32 = 63;
/// Have one userName, so neither can be made: held for ever.
const TWINS: [u32; 2] = [65, 66];
/// Was deactivated on [`Day::Second`], and is back on [`Day::Next`].
pub(crate) const RETURNED: u32 = 12;
/// Leaves a team on [`Day::Next`].
pub(crate) const LEAVES_TEAM: (u32, u32) = (33, 1);
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Who should have access, and what they look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) user_name: String,
    pub(crate) title: String,
    pub(crate) manager: Option<u32>,
}

/// The source of one day.
pub(crate) struct Organisation {
    /// By number: `None` for who is disabled.
    pub(crate) people: BTreeMap<u32, Option<Person>>,
    /// Team to members, whoever they are.
    pub(crate) teams: BTreeMap<u32, BTreeSet<u32>>,
}

impl Organisation {
    pub(crate) fn of(day: Day) -> Self {
        let mut people: BTreeMap<u32, Option<Person>> = (1..=PEOPLE)
            .map(|number| (number, Some(person(number))))
            .collect();
        let mut teams: BTreeMap<u32, BTreeSet<u32>> = (0..TEAMS)
            .map(|team| (team, (1..=PEOPLE).filter(|it| it % TEAMS == team).collect()))
            .collect();
        for number in 1_000..1_000 + crowd() {
            people.insert(number, Some(person(number)));
            teams.entry(5).or_default().insert(number);
        }
        let mut edit = |number: u32, change: &dyn Fn(&mut Person)| {
            if let Some(Some(person)) = people.get_mut(&number) {
                change(person);
            }
        };
        if day >= Day::Second {
            for number in 20..=24 {
                edit(number, &|it| it.title = "Senior".to_owned());
            }
            edit(25, &|it| it.user_name = "renamed25@example.com".to_owned());
            edit(40, &|it| it.manager = Some(5));
        }
        if day >= Day::Next {
            for number in 20..=59 {
                edit(number, &|it| it.title = "Principal".to_owned());
            }
            edit(41, &|it| it.manager = Some(5));
        }
        let mut leave = |numbers: &[u32]| {
            for number in numbers {
                people.remove(number);
                teams.values_mut().for_each(|team| {
                    team.remove(number);
                });
            }
        };
        if day >= Day::Second {
            leave(&[13, 14]);
        }
        if day >= Day::Next {
            leave(&[16]);
        }
        if day >= Day::Second {
            people.insert(11, None);
            people.insert(RETURNED, None);
            people.extend([61, 62].map(|number| (number, Some(person(number)))));
            teams.entry(0).or_default().remove(&30);
            teams.entry(2).or_default().extend([31, 61]);
        }
        if day >= Day::Doubt {
            people.insert(IN_DOUBT, Some(person(IN_DOUBT)));
            teams.entry(3).or_default().insert(IN_DOUBT);
        }
        if day >= Day::Next {
            people.insert(15, None);
            people.insert(RETURNED, Some(person(RETURNED)));
            people.insert(64, Some(person(64)));
            let (member, team) = LEAVES_TEAM;
            teams.entry(team).or_default().remove(&member);
            teams.entry(4).or_default().insert(32);
        }
        Self { people, teams }
    }

    /// The people who should have access.
    pub(crate) fn entitled(&self) -> impl Iterator<Item = (u32, &Person)> {
        self.people
            .iter()
            .filter_map(|(number, person)| Some((*number, person.as_ref()?)))
    }

    pub(crate) fn is_entitled(&self, number: u32) -> bool {
        matches!(self.people.get(&number), Some(Some(_)))
    }

    /// The source's files.
    pub(crate) fn write(&self, folder: &Path) {
        let mut users = "id,userName,title,manager,active\n".to_owned();
        for (number, known) in &self.people {
            let (active, person) = match known {
                Some(known) => (true, known.clone()),
                None => (false, person(*number)),
            };
            let Person {
                user_name,
                title,
                manager,
            } = person;
            let manager = manager.map_or_else(String::new, |it| it.to_string());
            writeln!(users, "{number},{user_name},{title},{manager},{active}")
                .expect("a string takes all");
        }
        for twin in TWINS {
            writeln!(users, "{twin},twin@example.com,Twin,,true").expect("a string takes all");
        }
        let mut groups = "id,displayName,members\n".to_owned();
        for (team, members) in &self.teams {
            let members: Vec<String> = members.iter().map(u32::to_string).collect();
            writeln!(groups, "g{team},Team {team},{}", members.join(";"))
                .expect("a string takes all");
        }
        for (name, text) in [("people.csv", users), ("groups.csv", groups)] {
            std::fs::write(folder.join(name), text).expect("a file in the temporary folder");
        }
    }
}

/// How many people are there besides, whom nothing happens to: they make the database larger
/// than what opening it reads. `PROVISOR_DAMAGE_CROWD=3000`; none unless asked for.
pub(crate) fn crowd() -> u32 {
    let text = std::env::var("PROVISOR_DAMAGE_CROWD").ok();
    text.map_or(0, |text| text.parse().expect("a number of people"))
}

fn person(number: u32) -> Person {
    Person {
        user_name: format!("p{number:02}@example.com"),
        title: "Clerk".to_owned(),
        manager: (10..100).contains(&number).then_some(number / 10),
    }
}

/// Everything at a server that a test looks at.
#[derive(Debug, Clone)]
pub(crate) struct AtTarget {
    users: Vec<Value>,
    groups: Vec<Value>,
}

/// People whom the directory does not know, and one whom it does, as they are before the
/// first sync.
pub(crate) fn people_at_the_target(http: &Http) {
    for (name, external_id, active) in [
        ("guest@example.com", None, true),
        ("robot@example.com", Some("robot:x"), true),
        ("old@example.com", None, false),
        ("p07@example.com", None, true),
    ] {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": name, "active": active, "title": "Guest",
        });
        if let Some(external_id) = external_id {
            body["externalId"] = external_id.into();
        }
        let answer = http.insist("POST", "/Users", Some(&body));
        assert_eq!(answer.map(|it| it.status), Some(201), "{name}");
    }
}

/// Somebody at the target puts a guest into the first team.
pub(crate) fn guest_joins_a_team(http: &Http) {
    let seen = AtTarget::read(http);
    let guest = seen.user("guest@example.com").expect("the guest is there");
    let team = seen.team(0).expect("the first team is there");
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "add", "path": "members", "value": [{"value": guest["id"]}]}],
    });
    let path = format!("/Groups/{}", team["id"].as_str().expect("an id"));
    let answer = http.insist("PATCH", &path, Some(&body)).expect("answered");
    assert!(answer.status < 300, "{answer:?}");
}

impl AtTarget {
    pub(crate) fn read(http: &Http) -> Self {
        Self {
            users: http.list("/Users").expect("the people are listed"),
            groups: http.list("/Groups").expect("the groups are listed"),
        }
    }

    /// By userName.
    pub(crate) fn user(&self, name: &str) -> Option<&Value> {
        self.users.iter().find(|user| user["userName"] == name)
    }

    /// By the record's number, which is the externalId.
    pub(crate) fn person(&self, number: u32) -> Option<&Value> {
        let number = number.to_string();
        self.users
            .iter()
            .find(|user| user["externalId"].as_str() == Some(&number))
    }

    pub(crate) fn is_active(&self, number: u32) -> bool {
        self.person(number)
            .is_some_and(|user| user["active"] == true)
    }

    /// Whose resource this is: a record's number, or `None` for somebody else's.
    pub(crate) fn number_of(&self, id: &str) -> Option<u32> {
        let user = self.users.iter().find(|user| user["id"] == id)?;
        user["externalId"].as_str()?.parse().ok()
    }

    /// Whether there is a person with this id.
    pub(crate) fn has_user(&self, id: &str) -> bool {
        self.users.iter().any(|user| user["id"] == id)
    }

    fn team(&self, team: u32) -> Option<&Value> {
        let name = format!("Team {team}");
        self.groups
            .iter()
            .find(|group| group["displayName"] == name)
    }

    /// What is not as the source says, in words; `before` is what was there when the state was
    /// damaged. Empty is right.
    pub(crate) fn differences(&self, organisation: &Organisation, before: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for key in ["id", "userName", "externalId"] {
            let values: Vec<&str> = self
                .users
                .iter()
                .filter_map(|it| it[key].as_str())
                .collect();
            let distinct: BTreeSet<&str> = values.iter().copied().collect();
            if distinct.len() != values.len() {
                found.push(format!("two people have one {key}"));
            }
        }
        for (number, person) in organisation.entitled() {
            match self.person(number) {
                Some(user) => {
                    if let Some(wrong) = self.difference(user, person) {
                        found.push(format!("{number} {wrong}"));
                    }
                }
                None => found.push(format!("{number} is not at the target")),
            }
        }
        for user in &self.users {
            let number = user["externalId"].as_str().and_then(|id| id.parse().ok());
            match number {
                Some(number) if !organisation.is_entitled(number) => {
                    if user["active"] == true {
                        found.push(format!("{number} left, and is active"));
                    }
                }
                Some(_) => {}
                None => {
                    let was = before.users.iter().find(|it| it["id"] == user["id"]);
                    if was.map(without_meta) != Some(without_meta(user)) {
                        found.push(format!("somebody else's {} was touched", user["userName"]));
                    }
                }
            }
        }
        for gone in &before.users {
            if !self.has_user(gone["id"].as_str().unwrap_or_default()) {
                found.push(format!("{} was deleted", gone["userName"]));
            }
        }
        if self.groups.len() != organisation.teams.len() {
            found.push(format!("there are {} groups", self.groups.len()));
        }
        for (team, members) in &organisation.teams {
            found.extend(self.team_differences(*team, members, organisation));
        }
        found
    }

    fn difference(&self, user: &Value, person: &Person) -> Option<String> {
        let Person {
            user_name,
            title,
            manager,
        } = person;
        let at = user[ENTERPRISE]["manager"]["value"].as_str();
        let at = at.and_then(|id| self.number_of(id));
        let same = user["userName"] == user_name.as_str()
            && user["title"] == title.as_str()
            && user["active"] == true
            && at == *manager;
        (!same).then(|| format!("should be {person:?} and active, and is {user}"))
    }

    /// Among people with access: who has none sees nothing of a group either.
    fn team_differences(
        &self,
        team: u32,
        members: &BTreeSet<u32>,
        organisation: &Organisation,
    ) -> Vec<String> {
        let Some(group) = self.team(team) else {
            return vec![format!("team {team} is not there")];
        };
        let ids: Vec<&str> = group["members"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|member| member["value"].as_str())
            .collect();
        let mut found = Vec::new();
        let distinct: BTreeSet<&str> = ids.iter().copied().collect();
        if distinct.len() != ids.len() {
            found.push(format!("somebody is twice in team {team}"));
        }
        let at: BTreeSet<u32> = distinct
            .iter()
            .filter_map(|id| self.number_of(id))
            .collect();
        let entitled = |set: &BTreeSet<u32>| -> BTreeSet<u32> {
            let those = set.iter().filter(|it| organisation.is_entitled(**it));
            those.copied().collect()
        };
        let (at, wanted) = (entitled(&at), entitled(members));
        for number in wanted.difference(&at) {
            found.push(format!("{number} is missing in team {team}"));
        }
        for number in at.difference(&wanted) {
            found.push(format!("{number} is still in team {team}"));
        }
        let guest = self.user("guest@example.com");
        let guest = guest.and_then(|guest| guest["id"].as_str());
        if team == 0 && !guest.is_some_and(|guest| distinct.contains(guest)) {
            found.push("the guest was taken out of team 0".to_owned());
        }
        found
    }
}

fn without_meta(user: &Value) -> Value {
    let mut user = user.clone();
    if let Some(fields) = user.as_object_mut() {
        fields.remove("meta");
        fields.remove("groups");
    }
    user
}
