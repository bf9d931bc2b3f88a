//! What a target can do and how it deviates, and what every target calls a resource. A preset is
//! a profile shipped as a TOML file.

use provisor_connectors::Kind;
use serde::{Deserialize, Serialize};

use super::dialect::Removal;
use crate::scim::path::AttributePath;

/// A target's profile. Every field has the default of the RFC's letter; a preset names only
/// what differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// For `check` and the docs: one line about the app.
    pub description: String,
    /// Attributes without which a user cannot be created. Default: `userName`.
    pub required: Vec<AttributePath>,
    /// Whether filters may be used at all. A hint from discovery may say no, never yes.
    pub filter: bool,
    /// Whether `/Groups` exists.
    pub groups: bool,
    /// Whether a listed group shows its members. Where it does not, the snapshot is the truth.
    pub members_listed: bool,
    /// Whether PATCH is there. Where it is not, the whole resource is read, changed and PUT.
    pub patch: bool,
    /// Whether a PATCH operation may have a path. Where it may not, whole attributes are
    /// replaced.
    pub patch_paths: bool,
    /// Whether booleans are the texts `"True"` and `"False"`.
    pub text_booleans: bool,
    /// Whether a member needs a `$ref` beside its `value`.
    pub member_refs: bool,
    /// How members are removed.
    pub member_removal: Removal,
    /// Whether externalId is kept. Where it is not, its absence says nothing.
    pub keeps_external_id: bool,
    /// Whether DELETE only switches off, and the userName stays taken: who comes back is
    /// found, and switched on again.
    pub soft_deletes: bool,
    /// The most members one request may add or remove.
    pub members_per_request: usize,
    /// How many resources to ask for in one page.
    pub page_size: u64,
    /// Whether deactivation makes the target forget memberships.
    pub deactivation_drops_memberships: bool,
    /// Whether deactivation destroys: it then counts as a deletion.
    pub deactivation_destroys: bool,
    /// Whether ids may change their meaning, so that the key is compared before deactivating.
    pub ids_doubtful: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            description: String::new(),
            required: vec![AttributePath::core("userName")],
            filter: true,
            groups: true,
            members_listed: true,
            patch: true,
            patch_paths: true,
            text_booleans: false,
            member_refs: false,
            member_removal: Removal::Filter,
            keeps_external_id: true,
            soft_deletes: false,
            members_per_request: 1000,
            page_size: 100,
            deactivation_drops_memberships: false,
            deactivation_destroys: false,
            ids_doubtful: false,
        }
    }
}

/// Where the name of a resource is: `userName` (RFC 7643 §4.1.1), or `displayName` of a group
/// (§4.2).
pub fn name_path(kind: Kind) -> AttributePath {
    match kind {
        Kind::User => AttributePath::user_name(),
        Kind::Group => AttributePath::display_name(),
    }
}
