//! Filters (RFC 7644 §3.4.2.2): writing the few that a client sends, and parsing and
//! evaluating all of them for the embedded service provider.

/// Writes `path eq "value"`, the value escaped as a JSON string. Not percent-encoded.
pub fn equals(_path: &str, _value: &str) -> String {
    unimplemented!()
}
