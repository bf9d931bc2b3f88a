//! Protocol messages: listings, errors, the service provider's configuration, PATCH bodies.
//! Read leniently (names in any case, numbers as strings), written strictly.

use serde_json::Value;

use super::resource::member;

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

/// Reads a listing. `None` when the body is not one: neither `Resources` nor `totalResults`,
/// or `Resources` that is no array.
pub fn read_list(json: Value) -> Option<ListPage> {
    let total = member(&json, "totalResults").and_then(read_number);
    let next_cursor = member(&json, "nextCursor")
        .and_then(Value::as_str)
        .filter(|cursor| !cursor.is_empty())
        .map(str::to_owned);
    let has_total = member(&json, "totalResults").is_some();
    let Value::Object(fields) = json else {
        return None;
    };
    let resources = fields
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("Resources"))
        .map(|(_, resources)| resources);
    let resources = match resources {
        Some(Value::Array(resources)) => resources,
        // Absent when there are none (RFC 7644 §3.4.2); some servers write null.
        Some(Value::Null) | None if has_total => Vec::new(),
        _ => return None,
    };
    Some(ListPage {
        total,
        resources,
        next_cursor,
    })
}

/// What an error body said (RFC 7644 §3.12), as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// `scimType`.
    pub scim_type: Option<String>,
    /// `detail`.
    pub detail: Option<String>,
}

/// The longest detail that is kept, in characters.
const DETAIL_LIMIT: usize = 500;

/// Reads an error body, however odd: SCIM 2.0 and 1.1, the usual `message` and `error`, or
/// plain text. HTML says nothing that helps and reads as nothing. Long details are cut.
pub fn read_error(body: &[u8]) -> ErrorBody {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        return ErrorBody {
            scim_type: None,
            detail: (!text.starts_with('<')).then(|| shorten(text)).flatten(),
        };
    };
    // SCIM 1.1 wraps: {"Errors":[{"description":"…","code":"409"}]}; some wrap 2.0 alike.
    let wrapped = ["Errors", "error", "response"]
        .into_iter()
        .filter_map(|name| member(&json, name))
        .map(|inner| inner.get(0).unwrap_or(inner))
        .find(|inner| inner.is_object());
    let inner = wrapped.unwrap_or(&json);
    let text_of = |name: &str| match member(inner, name)? {
        Value::String(text) => shorten(text),
        Value::Null => None,
        other => shorten(&other.to_string()),
    };
    ErrorBody {
        scim_type: text_of("scimType"),
        detail: [
            "detail",
            "description",
            "message",
            "error_description",
            "error",
        ]
        .into_iter()
        .find_map(text_of)
        .or_else(|| json.as_str().and_then(shorten)),
    }
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
    /// `pagination.maxPageSize` (RFC 9865 §4).
    pub max_page_size: Option<u64>,
    /// `pagination.cursor` (RFC 9865 §4).
    #[serde(default)]
    pub cursor: Option<bool>,
}

/// Reads a `ServiceProviderConfig`. What is absent or unusable is `None`.
pub fn read_capabilities(json: &Value) -> Capabilities {
    let find = |feature: &str, name: &str| member(member(json, feature)?, name);
    let supported = |feature: &str| find(feature, "supported").and_then(read_bool);
    Capabilities {
        patch: supported("patch"),
        filter: supported("filter"),
        filter_max_results: find("filter", "maxResults").and_then(read_number),
        etag: supported("etag"),
        max_page_size: find("pagination", "maxPageSize").and_then(read_number),
        cursor: find("pagination", "cursor").and_then(read_bool),
    }
}

/// A count: a number, or a number as text.
fn read_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number
            .as_u64()
            // 42.0 is what some runtimes make of an integer.
            .or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn whole(number: f64) -> Option<u64> {
    format!("{number:.0}")
        .parse()
        .ok()
        .filter(|_| number.fract() == 0.0)
}

