//! What the commands that work with state share: the open store and audit log, the built
//! sources, and one client per target.
//!
//! Everything that can be wrong before the first request is found here: a renamed source, a
//! mapping that names what no source has, a secret that is not set.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use futures_util::future;
use provisor_connectors::{Source, SourceFacts};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::terminal::{Stop, Terminal};
use crate::apply::report::{Failure, FailureKind};
use crate::audit::Audit;
use crate::config::{self, Config, Endpoint, TargetConfig};
use crate::cycle;
use crate::sandbox::{self, Sandbox, SandboxError, SandboxOptions};
use crate::snapshot::{Condition, SnapshotError, Store};
use crate::target::{Auth, Client, Connection, GeneratedSecret, Secret};

/// The open state directory.
pub(super) struct Session {
    pub(super) store: Store,
    /// One log for all targets: whoever has it writes.
    pub(super) audit: Arc<Mutex<Audit>>,
    /// What an operator should see of the state.
    pub(super) warnings: Vec<String>,
}

impl Session {
    /// Takes the directory, opens the audit log, then the store, which the log's last word can convict of being
    /// older than it should be. Then looks for renamed sources and targets. Blocking.
    pub(super) fn open(config: &Config) -> Result<Self, Stop> {
        let lock = Store::lock(&config.state_dir).map_err(|error| Stop::failed(error.into()))?;
        let audit = Audit::open(&config.state_dir).map_err(|error| Stop::failed(error.into()))?;
        let opened = Store::open(lock, audit.last_generation())
            .map_err(|error| Stop::failed(error.into()))?;
        let mut warnings = Vec::new();
        if let Condition::Lost(why) = &opened.condition {
            warnings.push(format!(
                "the snapshot was lost: {why}; it is rebuilt by adopting what is at the \
                 targets, and nobody is deactivated before that is done"
            ));
            // Durable before anything is planned: a second run is told by it, not by luck.
            cycle::note_lost_snapshot(&opened.store, config.targets.keys())
                .map_err(|failure| Stop::from(&failure))?;
        }
        warnings.extend(check_audit(config, &opened.store, &audit)?);
        warnings.extend(check_renames(config, &opened.store)?);
        Ok(Self {
            store: opened.store,
            audit: Arc::new(Mutex::new(audit)),
            warnings,
        })
    }
}

/// Opens the store; `None` before the first run, because asking must not create anything.
pub(super) fn open_to_read(
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Option<Store>, Stop> {
    if !config.state_dir.exists() {
        return Ok(None);
    }
    let lock = Store::lock(&config.state_dir).map_err(|error| Stop::failed(error.into()))?;
    let audit = Audit::open(&config.state_dir).map_err(|error| Stop::failed(error.into()))?;
    let opened =
        Store::open(lock, audit.last_generation()).map_err(|error| Stop::failed(error.into()))?;
    if let Condition::Lost(why) = &opened.condition {
        terminal.warn(&format!("the snapshot was lost: {why}"));
    }
    Ok(Some(opened.store))
}

/// Builds the sources that these targets use. Opens nothing yet.
pub(super) fn build_sources(
    config: &Config,
    targets: &[&TargetConfig],
) -> BTreeMap<String, Box<dyn Source>> {
    let used: BTreeSet<&String> = targets
        .iter()
        .flat_map(|target| &target.target.sources)
        .collect();
    config
        .sources
        .iter()
        .filter(|(name, _)| used.contains(name))
        .map(|(name, source)| (name.clone(), source.build(&config.base)))
        .collect()
}

/// Checks that the targets' mappings name what their sources can give; the sources are asked
/// side by side. A source that cannot say is left out: reading it will tell.
pub(super) async fn check_names(
    targets: &[&TargetConfig],
    sources: &BTreeMap<String, Box<dyn Source>>,
) -> Result<(), Stop> {
    let asked = sources
        .iter()
        .map(|(name, source)| async move { (name.clone(), source.attribute_names().await) });
    let facts: BTreeMap<String, SourceFacts> = future::join_all(asked)
        .await
        .into_iter()
        .filter_map(|(name, attributes)| {
            let facts = SourceFacts {
                lines: Vec::new(),
                attributes: attributes.ok()?,
            };
            Some((name, facts))
        })
        .collect();
    targets
        .iter()
        .try_for_each(|target| config::check_names(target, &facts))
        .map_err(|error| Stop::configuration(&error))
}

/// A client for a target, and the sandbox behind it where it is the embedded one.
pub(super) struct Connected {
    pub(super) client: Client,
    sandbox: Option<Sandbox>,
}

impl Connected {
    /// Stops the embedded sandbox, so that its folder is complete.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self.sandbox {
            Some(sandbox) => sandbox
                .stop()
                .await
                .map_err(|error| Failure::new(FailureKind::Failed, &error)),
            None => Ok(()),
        }
    }
}

