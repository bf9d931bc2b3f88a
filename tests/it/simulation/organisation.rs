//! The organisation that the simulation evolves: people, their records and groups, and the CSV
//! files that a directory would export. This is the truth; nothing here knows the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use fastrand::Rng;

/// A row of `people.csv`. One human may have had several, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) active: bool,
    pub(super) user_name: String,
    pub(super) display_name: String,
    pub(super) title: String,
    /// Stays the same over a human's records.
    pub(super) badge: String,
    /// The record of another.
    pub(super) manager: Option<String>,
    pub(super) team: &'static str,
}

/// A row of `groups.csv`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) members: BTreeSet<String>,
    pub(super) inner: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Organisation {
    pub(super) people: BTreeMap<String, Record>,
    pub(super) groups: BTreeMap<String, Group>,
    /// Who left, as they were last.
    pub(super) gone: BTreeMap<String, Record>,
    /// Whose record every id ever was, by badge.
    pub(super) badges: BTreeMap<String, String>,
    /// Names that stay with one human, because something at a target has them from before.
    pub(super) reserved: BTreeSet<String>,
    next: u32,
}

const TEAMS: [&str; 3] = ["red", "green", "blue"];
/// The group that a scope may name: it is never taken away.
pub(super) const ANCHOR: &str = "g0";

