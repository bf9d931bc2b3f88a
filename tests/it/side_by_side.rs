//! Several targets in one run: what happens at one is nothing to the others.
//!
//! Proved by order, never by duration: the server that does not answer goes on not answering
//! until the other target has everything.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::run::{Ran, program, run};
use crate::support::sandbox::Sandbox;

/// Longer than any test waits: a request that is not answered stays that way.
const FOREVER: &str = "1h";

/// A server that takes connections and never says a word.
struct Silent {
    address: String,
    taken: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Silent {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its own address").to_string();
        let taken = Arc::new(Mutex::new(Some(Vec::new())));
        std::thread::spawn({
            let taken = Arc::clone(&taken);
            move || {
                for stream in listener.incoming().flatten() {
                    match taken.lock().expect("nobody panics with it").as_mut() {
                        Some(streams) => streams.push(stream),
                        None => return,
                    }
                }
            }
        });
        Self { address, taken }
    }

    fn was_asked(&self) -> bool {
        let taken = self.taken.lock().expect("nobody panics with it");
        taken.as_ref().is_some_and(|streams| !streams.is_empty())
    }

    /// Drops every connection, and takes no more.
    fn end(&self) {
        self.taken.lock().expect("nobody panics with it").take();
        let _ = TcpStream::connect(&self.address);
    }

    fn target(&self, name: &str) -> String {
        format!(
            "[targets.{name}]\nsource = \"staff\"\nbase_url = \"http://{}/scim/v2\"\n\
             auth = {{ bearer = {{ env = \"PATH\" }} }}\ntimeout = \"{FOREVER}\"\n\n",
            self.address
        )
    }
}

