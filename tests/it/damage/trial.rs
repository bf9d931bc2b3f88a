//! One damage played to its end: the copy, the harm, the runs, the remedies that the errors
//! name, and what must be so afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::disk::run_on;
use super::kind::{self, Kind};
use super::organisation::{self, AtTarget, Day, IN_DOUBT, LEAVES_TEAM, Organisation, RETURNED};
use super::records;
use super::server::wrongs;
use crate::support::run::{Ran, finish, program};
use crate::support::sandbox::Sandbox;

/// A run takes some tenths of a second; what takes this long hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// How many calls are under way at once.
const CONCURRENCY: usize = 4;
/// Runs until something must have come of it.
const PATIENCE: usize = 8;

/// A run that looks at everything, and says it so that a test can read it.
const FULL: [&str; 3] = ["--full", "--format", "json"];

/// What came of a damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Nothing was said, and nothing had to be.
    Harmless,
    /// provisor warned, and went on without losing what it knew.
    Warned,
    /// The snapshot was given up and made anew by adoption, with a warning.
    Rebuilt,
    /// Exit 1, until what the error says was done.
    Refused,
    /// The next run did no harm, and a full one refused.
    RefusedInFull,
}

/// What is prepared once: the folders of the organisation on its last day, and older states.
pub(crate) struct Bench {
    folder: TempDir,
    address: String,
    older: Vec<PathBuf>,
}

impl Bench {
    pub(crate) fn prepare() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let origin = folder.path().join("origin");
        std::fs::create_dir(&origin).expect("a new folder");
        let mut sandbox = Sandbox::start(&origin.join("at"), &[]);
        organisation::people_at_the_target(&sandbox.http);
        let config = format!(
            "state_dir = \"state\"\n\n\
             [sources.staff.csv]\nusers = \"people.csv\"\ngroups = \"groups.csv\"\n\n\
             [targets.demo]\nsource = \"staff\"\nbase_url = \"{}\"\n\
             auth = {{ bearer = {{ file = \"at/token\" }} }}\nsettle = \"10ms\"\n\n\
             [targets.demo.groups]\npush = [\"*\"]\n\n\
             [targets.demo.pace]\nrequests_per_second = 1000\nconcurrency = {CONCURRENCY}\n",
            sandbox.http.base_url
        );
        std::fs::write(origin.join("provisor.toml"), config).expect("written");
        let mut older = Vec::new();
        for (day, name) in [
            (Day::First, "the first day"),
            (Day::Second, "the second day"),
        ] {
            Organisation::of(day).write(&origin);
            let ran = finish(&mut sync(&origin, &[]), LIMIT);
            // The twins are held.
            assert_eq!(ran.exit, 4, "{day:?}: {ran:#?}");
            if day == Day::First {
                organisation::guest_joins_a_team(&sandbox.http);
            }
            let copy = folder.path().join(name);
            kind::copy(&origin.join("state"), &copy);
            older.push(copy);
        }
        Organisation::of(Day::Doubt).write(&origin);
        // The last request is the POST, whose answer is lost: then nobody can look. Before it
        // come a listing, or, of a crowd, two questions by filter.
        let answered = if organisation::crowd() == 0 { 2 } else { 3 };
        let faults = [
            "lost-answers:every=1,method=POST".to_owned(),
            format!("down-after:{answered}"),
        ];
        sandbox.restart(&faults);
        let ran = finish(&mut sync(&origin, &[]), LIMIT);
        assert_eq!(ran.exit, 3, "{ran:#?}");
        sandbox.restart(&[]);
        let seen = AtTarget::read(&sandbox.http);
        assert!(seen.is_active(IN_DOUBT), "the POST was done");
        Self {
            folder,
            address: sandbox.address(),
            older,
        }
    }

    /// Plays one seed: what came of it, and the story of its runs. Panics when something is
    /// wrong.
    pub(crate) fn play(&self, seed: u64) -> (Outcome, String) {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = self.folder.path().join("trial");
        kind::remove(&folder);
        kind::copy(&self.folder.path().join("origin"), &folder);
        let kind = Kind::of(seed);
        let disk = kind.disk(&mut random);
        // A full disk matters to who has something to write.
        let day = match random.bool() || disk.is_some() {
            true => Day::Next,
            false => Day::Doubt,
        };
        let organisation = Organisation::of(day);
        organisation.write(&folder);
        // Of calls that go one after another, each is on record before the next is sent.
        let at_once = if disk.is_some() && random.bool() {
            set_concurrency(&folder, 1);
            1
        } else {
            CONCURRENCY
        };
        let what = kind::damage(kind, &folder.join("state"), &self.older, &mut random);
        let sandbox = Sandbox::start_at(&self.address, &folder.join("at"), &[]);
        let mut trial = Trial {
            log_before: sandbox.log().len(),
            before: AtTarget::read(&sandbox.http),
            what: format!("{what} {disk:?}, {at_once} at once, {day:?}"),
            rebuilt: kind == Kind::LostDirectory,
            sandbox,
            folder,
            organisation,
            story: Vec::new(),
            moved: 0,
        };
        let mut looked = Outcome::Harmless;
        let first = match disk {
            Some(disk) => {
                let state = trial.folder.join("state");
                let recorded = records::recorded(&state);
                let ran = run_on(disk, &state, &sync(&trial.folder, &[]), LIMIT);
                let ran = trial.note("sync on such a disk", ran);
                let log = trial.sandbox.log();
                let sent = log[trial.log_before..].iter();
                let writes = sent.filter(|it| it.is_write()).count();
                let recorded = records::recorded(&state) - recorded;
                if let Some(wrong) = records::missing(writes, recorded, at_once) {
                    trial.fail(&wrong);
                }
                ran
            }
            None => {
                looked = trial.look(&mut random);
                trial.run(&[])
            }
        };
        let (before_full, _) = trial.get_through(first, &[]);
        let full = trial.run(&FULL);
        let (in_full, full) = trial.get_through(full, &FULL);
        trial.converge(full, kind);
        let outcome = match (before_full.max(looked), in_full) {
            (Outcome::Harmless, Outcome::Refused) => Outcome::RefusedInFull,
            (Outcome::Harmless, later) => later,
            (first, _) => first,
        };
        if outcome == Outcome::Harmless && trial.must_be_noticed(kind) {
            trial.fail("nobody was told");
        }
        (
            outcome,
            format!("{}\n{}", trial.what, trial.story.join("\n")),
        )
    }
}

