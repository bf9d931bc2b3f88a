//! The JSON document of `sync` and `approve`: an interface, versioned, every key always
//! present. Keys may be added; none is renamed or removed within a version.

use aws_lc_rs::digest::{SHA256, digest};
use provisor_connectors::{Kind, RecordKey};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::{Counts, Mode, count_requests, outcome_of, word_of};
use crate::apply::report::{Outcome, TargetReport};
use crate::plan::action::{Action, Change, Held, Limit, Listed, Plan, Reference, Subject, Write};
use crate::plan::references;
use crate::scim::resource::ResourceId;
use crate::target::Profile;
use crate::target::dialect;

/// The version of this document.
const VERSION: u32 = 1;

/// Everything that one run prints.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Document {
    version: u32,
    targets: Vec<TargetDocument>,
    /// The targets' counts together.
    totals: Counts,
}

/// One target's part.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct TargetDocument {
    target: String,
    error: Option<String>,
    plan_id: Option<String>,
    held_id: Option<String>,
    counts: Counts,
    actions: Vec<ActionDocument>,
    held: Vec<HeldDocument>,
    listed: Vec<ListedDocument>,
    requests: u64,
}

#[derive(Debug, Serialize)]
struct ActionDocument {
    change: Change,
    adopted: bool,
    #[serde(flatten)]
    subject: SubjectDocument,
    reason: String,
    requests: Vec<RequestDocument>,
    #[serde(flatten)]
    outcome: Option<OutcomeDocument>,
}

/// Only in a real run.
#[derive(Debug, Serialize)]
struct OutcomeDocument {
    outcome: &'static str,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct RequestDocument {
    method: &'static str,
    path: String,
    body: Option<Value>,
}

#[derive(Debug, Serialize)]
struct HeldDocument {
    change: Change,
    #[serde(flatten)]
    subject: SubjectDocument,
    reason: String,
    limit: Option<&'static str>,
    detail: String,
}

#[derive(Debug, Serialize)]
struct ListedDocument {
    #[serde(flatten)]
    subject: SubjectDocument,
    reason: String,
    detail: String,
}

#[derive(Debug, Serialize)]
struct SubjectDocument {
    kind: Kind,
    source_id: Option<String>,
    resource_id: Option<String>,
    name: String,
}

/// Puts the targets of one run together.
pub(in crate::cli) fn document(targets: Vec<TargetDocument>) -> Document {
    let counts = targets.iter().map(|target| target.counts);
    Document {
        version: VERSION,
        totals: counts.fold(Counts::default(), Counts::plus),
        targets,
    }
}

/// One target's report. Bodies are shown in the RFC's own form, apart from ids that are not
/// known yet: one that the target has taught can only be made from what it shows then.
pub(in crate::cli) fn target(
    report: &TargetReport,
    profile: &Profile,
    mode: Mode,
) -> TargetDocument {
    let plan = report.plan.as_ref();
    TargetDocument {
        target: report.target.clone(),
        error: report.error.as_ref().map(|error| error.chain.join(": ")),
        plan_id: plan.map(plan_id),
        held_id: plan.and_then(|plan| plan.held_id.clone()),
        counts: Counts::planned(report),
        actions: plan.map_or_else(Vec::new, |plan| {
            plan.actions
                .iter()
                .enumerate()
                .map(|(position, action)| {
                    let outcome = match mode {
                        Mode::Preview => None,
                        Mode::Applied => Some(outcome(outcome_of(report, position))),
                    };
                    action_document(action, profile, outcome)
                })
                .collect()
        }),
        held: plan.map_or_else(Vec::new, |plan| plan.held.iter().map(held).collect()),
        listed: plan.map_or_else(Vec::new, |plan| plan.listed.iter().map(listed).collect()),
        requests: plan.map_or(0, count_requests),
    }
}

