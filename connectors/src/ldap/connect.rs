//! A connection to one server: made, encrypted, signed in.
//!
//! Everything has a time-out. The password is read when it is used. Must not read entries,
//! apart from what the server says of itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, StdStream};
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use tokio::sync::Mutex;
use tokio::time;

use super::config::LdapConfig;
use super::dn::Dn;
use super::error::{CUT, GARBAGE, LATE, Request};
use super::flavor::{ROOT_ATTRIBUTES, RootDse};
use super::message::Malformed;
use super::search::first_entry;
use super::tls;
use super::url::ServerUrl;
use super::wire::{self, Carrier};
use crate::secret::Secret;
use crate::source::SourceError;

/// How connections are made. Opens nothing itself.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    servers: Vec<ServerUrl>,
    sign_in: SignIn,
    start_tls: bool,
    ca_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    allow_plaintext: bool,
    pub(super) timeout: Duration,
}

#[derive(Debug, Clone)]
enum SignIn {
    Simple { name: String, password: Secret },
    External,
}

/// A server that was reached and signed in to. Closed when dropped.
pub(super) struct Connection {
    /// Its URL, for messages.
    pub(super) server: String,
    /// What it says of itself.
    pub(super) root: RootDse,
    pub(super) timeout: Duration,
    ldap: Ldap,
    carrier: Mutex<Carrier>,
}

/// Why one server did not do.
enum Attempt {
    /// Another one may.
    NotReached(SourceError),
    /// Another one would say the same, and would count a second wrong password.
    Refused(SourceError),
}

impl Connector {
    /// Takes relative paths from the folder `base`.
    pub(super) fn new(config: &LdapConfig, base: &Path) -> Self {
        let sign_in = match (&config.bind_dn, &config.bind_password) {
            (Some(name), Some(password)) => SignIn::Simple {
                name: name.clone(),
                password: password.clone().below(base),
            },
            _ => SignIn::External,
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| base.join(path));
        Self {
            servers: config.url.as_slice().to_vec(),
            sign_in,
            start_tls: config.start_tls,
            ca_file: path(&config.ca_file),
            client_certificate: path(&config.client_certificate),
            allow_plaintext: config.allow_plaintext,
            timeout: config.timeout(),
        }
    }

    /// Connects to the first server that answers.
    pub(super) async fn connect(&self) -> Result<Connection, SourceError> {
        self.connect_to_one_of(&self.servers).await
    }

    /// Connects to a server once more: another one may have heard of less.
    pub(super) async fn connect_again(&self, to: &Connection) -> Result<Connection, SourceError> {
        let servers = self.servers.iter();
        let same: Vec<ServerUrl> = servers
            .filter(|server| server.to_string() == to.server)
            .cloned()
            .collect();
        self.connect_to_one_of(&same).await
    }

    /// Connects to the server that a referral names, under the rules of the configured ones:
    /// where those speak TLS, this one must. `host` may hold a port.
    pub(super) async fn connect_elsewhere(&self, host: &str) -> Result<Connection, SourceError> {
        let encrypted = self.servers.iter().any(|url| !url.is_plain());
        let scheme = if encrypted { "ldaps" } else { "ldap" };
        let refuse = |problem: String| SourceError::Configuration { problem };
        let url = ServerUrl::try_from(format!("{scheme}://{host}"))
            .map_err(|_| refuse(format!("a referral names `{host}`, which is no server")))?;
        if url.is_plain() && !self.start_tls && !url.is_loopback() && !self.allow_plaintext {
            return Err(refuse(format!(
                "a referral leads to {url}, which would get the password in the clear: use \
                 ldaps:// or `start_tls = true`, or set `referrals = \"ignore\"`"
            )));
        }
        self.connect_to_one_of(&[url]).await
    }

