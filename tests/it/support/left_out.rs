//! What a run of the tests leaves out because the machine lacks it. With
//! `PROVISOR_TESTS=all` nothing may be left out.

use std::io::Write;
use std::path::PathBuf;

/// Whether a missing server is a failure.
pub(crate) fn everything() -> bool {
    std::env::var("PROVISOR_TESTS").is_ok_and(|value| value == "all")
}

/// The Python environment of `tests/run`, when there is one with this program in it.
pub(crate) fn python_program(name: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let environment = std::env::var_os("PROVISOR_PYTHON_ENV")
        .map_or_else(|| root.join("target/python-env"), PathBuf::from);
    let program = root.join(environment).join("bin").join(name);
    program.is_file().then_some(program)
}

/// Says on stderr, past the test runner's capture, what is left out. Fails when everything
/// was asked for.
pub(crate) fn leave_out(what: &str, missing: &str) {
    assert!(
        !everything(),
        "{what}: {missing} is missing, and PROVISOR_TESTS=all allows no gap; run tests/run"
    );
    // Not `eprintln!`: the runner would swallow it, and a silent skip reads as a pass.
    let _ = writeln!(
        std::io::stderr(),
        "LEFT OUT: {what}: {missing} is missing (tests/run installs it)"
    );
}
