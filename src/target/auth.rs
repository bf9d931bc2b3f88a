//! Secrets and how a request proves who sends it.
//!
//! A secret cannot be printed: no `Display`, redacted `Debug`, zeroised. It is read when it
//! is used, so that it rotates without a restart.

use std::path::PathBuf;

/// Where a secret is. Never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file that only its owner (or root) can read.
    File(PathBuf),
    /// A file under `$CREDENTIALS_DIRECTORY` (systemd's LoadCredential).
    Credential(String),
    /// Made up by this process, for the embedded sandbox only. Redacted in `Debug`.
    Generated(secrecy_text::GeneratedSecret),
}

/// A generated secret that does not print itself.
pub mod secrecy_text {
    /// The embedded sandbox's token.
    #[derive(Clone, PartialEq, Eq)]
    pub struct GeneratedSecret(pub String);
    impl std::fmt::Debug for GeneratedSecret {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("[redacted]")
        }
    }
}

/// How requests are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Basic …`.
    Basic {
        /// The user name; not a secret.
        username: String,
        /// The password.
        password: Secret,
    },
    /// Any header.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret,
    },
}

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
    /// Not usable as a header value.
    #[error("{place} holds characters that a header cannot carry")]
    Unusable {
        /// Which secret.
        place: String,
    },
}
