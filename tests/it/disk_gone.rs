//! A disk that goes away while a sync goes on: from then on nothing is durable, so nothing more
//! is sent than was ready, and the run says what it met.
//!
//! The database's file is moved away under the running program, which then cannot make it
//! durable: that works on any machine, and for root. Disks that are full or read-only are
//! `damage`'s.
//!
//! Fails when `Applier::flush` in `src/apply.rs` swallows the store's error: the run goes on and
//! ends well.

use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::run::{Ran, program, run};
use crate::support::sandbox::{Logged, Sandbox};

/// More than the two groups of calls that may be ready: about 20 each, as slow as the server is.
const PEOPLE: usize = 100;

fn created(sandbox: &Sandbox) -> usize {
    let is_create = |it: &&Logged| it.method == "POST" && it.was_taken();
    sandbox.log().iter().filter(is_create).count()
}

#[test]
fn nothing_is_sent_that_could_not_be_noted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut sandbox = Sandbox::start(&folder.path().join("at"), &["slow:ms=200".to_owned()]);
    let mut people = "id,userName\n".to_owned();
    for person in 1..=PEOPLE {
        writeln!(people, "{person},p{person:02}@example.com").expect("a string takes all");
    }
    let config = format!(
        "state_dir = \"state\"\n\n[sources.staff.csv]\nusers = \"people.csv\"\n\n[targets.demo]\n\
         source = \"staff\"\nbase_url = \"{}\"\nauth = {{ bearer = {{ file = \"{}\" }} }}\n\
         pace = {{ requests_per_second = 1000, concurrency = 2 }}\nsettle = \"1s\"\n",
        sandbox.http.base_url,
        sandbox.token_file.display()
    );
    fs::write(folder.path().join("people.csv"), people).expect("the people are written");
    fs::write(folder.path().join("provisor.toml"), config).expect("the configuration is written");

    let mut command = program();
    command
        .current_dir(folder.path())
        .args(["--config", "provisor.toml", "sync"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let started = Instant::now();
    while created(&sandbox) == 0 {
        let late = started.elapsed() > Duration::from_secs(60);
        if late || child.try_wait().expect("it can be waited for").is_some() {
            let _ = child.kill();
            panic!("nobody was created while the run went on");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let file = folder.path().join("state/db/db");
    let away = folder.path().join("away");
    fs::rename(&file, &away).expect("the database is moved away");
    let output = child.wait_with_output().expect("the run ends");
    let ran = Ran {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(created(&sandbox) < PEOPLE, "goes on sending: {ran:#?}");
    assert_eq!(ran.exit, 1, "{ran:#?}");
    assert!(ran.stderr.contains("cannot flush"), "{ran:#?}");

    // Whoever is in doubt is looked for, and nobody is made twice.
    fs::rename(&away, &file).expect("the database is back");
    sandbox.restart(&[]);
    for _ in 0..20 {
        let ran = run(folder.path(), &["sync".to_owned()]);
        if ran.exit == 0 {
            break;
        }
        assert_eq!(ran.exit, 4, "{ran:#?}");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(created(&sandbox), PEOPLE);
    let refused = sandbox.log().into_iter();
    let refused = refused.filter(|it| it.is_write() && !it.was_taken());
    assert_eq!(refused.count(), 0, "sent blindly, and refused");
}
