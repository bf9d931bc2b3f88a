//! Reading what came back: bodies within bounds, failures in words.
//!
//! Messages name no URL and no value: a query may hold a person's userName.

use std::error::Error;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::client::Connection;

/// The most that is read of a body with resources in it, in bytes. A group's answer lists its
/// members, so single resources are as large as a page.
pub(super) const RESOURCE_LIMIT: usize = 32 * 1024 * 1024;
/// The most that is read of an error's body, in bytes.
pub(super) const ERROR_LIMIT: usize = 1024 * 1024;
/// The most that is shown of a server's own words, in characters.
const DETAIL_LENGTH: usize = 200;

/// A 2xx answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The body; `None` when it broke off or was too large, which only matters to those who
    /// need it.
    pub(super) body: Option<Vec<u8>>,
    /// The version of what it shows (RFC 7644 §3.14).
    pub(super) etag: Option<String>,
}

impl Answer {
    /// The body as JSON. Depth is bounded by the parser (128).
    pub(super) fn json(&self) -> Option<Value> {
        let bytes = self.body.as_deref()?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        serde_json::from_slice(text).ok()
    }
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum BodyError {
    /// More than the limit.
    TooLarge,
    /// The connection broke, or time ran out.
    Broken(reqwest::Error),
}

/// Reads a body chunk by chunk and stops at the limit, whatever Content-Length said. The
/// limit counts what is left after decompression.
pub(super) async fn read_body(response: &mut Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Whether the answer is a web page: a login form or a proxy's notice, never SCIM.
pub(super) fn is_web_page(response: &Response) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| {
            kind.trim_start()
                .to_ascii_lowercase()
                .starts_with("text/html")
        })
}

/// A server's own words, fit for one line: no control characters, 200 characters at most.
pub(super) fn shorten(detail: &str) -> String {
    let mut words = detail
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control());
    let mut short: String = words.by_ref().take(DETAIL_LENGTH).collect();
    if words.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

/// What a failed exchange means.
pub(super) struct Breakdown {
    /// In words.
    pub(super) problem: String,
    /// Whether the request may have reached the server.
    pub(super) in_doubt: bool,
    /// Whether it may go better the next time. Not so for certificates.
    pub(super) transient: bool,
}

/// Puts an HTTP library's error into words. What was configured, and whether the server ever
/// `answered`, decides which words help.
pub(super) fn explain(
    error: &reqwest::Error,
    connection: &Connection,
    answered: bool,
) -> Breakdown {
    if error.is_builder() {
        return Breakdown {
            problem: "the request cannot be built".to_owned(),
            in_doubt: false,
            transient: false,
        };
    }
    // Before the connection stands, nothing has been sent.
    let in_doubt = !error.is_connect();
    if error.is_timeout() {
        let problem = if in_doubt {
            format!("timed out after {} s", connection.timeout.as_secs_f64())
        } else {
            "timed out while connecting".to_owned()
        };
        return Breakdown {
            problem,
            in_doubt,
            transient: true,
        };
    }
    if let Some(problem) = explain_certificate(&chain(error), connection) {
        return Breakdown {
            problem,
            in_doubt,
            transient: false,
        };
    }
    let problem = if error.is_dns() {
        "the host name cannot be resolved"
    } else if io_kind(error) == Some(std::io::ErrorKind::ConnectionRefused) {
        "connection refused"
    } else if error.is_connect() {
        "cannot connect"
    } else if error.is_body() || error.is_decode() {
        "the connection broke while the answer was read"
    } else if !answered && connection.base_url.scheme() == "https" {
        return Breakdown {
            problem: format!(
                "the connection broke before an answer arrived; {}",
                guess_client_certificate(connection)
            ),
            in_doubt,
            transient: true,
        };
    } else {
        "the connection broke before an answer arrived"
    };
    Breakdown {
        problem: problem.to_owned(),
        in_doubt,
        transient: true,
    }
}

