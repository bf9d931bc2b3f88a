//! Secrets: where they are, and how they are read.
//!
//! A secret cannot be printed: no `Display`, redacted `Debug`, zeroised. It is read when it
//! is used and kept nowhere, so that it rotates without a restart. Sources and targets use
//! the same type. Must not name a secret's content in an error, only its place.

mod written;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

/// The most that is read of a secret file, in bytes: anything longer is not a secret but the
/// wrong file.
const LONGEST_SECRET: u64 = 64 * 1024;

/// Where a secret is. Never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file that only its owner (or root) can read.
    File(PathBuf),
    /// A file under `$CREDENTIALS_DIRECTORY` (systemd's LoadCredential).
    Credential(String),
    /// Made up by this process, for the embedded sandbox only. Redacted in `Debug`.
    #[serde(skip)]
    Generated(GeneratedSecret),
}

/// A secret that this process made up. It does not print itself and is zeroised.
#[derive(Debug, Clone)]
pub struct GeneratedSecret(SecretString);

impl From<String> for GeneratedSecret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq for GeneratedSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for GeneratedSecret {}

/// Why a secret cannot be used. Names the place, never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Not set, or empty.
    #[error("{place} is not set; {hint}")]
    Missing {
        /// "the environment variable `X`" …
        place: String,
        /// What to do.
        hint: String,
    },
    /// Others may read the file.
    #[error("the secret file {} can be read by others (mode {mode:o}); run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file cannot be read.
    #[error("cannot read the secret file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not text.
    #[error("{place} is not UTF-8; write it with that encoding")]
    NotText {
        /// Which secret.
        place: String,
    },
    /// Not usable as a header value.
    #[error("{place} holds characters that a header cannot carry")]
    Unusable {
        /// Which secret.
        place: String,
    },
}

impl Secret {
    /// The same secret, where a file is named from the folder `base`.
    pub fn below(self, base: &Path) -> Self {
        match self {
            Secret::File(path) => Secret::File(base.join(path)),
            other => other,
        }
    }

    /// Reads the secret from its place, now. Line ends after it are cut off.
    ///
    /// # Errors
    ///
    /// [`SecretError::Missing`] when it is not set or empty, [`SecretError::Exposed`] when
    /// group or others may read the file.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Secret::Env(name) => match std::env::var(name) {
                Ok(text) => self.accept(Zeroizing::new(text.into_bytes())),
                Err(std::env::VarError::NotPresent) => Err(self.missing()),
                Err(std::env::VarError::NotUnicode(_)) => Err(SecretError::NotText {
                    place: self.place(),
                }),
            },
            Secret::File(path) => self.accept(read_private_file(path)?),
            Secret::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
                self.read_credential(name, folder.as_deref())
            }
            Secret::Generated(GeneratedSecret(text)) => Ok(text.clone()),
        }
    }

    /// The folder is systemd's own, readable by the service only: its modes are not checked.
    /// A name with a slash would lead out of it.
    fn read_credential(
        &self,
        name: &str,
        folder: Option<&Path>,
    ) -> Result<SecretString, SecretError> {
        let Some(folder) = folder else {
            return Err(self.missing());
        };
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return Err(SecretError::Missing {
                place: self.place(),
                hint: "a credential's name is a plain file name, without `/`".to_owned(),
            });
        }
        let path = folder.join(name);
        match File::open(&path).and_then(read_bounded) {
            Ok(bytes) => self.accept(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(self.missing()),
            Err(source) => Err(SecretError::File { path, source }),
        }
    }

    fn accept(&self, bytes: Zeroizing<Vec<u8>>) -> Result<SecretString, SecretError> {
        let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText {
            place: self.place(),
        })?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(self.missing());
        }
        Ok(SecretString::from(text))
    }

    fn missing(&self) -> SecretError {
        let hint = match self {
            Secret::Env(_) => "set it in the environment provisor runs in".to_owned(),
            Secret::File(_) => "write the secret into it".to_owned(),
            Secret::Credential(name) => format!(
                "credentials come from systemd: add `LoadCredential={name}:/path/to/it` to the unit"
            ),
            Secret::Generated(_) => "restart the sandbox".to_owned(),
        };
        SecretError::Missing {
            place: self.place(),
            hint,
        }
    }

    /// Where it is, in words, for errors.
    pub fn place(&self) -> String {
        match self {
            Secret::Env(name) => format!("the environment variable `{name}`"),
            Secret::File(path) => format!("the secret in the file {}", path.display()),
            Secret::Credential(name) => format!("the credential `{name}`"),
            Secret::Generated(_) => "the generated token".to_owned(),
        }
    }
}

