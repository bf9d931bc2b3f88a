//! Groups that are linked and pushed: their name and their members, as the source has them.

use provisor_connectors::RecordKey;

use super::{Table, bare, members};
use crate::plan::action::{Change, ListedReason, Reason, Reference, Subject};
use crate::plan::build;
use crate::plan::input::GroupCandidate;
use crate::scim::resource::{AttributeMap, ResourceId};
use crate::snapshot::link::Link;

impl Table<'_> {
    /// Patches what the source changed, and what the listing shows otherwise than it was
    /// acknowledged: the name, and members that provisor put in and somebody took out.
    pub(super) fn patch(
        &mut self,
        subject: Subject,
        record: &RecordKey,
        group: &GroupCandidate,
        link: &Link,
        desired: &AttributeMap,
    ) {
        let own_part = self.shown.own_part(link);
        let link = &own_part.link;
        let desired = build::keep_what_stays(desired, link, self.input);
        let mut present = self.shown.present(&own_part, &desired, false);
        let wanted = self.wanted(group);
        let joined = self.joined(group, &wanted);
        let owned = |reference: &Reference| match reference {
            Reference::Linked(id) => group
                .owned
                .get(id)
                .filter(|edge| !edge.orphaned && (!edge.sent || joined.contains(id)))
                .map(|_| id.clone()),
            Reference::Pending(_) => None,
        };
        let kept = wanted.iter().filter_map(owned);
        let kept = kept.filter(|id| !self.is_off(group, id));
        let again = self.shown.vanished(link, kept, &mut present);
        for detail in &present.listed {
            self.list(subject.clone(), ListedReason::Drifted, detail);
        }
        present.noted.not_joined = self.not_joined(group, &wanted);
        present.noted.joined.clone_from(&joined);
        if !present.noted.is_empty() {
            let noted = present.noted.clone();
            self.groups.noted.insert(record.clone(), noted);
        }
        let mut remove = self.removable(&subject, group, &wanted);
        if let Some(listed) = self.input.observed_groups.resources.get(&link.resource) {
            remove.extend(self.foreign(&subject, group, listed, &wanted));
        }
        let is_new = |reference: &Reference| match owned(reference) {
            Some(id) => again.contains(&id),
            None => true,
        };
        let add: Vec<Reference> = wanted.into_iter().filter(is_new).collect();
        // Putting back is the whole of it only where nobody comes and nobody goes.
        let members_changed = add.len() > again.len() || !remove.is_empty();
        let put_back = present.put_back.clone();
        let mut action = build::patch(subject.clone(), link, present, desired)
            .unwrap_or_else(|| bare(subject, Change::Patch, Reason::Drifted));
        if members_changed && action.reason == Reason::Drifted {
            action.reason = Reason::MembersChanged;
        }
        members::put_into(&mut action, add, remove, self.members_per_request());
        if let Some(request) = action.requests.first_mut() {
            request.acknowledge.put_back = put_back;
            request.acknowledge.members_removed.extend(self.lost(group));
            self.groups.actions.push(action);
        }
    }

    /// Whether a member is switched off. Some apps take such people out of their groups, and
    /// would not take them in: that is not what they make of people who are switched on, who are
    /// put in again.
    fn is_off(&self, group: &GroupCandidate, member: &ResourceId) -> bool {
        let edge = group.owned.get(member);
        let person = edge.and_then(|edge| self.input.people.get(edge.record.as_ref()?));
        let link = person.and_then(|person| person.link.as_ref());
        link.is_some_and(|link| !link.active)
    }
}
