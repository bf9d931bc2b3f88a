//! What others do at a target, beside provisor: before it comes, and while it is there.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::json;

use super::super::organisation::{Organisation, pick_key};
use super::super::server::Side;
use super::super::service::Team;
use super::{TARGETS, World};

impl World {
    /// Somebody else works at a target.
    pub(super) fn meddle(&mut self) {
        let name = TARGETS[self.rng.usize(0..2)];
        let mut shared = self.server.lock();
        // Another one each time: what is shown again after it was put back is the target's own.
        let title = format!("Meddled with {}", shared.story.len());
        let Side { service, oracle } = shared.sides.get_mut(name).expect("a target");
        let rng = &mut self.rng;
        let user = pick_key(&service.users, rng);
        let team = pick_key(&service.groups, rng);
        let said = match (rng.u32(0..6), user, team) {
            (0, Some(id), _) => {
                let user = service.users.get_mut(&id).expect("picked");
                if user.active {
                    user.active = false;
                    oracle.suspended.insert(id.clone());
                }
                format!("suspends {id}")
            }
            (1, Some(id), _) => {
                let user = service.users.get_mut(&id).expect("picked");
                user.values.insert("title".to_owned(), json!(title));
                format!("gives {id} another title")
            }
            (2, Some(id), _) => {
                service.delete("Users", &id);
                format!("deletes {id}")
            }
            (3, Some(id), Some(team)) => {
                let members = &mut service.groups.get_mut(&team).expect("picked").members;
                members.insert(id.clone());
                format!("puts {id} into {team}")
            }
            (4, _, Some(team)) => {
                // Nobody twice, for the same reason: whoever is missing again after they were put
                // back is so because the target will have it so (world 1589).
                let members = &mut service.groups.get_mut(&team).expect("picked").members;
                let mut fresh = members.iter().map(|id| (name, team.clone(), id.clone()));
                let taken = fresh.find(|edge| !self.taken.contains(edge));
                let first = taken.as_ref().map(|(_, _, id)| id.clone());
                members.retain(|id| Some(id) != first.as_ref());
                self.taken.extend(taken);
                format!("takes {first:?} out of {team}")
            }
            _ => {
                let number = rng.u32(..);
                let id = service.plant(&format!("other{number}@elsewhere.example"), None);
                format!("makes {id}")
            }
        };
        shared.tell(format!("  somebody at {name} {said}"));
    }
}

/// What is at a target before provisor comes: some of the people, by their names, a group, and
/// somebody else.
pub(super) fn plant(side: &mut Side, organisation: &mut Organisation, rng: &mut Rng) {
    let Side { service, oracle } = side;
    let stranger = service.plant("stranger@elsewhere.example", None);
    for record in organisation.people.values() {
        if rng.u32(0..5) > 0 {
            continue;
        }
        let foreign = format!("app-{}", record.badge);
        let external_id = rng.bool().then_some(foreign.as_str());
        let id = service.plant(&record.user_name, external_id);
        let user = service.users.get_mut(&id).expect("just planted");
        user.active = rng.u32(0..4) > 0;
        oracle.owners.insert(id, record.badge.clone());
        organisation.reserved.insert(record.user_name.clone());
    }
    if rng.bool() {
        let team = Team {
            name: "group-0".to_owned(),
            external_id: None,
            members: BTreeSet::from([stranger]),
        };
        service.groups.insert("t0".to_owned(), team);
        oracle.owners.insert("t0".to_owned(), "g0".to_owned());
    }
}
