//! A tenant: users, groups and enterprise applications, with the number of the change that last
//! touched each property and each membership. Knows nothing of HTTP.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::metadata;

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Living,
    /// In the deleted items since this moment.
    Deleted(DateTime<Utc>),
    /// Gone for good.
    Purged,
}

/// A user or group.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) id: Uuid,
    /// What was ever set; `null` where it was cleared.
    pub(super) properties: Map<String, Value>,
    /// When each was set last, by the number of the change.
    pub(super) set_at: BTreeMap<String, u64>,
    pub(super) life: Life,
    /// When `life` became what it is.
    pub(super) life_at: u64,
    /// Whether delta queries tell that.
    pub(super) life_told: bool,
    /// Of a user.
    pub(super) manager: Option<Uuid>,
    pub(super) manager_at: u64,
    pub(super) former_manager: Option<Uuid>,
    /// Of a group: whether somebody is in it, and since when that is so.
    pub(super) members: BTreeMap<Uuid, (bool, u64)>,
}

/// An enterprise application.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) id: Uuid,
    pub(super) app_id: Uuid,
    pub(super) name: String,
    /// Id, and the role's value.
    pub(super) roles: BTreeMap<Uuid, String>,
    /// Principal and role; `None`: access without a role.
    pub(super) assigned: BTreeSet<(Uuid, Option<Uuid>)>,
}

/// What delta queries leave out, as people reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Silences {
    /// A restore (microsoft-graph-docs#5821).
    pub(super) restore: bool,
    /// A deletion (#4498).
    pub(super) deletion: bool,
    /// A permanent deletion.
    pub(super) purge: bool,
}

/// The whole tenant.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) users: BTreeMap<Uuid, Object>,
    pub(super) groups: BTreeMap<Uuid, Object>,
    pub(super) apps: BTreeMap<Uuid, App>,
    pub(super) silences: Silences,
    /// The number of the last change.
    pub(super) changes: u64,
    /// How far this tenant's clock is ahead of ours.
    pub(super) ahead: TimeDelta,
    ids: u128,
}

