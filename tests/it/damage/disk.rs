//! A run of provisor with its state directory on a disk of its own: a small tmpfs, or one
//! mounted read-only. Mounts are made in a mount namespace, which ends with the run, so
//! that nothing is left behind; without root in a user namespace as well.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::kind::{Disk, remove};
use crate::support::run::{Ran, finish};

/// `$0`: the state directory, `$1`: free KiB or `ro`, the rest: the command.
const SCRIPT: &str = r#"
set -e
state=$0 free=$1
shift
if [ "$free" = ro ]; then
  mount --bind "$state" "$state"
  mount -o remount,ro,bind "$state"
  exec "$@"
fi
mkdir -p "$state.outside"
mount --bind "$state" "$state.outside"
mount -t tmpfs -o size=256m,mode=0700 tmpfs "$state"
cp -a "$state.outside/." "$state/"
used=$(df -k --output=used "$state" | tail -n 1)
mount -o remount,size=$((used + free))k "$state"
set +e
"$@"
exit=$?
set -e
find "$state.outside" -mindepth 1 -delete
cp -a "$state/." "$state.outside/"
exit $exit
"#;

/// Why no disk can be mounted here; `None` when one can.
pub(crate) fn missing() -> Option<&'static str> {
    let tried = namespace()
        .args(["sh", "-c", "mount -t tmpfs tmpfs /mnt"])
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(_) => Some("the right to mount in a namespace of its own"),
        Err(_) => Some("the program `unshare`"),
    }
}

/// Runs a command while the state directory is on such a disk. Afterwards the directory is an
/// ordinary one again, as the command left it.
pub(crate) fn run_on(disk: Disk, state: &Path, command: &Command, limit: Duration) -> Ran {
    let mut wrapped = namespace();
    wrapped.args(["sh", "-c", SCRIPT]).arg(state);
    wrapped.arg(match disk {
        Disk::WithFree { kib } => kib.to_string(),
        Disk::ReadOnly => "ro".to_owned(),
    });
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    let ran = finish(&mut wrapped, limit);
    let outside = state.with_extension("outside");
    if fs::metadata(&outside).is_ok() {
        remove(&outside);
    }
    ran
}

fn namespace() -> Command {
    let mut command = Command::new("unshare");
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.arg("--mount");
    } else {
        command.args(["--user", "--map-root-user", "--mount"]);
    }
    command
}
