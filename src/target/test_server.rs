//! A scripted HTTP server on loopback, for tests: it answers as told, badly if told so, and
//! remembers every request. It imports nothing of the client.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

use super::{Auth, Client, Connection, Pace, Secret};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query, undecoded.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What to do with a request.
pub(crate) enum Reply {
    /// Status, extra header lines, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Close the connection without a word.
    Cut,
    /// Announce more than is sent, then close.
    CutInBody(u16),
    /// Say nothing for longer than any client waits.
    Hang,
}

/// A SCIM answer.
pub(crate) fn json(status: u16, body: Value) -> Reply {
    let kind = ("Content-Type", "application/scim+json".to_owned());
    Reply::Answer(status, vec![kind], body.to_string().into_bytes())
}

/// An answer without a body.
pub(crate) fn status(status: u16) -> Reply {
    Reply::Answer(status, Vec::new(), Vec::new())
}

/// An answer without a body but with a header.
pub(crate) fn header(status: u16, name: &'static str, value: impl Into<String>) -> Reply {
    Reply::Answer(status, vec![(name, value.into())], Vec::new())
}

/// Writes a file that only its owner can read.
pub(crate) fn write_secret(path: &Path, secret: &str) {
    std::fs::write(path, secret).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Ends with its value.
pub(crate) struct TestServer {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl TestServer {
    /// `reply` is told the request and how many came before it.
    pub(crate) async fn start(
        reply: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let reply = Arc::new(reply);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
                tokio::spawn(async move {
                    // A client that goes away is none of the server's business.
                    let _ = serve(stream, &log, &*reply).await;
                });
            }
        });
        Self {
            url: Url::parse(&format!("http://{address}/scim")).unwrap(),
            seen,
            task,
        }
    }

    /// Gives these answers in turn, then the last one for ever.
    pub(crate) async fn answering(replies: Vec<fn() -> Reply>) -> Self {
        Self::start(move |_, n| replies[n.min(replies.len() - 1)]()).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// "METHOD target" of each request.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen()
            .iter()
            .map(|seen| format!("{} {}", seen.method, seen.target))
            .collect()
    }

    /// A connection to this server, with short delays.
    pub(crate) fn connection(&self) -> Connection {
        Connection {
            base_url: self.url.clone(),
            auth: Auth::Bearer(Secret::Generated("s3cret".to_owned().into())),
            timeout: Duration::from_secs(10),
            ca_file: None,
            client_certificate: None,
            proxy: None,
            allow_plaintext: false,
            pace: Pace {
                requests_per_second: None,
                concurrency: 4,
            },
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.connection())
            .unwrap()
            .with_delay_factor(0.01)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Seen>>,
    reply: &(dyn Fn(&Seen, usize) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let seen = read_request(&mut stream).await?;
    let before = {
        let mut log = log.lock().unwrap();
        log.push(seen.clone());
        log.len() - 1
    };
    match reply(&seen, before) {
        Reply::Answer(status, headers, body) => {
            let mut head = format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.shutdown().await
        }
        Reply::Cut => Ok(()),
        Reply::CutInBody(status) => {
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: 1000\r\n\r\n{{\"id\":");
            stream.write_all(head.as_bytes()).await
        }
        Reply::Hang => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Seen {
        method: first.next().unwrap_or_default().to_owned(),
        target: first.next().unwrap_or_default().to_owned(),
        headers,
        body: String::from_utf8_lossy(&bytes[end + 4..]).into_owned(),
    })
}
