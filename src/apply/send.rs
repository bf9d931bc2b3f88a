//! One request: its references resolved, sent, and its answer judged.
//!
//! Says what an answer means, never what to do instead: that is the next plan's business.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Kind, RecordKey};

use super::run::Ending;
use super::{Applier, failed};
use crate::plan::action::{Action, Reference, Request, Write};
use crate::plan::long_gone::is_the_same;
use crate::plan::references;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, read_path};
use crate::snapshot::{Link, MemberEdge, SnapshotError};
use crate::target::dialect::Change;
use crate::target::error::{Scope, TargetError};
use crate::target::lookup::Lookup;
use crate::target::profile::name_path;
use crate::target::{self, Sent};

impl Applier<'_> {
    /// Sends one request and records what it came to; `link` is what the action's record has.
    pub(super) async fn run_request(
        &self,
        action: &Action,
        request: &Request,
        link: Option<Link>,
    ) -> Ending {
        let first = action
            .requests
            .first()
            .is_some_and(|first| std::ptr::eq(first, request));
        let request = match self.resolve(request) {
            Ok(Some(request)) => request,
            Ok(None) => {
                return Ending::Pending("waits for the people it would refer to".to_owned());
            }
            Err(error) => return Ending::Aborted(failed(&error)),
        };
        let mut resource = resource_of(action, link.as_ref());
        let sent = match self.send(action, &request, link.as_ref()).await {
            Ok(answer) => answer,
            Err(failure) => return failure,
        };
        let method = match (&sent, &request.write) {
            (Ok(sent), _) => sent.method,
            (Err(_), Write::Create { .. }) => "POST",
            (Err(_), Write::Patch { .. }) => "PATCH",
            (Err(_), Write::Delete) => "DELETE",
        };
        let (ending, answer) = match sent {
            Ok(sent) => {
                let ending = match self.acknowledge(action, &request, link, &sent, first) {
                    Ok(now) => {
                        resource = now;
                        Ending::Acknowledged
                    }
                    Err(error) => Ending::Aborted(failed(&error)),
                };
                (ending, Some((sent.status, sent.request_id)))
            }
            Err(error) => {
                let status = error.status();
                let ending = self
                    .judge(action, &request, link, error, first, &mut resource)
                    .await;
                (ending, status.map(|status| (status, String::new())))
            }
        };
        let outcome = match &ending {
            Ending::Acknowledged => "done",
            Ending::Failed(_) | Ending::Conflict(_) | Ending::Aborted(_) => "failed",
            Ending::Pending(_) => "in_doubt",
        };
        self.log(action, resource, Some((method, &request)), answer, outcome);
        ending
    }

    /// The link of an action's record.
    pub(super) fn own_link(&self, action: &Action) -> Result<Option<Link>, SnapshotError> {
        match &action.subject.record {
            Some(record) => self.store.link(record),
            None => Ok(None),
        }
    }

    /// Replaces references by ids. Somebody whose creation failed is left out; `None` when
    /// that leaves nothing to send.
    pub(super) fn resolve<'r>(
        &self,
        request: &'r Request,
    ) -> Result<Option<Cow<'r, Request>>, SnapshotError> {
        if !references::are_pending(request) {
            return Ok((!references::is_empty(request)).then_some(Cow::Borrowed(request)));
        }
        let manager = match &request.manager {
            Some(record) => self.store.link(record)?.filter(|link| !link.missing),
            None => None,
        };
        let manager = manager.map(|link| references::to(&link.resource.0));
        let mut request = references::fill_in(request, |_| manager);
        let members = match &mut request.write {
            Write::Create { members, .. } => members,
            Write::Patch { add, .. } => add,
            Write::Delete => return Ok(Some(Cow::Owned(request))),
        };
        let mut known: BTreeMap<RecordKey, Option<ResourceId>> = BTreeMap::new();
        for reference in members.iter().chain(&request.acknowledge.members_added) {
            if let Reference::Pending(record) = reference {
                let link = self.store.link(record)?.filter(|link| !link.missing);
                known.insert(record.clone(), link.map(|link| link.resource));
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
        Ok((!references::is_empty(&request)).then_some(Cow::Owned(request)))
    }

    async fn send(
        &self,
        action: &Action,
        request: &Request,
        link: Option<&Link>,
    ) -> Result<Result<Sent, TargetError>, Ending> {
        let kind = action.subject.kind;
        let aborted = |error: SnapshotError| Ending::Aborted(failed(&error));
        let before = link.map(|link| &link.acknowledged);
        let no_values = AttributeMap::new();
        let adopted = action.adoption.as_ref().map(|adoption| &adoption.found);
        let added = match &request.write {
            Write::Create { members, .. } => ids(members),
            Write::Patch { add, .. } => ids(add),
            Write::Delete => Vec::new(),
        };
        let nested = self.nested(&added).map_err(aborted)?;
        let owned = || self.owned_members(action);
        let subject = target::Subject {
            profile: self.profile,
            kind,
            before: before.or(adopted).unwrap_or(&no_values),
            nested: &nested,
            owned: &owned,
        };
        if let Write::Create { attributes, .. } = &request.write {
            let sent = self.client.create_resource(&subject, attributes, &added);
            return Ok(sent.await);
        }
        let Some(resource) = resource_of(action, link) else {
            return Err(Ending::Pending("its resource is not known yet".to_owned()));
        };
        if link.is_none() && action.adoption.is_none() && action.subject.record.is_some() {
            // An answer in this very run has named that resource for another record.
            return Err(Ending::Pending(
                "its resource is another record's by now; the next cycle looks again".to_owned(),
            ));
        }
        let switches_off = matches!(
            request.write,
            Write::Patch {
                active: Some(false),
                ..
            }
        );
        let doubtful = self.profile.ids_doubtful || self.client.doubts_ids(kind);
        let doubtful = doubtful && switches_off;
        if doubtful || matches!(request.write, Write::Delete) {
            self.verify(action, &request.write, &resource, link).await?;
        }
        Ok(match &request.write {
            Write::Patch {
                active,
                operations,
                add: _,
                remove,
            } => {
                let change = Change {
                    active: *active,
                    operations,
                    add: &added,
                    remove,
                };
                self.client.update(&subject, &resource, &change).await
            }
            Write::Create { .. } | Write::Delete => self.client.delete(kind, &resource).await,
        })
    }

    /// Which of these ids are groups'.
    fn nested(&self, ids: &[String]) -> Result<BTreeSet<String>, SnapshotError> {
        let mut nested = BTreeSet::new();
        for id in ids {
            let resource = ResourceId(id.clone());
            if self.store.owner(Kind::Group, &resource)?.is_some() {
                nested.insert(id.clone());
            }
        }
        Ok(nested)
    }

    /// The members that provisor put into a group, or found there; unreadable: none, and the
    /// cycle fails at its next reading. Who was sent and not acknowledged may not be there, nor
    /// who is no more, nor who is switched off, whom some apps take out: none of them is proof that
    /// the target hides somebody.
    fn owned_members(&self, action: &Action) -> BTreeSet<ResourceId> {
        let record = action.subject.record.as_ref();
        let owned = record.map(|record| self.store.members(record));
        let owned = owned.and_then(Result::ok).unwrap_or_default();
        let sure = owned
            .into_iter()
            .filter(|(_, edge)| matches!(edge, MemberEdge::Added | MemberEdge::Found));
        let members = sure.map(|(resource, _)| resource);
        members.filter(|member| !self.is_off(member)).collect()
    }

    /// Whether a resource is of somebody whom provisor has switched off.
    fn is_off(&self, resource: &ResourceId) -> bool {
        let owner = self.store.owner(Kind::User, resource).ok().flatten();
        let link = owner.and_then(|owner| self.store.link(&owner).ok().flatten());
        link.is_some_and(|link| !link.active)
    }

    /// Before something that cannot be undone: the id must still mean whom it meant.
    /// Who is deleted must also still be inactive.
    async fn verify(
        &self,
        action: &Action,
        write: &Write,
        resource: &ResourceId,
        link: Option<&Link>,
    ) -> Result<(), Ending> {
        let kind = action.subject.kind;
        let path = name_path(kind);
        let Some((link, expected)) = link.and_then(|link| {
            let expected = link.acknowledged.get(&path).cloned()?;
            Some((link, expected))
        }) else {
            return Ok(());
        };
        let deletes_somebody = kind == Kind::User && *write == Write::Delete;
        match self.client.get(kind, resource).await {
            Ok(None) => Ok(()),
            Ok(Some(listed)) if deletes_somebody && listed.active => Err(Ending::Failed(
                "it was switched on at the target meanwhile; nothing was sent".to_owned(),
            )),
            // A userName alone would not tell where it is the id as well.
            Ok(Some(listed)) if kind == Kind::User => is_the_same(kind, &listed, link)
                .map_err(|why| Ending::Failed(format!("{why}; nothing was sent"))),
            Ok(Some(listed)) => match read_path(&listed.json, &path) {
                Some(found) if link.may_have(&path, &expected, found) => Ok(()),
                _ => Err(Ending::Failed(format!(
                    "its id now belongs to a resource with another {path}; nothing was sent"
                ))),
            },
            Err(error) if error.scope() == Scope::Target => Err(Ending::Aborted(failed(&error))),
            Err(error) => Err(Ending::Failed(in_words(&error))),
        }
    }

    /// What a refused or lost call means. `resource` becomes what a lost create has made.
    async fn judge(
        &self,
        action: &Action,
        request: &Request,
        link: Option<Link>,
        error: TargetError,
        first: bool,
        resource: &mut Option<ResourceId>,
    ) -> Ending {
        let create = matches!(request.write, Write::Create { .. });
        if create && error.in_doubt() {
            return match self.confirm_create(action, request, link, first).await {
                Ok(Some(found)) => {
                    *resource = Some(found);
                    Ending::Acknowledged
                }
                Ok(None) | Err(_) if error.scope() == Scope::Target => {
                    Ending::Aborted(failed(&error))
                }
                Ok(None) | Err(_) => Ending::Pending(format!("in doubt: {}", in_words(&error))),
            };
        }
        let not_there = matches!(error.status(), Some(404 | 410)) && !create;
        let recorded = if not_there {
            self.note_missing(action, request)
        } else if create {
            self.note_refused(action, error.status() == Some(409))
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

    /// Looks whether a create whose answer was lost has happened, and what it made. Only a resource that
    /// carries our own key, compared here, is proof; not finding one proves nothing.
    async fn confirm_create(
        &self,
        action: &Action,
        request: &Request,
        link: Option<Link>,
        first: bool,
    ) -> Result<Option<ResourceId>, TargetError> {
        let Write::Create { attributes, .. } = &request.write else {
            return Ok(None);
        };
        let path = AttributePath::external_id();
        let Some(external_id) = attributes.get(&path) else {
            return Ok(None);
        };
        let kind = action.subject.kind;
        let Lookup::Found(hits) = self.client.look_up(kind, &path, external_id).await? else {
            return Ok(None);
        };
        let [hit] = hits.as_slice() else {
            return Ok(None);
        };
        let sent = Sent {
            method: "POST",
            status: 201,
            resource: Some(hit.clone()),
            request_id: String::new(),
        };
        let noted = self.acknowledge(action, request, link, &sent, first);
        Ok(noted.ok().flatten())
    }
}

/// The resource an action is about, as far as it is known.
pub(super) fn resource_of(action: &Action, link: Option<&Link>) -> Option<ResourceId> {
    let adopted = action.adoption.as_ref().map(|adoption| &adoption.resource);
    adopted
        .or(link.map(|link| &link.resource))
        .or(action.subject.resource.as_ref())
        .cloned()
}

fn ids(references: &[Reference]) -> Vec<String> {
    references
        .iter()
        .filter_map(|reference| match reference {
            Reference::Linked(id) => Some(id.0.clone()),
            Reference::Pending(_) => None,
        })
        .collect()
}

/// An error and its causes on one line.
fn in_words(error: &dyn std::error::Error) -> String {
    failed(error).chain.join(": ")
}
