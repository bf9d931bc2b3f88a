//! What may never be seen in the server's log, whatever happened to the state: the log is the
//! server's word, and every request of a trial is held against the source of that day.

use std::collections::BTreeSet;

use serde_json::Value;

use super::organisation::{AtTarget, Organisation};
use crate::support::sandbox::Logged;

/// Every wrong in a log, in words. `before` is what was at the target when it began.
pub(crate) fn wrongs(
    log: &[Logged],
    organisation: &Organisation,
    before: &AtTarget,
) -> Vec<String> {
    let mut made = BTreeSet::new();
    let mut found = Vec::new();
    for request in log.iter().filter(|it| it.is_write()) {
        let path = request.relative_path();
        let said = format!(
            "{} {path} {} -> {}",
            request.method, request.body, request.status
        );
        match (request.method.as_str(), path.split('/').nth(1)) {
            ("DELETE", _) => found.push(format!("deleted: {said}")),
            ("POST", Some("Users")) => {
                let name = request.body["userName"].as_str().unwrap_or_default();
                let number = request.body["externalId"].as_str();
                let number = number.and_then(|number| number.parse().ok());
                if !request.was_taken() {
                    found.push(format!("created blindly, and refused: {said}"));
                }
                if before.user(name).is_some() || !made.insert(name) {
                    found.push(format!("created twice: {said}"));
                }
                if !number.is_some_and(|number| organisation.is_entitled(number)) {
                    found.push(format!("created who should have no access: {said}"));
                }
            }
            (_, Some("Users")) => {
                let id = path.split('/').nth(2).unwrap_or_default();
                let number = before
                    .number_of(id)
                    .or_else(|| number_by_name(before, organisation, id));
                match number {
                    Some(number) if organisation.is_entitled(number) => {
                        if switches_off(&request.body) {
                            found.push(format!("{number} is entitled, and switched off: {said}"));
                        }
                    }
                    Some(_) => {}
                    None if before.has_user(id) => {
                        found.push(format!("somebody else's resource was written: {said}"));
                    }
                    // Made since, so ours.
                    None => {
                        if switches_off(&request.body) {
                            found.push(format!("made and switched off: {said}"));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// A resource that has our userName and not yet our externalId: adopted.
fn number_by_name(before: &AtTarget, organisation: &Organisation, id: &str) -> Option<u32> {
    let mut entitled = organisation.entitled();
    entitled
        .find(|(_, person)| {
            before
                .user(&person.user_name)
                .is_some_and(|user| user["id"] == id)
        })
        .map(|(number, _)| number)
}

fn switches_off(body: &Value) -> bool {
    let off = |value: &Value| *value == Value::Bool(false);
    let operations = body["Operations"].as_array().into_iter().flatten();
    off(&body["active"])
        || operations.into_iter().any(|operation| {
            operation["path"] == "active" && off(&operation["value"])
                || off(&operation["value"]["active"])
        })
}
