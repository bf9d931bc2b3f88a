//! What the stories against other people's servers share: running the program, reading what it
//! said in JSON, and looking at what the server holds afterwards.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::http::Http;
use crate::support::private;
use crate::support::run::{end, run};

/// A running server, ended by its process id when dropped.
pub(super) struct Server {
    child: Child,
    pub(super) http: Http,
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Counts that are not zero, planned writes, and the unchanged.
pub(super) type Outcome = (BTreeMap<String, u64>, u64, u64);

pub(super) fn counts(counts: &[(&str, u64)], requests: u64, unchanged: u64) -> Outcome {
    let counts = counts
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count));
    (counts.collect(), requests, unchanged)
}

/// Runs a sync that must end well, and says what it did.
pub(super) fn sync(folder: &Path, arguments: &[&str]) -> Outcome {
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
pub(super) fn nothing_to_do(folder: &Path) {
    for command in [&["sync"][..], &["sync", "--full"][..]] {
        let command: Vec<String> = command.iter().map(|&it| it.to_owned()).collect();
        let ran = run(folder, &command);
        assert_eq!(ran.exit, 0, "{ran:#?}");
        assert!(ran.stdout.starts_with("demo: nothing to do ("), "{ran:#?}");
    }
}

pub(super) fn members(server: &Server) -> Vec<String> {
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

pub(super) fn look(server: &Server, endpoint: &str, key: &str) -> BTreeMap<String, Value> {
    let listed = server.http.list(endpoint).expect("a listing");
    let named = |it: Value| (it[key].as_str().unwrap_or_default().to_owned(), it);
    listed.into_iter().map(named).collect()
}

pub(super) fn write(folder: &Path, name: &str, text: &str) {
    // One of them is a secret.
    private::write(&folder.join(name), text).expect("a file in the temporary folder");
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Server {
    /// Starts a server whose token is `tok1`, and waits until it answers.
    pub(super) fn start(command: &mut Command, base_url: String) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let token = "tok1".to_owned();
        let http = Http { base_url, token };
        let server = Self { child, http };
        for _ in 0..300 {
            let answer = server.http.send("GET", "/ServiceProviderConfig", None);
            if answer.is_ok_and(|answer| answer.status == 200) {
                return server;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("nothing answers at {}", server.http.base_url);
    }
}
