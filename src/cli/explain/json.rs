//! An explained person as one document. Every key is always present.

use provisor_connectors::RecordKey;
use serde_json::{Value, json};

use super::super::history::Shown;
use super::super::render::{Mode, json};
use super::{Answer, AtTarget};
use crate::apply::report::TargetReport;
use crate::cycle::explain::{ConditionReason, Explained, Mapped, Membership, ScopeReason, Search};
use crate::plan::input::Standing;
use crate::plan::long_gone::Moments;
use crate::scope::Verdict;
use crate::snapshot::{Deactivation, Link, Open};

const VERSION: u32 = 1;

/// The document of somebody who was found.
pub(super) fn answer(answer: &Answer<'_>) -> String {
    let row = answer.row.as_ref();
    let targets: Vec<Value> = answer.targets.iter().map(target).collect();
    print(&json!({
        "version": VERSION,
        "person": {
            "source": answer.record.source,
            "source_id": answer.record.id,
            "name": answer.name,
            "lifecycle": row.map(|row| row.lifecycle),
            "gone_since": row.and_then(|row| row.gone_since),
            "attributes": row.map(|row| &row.attributes),
        },
        "found": [],
        "near": [],
        "targets": targets,
    }))
}

/// The document where the key names nobody, or several.
pub(super) fn nobody(search: &Search) -> String {
    let list = |people: &std::collections::BTreeMap<_, _>| -> Vec<Value> {
        people
            .iter()
            .map(|(record, name): (&provisor_connectors::RecordKey, &String)| {
                json!({ "source": record.source, "source_id": record.id, "name": name })
            })
            .collect()
    };
    print(&json!({
        "version": VERSION,
        "person": null,
        "found": list(&search.found),
        "near": list(&search.near),
        "targets": [],
    }))
}

fn record_key(record: &RecordKey) -> Value {
    json!({ "source": record.source, "source_id": record.id })
}

fn print(document: &Value) -> String {
    let text = serde_json::to_string_pretty(document).expect("the document has only text keys");
    format!("{text}\n")
}

fn target(at: &AtTarget<'_>) -> Value {
    let Explained {
        target,
        last_cycle,
        standing,
        joined,
        verdict,
        scope,
        condition,
        mapped,
        mapping_error,
        link,
        moments: Moments { delete, forget },
        intent,
        open,
        held,
        held_id,
        protected,
        memberships,
        plan,
        unsaid,
    } = &at.explained;
    let report = TargetReport {
        target: target.clone(),
        error: None,
        plan: Some(plan.clone()),
        outcomes: Vec::new(),
        warnings: Vec::new(),
    };
    let planned = json::target(&report, &at.config.target.profile, Mode::Preview);
    let planned = serde_json::to_value(planned).expect("the document has only text keys");
    let (standing, why) = match standing {
        None => (None, None),
        Some(Standing::SoftDeleted) => (Some("SoftDeleted"), None),
        Some(Standing::Disabled) => (Some("Disabled"), None),
        Some(Standing::Gone) => (Some("Gone"), None),
        Some(Standing::Unknown(why)) => (Some("Unknown"), Some(why)),
        Some(Standing::OutOfScope) => (Some("OutOfScope"), None),
        Some(Standing::Entitled) => (Some("Entitled"), None),
    };
    let (verdict, unknown) = match verdict {
        Verdict::In => ("In", None),
        Verdict::Out => ("Out", None),
        Verdict::Unknown(why) => ("Unknown", Some(why)),
    };
    json!({
        "target": target,
        "enabled": at.config.enabled,
        "last_cycle": last_cycle,
        "joined": joined.iter().map(record_key).collect::<Vec<_>>(),
        "scope": {
            "verdict": verdict,
            "why": unknown,
            "groups": scope.iter().map(scope_reason).collect::<Vec<_>>(),
            "when": condition.as_ref().map(condition_reason),
        },
        "standing": standing,
        "standing_why": why,
        "mapping": mapped.iter().map(mapped_path).collect::<Vec<_>>(),
        "mapping_error": mapping_error.as_ref().map(ToString::to_string),
        "link": link.as_ref().map(link_of),
        "delete_at": delete,
        "forget_at": forget,
        "in_doubt_since": intent.as_ref().map(|intent| intent.at),
        "open": open.as_ref().map(open_row),
        "held": held,
        "held_id": held_id,
        "protected": protected,
        "memberships": memberships.iter().map(membership).collect::<Vec<_>>(),
        "writes": at.writes.iter().map(Shown::new).collect::<Vec<_>>(),
        "now": {
            "actions": planned["actions"],
            "held": planned["held"],
            "listed": planned["listed"],
            "unsaid": unsaid,
        },
    })
}

fn scope_reason(reason: &ScopeReason) -> Value {
    let ScopeReason {
        configured,
        group,
        problem,
        path,
    } = reason;
    json!({
        "configured": configured,
        "source": group.as_ref().map(|group| &group.source),
        "source_id": group.as_ref().map(|group| &group.id),
        "problem": problem,
        "path": path,
    })
}

fn condition_reason(reason: &ConditionReason) -> Value {
    let ConditionReason {
        configured,
        inputs,
        verdict,
    } = reason;
    let (result, problem) = match verdict {
        Some(Verdict::In) => (Some(true), None),
        Some(Verdict::Out) => (Some(false), None),
        Some(Verdict::Unknown(why)) => (None, Some(why)),
        None => (None, None),
    };
    json!({
        "configured": configured,
        "inputs": inputs,
        "result": result,
        "problem": problem,
    })
}

fn mapped_path(mapped: &Mapped) -> Value {
    let Mapped {
        path,
        from,
        default,
        inputs,
        result,
    } = mapped;
    json!({
        "path": path,
        "from": from,
        "default": default,
        "inputs": inputs,
        "result": result,
    })
}

fn link_of(link: &Link) -> Value {
    let Link {
        resource,
        origin,
        acknowledged,
        active,
        deactivated,
        foreign_external_id,
        unsettled,
        missing,
        own_forms,
        sent,
        keys_sent,
    } = link;
    let deactivated = deactivated.as_ref().map(|deactivated| {
        let Deactivation {
            reason,
            at,
            gone_since,
            spent: _,
        } = deactivated;
        json!({ "reason": reason, "at": at, "gone_since": gone_since })
    });
    json!({
        "resource_id": resource,
        "origin": origin,
        "acknowledged": acknowledged,
        "active": active,
        "deactivated": deactivated,
        "foreign_external_id": foreign_external_id,
        "unsettled": unsettled,
        "missing": missing,
        "own_forms": own_forms,
        "sent": sent,
        "keys_sent": keys_sent,
    })
}

fn open_row(open: &Open) -> Value {
    let Open {
        why,
        due,
        attempts,
        failed,
        awaits: _,
    } = open;
    json!({ "why": why, "due": due, "attempts": attempts, "failed": failed })
}

fn membership(membership: &Membership) -> Value {
    let Membership {
        group,
        name,
        path,
        made_from,
        linked,
        pushed,
        at_target,
    } = membership;
    json!({
        "source": group.source,
        "source_id": group.id,
        "name": name,
        "path": path,
        "made_from": made_from,
        "linked": linked,
        "pushed": pushed,
        "at_target": at_target,
    })
}
