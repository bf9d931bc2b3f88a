//! `scim2-tester`, a checker of RFC 7643 and RFC 7644, against the embedded service provider.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::left_out::{leave_out, python_program};
use crate::support::run::finish;
use crate::support::sandbox::Sandbox;

#[test]
fn the_sandbox_complies() {
    let Some(python) = python_program("python") else {
        leave_out("compliance of the sandbox", "scim2-tester");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sandbox = Sandbox::start(&folder.path().join("at"), &[]);
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compliance/check.py");
    let ran = finish(
        Command::new(python)
            .arg(check)
            .arg(&sandbox.http.base_url)
            .env("SCIM_TOKEN", &sandbox.http.token)
            .env("NO_PROXY", "127.0.0.1"),
        Duration::from_secs(300),
    );
    assert_eq!(ran.exit, 0, "{}\n{}", ran.stdout, ran.stderr);
}
