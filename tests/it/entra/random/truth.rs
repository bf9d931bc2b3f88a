//! What the target must be, by what the tenant says. Asks the target as its operator does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use super::World;
use crate::entra::tenant::{Life, Tenant};

impl World {
    /// The target is what the tenant says.
    pub(super) fn agrees(&self) {
        let tenant = self.simulator.tenant(|tenant| tenant.clone());
        let list = |endpoint| {
            self.sandbox
                .http
                .list(endpoint)
                .expect("the target answers")
        };
        let users: BTreeMap<Uuid, Value> = by_external_id(list("/Users"));
        let groups: BTreeMap<Uuid, Value> = by_external_id(list("/Groups"));
        let owners: BTreeMap<String, Uuid> = users
            .iter()
            .map(|(id, user)| (user["id"].as_str().unwrap_or_default().to_owned(), *id))
            .collect();
        for user in tenant.users.values() {
            let there = users.get(&user.id);
            let is_active = there.is_some_and(|it| it["active"] == true);
            let enabled = user.properties["accountEnabled"] == true;
            let entitled = user.life == Life::Living && enabled && self.in_scope(&tenant, user.id);
            if is_active != entitled {
                self.fail(&format!(
                    "{}: entitled {entitled}, and at the target {there:?}",
                    user.id
                ));
            }
            let Some(there) = there.filter(|_| entitled) else {
                continue;
            };
            for (ours, theirs) in [
                ("userPrincipalName", "userName"),
                ("displayName", "displayName"),
                ("jobTitle", "title"),
            ] {
                if user.properties.get(ours).unwrap_or(&Value::Null) != &there[theirs] {
                    self.fail(&format!("{}: {ours} is not {}", user.id, there[theirs]));
                }
            }
        }
        for group in tenant.groups.values() {
            let there = groups.get(&group.id);
            let expected: BTreeSet<Uuid> = match group.life {
                Life::Living => flatten(&tenant, group.id, true)
                    .into_iter()
                    .filter(|id| {
                        let gone = tenant.users[id].life == Life::Purged;
                        users.contains_key(id) && !gone && self.in_scope(&tenant, *id)
                    })
                    .collect(),
                _ => BTreeSet::new(),
            };
            let members = there.and_then(|it| it["members"].as_array().cloned());
            let members: BTreeSet<Uuid> = members
                .iter()
                .flatten()
                .filter_map(|it| owners.get(it["value"].as_str()?).copied())
                .collect();
            if members != expected || (there.is_none() && group.life == Life::Living) {
                self.fail(&format!("{}: {members:?} and not {expected:?}", group.id));
            }
        }
    }

    fn in_scope(&self, tenant: &Tenant, user: Uuid) -> bool {
        let Some(transitive) = self.assigned else {
            return true;
        };
        let assigned = &tenant.apps[&self.app].assigned;
        assigned.iter().any(|(principal, _)| {
            let is_group = tenant.groups.get(principal);
            let is_group = is_group.is_some_and(|group| group.life == Life::Living);
            *principal == user
                || (is_group && flatten(tenant, *principal, transitive).contains(&user))
        })
    }
}

fn by_external_id(resources: Vec<Value>) -> BTreeMap<Uuid, Value> {
    let resources = resources.into_iter();
    resources
        .filter_map(|it| Some((Uuid::try_parse(it["externalId"].as_str()?).ok()?, it)))
        .collect()
}

/// The users in a group, and in the groups in it where that counts.
fn flatten(tenant: &Tenant, group: Uuid, deep: bool) -> BTreeSet<Uuid> {
    let mut users = BTreeSet::new();
    let mut entered = BTreeSet::from([group]);
    let mut waiting = vec![group];
    while let Some(id) = waiting.pop() {
        let group = &tenant.groups[&id];
        if group.life != Life::Living {
            continue;
        }
        for (member, _) in group.members.iter().filter(|(_, (there, _))| *there) {
            if tenant.users.contains_key(member) {
                users.insert(*member);
            } else if deep && entered.insert(*member) {
                waiting.push(*member);
            }
        }
    }
    users
}
