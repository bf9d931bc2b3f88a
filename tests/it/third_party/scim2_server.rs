//! `scim2-server`, a strict service provider: the same stories, judged by what it holds
//! afterwards and by what the program says it sent.
//!
//! It answers every PATCH with 204, takes members it does not know, and leaves the dangling
//! member when a user is deleted.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::left_out::{leave_out, python_program};
use crate::support::private;
use crate::support::run::{end, run};

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

/// A running server, ended by its process id when dropped.
struct Server {
    child: Child,
    http: Http,
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

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

/// Counts that are not zero, planned writes, and the unchanged.
type Outcome = (BTreeMap<String, u64>, u64, u64);

fn counts(counts: &[(&str, u64)], requests: u64, unchanged: u64) -> Outcome {
    let counts = counts
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count));
    (counts.collect(), requests, unchanged)
}

/// Runs a sync that must end well, and says what it did.
fn sync(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command: Vec<String> = ["sync", "--format", "json"].map(str::to_owned).to_vec();
    command.extend(arguments.iter().map(|&it| it.to_owned()));
    let ran = run(folder, &command);
    assert_eq!(ran.exit, 0, "{ran:#?}");
    let document: Value = serde_json::from_str(&ran.stdout).expect("a JSON document");
    let target = &document["targets"][0];
    for action in target["actions"].as_array().expect("actions") {
        assert_eq!(action["outcome"], "done", "{action:#}");
    }
    let all = target["counts"].as_object().expect("counts");
    let counts = all
        .iter()
        .filter(|(name, _)| *name != "unchanged")
        .filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let number = |value: &Value| value.as_u64().expect("a number");
    (
        counts,
        number(&target["requests"]),
        number(&all["unchanged"]),
    )
}

/// Neither what was acknowledged nor what the server lists gives a reason to write.
fn nothing_to_do(folder: &Path) {
    for command in [&["sync"][..], &["sync", "--full"][..]] {
        let command: Vec<String> = command.iter().map(|&it| it.to_owned()).collect();
        let ran = run(folder, &command);
        assert_eq!(ran.exit, 0, "{ran:#?}");
        assert!(ran.stdout.starts_with("demo: nothing to do ("), "{ran:#?}");
    }
}

fn members(server: &Server) -> Vec<String> {
    let users = look(server, "/Users", "userName");
    let group = look(server, "/Groups", "displayName")["Engineering"].clone();
    let members = group["members"].as_array().cloned().unwrap_or_default();
    let name = |member: &Value| {
        let user = users.iter().find(|(_, user)| user["id"] == member["value"]);
        user.map_or_else(|| member.to_string(), |(name, _)| name.clone())
    };
    let mut names: Vec<String> = members.iter().map(name).collect();
    names.sort();
    names
}

fn look(server: &Server, endpoint: &str, key: &str) -> BTreeMap<String, Value> {
    let listed = server.http.list(endpoint).expect("a listing");
    let named = |it: Value| (it[key].as_str().unwrap_or_default().to_owned(), it);
    listed.into_iter().map(named).collect()
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

fn write(folder: &Path, name: &str, text: &str) {
    // One of them is a secret.
    private::write(&folder.join(name), text).expect("a file in the temporary folder");
}

/// Starts the server on a port that was free a moment ago, and waits until it answers.
fn start(program: &Path) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let child = Command::new(program)
        .args(["--hostname", "127.0.0.1", "--port", &port.to_string()])
        .args(["--bearer-token", "tok1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("scim2-server starts");
    let server = Server {
        child,
        http: Http {
            base_url: format!("http://127.0.0.1:{port}/v2"),
            token: "tok1".to_owned(),
        },
    };
    for _ in 0..200 {
        let answer = server.http.send("GET", "/ServiceProviderConfig", None);
        if answer.is_ok_and(|answer| answer.status == 200) {
            return server;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("scim2-server does not answer on port {port}");
}
