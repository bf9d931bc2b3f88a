//! A real server's limits, and a real server that dies.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::begin;
use crate::ldap::cut::Cut;
use crate::ldap::directory::{Directory, Flavor, Record};
use crate::ldap::slapd;

/// Thirty people.
fn crowd(directory: &Directory) {
    directory.join_clerks((0..30).map(|number| format!("p{number:02}")));
}

/// A limit, of pages too, that the result exceeds: what was given until then is nothing.
#[test]
fn a_size_limit_below_the_result() {
    let Some(directory) = Directory::start(Flavor::OpenLdap) else {
        return;
    };
    crowd(&directory);
    let mut story = begin(
        &directory.source("changes = \"full\""),
        "A result that is limited is no result.",
    );
    story.tell("name = \"thirty people\"\nwrites = 30\n");
    let agent = slapd::agent().dn;
    for limits in [
        // At once, in the third page of five, and instead of any page.
        "size=4",
        "size.soft=10 size.hard=10 size.pr=100 size.prtotal=12",
        "size.soft=10 size.hard=10 size.prtotal=disabled",
    ] {
        limit(&directory, &format!("dn.exact=\"{agent}\" {limits}"));
        let ran = story.sync_in_vain();
        assert!(ran.stderr.contains("limit was reached"), "{ran:#?}");
    }
    limit(&directory, slapd::LIMITS.trim_start_matches("limits "));
    directory.delete(&directory.person_dn("p03"));
    story.tell("name = \"the limit is gone, and so is one of them\"\nwrites = 1\n");
    story.check_settled();
}

fn limit(directory: &Directory, limits: &str) {
    let mut record = Record::change("olcDatabase={1}mdb,cn=config", "modify");
    record
        .line("replace", "olcLimits")
        .line("olcLimits", limits);
    directory
        .server
        .modify_as(&slapd::configurator(), &[], &record.0);
}

/// The machine of the directory loses power while it answers.
#[test]
fn a_server_that_dies_in_the_middle_of_a_search() {
    let Some(directory) = Directory::start(Flavor::OpenLdap) else {
        return;
    };
    crowd(&directory);
    let cut = Cut::start(SocketAddr::from(([127, 0, 0, 1], directory.server.ldap)));
    // Over plain LDAP, so that the middle of the bytes is the middle of the people.
    let source = directory
        .source("changes = \"full\"")
        .replace(
            &format!("ldap://localhost:{}", directory.server.ldap),
            &format!("ldap://{}", cut.address),
        )
        .replace("start_tls = true\n", "");
    let mut story = begin(
        &source,
        "A server that dies has not said that anybody left.",
    );
    cut.cut_at(usize::MAX);
    story.tell("name = \"thirty people\"\nwrites = 30\n");
    // Two previews and the run.
    let middle = cut.passed() / 3 / 2;
    let server = Arc::new(Mutex::new(directory.server));
    let dying = Arc::clone(&server);
    cut.cut_and(middle, move || {
        dying.lock().expect("nobody panics with it").kill();
    });
    story.sync_in_vain();
    story.sync_in_vain();
}