/// Changes the configuration that was prepared in `folder`.
fn set_concurrency(folder: &Path, now: usize) {
    let file = folder.join("provisor.toml");
    let config = std::fs::read_to_string(&file).expect("the configuration");
    let before = format!("concurrency = {CONCURRENCY}\n");
    assert!(config.contains(&before), "{config}");
    let config = config.replace(&before, &format!("concurrency = {now}\n"));
    std::fs::write(&file, config).expect("written");
}

struct Trial {
    folder: PathBuf,
    sandbox: Sandbox,
    organisation: Organisation,
    /// What was at the target when the state was damaged.
    before: AtTarget,
    log_before: usize,
    what: String,
    story: Vec<String>,
    /// Whether what was known was given up at any time.
    rebuilt: bool,
    moved: u32,
}

impl Trial {
    fn fail(&self, problem: &str) -> ! {
        panic!("{}: {problem}\n{}", self.what, self.story.join("\n"))
    }

    fn run(&mut self, arguments: &[&str]) -> Ran {
        let ran = finish(&mut sync(&self.folder, arguments), LIMIT);
        self.note(&format!("sync {}", arguments.join(" ")), ran)
    }

    /// Keeps what was said, and looks whether anybody was wronged by it.
    fn note(&mut self, what: &str, ran: Ran) -> Ran {
        self.story.push(format!(
            "$ {what}\nexit {}\n{}\n{}",
            ran.exit,
            ran.stderr.trim_end(),
            outline(&ran.stdout)
        ));
        if ran.stderr.contains("panicked") || ![0, 1, 3, 4].contains(&ran.exit) {
            self.fail("it panicked, or ended in a way that nobody meant");
        }
        self.rebuilt |= ran.stderr.contains("the snapshot was lost");
        let log = self.sandbox.log();
        let wrongs = wrongs(&log[self.log_before..], &self.organisation, &self.before);
        if !wrongs.is_empty() {
            self.fail(&wrongs.join("\n"));
        }
        ran
    }

