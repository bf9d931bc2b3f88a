//! What happens to groups and their members.
//!
//! Memberships follow the source's groups, among people in scope. Only edges that provisor
//! owns are ever removed. Runs after the people are decided, because a new group may refer
//! to people whom the same plan creates.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::action::{
    Acknowledge, Action, Change, Cost, Held, HeldReason, Limit, Listed, ListedReason, Phase,
    Reason, Reference, Request, Subject, Write,
};
use super::build;
use super::claims;
use super::input::{GroupCandidate, Input, Standing};
use super::matching::{self, Index, Match, keys_for};
use super::rules::WhenGone;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, read_path};
use crate::snapshot::link::{Link, Origin};

/// The decisions about groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Net changes, in the order of the records.
    pub(super) actions: Vec<Action>,
    /// What waits.
    pub(super) held: Vec<Held>,
    /// What is shown.
    pub(super) listed: Vec<Listed>,
}

/// Decides about every group of the input. `coming` are the people whom this plan links.
pub(super) fn decide(input: &Input<'_>, coming: &BTreeMap<RecordKey, Reference>) -> Groups {
    let keys = keys_for(Kind::Group, &[]);
    let candidates = input
        .groups
        .iter()
        .map(|(record, group)| (record, &group.group));
    let waiting = claims::settle(Kind::Group, candidates.clone(), &[]);
    let becoming = matching::becoming(candidates, &waiting);
    let mut table = Table {
        input,
        coming,
        index: Index::new(&input.observed_groups, &keys, &becoming),
        waiting,
        claimed: BTreeSet::new(),
        groups: Groups::default(),
    };
    for (record, group) in &input.groups {
        table.group(record, group);
    }
    table.unlinked();
    table.groups
}

struct Table<'a> {
    input: &'a Input<'a>,
    coming: &'a BTreeMap<RecordKey, Reference>,
    index: Index,
    waiting: BTreeMap<RecordKey, String>,
    claimed: BTreeSet<ResourceId>,
    groups: Groups,
}

