//! kill -9 at random instants of a first sync of 2,000 people and 20 groups, then restarts
//! until it is done: nobody twice, nobody lost, every group and manager as the source has it.
//!
//! The real program dies, without a chance to tidy up; the server is a process of its own
//! and lives on. A round is one first sync with one kill or more. `cargo test` plays a few;
//! for twenty: `PROVISOR_CRASH_ROUNDS=20 cargo test --test it crash`. A round that fails
//! prints its seed; `PROVISOR_CRASH_SEED=N` plays it again, as far as instants can be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::run::{program, run};
use crate::support::sandbox::Sandbox;

const PEOPLE: usize = 2_000;
const GROUPS: usize = 20;
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Longer than `settle` in the configuration below: afterwards a create in doubt may be
/// looked for, and sent again when it is not there.
const SETTLED: Duration = Duration::from_millis(1_200);

/// What writes nothing for so long hangs. At `nice 10` on a busy machine a minute was not
/// enough to read the source.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn a_first_sync_survives_kills_at_any_instant() {
    let rounds = number("PROVISOR_CRASH_ROUNDS").unwrap_or(2);
    for round in 1..=rounds {
        let seed = number("PROVISOR_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
        println!("round {round} of {rounds}, PROVISOR_CRASH_SEED={seed}");
        let (kills, among) = play_round(&mut fastrand::Rng::with_seed(seed));
        println!("killed {kills} times, {among} of them among the writes");
    }
}

/// How often the program was killed, and how often of that between its first and last write.
fn play_round(random: &mut fastrand::Rng) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Slow enough that a kill some tenths of a second later lands between two writes.
    let sandbox = Sandbox::start(&folder.path().join("at"), &["slow:ms=3".to_owned()]);
    write_files(folder.path(), &sandbox);
    let wanted = random.usize(1..=4);
    let mut kills = 0;
    let mut in_the_middle = 0;
    while kills < wanted {
        let before = writes(&sandbox);
        let mut child = start(folder.path());
        // The first kill lands among the writes; later ones anywhere, reading included.
        if kills == 0 || random.bool() {
            wait_until(&mut child, || writes(&sandbox) > before);
        }
        let pause = Duration::from_millis(random.u64(0..1_000));
        if let Some(exit) = end_within(&mut child, pause) {
            assert!([0, 4].contains(&exit), "{}", said(folder.path()));
            if exit == 0 {
                break;
            }
            std::thread::sleep(SETTLED);
            continue;
        }
        child.kill().expect("kill -9");
        child.wait().expect("the killed process is waited for");
        kills += 1;
        if (1..PEOPLE + GROUPS).contains(&writes(&sandbox)) {
            in_the_middle += 1;
        }
    }
    assert!(
        in_the_middle > 0,
        "no kill landed in the middle of the sync"
    );
    finish(folder.path());
    check_target(&sandbox);
    let before = sandbox.log().len();
    let last = run(folder.path(), &["sync".to_owned()]);
    assert_eq!(last.exit, 0, "{last:#?}");
    assert_eq!(
        sandbox.log().len(),
        before,
        "the next sync has nothing to ask and nothing to send: {last:#?}"
    );
    (kills, in_the_middle)
}

/// Runs until nothing is left to do. What is in doubt is held, exit 4, until it has settled.
fn finish(folder: &Path) {
    for _ in 0..20 {
        let ran = run(folder, &["sync".to_owned()]);
        if ran.exit == 0 {
            return;
        }
        assert_eq!(ran.exit, 4, "{ran:#?}");
        std::thread::sleep(SETTLED);
    }
    panic!("after 20 runs something is still in doubt");
}

