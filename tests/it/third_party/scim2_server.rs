//! `scim2-server`, a strict service provider: the same stories, judged by what it holds
//! afterwards and by what the program says it sent.
//!
//! It answers every PATCH with 204, takes members it does not know, and leaves the dangling
//! member when a user is deleted.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::story::{Server, counts, free_port, look, members, nothing_to_do, sync, write};
use crate::support::left_out::{leave_out, python_program};

const CONFIG: &str = r#"state_dir = "state"

[sources.staff.csv]
users = "people.csv"
groups = "groups.csv"

[targets.demo]
source = "staff"
base_url = "BASE_URL"
auth = { bearer = { file = "token" } }
settle = "1s"

[targets.demo.groups]
push = ["*"]

[targets.demo.pace]
requests_per_second = 100
concurrency = 2
"#;

#[test]
fn joiners_movers_leavers_and_groups() {
    let Some(program) = python_program("scim2-server") else {
        leave_out("stories against scim2-server", "scim2-server");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(&program);
    let config = CONFIG.replace("BASE_URL", &server.http.base_url);
    write(folder.path(), "provisor.toml", &config);
    write(folder.path(), "token", "tok1\n");

    // Bo is there before provisor is: one create, one adoption, and a group of both.
    let bo = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "bo@example.com", "active": true, "title": "Clerk",
    });
    let made = server.http.send("POST", "/Users", Some(&bo));
    assert_eq!(made.expect("an answer").status, 201);
    people(
        folder.path(),
        &[
            "1,ana@example.com,Engineer,true",
            "2,bo@example.com,Boss,true",
            "3,cy@example.com,,true",
        ],
    );
    groups(folder.path(), "1;2");
    assert_eq!(
        sync(folder.path(), &[]),
        counts(&[("create", 3), ("adopt", 1)], 4, 0)
    );
    let users = look(&server, "/Users", "userName");
    assert_eq!(users.len(), 3);
    assert_eq!(users["bo@example.com"]["title"], "Boss");
    assert_eq!(users["bo@example.com"]["externalId"], "2");
    assert_eq!(
        users["ana@example.com"]["emails"][0]["value"],
        "ana@example.com"
    );
    assert_eq!(members(&server), ["ana@example.com", "bo@example.com"]);
    nothing_to_do(folder.path());

    // Ana moves, Bo is disabled and replaced in the group by Cy.
    people(
        folder.path(),
        &[
            "1,ana@example.com,Chief,true",
            "2,bo@example.com,Boss,false",
            "3,cy@example.com,,true",
        ],
    );
    groups(folder.path(), "1;3");
    assert_eq!(
        sync(folder.path(), &[]),
        counts(&[("patch", 2), ("deactivate", 1)], 3, 1)
    );
    let users = look(&server, "/Users", "userName");
    assert_eq!(users["ana@example.com"]["title"], "Chief");
    assert_eq!(users["bo@example.com"]["active"], false);
    assert_eq!(members(&server), ["ana@example.com", "cy@example.com"]);
    nothing_to_do(folder.path());

    // Bo returns, Ana's title is cleared.
    people(
        folder.path(),
        &[
            "1,ana@example.com,,true",
            "2,bo@example.com,Boss,true",
            "3,cy@example.com,,true",
        ],
    );
    assert_eq!(
        sync(folder.path(), &[]),
        counts(&[("patch", 1), ("reactivate", 1)], 2, 2)
    );
    let users = look(&server, "/Users", "userName");
    assert_eq!(users["bo@example.com"]["active"], true);
    assert!(
        users["ana@example.com"]["title"].is_null(),
        "the title is cleared"
    );
    nothing_to_do(folder.path());

    // Somebody deletes Cy there: a full cycle sees it, and creates him anew.
    let gone = format!(
        "/Users/{}",
        users["cy@example.com"]["id"].as_str().expect("an id")
    );
    let deleted = server.http.send("DELETE", &gone, None);
    assert_eq!(deleted.expect("an answer").status, 204);
    groups(folder.path(), "1");
    let (_, _, _) = sync(folder.path(), &["--full"]);
    assert_eq!(look(&server, "/Users", "userName").len(), 3);
    // The id that the server has left in the group is taken out.
    assert_eq!(members(&server), ["ana@example.com"]);
    nothing_to_do(folder.path());

    // Cy leaves the source altogether.
    people(
        folder.path(),
        &["1,ana@example.com,,true", "2,bo@example.com,Boss,true"],
    );
    assert_eq!(sync(folder.path(), &[]), counts(&[("deactivate", 1)], 1, 3));
    assert_eq!(
        look(&server, "/Users", "userName")["cy@example.com"]["active"],
        false
    );
    nothing_to_do(folder.path());
}

fn people(folder: &Path, rows: &[&str]) {
    let mut text = "id,userName,mail,title,active\n".to_owned();
    for row in rows {
        // The address is the userName, so that rows stay short.
        let (id, rest) = row.split_once(',').expect("an id");
        let (name, rest) = rest.split_once(',').expect("a userName");
        text.push_str(&format!("{id},{name},{name},{rest}\n"));
    }
    write(folder, "people.csv", &text);
}

fn groups(folder: &Path, members: &str) {
    let text = format!("id,displayName,members\ng1,Engineering,{members}\n");
    write(folder, "groups.csv", &text);
}

fn start(program: &Path) -> Server {
    let port = free_port();
    let mut command = Command::new(program);
    command
        .args(["--hostname", "127.0.0.1", "--port", &port.to_string()])
        .args(["--bearer-token", "tok1"]);
    Server::start(&mut command, format!("http://127.0.0.1:{port}/v2"))
}
