//! Groups to look at, with the members they should have and the edges provisor owns.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::assigned::is_answer;
use super::made::is_made;
use super::{Selector, key};
use crate::mapping::MappingError;
use crate::plan::input::{Candidate, GroupCandidate, OwnedEdge, ProtectedMember, Standing};
use crate::plan::rules::Nested;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId};
use crate::scope::Verdict;
use crate::snapshot::{Link, MemberEdge, SnapshotError};
use crate::target::profile::name_path;

impl Selector<'_> {
    /// Groups whose membership at the target may change because a person's place there does.
    ///
    /// Also those of people who are settled, if something about them is new or open: a run
    /// that ended between a person's creation and the group's patch leaves no other trace.
    pub(super) fn groups_touched(&self) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut groups = BTreeSet::new();
        for (record, person) in &self.selection.people {
            if !self.may_move(record, person)? {
                continue;
            }
            groups.extend(self.ancestors(record)?);
            if let Some(link) = &person.link {
                groups.extend(self.known.groups_with(&link.resource)?);
            }
        }
        Ok(groups)
    }

    /// Whether a person's place in groups may be another than before.
    pub(super) fn may_move(
        &self,
        record: &RecordKey,
        person: &Candidate,
    ) -> Result<bool, SnapshotError> {
        let link = person.link.as_ref();
        let settled =
            person.standing.is_entitled() && link.is_some_and(|link| link.active && !link.missing);
        Ok(!settled || self.is_news(record)?)
    }

    /// Whether a person's row is newer than this target's last look, or something is open.
    fn is_news(&self, record: &RecordKey) -> Result<bool, SnapshotError> {
        if self.open.contains_key(record) {
            return Ok(true);
        }
        Ok(self.said_of(record)?.news)
    }

    /// Judges groups, and then whoever owns a name that one of them wants.
    pub(super) fn take_groups(&mut self, keys: BTreeSet<RecordKey>) -> Result<(), SnapshotError> {
        let mut keys = keys;
        let mut asked = BTreeSet::new();
        // Once even without any: people alone may be reason to make one.
        loop {
            self.take_read_groups(&keys)?;
            self.take_made_groups(&keys)?;
            let mut owners = BTreeSet::new();
            for (record, group) in &self.selection.groups {
                owners.extend(self.rivals(record, &group.group)?);
            }
            let is_known = |owner: &RecordKey| self.selection.groups.contains_key(owner);
            owners.retain(|owner| !is_known(owner) && asked.insert(owner.clone()));
            if owners.is_empty() {
                return Ok(());
            }
            keys = owners;
        }
    }

    fn take_read_groups(&mut self, keys: &BTreeSet<RecordKey>) -> Result<(), SnapshotError> {
        for record in keys.iter().filter(|record| !is_made(record)) {
            let Some(mut group) = self.candidate(record)? else {
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
                let (listed, complete) = match self.target.rules.groups.nested {
                    Nested::Flatten => self.flatten(record)?,
                    Nested::Direct => self.direct(record)?,
                };
                if complete {
                    members = self.present(listed)?;
                } else {
                    let why = "the member list could not be read to its end".to_owned();
                    group.standing = Standing::Unknown(why);
                }
            }
            let owned = self.owned_edges(record)?;
            self.take_group(record.clone(), group, members, owned)?;
        }
        Ok(())
    }

    /// Takes a group with the resources of those of its members who are linked.
    pub(super) fn take_group(
        &mut self,
        record: RecordKey,
        group: Candidate,
        members: BTreeSet<RecordKey>,
        owned: BTreeMap<ResourceId, OwnedEdge>,
    ) -> Result<(), SnapshotError> {
        let mut member_resources = BTreeMap::new();
        // Where deactivation ends memberships, they come back with the person.
        let dropped = self.target.profile.deactivation_drops_memberships;
        let there = |link: &Link| !link.missing && (link.active || !dropped);
        for member in &members {
            if let Some(link) = self.known.link(member)?.filter(there) {
                member_resources.insert(member.clone(), link.resource);
            }
        }
        let group = GroupCandidate {
            group,
            members,
            member_resources,
            owned,
        };
        self.selection.groups.insert(record, group);
        Ok(())
    }

    /// Whether a group is one of those that are pushed, by its name in the source or its
    /// source id. One that is pushed already and whose name cannot be told keeps its name for
    /// this question: it is then held for want of a name, not emptied.
    pub(super) fn judge_pushed(
        &self,
        record: &RecordKey,
        desired: &Option<Result<AttributeMap, MappingError>>,
        link: Option<&Link>,
    ) -> Verdict {
        let rules = &self.target.rules.groups;
        let Some(push) = rules.push.as_ref().filter(|_| !is_answer(record)) else {
            return Verdict::Out;
        };
        let path = AttributePath::display_name();
        let mapped = match desired {
            Some(Ok(desired)) => desired.get(&path),
            _ => None,
        };
        let named = match mapped.and_then(|name| name.as_str()) {
            Some(name) => push.is_match(name),
            None => {
                let acknowledged = link.and_then(|link| link.acknowledged.get(&path));
                acknowledged
                    .and_then(|name| name.as_str())
                    .is_some_and(|name| {
                        let before = rules.rename.iter().filter(|(_, renamed)| *renamed == name);
                        let mut names = before.map(|(before, _)| before.as_str()).chain([name]);
                        names.any(|name| push.is_match(name))
                    })
            }
        };
        if self.target.profile.groups && (named || push.is_match(record.id.as_str())) {
            Verdict::In
        } else {
            Verdict::Out
        }
    }

    /// What a group is to be, under the name that the target should see.
    pub(super) fn renamed(
        &self,
        record: &RecordKey,
        desired: Option<Result<AttributeMap, MappingError>>,
    ) -> Option<Result<AttributeMap, MappingError>> {
        let path = AttributePath::display_name();
        let rules = &self.target.rules.groups;
        let mut desired = desired;
        if let (Kind::Group, Some(Ok(values))) = (record.kind, &mut desired)
            && let Some(name) = values.get(&path).and_then(|name| name.as_str())
        {
            let name = rules.name_at_target(name, record.id.as_str()).to_owned();
            values.insert(path, name.into());
        }
        desired
    }

    /// The people in a group and the groups directly in it, and whether its list is known.
    fn direct(&self, group: &RecordKey) -> Result<(BTreeSet<RecordKey>, bool), SnapshotError> {
        let Some(view) = self.view(&group.source) else {
            return Ok((BTreeSet::new(), false));
        };
        let row = view.row(Kind::Group, &group.id)?;
        let complete = row.is_some_and(|row| row.members_known);
        let members = view.members(&group.id)?.into_iter();
        let members = members.map(|member| key(view, member.kind, member.id));
        let members = members.map(|member| self.selection.joined.speaker(&member).clone());
        // No group can be a member of itself.
        Ok((members.filter(|member| member != group).collect(), complete))
    }

    /// Those of a group's members who should be there at the target: people in scope, and
    /// groups that are pushed.
    pub(super) fn present(
        &self,
        listed: BTreeSet<RecordKey>,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut members = BTreeSet::new();
        for member in listed {
            let is_present = match member.kind {
                Kind::User => self.is_in_scope(&member)?,
                Kind::Group => {
                    let group = self.candidate(&member)?;
                    group.is_some_and(|group| group.standing.is_entitled())
                }
            };
            if is_present {
                members.insert(member);
            }
        }
        Ok(members)
    }

    /// Whether a person is in the source and in scope.
    pub(super) fn is_in_scope(&self, person: &RecordKey) -> Result<bool, SnapshotError> {
        let said = self.said_of(person)?;
        Ok(!said.gone && self.judge_said(person, &said) == Verdict::In)
    }

    /// The members that provisor owns, and those of a creation that may have happened.
    pub(super) fn owned_edges(
        &self,
        group: &RecordKey,
    ) -> Result<BTreeMap<ResourceId, OwnedEdge>, SnapshotError> {
        let mut owned = BTreeMap::new();
        let mut resources = self.known.members(group)?;
        if let Some(intent) = self.intents.get(group) {
            for resource in &intent.members {
                resources
                    .entry(resource.clone())
                    .or_insert(MemberEdge::Sent);
            }
        }
        for (resource, edge) in resources {
            // An id is unique among all resources of a target (RFC 7643 §3.1).
            let record = match self.known.owner(Kind::User, &resource)? {
                None => self.known.owner(Kind::Group, &resource)?,
                person => person,
            };
            let mut edge = OwnedEdge {
                record: record.clone(),
                sent: edge == MemberEdge::Sent,
                orphaned: edge == MemberEdge::Orphaned,
                unknown: false,
                protected: None,
            };
            if let Some(record) = record {
                edge.unknown = match record.kind {
                    Kind::User => self.doubt(&record)?.is_some(),
                    Kind::Group => {
                        let group = self.candidate(&record)?;
                        self.unreadable(&record.source).is_some()
                            || group.is_some_and(|group| group.standing.is_unknown())
                    }
                };
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
    ) -> Result<Option<ProtectedMember>, SnapshotError> {
        let protect = &self.target.rules.protect;
        if protect.is_empty() {
            return Ok(None);
        }
        let Some(link) = self.known.link(record)? else {
            return Ok(None);
        };
        let name = link.acknowledged.get(&name_path(record.kind));
        let subject = crate::plan::action::Subject {
            kind: record.kind,
            record: Some(record.clone()),
            resource: Some(resource.clone()),
            name: name
                .and_then(|name| name.as_str())
                .unwrap_or_default()
                .to_owned(),
        };
        let others = self.selection.joined.records(record);
        let key = crate::plan::link_protected_by(&subject, &link, protect)
            .or_else(|| crate::plan::record_protected_by(others, protect));
        let name = subject.name;
        Ok(key.map(|key| ProtectedMember { name, key }))
    }
}
