//! Keys of a target's part. Every key starts with the target's name; records sort by source,
//! kind and id. Keys only.

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey};

use crate::scim::path::AttributePath;
use crate::scim::resource::ResourceId;
use crate::snapshot::key;
use crate::snapshot::table::Tables;

/// The target's progress.
pub(super) fn progress(target: &str) -> Vec<u8> {
    let mut bytes = key::text(target);
    key::push_text(&mut bytes, "progress");
    bytes
}

/// The target's totals.
pub(super) fn totals(target: &str) -> Vec<u8> {
    let mut bytes = key::text(target);
    key::push_text(&mut bytes, "totals");
    bytes
}

/// A record's link, intent or open row; the prefix of a group's edges.
pub(super) fn record(target: &str, record: &RecordKey) -> Vec<u8> {
    let mut bytes = key::text(target);
    key::push_record(&mut bytes, record);
    bytes
}

/// The owner of a resource. Only a digest of the resource's id: digests are evenly spread over
/// the bundles that owners are kept in.
pub(super) fn owner(tables: &Tables, target: &str, kind: Kind, resource: &ResourceId) -> Vec<u8> {
    let mut bytes = key::text(target);
    bytes.push(key::kind_byte(kind));
    bytes.extend_from_slice(&tables.digest(&[b"resource\0", resource.0.as_bytes()]));
    bytes
}

/// The prefix under which the records with a value at a path are. The value itself is not in
/// the key, only a digest that needs the state key. The digest comes first, because what is a
/// person's userName is most often their address as well: both are in one bundle then. The first
/// bit of its third byte stands before that byte, to be the end of a bundle's key.
pub(super) fn value(
    tables: &Tables,
    target: &str,
    kind: Kind,
    path: &AttributePath,
    folded: &str,
) -> Vec<u8> {
    let digest = tables.digest(&[b"value\0", folded.as_bytes()]);
    let mut bytes = key::text(target);
    bytes.push(key::kind_byte(kind));
    bytes.extend_from_slice(&digest[..2]);
    bytes.push(digest[2] >> 7);
    bytes.extend_from_slice(&digest[2..]);
    key::push_text(&mut bytes, path.as_str());
    bytes
}

/// A group's edge to a member.
pub(super) fn edge(target: &str, group: &RecordKey, member: &ResourceId) -> Vec<u8> {
    let mut bytes = record(target, group);
    key::push_text(&mut bytes, &member.0);
    bytes
}

/// The prefix of the groups with a member.
pub(super) fn member(target: &str, member: &ResourceId) -> Vec<u8> {
    let mut bytes = key::text(target);
    key::push_text(&mut bytes, &member.0);
    bytes
}

/// A member's edge to a group.
pub(super) fn reverse_edge(target: &str, group: &RecordKey, resource: &ResourceId) -> Vec<u8> {
    let mut bytes = member(target, resource);
    key::push_record(&mut bytes, group);
    bytes
}

/// The first key of what was spent at a moment, to the microsecond; a number follows.
pub(super) fn spent(target: &str, at: DateTime<Utc>) -> Vec<u8> {
    let mut bytes = key::text(target);
    // Flipping the sign makes signed numbers sort as bytes.
    let sortable = at.timestamp_micros() ^ i64::MIN;
    bytes.extend_from_slice(&sortable.to_be_bytes());
    bytes
}

/// Takes the moment of a spending off the front. `None` when the key is not well-formed.
pub(super) fn take_moment(key: &mut &[u8]) -> Option<DateTime<Utc>> {
    let (sortable, rest) = key.split_first_chunk()?;
    *key = rest;
    DateTime::from_timestamp_micros(i64::from_be_bytes(*sortable) ^ i64::MIN)
}
