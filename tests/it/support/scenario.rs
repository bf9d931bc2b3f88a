//! The format of `tests/scenarios/<name>/scenario.toml`, and nothing about running one.
//! `tests/scenarios/README.md` describes it for people who write scenarios.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

/// One story.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Why it takes just that many writes.
    pub(crate) why: String,
    /// The whole configuration; the default one when absent.
    pub(crate) config: Option<String>,
    /// Further settings of `[targets.demo]`, put into the default configuration.
    #[serde(default)]
    pub(crate) settings: String,
    /// The servers, by name. The first is what requests without a server's name are for.
    #[serde(default = "one_sandbox")]
    pub(crate) sandboxes: Vec<String>,
    /// What the servers do wrong, from the start.
    #[serde(default)]
    pub(crate) faults: Vec<String>,
    /// Why the story does not end in a state in which nothing is left to write.
    pub(crate) unsettled: Option<String>,
    /// What happens, in order.
    pub(crate) step: Vec<Step>,
}

/// One thing that happens, and what provisor makes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// What happens, in words.
    pub(crate) name: String,
    /// The new people.csv.
    pub(crate) people: Option<String>,
    /// The new groups.csv.
    pub(crate) groups: Option<String>,
    /// Other files to write.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Files and folders to delete before the run.
    #[serde(default)]
    pub(crate) remove: Vec<String>,
    /// Files that somebody changes by hand.
    #[serde(default)]
    pub(crate) edit: Vec<Edit>,
    /// Replaces [`Scenario::settings`] from here on.
    pub(crate) settings: Option<String>,
    /// Replaces [`Scenario::config`] from here on.
    pub(crate) config: Option<String>,
    /// What a person does at the target before the run.
    #[serde(default)]
    pub(crate) target: Vec<Direct>,
    /// How long to wait before the run.
    #[serde(default)]
    pub(crate) wait_ms: u64,
    /// Starts the servers again, on what they hold, with these faults.
    pub(crate) restart_sandbox_with: Option<Vec<String>>,
    /// What the servers do wrong during the run itself, but not before and not after it.
    pub(crate) faults_of_the_run: Option<Vec<String>>,
    /// What is run.
    #[serde(default = "sync")]
    pub(crate) command: Vec<String>,
    /// Standard output of the preview.
    pub(crate) plan: Option<String>,
    /// Standard output of the run; when absent, the plan's with its last lines in the past.
    pub(crate) output: Option<String>,
    /// Texts that standard error of the run must hold.
    #[serde(default)]
    pub(crate) stderr_contains: Vec<String>,
    /// The run's exit code.
    #[serde(default)]
    pub(crate) exit: i32,
    /// The preview's exit code, where it is another.
    pub(crate) dry_run_exit: Option<i32>,
    /// The configuration does not load, so there is no JSON document either.
    #[serde(default)]
    pub(crate) no_document: bool,
    /// Every write that the servers took, in order, one a line.
    pub(crate) requests: Option<String>,
    /// How many writes the servers took, where their bodies are not the story.
    pub(crate) writes: Option<usize>,
    /// The run is cut short: some of the writes that the preview promised were taken, and
    /// some were not.
    #[serde(default)]
    pub(crate) cut_short: bool,
    /// The writes taken are as many as the run that was cut short left over.
    #[serde(default)]
    pub(crate) the_rest: bool,
    /// The servers may refuse writes. Otherwise a refused write is a failure: it was sent
    /// for nothing.
    #[serde(default)]
    pub(crate) may_refuse: bool,
    /// Writes beyond those that the preview promised: the server said yes and did nothing,
    /// and was told in another way.
    #[serde(default)]
    pub(crate) fallbacks: u64,
    /// How many times the servers were asked something.
    pub(crate) reads: Option<usize>,
    /// Everybody at the first server afterwards, and whether they are active.
    pub(crate) users: Option<BTreeMap<String, bool>>,
    /// Members by userName of the groups named, afterwards.
    #[serde(default)]
    pub(crate) members: BTreeMap<String, Vec<String>>,
}

/// One change that somebody makes to a file, as with an editor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// Which file.
    pub(crate) file: String,
    /// The text whose first occurrence is replaced. It must be there.
    pub(crate) replace: String,
    /// What is there instead.
    pub(crate) with: String,
}

/// One request that a person at the target makes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Direct {
    /// `POST`, `PATCH` or `DELETE`.
    pub(crate) method: String,
    /// `/Users`, or `/Users/{id:ana@example.com}`.
    pub(crate) path: String,
    /// The body, in the notation of expected bodies.
    pub(crate) body: Option<String>,
}