/// Names a plan by its actions: the same inputs give the same id, whenever they are planned.
fn plan_id(plan: &Plan) -> String {
    // Keys of JSON objects are ordered, so equal actions have equal text.
    let canonical = serde_json::to_vec(&plan.actions).expect("a plan has only text keys");
    digest(&SHA256, &canonical).as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn action_document(
    action: &Action,
    profile: &Profile,
    outcome: Option<OutcomeDocument>,
) -> ActionDocument {
    let Action {
        subject: about,
        change,
        reason,
        adoption,
        differences: _,
        requests,
        costs: _,
    } = action;
    ActionDocument {
        change: *change,
        adopted: adoption.is_some(),
        subject: subject(about),
        reason: word_of(reason),
        requests: requests
            .iter()
            .map(|request| {
                let resource = about
                    .resource
                    .as_ref()
                    .or(adoption.as_ref().map(|adoption| &adoption.resource));
                let shown =
                    references::fill_in(request, |record| Some(references::pending(record)));
                request_document(&shown.write, about, resource, profile)
            })
            .collect(),
        outcome,
    }
}

fn request_document(
    write: &Write,
    about: &Subject,
    resource: Option<&ResourceId>,
    profile: &Profile,
) -> RequestDocument {
    let collection = match about.kind {
        Kind::User => "/Users",
        Kind::Group => "/Groups",
    };
    let path = || match resource {
        Some(id) => format!("{collection}/{}", encode_segment(&id.0)),
        // Created by an earlier request of the same action.
        None => format!("{collection}/{}", pending(about.record.as_ref())),
    };
    match write {
        Write::Create {
            attributes,
            members,
        } => RequestDocument {
            method: "POST",
            path: collection.to_owned(),
            body: Some(dialect::create_body(
                about.kind,
                attributes,
                &references(members),
            )),
        },
        Write::Patch {
            active,
            operations,
            add,
            remove,
        } => RequestDocument {
            method: "PATCH",
            path: path(),
            body: Some(dialect::patch_body(
                &dialect::Change {
                    active: *active,
                    operations,
                    add: &references(add),
                    remove,
                },
                profile.member_removal,
            )),
        },
        Write::Delete => RequestDocument {
            method: "DELETE",
            path: path(),
            body: None,
        },
    }
}

fn references(references: &[Reference]) -> Vec<String> {
    references
        .iter()
        .map(|reference| match reference {
            Reference::Linked(id) => id.0.clone(),
            Reference::Pending(key) => pending(Some(key)),
        })
        .collect()
}

fn pending(record: Option<&RecordKey>) -> String {
    format!("pending:{}", record.map_or("", |record| record.id.as_str()))
}

/// Writes an id as one segment of a path, as the client sends it.
fn encode_segment(id: &str) -> String {
    let Ok(mut url) = Url::parse("http://localhost/") else {
        return id.to_owned();
    };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().push(id);
    }
    url.path().trim_start_matches('/').to_owned()
}

fn outcome(outcome: Outcome) -> OutcomeDocument {
    let (outcome, error) = match outcome {
        Outcome::Done => ("done", None),
        Outcome::Failed(error) => ("failed", Some(error)),
        Outcome::Pending(why) => ("pending", Some(why)),
    };
    OutcomeDocument { outcome, error }
}

fn held(held: &Held) -> HeldDocument {
    let Held {
        subject: about,
        change,
        reason,
        limit,
        detail,
        action: _,
    } = held;
    HeldDocument {
        change: *change,
        subject: subject(about),
        reason: word_of(reason),
        limit: limit.map(Limit::name),
        detail: detail.clone(),
    }
}

fn listed(listed: &Listed) -> ListedDocument {
    let Listed {
        subject: about,
        reason,
        detail,
    } = listed;
    ListedDocument {
        subject: subject(about),
        reason: word_of(reason),
        detail: detail.clone(),
    }
}

fn subject(subject: &Subject) -> SubjectDocument {
    let Subject {
        kind,
        record,
        resource,
        name,
    } = subject;
    SubjectDocument {
        kind: *kind,
        source_id: record.as_ref().map(|record| record.id.as_str().to_owned()),
        resource_id: resource.as_ref().map(|resource| resource.0.clone()),
        name: name.clone(),
    }
}

#[cfg(test)]
mod tests;
