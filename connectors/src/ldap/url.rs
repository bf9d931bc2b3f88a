//! Where a server is: `ldaps://host:636`, `ldap://host:389` or `ldapi://%2Frun%2Fslapd`.

use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

/// A server's URL. Only scheme, host and port: what is read is said by other keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// Whether it speaks without encryption unless StartTLS is asked for.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "ldap"
    }

    /// Whether it is a socket in the file system.
    pub fn is_local_socket(&self) -> bool {
        self.0.scheme() == "ldapi"
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// The path of a socket.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        self.is_local_socket()
            .then(|| percent_decoded(self.0.host_str().unwrap_or_default()))
    }

    /// Host and port.
    pub(super) fn address(&self) -> (&str, u16) {
        let usual = if self.is_plain() { 389 } else { 636 };
        (self.host(), self.0.port().unwrap_or(usual))
    }

    /// Without the brackets of an IPv6 address.
    fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

fn percent_decoded(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match digits {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let refuse = |problem: &str| {
            Err(format!(
                "{problem}\nwrite for example \"ldaps://dc1.example.com\""
            ))
        };
        let url = match Url::parse(text.trim()) {
            Ok(url) => url,
            Err(error) => return refuse(&format!("`url` is not a URL: {error}")),
        };
        if !matches!(url.scheme(), "ldaps" | "ldap" | "ldapi") {
            return refuse("`url` is none of ldaps://, ldap:// and ldapi://");
        }
        if url.host_str().is_none_or(str::is_empty) {
            return refuse("`url` names no server");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(
                "`url` holds a user name or password: they belong into `bind_dn` and \
                 `bind_password`",
            );
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return refuse(
                "`url` goes on after the server: what is read belongs into `users` and `groups`",
            );
        }
        Ok(Self(url))
    }
}

impl From<ServerUrl> for String {
    fn from(url: ServerUrl) -> Self {
        url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect() {
        let url = |text: &str| ServerUrl::try_from(text.to_owned()).unwrap();
        let table = [
            ("ldaps://dc1.example.com", ("dc1.example.com", 636)),
            ("ldap://dc1.example.com/", ("dc1.example.com", 389)),
            ("ldap://[::1]:3389", ("::1", 3389)),
        ];
        for (text, address) in table {
            assert_eq!(url(text).address(), address);
            assert_eq!(url(text).socket(), None);
        }
        let socket = url("ldapi://%2Frun%2Fslapd%2Fldapi").socket();
        assert_eq!(socket, Some(PathBuf::from("/run/slapd/ldapi")));
        assert!(url("ldap://[::1]:3389").is_loopback());
    }
}
