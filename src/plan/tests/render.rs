//! A plan as a person would note it down: a line an action, a held and a listed item.

use crate::plan::Planned;
use crate::plan::action::{Action, Difference, Phase, Reference, Request, Subject, Write};

pub(super) fn rendered(planned: &Planned) -> String {
    let plan = &planned.plan;
    let mut lines: Vec<String> = plan.actions.iter().map(action).collect();
    for held in &plan.held {
        let limit = held.limit.map_or("", |limit| limit.name());
        // The limit's own words, shortened: every line of a table would say them.
        let detail = held
            .detail
            .replace("the limit is 0: never without an approval", "0 allows")
            .replace("more than the ", "")
            .replace(" that the limit allows in 24 hours", " allows");
        let reason = format!("{:?} {limit}", held.reason);
        lines.push(format!(
            "! {} {} {}: {detail}",
            format!("{:?}", held.change).to_lowercase(),
            subject(&held.subject),
            reason.trim_end(),
        ));
    }
    for listed in &plan.listed {
        let reason = listed.reason;
        lines.push(format!(
            ". {} {reason:?}: {}",
            subject(&listed.subject),
            listed.detail
        ));
    }
    lines.join("\n")
}

fn action(action: &Action) -> String {
    let mut line = format!(
        "{} {} {:?}",
        format!("{:?}", action.change).to_lowercase(),
        subject(&action.subject),
        action.reason
    );
    if let Some(adoption) = &action.adoption {
        line.push_str(&format!("; links {}", adoption.resource));
        if let Some(former) = &adoption.moved_from {
            line.push_str(&format!(" of {}", former.id));
        }
        if !adoption.members.is_empty() {
            let members: Vec<&str> = adoption.members.iter().map(|id| id.0.as_str()).collect();
            line.push_str(&format!(" with {}", members.join(" ")));
        }
        if let Some(foreign) = &adoption.foreign_external_id {
            line.push_str(&format!(", which keeps externalId {foreign}"));
        }
    }
    for request in &action.requests {
        line.push_str(&format!(
            "; {}",
            self::request(request, &action.differences)
        ));
    }
    line
}

fn subject(subject: &Subject) -> String {
    let name = subject.name.trim_end_matches("@example.com");
    match &subject.resource {
        Some(resource) => format!("{name} ({resource})"),
        None => name.to_owned(),
    }
}

fn request(request: &Request, differences: &[Difference]) -> String {
    let mut words = Vec::new();
    match &request.write {
        Write::Create { members, .. } => {
            words.push("POST".to_owned());
            words.extend(
                members
                    .iter()
                    .map(|member| format!("+{}", reference(member))),
            );
        }
        Write::Delete => words.push("DELETE".to_owned()),
        Write::Patch {
            active,
            operations,
            add,
            remove,
        } => {
            words.push("PATCH".to_owned());
            words.extend(active.map(|active| format!("active={active}")));
            for operation in operations {
                let old = differences
                    .iter()
                    .find(|each| each.path.to_string() == operation.path)
                    .and_then(|each| each.old.clone());
                let old = old.map_or(String::new(), |old| old.to_string());
                let new = operation.value.clone();
                let new = new.map_or(String::new(), |new| new.to_string());
                let change = format!("{}:{old}→{new}", operation.path);
                words.push(change.replace("@example.com", "").replace('"', ""));
            }
            words.extend(add.iter().map(|member| format!("+{}", reference(member))));
            words.extend(remove.iter().map(|member| format!("-{member}")));
        }
    }
    let usual = matches!(
        request.phase,
        Phase::Leavers | Phase::Joiners | Phase::Movers | Phase::Reactivations | Phase::Groups
    );
    if !usual {
        words.push(format!("in {:?}", request.phase));
    }
    words.join(" ")
}

fn reference(reference: &Reference) -> String {
    match reference {
        Reference::Linked(id) => id.0.clone(),
        Reference::Pending(record) => format!("pending:{}", record.id),
    }
}
