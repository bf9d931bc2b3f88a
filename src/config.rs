//! The configuration: TOML in, built parts out. Errors point at line and column and say
//! what would be right. Does no network and opens no store.

mod auth;
mod digest;
mod document;
mod drift;
mod endpoint;
mod explain;
mod file;
mod groups;
mod limits;
mod mapping;
mod preset;
mod schedule;
mod scope;
mod sources;
mod target;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use provisor_connectors::{SourceConfig, SourceFacts};

use crate::cycle::Target;
use crate::target::{Connection, Pace};

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// The file's folder: relative paths are from here.
    pub base: PathBuf,
    /// Where state is kept, absolute.
    pub state_dir: PathBuf,
    /// Put values into the audit log.
    pub audit_values: bool,
    /// Sources by name.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Targets by name, disabled ones included.
    pub targets: BTreeMap<String, TargetConfig>,
    /// What should be said although the configuration is good.
    pub warnings: Vec<String>,
}

/// One target.
#[derive(Debug, Clone)]
pub struct TargetConfig {
    /// What a cycle needs.
    pub target: Target,
    /// `enabled = false` sends nothing.
    pub enabled: bool,
    /// The preset's name.
    pub preset: String,
    /// How to reach it.
    pub endpoint: Endpoint,
    /// How fast it may be asked; of a remote endpoint also in its connection.
    pub pace: Pace,
    /// One request's time-out; of a remote endpoint also in its connection.
    pub timeout: Duration,
    /// When the daemon runs it.
    pub schedule: Option<cron::Schedule>,
    /// Which source attributes the configuration names, and where.
    written: Vec<mapping::Written>,
    /// Those of `join_key`: every source must have one of them.
    joined_by: Vec<mapping::Written>,
}

/// How a target is reached.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// The embedded sandbox, served from its own folder.
    Sandbox {
        /// The folder.
        folder: PathBuf,
    },
    /// A server.
    Remote(Box<Connection>),
}

/// A configuration error, already rendered with file, line, column and a hint. Never holds
/// a secret.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// Several lines, ready to print (plain text).
    pub message: String,
    /// Line from 1, if the error has a place.
    pub line: Option<usize>,
    /// Column from 1.
    pub column: Option<usize>,
}

impl Config {
    /// Loads, checks and builds. Reads no secret and connects to nothing.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        // systemd joins several folders with colons; the first is ours.
        let state_directory = std::env::var_os("STATE_DIRECTORY")
            .and_then(|folders| std::env::split_paths(&folders).next())
            .filter(|folder| !folder.as_os_str().is_empty());
        file::load(path, state_directory.as_deref())
    }

    /// Which file to load: `--config`, `$PROVISOR_CONFIG`, `/etc/provisor/config.toml`.
    pub fn find(argument: Option<&Path>) -> PathBuf {
        let variable = || {
            std::env::var_os("PROVISOR_CONFIG")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        argument
            .map(Path::to_owned)
            .or_else(variable)
            .unwrap_or_else(|| PathBuf::from("/etc/provisor/config.toml"))
    }
}

/// Checks the source attributes that a target's configuration names (its mapping's,
/// `rehire_key` and the like) against what its sources said they can give, by source name.
/// Nothing is checked when one of the target's sources has not said.
pub fn check_names(
    target: &TargetConfig,
    facts: &BTreeMap<String, SourceFacts>,
) -> Result<(), ConfigError> {
    let sources = &target.target.sources;
    mapping::check_names(&target.written, sources, facts)?;
    mapping::check_names(&target.joined_by, sources, facts)?;
    mapping::check_each_source(&target.joined_by, sources, facts)
}
