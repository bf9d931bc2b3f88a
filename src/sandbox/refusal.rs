//! Why a request is refused, as RFC 7644 §3.12 has it: a status, a `scimType`, a detail.

use serde_json::{Map, Value, json};

use crate::scim::ERROR_SCHEMA;

/// A refused request. The detail is for people and may quote what they sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) scim_type: Option<&'static str>,
    pub(super) detail: String,
    /// With 405: the methods that are possible (RFC 9110 §15.5.6).
    pub(super) allow: Option<&'static str>,
}

impl Refusal {
    /// A refusal that has no `scimType`.
    pub(super) fn plain(status: u16, detail: impl Into<String>) -> Self {
        Self {
            status,
            scim_type: None,
            detail: detail.into(),
            allow: None,
        }
    }

    /// 400 with a `scimType` of RFC 7644, table 9.
    pub(super) fn bad(scim_type: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: 400,
            scim_type: Some(scim_type),
            detail: detail.into(),
            allow: None,
        }
    }

    /// 405: another method is needed.
    pub(super) fn wrong_method(method: &str, allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::plain(405, format!("{method} is not possible here"))
        }
    }

    /// 409: the name is taken.
    pub(super) fn taken(detail: impl Into<String>) -> Self {
        Self {
            status: 409,
            scim_type: Some("uniqueness"),
            detail: detail.into(),
            allow: None,
        }
    }

    /// The body; its `status` is text (RFC 7644 §3.12).
    pub(super) fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("schemas".to_owned(), json!([ERROR_SCHEMA]));
        json.insert("status".to_owned(), json!(self.status.to_string()));
        if let Some(scim_type) = self.scim_type {
            json.insert("scimType".to_owned(), json!(scim_type));
        }
        json.insert("detail".to_owned(), json!(self.detail));
        Value::Object(json)
    }
}
