//! Row by row: whom it is about, whether it can be done, and what it comes to.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey, SourceId};

use super::{Row, Step, Wish};
use crate::cycle::accounts::{State, Survey};
use crate::plan;
use crate::plan::action::{
    Acknowledge, Action, Adoption, Change, Cost, Limit, Phase, Reason, Request, Subject, Write,
};
use crate::plan::input::Candidate;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId, is_same, read_path};
use crate::snapshot::{Due, Link, Open, Origin, TargetChange};
use crate::text;

/// Rows taken so far.
pub(super) struct Chooser<'a> {
    survey: &'a Survey,
    pub(super) steps: Vec<Step>,
    pub(super) actions: Vec<Action>,
    pub(super) changes: Vec<TargetChange>,
    pub(super) protected: BTreeSet<String>,
    /// Resources and records that a row is about: a second row would be judged by what is
    /// no longer so.
    used: BTreeSet<String>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(survey: &'a Survey) -> Self {
        Self {
            protected: survey.known.progress().protected.clone(),
            survey,
            steps: Vec::new(),
            actions: Vec::new(),
            changes: Vec::new(),
            used: BTreeSet::new(),
        }
    }

    /// Checks a row, and notes what it comes to. The error says why it cannot be done.
    pub(super) fn take(&mut self, row: &Row) -> Result<(), String> {
        let record = self.record(row)?;
        let resource = self.resource(row, record.as_ref())?;
        let record = record.or_else(|| self.owner(&resource));
        let about = match &record {
            Some(record) => format!("record {}/{}", record.source, record.id),
            None => String::new(),
        };
        for key in [format!("resource {}", resource.0), about] {
            if !key.is_empty() && !self.used.insert(key) {
                return Err("another row is about the same one; keep one of them".to_owned());
            }
        }
        match row.wish {
            Wish::Link => self.link(record, resource),
            Wish::Unlink => self.unlink(record, resource),
            Wish::Protect => {
                self.protected.insert(text::fold(&resource.0));
                self.note(Wish::Protect, record, resource);
                Ok(())
            }
            Wish::Unprotect => {
                if !self.protected.remove(&text::fold(&resource.0)) {
                    return Err(
                        "it is not protected by `accounts apply`; `protect` in the configuration \
                         is changed there"
                            .to_owned(),
                    );
                }
                self.note(Wish::Unprotect, record, resource);
                Ok(())
            }
            Wish::Deactivate => self.deactivate(record, resource),
        }
    }

    fn record(&self, row: &Row) -> Result<Option<RecordKey>, String> {
        let Some(id) = &row.source_id else {
            return Ok(None);
        };
        let sources = &self.survey.target.sources;
        let source = match (&row.source, sources.as_slice()) {
            (Some(source), _) if sources.contains(source) => source,
            (Some(source), _) => return Err(format!("the target does not read `{source}`")),
            (None, [source]) => source,
            (None, _) => {
                return Err("the target has several sources: say which `source`".to_owned());
            }
        };
        Ok(Some(RecordKey {
            source: source.clone(),
            kind: Kind::User,
            id: SourceId::new(id),
        }))
    }

    fn resource(&self, row: &Row, record: Option<&RecordKey>) -> Result<ResourceId, String> {
        if let Some(id) = &row.resource_id {
            let id = ResourceId(id.clone());
            let known = self.survey.observed.resources.contains_key(&id);
            // Somebody who is gone from the target can still be unlinked.
            if known || row.wish == Wish::Unlink {
                return Ok(id);
            }
            return Err(format!("there is no resource `{id}` at the target"));
        }
        let link = record.and_then(|record| self.survey.people.get(record)?.link.as_ref());
        match link {
            Some(link) => Ok(link.resource.clone()),
            None => Err("it names no `resource_id`, and no `source_id` that is linked".to_owned()),
        }
    }

    fn owner(&self, resource: &ResourceId) -> Option<RecordKey> {
        self.survey
            .observed
            .owners
            .get(resource)
            .or_else(|| {
                let owns = |it: &&RecordKey| {
                    let link = self.survey.people[*it].link.as_ref();
                    link.is_some_and(|link| link.resource == *resource)
                };
                self.survey.people.keys().find(owns)
            })
            .cloned()
    }

    fn link(&mut self, record: Option<RecordKey>, resource: ResourceId) -> Result<(), String> {
        let record = record.ok_or("to link, name the record: `source_id`")?;
        if let Some(owner) = self.owner(&resource) {
            return Err(format!(
                "the resource is linked to {}/{}; unlink it first",
                owner.source, owner.id
            ));
        }
        let candidate = self.survey.people.get(&record);
        let Some(Candidate {
            desired: Some(Ok(desired)),
            link,
            ..
        }) = candidate
        else {
            return Err(format!(
                "{}/{} is not in the source, or cannot be mapped",
                record.source, record.id
            ));
        };
        if let Some(link) = link.as_ref().filter(|link| !link.missing) {
            return Err(format!(
                "{}/{} is linked to `{}`; unlink it first",
                record.source, record.id, link.resource
            ));
        }
        let listed = &self.survey.observed.resources[&resource];
        let link = link_to(listed, desired);
        self.changes
            .push(TargetChange::PutLink(record.clone(), Box::new(link)));
        // Everybody was just listed, and this one chosen: nothing is in doubt any more.
        self.changes.push(TargetChange::CloseIntent(record.clone()));
        self.changes.push(look_again(&record));
        self.note(Wish::Link, Some(record), resource);
        Ok(())
    }

    fn unlink(&mut self, record: Option<RecordKey>, resource: ResourceId) -> Result<(), String> {
        let owner = self.owner(&resource).ok_or("the resource is not linked")?;
        if record.is_some_and(|record| record != owner) {
            return Err(format!(
                "the resource is linked to {}/{}, not to the record of this row",
                owner.source, owner.id
            ));
        }
        let groups = self.survey.known.store().groups_with(&resource);
        for group in groups.map_err(|error| error.to_string())? {
            self.changes
                .push(TargetChange::DropMember(group, resource.clone()));
        }
        self.changes.push(TargetChange::DropLink(owner.clone()));
        self.changes.push(look_again(&owner));
        self.note(Wish::Unlink, Some(owner), resource);
        Ok(())
    }

    fn deactivate(
        &mut self,
        record: Option<RecordKey>,
        resource: ResourceId,
    ) -> Result<(), String> {
        let listed = &self.survey.observed.resources[&resource];
        if !listed.active {
            return Err("it is inactive already".to_owned());
        }
        let mut residents = self.survey.residents.iter();
        let resident = residents.find(|it| it.resource == resource);
        let (state, told) =
            resident.map_or((State::Unlinked, None), |it| (it.state, it.record.clone()));
        let record = match state {
            State::Stale => told,
            State::Unlinked => None,
            State::Linked | State::Matching | State::Held | State::Missing => {
                return Err(
                    "it belongs to a record, or waits for one: the source and the scope say \
                     whether it is active"
                        .to_owned(),
                );
            }
        }
        .or(record.filter(|_| state == State::Stale));
        let subject = Subject {
            kind: Kind::User,
            record: record.clone(),
            resource: Some(resource),
            name: resident.map_or_else(String::new, |it| it.name.clone()),
        };
        let mut protect = self.survey.target.rules.protect.clone();
        protect.extend(self.protected.iter().cloned());
        let candidate = record.as_ref().and_then(|it| self.survey.people.get(it));
        let joined = candidate.map_or(&[][..], |candidate| &candidate.joined);
        let named = plan::listed_protected_by(&subject, listed, &protect)
            .or_else(|| plan::record_protected_by(joined, &protect));
        if named.is_some() {
            return Err("it is protected".to_owned());
        }
        let adoption = record.as_ref().map(|record| Adoption {
            resource: listed.id.clone(),
            found: match self.survey.people.get(record).map(|it| &it.desired) {
                Some(Some(Ok(desired))) => found(listed, desired),
                _ => AttributeMap::new(),
            },
            active: true,
            members: Vec::new(),
            foreign_external_id: None,
            moved_from: None,
            settled: false,
        });
        self.actions.push(switch_off(
            subject,
            adoption,
            self.survey.target.profile.deactivation_destroys,
        ));
        Ok(())
    }

    fn note(&mut self, wish: Wish, record: Option<RecordKey>, resource: ResourceId) {
        let resident = self
            .survey
            .residents
            .iter()
            .find(|it| it.resource == resource);
        self.steps.push(Step {
            wish,
            name: resident.map_or_else(|| resource.0.clone(), |it| it.name.clone()),
            record,
            resource,
        });
    }
}