/// The TLS library's verdicts, by its words: its types belong to a crate below the HTTP
/// client, which this one does not name.
fn explain_certificate(chain: &str, connection: &Connection) -> Option<String> {
    let holds = |words: &[&str]| words.iter().any(|word| chain.contains(word));
    if holds(&["fatal alert"]) {
        return Some(explain_alert(chain, connection));
    }
    if !holds(&["invalid peer certificate"]) {
        return None;
    }
    let problem = if holds(&["UnknownIssuer"]) && connection.ca_file.is_some() {
        "the server's certificate is not trusted: its issuer is unknown to the system and not \
         in ca_file"
    } else if holds(&["UnknownIssuer"]) {
        "the server's certificate is not trusted: its issuer is unknown; if it is your own CA, \
         set ca_file"
    } else if holds(&["CaUsedAsEndEntity"]) {
        "the server's certificate belongs to a CA, and is not one of a server; have that CA \
         issue one for the host"
    } else if holds(&["not valid for name", "NotValidForName"]) {
        "the server's certificate is for another host than that of base_url"
    } else if holds(&["not valid yet", "NotValidYet"]) {
        "the server's certificate is not valid yet (is the clock right?)"
    } else if holds(&["expired", "Expired"]) {
        "the server's certificate expired; it has to be renewed there"
    } else {
        "the server's certificate is not valid"
    };
    Some(problem.to_owned())
}

/// What a server means that breaks off the handshake. Most end it over the certificate of the
/// client, and few with the alert that says so (RFC 8446 §6.2).
fn explain_alert(chain: &str, connection: &Connection) -> String {
    if chain.contains("CertificateRequired") && connection.client_certificate.is_none() {
        return "the server demands a certificate of the client; set client_certificate".to_owned();
    }
    format!(
        "the server broke off the TLS handshake; {}",
        guess_client_certificate(connection)
    )
}

/// In TLS 1.3 the client has its side of the handshake done, and has sent its request, before
/// it hears that its certificate is missing or refused (RFC 8446 §4.4.2.4); over HTTP/2 the
/// library then only tells that the connection ended.
fn guess_client_certificate(connection: &Connection) -> &'static str {
    match connection.client_certificate {
        Some(_) => "it may have refused the client_certificate",
        None => "if it demands a certificate of the client, set client_certificate",
    }
}

/// All messages of an error and its sources.
fn chain(error: &reqwest::Error) -> String {
    sources(error)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn io_kind(error: &reqwest::Error) -> Option<std::io::ErrorKind> {
    sources(error)
        .filter_map(|source| source.downcast_ref::<std::io::Error>())
        .map(std::io::Error::kind)
        .last()
}

fn sources(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&source| source.source())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::target::{Auth, Pace, Secret};

    #[test]
    fn a_servers_words_are_one_short_line() {
        assert_eq!(shorten("a\nb\u{1b}[31m\tc"), "a b[31m c");
        assert_eq!(shorten(&"é".repeat(200)), "é".repeat(200));
        let long = shorten(&"é".repeat(5000));
        assert_eq!(long.chars().count(), DETAIL_LENGTH);
        assert!(long.ends_with('…'));
    }

    fn connection() -> Connection {
        Connection {
            base_url: "https://app.example.com/scim/v2".parse().unwrap(),
            auth: Auth::Bearer(Secret::Env("TOKEN".to_owned())),
            timeout: Duration::from_secs(30),
            ca_file: None,
            client_certificate: None,
            proxy: None,
            allow_plaintext: false,
            pace: Pace {
                requests_per_second: None,
                concurrency: 1,
            },
        }
    }

    /// The library's words are not ours to change: `tests/it/tls.rs` has it say them.
    #[test]
    fn certificate_failures_say_what_to_do() {
        let cases = [
            ("invalid peer certificate: UnknownIssuer", "set ca_file"),
            (
                "invalid peer certificate: certificate expired: verification time 2",
                "expired",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"a\"",
                "base_url",
            ),
            (
                "received fatal alert: CertificateRequired",
                "set client_certificate",
            ),
            (
                "received fatal alert: HandshakeFailure",
                "set client_certificate",
            ),
        ];
        for (chain, expected) in cases {
            let problem = explain_certificate(chain, &connection()).unwrap();
            assert!(problem.contains(expected), "{problem}");
        }
        assert_eq!(
            explain_certificate("tcp connect error", &connection()),
            None
        );
    }

    #[test]
    fn what_is_set_already_is_not_asked_for() {
        let given = Connection {
            ca_file: Some("ca.pem".into()),
            client_certificate: Some("client.pem".into()),
            ..connection()
        };
        let cases = [
            ("invalid peer certificate: UnknownIssuer", "not in ca_file"),
            (
                "received fatal alert: UnknownCa",
                "refused the client_certificate",
            ),
        ];
        for (chain, expected) in cases {
            let problem = explain_certificate(chain, &given).unwrap();
            assert!(problem.contains(expected), "{problem}");
            assert!(!problem.contains("set "), "{problem}");
        }
    }
}
