//! Why somebody is in scope or not, what each path is made of, and which groups they are in: a
//! line each. Pure.

use std::collections::BTreeMap;

use provisor_connectors::Value;

use crate::cycle::explain::{ConditionReason, Explained, Mapped, Membership, ScopeReason};
use crate::plan::input::Standing;
use crate::scope::Verdict;

/// A line for each scope group, and one for the condition. Each begins with what it says by
/// itself; what they come to together is the next line's.
pub(super) fn scope_lines(explained: &Explained) -> Vec<String> {
    let mut lines: Vec<String> = group_lines(&explained.scope);
    lines.extend(explained.condition.as_ref().map(condition_line));
    if lines.is_empty() {
        let everyone = "no scope group is configured: everyone is";
        lines.push(match &explained.verdict {
            Verdict::In => format!("in: {everyone}"),
            Verdict::Out => format!("out: {everyone}"),
            Verdict::Unknown(why) => format!("unknown: {why}"),
        });
    }
    lines
}

fn group_lines(reasons: &[ScopeReason]) -> Vec<String> {
    // One of the groups is enough; without one, a group that cannot be told leaves it open.
    let word = if reasons.iter().any(|reason| reason.path.is_some()) {
        "in"
    } else if reasons.iter().any(|reason| reason.problem.is_some()) {
        "unknown"
    } else {
        "out"
    };
    reasons
        .iter()
        .map(|reason| {
            let configured = &reason.configured;
            let how = match (&reason.problem, &reason.path) {
                (Some(problem), _) => problem.clone(),
                (None, None) => format!("not a member of `{configured}`"),
                (None, Some(path)) if path.len() < 2 => {
                    format!("member of `{configured}`")
                }
                (None, Some(path)) => {
                    format!("member of `{configured}` through {}", path[1..].join(" > "))
                }
            };
            format!("{word}: {how}")
        })
        .collect()
}

fn condition_line(reason: &ConditionReason) -> String {
    let ConditionReason {
        configured,
        inputs,
        verdict,
    } = reason;
    let given = given(inputs, None);
    match verdict {
        Some(Verdict::In) => format!("in: `{configured}` holds{given}"),
        Some(Verdict::Out) => format!("out: `{configured}` does not hold{given}"),
        Some(Verdict::Unknown(why)) => format!("unknown: {why}{given}"),
        None => format!("`{configured}` is not asked of who is gone"),
    }
}

pub(super) fn standing_line(standing: Option<&Standing>) -> String {
    match standing {
        None => "neither in the source nor linked: nothing happens".to_owned(),
        Some(Standing::Entitled) => "entitled: in scope and active".to_owned(),
        Some(Standing::OutOfScope) => "not entitled: out of scope".to_owned(),
        Some(Standing::Disabled) => "not entitled: disabled in the source".to_owned(),
        Some(Standing::SoftDeleted) => "not entitled: deleted in the source".to_owned(),
        Some(Standing::Gone) => "not entitled: gone from the source".to_owned(),
        Some(Standing::Unknown(why)) => format!("unknown, so nothing happens: {why}"),
    }
}

pub(super) fn mapped_line(mapped: &Mapped) -> String {
    let Mapped {
        path,
        from,
        default,
        inputs,
        result,
    } = mapped;
    let result = match result {
        Some(value) => value.to_string(),
        None if from == "false" => "(dropped)".to_owned(),
        None => "(nothing)".to_owned(),
    };
    let how = if *default { " by default" } else { "" };
    let given = given(inputs, Some(from));
    format!("{path}  {result}  from {from}{how}{given}")
}

/// The attributes that something was made of, in brackets; `said` is named already.
fn given(inputs: &BTreeMap<String, Vec<Value>>, said: Option<&str>) -> String {
    let given: Vec<String> = inputs
        .iter()
        .filter_map(|(name, values)| {
            if values.is_empty() {
                Some(format!("{name} has no value"))
            } else if said == Some(name) {
                None
            } else {
                Some(format!("{name} is {}", values_of(values)))
            }
        })
        .collect();
    if given.is_empty() {
        String::new()
    } else {
        format!(" ({})", given.join(", "))
    }
}

pub(super) fn membership_line(membership: &Membership) -> String {
    let Membership {
        group: _,
        name,
        path,
        made_from,
        linked,
        pushed,
        at_target,
    } = membership;
    let source = match (made_from, path.len()) {
        (Some(attribute), _) => format!("made of {attribute}"),
        (None, 0) => "not in it any more".to_owned(),
        (None, 1) => "direct member".to_owned(),
        (None, _) => format!("member through {}", path[1..].join(" > ")),
    };
    let target = match (at_target, pushed, linked) {
        (true, _, _) => "member at the target",
        (false, true, true) => "not at the target yet",
        (false, true, false) => "the group is not at the target yet",
        (false, false, _) => "not pushed",
    };
    format!("{name}  {source}; {target}")
}

pub(super) fn values_of(values: &[Value]) -> String {
    let values: Vec<String> = values
        .iter()
        .map(|value| serde_json::json!(value).to_string())
        .collect();
    values.join(", ")
}
