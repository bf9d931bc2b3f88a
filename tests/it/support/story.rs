//! Plays a scenario: real program, real server over loopback, and the server's log compared
//! with what the design says.
//!
//! Every `sync` is previewed first, as text and as JSON. A preview must write nothing and
//! move nothing: the run after it still has everything to do.

mod check;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::compare;
use super::document::{self, held_id, planned_requests};
use super::run::{Ran, run};
use super::sandbox::{Logged, Sandbox};
use super::scenario::{Edit, Scenario, Step, read_body};

/// Ids at the first server by userName or displayName.
type Ids = BTreeMap<String, String>;

/// A scenario while it is played.
pub(crate) struct Story {
    scenario: Scenario,
    folder: TempDir,
    sandboxes: BTreeMap<String, Sandbox>,
    settings: String,
    config: Option<String>,
    held_id: Option<String>,
    ids: Ids,
    step: String,
    /// What the last run that was cut short left over.
    left_over: u64,
}

/// Plays the scenario of this name from beginning to end.
pub(crate) fn play(name: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut story = Story::begin(Scenario::read(&source.join(name)));
    for at in 0..story.scenario.step.len() {
        story.play_step(at);
    }
    story.check_settled();
}

impl Story {
    /// Starts the scenario's servers. Its steps are still to be played.
    pub(crate) fn begin(scenario: Scenario) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sandboxes = scenario
            .sandboxes
            .iter()
            .map(|name| {
                let at = folder.path().join("at").join(name);
                (name.clone(), Sandbox::start(&at, &scenario.faults))
            })
            .collect();
        Self {
            settings: scenario.settings.clone(),
            config: scenario.config.clone(),
            scenario,
            folder,
            sandboxes,
            held_id: None,
            ids: Ids::new(),
            step: String::new(),
            left_over: 0,
        }
    }

    /// Plays one more step, told in the notation of a `[[step]]`.
    pub(crate) fn tell(&mut self, step: &str) {
        self.scenario.add_step(step);
        self.play_step(self.scenario.step.len() - 1);
    }

    /// Where the configuration is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts another configuration in place, for what is run without a step.
    pub(crate) fn set_config(&mut self, config: &str) {
        self.config = Some(config.to_owned());
        self.write("provisor.toml", &self.resolve(config, &Ids::new()));
    }

    /// Runs a sync that must fail as a whole: exit 1, and not one write. It is not previewed,
    /// so that a few hundred of them take seconds.
    pub(crate) fn sync_in_vain(&self) -> Ran {
        let marks = self.marks();
        let ran = run(self.folder.path(), &["sync".to_owned()]);
        self.check_secrets(&ran);
        let logged = self.since(&marks);
        if let Some((_, write)) = logged.iter().find(|(_, it)| it.is_write()) {
            self.fail(&format!("a failed read was written: {write:?}\n{ran:#?}"));
        }
        if ran.exit != 1 {
            self.fail(&format!("the exit is not 1: {ran:#?}"));
        }
        if ran.stderr.contains("panicked") {
            self.fail(&format!("the program panicked: {ran:#?}"));
        }
        ran
    }

    fn play_step(&mut self, at: usize) {
        self.step = self.scenario.step[at].name.clone();
        self.arrange(at);
        let step = &self.scenario.step[at];
        let previewed = (step.command[0] == "sync").then(|| self.preview(step));
        if let Some((_, document)) = &previewed {
            self.held_id = held_id(document);
        }
        self.look();
        let before = self.ids.clone();
        let faults = self.scenario.step[at].faults_of_the_run.clone();
        if let Some(faults) = &faults {
            self.restart(faults);
        }
        let marks = self.marks();
        let command = self.resolve_all(&self.scenario.step[at].command, &before);
        let ran = run(self.folder.path(), &command);
        let logged = self.since(&marks);
        if faults.is_some() {
            self.restart(&[]);
        }
        self.look();
        let step = &self.scenario.step[at];
        self.check_run(step, &ran, previewed.as_ref());
        let taken = self.check_requests(step, &ran, &logged, &before, previewed.as_ref());
        self.check_target(step);
        if step.cut_short {
            let promised = previewed.map_or(0, |(_, document)| planned_requests(&document));
            if taken == 0 || taken >= promised {
                self.fail(&format!(
                    "{taken} of {promised} writes: that is not cut short"
                ));
            }
            self.left_over = promised - taken;
        }
    }

    /// Puts the step's files, servers and configuration in place, and does what a person at
    /// the target does.
    fn arrange(&mut self, at: usize) {
        let step = &self.scenario.step[at];
        let files = [("people.csv", &step.people), ("groups.csv", &step.groups)];
        for (name, text) in files {
            if let Some(text) = text {
                self.write(name, text);
            }
        }
        for (name, text) in &step.files {
            self.write(name, &self.resolve(text, &self.ids));
        }
        for name in &step.remove {
            self.remove(name);
        }
        for edit in &step.edit {
            self.edit(edit);
        }
        if let Some(settings) = &step.settings {
            self.settings.clone_from(settings);
        }
        if let Some(config) = &step.config {
            self.config = Some(config.clone());
        }
        if let Some(faults) = step.restart_sandbox_with.clone() {
            self.restart(&faults);
        }
        let config = match &self.config {
            Some(config) => config.clone(),
            None => self.scenario.default_config(&self.settings),
        };
        self.write("provisor.toml", &self.resolve(&config, &Ids::new()));
        for direct in 0..self.scenario.step[at].target.len() {
            self.look();
            let direct = &self.scenario.step[at].target[direct];
            let path = self.resolve(&direct.path, &self.ids);
            let body = direct.body.as_ref().map(|body| {
                read_body(&self.resolve(body, &self.ids))
                    .unwrap_or_else(|why| self.fail(&format!("a body at the target: {why}")))
            });
            let answer = self
                .first()
                .http
                .insist(&direct.method, &path, body.as_ref());
            let taken = answer.as_ref().is_some_and(|it| it.status < 300);
            if !taken {
                self.fail(&format!(
                    "{} {path} at the target: {answer:?}",
                    direct.method
                ));
            }
        }
        std::thread::sleep(Duration::from_millis(self.scenario.step[at].wait_ms));
    }

    /// Runs the preview as text and as JSON. Neither may write.
    fn preview(&self, step: &Step) -> (Ran, Value) {
        let marks = self.marks();
        let mut command = self.resolve_all(&step.command, &self.ids);
        command.push("--dry-run".to_owned());
        let text = run(self.folder.path(), &command);
        command.extend(["--format".to_owned(), "json".to_owned()]);
        let json = run(self.folder.path(), &command);
        let exit = step.dry_run_exit.unwrap_or(step.exit);
        for ran in [&text, &json] {
            self.check_secrets(ran);
            if ran.exit != exit {
                self.fail(&format!("the preview's exit is not {exit}: {ran:#?}"));
            }
        }
        let logged = self.since(&marks);
        if let Some((_, write)) = logged.iter().find(|(_, it)| it.is_write()) {
            self.fail(&format!("the preview wrote: {write:?}"));
        }
        if step.reads == Some(0) && !logged.is_empty() {
            self.fail(&format!("the preview read: {logged:?}"));
        }
        if step.no_document {
            if !json.stdout.is_empty() {
                self.fail(&format!("stdout is not empty: {}", json.stdout));
            }
            return (text, Value::Null);
        }
        let document: Value = serde_json::from_str(&json.stdout)
            .unwrap_or_else(|error| self.fail(&format!("not JSON: {error}: {json:#?}")));
        if let Err(why) = document::check(&document) {
            self.fail(&format!("the JSON document: {why}\n{document:#}"));
        }
        if let Some(plan) = &step.plan {
            let held = held_id(&document).unwrap_or_default();
            let plan = self.resolve(&plan.replace("{held_id}", &held), &self.ids);
            if let Err(why) = compare::text(&plan, &text.stdout) {
                self.fail(&format!("the plan: {why}\n--- stderr\n{}", text.stderr));
            }
        }
        (text, document)
    }

    /// A story ends where nothing is left to write, whether both sides are listed or not.
    pub(crate) fn check_settled(&mut self) {
        if self.scenario.unsettled.is_some() {
            return;
        }
        for command in [vec!["sync"], vec!["sync", "--full"]] {
            self.step = format!("afterwards, {}", command.join(" "));
            let marks = self.marks();
            let command: Vec<String> = command.into_iter().map(str::to_owned).collect();
            let ran = run(self.folder.path(), &command);
            let logged = self.since(&marks);
            if let Some((_, write)) = logged.iter().find(|(_, it)| it.is_write()) {
                self.fail(&format!(
                    "there was something left to write: {write:?}\n{ran:#?}"
                ));
            }
        }
    }

    fn first(&self) -> &Sandbox {
        &self.sandboxes[&self.scenario.sandboxes[0]]
    }

    fn restart(&mut self, faults: &[String]) {
        for sandbox in self.sandboxes.values_mut() {
            sandbox.restart(faults);
        }
    }

    /// Takes down the ids that are there now. A name that is gone keeps its last id.
    fn look(&mut self) {
        let sandbox = self.first();
        let listed: Vec<(String, Value)> = ["/Users", "/Groups"]
            .iter()
            .filter_map(|endpoint| sandbox.named(endpoint))
            .flatten()
            .collect();
        for (name, resource) in listed {
            let id = resource["id"].as_str().unwrap_or_default().to_owned();
            self.ids.insert(name, id);
        }
    }

    fn marks(&self) -> BTreeMap<String, usize> {
        let count = |(name, sandbox): (&String, &Sandbox)| (name.clone(), sandbox.log().len());
        self.sandboxes.iter().map(count).collect()
    }

    fn since(&self, marks: &BTreeMap<String, usize>) -> Vec<(String, Logged)> {
        let mut all = Vec::new();
        for name in &self.scenario.sandboxes {
            let log = self.sandboxes[name].log();
            all.extend(
                log.into_iter()
                    .skip(marks[name])
                    .map(|it| (name.clone(), it)),
            );
        }
        all
    }

    fn resolve_all(&self, texts: &[String], ids: &Ids) -> Vec<String> {
        texts.iter().map(|text| self.resolve(text, ids)).collect()
    }

    /// Fills `{base_url}`, `{token_file}` (of another server: `{base_url:NAME}`), `{held_id}`
    /// and `{id:NAME}`.
    fn resolve(&self, text: &str, ids: &Ids) -> String {
        let mut text = text.to_owned();
        for (name, sandbox) in &self.sandboxes {
            let token_file = sandbox.token_file.display().to_string();
            text = text
                .replace(&format!("{{base_url:{name}}}"), &sandbox.http.base_url)
                .replace(&format!("{{token_file:{name}}}"), &token_file);
            if *name == self.scenario.sandboxes[0] {
                text = text
                    .replace("{base_url}", &sandbox.http.base_url)
                    .replace("{token_file}", &token_file);
            }
        }
        if let Some(held_id) = &self.held_id {
            text = text.replace("{held_id}", held_id);
        }
        for (name, id) in ids {
            text = text.replace(&format!("{{id:{name}}}"), id);
        }
        if let Some(at) = text.find("{id:") {
            self.fail(&format!("nobody has this name: {}", &text[at..]));
        }
        text
    }

    fn write(&self, name: &str, text: &str) {
        // Any of them may stand for a secret.
        super::private::write(&self.folder.path().join(name), text)
            .unwrap_or_else(|error| self.fail(&format!("{name}: {error}")));
    }

    fn edit(&self, edit: &Edit) {
        let path = self.folder.path().join(&edit.file);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| self.fail(&format!("{}: {error}", edit.file)));
        let this = self.resolve(&edit.replace, &self.ids);
        if !text.contains(&this) {
            self.fail(&format!("{} does not hold {this:?}:\n{text}", edit.file));
        }
        let that = self.resolve(&edit.with, &self.ids);
        self.write(&edit.file, &text.replacen(&this, &that, 1));
    }

    fn remove(&self, name: &str) {
        let path = self.folder.path().join(name);
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        if let Err(error) = removed {
            self.fail(&format!("{name}: {error}"));
        }
    }

    fn fail(&self, why: &str) -> ! {
        panic!(
            "step `{}`: {why}\n(the story: {})",
            self.step,
            self.scenario.why.trim()
        );
    }
}