impl Table<'_> {
    fn group(&mut self, record: &RecordKey, group: &GroupCandidate) {
        let candidate = &group.group;
        let link = candidate
            .link
            .as_ref()
            .filter(|link| !link.missing && !candidate.missing);
        let resource = link.map(|link| link.resource.clone());
        let subject = build::subject(record, resource, candidate);
        let found = match (link, &candidate.desired, &candidate.intent) {
            (Some(_), _, _) => Match::Unmatched,
            (None, Some(Ok(desired)), _) => self.index.find(desired),
            (None, _, Some(intent)) => self.index.find(&intent.attributes),
            (None, _, None) => Match::Unmatched,
        };
        match &found {
            Match::Unmatched => {}
            Match::One(resource) => {
                self.claimed.insert(resource.clone());
            }
            Match::Ambiguous(resources, _) => self.claimed.extend(resources.iter().cloned()),
        }
        if !candidate.due {
            return;
        }
        match (&candidate.standing, link) {
            (Standing::Unknown(why), _) => self.groups.listed.push(Listed {
                subject,
                reason: ListedReason::ScopeUnknown,
                detail: why.clone(),
            }),
            (Standing::Entitled, _) => self.entitled(subject, record, group, link, found),
            (_, Some(link)) => self.leave(subject, group, link),
            (_, None) => {}
        }
    }

    fn hold(&mut self, subject: Subject, change: Change, reason: HeldReason, detail: String) {
        self.groups.held.push(Held {
            subject,
            change,
            reason,
            limit: None,
            detail,
            action: None,
        });
    }

    fn entitled(
        &mut self,
        subject: Subject,
        record: &RecordKey,
        group: &GroupCandidate,
        link: Option<&Link>,
        found: Match,
    ) {
        let change = if link.is_some() {
            Change::Patch
        } else {
            Change::Create
        };
        let desired = match &group.group.desired {
            Some(Ok(desired)) => desired,
            Some(Err(error)) => {
                return self.hold(
                    subject,
                    change,
                    HeldReason::MappingFailed,
                    error.to_string(),
                );
            }
            None => return,
        };
        if !desired.contains_key(&AttributePath::display_name()) {
            let detail = "`displayName` is required of a group and maps to nothing".to_owned();
            return self.hold(subject, change, HeldReason::MissingRequired, detail);
        }
        if let Some(detail) = self.waiting.get(record).cloned() {
            return self.hold(subject, change, HeldReason::DuplicateKey, detail);
        }
        match (link, found) {
            (Some(link), _) => self.patch(subject, group, link, desired),
            (None, Match::Unmatched) => self.create(subject, group, desired),
            (None, Match::Ambiguous(_, detail)) => {
                self.hold(subject, Change::Adopt, HeldReason::AmbiguousMatch, detail);
            }
            (None, Match::One(resource)) => self.adopt(subject, record, group, desired, resource),
        }
    }

    fn create(&mut self, subject: Subject, group: &GroupCandidate, desired: &AttributeMap) {
        let candidate = &group.group;
        if let Some(intent) = &candidate.intent {
            let settle = chrono::Duration::from_std(self.input.rules.settle)
                .unwrap_or(chrono::Duration::MAX);
            let settled = self.input.now.signed_duration_since(intent.at) >= settle;
            if !settled || !self.input.observed_groups.complete {
                let detail = "the answer to its creation was lost; it is looked for again once \
                              the target has settled";
                return self.hold(
                    subject,
                    Change::Create,
                    HeldReason::InDoubt,
                    detail.to_owned(),
                );
            }
        }
        let recreated = candidate.link.is_some();
        let reason = if recreated {
            Reason::MissingAtTarget
        } else {
            Reason::NewInScope
        };
        let mut action = build::create(subject, desired.clone(), reason, Phase::Groups);
        if recreated {
            action.costs.push(build::cost(Limit::Recreations));
        }
        let mut wanted = self.wanted(group);
        let limit = self.input.profile.members_per_request.max(1);
        let rest = wanted.split_off(limit.min(wanted.len()));
        if let Some(Request {
            write: Write::Create { members, .. },
            acknowledge,
            ..
        }) = action.requests.first_mut()
        {
            acknowledge.members_added.clone_from(&wanted);
            *members = wanted;
        }
        action
            .requests
            .extend(membership_requests(rest, Vec::new(), limit));
        self.groups.actions.push(action);
    }

    fn adopt(
        &mut self,
        subject: Subject,
        record: &RecordKey,
        group: &GroupCandidate,
        desired: &AttributeMap,
        resource: ResourceId,
    ) {
        let mut subject = subject;
        subject.resource = Some(resource.clone());
        let observed = &self.input.observed_groups;
        let Some(listed) = observed.resources.get(&resource) else {
            return;
        };
        let other = observed
            .owners
            .get(&resource)
            .or(observed.external_owners.get(&resource));
        if let Some(other) = other.filter(|other| *other != record) {
            let detail = format!(
                "the matching group belongs to {} {}",
                other.source, other.id
            );
            return self.hold(subject, Change::Adopt, HeldReason::DuplicateKey, detail);
        }
        let take_over = self.input.rules.take_over;
        let mut action = build::adopt(subject, listed, desired.clone(), take_over, Reason::Matched);
        let present: BTreeSet<&ResourceId> = listed.members.iter().flatten().collect();
        let wanted = self.wanted(group);
        let (in_place, add): (Vec<_>, Vec<_>) = wanted.into_iter().partition(
            |reference| matches!(reference, Reference::Linked(id) if present.contains(id)),
        );
        if let Some(adoption) = &mut action.adoption {
            adoption.members = in_place
                .into_iter()
                .filter_map(|reference| match reference {
                    Reference::Linked(id) => Some(id),
                    Reference::Pending(_) => None,
                })
                .collect();
        }
        self.add_members(&mut action, add, Vec::new());
        self.groups.actions.push(action);
    }

    fn patch(
        &mut self,
        subject: Subject,
        group: &GroupCandidate,
        link: &Link,
        desired: &AttributeMap,
    ) {
        let desired = build::keep_what_stays(desired, link, self.input);
        let wanted = self.wanted(group);
        let wanted_ids: BTreeSet<&ResourceId> = wanted
            .iter()
            .filter_map(|reference| match reference {
                Reference::Linked(id) => Some(id),
                Reference::Pending(_) => None,
            })
            .collect();
        let remove = self.removable(&subject, group, &wanted_ids);
        let add: Vec<Reference> = wanted
            .iter()
            .filter(|reference| {
                !matches!(reference, Reference::Linked(id) if group.owned.contains_key(id))
            })
            .cloned()
            .collect();
        let attributes = build::patch(subject.clone(), &link.acknowledged, desired, None);
        let mut action = attributes.unwrap_or_else(|| Action {
            subject,
            change: Change::Patch,
            reason: Reason::MembersChanged,
            adoption: None,
            differences: Vec::new(),
            requests: Vec::new(),
            costs: Vec::new(),
        });
        if !remove.is_empty() {
            let amount = remove.len() as u64;
            action.costs.push(Cost {
                limit: Limit::MembersRemoved,
                amount,
            });
        }
        self.add_members(&mut action, add, remove);
        if !action.requests.is_empty() {
            self.groups.actions.push(action);
        }
    }

    /// A linked group that is gone from the source, or not pushed any more.
    fn leave(&mut self, subject: Subject, group: &GroupCandidate, link: &Link) {
        let reason = build::leaving(&group.group.standing);
        let delete =
            self.input.rules.groups.when_gone == WhenGone::Delete && link.origin == Origin::Created;
        if self.input.rules.groups.when_gone == WhenGone::Keep {
            return;
        }
        if let Some(key) =
            build::protected_by(&subject, &link.acknowledged, &self.input.rules.protect)
        {
            let detail = format!("not emptied ({reason:?}): `protect` names {key}");
            let reason = ListedReason::Protected;
            self.groups.listed.push(Listed {
                subject,
                reason,
                detail,
            });
            return;
        }
        let mut action = Action {
            subject: subject.clone(),
            change: if delete {
                Change::Delete
            } else {
                Change::Patch
            },
            reason,
            adoption: None,
            differences: Vec::new(),
            requests: Vec::new(),
            costs: vec![build::cost(Limit::GroupDeletions)],
        };
        if delete {
            action.requests.push(Request {
                phase: Phase::Deletions,
                write: Write::Delete,
                acknowledge: Acknowledge::default(),
            });
        } else {
            let remove = self.removable(&subject, group, &BTreeSet::new());
            self.add_members(&mut action, Vec::new(), remove);
        }
        if !action.requests.is_empty() {
            self.groups.actions.push(action);
        }
    }

    /// The members the group should have at the target: those who are linked, or will be.
    fn wanted(&self, group: &GroupCandidate) -> Vec<Reference> {
        let mut seen = BTreeSet::new();
        group
            .members
            .iter()
            .filter_map(|member| {
                self.coming.get(member).cloned().or_else(|| {
                    group
                        .member_resources
                        .get(member)
                        .cloned()
                        .map(Reference::Linked)
                })
            })
            .filter(|reference| seen.insert(reference.clone()))
            .collect()
    }

    /// Owned edges that nobody wants and nothing protects.
    fn removable(
        &mut self,
        subject: &Subject,
        group: &GroupCandidate,
        wanted: &BTreeSet<&ResourceId>,
    ) -> Vec<ResourceId> {
        let mut remove = Vec::new();
        for (resource, edge) in &group.owned {
            if wanted.contains(resource) || edge.unknown {
                continue;
            }
            match &edge.protected {
                Some(key) => {
                    let detail = format!("stays in {}: `protect` names {key}", subject.name);
                    let member = Subject {
                        kind: Kind::User,
                        record: edge.record.clone(),
                        resource: Some(resource.clone()),
                        name: key.clone(),
                    };
                    let reason = ListedReason::Protected;
                    self.groups.listed.push(Listed {
                        subject: member,
                        reason,
                        detail,
                    });
                }
                None => remove.push(resource.clone()),
            }
        }
        remove
    }

    /// Puts member changes into the action's first patch, as far as one request may carry
    /// them, and into further requests beyond that.
    fn add_members(&self, action: &mut Action, add: Vec<Reference>, remove: Vec<ResourceId>) {
        let limit = self.input.profile.members_per_request.max(1);
        let mut requests = membership_requests(add, remove, limit);
        if let Some(own) = action.requests.first_mut()
            && !requests.is_empty()
        {
            merge(own, requests.remove(0));
        } else if let Some(first) = requests.first_mut() {
            first.phase = Phase::Groups;
        }
        action.requests.extend(requests);
    }

    fn unlinked(&mut self) {
        let observed = &self.input.observed_groups;
        if !observed.complete {
            return;
        }
        for (id, listed) in &observed.resources {
            if observed.owners.contains_key(id) || self.claimed.contains(id) {
                continue;
            }
            let name = read_path(&listed.json, &AttributePath::display_name())
                .and_then(|name| name.as_str())
                .unwrap_or(&id.0);
            let subject = Subject {
                kind: Kind::Group,
                record: None,
                resource: Some(id.clone()),
                name: name.to_owned(),
            };
            let detail = "in no source".to_owned();
            let reason = ListedReason::Unlinked;
            self.groups.listed.push(Listed {
                subject,
                reason,
                detail,
            });
        }
    }
}

