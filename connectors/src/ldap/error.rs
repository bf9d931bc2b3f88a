//! What servers answer, in words, and the errors of this source.
//!
//! Messages name the server, and the base and filter of a search. Must not hold a password, an
//! attribute's value or a person's name.

use std::error::Error;

use ldap3::{LdapError, LdapResult};

use super::dn::Dn;
use super::filter::Filter;
use super::wire::WireError;
use crate::source::SourceError;

/// Which request an answer belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// TCP, TLS and StartTLS.
    Connect,
    /// Signing in.
    Bind,
    /// Reading what the server says of itself.
    RootEntry,
    /// A search.
    Search { base: String, filter: String },
    /// Reading one entry in a place. Its own name may be a person's.
    Entry { place: String },
}

impl Request {
    pub(super) fn search(base: &Dn, filter: &Filter) -> Self {
        Request::Search {
            base: base.to_string(),
            filter: filter.to_string(),
        }
    }

    fn words(&self) -> String {
        match self {
            Request::Connect => "cannot connect".to_owned(),
            Request::Bind => "cannot sign in".to_owned(),
            Request::RootEntry => "cannot read the root entry".to_owned(),
            Request::Search { base, filter } => {
                format!("cannot search `{base}` for `{filter}`")
            }
            Request::Entry { place } => format!("cannot read an entry of `{place}`"),
        }
    }

    /// The server's refusal.
    pub(super) fn refused(&self, server: &str, result: &LdapResult) -> SourceError {
        let words = match self {
            Request::Bind => bind_refusal(result),
            _ => result_words(result),
        };
        match result.rc {
            // timeLimitExceeded, sizeLimitExceeded, adminLimitExceeded (RFC 4511, appendix A)
            3 | 4 | 11 => SourceError::Limit {
                server: server.to_owned(),
                problem: self.problem(&words),
            },
            _ => self.failed(server, &words, None),
        }
    }

    fn problem(&self, words: &str) -> String {
        format!("{}: {words}", self.words())
    }

    /// No answer, or none that can be understood.
    pub(super) fn broken(&self, server: &str, error: LdapError) -> SourceError {
        match error {
            LdapError::LdapResult { result } => self.refused(server, &result),
            LdapError::Timeout { .. } => self.failed(server, LATE, None),
            LdapError::FilterParsing => self.failed(server, "this is not a filter", None),
            _ => self.failed(server, CUT, None),
        }
    }

    /// No connection, or one that broke.
    pub(super) fn cut(&self, server: &str, error: WireError) -> SourceError {
        match error {
            WireError::Closed => self.failed(server, CUT, None),
            WireError::Malformed => self.failed(server, GARBAGE, None),
            WireError::NoStartTls => self.failed(server, "the server does not do StartTLS", None),
            WireError::Name => {
                let problem = "the URL's host is no name that a certificate can have";
                self.failed(server, problem, None)
            }
            WireError::Tls(error) => self.failed(server, tls_words(&error), Some(error.into())),
            WireError::Io(error) => self.failed(server, io_words(&error), Some(error.into())),
        }
    }

    /// What was not right, in words.
    pub(super) fn failed(
        &self,
        server: &str,
        problem: &str,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> SourceError {
        SourceError::Server {
            server: server.to_owned(),
            problem: self.problem(problem),
            source,
        }
    }
}

/// The connection ended before the answer did.
pub(super) const CUT: &str = "the connection ended before the answer was complete";

/// An answer that is no LDAP.
pub(super) const GARBAGE: &str = "the server's answer is not LDAP, or not understood";

/// No answer in time.
pub(super) const LATE: &str = "no answer within `timeout`";

fn io_words(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;

    match error.kind() {
        ErrorKind::ConnectionRefused => "nothing listens there",
        ErrorKind::TimedOut => LATE,
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => CUT,
        // In TLS 1.3 a client learns only after the handshake what the server thinks of it.
        ErrorKind::InvalidData => match tls_error(error) {
            Some(rustls::Error::AlertReceived(_)) => {
                "the server ended TLS; if it names an authority or a certificate, it does not \
                 accept the `client_certificate`"
            }
            Some(_) => "TLS failed",
            None => GARBAGE,
        },
        _ => "the connection failed",
    }
}

fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn tls_words(error: &std::io::Error) -> &'static str {
    use rustls::CertificateError::UnknownIssuer;
    use rustls::Error::InvalidCertificate;

    match tls_error(error) {
        Some(InvalidCertificate(UnknownIssuer)) => {
            "the certificate is of an authority that is not trusted; if it is your own, set \
             `ca_file`"
        }
        Some(InvalidCertificate(_)) => "the server's certificate is not accepted",
        _ => "TLS failed; is it a TLS port?",
    }
}

