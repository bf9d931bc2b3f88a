//! The embedded SCIM 2.0 service provider: what `preset = "sandbox"` and `provisor sandbox`
//! talk to, so that the agent can be tried, and its tests run, without anybody's app.
//!
//! Strict where RFC 7644 is strict, durable before it answers, and able to misbehave on
//! request ([`Fault`]). It imports nothing of ours but `scim`; above all not the client that
//! is tried against it.

mod connection;
mod deviation;
mod discovery;
mod fault;
mod http;
mod journal;
mod patch;
mod query;
mod refusal;
mod schema;
mod state;
#[cfg(test)]
mod tests;
mod trouble;
mod validate;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use self::connection::{Cut, Door};
pub use self::fault::{Fault, FaultError, FaultHelp};
use self::http::Shared;

/// How long [`Sandbox::stop`] waits for requests under way.
const GRACE: Duration = Duration::from_secs(5);

/// How to serve. It has no `Debug`, because it holds the token.
pub struct SandboxOptions {
    /// The sandbox's own folder, created with mode 0700 where it is missing. Holds
    /// `resources.jsonl` and the log of requests, `requests.jsonl`.
    pub state: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The bearer token that clients must send. Never logged.
    pub token: String,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Where ids come from: 0 makes them random; anything else makes the same ids in the same
    /// order again, which only tests should want, because ids must not be reused.
    pub seed: u64,
}

/// A running sandbox. Dropped, it stops listening; [`Sandbox::stop`] also waits.
pub struct Sandbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<io::Result<()>>,
    stopping: DropGuard,
}

/// Why a sandbox cannot start or end well.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file in its folder could not be read or written.
    #[error("cannot use {}", path.display())]
    State {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its journal has a line that is none of ours.
    #[error(
        "{} is damaged at line {line}; move the folder away to start afresh",
        path.display()
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why it cannot be read.
        #[source]
        source: serde_json::Error,
    },
    /// Another sandbox has the folder.
    #[error("another sandbox is using {}; stop it, or use another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Serving ended by itself.
    #[error("the sandbox ended unexpectedly")]
    Serve {
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Opens the folder, binds the address and serves. When this returns, connections are taken.
pub async fn serve(options: SandboxOptions) -> Result<Sandbox, SandboxError> {
    let SandboxOptions {
        state,
        listen,
        token,
        faults,
        seed,
    } = options;
    let folder = state.clone();
    let opened = tokio::task::spawn_blocking(move || journal::open(&folder))
        .await
        .map_err(|error| SandboxError::State {
            path: state,
            source: io::Error::other(error),
        })??;
    let down = CancellationToken::new();
    let door = match Door::open(listen, down.clone()).await {
        Ok(door) => door,
        Err(source) => {
            close(opened.journal).await;
            return Err(SandboxError::Listen {
                address: listen,
                source,
            });
        }
    };
    let address = reachable(door.address());
    let shared = Arc::new(Shared::new(opened, address, token, faults, seed, down));
    let stopping = CancellationToken::new();
    let service = http::router(Arc::clone(&shared)).into_make_service_with_connect_info::<Cut>();
    let task = tokio::spawn({
        let stopping = stopping.clone();
        async move {
            axum::serve(door, service)
                .with_graceful_shutdown(stopping.cancelled_owned())
                .await
        }
    });
    Ok(Sandbox {
        address,
        shared,
        task,
        stopping: stopping.drop_guard(),
    })
}

impl Sandbox {
    /// Where clients find it: `http://127.0.0.1:PORT/scim/v2`.
    pub fn base_url(&self) -> Url {
        Url::parse(&http::base_url(self.address)).expect("an address makes a valid URL")
    }

    /// Stops taking connections, lets requests under way end (for at most five seconds), and
    /// closes the folder.
    pub async fn stop(self) -> Result<(), SandboxError> {
        let Self {
            address: _,
            shared,
            mut task,
            stopping,
        } = self;
        drop(stopping);
        let ended = tokio::time::timeout(GRACE, &mut task).await;
        if ended.is_err() {
            task.abort();
        }
        if let Some(journal) = shared.take_journal() {
            close(journal).await;
        }
        match ended {
            Ok(Ok(Err(source))) => Err(SandboxError::Serve { source }),
            Ok(Err(panic)) => Err(SandboxError::Serve {
                source: io::Error::other(panic),
            }),
            Ok(Ok(Ok(()))) | Err(_) => Ok(()),
        }
    }
}

async fn close(journal: journal::Journal) {
    // The task cannot be cancelled, and `finish` does not panic.
    let _ = tokio::task::spawn_blocking(move || journal.finish()).await;
}

/// An address to connect to: one that listens everywhere is reached through loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
