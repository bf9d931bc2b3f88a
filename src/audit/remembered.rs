//! Which resources the log remembers as whose: what is left of the links of a lost snapshot.
//!
//! Decides nothing. Believes only a log whose chain is whole, because somebody may lose access
//! by what it says.

use std::collections::BTreeMap;
use std::path::Path;

use provisor_connectors::{Kind, RecordKey, SourceId};

use super::Entry;
use super::chain::{AuditProblem, verify};
use super::read::{Content, records};

/// The people of a target who were linked and switched on when the log was last written to:
/// the record of each, by the id of their resource. Reads the whole log, twice. A log that does not
/// exist remembers nobody.
///
/// # Errors
///
/// The log cannot be read, or a line of it was changed.
pub fn linked_people(
    path: &Path,
    target: &str,
) -> Result<BTreeMap<String, RecordKey>, AuditProblem> {
    let mut linked = BTreeMap::new();
    if !path.exists() {
        return Ok(linked);
    }
    verify(path)?;
    for record in records(path)? {
        let Content::Entry(entry) = record?.content else {
            continue;
        };
        if entry.target == target && entry.kind == Kind::User {
            follow(&mut linked, *entry);
        }
    }
    Ok(linked)
}

/// What one record changes of who is linked to what.
fn follow(linked: &mut BTreeMap<String, RecordKey>, entry: Entry) {
    let Some(resource) = entry.resource_id else {
        return;
    };
    match (entry.change.as_str(), entry.source, entry.source_id) {
        // Done or not: whoever is active after this is so by somebody else's doing.
        ("deactivate" | "delete" | "unlink", _, _) => {
            linked.remove(&resource);
        }
        ("create" | "adopt" | "link" | "patch" | "reactivate", Some(source), Some(id))
            if entry.outcome == "done" =>
        {
            let id = SourceId::new(id);
            let kind = Kind::User;
            linked.insert(resource, RecordKey { source, kind, id });
        }
        _ => {}
    }
}