/// One write that is expected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    /// Which server.
    pub(crate) sandbox: String,
    /// The method.
    pub(crate) method: String,
    /// The path below the base URL.
    pub(crate) path: String,
    /// The body; `null` for none.
    pub(crate) body: Value,
}

impl Scenario {
    /// Reads a scenario. A mistake in it is a failing test that names the file.
    pub(crate) fn read(folder: &Path) -> Self {
        let path = folder.join("scenario.toml");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let scenario: Self =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!scenario.why.trim().is_empty(), "{}: why?", path.display());
        for step in &scenario.step {
            step.check(&path.display().to_string());
        }
        scenario
    }

    /// A scenario that a test tells step by step, because something happens in between that
    /// is not a file.
    pub(crate) fn told(why: &str, config: &str) -> Self {
        Self {
            why: why.to_owned(),
            config: Some(config.to_owned()),
            settings: String::new(),
            sandboxes: one_sandbox(),
            faults: Vec::new(),
            unsettled: None,
            step: Vec::new(),
        }
    }

    /// Adds a step, in the notation of a `[[step]]`.
    pub(crate) fn add_step(&mut self, text: &str) {
        let step: Step = toml::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        step.check("a story that is told");
        self.step.push(step);
    }

    /// The default configuration, with its placeholders still in it.
    pub(crate) fn default_config(&self, settings: &str) -> String {
        let groups = if self.step.iter().any(|step| step.groups.is_some()) {
            "groups = \"groups.csv\"\n"
        } else {
            ""
        };
        format!(
            "state_dir = \"state\"\n\n\
             [sources.staff.csv]\nusers = \"people.csv\"\n{groups}\n\
             [targets.demo]\nsource = \"staff\"\nbase_url = \"{{base_url}}\"\n\
             auth = {{ bearer = {{ file = \"{{token_file}}\" }} }}\nsettle = \"1s\"\n\
             {settings}\n\
             [targets.demo.pace]\nrequests_per_second = 100\nconcurrency = 1\n"
        )
    }
}

impl Step {
    /// A step that expects nothing of the servers proves nothing.
    fn check(&self, place: &str) {
        assert!(
            self.requests.is_some() || self.writes.is_some() || self.cut_short || self.the_rest,
            "{place}: step `{}` must say what is written",
            self.name
        );
    }
}

/// Reads the notation of expected requests: one a line, `[SANDBOX] METHOD PATH [BODY]`, with
/// lines that are indented going on from the line before.
pub(crate) fn read_requests(text: &str, first_sandbox: &str) -> Result<Vec<Expected>, String> {
    let mut joined: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match joined.last_mut() {
            Some(last) if line.starts_with(' ') => last.push_str(line),
            _ => joined.push(line.to_owned()),
        }
    }
    joined
        .iter()
        .map(|line| {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (sandbox, line) = if ["POST", "PATCH", "PUT", "DELETE"].contains(&first) {
                (first_sandbox, line.as_str())
            } else {
                (first, rest)
            };
            let mut parts = line.splitn(3, ' ');
            let method = parts.next().unwrap_or_default().to_owned();
            let path = parts.next().unwrap_or_default().to_owned();
            let body = match parts.next() {
                Some(body) => read_body(body).map_err(|why| format!("{why}\nin: {line}"))?,
                None => Value::Null,
            };
            Ok(Expected {
                sandbox: sandbox.to_owned(),
                method,
                path,
                body,
            })
        })
        .collect()
}

/// Reads a body. An array is short for a PATCH message with these operations; `{User}`,
/// `{Group}` and `{Enterprise}` are short for the schemas' names.
pub(crate) fn read_body(text: &str) -> Result<Value, String> {
    let text = text
        .replace("{User}", "urn:ietf:params:scim:schemas:core:2.0:User")
        .replace("{Group}", "urn:ietf:params:scim:schemas:core:2.0:Group")
        .replace(
            "{Enterprise}",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        );
    let body: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(match body {
        Value::Array(operations) => json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations,
        }),
        other => other,
    })
}

fn one_sandbox() -> Vec<String> {
    vec!["demo".to_owned()]
}

fn sync() -> Vec<String> {
    vec!["sync".to_owned()]
}

#[test]
fn requests_are_read_with_their_server_and_their_continuation() {
    let text =
        "POST /Users {\"schemas\":[\"{User}\"],\n  \"userName\":\"ana\"}\nother DELETE /Groups/1\n";
    let requests = read_requests(text, "demo").expect("well formed");
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].sandbox, "demo");
    assert_eq!(requests[0].body["userName"], "ana");
    assert_eq!(requests[1].sandbox, "other");
    assert_eq!(requests[1].body, Value::Null);
}
