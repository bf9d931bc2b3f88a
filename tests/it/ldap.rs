//! LDAP as a source, against real directories: OpenLDAP's `slapd`, a Samba AD domain
//! controller, a 389 Directory Server, and FreeIPA's layout loaded into the last.
//!
//! The servers come from the distribution's packages, which `tests/run` installs. Each test
//! starts its own, in a folder of its own and on loopback only, and ends it by its process id.
//! What the machine lacks is left out, and said. Nothing here imports the connector.

mod agree;
mod changes;
mod checked;
mod cut;
mod directory;
mod domain;
mod fake;
mod limits;
mod looked_after;
mod ns_slapd;
mod pages;
mod reader;
mod record;
mod samba;
mod server;
mod slapd;
mod stories;
mod trouble;

use std::io::Write as _;

use directory::Flavor;

/// The list at a glance, for who reads the end of a long run.
#[test]
fn what_is_left_out_is_said() {
    let gaps: Vec<String> = Flavor::ALL
        .iter()
        .filter_map(|flavor| Some(format!("{flavor:?} ({})", flavor.lacks()?)))
        .collect();
    let line = if gaps.is_empty() {
        "nothing".to_owned()
    } else {
        gaps.join("; ")
    };
    // Past the runner's capture: a gap that nobody sees reads as a pass.
    let _ = writeln!(
        std::io::stderr(),
        "left out of this run, of the directories: {line}"
    );
}
