//! Runs the real program and keeps what it said.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a run came to.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    /// The exit code; -1 when a signal ended it.
    pub(crate) exit: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// The program, with a surrounding that no machine's settings reach into.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provisor"));
    for name in [
        "PROVISOR_CONFIG",
        "STATE_DIRECTORY",
        "CREDENTIALS_DIRECTORY",
        "RUST_LOG",
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program in a folder with `--config provisor.toml` and waits for its end. More
/// than two minutes is a failure: nothing in the tests takes that long, unless it is asked for
/// more of it than usual, and `PROVISOR_RUN_SECONDS` says how long then.
pub(crate) fn run(folder: &Path, arguments: &[String]) -> Ran {
    let mut command = program();
    command
        .current_dir(folder)
        .args(["--config", "provisor.toml"])
        .args(arguments);
    let seconds = std::env::var("PROVISOR_RUN_SECONDS").ok();
    let seconds = seconds.map_or(120, |text| text.parse().expect("a number of seconds"));
    finish(&mut command, Duration::from_secs(seconds))
}

/// Runs any command to its end and keeps what it said.
pub(crate) fn finish(command: &mut Command, limit: Duration) -> Ran {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let stdout = drain(child.stdout.take().expect("stdout is a pipe"));
    let stderr = drain(child.stderr.take().expect("stderr is a pipe"));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break status;
        }
        if started.elapsed() > limit {
            child.kill().expect("the child can be killed");
            child.wait().expect("the child can be waited for");
            let said = stderr.join().expect("the reader ends");
            panic!("{command:?} did not end within {limit:?}; stderr:\n{said}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ran {
        exit: status.code().unwrap_or(-1),
        stdout: stdout.join().expect("the reader ends"),
        stderr: stderr.join().expect("the reader ends"),
    }
}

/// Asks a server that this test started to end, waits for it, and ends it for good when it
/// does not listen.
pub(crate) fn end(child: &mut Child) {
    let id = child.id().to_string();
    // The shell's own `kill`: machines need not have a program of that name.
    let _ = Command::new("sh")
        .args(["-c", "kill -TERM \"$0\"", &id])
        .status();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks has ended; what came is what there is.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
