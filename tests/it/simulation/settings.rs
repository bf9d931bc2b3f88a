//! A target's settings, as the simulation changes them: written as TOML for the engine, and
//! read here, independently, for what they mean.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde_json::{Value, json};

use super::organisation::{ANCHOR, Organisation, Record};
use super::service::ENTERPRISE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Everyone,
    /// Whoever is not in this team.
    NotIn(&'static str),
    /// Whoever is in the group that is always there.
    Anchor,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) scope: Scope,
    /// Titles are written in capitals.
    pub(super) loud: bool,
    pub(super) rehire_key: bool,
    /// Groups are pushed.
    pub(super) push: bool,
    pub(super) nested_direct: bool,
    pub(super) authoritative: bool,
    pub(super) when_gone: &'static str,
    /// Days.
    pub(super) delete_after: Option<u32>,
    /// A count for each limit that the simulation checks.
    pub(super) limits: BTreeMap<&'static str, u64>,
}

pub(super) const DEACTIVATIONS: &str = "deactivations";
pub(super) const EXPLICIT: &str = "explicit_deactivations";
pub(super) const REACTIVATIONS: &str = "reactivations";
pub(super) const REMOVED: &str = "members_removed";
const LIMITS: [&str; 4] = [DEACTIVATIONS, EXPLICIT, REACTIVATIONS, REMOVED];
const UNCHECKED: [&str; 6] = [
    "deletions",
    "group_deletions",
    "identifiers",
    "overwrites",
    "cleared",
    "recreations",
];
const PLENTY: u64 = 1_000;

impl Settings {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut settings = Self {
            scope: Scope::Everyone,
            loud: rng.bool(),
            rehire_key: rng.bool(),
            push: rng.u32(0..4) > 0,
            nested_direct: rng.bool(),
            authoritative: rng.u32(0..5) == 0,
            when_gone: ["empty", "keep", "delete"][rng.usize(0..3)],
            delete_after: (rng.u32(0..4) == 0).then_some(30),
            limits: LIMITS.into_iter().map(|name| (name, PLENTY)).collect(),
        };
        settings.choose_scope(rng);
        settings.choose_limit(rng);
        settings
    }

    fn choose_scope(&mut self, rng: &mut Rng) {
        self.scope = match rng.u32(0..5) {
            0 | 1 => Scope::Everyone,
            2 | 3 => Scope::NotIn(["red", "green"][rng.usize(0..2)]),
            _ => Scope::Anchor,
        };
    }

    fn choose_limit(&mut self, rng: &mut Rng) {
        let name = LIMITS[rng.usize(0..LIMITS.len())];
        let count = [0, 2, 3, PLENTY][rng.usize(0..4)];
        self.limits.insert(name, count);
    }

    /// Somebody edits the configuration; what, in words.
    pub(super) fn change(&mut self, rng: &mut Rng) -> String {
        match rng.u32(0..9) {
            0 => self.loud = !self.loud,
            1 => self.choose_scope(rng),
            2 => self.rehire_key = !self.rehire_key,
            3 => self.push = !self.push,
            4 => self.nested_direct = !self.nested_direct,
            5 => self.when_gone = ["empty", "keep", "delete"][rng.usize(0..3)],
            _ => self.choose_limit(rng),
        }
        format!("{self:?}")
    }

    /// Nothing is held any more.
    pub(super) fn lift_limits(&mut self) {
        for count in self.limits.values_mut() {
            *count = PLENTY;
        }
    }

    pub(super) fn toml(&self, name: &str, base_url: &str) -> String {
        let Self {
            scope,
            loud,
            rehire_key,
            push,
            nested_direct,
            authoritative,
            when_gone,
            delete_after,
            limits,
        } = self;
        let mut lines = vec![
            format!("[targets.{name}]"),
            "source = \"staff\"".to_owned(),
            format!("base_url = \"{base_url}/{name}\""),
            "auth = { bearer = { file = \"token\" } }".to_owned(),
            "settle = \"30s\"".to_owned(),
        ];
        if *rehire_key {
            lines.push("rehire_key = \"employeeNumber\"".to_owned());
        }
        if let Some(days) = delete_after {
            lines.push(format!("delete_after = \"{days}d\""));
        }
        lines.push("pace = { concurrency = 1 }".to_owned());
        match scope {
            Scope::Everyone => {}
            Scope::NotIn(team) => {
                lines.push(format!("scope = {{ when = \"team != '{team}'\" }}"));
            }
            Scope::Anchor => lines.push(format!("scope = {{ groups = [\"{ANCHOR}\"] }}")),
        }
        let title = if *loud {
            "{{ title | upper }}"
        } else {
            "title"
        };
        lines.push(format!("mapping = {{ title = \"{title}\" }}"));
        lines.push(format!("[targets.{name}.groups]"));
        if *push {
            lines.push("push = [\"*\"]".to_owned());
        }
        let nested = if *nested_direct { "direct" } else { "flatten" };
        lines.push(format!("nested = \"{nested}\""));
        lines.push(format!("authoritative = {authoritative}"));
        lines.push(format!("when_gone = \"{when_gone}\""));
        lines.push(format!("[targets.{name}.limits]"));
        lines.extend(
            limits
                .iter()
                .map(|(limit, count)| format!("{limit} = {count}")),
        );
        lines.extend(UNCHECKED.map(|limit| format!("{limit} = {PLENTY}")));
        lines.join("\n") + "\n"
    }

    /// Whether somebody is in scope, active or not.
    pub(super) fn has_in_scope(&self, truth: &Organisation, id: &str) -> bool {
        truth.people.get(id).is_some_and(|record| match self.scope {
            Scope::Everyone => true,
            Scope::NotIn(team) => record.team != team,
            Scope::Anchor => truth.everybody_in(ANCHOR).contains(id),
        })
    }

    pub(super) fn entitles(&self, truth: &Organisation, id: &str) -> bool {
        let active = truth.people.get(id).is_some_and(|record| record.active);
        active && self.has_in_scope(truth, id)
    }

    /// What somebody's plain attributes should be, but for `externalId` and the manager.
    pub(super) fn values_of(&self, record: &Record) -> BTreeMap<String, Value> {
        let title = match self.loud {
            true => record.title.to_uppercase(),
            false => record.title.clone(),
        };
        BTreeMap::from([
            ("userName".to_owned(), json!(record.user_name)),
            ("displayName".to_owned(), json!(record.display_name)),
            ("title".to_owned(), json!(title)),
            (format!("{ENTERPRISE}:employeeNumber"), json!(record.badge)),
        ])
    }

    /// The people and the groups that a group should show, where it is pushed.
    pub(super) fn members_of(
        &self,
        truth: &Organisation,
        group: &str,
    ) -> (BTreeSet<String>, BTreeSet<String>) {
        let Some(row) = truth.groups.get(group).filter(|_| self.push) else {
            return Default::default();
        };
        let (mut people, inner) = match self.nested_direct {
            true => (row.members.clone(), row.inner.clone()),
            false => (truth.everybody_in(group), BTreeSet::new()),
        };
        people.retain(|id| self.has_in_scope(truth, id));
        (people, inner)
    }
}
