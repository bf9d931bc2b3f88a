//! What happens in a tenant in a day.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;
use crate::entra::tenant::Life;

impl World {
    pub(super) fn change(&mut self) {
        match self.rng.usize(0..12) {
            0 => self.join(),
            1 => self.found(),
            2..=4 => self.mingle(),
            5 | 6 => self.assign(),
            7 => match self.rng.u8(0..4) {
                0 => self.delete_or_restore_group(),
                _ => self.delete_or_restore(),
            },
            8 => self.purge(),
            9 => self.rest(),
            _ => self.edit(),
        }
    }

    pub(super) fn note(&mut self, what: String) {
        self.story.push(what);
    }

    /// Some user or group who is there.
    pub(super) fn some(&mut self, of_users: bool) -> Option<Uuid> {
        let all = self.simulator.tenant(|tenant| {
            let objects = if of_users {
                &tenant.users
            } else {
                &tenant.groups
            };
            let living = objects.values().filter(|it| it.life == Life::Living);
            living.map(|it| it.id).collect::<Vec<_>>()
        });
        self.rng.choice(all)
    }

    pub(super) fn join(&mut self) {
        self.names += 1;
        let name = format!("p{}", self.names);
        let on = self.rng.u8(0..5) > 0;
        let manager = self.some(true).filter(|_| self.rng.bool());
        let id = self.simulator.tenant(|tenant| {
            let id = tenant.add_user(&name, json!({"accountEnabled": on, "jobTitle": "New"}));
            tenant.set_manager(id, manager);
            id
        });
        if self.rng.bool() {
            let app = self.app;
            self.simulator.tenant(|tenant| tenant.assign(app, id, None));
        }
        self.note(format!("{name} is {id}, {on}, manager {manager:?}"));
    }

    pub(super) fn found(&mut self) {
        self.names += 1;
        let name = format!("g{}", self.names);
        let id = self.simulator.tenant(|tenant| tenant.add_group(&name, &[]));
        self.note(format!("{name} is {id}"));
    }

    /// Somebody, or a group, comes into a group or leaves it.
    pub(super) fn mingle(&mut self) {
        let of_users = self.rng.u8(0..4) > 0;
        let (Some(group), Some(member)) = (self.some(false), self.some(of_users)) else {
            return;
        };
        let there = self.rng.u8(0..3) > 0;
        if group == member {
            return;
        }
        self.simulator
            .tenant(|tenant| tenant.put_member(group, member, there));
        self.note(format!("{member} in {group}: {there}"));
    }

    fn assign(&mut self) {
        let of_users = self.rng.bool();
        let Some(principal) = self.some(of_users) else {
            return;
        };
        let (app, on) = (self.app, self.rng.u8(0..3) > 0);
        self.simulator.tenant(|tenant| match on {
            true => tenant.assign(app, principal, None),
            false => tenant.unassign(app, principal),
        });
        self.note(format!("{principal} is assigned: {on}"));
    }

    fn delete_or_restore(&mut self) {
        let deleted: Vec<Uuid> = self.deleted.iter().copied().collect();
        let restored = self.rng.choice(deleted).filter(|_| self.rng.bool());
        if let Some(id) = restored {
            self.deleted.remove(&id);
            self.simulator.tenant(|tenant| tenant.restore(id));
            return self.note(format!("{id} is restored"));
        }
        if let Some(id) = self.some(true) {
            self.simulator.tenant(|tenant| tenant.delete(id));
            self.note(format!("{id} is deleted"));
        }
    }

    /// Of groups it is told.
    fn delete_or_restore_group(&mut self) {
        let deleted = self.simulator.tenant(|tenant| {
            let groups = tenant.groups.values();
            let deleted = groups.filter(|group| matches!(group.life, Life::Deleted(_)));
            deleted.map(|group| group.id).collect::<Vec<_>>()
        });
        let restored = self.rng.choice(deleted);
        let Some(id) = restored.or_else(|| self.some(false)) else {
            return;
        };
        self.simulator.tenant(|tenant| {
            let silences = std::mem::take(&mut tenant.silences);
            match restored {
                Some(_) => tenant.restore(id),
                None => tenant.delete(id),
            }
            tenant.silences = silences;
        });
        if restored.is_some() {
            self.came_back.insert(id);
        }
        self.note(format!("{id} is restored: {}", restored.is_some()));
    }

    /// Groups come back with everybody who is in them. The list of one that comes back leaves out
    /// who is deleted, and what everything would come to does not, until they come back as well:
    /// `stories::groups` tells of that.
    pub(super) fn restore_members(&mut self) {
        let groups = std::mem::take(&mut self.came_back);
        let left_out = self.simulator.tenant(|tenant| {
            let groups = groups.iter().filter_map(|id| tenant.groups.get(id));
            let members = groups.flat_map(|group| group.members.iter());
            let members = members.filter(|(_, (there, _))| *there).map(|(id, _)| *id);
            let is_deleted = |id: &Uuid| {
                let user = tenant.users.get(id);
                user.is_some_and(|user| matches!(user.life, Life::Deleted(_)))
            };
            members.filter(is_deleted).collect::<BTreeSet<_>>()
        });
        for id in left_out {
            self.deleted.remove(&id);
            self.simulator.tenant(|tenant| tenant.restore(id));
            self.note(format!("{id} is restored with a group"));
        }
    }

    fn purge(&mut self) {
        let deleted: Vec<Uuid> = self.deleted.iter().copied().collect();
        let group = self.rng.u8(0..4) == 0;
        let id = match group {
            true => self.some(false),
            false => self.rng.choice(deleted),
        };
        if let Some(id) = id {
            self.deleted.remove(&id);
            self.simulator.tenant(|tenant| {
                // Of groups it is told.
                let told = tenant.silences.purge;
                tenant.silences.purge = told && !group;
                tenant.purge(id);
                tenant.silences.purge = told;
            });
            self.note(format!("{id} is gone for good"));
        }
    }

    /// Days pass: tokens expire, and perhaps the deleted items, too.
    fn rest(&mut self) {
        let days = i64::from(self.rng.u8(1..12));
        self.simulator
            .tenant(|tenant| tenant.wait(TimeDelta::days(days)));
        self.note(format!("{days} days pass"));
    }

    fn edit(&mut self) {
        let Some(id) = self.some(true) else {
            return;
        };
        let number = self.rng.u16(..);
        let title = match self.rng.bool() {
            true => json!(format!("Title {number}")),
            false => Value::Null,
        };
        let change = match self.rng.usize(0..4) {
            0 => json!({"jobTitle": title}),
            1 => json!({"accountEnabled": number.is_multiple_of(2)}),
            2 => json!({"userPrincipalName": format!("n{number}-{}@example.com", self.names)}),
            _ => json!({"city": "nobody selects it", "displayName": format!("N {number}")}),
        };
        let manager = self.some(true).filter(|it| *it != id && self.rng.bool());
        let sets_manager = self.rng.u8(0..3) == 0;
        self.simulator.tenant(|tenant| {
            tenant.set(id, change.clone());
            if sets_manager {
                tenant.set_manager(id, manager);
            }
        });
        self.names += 1;
        self.note(format!(
            "{id}: {change}, manager {sets_manager} {manager:?}"
        ));
    }
}
