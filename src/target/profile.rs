//! What a target can do and how it deviates. A preset is a profile shipped as a TOML file.

use serde::{Deserialize, Serialize};

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
            members_per_request: 1000,
            page_size: 100,
            deactivation_drops_memberships: false,
            deactivation_destroys: false,
            ids_doubtful: false,
        }
    }
}
