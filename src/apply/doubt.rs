//! What is noted before it is sent, so that a lost answer, or a death before the answer is
//! recorded, leaves nothing unexplained: creations, who is switched off or on, who is put into a
//! group, and values that are new at the target.
//!
//! Made durable before the first call of a group is sent. What becomes of it, the next plan decides.

use chrono::{DateTime, Utc};
use provisor_connectors::RecordKey;
use tokio::task::spawn_blocking;

use super::report::Failure;
use super::{Applier, Turn, failed};
use crate::plan::action::{Acknowledge, Action, Plan, Reference, Request, Write};
use crate::plan::guard::WINDOW;
use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;
use crate::snapshot::target::Spent;
use crate::snapshot::{Deactivation, Intent, Link, MemberEdge, SnapshotError, TargetChange};

impl Applier<'_> {
    /// Notes what this turn's requests of a group of actions are about to do; tells whether there
    /// is anything. It is durable with the next flush, before which nothing of it may be sent.
    pub(super) async fn note_before(
        &self,
        plan: &Plan,
        group: &[usize],
        turn: Turn,
    ) -> Result<bool, Failure> {
        let at = (self.clock)();
        let mut changes = Vec::new();
        for action in group.iter().map(|index| &plan.actions[*index]) {
            let Some(record) = &action.subject.record else {
                continue;
            };
            let requests = action.requests.iter();
            for request in requests.filter(|request| request.turn() == turn) {
                let doubts = self.doubts(action, record, request, at);
                changes.extend(doubts.map_err(|error| failed(&error))?);
            }
        }
        let any = !changes.is_empty();
        if any {
            let store = self.store.clone();
            let noted = spawn_blocking(move || store.commit(changes));
            noted
                .await
                .map_err(|error| failed(&error))?
                .map_err(|error| failed(&error))?;
        }
        Ok(any)
    }

    fn doubts(
        &self,
        action: &Action,
        record: &RecordKey,
        request: &Request,
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
                let earlier = self.store.intent(record)?.filter(|it| it.refused);
                let intent = Intent {
                    at,
                    attributes: attributes.clone(),
                    members: members.iter().filter_map(linked).cloned().collect(),
                    refused: false,
                    earlier: earlier.map(Box::new),
                };
                changes.push(TargetChange::PutIntent(record.clone(), Box::new(intent)));
                changes.extend(self.missing_before(record)?);
            }
            Write::Patch { active, add, .. } => {
                let link = self.store.link(record)?.filter(|link| !link.missing);
                if let Some(before) = link {
                    let mut link = before.clone();
                    if let Some(active) = *active {
                        switch(&mut link, action, at);
                        let spent = self.spent_before(&before, at)?;
                        changes.extend(spend(&mut link, spent, action, active, at));
                    }
                    link.sent.extend(new_paths(&link, &resolved.acknowledge));
                    if link != before {
                        changes.push(TargetChange::PutLink(record.clone(), Box::new(link)));
                    }
                }
                for resource in add.iter().filter_map(linked) {
                    if self.store.member(record, resource)?.is_none() {
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

    /// A resource that is created in place of another: that one is not there any more, and
    /// must not be referred to, should the new one not come.
    fn missing_before(&self, record: &RecordKey) -> Result<Option<TargetChange>, SnapshotError> {
        let link = self.store.link(record)?.filter(|link| !link.missing);
        Ok(link.map(|mut link| {
            link.missing = true;
            TargetChange::PutLink(record.clone(), Box::new(link))
        }))
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

fn linked(reference: &Reference) -> Option<&ResourceId> {
    match reference {
        Reference::Linked(id) => Some(id),
        Reference::Pending(_) => None,
    }
}