fn check_target(sandbox: &Sandbox) {
    let refused: Vec<String> = sandbox
        .log()
        .iter()
        .filter(|it| it.is_write() && !it.was_taken())
        .map(|it| format!("{} {} -> {}", it.method, it.path, it.status))
        .collect();
    assert!(refused.is_empty(), "sent blindly, and refused: {refused:?}");

    let users = sandbox.http.list("/Users").expect("the users are listed");
    assert_eq!(users.len(), PEOPLE);
    for key in ["userName", "externalId", "id"] {
        let values: BTreeSet<&str> = users.iter().filter_map(|user| user[key].as_str()).collect();
        assert_eq!(values.len(), PEOPLE, "two people have one {key}");
    }
    let inactive = users
        .iter()
        .filter(|user| user["active"] == Value::Bool(false));
    assert_eq!(inactive.count(), 0, "everybody is active");

    let names: BTreeMap<&str, &str> = users
        .iter()
        .filter_map(|user| Some((user["id"].as_str()?, user["userName"].as_str()?)))
        .collect();
    for user in &users {
        let id = user[ENTERPRISE]["manager"]["value"].as_str();
        let manager = id.and_then(|id| names.get(id).copied());
        let number = user["externalId"].as_str().and_then(|id| id.parse().ok());
        let wanted = user_name(manager_of(number.expect("a number as externalId")));
        assert_eq!(manager, Some(wanted.as_str()), "the manager of {user}");
    }
    let groups = sandbox.http.list("/Groups").expect("the groups are listed");
    assert_eq!(groups.len(), GROUPS);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for group in &groups {
        let members = group["members"].as_array().cloned().unwrap_or_default();
        let mut members: Vec<String> = members
            .iter()
            .map(|it| names[it["value"].as_str().expect("a member's id")].to_owned())
            .collect();
        members.sort();
        found.insert(group["displayName"].to_string(), members);
    }
    let wanted: BTreeMap<String, Vec<String>> = (0..GROUPS)
        .map(|group| {
            let members = members_of(group).map(user_name).collect();
            (format!("\"Team {group:02}\""), members)
        })
        .collect();
    assert_eq!(found, wanted);
}

fn write_files(folder: &Path, sandbox: &Sandbox) {
    let mut people = "id,userName,title,manager\n".to_owned();
    for person in 0..PEOPLE {
        let (name, manager) = (user_name(person), manager_of(person));
        writeln!(people, "{person:04},{name},Clerk,{manager:04}").expect("a string takes all");
    }
    let mut groups = "id,displayName,members\n".to_owned();
    for group in 0..GROUPS {
        let members: Vec<String> = members_of(group).map(|it| format!("{it:04}")).collect();
        writeln!(groups, "g{group:02},Team {group:02},{}", members.join(";"))
            .expect("a string takes all");
    }
    let config = format!(
        "state_dir = \"state\"\n\n\
         [sources.staff.csv]\nusers = \"people.csv\"\ngroups = \"groups.csv\"\n\n\
         [targets.demo]\nsource = \"staff\"\nbase_url = \"{}\"\n\
         auth = {{ bearer = {{ file = \"{}\" }} }}\nsettle = \"1s\"\n\n\
         [targets.demo.groups]\npush = [\"*\"]\n\n\
         [targets.demo.pace]\nrequests_per_second = 1000\nconcurrency = 4\n",
        sandbox.http.base_url,
        sandbox.token_file.display()
    );
    for (name, text) in [
        ("people.csv", people),
        ("groups.csv", groups),
        ("provisor.toml", config),
    ] {
        std::fs::write(folder.join(name), text).expect("a file in the temporary folder");
    }
}

/// Everybody is in one group of a hundred, and in a second one by another rule.
fn members_of(group: usize) -> impl Iterator<Item = usize> {
    (0..PEOPLE).filter(move |person| person % GROUPS == group || person / 100 == group)
}

/// Ten reports each; the first two people manage each other.
fn manager_of(person: usize) -> usize {
    if person == 0 { 1 } else { person / 10 }
}

fn user_name(person: usize) -> String {
    format!("p{person:04}@example.com")
}

fn start(folder: &Path) -> Child {
    let said = File::create(folder.join("said")).expect("a file in the temporary folder");
    program()
        .current_dir(folder)
        .args(["--config", "provisor.toml", "sync"])
        .stdout(said.try_clone().expect("a second handle"))
        .stderr(said)
        .spawn()
        .expect("the program starts")
}

fn said(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("said")).unwrap_or_default()
}

fn writes(sandbox: &Sandbox) -> usize {
    let log = sandbox.log();
    log.iter()
        .filter(|it| it.is_write() && it.was_taken())
        .count()
}

/// Waits for something to become true, or for the child to end by itself.
fn wait_until(child: &mut Child, ready: impl Fn() -> bool) {
    let started = Instant::now();
    while !ready() {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "the sync neither writes nor ends"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Lets the child run for this long. Its exit code, if it ended by itself.
fn end_within(child: &mut Child, pause: Duration) -> Option<i32> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return Some(status.code().unwrap_or(-1));
        }
        if started.elapsed() >= pause {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number")),
    )
}
