//! Everything that can go wrong between a directory and us ends in exit 1 and not one write:
//! a shorter list looks exactly like people who left.

mod connection;
mod directory_server;
mod limits;
mod moves;
mod server;

use crate::support::scenario::Scenario;
use crate::support::story::Story;

use super::stories::config;

/// A story whose read fails in many ways after it worked once.
fn begin(source: &str, why: &str) -> Story {
    let more = "[targets.demo.groups]\npush = [\"*\"]\n";
    Story::begin(Scenario::told(why, &config(source, more)))
}