/// A boolean: `true`, or `"True"` as text.
pub(crate) fn read_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn shorten(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    match text.char_indices().nth(DETAIL_LIMIT) {
        Some((end, _)) => Some(format!("{}…", &text[..end])),
        None => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn listings_are_read_in_any_spelling() {
        let page = read_list(json!({
            "TotalResults": "2", "resources": [{"id": "1"}, {"id": "2"}], "nextCursor": "abc",
        }));
        let page = page.unwrap();
        assert_eq!(page.total, Some(2));
        assert_eq!(page.resources.len(), 2);
        assert_eq!(page.next_cursor.as_deref(), Some("abc"));
    }

    #[test]
    fn an_empty_listing_may_lack_resources() {
        let page = read_list(json!({"totalResults": 0})).unwrap();
        assert_eq!((page.total, page.resources.len()), (Some(0), 0));
        let page = read_list(json!({"Resources": [], "nextCursor": ""})).unwrap();
        assert_eq!((page.total, page.next_cursor), (None, None));
    }

    #[test]
    fn what_is_not_a_listing_is_not_an_empty_one() {
        for body in [
            json!([]),
            json!({"id": "1"}),
            json!({"schemas": [ERROR], "detail": "no"}),
            json!({"totalResults": 1, "Resources": {"id": "1"}}),
            json!("text"),
        ] {
            assert_eq!(read_list(body.clone()), None, "{body}");
        }
    }

    const ERROR: &str = crate::scim::ERROR_SCHEMA;

    #[test]
    fn errors_are_read_however_odd() {
        let read = |body: &str| {
            let ErrorBody { scim_type, detail } = read_error(body.as_bytes());
            (scim_type.unwrap_or_default(), detail.unwrap_or_default())
        };
        let pair = |scim_type: &str, detail: &str| (scim_type.to_owned(), detail.to_owned());
        assert_eq!(
            read(r#"{"scimType":"uniqueness","detail":"taken","status":409}"#),
            pair("uniqueness", "taken")
        );
        assert_eq!(
            read(r#"{"ScimType":"uniqueness","Detail":"taken","status":"409"}"#),
            pair("uniqueness", "taken")
        );
        assert_eq!(
            read(r#"{"Errors":[{"description":"taken","code":"409"}]}"#),
            pair("", "taken")
        );
        assert_eq!(
            read(r#"{"error":{"message":"no seat"}}"#),
            pair("", "no seat")
        );
        assert_eq!(
            read(r#"{"error":"invalid_token","error_description":"expired"}"#),
            pair("", "expired")
        );
        assert_eq!(read(r#"{"detail":["a","b"]}"#), pair("", r#"["a","b"]"#));
        assert_eq!(read("upstream timed out"), pair("", "upstream timed out"));
        assert_eq!(read("<html><body>502</body></html>"), pair("", ""));
        assert_eq!(read(""), pair("", ""));
        assert_eq!(read(&"ä".repeat(900)).1.chars().count(), DETAIL_LIMIT + 1);
    }

    #[test]
    fn capabilities_are_hints() {
        let read = read_capabilities(&json!({
            "Patch": {"supported": "true"},
            "filter": {"supported": true, "maxResults": "200"},
            "etag": {"supported": 1},
            "pagination": {"cursor": "True", "maxPageSize": 100.0},
        }));
        assert_eq!(
            read,
            Capabilities {
                patch: Some(true),
                filter: Some(true),
                filter_max_results: Some(200),
                etag: None,
                max_page_size: Some(100),
                cursor: Some(true),
            }
        );
        assert_eq!(read_capabilities(&json!([])), Capabilities::default());
    }

    #[test]
    fn operations_are_written_as_the_rfc_has_them() {
        let remove = Operation {
            op: Op::Remove,
            path: "title".to_owned(),
            value: None,
        };
        assert_eq!(
            serde_json::to_value(&remove).unwrap(),
            json!({"op": "remove", "path": "title"})
        );
    }
}