/// Reads a file that only its owner may read: a secret, or a client's private key.
pub fn read_private_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let unreadable = |source| SecretError::File {
        path: path.to_owned(),
        source,
    };
    // The mode is asked of the open file, so that nobody can swap it in between.
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    read_bounded(file).map_err(unreadable)
}

/// Reads a token that somebody else's service puts there and renews, such as Kubernetes with
/// its projected tokens: their modes are its business.
///
/// # Errors
///
/// [`SecretError::File`] when it cannot be read, [`SecretError::Missing`] when it is empty.
pub fn read_token_file(path: &Path) -> Result<SecretString, SecretError> {
    let bytes = File::open(path).and_then(read_bounded);
    let bytes = bytes.map_err(|source| SecretError::File {
        path: path.to_owned(),
        source,
    })?;
    let place = Secret::File(path.to_owned());
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText {
        place: place.place(),
    })?;
    match text.trim() {
        "" => Err(place.missing()),
        text => Ok(SecretString::from(text)),
    }
}

fn read_bounded(file: File) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // Reserved at once: a growing buffer would leave copies behind that nobody zeroises.
    let size = file.metadata()?.len().min(LONGEST_SECRET);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 64));
    file.take(LONGEST_SECRET + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST_SECRET {
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            "it is longer than 64 KiB, which no secret is",
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_file_gives_its_content_without_the_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "token", "s3cret \r\n", 0o600);
        assert_eq!(
            Secret::File(path).read().unwrap().expose_secret(),
            "s3cret "
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o644, 0o620] {
            let path = write(folder.path(), "token", "s3cret", mode);
            let error = Secret::File(path.clone()).read().unwrap_err();
            assert!(matches!(error, SecretError::Exposed { mode: m, .. } if m == mode));
            assert!(error.to_string().contains(&format!("{mode:o}")), "{error}");
        }
    }

    #[test]
    fn an_empty_or_absent_secret_is_told_apart_from_an_unreadable_one() {
        let folder = tempfile::tempdir().unwrap();
        let empty = Secret::File(write(folder.path(), "empty", "\n", 0o600));
        assert!(matches!(empty.read(), Err(SecretError::Missing { .. })));
        let absent = Secret::File(folder.path().join("absent"));
        assert!(matches!(absent.read(), Err(SecretError::File { .. })));
        let unset = Secret::Env("PROVISOR_TEST_NEVER_SET".to_owned());
        let message = unset.read().unwrap_err().to_string();
        assert!(message.contains("PROVISOR_TEST_NEVER_SET"), "{message}");
        let long = "x".repeat(70_000);
        let path = write(folder.path(), "long", &long, 0o600);
        assert!(matches!(
            Secret::File(path).read(),
            Err(SecretError::File { .. })
        ));
    }

    #[test]
    fn a_credential_is_a_plain_name_in_systemds_folder() {
        let folder = tempfile::tempdir().unwrap();
        // systemd owns these files; their mode is its business.
        write(folder.path(), "corp", "s3cret\n", 0o444);
        let secret = Secret::Credential("corp".to_owned());
        let read = secret.read_credential("corp", Some(folder.path()));
        assert_eq!(read.unwrap().expose_secret(), "s3cret");
        let outside = secret.read_credential("../corp", Some(folder.path()));
        assert!(matches!(outside, Err(SecretError::Missing { .. })));
        let message = secret.read_credential("corp", None).unwrap_err();
        assert!(message.to_string().contains("LoadCredential=corp"));
    }
}
