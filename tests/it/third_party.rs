//! Servers and checkers that other people wrote, so that our client and our service provider
//! do not merely agree with each other.
//!
//! They come from PyPI, into the environment that `tests/run` makes. Without it these tests
//! say on stderr what they leave out; with `PROVISOR_TESTS=all` that is a failure.

mod django_scim2;
mod scim2_server;
mod scim2_tester;
mod story;

use std::io::Write;

use crate::support::left_out::python_program;

/// The program that comes with a package has no name of its own: one that Django brings.
const DJANGO_SCIM2: &str = "django-admin";

/// What each part needs of the machine.
const NEEDS: &[(&str, &str)] = &[
    ("stories against django-scim2", DJANGO_SCIM2),
    ("stories against scim2-server", "scim2-server"),
    ("compliance of the sandbox by scim2-tester", "python"),
];

/// The list at a glance, for who reads the end of a long run.
#[test]
fn what_is_left_out_is_said() {
    let gaps: Vec<&str> = NEEDS
        .iter()
        .filter(|(_, program)| python_program(program).is_none())
        .map(|(what, _)| *what)
        .collect();
    let line = if gaps.is_empty() {
        "nothing".to_owned()
    } else {
        gaps.join("; ")
    };
    // Past the runner's capture: a gap that nobody sees reads as a pass.
    let _ = writeln!(std::io::stderr(), "left out of this run: {line}");
}