    async fn connect_to_one_of(&self, servers: &[ServerUrl]) -> Result<Connection, SourceError> {
        let mut failures = Vec::new();
        for server in servers {
            match self.attempt(server).await {
                Ok(connection) => return Ok(connection),
                Err(Attempt::Refused(error)) => return Err(error),
                Err(Attempt::NotReached(error)) => {
                    tracing::debug!(%server, "cannot be reached: {error}");
                    failures.push(error);
                }
            }
        }
        let last = failures.pop();
        let others: Vec<String> = failures.iter().map(ToString::to_string).collect();
        match last {
            Some(SourceError::Server {
                server,
                problem,
                source,
            }) if !others.is_empty() => Err(SourceError::Server {
                server,
                problem: format!("{problem}; before that, {}", others.join("; ")),
                source,
            }),
            Some(error) => Err(error),
            // The configuration has at least one.
            None => Err(SourceError::Configuration {
                problem: "`url` names no server".to_owned(),
            }),
        }
    }

    /// Files are read again for each connection, so that certificates can be replaced.
    async fn tls(&self) -> Result<Arc<ClientConfig>, SourceError> {
        let (ca_file, certificate) = (self.ca_file.clone(), self.client_certificate.clone());
        let build = move || tls::client(ca_file.as_deref(), certificate.as_deref());
        match tokio::task::spawn_blocking(build).await {
            Ok(built) => built,
            Err(_) => Err(SourceError::Abandoned),
        }
    }

    async fn attempt(&self, server: &ServerUrl) -> Result<Connection, Attempt> {
        let tls = match self.start_tls || !server.is_plain() {
            true => Some(self.tls().await.map_err(Attempt::Refused)?),
            false => None,
        };
        let name = server.to_string();
        let request = Request::Connect;
        let not_reached = |error| Attempt::NotReached(error);
        let wired = wire::connect(server, tls);
        let (stream, carrier) = match time::timeout(self.timeout, wired).await {
            Ok(Ok(wired)) => wired,
            Ok(Err(error)) => return Err(not_reached(request.cut(&name, error))),
            Err(_) => return Err(not_reached(request.failed(&name, LATE, None))),
        };
        // The URL is not looked at beyond its scheme: the stream is there.
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(stream));
        let local = LdapConnAsync::with_settings(settings, "ldapi:///");
        let (driver, ldap) = local
            .await
            .map_err(|error| not_reached(request.broken(&name, error)))?;
        // What it ends with, the carrier knows better.
        tokio::spawn(async { drop(driver.drive().await) });
        let mut connection = Connection {
            server: name,
            root: RootDse::default(),
            timeout: self.timeout,
            ldap,
            carrier: Mutex::new(carrier),
        };
        self.sign_in(&mut connection).await?;
        connection.root = connection.read_root().await.map_err(Attempt::Refused)?;
        Ok(connection)
    }

    async fn sign_in(&self, connection: &mut Connection) -> Result<(), Attempt> {
        let request = Request::Bind;
        let timeout = self.timeout;
        let answer = match &self.sign_in {
            SignIn::External => guarded(timeout, connection.ldap.sasl_external_bind()).await,
            SignIn::Simple { name, password } => {
                let password = read_password(password.clone()).await;
                let password = password.map_err(Attempt::Refused)?;
                let bind = connection.ldap.simple_bind(name, password.expose_secret());
                guarded(timeout, bind).await
            }
        };
        let server = connection.server.clone();
        match answer {
            Ok(LdapResult { rc: 0, .. }) => Ok(()),
            // Busy, unavailable: another server may do.
            Ok(result @ LdapResult { rc: 51 | 52, .. }) => {
                Err(Attempt::NotReached(request.refused(&server, &result)))
            }
            Ok(result) => Err(Attempt::Refused(request.refused(&server, &result))),
            Err(error) => {
                let error = connection.explain(&request, error).await;
                Err(Attempt::NotReached(error))
            }
        }
    }
}

