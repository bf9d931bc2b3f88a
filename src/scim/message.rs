//! Protocol messages: listings, errors, the service provider's configuration, PATCH bodies.
//! Read leniently (names in any case, numbers as strings), written strictly.

use serde_json::Value;

/// One operation of a PATCH (RFC 7644 §3.5.2), in the default dialect.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Operation {
    /// `add`, `replace` or `remove`, lower case.
    pub op: Op,
    /// Always explicit.
    pub path: String,
    /// Absent for `remove`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// The three verbs of PATCH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Appends to a multi-valued attribute, sets any other.
    Add,
    /// Sets.
    Replace,
    /// Unassigns.
    Remove,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage {
    /// `totalResults`; `None` when absent or unusable.
    pub total: Option<u64>,
    /// `Resources`; empty when absent.
    pub resources: Vec<Value>,
    /// `nextCursor` (RFC 9865).
    pub next_cursor: Option<String>,
}

/// Reads a listing. `None` when the body is not one.
pub fn read_list(_json: Value) -> Option<ListPage> {
    unimplemented!()
}

/// What an error body said (RFC 7644 §3.12), as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// `scimType`.
    pub scim_type: Option<String>,
    /// `detail`.
    pub detail: Option<String>,
}

/// Reads an error body, however odd.
pub fn read_error(_body: &[u8]) -> ErrorBody {
    unimplemented!()
}

/// What a service provider says of itself (RFC 7643 §5). A hint, never a promise.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capabilities {
    /// `patch.supported`.
    pub patch: Option<bool>,
    /// `filter.supported`.
    pub filter: Option<bool>,
    /// `filter.maxResults`.
    pub filter_max_results: Option<u64>,
    /// `etag.supported`.
    pub etag: Option<bool>,
    /// `pagination.maxPageSize` (RFC 9865).
    pub max_page_size: Option<u64>,
}

/// Reads a `ServiceProviderConfig`.
pub fn read_capabilities(_json: &Value) -> Capabilities {
    unimplemented!()
}
