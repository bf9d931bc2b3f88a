//! URLs below a target's base: ids as one path segment, values as one query value.
//!
//! Nothing from a directory or a server is ever interpolated into a URL as it is
//! (DESIGN §11): what is not unreserved (RFC 3986 §2.3) is percent-encoded here.

use std::fmt::Write;

use provisor_connectors::Kind;
use url::{Host, Url};

use super::error::TargetError;
use crate::scim::resource::ResourceId;

/// The collection's path below the base (RFC 7644 §3.2).
pub(super) fn collection(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "/Users",
        Kind::Group => "/Groups",
    }
}

/// How one resource's endpoint is shown in messages: without the id, which at some servers is
/// a person's e-mail address.
pub(super) fn shown_resource(kind: Kind) -> String {
    format!("{}/{{id}}", collection(kind))
}

/// `base/Users?name=value&…`, the values encoded.
pub(super) fn collection_url(base: &Url, path: &str, query: &[(&str, &str)]) -> Option<Url> {
    let mut text = format!("{}{path}", base.as_str().trim_end_matches('/'));
    for (index, (name, value)) in query.iter().enumerate() {
        let separator = if index == 0 { '?' } else { '&' };
        text.push(separator);
        text.push_str(name);
        text.push('=');
        text.push_str(&encode(value));
    }
    Url::parse(&text).ok()
}

/// `base/Users/{id}`, the id encoded as one segment.
///
/// # Errors
///
/// An empty id would address the whole collection; `.` and `..` climb even when encoded
/// (WHATWG URL, "double-dot path segment"). None of them can be sent.
pub(super) fn resource_url(
    base: &Url,
    method: &'static str,
    kind: Kind,
    id: &ResourceId,
) -> Result<Url, TargetError> {
    let usable = !matches!(id.0.as_str(), "" | "." | "..");
    let path = format!("{}/{}", collection(kind), encode(&id.0));
    usable
        .then(|| collection_url(base, &path, &[]))
        .flatten()
        .ok_or_else(|| TargetError::Unusable {
            method,
            path: shown_resource(kind),
            problem: format!("the id {:?} cannot be part of a URL", id.0),
        })
}

/// Whether the host is this machine. Names are not resolved: only what cannot be anything
/// else counts (RFC 6761 §6.3 for `localhost`).
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url::parse("https://app.example/scim/v2").unwrap()
    }

    fn path_of(id: &str) -> String {
        let id = ResourceId(id.to_owned());
        let url = resource_url(&base(), "GET", Kind::User, &id).unwrap();
        assert_eq!(url.query(), None);
        url.path().to_owned()
    }

    #[test]
    fn an_id_is_one_segment_whatever_it_holds() {
        let cases = [
            ("2819c223-7f76", "2819c223-7f76"),
            ("ana@example.com", "ana%40example.com"),
            ("a/b", "a%2Fb"),
            ("../Groups/1", "..%2FGroups%2F1"),
            ("a?b#c", "a%3Fb%23c"),
            ("100%", "100%25"),
            ("%2e%2e", "%252e%252e"),
            (".\t.", ".%09."),
            ("a b+c", "a%20b%2Bc"),
            ("é", "%C3%A9"),
            ("...", "..."),
        ];
        for (id, segment) in cases {
            assert_eq!(path_of(id), format!("/scim/v2/Users/{segment}"), "{id:?}");
        }
    }

    #[test]
    fn an_id_that_would_climb_or_name_the_collection_is_refused() {
        for id in ["", ".", ".."] {
            let id = ResourceId(id.to_owned());
            let error = resource_url(&base(), "DELETE", Kind::User, &id).unwrap_err();
            assert!(matches!(error, TargetError::Unusable { .. }), "{error}");
        }
    }

    #[test]
    fn a_query_value_keeps_plus_and_space_apart() {
        let query = [("filter", r#"userName eq "a+b c&d""#), ("count", "10")];
        let url = collection_url(&base(), "/Users", &query).unwrap();
        assert_eq!(
            url.as_str(),
            "https://app.example/scim/v2/Users?filter=userName%20eq%20%22a%2Bb%20c%26d%22&count=10"
        );
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in [
            "localhost",
            "app.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
        ] {
            let url = Url::parse(&format!("http://{host}:8080/")).unwrap();
            assert!(is_loopback(&url), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "128.0.0.1", "[::2]"] {
            let url = Url::parse(&format!("http://{host}:8080/")).unwrap();
            assert!(!is_loopback(&url), "{host}");
        }
    }
}
