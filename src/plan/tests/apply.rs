//! Applies a plan to the world: a strict target, and a snapshot that notes what it answered.

use std::collections::BTreeSet;

use chrono::Duration;

use super::world::{Person, TargetGroup, TargetUser, World, deactivation, new_link, now};
use crate::plan::Planned;
use crate::plan::action::{Acknowledge, Action, Change, Phase, Plan, Reference, Release, Write};
use crate::plan::drift;
use crate::plan::input::Standing;
use crate::plan::references;
use crate::scim::message::{Op, Operation};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, fold};
use crate::snapshot::link::Origin;
use provisor_connectors::{Kind, RecordKey};

/// The target refused a name that another resource has, or what rests on such a refusal.
struct Refused;

impl World {
    /// Applies a plan in its order. Returns the positions of the actions that the target
    /// refused, because somebody there has the name.
    pub(super) fn apply(&mut self, plan: &Plan) -> BTreeSet<usize> {
        for action in &plan.actions {
            self.link_adopted(action);
        }
        let mut refused = BTreeSet::new();
        for (index, request) in turns(plan) {
            let action = &plan.actions[index];
            if !refused.contains(&index) && self.send(action, request).is_err() {
                refused.insert(index);
            }
        }
        refused
    }

    /// Writes down what the listing taught, as a cycle does when it closes.
    pub(super) fn note(&mut self, planned: &Planned) {
        for (record, noted) in &planned.noted {
            let person = match record.kind {
                Kind::User => self.people.get_mut(record.id.as_str()),
                Kind::Group => self
                    .groups
                    .get_mut(record.id.as_str())
                    .map(|group| &mut group.person),
            };
            if let Some(link) = person.and_then(|person| person.link.as_mut()) {
                noted.apply_to(link);
            }
            if let Some(group) = self.groups.get_mut(record.id.as_str()) {
                let stays = |id: &ResourceId| !noted.not_joined.contains(id);
                group.owned.retain(stays);
                group
                    .sent
                    .retain(|id| stays(id) && !noted.joined.contains(id));
            }
        }
    }

    fn record(&mut self, action: &Action) -> Option<&mut Person> {
        let id = action.subject.record.as_ref()?.id.as_str();
        match action.subject.kind {
            Kind::User => self.people.get_mut(id),
            Kind::Group => self.groups.get_mut(id).map(|group| &mut group.person),
        }
    }

    fn link_adopted(&mut self, action: &Action) {
        let Some(adoption) = &action.adoption else {
            return;
        };
        if let Some(former) = &adoption.moved_from {
            let former = self.people.get_mut(former.id.as_str()).unwrap();
            former.link = None;
            former.intent = None;
        }
        let mut link = new_link(adoption.resource.clone(), adoption.found.clone());
        link.origin = Origin::Adopted;
        let switched = action.change == Change::Reactivate;
        link.active = adoption.active || switched;
        link.deactivated = switched.then(deactivation);
        link.foreign_external_id = adoption.foreign_external_id.clone();
        link.unsettled = !adoption.settled;
        let record = self.record(action).expect("adoptions are of records");
        record.link = Some(link);
        record.intent = None;
        if let Some(record) = &action.subject.record
            && let Some(group) = self.groups.get_mut(record.id.as_str())
        {
            group.owned.extend(adoption.members.clone());
        }
    }

    fn send(&mut self, action: &Action, request: usize) -> Result<(), Refused> {
        let link_of = |world: &Self, record: &RecordKey| {
            let link = world.people[record.id.as_str()].link.clone();
            link.filter(|link| world.users.contains_key(&link.resource))
        };
        let filled = references::fill_in(&action.requests[request], |record| {
            Some(references::to(&link_of(self, record)?.resource.0))
        });
        let request = &filled;
        // It was only about a manager who did not come.
        if references::is_empty(request) && action.requests.len() == 1 {
            return Err(Refused);
        }
        match &request.write {
            Write::Create {
                attributes,
                members,
            } => {
                let resource = self.create(action, attributes, members)?;
                let link = new_link(resource, attributes.clone());
                let record = self.record(action).expect("creations are of records");
                record.link = Some(link);
                record.intent = None;
            }
            Write::Patch {
                active,
                operations,
                add,
                remove,
            } => {
                self.patch(action, *active, operations, add, remove)?;
            }
            Write::Delete => {
                self.delete(action);
                return Ok(());
            }
        }
        self.acknowledge(action, &request.acknowledge)
    }