    /// What an operator may do before anything else: asking must not lose the loss.
    fn look(&mut self, random: &mut fastrand::Rng) -> Outcome {
        let arguments: &[&str] = match random.u8(..3) {
            0 => return Outcome::Harmless,
            1 => &["status"],
            _ => &["sync", "--dry-run"],
        };
        let mut command = provisor(&self.folder);
        let ran = finish(command.args(arguments), LIMIT);
        outcome(&self.note(&arguments.join(" "), ran))
    }

    /// Does what the errors say until a run is through: what was seen on the way, and that run.
    fn get_through(&mut self, mut ran: Ran, arguments: &[&str]) -> (Outcome, Ran) {
        let mut outcome = outcome(&ran);
        for _ in 0..PATIENCE {
            if ran.exit != 1 {
                return (outcome, ran);
            }
            self.follow(&ran.stderr);
            ran = self.run(arguments);
            outcome = outcome.max(Outcome::Refused);
        }
        self.fail("following the errors leads nowhere")
    }

    /// What an operator would do who reads only the error.
    fn follow(&mut self, said: &str) {
        let state = self.folder.join("state");
        let remedy = if said.contains("move `db` out of the state directory") {
            self.move_away("db");
            "db moved away"
        } else if said.contains("move the file away to start a new one") {
            self.move_away("audit.jsonl");
            "audit log moved away"
        } else if said.contains("run `chmod 700") {
            set_mode(&state, 0o700);
            "chmod 700"
        } else if said.contains("run provisor as its owner") {
            kind::give_back(&state);
            "given back to its owner"
        } else if said.contains("state/lock") {
            kind::remove(&state.join("lock"));
            "lock removed"
        } else if said.contains("No space left on device") || said.contains("Read-only file system")
        {
            "a disk with room"
        } else if said.contains("Permission denied") {
            set_mode(&state.join("db"), 0o700);
            for file in ["db/db", "audit.jsonl", "generation"] {
                set_mode(&state.join(file), 0o600);
            }
            "permissions given back"
        } else {
            self.fail("the error does not say what to do")
        };
        self.story.push(format!("# {remedy}"));
    }

    /// What may not pass without a word: something was lost that cannot be made again. A
    /// changed byte of the audit log is for `history --verify` to tell.
    fn must_be_noticed(&self, kind: Kind) -> bool {
        if self.what.starts_with("audit.jsonl:") {
            let mut command = provisor(&self.folder);
            return finish(command.args(["history", "--verify"]), LIMIT).exit == 0;
        }
        kind.is_a_loss()
    }

    fn move_away(&mut self, name: &str) {
        self.moved += 1;
        let from = self.folder.join("state").join(name);
        let to = self.folder.join(format!("moved-{}", self.moved));
        std::fs::rename(from, to).expect("it can be moved");
    }

    /// Full cycles and what they ask an operator to do, until nothing is left; then two runs
    /// that write nothing, and a target that is as the source says.
    fn converge(&mut self, mut full: Ran, kind: Kind) {
        for _ in 0..PATIENCE {
            let document: Value = serde_json::from_str(&full.stdout)
                .unwrap_or_else(|_| self.fail("it printed no document"));
            let target = document["targets"][0].clone();
            if !self.decide(&target, kind) && target["requests"] == 0 {
                break;
            }
            full = self.run(&FULL);
        }
        let before = self.writes();
        for arguments in [&["--full"][..], &[]] {
            let ran = self.run(arguments);
            // The twins are held for ever.
            if ran.exit != 4 {
                self.fail("the last runs find more than the twins");
            }
        }
        if self.writes() != before {
            self.fail("the last runs had something to write");
        }
        let seen = AtTarget::read(&self.sandbox.http);
        let mut wrong = seen.differences(&self.organisation, &self.before);
        if self.rebuilt {
            // What is written in docs/reliability.md: whether a membership that the source
            // no longer has was ours is known by nobody.
            let (member, team) = LEAVES_TEAM;
            wrong.retain(|it| *it != format!("{member} is still in team {team}"));
        }
        if !wrong.is_empty() {
            self.fail(&wrong.join("\n"));
        }
    }

