//! Which roles somebody has in an app: their own, and those of the groups that they are
//! directly in, as Microsoft Entra gives them. Pure.
//!
//! Where the assignments could not be read, what was known stands.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::apps::App;
use super::group::Member;
use super::person::put;
use crate::question::Question;
use crate::source::{Attributes, Kind, Value};

/// The assignments that roles are taken from, by the app's name in the configuration.
pub(super) struct Roles<'a> {
    apps: BTreeMap<&'a str, Option<BTreeMap<Member, &'a BTreeSet<String>>>>,
}

impl<'a> Roles<'a> {
    /// `apps` without one that is wanted: it could not be read.
    pub(super) fn new(wanted: &'a BTreeSet<String>, apps: &'a BTreeMap<String, App>) -> Self {
        let wanted = wanted.iter();
        let apps = wanted.map(|name| (name.as_str(), apps.get(name).map(App::roles_of)));
        Self {
            apps: apps.collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }

    /// Whether a group gives anybody anything.
    pub(super) fn has_group(&self, group: Uuid) -> bool {
        let mut apps = self.apps.values().flatten();
        apps.any(|assigned| assigned.contains_key(&(Kind::Group, group)))
    }

    /// Puts the roles of somebody who is directly in these groups into their attributes.
    pub(super) fn put(
        &self,
        attributes: &mut Attributes,
        person: Uuid,
        groups: &BTreeSet<Uuid>,
        known: &Attributes,
    ) {
        for (app, assigned) in &self.apps {
            let name = Question::RolesIn((*app).to_owned()).name();
            let values = match assigned {
                None => known.values(&name).to_vec(),
                Some(assigned) => {
                    let groups = groups.iter().map(|group| (Kind::Group, *group));
                    let by = groups.chain([(Kind::User, person)]);
                    let roles: BTreeSet<&String> = by
                        .filter_map(|principal| assigned.get(&principal))
                        .flat_map(|roles| roles.iter())
                        .collect();
                    roles.into_iter().cloned().map(Value::Text).collect()
                }
            };
            put(attributes, &name, values);
        }
    }
}

/// Who has other roles in an app than before.
pub(super) fn differing(before: Option<&App>, now: &App) -> BTreeSet<Member> {
    let now = now.roles_of();
    let before = before.map(App::roles_of).unwrap_or_default();
    let all: BTreeSet<&Member> = before.keys().chain(now.keys()).collect();
    let differ = all.into_iter().filter(|it| before.get(it) != now.get(it));
    differ.copied().collect()
}