    /// Whoever is deleted is in no group any more, and a group that is has nobody in it.
    fn delete(&mut self, action: &Action) {
        let resource = self.resource(action);
        self.record(action).expect("a record").link = None;
        match action.subject.kind {
            Kind::User => {
                self.users.remove(&resource).expect("the user is there");
            }
            Kind::Group => {
                self.shells.remove(&resource);
                let id = action.subject.record.as_ref().unwrap().id.as_str();
                self.groups.get_mut(id).unwrap().owned.clear();
            }
        }
        for shell in self.shells.values_mut() {
            shell.members.remove(&resource);
        }
        for group in self.groups.values_mut() {
            group.owned.remove(&resource);
        }
    }

    /// Notes what closing a cycle notes: who is forgotten, and since when who is gone.
    pub(super) fn close(&mut self, planned: &Planned) {
        for record in &planned.forgotten {
            self.people.get_mut(record.id.as_str()).unwrap().link = None;
        }
        let doubt = self.clock_doubt.is_some();
        for person in self.people.values_mut() {
            let link = person.link.as_mut();
            let Some(deactivated) = link.and_then(|link| link.deactivated.as_mut()) else {
                continue;
            };
            deactivated.gone_since = match (&person.standing, deactivated.gone_since) {
                (Standing::Unknown(_), since) => since,
                (Standing::Gone, None) => (!doubt).then(now),
                (Standing::Gone, since) => since,
                _ => None,
            };
        }
    }

    /// Lets days pass: everything that was noted was noted longer ago.
    pub(super) fn pass(&mut self, days: i64) {
        for person in self.people.values_mut() {
            let link = person.link.as_mut();
            if let Some(deactivated) = link.and_then(|link| link.deactivated.as_mut()) {
                deactivated.at -= Duration::days(days);
                deactivated.gone_since = deactivated.gone_since.map(|at| at - Duration::days(days));
            }
        }
    }

    fn create(
        &mut self,
        action: &Action,
        attributes: &AttributeMap,
        members: &[Reference],
    ) -> Result<ResourceId, Refused> {
        self.created += 1;
        let count = self.created;
        let id = action.subject.record.as_ref().unwrap().id.as_str();
        let resource = ResourceId(format!("{id}-{count}"));
        let attributes = attributes.clone();
        match action.subject.kind {
            Kind::User => {
                self.refuse_taken(&resource, &attributes)?;
                let user = TargetUser {
                    attributes,
                    active: true,
                };
                assert!(self.users.insert(resource.clone(), user).is_none());
            }
            Kind::Group => {
                let members = self.members(members)?.into_iter().collect();
                let group = TargetGroup {
                    attributes,
                    members,
                };
                assert!(self.shells.insert(resource.clone(), group).is_none());
            }
        }
        Ok(resource)
    }

    fn patch(
        &mut self,
        action: &Action,
        active: Option<bool>,
        operations: &[Operation],
        add: &[Reference],
        remove: &[ResourceId],
    ) -> Result<(), Refused> {
        let resource = self.resource(action);
        let Action { subject, .. } = action;
        if subject.kind == Kind::Group {
            let add = self.members(add)?;
            let group = self.shells.get_mut(&resource).expect("the group is there");
            perform(&mut group.attributes, operations);
            group.members.extend(add);
            group.members.retain(|member| !remove.contains(member));
            return Ok(());
        }
        let user = self.users.get(&resource).expect("the user is there");
        let mut user = user.clone();
        user.active = active.unwrap_or(user.active);
        perform(&mut user.attributes, operations);
        self.refuse_taken(&resource, &user.attributes)?;
        self.users.insert(resource, user);
        Ok(())
    }

    /// userNames are unique whatever their case (RFC 7643 §4.1), and whoever is active.
    fn refuse_taken(&self, id: &ResourceId, attributes: &AttributeMap) -> Result<(), Refused> {
        let path = AttributePath::user_name();
        let name = |attributes: &AttributeMap| fold(&path, &attributes[&path]);
        let taken = |(other, user): (&ResourceId, &TargetUser)| {
            other != id && name(&user.attributes) == name(attributes)
        };
        match self.users.iter().any(taken) {
            true => Err(Refused),
            false => Ok(()),
        }
    }

