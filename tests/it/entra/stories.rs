//! Stories with a tenant as the source: the real program, the simulator, and the sandbox, whose
//! log is the proof that no call was needless.
//!
//! What is expected was written from the design's table of who gets what, as in
//! `tests/scenarios`, whose machinery and notation this uses.

mod groups;
mod people;
mod scope;
mod soft_delete;
mod witnesses;

use std::os::unix::fs::PermissionsExt;

use super::sign_in::SECRET;
use super::simulator::Simulator;
use crate::support::scenario::Scenario;
use crate::support::story::Story;

/// The mapping of the guides, and what else the stories look at.
pub(super) const MAPPING: &str = r#"
[targets.demo.mapping]
userName = "userPrincipalName"
"name.familyName" = "surname"
title = "jobTitle"
"#;

/// A story of one target that takes everybody from the tenant. Limits are as wide as they go:
/// what they hold is told elsewhere.
pub(super) fn begin(simulator: &Simulator, why: &str, more: &str) -> Story {
    let story = Story::begin(Scenario::told(why, &config(&simulator.source(""), more)));
    write_secret(&story, SECRET);
    story
}

/// The client secret, readable by its owner only.
pub(super) fn write_secret(story: &Story, secret: &str) {
    let path = story.folder().join("client-secret");
    std::fs::write(&path, secret).expect("a file in the temporary folder");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).expect("its mode can be set");
}

/// The configuration around a source's tables.
pub(super) fn config(source: &str, more: &str) -> String {
    format!(
        r#"state_dir = "state"

{source}
[targets.demo]
source = "cloud"
base_url = "{{base_url}}"
auth = {{ bearer = {{ file = "{{token_file}}" }} }}
settle = "1s"
{MAPPING}
[targets.demo.limits]
deactivations = 100
explicit_deactivations = 100
identifiers = 100
reactivations = 100
members_removed = 100

[targets.demo.pace]
requests_per_second = 100
concurrency = 1

{more}
"#
    )
}

/// Every group is pushed.
pub(super) const PUSH_ALL: &str = "[targets.demo.groups]\npush = [\"*\"]\n";
