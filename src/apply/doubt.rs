//! What is noted before it is sent, so that a lost answer, or a death before the answer is
//! recorded, leaves nothing unexplained: creations, who is switched off or on, who is put into a
//! group, and values that are new at the target.
//!
//! Made durable before the first call of a group is sent. What becomes of it, the next plan decides.

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};
use tokio::task::spawn_blocking;

use super::report::Failure;
use super::{Applier, Turn, failed};
use crate::plan::action::{Acknowledge, Action, Plan, Reference, Request, Write};
use crate::plan::guard::WINDOW;
use crate::scim::path::AttributePath;
use crate::scim::resource::{ResourceId, fold};
use crate::snapshot::target::Spent;
use crate::snapshot::{
    Deactivation, Intent, Link, MemberEdge, SnapshotError, TargetChange, TargetStore,
};
use crate::target::profile::name_path;

/// What was noted of a group of actions.
#[derive(Debug)]
pub(super) struct NotedGroup {
    /// Whether there was anything to note.
    pub(super) any: bool,
    /// The link of each action's record, in the order of the group. Nothing but the action's own
    /// calls changes it, so that whoever sends need not ask for it while others write down.
    pub(super) links: Vec<Option<Link>>,
}

/// What the store has of a record.
#[derive(Default)]
struct Known {
    link: Option<Link>,
    intent: Option<Intent>,
}

impl Applier<'_> {
    /// Notes what this turn's requests of a group of actions are about to do. It is durable with
    /// the next flush, before which nothing of it may be sent.
    pub(super) async fn note_before(
        &self,
        plan: &Plan,
        group: &[usize],
        turn: Turn,
    ) -> Result<NotedGroup, Failure> {
        let at = (self.clock)();
        let group = || group.iter().map(|index| &plan.actions[*index]);
        let records = group().map(|action| action.subject.record.clone());
        let mut known = self.know(records.collect()).await?;
        let mut changes = Vec::new();
        for (action, known) in group().zip(&mut known) {
            let Some(record) = &action.subject.record else {
                continue;
            };
            let requests = action.requests.iter();
            for request in requests.filter(|request| request.turn() == turn) {
                let doubts = self.doubts(action, record, request, known, at);
                changes.extend(doubts.map_err(|error| failed(&error))?);
            }
        }
        let any = !changes.is_empty();
        if any {
            self.ask(|store| store.commit(changes)).await?;
        }
        let links = known.into_iter().map(|known| known.link).collect();
        Ok(NotedGroup { any, links })
    }

    /// What the store has of some records.
    async fn know(&self, records: Vec<Option<RecordKey>>) -> Result<Vec<Known>, Failure> {
        let know = |store: TargetStore| {
            let each = records.into_iter().map(|record| {
                let Some(record) = record else {
                    return Ok(Known::default());
                };
                Ok(Known {
                    link: store.link(&record)?,
                    intent: store.intent(&record)?,
                })
            });
            each.collect()
        };
        self.ask(know).await
    }

    /// Asks the store for something on a thread of its own: calls go on meanwhile.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(TargetStore) -> Result<T, SnapshotError> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = self.store.clone();
        let answer = spawn_blocking(move || question(store)).await;
        answer
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))
    }

    /// What is to be noted of one request, and is known from then on.
    fn doubts(
        &self,
        action: &Action,
        record: &RecordKey,
        request: &Request,
        known: &mut Known,
        at: DateTime<Utc>,
    ) -> Result<Vec<TargetChange>, SnapshotError> {
        let Some(resolved) = self.resolve(request)? else {
            return Ok(Vec::new());
        };
        let mut changes = Vec::new();
        match &resolved.write {
            Write::Create {
                attributes,
                members,
            } => {
                let earlier = known.intent.take().filter(|it| it.refused);
                let intent = Intent {
                    at,
                    attributes: attributes.clone(),
                    members: members.iter().filter_map(linked).cloned().collect(),
                    refused: false,
                    earlier: earlier.map(Box::new),
                };
                changes.push(TargetChange::PutIntent(record.clone(), Box::new(intent)));
                // One that is created in place of another: that one is not there any more, and
                // must not be referred to, should the new one not come.
                if let Some(link) = known.link.as_mut().filter(|link| !link.missing) {
                    link.missing = true;
                    changes.push(TargetChange::PutLink(
                        record.clone(),
                        Box::new(link.clone()),
                    ));
                    changes.extend(
                        self.store
                            .turn_edges(&link.resource, MemberEdge::orphaned)?,
                    );
                }
            }
            Write::Patch { active, add, .. } => {
                if let Some(link) = known.link.as_mut().filter(|link| !link.missing) {
                    let before = link.clone();
                    if let Some(active) = *active {
                        switch(link, action, at);
                        let spent = self.spent_before(&before, at)?;
                        changes.extend(spend(link, spent, action, active, at));
                    }
                    link.sent.extend(new_paths(link, &resolved.acknowledge));
                    note_keys(link, action.subject.kind, &resolved.acknowledge);
                    if *link != before {
                        changes.push(TargetChange::PutLink(
                            record.clone(),
                            Box::new(link.clone()),
                        ));
                    }
                }
                for resource in add.iter().filter_map(linked) {
                    let known = self.store.member(record, resource)?;
                    // The id of somebody who was, and is somebody's again.
                    if known.is_none_or(|edge| edge == MemberEdge::Orphaned) {
                        let edge = MemberEdge::Sent;
                        let resource = resource.clone();
                        changes.push(TargetChange::PutMember(record.clone(), resource, edge));
                    }
                }
            }
            Write::Delete => {}
        }
        Ok(changes)
    }

    /// The limit that switching somebody off has spent already, when it was sent before and is
    /// not acknowledged; as long as that spending counts.
    pub(super) fn spent_before<'a>(
        &self,
        link: &'a Link,
        now: DateTime<Utc>,
    ) -> Result<Option<&'a str>, SnapshotError> {
        let spending = link.spending().filter(|(at, _)| *at >= now - WINDOW);
        let Some((at, limit)) = spending else {
            return Ok(None);
        };
        // While a clock was ahead, it may have been forgotten.
        Ok(self.store.keeps_spending(at)?.then_some(limit))
    }

    /// A create was refused. Nothing happened, and nothing is in doubt; unless something has the
    /// key (409), which may be what a first delivery of this very call has made.
    pub(super) fn note_refused(&self, action: &Action, taken: bool) -> Result<(), SnapshotError> {
        let Some(record) = action.subject.record.as_ref().filter(|_| taken) else {
            return self.close_intent(action);
        };
        let Some(mut intent) = self.store.intent(record)? else {
            return Ok(());
        };
        intent.refused = true;
        if let Some(earlier) = intent.earlier.take() {
            // Either may have made it.
            intent.members.extend(earlier.members);
        }
        let change = TargetChange::PutIntent(record.clone(), Box::new(intent));
        self.ledger.add_changes(vec![change]);
        Ok(())
    }

    /// Nothing was sent, or nothing happened: nothing is in doubt but what was before.
    pub(super) fn close_intent(&self, action: &Action) -> Result<(), SnapshotError> {
        let Some(record) = action.subject.record.clone() else {
            return Ok(());
        };
        // One that was refused is of an earlier run: this call has not come to be noted.
        let noted = self.store.intent(&record)?.filter(|it| !it.refused);
        let Some(intent) = noted else {
            return Ok(());
        };
        let change = match intent.earlier {
            Some(earlier) => TargetChange::PutIntent(record, earlier),
            None => TargetChange::CloseIntent(record),
        };
        self.ledger.add_changes(vec![change]);
        Ok(())
    }
}

