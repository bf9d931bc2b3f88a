//! The configuration: TOML in, built parts out. Errors point at line and column and say
//! what would be right. Does no network and opens no store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use provisor_connectors::SourceConfig;

use crate::cycle::Target;
use crate::target::Connection;

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
    /// When the daemon runs it.
    pub schedule: Option<cron::Schedule>,
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
    pub fn load(_path: &Path) -> Result<Self, ConfigError> {
        unimplemented!()
    }

    /// Which file to load: `--config`, `$PROVISOR_CONFIG`, `/etc/provisor/config.toml`.
    pub fn find(_argument: Option<&Path>) -> PathBuf {
        unimplemented!()
    }
}
