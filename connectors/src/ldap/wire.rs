//! The bytes between a server and the library: TCP, StartTLS, TLS, and each message of the
//! server's checked for its form before it is handed on.
//!
//! The library panics on answers that are not LDAP, and believes any length. It gets one end of
//! a local pair of sockets; the other end is here. Entries it gets many at a time.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};
use tokio_rustls::TlsConnector;

use super::message::{Exchange, Malformed, Received, length, succeeded};
use super::pack::Packer;
use super::url::ServerUrl;

/// Room for reading at a time.
const ROOM: usize = 64 * 1024;

/// As long entries wait for others of their search: a server sends them one by one, and each on its
/// own would wake three tasks. What ends the search waits for nothing.
const HELD: Duration = Duration::from_millis(5);

/// StartTLS as the first message: ExtendedRequest 1.3.6.1.4.1.1466.20037 (RFC 4511 §4.14).
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// Why a connection was not made, or ended.
#[derive(Debug)]
pub(super) enum WireError {
    Io(io::Error),
    /// The host is no name that a certificate can have.
    Name,
    /// The handshake failed, or the certificate is not to be trusted.
    Tls(io::Error),
    /// The server does not do StartTLS.
    NoStartTls,
    /// What it sent is not LDAP.
    Malformed,
    /// The server hung up.
    Closed,
}

impl From<Malformed> for WireError {
    fn from(_: Malformed) -> Self {
        WireError::Malformed
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        WireError::Io(error)
    }
}

/// What carries the messages. Ends when either side does, and then knows why.
pub(super) type Carrier = JoinHandle<WireError>;

/// Connects, and gives the end for the library. Encrypted, from the start or by StartTLS, where
/// there is something to encrypt with.
pub(super) async fn connect(
    server: &ServerUrl,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(std::os::unix::net::UnixStream, Carrier), WireError> {
    if let Some(path) = server.socket() {
        return carry(UnixStream::connect(path).await?);
    }
    let (host, port) = server.address();
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return carry(stream);
    };
    if server.is_plain() {
        ask_for_tls(&mut stream).await?;
    }
    let name = match host.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(host.to_owned()).map_err(|_| WireError::Name)?,
    };
    let handshake = TlsConnector::from(tls).connect(name, stream).await;
    carry(handshake.map_err(WireError::Tls)?)
}

/// Nothing may be read beyond the answer: it would be from before the encryption.
async fn ask_for_tls(stream: &mut TcpStream) -> Result<(), WireError> {
    let mut exchange = Exchange::default();
    exchange.sent(START_TLS)?;
    stream.write_all(START_TLS).await?;
    let mut answer = Vec::new();
    let size = loop {
        answer.push(stream.read_u8().await?);
        if let Some(size) = length(&answer)? {
            break size;
        }
    };
    if size > ROOM {
        return Err(WireError::Malformed);
    }
    let mut rest = vec![0; size.saturating_sub(answer.len())];
    stream.read_exact(&mut rest).await?;
    answer.extend(rest);
    if exchange.received(&answer)? == Received::Unasked {
        return Err(WireError::Closed);
    }
    match succeeded(&answer) {
        true => Ok(()),
        false => Err(WireError::NoStartTls),
    }
}

fn carry(
    server: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<(std::os::unix::net::UnixStream, Carrier), WireError> {
    let (library, ours) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let ours = UnixStream::from_std(ours)?;
    let carrier = tokio::spawn(async move {
        match exchange(ours, server).await {
            Ok(()) => WireError::Closed,
            Err(error) => error,
        }
    });
    Ok((library, carrier))
}

/// Carries messages both ways until one side ends.
async fn exchange(
    mut library: UnixStream,
    server: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<(), WireError> {
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let mut exchange = Exchange::default();
    let mut packer = Packer::default();
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    let mut room = (vec![0; ROOM], vec![0; ROOM]);
    let (mut from_library, mut to_library) = library.split();
    let mut held = pin!(time::sleep(HELD));
    loop {
        tokio::select! {
            read = from_library.read(&mut room.0) => {
                let bytes = &room.0[..read?];
                if bytes.is_empty() {
                    // The library is done. The server may get that politely, or not.
                    let _ = to_server.shutdown().await;
                    return Ok(());
                }
                asked.extend_from_slice(bytes);
                while let Some(size) = whole(&asked)? {
                    exchange.sent(&asked[..size])?;
                    to_server.write_all(&asked[..size]).await?;
                    asked.drain(..size);
                }
                to_server.flush().await?;
            }
            read = from_server.read(&mut room.1) => {
                let bytes = &room.1[..read?];
                if bytes.is_empty() {
                    return Err(WireError::Closed);
                }
                answered.extend_from_slice(bytes);
                if packer.is_empty() {
                    held.as_mut().reset(Instant::now() + HELD);
                }
                let mut done = 0;
                while let Some(size) = whole(&answered[done..])? {
                    let message = &answered[done..done + size];
                    match exchange.received(message)? {
                        Received::Unasked => {}
                        Received::Entry(found) => packer.add(&found),
                        Received::Answer => packer.pass(message),
                    }
                    done += size;
                }
                answered.drain(..done);
                if packer.is_due() {
                    to_library.write_all(packer.messages()).await?;
                    packer.clear();
                }
            }
            () = &mut held, if !packer.is_empty() => {
                to_library.write_all(packer.messages()).await?;
                packer.clear();
            }
        }
    }
}

/// The size of the first message, when it is there to its end.
fn whole(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    Ok(length(bytes)?.filter(|size| *size <= bytes.len()))
}
