//! What the audit log says of each write.

use super::Applier;
use crate::audit::Entry;
use crate::plan::action::{Action, Change, Request, Write};
use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;

impl Applier<'_> {
    /// Notes one record about an action, and about the resource as far as it is known. Values
    /// only where the configuration says so.
    pub(super) fn log(
        &self,
        action: &Action,
        resource: Option<ResourceId>,
        call: Option<(&'static str, &Request)>,
        answer: Option<(u16, String)>,
        outcome: &str,
    ) {
        let record = action.subject.record.as_ref();
        // A manager whom the plan created has an id by now, or was left out.
        let manager = AttributePath::manager();
        let sent = |path: &AttributePath| {
            let acknowledged = call.map(|(_, request)| &request.acknowledge.attributes);
            acknowledged?.as_ref()?.get(path).cloned()
        };
        let values = self.audit_values.then(|| {
            let differences = action.differences.iter();
            differences
                .map(|each| {
                    let new = match each.path == manager {
                        true => sent(&each.path),
                        false => each.new.clone(),
                    };
                    (each.path.to_string(), new.unwrap_or_default())
                })
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
            generation: 0,
        };
        self.ledger.add_entry((self.clock)(), entry);
    }
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
