//! What a read leaves for the next one: the cursor.
//!
//! The links for changes, who was in the deleted items, and which apps were meant. Must not be
//! looked into by anybody else.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::apps::App;
use super::properties::Wanted;
use crate::source::Cursor;

const VERSION: u32 = 1;

/// How long Graph keeps a token for changes of users and groups ("Duration of change tracking
/// tokens"), less an hour for the read itself.
const LIFETIME: TimeDelta = TimeDelta::hours(7 * 24 - 1);

/// What the cursor holds, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    version: u32,
    /// When the read began.
    at: DateTime<Utc>,
    /// What the tokens are for.
    selection: String,
    /// `@odata.deltaLink` of `/users/delta`.
    pub(super) users: String,
    /// `@odata.deltaLink` of `/groups/delta`.
    pub(super) groups: String,
    /// Who was given as deleted.
    pub(super) deleted: BTreeSet<Uuid>,
    /// Groups whose members were listed since everything was read. Such a list leaves out who is
    /// in the deleted items, and nothing says that they are members when they come back.
    #[serde(default)]
    pub(super) listed: BTreeSet<Uuid>,
    /// Groups of which nobody could tell who is in them: their members are listed next time.
    #[serde(default)]
    pub(super) unclear: BTreeSet<Uuid>,
    /// The apps, by their names in the configuration.
    pub(super) apps: BTreeMap<String, App>,
}

impl Position {
    pub(super) fn new(
        at: DateTime<Utc>,
        wanted: &Wanted,
        users: String,
        groups: String,
        deleted: BTreeSet<Uuid>,
        apps: BTreeMap<String, App>,
    ) -> Self {
        Self {
            version: VERSION,
            at,
            selection: wanted.selection(),
            users,
            groups,
            deleted,
            listed: BTreeSet::new(),
            unclear: BTreeSet::new(),
            apps,
        }
    }

    /// The position of the last read; `None` for one that cannot be understood.
    pub(super) fn of(cursor: &Cursor) -> Option<Self> {
        let position: Self = serde_json::from_str(&cursor.0).ok()?;
        (position.version == VERSION).then_some(position)
    }

    pub(super) fn cursor(&self) -> Option<Cursor> {
        serde_json::to_string(self).ok().map(Cursor)
    }

    /// Why nothing can be read from here on, if that is so.
    pub(super) fn obstacle(&self, wanted: &Wanted, now: DateTime<Utc>) -> Option<&'static str> {
        if self.selection != wanted.selection() {
            return Some("other properties are asked for than before");
        }
        if now - self.at >= LIFETIME {
            return Some("the last read was seven days ago, and Graph's token has expired");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Kind;

    fn position(at: DateTime<Utc>) -> Position {
        let id = Uuid::from_u128(7);
        let app = App {
            id,
            assigned: vec![(Kind::Group, id, BTreeSet::from(["Admin".to_owned()]))],
        };
        Position::new(
            at,
            &Wanted::new(None, &[]),
            "https://graph.example.com/v1.0/users/delta?$deltatoken=a".to_owned(),
            "https://graph.example.com/v1.0/groups/delta?$deltatoken=b".to_owned(),
            BTreeSet::from([id]),
            BTreeMap::from([("App".to_owned(), app)]),
        )
    }

    #[test]
    fn a_cursor_is_read_back_and_any_other_text_is_none() {
        let before = position(DateTime::UNIX_EPOCH);
        let cursor = before.cursor().unwrap();
        assert_eq!(Position::of(&cursor), Some(before));
        let other = cursor.0.replace("\"version\":1", "\"version\":2");
        for text in ["", "{}", "7", &other] {
            assert_eq!(Position::of(&Cursor(text.to_owned())), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_good_for_seven_days_and_for_what_it_was_asked_for() {
        let all = Wanted::new(None, &[]);
        let at = DateTime::UNIX_EPOCH;
        let position = position(at);
        assert_eq!(position.obstacle(&all, at + TimeDelta::days(6)), None);
        assert!(position.obstacle(&all, at + TimeDelta::days(7)).is_some());
        let fewer = BTreeSet::from(["mail".to_owned()]);
        let fewer = Wanted::new(Some(&fewer), &[]);
        assert!(position.obstacle(&fewer, at).is_some());
    }
}
