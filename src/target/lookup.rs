//! Looking for single resources by filter, trusting no answer that is not checked here.
//!
//! Servers were seen to ignore filters and answer with everybody: whoever takes the first
//! hit links, and later deactivates, the wrong person.

use provisor_connectors::Kind;
use serde_json::Value;

use super::client::Client;
use super::endpoint::collection;
use super::error::TargetError;
use super::exchange::Verb;
use crate::scim::filter;
use crate::scim::message::read_list;
use crate::scim::path::AttributePath;
use crate::scim::resource::{Listed, fold, read_emails, read_listed, read_path};
use crate::text;

/// A filter that a server cannot digest often is a 500: less patience, because a listing
/// can answer the same question.
const ATTEMPTS: u32 = 2;

/// What a filter's answer is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// These carry the key, compared on our side. Empty is only a hint unless filters are
    /// proven at this target.
    Found(Vec<Listed>),
    /// The filter was not honoured (foreign hits, an error, several hits for a unique key):
    /// use a listing.
    NotHonoured,
}

impl Client {
    /// `GET /Users?filter=path eq "value"`. `emails` looks at every address.
    ///
    /// A refusal of the filter is [`Lookup::NotHonoured`]; an error is what concerns the
    /// whole target: 401, a busy or an unreachable server.
    pub async fn look_up(
        &self,
        kind: Kind,
        path: &AttributePath,
        value: &Value,
    ) -> Result<Lookup, TargetError> {
        let by_email = path.schema.is_none() && path.attribute.eq_ignore_ascii_case("emails");
        let name = if by_email {
            "emails.value".to_owned()
        } else {
            path.to_string()
        };
        let text = match value {
            Value::String(text) => filter::equals(&name, text),
            Value::Bool(_) | Value::Number(_) => format!("{name} eq {value}"),
            // Nothing that a filter could compare.
            Value::Null | Value::Array(_) | Value::Object(_) => return Ok(Lookup::NotHonoured),
        };
        let query = [("filter", text.as_str())];
        let mut call = self.call(Verb::Get, collection(kind), &query, None)?;
        call.attempts = ATTEMPTS;
        let answer = match self.exchange(&call).await {
            Ok(answer) => answer,
            Err(TargetError::Refused { status, .. })
                if !matches!(status, 401 | 429 | 502 | 503 | 504) =>
            {
                return Ok(Lookup::NotHonoured);
            }
            Err(TargetError::Unusable { .. }) => return Ok(Lookup::NotHonoured),
            Err(error) => return Err(error),
        };
        let Some(page) = answer.json().and_then(read_list) else {
            return Ok(Lookup::NotHonoured);
        };
        // More than arrived: the rest is on pages that nobody asked for.
        let received = page.resources.len() as u64;
        if page.total.is_some_and(|total| total > received) || page.next_cursor.is_some() {
            return Ok(Lookup::NotHonoured);
        }
        let Some(hits) = page
            .resources
            .into_iter()
            .map(read_listed)
            .collect::<Option<Vec<Listed>>>()
        else {
            return Ok(Lookup::NotHonoured);
        };
        let genuine = hits
            .iter()
            .all(|hit| carries(&hit.json, path, value, by_email));
        let too_many = hits.len() > 1 && is_unique(path);
        if genuine && !too_many {
            Ok(Lookup::Found(hits))
        } else {
            Ok(Lookup::NotHonoured)
        }
    }
}

/// Whether the resource has this value at this path, compared as the schema compares it.
fn carries(json: &Value, path: &AttributePath, value: &Value, by_email: bool) -> bool {
    if by_email {
        let wanted = value.as_str().unwrap_or_default();
        read_emails(json)
            .iter()
            .any(|address| text::is_same(address, wanted))
    } else {
        read_path(json, path).is_some_and(|found| fold(path, found) == fold(path, value))
    }
}

/// The keys of which a service provider may hold each value once: userName by RFC 7643
/// §4.1.1, externalId because it is ours.
fn is_unique(path: &AttributePath) -> bool {
    *path == AttributePath::user_name() || *path == AttributePath::external_id()
}

#[cfg(test)]
mod tests;