/// Somebody about to be switched off or on. Until that is acknowledged either may be so, by
/// provisor's doing: who is entitled then is switched on, whoever else switched them off, and
/// who is not is switched off.
fn switch(link: &mut Link, action: &Action, at: DateTime<Utc>) {
    link.active = true;
    link.deactivated.get_or_insert_with(|| switched(action, at));
}

/// With `active`: that a call is about to switch somebody off or on.
pub(super) fn switched(action: &Action, at: DateTime<Utc>) -> Deactivation {
    Deactivation {
        reason: format!("{:?}", action.reason),
        at,
        gone_since: None,
        spent: None,
    }
}

/// Somebody about to be switched off is counted before the call, and once, however often it is
/// sent: should every answer be lost, the limit holds all the same. It counts from the last time
/// on, which is when it may have happened.
fn spend(
    link: &mut Link,
    spent_before: Option<&str>,
    action: &Action,
    active: bool,
    at: DateTime<Utc>,
) -> Option<TargetChange> {
    let switched = link.deactivated.as_mut()?;
    if active {
        switched.spent = None;
        return None;
    }
    let cost = action.costs.first()?;
    let limit = cost.limit.name();
    let spent = Spent {
        limit: limit.to_owned(),
        amount: cost.amount,
        group: None,
    };
    let before = std::mem::replace(&mut switched.at, at);
    switched.spent = Some(limit.to_owned());
    Some(match spent_before == Some(limit) {
        true => TargetChange::SpendAgain(before, at, spent),
        false => TargetChange::Spend(at, spent),
    })
}

/// Where a call sets what the target had nothing acknowledged of: nothing else would tell that
/// it is ours to clear. An externalId is never cleared.
fn new_paths(link: &Link, acknowledge: &Acknowledge) -> Vec<AttributePath> {
    let paths = acknowledge.attributes.iter().flat_map(|all| all.keys());
    let is_new = |path: &&AttributePath| {
        !link.acknowledged.contains_key(path) && **path != AttributePath::external_id()
    };
    paths.filter(is_new).cloned().collect()
}

/// Notes what is sent in place of the keys by which the resource is known again.
fn note_keys(link: &mut Link, kind: Kind, acknowledge: &Acknowledge) {
    let Some(attributes) = &acknowledge.attributes else {
        return;
    };
    for path in [AttributePath::external_id(), name_path(kind)] {
        let (known, sent) = (link.acknowledged.get(&path), attributes.get(&path));
        if let (Some(known), Some(sent)) = (known, sent)
            && known != sent
        {
            let value = fold(&path, sent);
            link.keys_sent.entry(path).or_default().insert(value);
        }
    }
}

fn linked(reference: &Reference) -> Option<&ResourceId> {
    match reference {
        Reference::Linked(id) => Some(id),
        Reference::Pending(_) => None,
    }
}