/// Patches of members only, none larger than `limit`, removals first.
fn membership_requests(add: Vec<Reference>, remove: Vec<ResourceId>, limit: usize) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    let mut room = 0;
    let removals = remove.into_iter().map(Err);
    let additions = add.into_iter().map(Ok);
    for change in removals.chain(additions) {
        if room == 0 {
            requests.push(empty_patch());
            room = limit;
        }
        room -= 1;
        let Some(Request {
            write: Write::Patch { add, remove, .. },
            acknowledge,
            ..
        }) = requests.last_mut()
        else {
            continue;
        };
        match change {
            Ok(reference) => {
                acknowledge.members_added.push(reference.clone());
                add.push(reference);
            }
            Err(resource) => {
                acknowledge.members_removed.push(resource.clone());
                remove.push(resource);
            }
        }
    }
    requests
}

fn empty_patch() -> Request {
    Request {
        phase: Phase::Memberships,
        write: Write::Patch {
            active: None,
            operations: Vec::new(),
            add: Vec::new(),
            remove: Vec::new(),
        },
        acknowledge: Acknowledge::default(),
    }
}

fn merge(own: &mut Request, members: Request) {
    if let (
        Write::Patch { add, remove, .. },
        Write::Patch {
            add: more_add,
            remove: more_remove,
            ..
        },
    ) = (&mut own.write, members.write)
    {
        add.extend(more_add);
        remove.extend(more_remove);
    }
    own.acknowledge
        .members_added
        .extend(members.acknowledge.members_added);
    own.acknowledge
        .members_removed
        .extend(members.acknowledge.members_removed);
}
