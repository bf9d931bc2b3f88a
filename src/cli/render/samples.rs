//! Plans written by hand, for tests of everything that shows them.

use provisor_connectors::{Kind, RecordKey, SourceId};
use serde_json::{Value, json};

use crate::apply::report::TargetReport;
use crate::plan::action::{
    Acknowledge, Action, Adoption, Change, Difference, Held, HeldReason, Listed, ListedReason,
    PLAN_VERSION, Phase, Plan, Reason, Reference, Request, Subject, Write,
};
use crate::scim::message::{Op, Operation};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId};

/// A report of a preview with these actions and 41 people unchanged.
pub(in crate::cli) fn report(actions: Vec<Action>) -> TargetReport {
    TargetReport {
        target: "demo".to_owned(),
        error: None,
        plan: Some(Plan {
            version: PLAN_VERSION,
            target: "demo".to_owned(),
            actions,
            releases: Vec::new(),
            held: Vec::new(),
            listed: Vec::new(),
            unchanged: 41,
            held_id: None,
        }),
        outcomes: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Somebody with the source id `s-NAME` and, if linked, the resource id `r-NAME`.
pub(in crate::cli) fn subject(kind: Kind, name: &str, linked: bool) -> Subject {
    let short = name.split('@').next().unwrap_or(name);
    Subject {
        kind,
        record: Some(key(kind, short)),
        resource: linked.then(|| ResourceId(format!("r-{short}"))),
        name: name.to_owned(),
    }
}

fn key(kind: Kind, short: &str) -> RecordKey {
    RecordKey {
        source: "staff".to_owned(),
        kind,
        id: SourceId::new(format!("s-{short}")),
    }
}

/// An action without requests.
pub(in crate::cli) fn action(change: Change, subject: Subject, reason: Reason) -> Action {
    Action {
        subject,
        change,
        reason,
        adoption: None,
        differences: Vec::new(),
        requests: Vec::new(),
        costs: Vec::new(),
    }
}

fn request(phase: Phase, write: Write) -> Request {
    Request::new(phase, write, Acknowledge::default())
}

/// Somebody new.
pub(in crate::cli) fn create(name: &str) -> Action {
    let write = Write::Create {
        attributes: AttributeMap::from([(AttributePath::user_name(), json!(name))]),
        members: Vec::new(),
    };
    Action {
        requests: vec![request(Phase::Joiners, write)],
        ..action(
            Change::Create,
            subject(Kind::User, name, false),
            Reason::NewInScope,
        )
    }
}

/// Somebody whose title and other attributes change.
pub(in crate::cli) fn patch(
    name: &str,
    differences: Vec<(&str, Option<Value>, Option<Value>)>,
) -> Action {
    let operations = differences
        .iter()
        .map(|(path, _, new)| Operation {
            op: if new.is_some() {
                Op::Replace
            } else {
                Op::Remove
            },
            path: (*path).to_owned(),
            value: new.clone(),
        })
        .collect();
    let write = Write::Patch {
        active: None,
        operations,
        add: Vec::new(),
        remove: Vec::new(),
    };
    Action {
        differences: differences
            .into_iter()
            .map(|(path, old, new)| Difference {
                path: path.parse().expect("a sample's path is one"),
                old,
                new,
            })
            .collect(),
        requests: vec![request(Phase::Movers, write)],
        ..action(
            Change::Patch,
            subject(Kind::User, name, true),
            Reason::AttributesChanged,
        )
    }
}

/// Somebody found at the target, whose title becomes another.
pub(in crate::cli) fn adopt(name: &str) -> Action {
    let patched = patch(
        name,
        vec![(
            "title",
            Some(json!("Engineer")),
            Some(json!("Staff Engineer")),
        )],
    );
    Action {
        change: Change::Adopt,
        reason: Reason::Matched,
        adoption: Some(Adoption {
            resource: ResourceId("r-found".to_owned()),
            found: AttributeMap::new(),
            active: true,
            members: Vec::new(),
            foreign_external_id: None,
            moved_from: None,
            settled: false,
        }),
        subject: subject(Kind::User, name, false),
        ..patched
    }
}

/// Somebody who left.
pub(in crate::cli) fn deactivate(name: &str) -> Action {
    let write = Write::Patch {
        active: Some(false),
        operations: Vec::new(),
        add: Vec::new(),
        remove: Vec::new(),
    };
    Action {
        requests: vec![request(Phase::Leavers, write)],
        ..action(
            Change::Deactivate,
            subject(Kind::User, name, true),
            Reason::LeftScope,
        )
    }
}

/// A group that gets one linked and one pending member and loses one.
pub(in crate::cli) fn members(name: &str) -> Action {
    let write = Write::Patch {
        active: None,
        operations: Vec::new(),
        add: vec![
            Reference::Linked(ResourceId("r-bo".to_owned())),
            Reference::Pending(key(Kind::User, "ana")),
        ],
        remove: vec![ResourceId("r-eva".to_owned())],
    };
    Action {
        requests: vec![request(Phase::Groups, write)],
        ..action(
            Change::Patch,
            subject(Kind::Group, name, true),
            Reason::MembersChanged,
        )
    }
}

/// A new group with as many members.
pub(in crate::cli) fn create_group(name: &str, members: usize) -> Action {
    let write = Write::Create {
        attributes: AttributeMap::from([(AttributePath::display_name(), json!(name))]),
        members: (0..members)
            .map(|number| Reference::Linked(ResourceId(format!("r-{number}"))))
            .collect(),
    };
    Action {
        requests: vec![request(Phase::Groups, write)],
        ..action(
            Change::Create,
            subject(Kind::Group, name, false),
            Reason::NewInScope,
        )
    }
}

/// A group that is deleted.
pub(in crate::cli) fn delete_group(name: &str) -> Action {
    Action {
        requests: vec![request(Phase::Deletions, Write::Delete)],
        ..action(
            Change::Delete,
            subject(Kind::Group, name, true),
            Reason::GoneFromSource,
        )
    }
}

/// Somebody whom two resources match.
pub(in crate::cli) fn ambiguous(name: &str) -> Held {
    Held {
        subject: subject(Kind::User, name, false),
        change: Change::Create,
        reason: HeldReason::AmbiguousMatch,
        limit: None,
        detail: "2 resources match userName".to_owned(),
        action: None,
    }
}

/// Somebody left over at the target.
pub(in crate::cli) fn stale(name: &str) -> Listed {
    Listed {
        subject: subject(Kind::User, name, true),
        reason: ListedReason::Stale,
        detail: "never linked, not entitled and active at the target".to_owned(),
    }
}
