//! From a planned write to the body that this target understands. Pure.
//!
//! The default dialect is RFC 7644's letter (DESIGN §10). Deviations come from the profile.

use provisor_connectors::Kind;
use serde_json::Value;

use super::profile::Profile;
use crate::scim::message::Operation;
use crate::scim::resource::{AttributeMap, ResourceId};

/// The body of a POST. `members` are ids (or, in a preview, `pending:SOURCE_ID`).
pub fn create_body(
    _kind: Kind,
    _attributes: &AttributeMap,
    _members: &[String],
    _profile: &Profile,
) -> Value {
    unimplemented!()
}

/// The body of a PATCH: `active` first, then attributes, member removals, member additions.
pub fn patch_body(
    _active: Option<bool>,
    _operations: &[Operation],
    _add: &[String],
    _remove: &[ResourceId],
    _profile: &Profile,
) -> Value {
    unimplemented!()
}