impl Tenant {
    pub(super) fn new() -> Self {
        Self {
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            apps: BTreeMap::new(),
            silences: Silences::default(),
            changes: 0,
            ahead: TimeDelta::zero(),
            ids: 0x1000_0000_0000_4000_8000_0000_0000_0000,
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.ahead
    }

    fn next(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    fn new_id(&mut self) -> Uuid {
        // Not in the order in which they come, so that nothing depends on that.
        self.ids += 1;
        Uuid::from_u128(self.ids ^ ((self.ids % 251) << 112))
    }

    fn create(&mut self, properties: Value) -> Object {
        let at = self.next();
        let properties = properties.as_object().cloned().expect("properties");
        Object {
            id: self.new_id(),
            set_at: properties.keys().map(|name| (name.clone(), at)).collect(),
            properties,
            life: Life::Living,
            life_at: at,
            life_told: true,
            manager: None,
            manager_at: 0,
            former_manager: None,
            members: BTreeMap::new(),
        }
    }

    /// A user who is switched on, with these properties besides the names.
    pub(super) fn add_user(&mut self, name: &str, more: Value) -> Uuid {
        let mut properties = json!({
            "accountEnabled": true,
            "userPrincipalName": format!("{name}@example.com"),
            "displayName": name,
            "mail": format!("{name}@example.com"),
        });
        let all = properties.as_object_mut().expect("an object");
        all.extend(more.as_object().cloned().expect("properties"));
        metadata::check("user", all);
        let user = self.create(properties);
        let id = user.id;
        self.users.insert(id, user);
        id
    }

    pub(super) fn add_group(&mut self, name: &str, members: &[Uuid]) -> Uuid {
        let properties = json!({"displayName": name, "securityEnabled": true, "mailEnabled": false,
            "groupTypes": [], "visibility": null});
        metadata::check("group", properties.as_object().expect("an object"));
        let mut group = self.create(properties);
        let at = group.life_at;
        group.members = members.iter().map(|member| (*member, (true, at))).collect();
        let id = group.id;
        self.groups.insert(id, group);
        id
    }

    pub(super) fn add_app(&mut self, name: &str, roles: &[&str]) -> Uuid {
        let (id, app_id) = (self.new_id(), self.new_id());
        let roles = roles.iter().map(|role| (self.new_id(), (*role).to_owned()));
        let app = App {
            id,
            app_id,
            name: name.to_owned(),
            roles: roles.collect(),
            assigned: BTreeSet::new(),
        };
        self.apps.insert(id, app);
        id
    }

    pub(super) fn assign(&mut self, app: Uuid, principal: Uuid, role: Option<&str>) {
        let app = self.apps.get_mut(&app).expect("the app is there");
        let role = role.map(|role| {
            let mut roles = app.roles.iter();
            *roles.find(|(_, value)| *value == role).expect("the role").0
        });
        app.assigned.insert((principal, role));
    }

    pub(super) fn unassign(&mut self, app: Uuid, principal: Uuid) {
        let app = self.apps.get_mut(&app).expect("the app is there");
        app.assigned.retain(|(it, _)| *it != principal);
    }

    /// Sets properties of a user or group; `null` clears.
    pub(super) fn set(&mut self, id: Uuid, properties: Value) {
        let at = self.next();
        let of_type = if self.users.contains_key(&id) {
            "user"
        } else {
            "group"
        };
        let properties = properties.as_object().cloned().expect("properties");
        metadata::check(of_type, &properties);
        let object = self.object(id);
        for (name, value) in properties {
            object.set_at.insert(name.clone(), at);
            object.properties.insert(name, value);
        }
    }

    pub(super) fn set_manager(&mut self, id: Uuid, manager: Option<Uuid>) {
        let at = self.next();
        let object = self.object(id);
        object.former_manager = object.manager;
        object.manager = manager;
        object.manager_at = at;
    }

    pub(super) fn put_member(&mut self, group: Uuid, member: Uuid, there: bool) {
        let at = self.next();
        self.object(group).members.insert(member, (there, at));
    }

    /// Nobody may see the members of this group any more, and nothing is told of them.
    pub(super) fn hide_members(&mut self, group: Uuid) {
        self.object(group).members.clear();
    }

    /// Moves a user to the deleted items: with the id before the name, and everything else kept
    /// (Microsoft Entra, "Recover from deletions").
    pub(super) fn delete(&mut self, id: Uuid) {
        let told = !self.silences.deletion;
        let now = self.now();
        self.live(id, Life::Deleted(now), told);
    }

    pub(super) fn restore(&mut self, id: Uuid) {
        let told = !self.silences.restore;
        self.live(id, Life::Living, told);
    }

    pub(super) fn purge(&mut self, id: Uuid) {
        let told = !self.silences.purge;
        for app in self.apps.values_mut() {
            app.assigned.retain(|(it, _)| *it != id);
        }
        self.live(id, Life::Purged, told);
    }

    fn live(&mut self, id: Uuid, life: Life, told: bool) {
        let at = self.next();
        let object = self.object(id);
        object.life = life;
        object.life_at = at;
        object.life_told = told;
    }

    /// Time passes: who was deleted thirty days ago is gone for good.
    pub(super) fn wait(&mut self, time: TimeDelta) {
        self.ahead += time;
        let now = self.now();
        let due: Vec<Uuid> = self
            .users
            .values()
            .filter(
                |user| matches!(user.life, Life::Deleted(at) if now - at >= TimeDelta::days(30)),
            )
            .map(|user| user.id)
            .collect();
        for id in due {
            self.purge(id);
        }
    }

    fn object(&mut self, id: Uuid) -> &mut Object {
        let user = self.users.get_mut(&id);
        user.or_else(|| self.groups.get_mut(&id))
            .expect("there is such an object")
    }

    pub(super) fn is_living(&self, id: Uuid) -> bool {
        let user = self.users.get(&id);
        let object = user.or_else(|| self.groups.get(&id));
        object.is_some_and(|object| object.life == Life::Living)
    }

    /// The user principal name of somebody in the deleted items.
    pub(super) fn mangled(user: &Object) -> String {
        let name = user.properties["userPrincipalName"].as_str();
        format!("{}{}", user.id.simple(), name.unwrap_or_default())
    }
}
