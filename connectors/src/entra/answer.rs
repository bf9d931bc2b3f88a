//! Reading what came back, within bounds: bodies, pages, errors, and values.
//!
//! Depth is bounded by the parser (128). Must not believe a link: that is for who follows it.

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

/// The most that is read of an answer, in bytes.
pub(super) const LIMIT: usize = 32 * 1024 * 1024;
/// The most that is read of an error, in bytes.
pub(super) const ERROR_LIMIT: usize = 256 * 1024;

/// Why a body was not read to its end.
pub(super) enum BodyError {
    TooLarge,
    Broken(reqwest::Error),
}

/// Reads a body chunk by chunk and stops at the limit, whatever Content-Length said. The
/// limit counts what is left after decompression.
pub(super) async fn read_body(
    response: &mut reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// One object of a list.
pub(super) type Item = Map<String, Json>;

/// One page of a list. Without `value` it is none.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) value: Vec<Item>,
    #[serde(rename = "@odata.nextLink")]
    pub(super) next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    pub(super) delta: Option<String>,
}

/// `{"error": {"code", "message"}}`.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: RefusalBody,
}

/// What an error says of itself.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RefusalBody {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

/// An error's code and words; empty where it is none of Graph's.
pub(super) fn read_refusal(body: &[u8]) -> RefusalBody {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    refusal.error
}

/// Whether an error says that a token for changes is of no use any more
/// (Graph, "Use delta query": 410, and codes that are written in several ways).
pub(super) fn is_resync(status: u16, code: &str) -> bool {
    let says = |words: &str| code.eq_ignore_ascii_case(words);
    let by_code = says("syncStateNotFound") || says("resyncRequired") || says("syncStateInvalid");
    status == 410 || (matches!(status, 400 | 404) && by_code)
}

/// The object's id. Ids in a directory are GUIDs; anything else is not of one.
pub(super) fn id(item: &Item) -> Option<Uuid> {
    let text = item.get("id")?.as_str()?;
    Uuid::try_parse(text).ok()
}

/// Whether an object is removed, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removed {
    /// It is in the deleted items, from where it can be restored.
    Changed,
    /// It is gone for good.
    Deleted,
}

/// `@removed`, where it stands. A reason that is not known is the milder one: nobody is
/// gone for good by a word that is not understood.
pub(super) fn removed(item: &Item) -> Option<Removed> {
    let removed = item.get("@removed")?;
    let is_deleted = removed.get("reason").and_then(Json::as_str) == Some("deleted");
    Some(match is_deleted {
        true => Removed::Deleted,
        false => Removed::Changed,
    })
}

/// A related object, as `members@delta` and `manager@delta` list them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Related {
    pub(super) id: Uuid,
    /// `user`, `group` …; `None`: it does not say.
    pub(super) of_type: Option<String>,
    pub(super) is_removed: bool,
}

/// The related objects of one kind, in their order; `None` where nothing is said of them.
/// `Err`: one of them cannot be understood.
pub(super) fn related(item: &Item, name: &str) -> Result<Option<Vec<Related>>, ()> {
    let Some(list) = item.get(name) else {
        return Ok(None);
    };
    let list = list.as_array().ok_or(())?;
    let read = list.iter().map(|each| {
        let each = each.as_object().ok_or(())?;
        let of_type = each.get("@odata.type").and_then(Json::as_str);
        let of_type = of_type.map(|name| name.trim_start_matches("#microsoft.graph.").to_owned());
        Ok(Related {
            id: id(each).ok_or(())?,
            of_type,
            is_removed: each.contains_key("@removed"),
        })
    });
    read.collect::<Result<Vec<_>, ()>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(json: Json) -> Item {
        json.as_object().cloned().unwrap()
    }

    #[test]
    fn a_token_that_is_no_longer_good_is_known_by_status_or_code_in_any_case() {
        assert!(is_resync(410, ""));
        assert!(is_resync(400, "syncStateNotFound"));
        assert!(is_resync(400, "SyncStateNotFound"));
        assert!(is_resync(404, "ResyncRequired"));
        assert!(!is_resync(400, "Request_BadRequest"));
        assert!(!is_resync(403, "resyncRequired"));
    }

    #[test]
    fn only_deleted_is_gone_for_good() {
        let reason = |reason: &str| removed(&item(json!({"@removed": {"reason": reason}})));
        assert_eq!(reason("deleted"), Some(Removed::Deleted));
        assert_eq!(reason("changed"), Some(Removed::Changed));
        assert_eq!(reason("new word"), Some(Removed::Changed));
        assert_eq!(removed(&item(json!({"id": "x"}))), None);
    }

    #[test]
    fn a_list_with_something_that_is_no_object_is_not_half_a_list() {
        let id = "632f6bb2-3ec8-4c1f-9073-0027a8c68591";
        let list = json!({"members@delta": [
            {"@odata.type": "#microsoft.graph.user", "id": id},
            {"@odata.type": "#microsoft.graph.user", "id": id, "@removed": {"reason": "deleted"}},
        ]});
        let read = related(&item(list), "members@delta").unwrap().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].of_type.as_deref(), Some("user"));
        assert!(!read[0].is_removed && read[1].is_removed);
        for bad in [json!("x"), json!([7]), json!([{"id": "me"}])] {
            let list = item(json!({"members@delta": bad}));
            assert_eq!(related(&list, "members@delta"), Err(()));
        }
        assert_eq!(related(&item(json!({})), "members@delta"), Ok(None));
    }
}
