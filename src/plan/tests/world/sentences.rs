//! What can be said of people and groups in a world, a sentence a step.

use std::collections::BTreeSet;

use chrono::Duration;
use serde_json::json;

use super::{Group, Person, TargetGroup, TargetUser, World, deactivation, new_link, now, path};
use crate::mapping::MappingError;
use crate::plan::input::Standing;
use crate::scim::resource::ResourceId;
use crate::snapshot::link::{Intent, Origin};

/// Changes one person; every step is a sentence about them.
pub(in crate::plan) struct PersonOf<'w> {
    pub(super) world: &'w mut World,
    pub(super) id: String,
}

impl PersonOf<'_> {
    fn the(&mut self) -> &mut Person {
        self.world.people.get_mut(&self.id).unwrap()
    }

    fn resource(&self) -> ResourceId {
        let linked = self.world.people[&self.id].link.as_ref();
        linked.map_or(ResourceId(format!("u-{}", self.id)), |link| {
            link.resource.clone()
        })
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let desired = self.the().desired.as_mut().expect("it can be mapped");
        desired.insert(path(name), json!(value));
        self
    }

    pub(in crate::plan) fn titled(self, title: &str) -> Self {
        self.with("title", title)
    }

    pub(in crate::plan) fn named(self, name: &str) -> Self {
        self.with("userName", &format!("{name}@example.com"))
    }

    /// Has this externalId.
    pub(in crate::plan) fn known_as(self, id: &str) -> Self {
        self.with("externalId", id)
    }

    pub(in crate::plan) fn with_nick(self, name: &str) -> Self {
        self.with("nickName", name)
    }

    pub(in crate::plan) fn mailed(self, address: &str) -> Self {
        self.with(r#"emails[type eq "work"].value"#, address)
    }

    pub(in crate::plan) fn without(mut self, name: &str) -> Self {
        let desired = self.the().desired.as_mut().expect("it can be mapped");
        desired.remove(&path(name));
        self
    }

    /// The mapping works again; it gives nothing but what any person of this id has.
    pub(in crate::plan) fn without_error(mut self, id: &str) -> Self {
        if self.the().desired.is_err() {
            let external_id = (path("externalId"), json!(id));
            self.the().desired = Ok([external_id].into());
        }
        self
    }

    pub(in crate::plan) fn unmappable(mut self) -> Self {
        self.the().desired = Err(MappingError {
            path: Box::new(path("title")),
            problem: "it has several values".to_owned(),
        });
        self
    }

    pub(in crate::plan) fn stands(mut self, standing: Standing) -> Self {
        self.the().standing = standing;
        self
    }

    pub(in crate::plan) fn disabled(self) -> Self {
        self.stands(Standing::Disabled)
    }

    pub(in crate::plan) fn gone(self) -> Self {
        self.stands(Standing::Gone)
    }

    pub(in crate::plan) fn unknown(self) -> Self {
        self.stands(Standing::Unknown("not read".to_owned()))
    }

    pub(in crate::plan) fn led_by(mut self, manager: Option<&str>) -> Self {
        self.the().manager = manager.map(str::to_owned);
        self
    }

    pub(in crate::plan) fn rehire_key(mut self, value: &str) -> Self {
        self.the().rehire_key = Some(value.to_owned());
        self
    }

    pub(in crate::plan) fn backing_off(mut self) -> Self {
        self.the().due = false;
        self
    }

    /// A create was sent so many seconds ago, and its answer was lost.
    pub(in crate::plan) fn in_doubt(mut self, seconds: i64) -> Self {
        let attributes = self.the().mapped();
        let at = now() - Duration::seconds(seconds);
        let earlier = self.the().intent.take().filter(|it| it.refused);
        self.the().intent = Some(Intent {
            at,
            attributes,
            members: BTreeSet::new(),
            refused: false,
            earlier: earlier.map(Box::new),
        });
        self
    }

    /// The create was refused because something has a key of it.
    pub(in crate::plan) fn refused(mut self) -> Self {
        let intent = self.the().intent.as_mut().expect("in doubt");
        intent.refused = true;
        self
    }

    /// A call that switches them off or on was sent, and its answer was lost.
    pub(in crate::plan) fn perhaps_switched(mut self) -> Self {
        let link = self.the().link.as_mut().expect("linked");
        link.active = true;
        link.deactivated = Some(deactivation());
        self
    }

    /// A value was sent that was new there, and not acknowledged.
    pub(in crate::plan) fn sent(mut self, name: &str) -> Self {
        let link = self.the().link.as_mut().expect("linked");
        link.sent.insert(path(name));
        self
    }

    /// At the target as they are now, without a link.
    pub(in crate::plan) fn at_target(mut self) -> Self {
        let attributes = self.the().mapped();
        let user = TargetUser {
            attributes,
            active: true,
        };
        self.world.users.insert(self.resource(), user);
        self
    }

    /// At the target as they are now, and created there by us.
    pub(in crate::plan) fn linked(self) -> Self {
        let mut person = self.at_target();
        let acknowledged = person.the().mapped();
        person.the().link = Some(new_link(person.resource(), acknowledged));
        person
    }

    /// The target has answered 404 to a call.
    pub(in crate::plan) fn missing(mut self) -> Self {
        self.the().link.as_mut().expect("linked").missing = true;
        self
    }

    /// Switched off by us.
    pub(in crate::plan) fn deactivated(mut self) -> Self {
        let link = self.the().link.as_mut().expect("linked");
        link.active = false;
        link.deactivated = Some(deactivation());
        self.inactive()
    }

    /// Gone, and switched off by us when the record went, so many days ago.
    pub(in crate::plan) fn gone_for(self, days: i64) -> Self {
        self.deactivated().gone().aged(days, days)
    }

    /// How many days ago they were switched off by us, and found to be gone.
    pub(in crate::plan) fn aged(mut self, deactivated: i64, gone: i64) -> Self {
        let link = self.the().link.as_mut().expect("linked");
        let deactivation = link.deactivated.as_mut().expect("deactivated");
        deactivation.at = now() - Duration::days(deactivated);
        deactivation.gone_since = Some(now() - Duration::days(gone));
        self
    }

    /// Switched off at the target.
    pub(in crate::plan) fn inactive(self) -> Self {
        let resource = self.resource();
        self.world.users.get_mut(&resource).unwrap().active = false;
        self
    }

    /// Switched on at the target.
    pub(in crate::plan) fn active(self) -> Self {
        let resource = self.resource();
        self.world.users.get_mut(&resource).unwrap().active = true;
        self
    }

    /// Somebody at the target gave them this value.
    pub(in crate::plan) fn edited(self, name: &str, value: &str) -> Self {
        let resource = self.resource();
        let user = self.world.users.get_mut(&resource).unwrap();
        user.attributes.insert(path(name), json!(value));
        self
    }

    /// Somebody at the target emptied a value.
    pub(in crate::plan) fn emptied(self, name: &str) -> Self {
        let resource = self.resource();
        let user = self.world.users.get_mut(&resource).unwrap();
        user.attributes.remove(&path(name));
        self
    }

    /// Deleted at the target.
    pub(in crate::plan) fn vanished(self) -> Self {
        let resource = self.resource();
        self.world.users.remove(&resource);
        self
    }

    pub(in crate::plan) fn foreign_external_id(mut self, value: &str) -> Self {
        let link = self.the().link.as_mut().expect("linked");
        link.foreign_external_id = Some(value.to_owned());
        link.acknowledged.remove(&path("externalId"));
        let resource = self.resource();
        let user = self.world.users.get_mut(&resource).unwrap();
        user.attributes.insert(path("externalId"), json!(value));
        self
    }
}

