//! Tokens for changes that are not good any more: everything is read, compared, and acted upon
//! with halved limits.

use chrono::TimeDelta;
use serde_json::json;

use super::settled;
use crate::entra::simulator::error;
use crate::entra::stories::{PUSH_ALL, config};

const LIMIT: &str = "explicit_deactivations = 100";

/// Of eight people three are switched off while the token becomes useless: allowed are four, and
/// two after that.
fn is_careful(spoil: impl Fn(&mut super::Settled)) {
    let mut settled = settled(8, "");
    let narrow =
        config(&settled.simulator.source(""), "").replace(LIMIT, "explicit_deactivations = 4");
    settled.story.set_config(&narrow);
    settled
        .story
        .tell("name = \"other limits\"\nrequests = \"\"\n");
    settled.simulator.tenant(|tenant| {
        for id in &settled.people[..3] {
            tenant.set(*id, json!({"accountEnabled": false}));
        }
    });
    spoil(&mut settled);
    settled.story.tell(
        r#"
name = "three are more than half of four"
exit = 4
requests = ""
"#,
    );
}

#[test]
fn a_token_of_more_than_seven_days() {
    is_careful(|settled| {
        settled
            .simulator
            .tenant(|tenant| tenant.wait(TimeDelta::days(8)))
    });
}

#[test]
fn a_reset_with_410() {
    is_careful(|settled| {
        settled.simulator.instead(|asked, _| {
            let goes_on = asked.raw_query.contains("deltatoken");
            goes_on.then(|| {
                error(410, "resyncRequired", "The delta token is no longer valid.").with(
                    "Location",
                    "https://graph.microsoft.com/v1.0/users/delta?$deltatoken=",
                )
            })
        });
    });
}

#[test]
fn a_state_that_is_not_found_in_any_spelling() {
    is_careful(|settled| {
        settled.simulator.instead(|asked, _| {
            let goes_on = asked.raw_query.contains("deltatoken") && asked.path.contains("groups");
            goes_on.then(|| error(400, "SyncStateNotFound", "The sync state is not found."))
        });
    });
}

#[test]
fn a_token_that_graph_cannot_read_any_more() {
    is_careful(|settled| {
        settled.simulator.instead(|asked, _| {
            let goes_on = asked.raw_query.contains("deltatoken");
            goes_on.then(|| error(400, "Directory_BadDelta", "Badly formed token."))
        });
    });
}

#[test]
fn a_place_to_go_on_from_that_is_not_there() {
    is_careful(|settled| {
        settled.simulator.instead(|asked, _| {
            let goes_on = asked.raw_query.contains("deltatoken") && asked.path.contains("users");
            goes_on.then(|| error(404, "Request_ResourceNotFound", "Resource not found."))
        });
    });
}

#[test]
fn other_properties_are_selected() {
    is_careful(|settled| {
        let other = config(
            &settled.simulator.source(""),
            "[targets.demo.scope]\nwhen = \"not city\"\n",
        )
        .replace(LIMIT, "explicit_deactivations = 4");
        settled.story.set_config(&other);
    });
}

#[test]
fn without_trouble_the_same_is_within_the_limit() {
    let mut settled = settled(8, "");
    let narrow =
        config(&settled.simulator.source(""), "").replace(LIMIT, "explicit_deactivations = 4");
    settled.story.set_config(&narrow);
    settled.simulator.tenant(|tenant| {
        for id in &settled.people[..3] {
            tenant.set(*id, json!({"accountEnabled": false}));
        }
    });
    settled.story.tell("name = \"three of four\"\nwrites = 3\n");
}

#[test]
fn a_reset_in_the_middle_of_everything_is_an_error() {
    let settled = settled(3, "");
    settled.simulator.forget_marks();
    settled.simulator.manners(|manners| manners.page = 1);
    settled.simulator.instead(|asked, _| {
        let goes_on = asked.raw_query.contains("skiptoken") && asked.path.contains("users");
        goes_on.then(|| error(410, "resyncRequired", "The token is no longer valid."))
    });
    settled.survives(&["cannot read users", "resyncRequired"]);
}

#[test]
fn a_read_that_ends_halfway_is_begun_again_from_where_the_last_one_ended() {
    let mut settled = settled(2, PUSH_ALL);
    let (ana, bo) = (settled.people[0], settled.people[1]);
    let crew = settled
        .simulator
        .tenant(|tenant| tenant.add_group("crew", &[ana]));
    settled
        .story
        .tell("name = \"a group\"\nwrites = 1\nmembers = { crew = [\"p00@example.com\"] }\n");
    // Groups are read to their end, and what comes after them is not.
    settled
        .simulator
        .tenant(|tenant| tenant.put_member(crew, bo, true));
    settled.simulator.take_asked();
    settled.simulator.instead(|asked, _| {
        let refused = asked.path.contains("users/delta");
        refused.then(|| error(400, "Request_BadRequest", "x"))
    });
    settled.endures(&["users"]);
    let asked = settled.simulator.take_asked();
    assert!(asked.iter().any(|it| it.path.contains("groups/delta")));
    settled.simulator.behave();
    settled.story.tell(
        r#"
name = "what was read in vain is read again"
writes = 1
members = { crew = ["p00@example.com", "p01@example.com"] }
"#,
    );
    settled.story.check_settled();
}
