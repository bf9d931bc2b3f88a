//! The held set: what names it, so that a person can release exactly what they saw.

use std::collections::BTreeSet;

use aws_lc_rs::digest;

use crate::plan::action::{Action, Held, HeldReason, Subject};
use crate::text;

/// Names an action by everything in it. An action has no time in it.
pub fn digest_of(action: &Action) -> String {
    let text = serde_json::to_vec(action).unwrap_or_default();
    hex(digest::digest(&digest::SHA256, &text).as_ref())
}

/// Names a set of held actions by their digests; `None` for the empty set.
pub fn id_of(digests: &BTreeSet<String>) -> Option<String> {
    if digests.is_empty() {
        return None;
    }
    let mut context = digest::Context::new(&digest::SHA256);
    for digest in digests {
        context.update(digest.as_bytes());
    }
    Some(hex(context.finish().as_ref())[..12].to_owned())
}

/// Whether a held item is the one a person named: by source id, resource id, or name in
/// whatever case.
pub fn is_named(subject: &Subject, key: &str) -> bool {
    let record = subject.record.as_ref().map(|record| record.id.as_str());
    let resource = subject.resource.as_ref().map(|id| id.0.as_str());
    text::is_same(&subject.name, key) || record == Some(key) || resource == Some(key)
}

/// Digests of the held actions that a person may release: whom, what, why and from which
/// state. Followers are derived from them and not part of it; nor is time.
pub(super) fn digests_of(held: &[Held]) -> BTreeSet<String> {
    held.iter()
        .filter(|held| {
            matches!(
                held.reason,
                HeldReason::OverLimit | HeldReason::ProbableLeaver
            )
        })
        .filter_map(|held| held.action.as_deref())
        .map(digest_of)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