/// Changes one group.
pub(in crate::plan) struct GroupOf<'w> {
    pub(super) world: &'w mut World,
    pub(super) id: String,
}

impl GroupOf<'_> {
    fn the(&mut self) -> &mut Group {
        self.world.groups.get_mut(&self.id).unwrap()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("g-{}", self.id))
    }

    /// Exactly these people are in it.
    pub(in crate::plan) fn of(mut self, members: &[&str]) -> Self {
        self.the().members = members.iter().map(|&id| id.to_owned()).collect();
        self
    }

    /// Exactly these groups are directly in it.
    pub(in crate::plan) fn containing(mut self, inner: &[&str]) -> Self {
        self.the().inner = inner.iter().map(|&id| id.to_owned()).collect();
        self
    }

    pub(in crate::plan) fn named(mut self, name: &str) -> Self {
        let desired = self
            .the()
            .person
            .desired
            .as_mut()
            .expect("it can be mapped");
        desired.insert(path("displayName"), json!(name));
        self
    }

    pub(in crate::plan) fn stands(mut self, standing: Standing) -> Self {
        self.the().person.standing = standing;
        self
    }

    /// At the target with these resources as members, without a link.
    pub(in crate::plan) fn at_target(mut self, members: &[&str]) -> Self {
        let attributes = self.the().person.mapped();
        let members = members
            .iter()
            .map(|&id| ResourceId(id.to_owned()))
            .collect();
        let shell = TargetGroup {
            attributes,
            members,
        };
        self.world.shells.insert(self.resource(), shell);
        self
    }

    /// At the target with the members it has, created and filled by us.
    pub(in crate::plan) fn linked(mut self) -> Self {
        let people = self.the().members.clone();
        let resources: Vec<String> = people
            .iter()
            .filter_map(|id| Some(self.world.people[id].link.as_ref()?.resource.0.clone()))
            .collect();
        let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
        let mut group = self.at_target(&resources);
        let resource = group.resource();
        let acknowledged = group.the().person.mapped();
        group.the().person.link = Some(new_link(resource, acknowledged));
        group.the().owned = resources
            .iter()
            .map(|&id| ResourceId(id.to_owned()))
            .collect();
        group
    }

    /// These were to be put in, and the answer was lost.
    pub(in crate::plan) fn sent(mut self, members: &[&str]) -> Self {
        let members = members.iter().map(|&id| ResourceId(id.to_owned()));
        let members: BTreeSet<ResourceId> = members.collect();
        self.the().owned.extend(members.iter().cloned());
        self.the().sent = members;
        self
    }

    /// It shows this id of somebody who is no more, whom we had put in.
    pub(in crate::plan) fn haunted_by(mut self, id: &str) -> Self {
        let id = ResourceId(id.to_owned());
        self.the().owned.insert(id.clone());
        self.the().orphaned.insert(id.clone());
        let resource = self.resource();
        let shell = self.world.shells.get_mut(&resource).unwrap();
        shell.members.insert(id);
        self
    }

    /// It was created with these, and the answer was lost.
    pub(in crate::plan) fn in_doubt_with(mut self, members: &[&str]) -> Self {
        let members = members.iter().map(|&id| ResourceId(id.to_owned()));
        let intent = Intent {
            at: now(),
            attributes: self.the().person.mapped(),
            members: members.collect(),
            refused: false,
            earlier: None,
        };
        let members: Vec<String> = intent.members.iter().map(|id| id.0.clone()).collect();
        self.the().person.intent = Some(intent);
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        self.sent(&members)
    }

    pub(in crate::plan) fn adopted(mut self) -> Self {
        let link = self.the().person.link.as_mut().expect("linked");
        link.origin = Origin::Adopted;
        self
    }

    /// Somebody at the target gave it this value.
    pub(in crate::plan) fn edited(self, name: &str, value: &str) -> Self {
        let resource = self.resource();
        let shell = self.world.shells.get_mut(&resource).unwrap();
        shell.attributes.insert(path(name), json!(value));
        self
    }

    /// Somebody at the target took a person out of it.
    pub(in crate::plan) fn left_by(self, member: &str) -> Self {
        let resource = self.resource();
        let shell = self.world.shells.get_mut(&resource).unwrap();
        shell.members.remove(&ResourceId(format!("u-{member}")));
        self
    }

    /// Deleted at the target.
    pub(in crate::plan) fn vanished(self) -> Self {
        let resource = self.resource();
        self.world.shells.remove(&resource);
        self
    }
}