impl Organisation {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut organisation = Self::default();
        for _ in 0..rng.u32(4..12) {
            organisation.join(rng);
        }
        for number in 0..rng.u32(2..5) {
            let group = Group {
                name: format!("group-{number}"),
                ..Group::default()
            };
            organisation.groups.insert(format!("g{number}"), group);
        }
        for _ in 0..12 {
            organisation.change_member(rng);
        }
        organisation
    }

    /// Everybody in a group, through the groups within it.
    pub(super) fn everybody_in(&self, group: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut people = BTreeSet::new();
        let mut ahead = vec![group.to_owned()];
        while let Some(next) = ahead.pop() {
            if !seen.insert(next.clone()) {
                continue;
            }
            if let Some(group) = self.groups.get(&next) {
                people.extend(group.members.iter().cloned());
                ahead.extend(group.inner.iter().cloned());
            }
        }
        people
    }

    /// One thing happens; what, in words.
    pub(super) fn change(&mut self, rng: &mut Rng) -> String {
        match rng.u32(0..19) {
            0 | 1 => format!("{} joins", self.join(rng)),
            2 | 3 => self.leave(rng),
            4 | 5 => self.switch(rng),
            6 | 7 => self.alter(rng, |record, rng| {
                record.title = format!("Title {}", rng.u32(0..5));
                record.team = TEAMS[rng.usize(0..3)];
                format!("is now {} in {}", record.title, record.team)
            }),
            8 => self.rename(rng),
            9 => self.swap(rng),
            10 | 11 => self.rehire(rng),
            12 => self.come_back(rng),
            13 => self.change_manager(rng),
            14 => self.change_groups(rng),
            15 => self.nest(rng),
            16 => self.hand_over(rng),
            _ => self.change_member(rng),
        }
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn join(&mut self, rng: &mut Rng) -> String {
        let number = self.number();
        let (id, badge) = (format!("r{number}"), format!("b{number}"));
        let record = Record {
            active: rng.u32(0..8) > 0,
            user_name: format!("name{number}@example.com"),
            display_name: format!("Human {number}"),
            title: format!("Title {}", rng.u32(0..5)),
            badge: badge.clone(),
            manager: self.pick(rng).filter(|_| rng.bool()),
            team: TEAMS[rng.usize(0..3)],
        };
        self.badges.insert(id.clone(), badge);
        self.people.insert(id.clone(), record);
        id
    }

    fn leave(&mut self, rng: &mut Rng) -> String {
        // An empty source is refused, which is another story.
        let Some(id) = self.pick(rng).filter(|_| self.people.len() > 2) else {
            return "nobody leaves".to_owned();
        };
        self.take_out(&id);
        format!("{id} leaves")
    }

    fn take_out(&mut self, id: &str) {
        if let Some(record) = self.people.remove(id) {
            self.gone.insert(id.to_owned(), record);
        }
        for group in self.groups.values_mut() {
            group.members.remove(id);
        }
        for record in self.people.values_mut() {
            if record.manager.as_deref() == Some(id) {
                record.manager = None;
            }
        }
    }

    fn switch(&mut self, rng: &mut Rng) -> String {
        self.alter(rng, |record, _| {
            record.active = !record.active;
            let how = if record.active { "on" } else { "off" };
            format!("is switched {how}")
        })
    }

    fn rename(&mut self, rng: &mut Rng) -> String {
        let number = self.number();
        let reserved = self.reserved.clone();
        self.alter(rng, |record, _| {
            if reserved.contains(&record.user_name) {
                return "keeps the name".to_owned();
            }
            record.user_name = format!("name{number}@example.com");
            format!("is called {}", record.user_name)
        })
    }

    fn swap(&mut self, rng: &mut Rng) -> String {
        let (Some(one), Some(other)) = (self.pick(rng), self.pick(rng)) else {
            return "nothing".to_owned();
        };
        let name_of = |id: &String| self.people[id].user_name.clone();
        let (first, second) = (name_of(&one), name_of(&other));
        if self.reserved.contains(&first) || self.reserved.contains(&second) {
            return "nobody swaps names".to_owned();
        }
        let mut give = |id: &String, name| {
            if let Some(record) = self.people.get_mut(id) {
                record.user_name = name;
            }
        };
        give(&one, second);
        give(&other, first);
        format!("{one} and {other} swap their names")
    }

    /// Somebody who left gets a new record, with the old name or a new one.
    fn rehire(&mut self, rng: &mut Rng) -> String {
        let Some(former) = pick_key(&self.gone, rng) else {
            return "nobody is rehired".to_owned();
        };
        let mut record = self.gone[&former].clone();
        if self.people.values().any(|it| it.badge == record.badge) {
            return "nobody is rehired twice".to_owned();
        }
        self.gone.remove(&former);
        let number = self.number();
        let id = format!("r{number}");
        if self.has_name(&record.user_name) || rng.u32(0..3) == 0 {
            record.user_name = format!("name{number}@example.com");
        }
        record.active = true;
        record.manager = None;
        self.badges.insert(id.clone(), record.badge.clone());
        let said = format!("{former} is rehired as {id}, {}", record.user_name);
        self.people.insert(id, record);
        said
    }

    /// Somebody who left is there again with the same record.
    fn come_back(&mut self, rng: &mut Rng) -> String {
        let Some(id) = pick_key(&self.gone, rng) else {
            return "nobody comes back".to_owned();
        };
        let mut record = self.gone[&id].clone();
        let taken = self.has_name(&record.user_name)
            || self.people.values().any(|it| it.badge == record.badge);
        if taken {
            return "nobody comes back to what others have".to_owned();
        }
        self.gone.remove(&id);
        record.active = true;
        record.manager = None;
        self.people.insert(id.clone(), record);
        format!("{id} comes back")
    }

    /// A newcomer gets the name of somebody who left.
    fn hand_over(&mut self, rng: &mut Rng) -> String {
        let Some(former) = pick_key(&self.gone, rng) else {
            return "no name is handed over".to_owned();
        };
        let name = self.gone[&former].user_name.clone();
        if self.has_name(&name) || self.reserved.contains(&name) {
            return "no name is free".to_owned();
        }
        let id = self.join(rng);
        if let Some(record) = self.people.get_mut(&id) {
            record.user_name.clone_from(&name);
        }
        format!("{id} joins with the name that {former} had, {name}")
    }

    fn change_manager(&mut self, rng: &mut Rng) -> String {
        let manager = self.pick(rng).filter(|_| rng.u32(0..4) > 0);
        self.alter(rng, |record, _| {
            record.manager = manager;
            format!("reports to {:?}", record.manager)
        })
    }

    fn change_groups(&mut self, rng: &mut Rng) -> String {
        let others: Vec<String> = self
            .groups
            .keys()
            .filter(|id| *id != ANCHOR)
            .cloned()
            .collect();
        if rng.bool() && !others.is_empty() {
            let id = others[rng.usize(0..others.len())].clone();
            if rng.bool() {
                self.groups.remove(&id);
                for group in self.groups.values_mut() {
                    group.inner.remove(&id);
                }
                return format!("the group {id} is gone");
            }
            let name = format!("group-{}", self.number());
            if let Some(group) = self.groups.get_mut(&id) {
                group.name.clone_from(&name);
            }
            return format!("the group {id} is called {name}");
        }
        let number = self.number();
        let group = Group {
            name: format!("group-{number}"),
            members: self.pick(rng).into_iter().collect(),
            inner: BTreeSet::new(),
        };
        self.groups.insert(format!("g{number}"), group);
        format!("a new group g{number}")
    }

    fn nest(&mut self, rng: &mut Rng) -> String {
        let (Some(outer), Some(inner)) = (pick_key(&self.groups, rng), pick_key(&self.groups, rng))
        else {
            return "nothing".to_owned();
        };
        let Some(group) = self.groups.get_mut(&outer).filter(|_| outer != inner) else {
            return "nothing".to_owned();
        };
        if !group.inner.remove(&inner) {
            group.inner.insert(inner.clone());
        }
        format!("{inner} goes in or out of {outer}")
    }

    fn change_member(&mut self, rng: &mut Rng) -> String {
        let (Some(group), Some(person)) = (pick_key(&self.groups, rng), self.pick(rng)) else {
            return "nothing".to_owned();
        };
        let members = &mut self.groups.get_mut(&group).expect("picked").members;
        if members.remove(&person) {
            return format!("{person} leaves {group}");
        }
        members.insert(person.clone());
        format!("{person} is in {group}")
    }

    fn has_name(&self, name: &str) -> bool {
        self.people.values().any(|record| record.user_name == name)
    }

    fn pick(&self, rng: &mut Rng) -> Option<String> {
        pick_key(&self.people, rng)
    }

    fn alter(
        &mut self,
        rng: &mut Rng,
        change: impl FnOnce(&mut Record, &mut Rng) -> String,
    ) -> String {
        let Some(id) = self.pick(rng) else {
            return "nothing".to_owned();
        };
        let record = self.people.get_mut(&id).expect("picked");
        let said = change(record, rng);
        if record.manager.as_deref() == Some(&id) {
            record.manager = None;
        }
        format!("{id} {said}")
    }

    pub(super) fn people_csv(&self) -> String {
        let mut text =
            "id,active,userName,displayName,title,employeeNumber,manager,team\n".to_owned();
        for (id, record) in &self.people {
            let Record {
                active,
                user_name,
                display_name,
                title,
                badge,
                manager,
                team,
            } = record;
            let manager = manager.as_deref().unwrap_or_default();
            let _ = writeln!(
                text,
                "{id},{active},{user_name},{display_name},{title},{badge},{manager},{team}"
            );
        }
        text
    }

    pub(super) fn groups_csv(&self) -> String {
        let mut text = "id,displayName,members,member_groups\n".to_owned();
        for (id, group) in &self.groups {
            let Group {
                name,
                members,
                inner,
            } = group;
            let join = |ids: &BTreeSet<String>| ids.iter().cloned().collect::<Vec<_>>().join(";");
            let _ = writeln!(text, "{id},{name},{},{}", join(members), join(inner));
        }
        text
    }
}

/// Any key of a map.
pub(super) fn pick_key<T>(map: &BTreeMap<String, T>, rng: &mut Rng) -> Option<String> {
    let place = rng.usize(0..map.len().max(1));
    map.keys().nth(place).cloned()
}