/// A result code in words, with the server's own after it (RFC 4511, appendix A).
pub(super) fn result_words(result: &LdapResult) -> String {
    let words = match result.rc {
        1 => "operations error: the server wants a sign-in first, or cannot answer",
        2 => "protocol error: the server did not understand the request",
        3 => "the server's time limit was reached before everything was read",
        4 => {
            "the server's size limit was reached before everything was read: raise it for \
              this account, or lower `page_size`"
        }
        7 => "the server does not know this way to sign in",
        8 => "the server wants encryption: use ldaps://, or `start_tls = true`",
        10 => {
            "this part is kept on another server: name that one, or set \
               `referrals = \"follow\"`"
        }
        11 => {
            "the server's administrative limit was reached before everything was read: raise \
               it for this account, or lower `page_size`"
        }
        12 => "the server cannot do what was asked for (a critical control)",
        13 => "the server wants encryption: use ldaps://, or `start_tls = true`",
        16 => "no such attribute",
        17 => "the server does not know an attribute in the filter",
        18 => "the server cannot match by an attribute in the filter in this way",
        21 => "a value in the filter does not have its attribute's form",
        32 => "the base does not exist, or this account may not see it",
        34 => "the base is no name that the server takes",
        48 => "this account may not sign in like this",
        49 => "the name or the password is wrong",
        50 => "this account is not allowed to",
        51 => "the server is busy",
        52 => "the server is not available",
        53 => "the server is not willing to",
        80 => "the server failed for a reason of its own",
        118 => "the request was cancelled",
        4096 => "the server cannot tell what has changed since then",
        _ => "the server refused",
    };
    with_code(words, result)
}

fn with_code(words: &str, result: &LdapResult) -> String {
    let text: String = result
        .text
        .chars()
        .filter(|character| !character.is_control())
        .take(300)
        .collect();
    match text.trim() {
        "" => format!("{words} (result code {})", result.rc),
        text => format!("{words} (result code {}: {text})", result.rc),
    }
}

/// Why a sign-in was refused. Active Directory says it in a part of its message, such as
/// `data 52e`.
fn bind_refusal(result: &LdapResult) -> String {
    let words = match data_code(&result.text) {
        Some("525") => "there is no such account",
        Some("52e") => "the name or the password is wrong",
        Some("52f") => "the account is restricted: blank passwords or hours are not allowed",
        Some("530") => "the account may not sign in at this hour",
        Some("531") => "the account may not sign in from this machine",
        Some("532") => "the account's password has expired",
        Some("533") => "the account is disabled",
        Some("568") => "the account is in too many groups",
        Some("701") => "the account has expired",
        Some("773") => "the account's password must be changed before the first sign-in",
        Some("775") => "the account is locked out",
        _ => return result_words(result),
    };
    with_code(words, result)
}

/// The code after `data ` in an Active Directory's message.
fn data_code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("data ")?;
    let end = rest
        .find(|character: char| !character.is_ascii_hexdigit())
        .unwrap_or(rest.len());
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(rc: u32, text: &str) -> LdapResult {
        LdapResult {
            rc,
            matched: String::new(),
            text: text.to_owned(),
            refs: Vec::new(),
            ctrls: Vec::new(),
        }
    }

    #[test]
    fn an_error_names_server_base_filter_and_code_in_words() {
        let base = Dn::parse("dc=example,dc=com").unwrap();
        let filter = Filter::parse("(objectClass=person)").unwrap();
        let request = Request::search(&base, &filter);
        let message = request
            .refused("ldaps://dc1.example.com", &result(4, ""))
            .to_string();
        for part in [
            "ldaps://dc1.example.com: ",
            "`dc=example,dc=com`",
            "`(objectClass=person)`",
            "size limit",
            "(result code 4)",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_limit_of_the_server_says_what_to_lower() {
        for code in [4, 11] {
            let words = result_words(&result(code, ""));
            assert!(words.contains("`page_size`"), "{words}");
        }
    }

    #[test]
    fn the_codes_of_an_active_directory_are_said_in_words() {
        let table = [
            ("52e", "password is wrong"),
            ("533", "disabled"),
            ("701", "has expired"),
            ("775", "locked out"),
            ("999", "name or the password"),
        ];
        for (code, words) in table {
            let text =
                format!("80090308: LdapErr: DSID-0C090447, comment: error, data {code}, v4563\0");
            let message = Request::Bind.refused("s", &result(49, &text)).to_string();
            assert!(message.contains("cannot sign in"), "{message}");
            assert!(message.contains(words), "{code}: {message}");
            assert!(!message.contains('\0'));
        }
    }
}
