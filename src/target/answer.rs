//! Reading what came back: bodies within bounds, failures in words.
//!
//! Messages name no URL and no value: a query may hold a person's userName.

use std::error::Error;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

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

/// Puts an HTTP library's error into words.
pub(super) fn explain(error: &reqwest::Error, timeout: Duration) -> Breakdown {
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
            format!("timed out after {} s", timeout.as_secs_f64())
        } else {
            "timed out while connecting".to_owned()
        };
        return Breakdown {
            problem,
            in_doubt,
            transient: true,
        };
    }
    if let Some(problem) = explain_certificate(&chain(error)) {
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
fn explain_certificate(chain: &str) -> Option<String> {
    if !chain.contains("certificate") && !chain.contains("fatal alert") {
        return None;
    }
    let problem = if chain.contains("UnknownIssuer") || chain.contains("CaUsedAsEndEntity") {
        "the certificate is not trusted (unknown issuer; set ca_file)"
    } else if chain.contains("not valid for name") || chain.contains("NotValidForName") {
        "the certificate is for another host name"
    } else if chain.contains("not valid yet") || chain.contains("NotValidYet") {
        "the certificate is not valid yet (is the clock right?)"
    } else if chain.contains("expired") || chain.contains("Expired") {
        "the certificate expired"
    } else if chain.contains("fatal alert") {
        "the server refused the TLS handshake (does it want a client_certificate?)"
    } else if chain.contains("invalid peer certificate") {
        "the certificate is not valid"
    } else {
        return None;
    };
    Some(problem.to_owned())
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
    use super::*;

    #[test]
    fn a_servers_words_are_one_short_line() {
        assert_eq!(shorten("a\nb\u{1b}[31m\tc"), "a b[31m c");
        assert_eq!(shorten(&"é".repeat(200)), "é".repeat(200));
        let long = shorten(&"é".repeat(5000));
        assert_eq!(long.chars().count(), DETAIL_LENGTH);
        assert!(long.ends_with('…'));
    }

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
                "another host name",
            ),
            (
                "received fatal alert: CertificateRequired",
                "client_certificate",
            ),
        ];
        for (chain, expected) in cases {
            let problem = explain_certificate(chain).unwrap();
            assert!(problem.contains(expected), "{problem}");
        }
        assert_eq!(explain_certificate("tcp connect error"), None);
    }
}
