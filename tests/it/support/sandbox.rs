//! `provisor sandbox` as a server of its own, with its own state and its own log. The log is
//! the proof that calls are minimal: it is the server's word, not the client's.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::http::Http;
use super::run::{end, program};

/// A running sandbox. It is ended, by its process id, when this is dropped.
pub(crate) struct Sandbox {
    child: Child,
    folder: PathBuf,
    /// Where it listens, and its token.
    pub(crate) http: Http,
    /// The file that holds the token.
    pub(crate) token_file: PathBuf,
}

/// One line of the server's log.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Logged {
    /// `GET`, `POST` …
    pub(crate) method: String,
    /// The path, with or without the base path: see [`Logged::relative_path`].
    pub(crate) path: String,
    /// The body as received.
    #[serde(default)]
    pub(crate) body: Value,
    /// What the server answered, or would have, had the answer not been lost.
    pub(crate) status: u16,
}

impl Sandbox {
    /// Starts one in a folder of its own, on a free port of an address of its own.
    pub(crate) fn start(folder: &Path, faults: &[String]) -> Self {
        Self::start_at(&format!("{}:0", own_address()), folder, faults)
    }

    /// Starts one in a folder, which may be a copy of another's, on a port that is known.
    pub(crate) fn start_at(listen: &str, folder: &Path, faults: &[String]) -> Self {
        std::fs::create_dir_all(folder).expect("the sandbox's folder can be made");
        let token_file = folder.join("token");
        let state = folder.join("state");
        let (child, base_url) = spawn(listen, &state, &token_file, faults);
        let token = std::fs::read_to_string(&token_file).expect("the sandbox wrote its token");
        let http = Http {
            base_url,
            token: token.trim().to_owned(),
        };
        Self {
            child,
            folder: state,
            http,
            token_file,
        }
    }

    /// Ends it and starts it again on the same state and the same port, with other faults.
    pub(crate) fn restart(&mut self, faults: &[String]) {
        end(&mut self.child);
        let address = self.address();
        let (child, base_url) = spawn(&address, &self.folder, &self.token_file, faults);
        self.child = child;
        assert_eq!(base_url, self.http.base_url, "the address must stay");
    }

    /// The log so far, oldest first.
    pub(crate) fn log(&self) -> Vec<Logged> {
        let path = self.folder.join("requests.jsonl");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Resources by name: `userName` for `/Users`, `displayName` for `/Groups`. `None` when
    /// the server cannot be read now.
    pub(crate) fn named(&self, endpoint: &str) -> Option<BTreeMap<String, Value>> {
        let key = if endpoint == "/Groups" {
            "displayName"
        } else {
            "userName"
        };
        let listed = self.http.list(endpoint)?;
        let count = listed.len();
        let named: BTreeMap<String, Value> = listed
            .into_iter()
            .map(|resource| (resource[key].as_str().unwrap_or("?").to_owned(), resource))
            .collect();
        assert_eq!(named.len(), count, "two of {endpoint} have one {key}");
        Some(named)
    }

    /// Where it listens: address and port.
    pub(crate) fn address(&self) -> String {
        let rest = self.http.base_url.trim_start_matches("http://");
        rest.split('/').next().unwrap_or(rest).to_owned()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

impl Logged {
    /// The path below the base URL: `/Users/2819c223`.
    pub(crate) fn relative_path(&self) -> &str {
        self.path.strip_prefix("/scim/v2").unwrap_or(&self.path)
    }

    /// Whether it asked for a change. A search by POST does not.
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET" && !self.relative_path().ends_with("/.search")
    }

    /// Whether the server did what was asked, and so changed something.
    pub(crate) fn was_taken(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// An address of this machine's own that no other server of the tests has. A server that is
/// started again must get its port back: where all share 127.0.0.1, another test's server or
/// connection takes it while nobody listens.
fn own_address() -> Ipv4Addr {
    static SERVERS: AtomicU32 = AtomicU32::new(1);
    let process = std::process::id().to_be_bytes();
    let server = SERVERS.fetch_add(1, Ordering::Relaxed) % 250;
    let server = u8::try_from(server + 2).expect("at most 251");
    Ipv4Addr::new(127, process[2], process[3], server)
}

/// Starts the server and waits for its base URL. A port that is being given back (after a
/// restart) is tried again.
fn spawn(listen: &str, state: &Path, token_file: &Path, faults: &[String]) -> (Child, String) {
    for _ in 0..20 {
        let mut command = program();
        command
            .args(["sandbox", "--listen", listen, "--state"])
            .arg(state)
            .arg("--token-file")
            .arg(token_file);
        for fault in faults {
            command.args(["--fault", fault]);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut line = String::new();
        let _ = lines.read_line(&mut line);
        let base_url = line.trim().to_owned();
        if base_url.starts_with("http://") {
            // Keeps the pipe open, so that whatever else it prints does not end it.
            std::thread::spawn(move || {
                let mut rest = String::new();
                while matches!(lines.read_line(&mut rest), Ok(read) if read > 0) {
                    rest.clear();
                }
            });
            return (child, base_url);
        }
        end(&mut child);
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the sandbox did not print its base URL; faults were {faults:?}");
}
