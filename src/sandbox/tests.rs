//! The sandbox as its clients meet it: over HTTP, on its own folder.

mod faults;
mod protocol;

use std::path::Path;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::scim::{GROUP_SCHEMA, PATCH_SCHEMA, USER_SCHEMA};

const TOKEN: &str = "a-token-for-tests";

/// A running sandbox, its folder and a client.
struct World {
    sandbox: Sandbox,
    folder: TempDir,
    client: Client,
}

async fn start_in(folder: &Path, faults: &[&str]) -> Result<Sandbox, SandboxError> {
    let faults = faults.iter().map(|text| text.parse().expect("a fault"));
    serve(SandboxOptions {
        state: folder.join("sandbox"),
        listen: "127.0.0.1:0".parse().expect("an address"),
        token: TOKEN.to_owned(),
        faults: faults.collect(),
        seed: 7,
    })
    .await
}

impl World {
    async fn start(faults: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sandbox = start_in(folder.path(), faults).await.expect("a sandbox");
        let client = Client::new();
        Self {
            sandbox,
            folder,
            client,
        }
    }

    async fn restart(self) -> Self {
        let Self {
            sandbox,
            folder,
            client,
        } = self;
        sandbox.stop().await.expect("it should stop");
        let sandbox = start_in(folder.path(), &[]).await.expect("a sandbox");
        Self {
            sandbox,
            folder,
            client,
        }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let url = format!("{}{path}", self.sandbox.base_url());
        self.client.request(method, url).bearer_auth(TOKEN)
    }

    async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response, reqwest::Error> {
        let request = self.request(method, path);
        match body {
            None => request.send().await,
            Some(body) => {
                let request = request.header("content-type", "application/scim+json");
                request.body(body.to_string()).send().await
            }
        }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let response = self.try_send(method, path, body).await.expect("an answer");
        read(response).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn create_user(&self, name: &str) -> Value {
        let (status, body) = self.send("POST", "/Users", Some(user(name))).await;
        assert_eq!(status, 201, "{body}");
        body
    }

    async fn create_group(&self, name: &str, members: &[&Value]) -> Value {
        let members: Vec<Value> = members.iter().map(|m| json!({"value": m["id"]})).collect();
        let body = json!({"schemas": [GROUP_SCHEMA], "displayName": name, "members": members});
        let (status, body) = self.send("POST", "/Groups", Some(body)).await;
        assert_eq!(status, 201, "{body}");
        body
    }

    async fn patch(&self, path: &str, operations: Value) -> (u16, Value) {
        let body = json!({"schemas": [PATCH_SCHEMA], "Operations": operations});
        self.send("PATCH", path, Some(body)).await
    }

    /// The log of requests.
    fn log(&self) -> Vec<Value> {
        let path = self.folder.path().join("sandbox/requests.jsonl");
        let text = std::fs::read_to_string(path).expect("a log");
        assert!(!text.contains(TOKEN), "the token must not be logged");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect()
    }
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn user(name: &str) -> Value {
    json!({"schemas": [USER_SCHEMA], "userName": name})
}

fn path_of(resource: &Value) -> String {
    let kind = resource["meta"]["resourceType"].as_str().expect("a type");
    format!("/{kind}s/{}", resource["id"].as_str().expect("an id"))
}

fn names(listing: &Value) -> Vec<&str> {
    let resources = listing["Resources"].as_array().expect("a listing");
    let names = resources
        .iter()
        .map(|r| r["userName"].as_str().unwrap_or_default());
    names.collect()
}

#[tokio::test]
async fn what_was_answered_survives_a_restart() {
    let world = World::start(&[]).await;
    let ana = world.create_user("ana").await;
    let staff = world.create_group("Staff", &[&ana]).await;
    let gone = world.create_user("gone").await;
    assert_eq!(world.send("DELETE", &path_of(&gone), None).await.0, 204);

    let world = world.restart().await;
    let listing = world.get("/Users").await;
    assert_eq!(names(&listing), ["ana"]);
    assert_eq!(listing["Resources"][0]["id"], ana["id"]);
    let again = world.get(&path_of(&staff)).await;
    assert_eq!(again["members"][0]["value"], ana["id"]);
    assert_eq!(again["meta"]["version"], staff["meta"]["version"]);
    // Deleted ids are not given again (RFC 7643 §3.1), and the log goes on.
    assert_ne!(world.create_user("new").await["id"], gone["id"]);
    let numbers: Vec<u64> = world
        .log()
        .iter()
        .filter_map(|l| l["seq"].as_u64())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn the_log_tells_each_request_in_order() {
    let world = World::start(&[]).await;
    let ana = world.create_user("ana").await;
    world
        .get("/Users?filter=userName%20eq%20%22a%2Bb%22&count=0")
        .await;
    let hidden = json!([{"op": "add", "path": "password", "value": "hunter2"}]);
    world.patch(&path_of(&ana), hidden).await;
    let log = world.log();
    assert_eq!(
        log[0],
        json!({
            "seq": 1, "method": "POST", "path": "/Users", "query": null,
            "body": user("ana"), "status": 201, "answered": true,
        })
    );
    assert_eq!(
        log[1]["query"],
        "filter=userName%20eq%20%22a%2Bb%22&count=0"
    );
    assert_eq!(log[1]["body"], Value::Null);
    assert_eq!(log[2]["body"]["Operations"][0]["value"], "(hidden)");
}

#[tokio::test]
async fn requests_side_by_side_all_count() {
    let world = World::start(&[]).await;
    let requests = (0..40).map(|number| {
        let name = format!("user-{number}");
        let world = &world;
        async move { world.create_user(&name).await }
    });
    futures_util::future::join_all(requests).await;
    let world = world.restart().await;
    assert_eq!(world.get("/Users").await["totalResults"], 40);
    let numbers = world
        .log()
        .into_iter()
        .filter_map(|line| line["seq"].as_u64());
    assert!(numbers.eq(1..=41));
}

#[tokio::test]
async fn a_folder_in_use_and_a_taken_address_are_errors() {
    let world = World::start(&[]).await;
    let second = start_in(world.folder.path(), &[]).await.map(|_| ());
    assert!(
        matches!(second, Err(SandboxError::InUse { .. })),
        "{second:?}"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let taken = SandboxOptions {
        state: elsewhere.path().to_owned(),
        listen: world.sandbox.address,
        token: TOKEN.to_owned(),
        faults: Vec::new(),
        seed: 0,
    };
    let taken = serve(taken).await.map(|_| ());
    assert!(
        matches!(taken, Err(SandboxError::Listen { .. })),
        "{taken:?}"
    );
    // Nothing holds on to the folder of the one that could not listen.
    let sandbox = start_in(elsewhere.path(), &[]).await.expect("a sandbox");
    sandbox.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn the_folder_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::start(&[]).await;
    let mode = |name: &str| {
        let path = world.folder.path().join(name);
        std::fs::metadata(path)
            .expect("it exists")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("sandbox"), 0o700);
    assert_eq!(mode("sandbox/resources.jsonl"), 0o600);
    assert_eq!(mode("sandbox/requests.jsonl"), 0o600);
}
