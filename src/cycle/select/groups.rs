//! Groups to look at, with the members they should have and the edges provisor owns.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::Selector;
use crate::plan::input::{GroupCandidate, OwnedEdge, Standing};
use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;
use crate::scope::Verdict;
use crate::snapshot::{Link, SnapshotError};

impl Selector<'_> {
    /// Groups whose membership at the target may change because a person's place there does.
    ///
    /// Also those of people who are settled, if something about them is new or open: a run
    /// that ended between a person's creation and the group's patch leaves no other trace.
    pub(super) fn groups_touched(&self) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut groups = BTreeSet::new();
        for (record, person) in &self.selection.people {
            let settled = person.standing.is_entitled()
                && person
                    .link
                    .as_ref()
                    .is_some_and(|link| link.active && !link.missing);
            if settled && !self.is_news(record)? {
                continue;
            }
            groups.extend(self.ancestors(record)?);
            if let Some(link) = &person.link {
                groups.extend(self.known.groups_with(&link.resource)?);
            }
        }
        Ok(groups)
    }

    /// Whether a person's row is newer than this target's last look, or something is open.
    fn is_news(&self, record: &RecordKey) -> Result<bool, SnapshotError> {
        if self.open.contains_key(record) {
            return Ok(true);
        }
        let Some(view) = self.view(&record.source) else {
            return Ok(false);
        };
        let row = view.row(Kind::User, &record.id)?;
        Ok(row.is_some_and(|row| self.is_new(record, &row)))
    }

    pub(super) fn take_groups(&mut self, keys: BTreeSet<RecordKey>) -> Result<(), SnapshotError> {
        for record in keys {
            let Some(mut group) = self.candidate(&record)? else {
                continue;
            };
            // Nobody can be told to be in scope, so nothing can be told of a new group either.
            if let (Some(why), None) = (self.selection.unresolved.first(), &group.link) {
                group.standing = Standing::Unknown(why.clone());
            }
            let pushed = group.standing.is_entitled();
            if group.link.is_none() && group.intent.is_none() && !pushed && !self.full {
                continue;
            }
            let mut members = BTreeSet::new();
            if pushed {
                let (people, complete) = self.flatten(&record)?;
                if complete {
                    members = self.in_scope(people)?;
                } else {
                    let why = "the member list could not be read to its end".to_owned();
                    group.standing = Standing::Unknown(why);
                }
            }
            let mut member_resources = BTreeMap::new();
            // Where deactivation ends memberships, they come back with the person.
            let dropped = self.target.profile.deactivation_drops_memberships;
            for member in &members {
                let link = self.known.link(member)?;
                let there = |link: &Link| !link.missing && (link.active || !dropped);
                if let Some(link) = link.filter(there) {
                    member_resources.insert(member.clone(), link.resource);
                }
            }
            let owned = self.owned_edges(&record)?;
            let group = GroupCandidate {
                group,
                members,
                member_resources,
                owned,
            };
            self.selection.groups.insert(record, group);
        }
        Ok(())
    }

    fn in_scope(&self, people: BTreeSet<RecordKey>) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut members = BTreeSet::new();
        for person in people {
            let Some(view) = self.view(&person.source) else {
                continue;
            };
            let row = view.row(Kind::User, &person.id)?;
            let living = row.filter(|row| row.gone_since.is_none());
            if living.is_some_and(|row| self.judge(&person, Some(&row.attributes)) == Verdict::In) {
                members.insert(person);
            }
        }
        Ok(members)
    }

    fn owned_edges(
        &self,
        group: &RecordKey,
    ) -> Result<BTreeMap<ResourceId, OwnedEdge>, SnapshotError> {
        let mut owned = BTreeMap::new();
        for resource in self.known.members(group)?.into_keys() {
            let record = self.known.owner(Kind::User, &resource)?;
            let mut edge = OwnedEdge {
                record: record.clone(),
                unknown: false,
                protected: None,
            };
            if let Some(record) = record {
                edge.unknown = self.unreadable(&record.source).is_some()
                    || matches!(self.judge_unread(&record)?, Verdict::Unknown(_));
                edge.protected = self.protected(&record, &resource)?;
            }
            owned.insert(resource, edge);
        }
        Ok(owned)
    }

    fn protected(
        &self,
        record: &RecordKey,
        resource: &ResourceId,
    ) -> Result<Option<String>, SnapshotError> {
        let protect = &self.target.rules.protect;
        if protect.is_empty() {
            return Ok(None);
        }
        let Some(link) = self.known.link(record)? else {
            return Ok(None);
        };
        let name = link.acknowledged.get(&AttributePath::user_name());
        let subject = crate::plan::action::Subject {
            kind: Kind::User,
            record: Some(record.clone()),
            resource: Some(resource.clone()),
            name: name
                .and_then(|name| name.as_str())
                .unwrap_or_default()
                .to_owned(),
        };
        Ok(crate::plan::link_protected_by(&subject, &link, protect))
    }
}
