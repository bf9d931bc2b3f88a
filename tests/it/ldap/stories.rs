//! Stories with a directory as the source: the real program, a real directory, and the
//! sandbox, whose log is the proof that no call was needless. Each is told once and played
//! with every directory that knows what it is about.
//!
//! What is expected was written from the design's table of who gets what, as in
//! `tests/scenarios`, whose machinery and notation this uses.

mod clock;
mod groups;
mod hidden;
mod names;
mod people;
mod preserved;
mod scope;

use super::directory::Directory;
use crate::support::scenario::Scenario;
use crate::support::story::Story;

/// A story whose target takes everybody and every group from the directory. Limits are as
/// wide as they go: what they hold is told elsewhere, and a day of these stories is short.
fn begin(directory: &Directory, why: &str, more: &str) -> Story {
    let source = directory.source("");
    Story::begin(Scenario::told(why, &config(&source, more)))
}

/// The configuration around a source's tables.
pub(super) fn config(source: &str, more: &str) -> String {
    format!(
        r#"state_dir = "state"

{source}
[targets.demo]
source = "corp"
base_url = "{{base_url}}"
auth = {{ bearer = {{ file = "{{token_file}}" }} }}
settle = "1s"

[targets.demo.mapping]
userName = "mail"

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
const PUSH_ALL: &str = "[targets.demo.groups]\npush = [\"*\"]\n";

/// Makes a test of a story for each of these directories.
macro_rules! with {
    ($story:ident: $($test:ident $flavor:ident),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                if let Some(directory) = Directory::start(Flavor::$flavor) {
                    $story(&directory);
                }
            }
        )*
    };
}
use with;
