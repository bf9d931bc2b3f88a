//! Applying a plan. Makes no choices: everything sent is in the plan, apart from resolving
//! references to what the same plan created.
//!
//! An intent is durable before any create of its group is sent; every acknowledged call is
//! recorded before the next one on that resource. Killed at any instant, the next cycle finds
//! either the acknowledgement, or an intent in doubt, or a patch to send again.

mod record;
pub mod report;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::Utc;
use futures_util::stream::{self, StreamExt};
use provisor_connectors::RecordKey;

use crate::audit::{Audit, Entry};
use crate::plan::action::{Action, Change, Phase, Plan, Reference, Release, Request, Write};
use crate::plan::guard::Approved;
use crate::scim::path::AttributePath;
use crate::scim::resource::{ResourceId, fold, read_path};
use crate::snapshot::{Intent, SnapshotError, TargetChange, TargetStore};
use crate::target::error::{Scope, TargetError};
use crate::target::lookup::Lookup;
use crate::target::{Client, Profile, Sent, dialect};
use report::{Failure, FailureKind, Outcome, Progress};

/// How many requests share one flush: what a crash may leave in doubt or send again.
const GROUP: usize = 128;

const PHASES: [Phase; 9] = [
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

/// What applying needs besides the plan.
pub(crate) struct Applier<'a> {
    pub(crate) client: &'a Client,
    pub(crate) store: &'a TargetStore,
    pub(crate) profile: &'a Profile,
    /// Approved actions leave the guards' window.
    pub(crate) approved: &'a Approved,
    pub(crate) audit: &'a tokio::sync::Mutex<Audit>,
    pub(crate) audit_values: bool,
    /// The store's last flushed generation, which every audit record names.
    pub(crate) generation: AtomicU64,
}

/// What a plan came to.
pub(crate) struct Applied {
    /// In the plan's order.
    pub(crate) outcomes: Vec<Outcome>,
    /// Why the rest was not tried.
    pub(crate) aborted: Option<Failure>,
    /// Conflicts say that a filter has missed something.
    pub(crate) conflicts: bool,
}

/// How one request ended.
enum Ending {
    Acknowledged,
    Failed(String),
    /// 409: something that matching has not found has the key.
    Conflict(String),
    Pending(String),
    /// The whole target is out of reach: nothing else is tried.
    Aborted(Failure),
}

