//! A server that speaks TLS and notes what reaches it, and a proxy that notes what passes.
//!
//! The server holds nothing: it hands requests on to a sandbox, or points elsewhere. What it
//! did not hear was not sent.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::certificates::{Authority, Pair};
use super::http::Http;

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    /// Hands it on to the sandbox.
    Forward(Http),
    /// Answers 307 with this prefix before the request's path.
    Redirect(String),
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The method and the path, `GET /scim/v2/Users`.
    pub(crate) line: String,
    /// The version of HTTP.
    pub(crate) version: Version,
    /// Its headers.
    pub(crate) headers: HeaderMap,
}

/// How the server presents itself.
pub(crate) struct Presents<'a> {
    /// Its certificate.
    pub(crate) pair: &'a Pair,
    /// The protocols it offers (ALPN, RFC 7301), the dearest first.
    pub(crate) protocols: &'a [&'a str],
    /// Whose client certificates it demands.
    pub(crate) clients_of: Option<&'a Authority>,
}

/// A running server. It ends with the value.
pub(crate) struct TlsServer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    _runtime: Runtime,
}

impl TlsServer {
    /// Starts one on a free port of 127.0.0.1.
    pub(crate) fn start(presents: &Presents<'_>, then: Then) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the server");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let acceptor = TlsAcceptor::from(Arc::new(configure(presents)));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let address = listener.local_addr().expect("its own address");
        let router = Router::new().fallback({
            let heard = Arc::clone(&heard);
            move |request: Request<Body>| answer(request, then.clone(), Arc::clone(&heard))
        });
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    // A handshake that fails is the client's to tell of.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = auto::Builder::new(TokioExecutor::new())
                            .serve_connection(
                                TokioIo::new(stream),
                                TowerToHyperService::new(router),
                            )
                            .await;
                    }
                });
            }
        });
        Self {
            address,
            heard,
            _runtime: runtime,
        }
    }

    /// The base URL under its address.
    pub(crate) fn base_url(&self) -> String {
        format!("https://{}/scim/v2", self.address)
    }

    /// What arrived so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("nobody panics with it").clone()
    }
}

fn configure(presents: &Presents<'_>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3");
    let builder = match presents.clients_of {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(certificate(&authority.certificate()))
                .expect("an authority's certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                Arc::new(default_provider()),
            )
            .build()
            .expect("a verifier with one root");
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(presents.pair.key.as_bytes()).expect("a PEM key");
    let mut config = builder
        .with_single_cert(vec![certificate(&presents.pair.certificate)], key)
        .expect("a key that fits its certificate");
    config.alpn_protocols = presents
        .protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    config
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a PEM certificate")
}

async fn answer(
    request: Request<Body>,
    then: Then,
    heard: Arc<Mutex<Vec<Heard>>>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head
        .uri
        .path_and_query()
        .map_or_else(String::new, ToString::to_string);
    heard.lock().expect("nobody panics with it").push(Heard {
        line: format!("{} {}", head.method, head.uri.path()),
        version: head.version,
        headers: head.headers.clone(),
    });
    match then {
        Then::Redirect(prefix) => Response::builder()
            .status(307)
            .header("location", format!("{prefix}{path}"))
            .body(Body::empty())
            .expect("a redirect"),
        Then::Forward(sandbox) => {
            let body = to_bytes(body, 1 << 20).await.expect("a short body");
            let path = path.strip_prefix("/scim/v2").unwrap_or(&path);
            let mut request = reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a plain HTTP client")
                .request(head.method, format!("{}{path}", sandbox.base_url))
                .body(body);
            for name in ["authorization", "content-type"] {
                if let Some(value) = head.headers.get(name) {
                    request = request.header(name, value);
                }
            }
            let answer = request.send().await.expect("the sandbox answers");
            Response::builder()
                .status(answer.status())
                .header("content-type", "application/scim+json")
                .body(Body::from(answer.bytes().await.expect("its whole answer")))
                .expect("an answer")
        }
    }
}

/// A proxy (RFC 9110 §9.3.6) that leads every tunnel to one address, whatever host was asked
/// for, and keeps what clients sent to it.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    passed: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    /// Starts one whose tunnels lead to `to`. It ends with the process.
    pub(crate) fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its own address");
        let passed = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let passed = Arc::clone(&passed);
            move || {
                for client in listener.incoming().flatten() {
                    let passed = Arc::clone(&passed);
                    std::thread::spawn(move || tunnel(client, to, &passed));
                }
            }
        });
        Self { address, passed }
    }

    /// Everything that clients sent, as text as far as it is.
    pub(crate) fn passed(&self) -> String {
        let bytes = self.passed.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Serves one connection. Only `CONNECT` leads anywhere; anything else is noted and dropped.
fn tunnel(mut client: TcpStream, to: SocketAddr, passed: &Mutex<Vec<u8>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    let is_tunnel = head.starts_with(b"CONNECT ");
    passed
        .lock()
        .expect("nobody panics with it")
        .extend_from_slice(&head);
    if !is_tunnel {
        return;
    }
    let mut server = TcpStream::connect(to).expect("the server listens");
    let mut back = client.try_clone().expect("a second handle");
    let mut from_server = server.try_clone().expect("a second handle");
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .expect("the client reads");
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        passed
            .lock()
            .expect("nobody panics with it")
            .extend_from_slice(&buffer[..length]);
        if server.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}
