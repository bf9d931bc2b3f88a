//! `sandbox`: serves the embedded SCIM service provider until it is told to stop.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, anyhow};

use super::args::SandboxArguments;
use super::exit::Exit;
use super::session;
use super::terminal::{Stop, Terminal};
use crate::sandbox::{self, SandboxOptions};

/// Runs `provisor sandbox`. The first line on stdout is the base URL.
pub(super) async fn run(
    arguments: &SandboxArguments,
    terminal: &mut Terminal,
) -> Result<Exit, Stop> {
    let token = obtain_token(&arguments.token_file).map_err(Stop::usage)?;
    let sandbox = sandbox::serve(SandboxOptions {
        state: arguments.state.clone(),
        listen: arguments.listen,
        token,
        faults: arguments.faults.clone(),
        seed: arguments.seed,
    })
    .await
    .map_err(|error| Stop::failed(error.into()))?;
    terminal.print(&format!("{}\n", sandbox.base_url()));
    super::interrupted().await;
    sandbox
        .stop()
        .await
        .map_err(|error| Stop::failed(error.into()))?;
    Ok(Exit::Done)
}

/// Reads the token, or makes one that only the owner can read.
fn obtain_token(path: &Path) -> anyhow::Result<String> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(mut file) => {
            let token = session::random_token();
            file.write_all(token.as_bytes())
                .with_context(|| format!("cannot write the token file {}", path.display()))?;
            Ok(token)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read the token file {}", path.display()))?;
            match text.trim() {
                "" => Err(anyhow!(
                    "the token file {} is empty; put a token into it, or remove it to have one made",
                    path.display()
                )),
                token => Ok(token.to_owned()),
            }
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot create the token file {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_token_is_made_for_the_owner_only_and_then_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let made = obtain_token(&path).unwrap();
        assert!(made.len() >= 32);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(obtain_token(&path).unwrap(), made);
    }

    #[test]
    fn an_empty_token_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, " \n").unwrap();
        assert!(
            obtain_token(&path)
                .unwrap_err()
                .to_string()
                .contains("empty")
        );
    }

    #[test]
    fn a_token_file_ends_with_or_without_a_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "not-a-real-token\n").unwrap();
        assert_eq!(obtain_token(&path).unwrap(), "not-a-real-token");
    }
}