    fn acknowledge(&mut self, action: &Action, acknowledge: &Acknowledge) -> Result<(), Refused> {
        let added = self.members(&acknowledge.members_added)?;
        if let Some(record) = self.record(action)
            && let Some(link) = &mut record.link
        {
            let before = link.acknowledged.clone();
            if let Some(attributes) = &acknowledge.attributes {
                link.acknowledged = attributes.clone();
                link.unsettled = false;
            }
            drift::remember(link, &before, &acknowledge.put_back, None);
            if let Some(active) = acknowledge.active {
                link.active = active;
                link.deactivated = (!active).then(deactivation);
            }
        }
        let record = action.subject.record.as_ref();
        if let Some(group) = record.and_then(|record| self.groups.get_mut(record.id.as_str())) {
            group
                .owned
                .retain(|member| !acknowledge.members_removed.contains(member));
            group.owned.extend(added);
        }
        Ok(())
    }

    fn resource(&mut self, action: &Action) -> ResourceId {
        let linked = self.record(action).and_then(|record| record.link.clone());
        let found = action
            .adoption
            .as_ref()
            .map(|adoption| adoption.resource.clone());
        found
            .or(linked.map(|link| link.resource))
            .or(action.subject.resource.clone())
            .expect("patches are of resources")
    }

    /// Members must exist; one whose creation was refused puts the group off as well.
    fn member(&self, reference: &Reference) -> Result<ResourceId, Refused> {
        let resource = match reference {
            Reference::Linked(resource) => resource.clone(),
            Reference::Pending(record) => {
                let record = match record.kind {
                    Kind::User => &self.people[record.id.as_str()],
                    Kind::Group => &self.groups[record.id.as_str()].person,
                };
                let link = record.link.as_ref();
                let made = link.filter(|link| self.is_there(&link.resource));
                made.ok_or(Refused)?.resource.clone()
            }
        };
        assert!(self.is_there(&resource), "no resource {resource}");
        Ok(resource)
    }

    fn is_there(&self, resource: &ResourceId) -> bool {
        self.users.contains_key(resource) || self.shells.contains_key(resource)
    }

    fn members(&self, references: &[Reference]) -> Result<Vec<ResourceId>, Refused> {
        references
            .iter()
            .map(|member| self.member(member))
            .collect()
    }
}

/// (action, request) in the order of phases; userNames change hands in the plan's order.
fn turns(plan: &Plan) -> Vec<(usize, usize)> {
    let of_phase = |index: usize, phase: Phase| {
        let requests = plan.actions[index].requests.iter().enumerate();
        requests
            .filter(move |(_, request)| request.phase == phase)
            .map(move |(position, _)| (index, position))
    };
    let phases = [
        Phase::Leavers,
        Phase::Releases,
        Phase::Joiners,
        Phase::Reactivations,
        Phase::Movers,
        Phase::Groups,
        Phase::Memberships,
        Phase::References,
        Phase::Deletions,
    ];
    let mut turns: Vec<(usize, usize)> = Vec::new();
    for phase in phases {
        if phase != Phase::Releases {
            let all = (0..plan.actions.len()).flat_map(|index| of_phase(index, phase));
            let mut all: Vec<(usize, usize)> = all.collect();
            all.sort_by_key(|(index, request)| plan.actions[*index].requests[*request].wave);
            turns.extend(all);
            continue;
        }
        for release in &plan.releases {
            match *release {
                Release::Temporary(index) => turns.extend(of_phase(index, phase).take(1)),
                Release::Rename(index) => {
                    let temporary = plan.releases.contains(&Release::Temporary(index));
                    turns.extend(of_phase(index, phase).skip(usize::from(temporary)));
                }
            }
        }
    }
    let all: usize = plan
        .actions
        .iter()
        .map(|action| action.requests.len())
        .sum();
    assert_eq!(turns.len(), all, "every request has its turn");
    turns
}

fn perform(attributes: &mut AttributeMap, operations: &[Operation]) {
    for operation in operations {
        let path = operation.path.parse().expect("a path");
        match (operation.op, &operation.value) {
            (Op::Remove, _) => assert!(attributes.remove(&path).is_some(), "nothing at {path}"),
            (_, Some(value)) => {
                attributes.insert(path, value.clone());
            }
            (_, None) => panic!("no value for {path}"),
        }
    }
}