    /// Decides what provisor leaves to people: whether there was anything.
    fn decide(&mut self, target: &Value, kind: Kind) -> bool {
        let has = |list: &str, reason: &str| {
            let items = target[list].as_array().into_iter().flatten();
            let items = items.filter(|item| item["reason"] == reason);
            items.cloned().collect::<Vec<Value>>()
        };
        let held = [has("held", "ProbableLeaver"), has("held", "OverLimit")].concat();
        if !held.is_empty() {
            let id = target["held_id"].as_str().unwrap_or_default().to_owned();
            let mut command = provisor(&self.folder);
            let ran = finish(command.args(["approve", "demo", &id]), LIMIT);
            self.note(&format!("approve demo {id}"), ran);
            return true;
        }
        let mut left = has("listed", "Stale");
        if kind == Kind::LostDirectory {
            // Nothing is left that tells it from a first run: who is in no source and active
            // is listed, and nobody can know that they were ours.
            left.extend(has("listed", "Unlinked").into_iter().filter(|item| {
                let id = item["resource_id"].as_str().unwrap_or_default();
                let number = self.before.number_of(id);
                number.is_some() && item["detail"] == "in no source; active"
            }));
        }
        if !left.is_empty() {
            if !self.rebuilt {
                self.fail("somebody is stale although the links are there");
            }
            let rows = left.iter().map(|item| item["resource_id"].as_str());
            let rows = rows.map(|id| format!("deactivate,{}\n", id.unwrap_or_default()));
            let text = format!("action,resource_id\n{}", rows.collect::<String>());
            std::fs::write(self.folder.join("chosen.csv"), text).expect("written");
            let mut command = provisor(&self.folder);
            let ran = finish(command.args(["accounts", "apply", "chosen.csv"]), LIMIT);
            self.note("accounts apply", ran);
            return true;
        }
        if !has("listed", "SuspendedAtTarget").is_empty() {
            // Only an old directory can have forgotten that provisor switched them off.
            if kind != Kind::OldDirectory || !self.organisation.is_entitled(RETURNED) {
                self.fail("somebody is thought to be suspended by others");
            }
            self.move_away("db");
            return true;
        }
        false
    }

    fn writes(&self) -> usize {
        let log = self.sandbox.log();
        log.iter().filter(|it| it.is_write()).count()
    }
}

/// What one run shows.
fn outcome(ran: &Ran) -> Outcome {
    match ran.stderr.as_str() {
        _ if ran.exit == 1 => Outcome::Refused,
        said if said.contains("the snapshot was lost") => Outcome::Rebuilt,
        said if said.contains("warning") || said.contains("WARN") => Outcome::Warned,
        _ => Outcome::Harmless,
    }
}

fn provisor(folder: &Path) -> Command {
    let mut command = program();
    command
        .current_dir(folder)
        .args(["--config", "provisor.toml"]);
    command
}

fn sync(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = provisor(folder);
    command.arg("sync").args(arguments);
    command
}

/// The last lines: what a failed trial shows of a plan.
fn outline(stdout: &str) -> String {
    let lines: Vec<&str> = stdout.lines().collect();
    let last = lines.len().saturating_sub(3);
    let short = lines[last..]
        .iter()
        .map(|line| line.chars().take(400).collect::<String>());
    short.collect::<Vec<_>>().join("\n")
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).expect("it is ours");
}
