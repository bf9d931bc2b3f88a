//! Protection: a veto on switching off, deleting and stripping, whatever else applies.
//!
//! Only says who is named; those who would act ask here first.

use std::collections::BTreeSet;

use provisor_connectors::RecordKey;

use super::action::Subject;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, read_emails, read_path};
use crate::snapshot::link::Link;
use crate::text;

/// The key by which `protect` names somebody, if it does. Compared without regard to case and
/// Unicode form: ids too, because a veto that reaches further locks nobody out.
pub fn protected_by(
    subject: &Subject,
    acknowledged: &AttributeMap,
    protect: &BTreeSet<String>,
) -> Option<String> {
    if protect.is_empty() {
        return None;
    }
    let mut keys = vec![subject.name.clone()];
    keys.extend(subject.record.as_ref().map(|record| record.id.to_string()));
    keys.extend(subject.resource.as_ref().map(|resource| resource.0.clone()));
    for (path, value) in acknowledged {
        let names = path.attribute == "userName"
            || path.attribute == "externalId"
            || path.attribute == "emails" && path.sub.as_deref() == Some("value");
        if let (true, Some(value)) = (names, value.as_str()) {
            keys.push(value.to_owned());
        }
    }
    keys.into_iter()
        .find(|key| protect.contains(&text::fold(key)))
}

/// The source id by which `protect` names a person of whom several sources have a record.
pub fn record_protected_by(records: &[RecordKey], protect: &BTreeSet<String>) -> Option<String> {
    let ids = records.iter().map(|record| record.id.as_str());
    let mut named = ids.filter(|id| protect.contains(&text::fold(id)));
    named.next().map(str::to_owned)
}

/// Like [`protected_by`], for something that is linked: its foreign externalId names it too.
pub fn link_protected_by(
    subject: &Subject,
    link: &Link,
    protect: &BTreeSet<String>,
) -> Option<String> {
    let foreign = || link.foreign_external_id.clone();
    protected_by(subject, &link.acknowledged, protect)
        .or_else(|| foreign().filter(|key| protect.contains(&text::fold(key))))
}

/// Like [`protected_by`], by what the target shows: also addresses and keys that nobody maps.
pub fn listed_protected_by(
    subject: &Subject,
    listed: &Listed,
    protect: &BTreeSet<String>,
) -> Option<String> {
    let mut shown = read_emails(&listed.json);
    for path in [AttributePath::user_name(), AttributePath::external_id()] {
        shown.extend(read_path(&listed.json, &path).and_then(|value| value.as_str()));
    }
    let named = shown
        .into_iter()
        .find(|key| protect.contains(&text::fold(key)));
    named
        .map(str::to_owned)
        .or_else(|| protected_by(subject, &AttributeMap::new(), protect))
}