impl Applier<'_> {
    /// Applies the plan, phase by phase.
    pub(crate) async fn apply(&self, plan: &Plan, progress: &dyn Progress) -> Applied {
        let mut run = Run::new(plan);
        if let Err(failure) = self.link_adopted(plan).await {
            run.nothing_done();
            return run.abort(failure);
        }
        let step = format!("applying {}", plan.target);
        for phase in PHASES {
            let ended = if phase == Phase::Releases {
                self.release(plan, &mut run).await
            } else {
                self.run_phase(plan, phase, &mut run, &step, progress).await
            };
            if let Err(failure) = ended {
                return run.abort(failure);
            }
        }
        run.finish(None)
    }

    /// Requests of one phase, side by side, a group of them between two flushes.
    async fn run_phase(
        &self,
        plan: &Plan,
        phase: Phase,
        run: &mut Run<'_>,
        step: &str,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let due = |action: &Action| action.requests.iter().any(|request| request.phase == phase);
        let work: Vec<usize> = run
            .going()
            .filter(|index| plan.actions.get(*index).is_some_and(due))
            .collect();
        for group in work.chunks(GROUP) {
            self.open_intents(plan, group, phase).await?;
            // After a target-wide failure what is under way ends by itself, and nothing new
            // is started.
            let stopped = AtomicBool::new(false);
            let mut endings = stream::iter(group.iter().copied())
                .map(|index| {
                    let stopped = &stopped;
                    async move {
                        if stopped.load(Ordering::Relaxed) {
                            return None;
                        }
                        Some((index, self.run_requests(&plan.actions[index], phase).await))
                    }
                })
                .buffer_unordered(self.client.concurrency());
            let mut aborted = None;
            while let Some(ending) = endings.next().await {
                let Some((index, (acknowledged, ending))) = ending else {
                    continue;
                };
                aborted = aborted.or(run.note(index, acknowledged, ending));
                stopped.store(aborted.is_some(), Ordering::Relaxed);
                progress.report(step, run.touched, Some(plan.actions.len() as u64));
            }
            drop(endings);
            self.make_durable().await?;
            if let Some(failure) = aborted {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// userNames change hands one after another, in the plan's order.
    async fn release(&self, plan: &Plan, run: &mut Run<'_>) -> Result<(), Failure> {
        for release in &plan.releases {
            let (index, temporary) = match *release {
                Release::Temporary(index) => (index, true),
                Release::Rename(index) => (index, false),
            };
            if !run.is_going(index) {
                continue;
            }
            let action = &plan.actions[index];
            let mut requests = action
                .requests
                .iter()
                .filter(|request| request.phase == Phase::Releases);
            let opens_ring = plan.releases.contains(&Release::Temporary(index));
            let request = if opens_ring && !temporary {
                requests.nth(1)
            } else {
                requests.next()
            };
            let Some(request) = request else { continue };
            let ending = self.run_request(action, request).await;
            let acknowledged = usize::from(matches!(ending, Ending::Acknowledged));
            let aborted = run.note(index, acknowledged, ending);
            self.make_durable().await?;
            if let Some(failure) = aborted {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// An action's requests of one phase, one after another: one writer per resource. Tells
    /// how many were acknowledged.
    async fn run_requests(&self, action: &Action, phase: Phase) -> (usize, Ending) {
        let mut acknowledged = 0;
        for request in action
            .requests
            .iter()
            .filter(|request| request.phase == phase)
        {
            match self.run_request(action, request).await {
                Ending::Acknowledged => acknowledged += 1,
                other => return (acknowledged, other),
            }
        }
        (acknowledged, Ending::Acknowledged)
    }

    async fn run_request(&self, action: &Action, request: &Request) -> Ending {
        let first = action
            .requests
            .first()
            .is_some_and(|first| std::ptr::eq(first, request));
        let request = match self.resolve(request) {
            Ok(request) => request,
            Err(error) => return Ending::Aborted(failed(&error)),
        };
        let Some(request) = request else {
            return Ending::Acknowledged;
        };
        let (method, sent) = match self.send(action, &request).await {
            Ok(answer) => answer,
            Err(failure) => return failure,
        };
        let (ending, answer) = match sent {
            Ok(sent) => {
                let recorded = self.acknowledge(action, &request, &sent, first);
                let ending = match recorded {
                    Ok(()) => Ending::Acknowledged,
                    Err(error) => Ending::Aborted(failed(&error)),
                };
                (ending, Some((sent.status, sent.request_id)))
            }
            Err(error) => {
                let status = error.status();
                let ending = self.judge(action, &request, error, first).await;
                (ending, status.map(|status| (status, String::new())))
            }
        };
        let outcome = match &ending {
            Ending::Acknowledged => "done",
            Ending::Failed(_) | Ending::Conflict(_) => "failed",
            Ending::Pending(_) | Ending::Aborted(_) => "in_doubt",
        };
        match self
            .log(action, Some((method, &request)), answer, outcome)
            .await
        {
            Ok(()) => ending,
            Err(failure) => Ending::Aborted(failure),
        }
    }

    /// Replaces references by ids. Somebody whose creation failed is left out; `None` when
    /// that leaves nothing to send.
    fn resolve(&self, request: &Request) -> Result<Option<Request>, SnapshotError> {
        let mut request = request.clone();
        let members = match &mut request.write {
            Write::Create { members, .. } => members,
            Write::Patch { add, .. } => add,
            Write::Delete => return Ok(Some(request)),
        };
        let mut known: BTreeMap<RecordKey, Option<ResourceId>> = BTreeMap::new();
        for reference in members.iter().chain(&request.acknowledge.members_added) {
            if let Reference::Pending(record) = reference {
                let resource = self.store.link(record)?.map(|link| link.resource);
                known.insert(record.clone(), resource);
            }
        }
        let resolve = |reference: Reference| match reference {
            Reference::Linked(id) => Some(Reference::Linked(id)),
            Reference::Pending(record) => {
                known.get(&record).cloned().flatten().map(Reference::Linked)
            }
        };
        *members = std::mem::take(members)
            .into_iter()
            .filter_map(resolve)
            .collect();
        request.acknowledge.members_added = std::mem::take(&mut request.acknowledge.members_added)
            .into_iter()
            .filter_map(resolve)
            .collect();
        let empty = matches!(&request.write, Write::Patch { active: None, operations, add, remove }
            if operations.is_empty() && add.is_empty() && remove.is_empty());
        Ok((!empty).then_some(request))
    }

    async fn send(
        &self,
        action: &Action,
        request: &Request,
    ) -> Result<(&'static str, Result<Sent, TargetError>), Ending> {
        let kind = action.subject.kind;
        if let Write::Create {
            attributes,
            members,
        } = &request.write
        {
            let body = dialect::create_body(kind, attributes, &ids(members), self.profile);
            return Ok(("POST", self.client.create(kind, &body).await));
        }
        let resource = match self.resource_of(action) {
            Ok(Some(resource)) => resource,
            Ok(None) => return Err(Ending::Pending("its resource is not known yet".to_owned())),
            Err(error) => return Err(Ending::Aborted(failed(&error))),
        };
        let switches_off = matches!(
            request.write,
            Write::Patch {
                active: Some(false),
                ..
            }
        );
        let doubtful = self.profile.ids_doubtful && switches_off;
        if doubtful || matches!(request.write, Write::Delete) {
            self.verify(action, &resource).await?;
        }
        Ok(match &request.write {
            Write::Patch {
                active,
                operations,
                add,
                remove,
            } => {
                let body =
                    dialect::patch_body(*active, operations, &ids(add), remove, self.profile);
                ("PATCH", self.client.patch(kind, &resource, &body).await)
            }
            Write::Create { .. } | Write::Delete => {
                ("DELETE", self.client.delete(kind, &resource).await)
            }
        })
    }

    /// Before something that cannot be undone: the id must still mean whom it meant.
    async fn verify(&self, action: &Action, resource: &ResourceId) -> Result<(), Ending> {
        let kind = action.subject.kind;
        let path = match kind {
            provisor_connectors::Kind::User => AttributePath::user_name(),
            provisor_connectors::Kind::Group => AttributePath::display_name(),
        };
        let record = action.subject.record.as_ref();
        let link = match record.map(|record| self.store.link(record)).transpose() {
            Ok(link) => link.flatten(),
            Err(error) => return Err(Ending::Aborted(failed(&error))),
        };
        let Some(expected) = link.and_then(|link| link.acknowledged.get(&path).cloned()) else {
            return Ok(());
        };
        match self.client.get(kind, resource).await {
            Ok(None) => Ok(()),
            Ok(Some(listed)) => match read_path(&listed.json, &path) {
                Some(found) if fold(&path, found) == fold(&path, &expected) => Ok(()),
                _ => Err(Ending::Failed(format!(
                    "its id now belongs to a resource with another {path}; nothing was sent"
                ))),
            },
            Err(error) if error.scope() == Scope::Target => Err(Ending::Aborted(failed(&error))),
            Err(error) => Err(Ending::Failed(in_words(&error))),
        }
    }

    /// What a refused or lost call means.
    async fn judge(
        &self,
        action: &Action,
        request: &Request,
        error: TargetError,
        first: bool,
    ) -> Ending {
        let create = matches!(request.write, Write::Create { .. });
        if create && error.in_doubt() {
            return match self.confirm_create(action, request, first).await {
                Ok(true) => Ending::Acknowledged,
                Ok(false) | Err(_) if error.scope() == Scope::Target => {
                    Ending::Aborted(failed(&error))
                }
                Ok(false) | Err(_) => Ending::Pending(format!("in doubt: {}", in_words(&error))),
            };
        }
        let not_there = matches!(error.status(), Some(404 | 410)) && !create;
        let recorded = if not_there {
            self.note_missing(action, request)
        } else if create {
            self.close_intent(action)
        } else {
            Ok(())
        };
        if let Err(error) = recorded {
            return Ending::Aborted(failed(&error));
        }
        let leaves = matches!(
            request.write,
            Write::Patch {
                active: Some(false),
                ..
            } | Write::Delete
        );
        match error.scope() {
            _ if not_there && leaves => Ending::Acknowledged,
            Scope::Target => Ending::Aborted(failed(&error)),
            Scope::Resource if not_there => Ending::Failed(
                "it is no longer at the target; the next cycle looks for it again".to_owned(),
            ),
            Scope::Resource if create && error.status() == Some(409) => Ending::Conflict(format!(
                "{}; the next cycle lists the target and adopts what has the key",
                in_words(&error)
            )),
            Scope::Resource => Ending::Failed(in_words(&error)),
        }
    }

    /// Looks whether a create whose answer was lost has happened. Only a resource that
    /// carries our own key, compared here, is proof; not finding one proves nothing.
    async fn confirm_create(
        &self,
        action: &Action,
        request: &Request,
        first: bool,
    ) -> Result<bool, TargetError> {
        let Write::Create { attributes, .. } = &request.write else {
            return Ok(false);
        };
        let path = AttributePath::external_id();
        let Some(external_id) = attributes.get(&path) else {
            return Ok(false);
        };
        let kind = action.subject.kind;
        let Lookup::Found(hits) = self.client.look_up(kind, &path, external_id).await? else {
            return Ok(false);
        };
        let [hit] = hits.as_slice() else {
            return Ok(false);
        };
        let sent = Sent {
            status: 201,
            resource: Some(hit.clone()),
            request_id: String::new(),
        };
        Ok(self.acknowledge(action, request, &sent, first).is_ok())
    }

    async fn open_intents(
        &self,
        plan: &Plan,
        group: &[usize],
        phase: Phase,
    ) -> Result<(), Failure> {
        let at = Utc::now();
        let mut changes = Vec::new();
        for action in group.iter().map(|index| &plan.actions[*index]) {
            for request in action
                .requests
                .iter()
                .filter(|request| request.phase == phase)
            {
                if let (Write::Create { attributes, .. }, Some(record)) =
                    (&request.write, &action.subject.record)
                {
                    let intent = Intent {
                        at,
                        attributes: attributes.clone(),
                    };
                    changes.push(TargetChange::PutIntent(record.clone(), Box::new(intent)));
                }
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.store.commit(changes).map_err(|error| failed(&error))?;
        self.make_durable().await
    }

    async fn make_durable(&self) -> Result<(), Failure> {
        let generation = self.store.flush().map_err(|error| failed(&error))?;
        self.generation.store(generation, Ordering::Relaxed);
        self.audit
            .lock()
            .await
            .sync()
            .map_err(|error| failed(&error))
    }

    async fn log(
        &self,
        action: &Action,
        call: Option<(&'static str, &Request)>,
        answer: Option<(u16, String)>,
        outcome: &str,
    ) -> Result<(), Failure> {
        let record = action.subject.record.as_ref();
        let resource = self.resource_of(action).ok().flatten();
        let values = self.audit_values.then(|| {
            let differences = action.differences.iter();
            differences
                .map(|each| (each.path.to_string(), each.new.clone().unwrap_or_default()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        });
        let (status, request_id) = match answer {
            Some((status, id)) => (Some(status), Some(id).filter(|id| !id.is_empty())),
            None => (None, None),
        };
        let entry = Entry {
            target: self.store.name().to_owned(),
            kind: action.subject.kind,
            source: record.map(|record| record.source.clone()),
            source_id: record.map(|record| record.id.to_string()),
            resource_id: resource.map(|resource| resource.0),
            change: change_name(action.change).to_owned(),
            reason: format!("{:?}", action.reason),
            method: call.map(|(method, _)| method.to_owned()),
            attributes: call.map_or_else(Vec::new, |(_, request)| attribute_names(request)),
            values,
            request_id,
            outcome: outcome.to_owned(),
            status,
            generation: self.generation.load(Ordering::Relaxed),
        };
        self.audit
            .lock()
            .await
            .append(Utc::now(), entry)
            .map_err(|error| failed(&error))
    }

    fn resource_of(&self, action: &Action) -> Result<Option<ResourceId>, SnapshotError> {
        if let Some(adoption) = &action.adoption {
            return Ok(Some(adoption.resource.clone()));
        }
        match &action.subject.record {
            Some(record) => {
                let linked = self.store.link(record)?.map(|link| link.resource);
                Ok(linked.or_else(|| action.subject.resource.clone()))
            }
            None => Ok(action.subject.resource.clone()),
        }
    }
}

/// How far each action of a plan is.
struct Run<'a> {
    plan: &'a Plan,
    /// Acknowledged requests, by action.
    acknowledged: BTreeMap<usize, usize>,
    /// Actions that ended otherwise than well.
    ended: BTreeMap<usize, Outcome>,
    touched: u64,
    conflicts: bool,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            acknowledged: BTreeMap::new(),
            ended: BTreeMap::new(),
            touched: 0,
            conflicts: false,
        }
    }

    fn going(&self) -> impl Iterator<Item = usize> {
        (0..self.plan.actions.len()).filter(|index| self.is_going(*index))
    }

    fn is_going(&self, index: usize) -> bool {
        !self.ended.contains_key(&index)
    }

    fn note(&mut self, index: usize, acknowledged: usize, ending: Ending) -> Option<Failure> {
        self.touched += 1;
        *self.acknowledged.entry(index).or_default() += acknowledged;
        let (outcome, aborted) = match ending {
            Ending::Acknowledged => return None,
            Ending::Failed(why) => (Outcome::Failed(why), None),
            Ending::Conflict(why) => {
                self.conflicts = true;
                (Outcome::Failed(why), None)
            }
            Ending::Pending(why) => (Outcome::Pending(why), None),
            Ending::Aborted(failure) => (Outcome::Pending(failure.chain.join(": ")), Some(failure)),
        };
        self.ended.insert(index, outcome);
        aborted
    }

    fn nothing_done(&mut self) {
        for index in 0..self.plan.actions.len() {
            self.ended
                .insert(index, Outcome::Pending(NOT_TRIED.to_owned()));
        }
    }

    /// Everything that did not end badly is done.
    fn finish(self, aborted: Option<Failure>) -> Applied {
        let outcomes = (0..self.plan.actions.len())
            .map(|index| self.ended.get(&index).cloned().unwrap_or(Outcome::Done))
            .collect();
        Applied {
            outcomes,
            aborted,
            conflicts: self.conflicts,
        }
    }

    /// What was not acknowledged in full before the target was out of reach waits.
    fn abort(mut self, failure: Failure) -> Applied {
        for (index, action) in self.plan.actions.iter().enumerate() {
            let acknowledged = self.acknowledged.get(&index).copied().unwrap_or(0);
            if acknowledged < action.requests.len() {
                self.ended
                    .entry(index)
                    .or_insert(Outcome::Pending(NOT_TRIED.to_owned()));
            }
        }
        self.finish(Some(failure))
    }
}

const NOT_TRIED: &str = "not tried: the target is out of reach";

fn ids(references: &[Reference]) -> Vec<String> {
    references
        .iter()
        .filter_map(|reference| match reference {
            Reference::Linked(id) => Some(id.0.clone()),
            Reference::Pending(_) => None,
        })
        .collect()
}

fn attribute_names(request: &Request) -> Vec<String> {
    let mut names = Vec::new();
    match &request.write {
        Write::Create {
            attributes,
            members,
        } => {
            names.extend(attributes.keys().map(ToString::to_string));
            if !members.is_empty() {
                names.push("members".to_owned());
            }
        }
        Write::Patch {
            active,
            operations,
            add,
            remove,
        } => {
            names.extend(active.map(|_| "active".to_owned()));
            names.extend(operations.iter().map(|operation| operation.path.clone()));
            if !add.is_empty() || !remove.is_empty() {
                names.push("members".to_owned());
            }
        }
        Write::Delete => {}
    }
    names
}

fn change_name(change: Change) -> &'static str {
    match change {
        Change::Create => "create",
        Change::Delete => "delete",
        Change::Deactivate => "deactivate",
        Change::Reactivate => "reactivate",
        Change::Adopt => "adopt",
        Change::Patch => "patch",
    }
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new(FailureKind::Failed, error)
}

/// An error and its causes on one line.
fn in_words(error: &dyn std::error::Error) -> String {
    failed(error).chain.join(": ")
}