/// The link that a person makes. What differs is sent by the next cycle, and is an overwrite
/// to its guards.
fn link_to(listed: &Listed, desired: &AttributeMap) -> Link {
    let external_id = AttributePath::external_id();
    let present = read_path(&listed.json, &external_id).and_then(|value| value.as_str());
    let wanted = desired.get(&external_id).and_then(|value| value.as_str());
    let acknowledged = found(listed, desired);
    let kept = present.is_some_and(|present| Some(present) != wanted);
    let unsettled = desired.iter().any(|(path, value)| {
        let is_kept = kept && *path == external_id;
        !is_kept && acknowledged.get(path) != Some(value)
    });
    Link {
        resource: listed.id.clone(),
        origin: Origin::Adopted,
        acknowledged,
        active: listed.active,
        deactivated: None,
        foreign_external_id: present
            .filter(|present| Some(*present) != wanted)
            .map(str::to_owned),
        unsettled,
        missing: false,
        own_forms: BTreeMap::new(),
        sent: BTreeSet::new(),
        keys_sent: BTreeMap::new(),
    }
}

/// What a resource holds of the wanted values. Another spelling of the same key is the same.
fn found(listed: &Listed, desired: &AttributeMap) -> AttributeMap {
    let external_id = AttributePath::external_id();
    desired
        .iter()
        .filter_map(|(path, wanted)| {
            let value = read_path(&listed.json, path)?;
            let same = is_same(path, value, wanted);
            // A foreign externalId is not a value of ours.
            let foreign = *path == external_id && value != wanted;
            (!foreign).then(|| (path.clone(), if same { wanted } else { value }.clone()))
        })
        .collect()
}

fn switch_off(subject: Subject, adoption: Option<Adoption>, destroys: bool) -> Action {
    let limit = if destroys {
        Limit::Deletions
    } else {
        Limit::Deactivations
    };
    Action {
        subject,
        change: Change::Deactivate,
        reason: Reason::Stale,
        adoption,
        differences: Vec::new(),
        requests: vec![Request::new(
            Phase::Leavers,
            Write::Patch {
                active: Some(false),
                operations: Vec::new(),
                add: Vec::new(),
                remove: Vec::new(),
            },
            Acknowledge {
                active: Some(false),
                ..Acknowledge::default()
            },
        )],
        costs: vec![Cost { limit, amount: 1 }],
    }
}

/// A link made or dropped by hand is looked at by the next cycle, whatever has changed.
fn look_again(record: &RecordKey) -> TargetChange {
    let open = Open {
        why: "accounts apply".to_owned(),
        due: Due::Now,
        attempts: 0,
        failed: false,
        awaits: None,
    };
    TargetChange::PutOpen(record.clone(), open)
}
