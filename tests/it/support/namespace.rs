//! Network namespaces of their own, for servers whose addresses are fixed. None of it needs root
//! where ordinary users may make namespaces.

use std::process::Command;

/// A command that runs in a new network namespace, in which nothing is up; as an ordinary user,
/// with a new user namespace around it.
pub(crate) fn command() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command
}

/// What is missing for that.
pub(crate) fn lacks() -> Option<&'static str> {
    match command().arg("true").output() {
        Ok(output) if output.status.success() => None,
        _ => Some("leave to make a network namespace (root, or user namespaces)"),
    }
}

pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.trim_ascii() == b"0"
}
