//! What the sandbox says of itself: `/ServiceProviderConfig`, `/ResourceTypes`, `/Schemas`
//! (RFC 7644 §4).

use serde_json::{Value, json};

use super::query::MAX_COUNT;
use super::refusal::Refusal;
use super::schema::{Kind, SCHEMAS};
use crate::scim::{ENTERPRISE_SCHEMA, LIST_SCHEMA};

/// RFC 7643 §5.
pub(super) fn service_provider_config(base: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MAX_COUNT},
        "changePassword": {"supported": false},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The token that the sandbox was started with",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

/// All resource types, or the one of that id.
pub(super) fn resource_types(base: &str, id: Option<&str>) -> Result<Value, Refusal> {
    let all = [Kind::User, Kind::Group].map(|kind| resource_type(kind, base));
    select(all.into(), id, "resource type")
}

/// All schemas, or the one of that URN.
pub(super) fn schemas(base: &str, id: Option<&str>) -> Result<Value, Refusal> {
    let all = SCHEMAS.iter().map(|schema| {
        let mut json = schema.to_json();
        json.insert(
            "meta".to_owned(),
            json!({"resourceType": "Schema", "location": format!("{base}/Schemas/{}", schema.id)}),
        );
        Value::Object(json)
    });
    select(all.collect(), id, "schema")
}

fn resource_type(kind: Kind, base: &str) -> Value {
    let extensions = match kind {
        Kind::User => json!([{"schema": ENTERPRISE_SCHEMA, "required": false}]),
        Kind::Group => json!([]),
    };
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": kind.name(),
        "name": kind.name(),
        "endpoint": format!("/{}", kind.endpoint()),
        "schema": kind.schema(),
        "schemaExtensions": extensions,
        "meta": {
            "resourceType": "ResourceType",
            "location": format!("{base}/ResourceTypes/{}", kind.name()),
        },
    })
}

/// A listing of everything, or one of them. Nothing here pages: clients read it whole.
fn select(all: Vec<Value>, id: Option<&str>, what: &str) -> Result<Value, Refusal> {
    let Some(id) = id else {
        return Ok(json!({
            "schemas": [LIST_SCHEMA],
            "totalResults": all.len(),
            "startIndex": 1,
            "itemsPerPage": all.len(),
            "Resources": all,
        }));
    };
    all.into_iter()
        .find(|one| {
            one["id"]
                .as_str()
                .is_some_and(|known| known.eq_ignore_ascii_case(id))
        })
        .ok_or_else(|| Refusal::plain(404, format!("there is no {what} {id}")))
}