/// Reads the target's secret, to fail early when it is not set, and builds its client.
/// Sends nothing.
pub(super) async fn connect(target: &TargetConfig) -> Result<Connected, Failure> {
    let (connection, sandbox) = match &target.endpoint {
        Endpoint::Remote(connection) => {
            secret_of(&connection.auth)
                .read()
                .map_err(|error| Failure::new(FailureKind::Configuration, &error))?;
            (connection.as_ref().clone(), None)
        }
        Endpoint::Sandbox { folder } => {
            let (connection, sandbox) = serve_sandbox(target, folder)
                .await
                .map_err(|error| Failure::new(FailureKind::Failed, &error))?;
            (connection, Some(sandbox))
        }
    };
    // What can go wrong here is in the configuration: a CA file, a plain http URL.
    let client = Client::new(connection)
        .map_err(|error| Failure::new(FailureKind::Configuration, &error))?;
    Ok(Connected { client, sandbox })
}

fn secret_of(auth: &Auth) -> &Secret {
    match auth {
        Auth::Bearer(secret) => secret,
        Auth::Basic { password, .. } => password,
        Auth::Header { value, .. } => value,
    }
}

/// Serves a target's sandbox on loopback, behind a token that only this process knows.
async fn serve_sandbox(
    target: &TargetConfig,
    folder: &Path,
) -> Result<(Connection, Sandbox), SandboxError> {
    let token = random_token();
    let sandbox = sandbox::serve(SandboxOptions {
        state: folder.to_path_buf(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        token: token.clone(),
        faults: Vec::new(),
        seed: 0,
    })
    .await?;
    let connection = Connection {
        base_url: sandbox.base_url(),
        auth: Auth::Bearer(Secret::Generated(GeneratedSecret::from(token))),
        timeout: target.timeout,
        ca_file: None,
        client_certificate: None,
        proxy: None,
        allow_plaintext: false,
        pace: target.pace,
    };
    Ok((connection, sandbox))
}

/// 244 random bits in hexadecimal, from the system's generator.
pub(super) fn random_token() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// The store knows how far the audit log went: one that ends earlier, or starts anew, has lost
/// records. That is no reason to leave a leaver where they are, so it is said and not refused.
fn check_audit(config: &Config, store: &Store, audit: &Audit) -> Result<Option<String>, Stop> {
    let mut written = 0;
    for target in config.targets.keys() {
        let progress = store.target(target).progress();
        let progress = progress.map_err(|error| Stop::failed(error.into()))?;
        written = written.max(progress.audited);
    }
    let last = audit.last_number();
    Ok((last < written).then(|| {
        format!(
            "the audit log has lost records: it ends at number {last}, and number {written} was \
             written; it goes on from where it ends. Nothing is done differently for it. If you \
             did not move it away yourself, keep the file and look for a copy"
        )
    }))
}

/// Links are keyed by the names of sources and targets. A name that is gone while another
/// one is new is taken for a rename, which would look like everyone leaving and everyone
/// joining: refused. A name that is only gone sends nothing, and is said.
fn check_renames(config: &Config, store: &Store) -> Result<Vec<String>, Stop> {
    let refused = |error: SnapshotError| Stop::failed(error.into());
    let (known_sources, known_targets) = store.names().map_err(refused)?;
    let mut warnings = Vec::new();

    let new_targets = config
        .targets
        .iter()
        .filter(|(name, _)| !known_targets.contains(name));
    let by_fingerprint: BTreeMap<&str, &str> = new_targets
        .map(|(name, target)| (target.target.fingerprint.as_str(), name.as_str()))
        .collect();
    for old in known_targets
        .iter()
        .filter(|name| !config.targets.contains_key(*name))
    {
        let progress = store.target(old).progress().map_err(refused)?;
        if let Some(new) = by_fingerprint.get(progress.fingerprint.as_str()) {
            return Err(renamed("target", old, new));
        }
        warnings.push(format!(
            "the target `{old}` is no longer configured: nothing is sent to it, and whoever \
             is there stays as they are"
        ));
    }

    let new_source = config
        .sources
        .keys()
        .find(|name| !known_sources.contains(name));
    for old in known_sources
        .iter()
        .filter(|name| !config.sources.contains_key(*name))
    {
        if !is_linked(config, store, old).map_err(refused)? {
            continue;
        }
        if let Some(new) = new_source {
            return Err(renamed("source", old, new));
        }
        warnings.push(format!(
            "the source `{old}` is no longer configured: whoever came from it stays as they are"
        ));
    }
    Ok(warnings)
}

fn renamed(what: &str, old: &str, new: &str) -> Stop {
    Stop::usage(anyhow!(
        "the {what} `{old}` is gone from the configuration and `{new}` is new"
    ))
    .hint(format!(
        "links are keyed by name: if this is the same {what}, call it `{old}` again"
    ))
}

/// Whether a configured target has links to records of this source. Only asked about a
/// source that is gone, so reading every link is affordable.
fn is_linked(config: &Config, store: &Store, source: &str) -> Result<bool, SnapshotError> {
    for target in config.targets.keys() {
        for link in store.target(target).links() {
            if link?.0.source == source {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