impl Connection {
    /// A handle for one operation.
    pub(super) fn handle(&self) -> Ldap {
        let mut ldap = self.ldap.clone();
        ldap.with_timeout(self.timeout);
        ldap
    }

    /// What went wrong with a request. When the connection broke, its end says why.
    pub(super) async fn explain(&self, request: &Request, trouble: Trouble) -> SourceError {
        let cut = matches!(
            trouble,
            Trouble::Library(
                LdapError::EndOfStream
                    | LdapError::OpSend { .. }
                    | LdapError::ResultRecv { .. }
                    | LdapError::IdScrubSend { .. }
            )
        );
        if !cut {
            return trouble.of(request, &self.server);
        }
        let mut carrier = self.carrier.lock().await;
        match time::timeout(Duration::from_secs(1), &mut *carrier).await {
            Ok(Ok(error)) => request.cut(&self.server, error),
            _ => request.failed(&self.server, CUT, None),
        }
    }

    async fn read_root(&self) -> Result<RootDse, SourceError> {
        let request = Request::RootEntry;
        let mut ldap = self.handle();
        let root = Dn::parse("").map_err(|_| request.failed(&self.server, GARBAGE, None))?;
        let search = ldap.search(
            root.as_str(),
            ldap3::Scope::Base,
            "(objectClass=*)",
            ROOT_ATTRIBUTES,
        );
        let (entries, result) = match guarded(self.timeout, search).await {
            Ok(found) => (found.0, found.1),
            Err(trouble) => return Err(self.explain(&request, trouble).await),
        };
        if result.rc != 0 {
            return Err(request.refused(&self.server, &result));
        }
        match first_entry(&entries) {
            Ok(Some(entry)) => Ok(RootDse::of(&entry)),
            Ok(None) => Ok(RootDse::default()),
            Err(Malformed) => Err(request.failed(&self.server, GARBAGE, None)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.carrier.get_mut().abort();
    }
}

/// Why an operation came to nothing.
pub(super) enum Trouble {
    Library(LdapError),
    /// No answer in time.
    Late,
}

impl Trouble {
    fn of(self, request: &Request, server: &str) -> SourceError {
        match self {
            Trouble::Library(error) => request.broken(server, error),
            Trouble::Late => request.failed(server, LATE, None),
        }
    }
}

/// Runs an operation of the library within a time-out.
pub(super) async fn guarded<T>(
    timeout: Duration,
    operation: impl Future<Output = Result<T, LdapError>>,
) -> Result<T, Trouble> {
    match time::timeout(timeout, operation).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Trouble::Library(error)),
        Err(_) => Err(Trouble::Late),
    }
}

async fn read_password(secret: Secret) -> Result<secrecy::SecretString, SourceError> {
    match tokio::task::spawn_blocking(move || secret.read()).await {
        Ok(read) => Ok(read?),
        Err(_) => Err(SourceError::Abandoned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a referral to `host` where this is configured.
    async fn refusal(configured: &str, host: &str) -> String {
        let text = format!("{configured}\nsasl = 'external'\n[users]\nbase = 'dc=x'");
        let config: LdapConfig = toml::from_str(&text).unwrap();
        let connector = Connector::new(&config, Path::new("/"));
        match connector.connect_elsewhere(host).await {
            Ok(_) => panic!("nothing listens there"),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_referral_leads_nowhere_by_a_less_safe_way() {
        let plain = "url = 'ldap://localhost'";
        let said = refusal(plain, "ldap.example.com").await;
        assert!(said.contains("in the clear"), "{said}");
        let said = refusal(plain, "127.0.0.1:1").await;
        assert!(said.contains("ldap://127.0.0.1:1"), "{said}");
        let said = refusal("url = 'ldaps://localhost'", "127.0.0.1:1").await;
        assert!(said.contains("ldaps://127.0.0.1:1"), "{said}");
        let said = refusal(plain, "no server").await;
        assert!(said.contains("which is no server"), "{said}");
    }
}