fn target(name: &str, source: &str, sandbox: &Sandbox) -> String {
    format!(
        "[targets.{name}]\nsource = \"{source}\"\nbase_url = \"{}\"\n\
         auth = {{ bearer = {{ file = \"{}\" }} }}\n\
         pace = {{ requests_per_second = 1000, concurrency = 2 }}\n",
        sandbox.http.base_url,
        sandbox.token_file.display()
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file in the temporary folder");
}

fn write_config(folder: &Path, targets: &[String]) {
    let sources = "state_dir = \"state\"\n\n[sources.staff.csv]\nusers = \"people.csv\"\n\n";
    write(
        folder,
        "provisor.toml",
        &format!("{sources}{}", targets.concat()),
    );
}

fn people(count: usize) -> String {
    let mut people = "id,userName\n".to_owned();
    for person in 1..=count {
        writeln!(people, "{person},p{person:02}@example.com").expect("a string takes all");
    }
    people
}

fn start(folder: &Path) -> Child {
    let mut command = program();
    command
        .current_dir(folder)
        .args(["--config", "provisor.toml", "sync"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// Waits until this is so while the run goes on.
fn wait_until(child: &mut Child, what: &str, ready: impl Fn() -> bool) {
    let started = Instant::now();
    while !ready() {
        let ended = child.try_wait().expect("the child can be waited for");
        let late = started.elapsed() > Duration::from_secs(60);
        if late || ended.is_some() {
            let _ = child.kill();
            panic!("{what}: not so; the run ended with {ended:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for_end(child: Child) -> Ran {
    let output = child.wait_with_output().expect("the run ends");
    Ran {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn taken_writes(sandbox: &Sandbox) -> usize {
    let log = sandbox.log();
    log.iter()
        .filter(|it| it.is_write() && it.was_taken())
        .count()
}

#[test]
fn a_target_that_does_not_answer_delays_nobody() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (silent, another) = (Silent::start(), Silent::start());
    let sandbox = Sandbox::start(&folder.path().join("at"), &[]);
    write(folder.path(), "people.csv", &people(3));
    let targets = [
        silent.target("asleep"),
        target("awake", "staff", &sandbox),
        another.target("asleep-too"),
    ];
    write_config(folder.path(), &targets);

    let mut child = start(folder.path());
    wait_until(&mut child, "all of one while another is silent", || {
        silent.was_asked() && another.was_asked() && taken_writes(&sandbox) == 3
    });
    assert!(
        child.try_wait().expect("it can be waited for").is_none(),
        "the run does not wait for the silent target"
    );
    silent.end();
    another.end();
    let ran = wait_for_end(child);

    assert_eq!(ran.exit, 1, "{ran:#?}");
    let lines: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| !line.starts_with(' ') && !line.is_empty())
        .collect();
    assert_eq!(
        lines,
        [
            "asleep: failed",
            "asleep-too: failed",
            "awake: 3 to create, 0 to adopt, 0 to patch, 0 to deactivate, 0 to reactivate, \
             0 to delete, 0 held (0 unchanged)",
            "awake: 3 created, 0 adopted, 0 patched, 0 deactivated, 0 reactivated, 0 deleted, \
             0 failed, 0 held (0 unchanged)",
            "3 targets, 2 with an error: 3 created, 0 adopted, 0 patched, 0 deactivated, \
             0 reactivated, 0 deleted, 0 failed, 0 held (0 unchanged)",
        ]
    );
    for name in ["asleep", "asleep-too"] {
        assert!(ran.stderr.contains(&format!("error: {name}: ")), "{ran:#?}");
    }
}

#[test]
fn being_told_to_end_stops_every_target() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (one, two) = (Silent::start(), Silent::start());
    write(folder.path(), "people.csv", &people(3));
    write_config(folder.path(), &[one.target("one"), two.target("two")]);

    let mut child = start(folder.path());
    wait_until(&mut child, "both are asked", || {
        one.was_asked() && two.was_asked()
    });
    let told = Command::new("sh")
        .args(["-c", "kill -TERM \"$0\"", &child.id().to_string()])
        .status();
    assert!(told.is_ok_and(|status| status.success()));
    let ran = wait_for_end(child);

    assert_eq!(ran.exit, 1, "{ran:#?}");
    for name in ["one", "two"] {
        let stopped = format!("error: {name}: stopped before anything was sent");
        assert!(ran.stderr.contains(&stopped), "{ran:#?}");
    }
}

#[test]
fn several_targets_write_one_log_and_one_snapshot() {
    const PEOPLE: usize = 40;
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "people.csv", &people(PEOPLE));
    let sandboxes: Vec<Sandbox> = (0..4)
        .map(|at| Sandbox::start(&folder.path().join(format!("at{at}")), &[]))
        .collect();
    let targets: Vec<String> = sandboxes
        .iter()
        .enumerate()
        .map(|(at, sandbox)| target(&format!("target{at}"), "staff", sandbox))
        .collect();
    write_config(folder.path(), &targets);

    let sync = run(folder.path(), &["sync".to_owned()]);
    assert_eq!(sync.exit, 0, "{sync:#?}");
    assert!(
        sync.stdout.contains("4 targets: 160 created, "),
        "{sync:#?}"
    );
    let verified = run(folder.path(), &["history", "--verify"].map(str::to_owned));
    assert_eq!(verified.exit, 0, "{verified:#?}");

    let log =
        std::fs::read_to_string(folder.path().join("state/audit.jsonl")).expect("the audit log");
    let generations: Vec<u64> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"))
        .filter_map(|line| line["generation"].as_u64())
        .collect();
    assert_eq!(generations.len(), 4 * PEOPLE);
    assert!(
        generations.is_sorted(),
        "a generation goes back along the chain: {generations:?}"
    );

    // A full cycle holds the whole snapshot against its counts, and finds every link.
    let marks: Vec<usize> = sandboxes.iter().map(|it| it.log().len()).collect();
    let full = run(folder.path(), &["sync", "--full"].map(str::to_owned));
    assert_eq!(full.exit, 0, "{full:#?}");
    assert!(
        full.stdout
            .ends_with("4 targets: nothing to do (160 unchanged)\n"),
        "{full:#?}"
    );
    for (sandbox, mark) in sandboxes.iter().zip(marks) {
        assert_eq!(taken_writes(sandbox), PEOPLE);
        assert!(sandbox.log().len() > mark, "a full cycle lists");
    }
}

/// Two targets may share a server. Side by side neither would see what the other makes there,
/// and a person whom both sources have would be sent twice.
#[test]
fn targets_at_one_server_go_one_after_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sandbox = Sandbox::start(&folder.path().join("at"), &["slow:ms=20".to_owned()]);
    write(
        folder.path(),
        "people.csv",
        "id,userName\n1,ana@example.com\n",
    );
    write(
        folder.path(),
        "guests.csv",
        "id,userName\n7,ana@example.com\n",
    );
    write_config(
        folder.path(),
        &[
            "[sources.guests.csv]\nusers = \"guests.csv\"\n\n".to_owned(),
            target("one", "staff", &sandbox) + "shared = true\n\n",
            target("two", "guests", &sandbox) + "shared = true\n\n",
        ],
    );
    let ran = run(folder.path(), &["sync".to_owned()]);
    assert_eq!(ran.exit, 0, "{ran:#?}");
    let sent: Vec<(String, u16)> = sandbox
        .log()
        .into_iter()
        .filter(|it| it.is_write())
        .map(|it| (it.method, it.status))
        .collect();
    assert_eq!(sent, [("POST".to_owned(), 201)], "{ran:#?}");
    assert!(
        ran.stdout.contains("two: 0 created, 1 adopted, "),
        "{ran:#?}"
    );
}
