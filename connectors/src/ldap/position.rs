//! What a read leaves for the next one: the cursor.
//!
//! A full read leaves how many people had each attribute that says who is switched off, and
//! how many groups had members: where there is nothing to be seen any more of what many had, a
//! permission is missing, and nobody is taken to be active, or no member, for that. Where the
//! server has a way to tell what changes, it also leaves from where on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::tracking::Mark;
use crate::source::{Cursor, Kind};

/// As many must have had it before its absence means something (the engine's number, too).
pub(super) const MANY: u64 = 20;

const VERSION: u32 = 1;

/// What the cursor holds, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    version: u32,
    /// What was read, and how: another selection has another story.
    selection: String,
    /// How many had each of these.
    pub(super) told: BTreeMap<String, u64>,
    /// What many had of the other attributes in use: a read of only changes looks whether it
    /// can still be seen.
    #[serde(default)]
    pub(super) common: BTreeMap<Kind, BTreeSet<String>>,
    /// From where on only changes can be read.
    #[serde(default)]
    pub(super) mark: Option<Mark>,
}

impl Position {
    pub(super) fn new(selection: String, told: BTreeMap<String, u64>) -> Self {
        Self {
            version: VERSION,
            selection,
            told,
            common: BTreeMap::new(),
            mark: None,
        }
    }

    /// Whether it is of the same question: where, who, and by which id.
    pub(super) fn is_of(&self, selection: &str) -> bool {
        self.selection == selection
    }

    /// The position after a read of only changes: what only a full read counts stands.
    pub(super) fn after_changes(self, told: BTreeMap<String, u64>, mark: Mark) -> Self {
        Self {
            told,
            mark: Some(mark),
            ..self
        }
    }

    /// The position of the last read. One of another version, or that is none, is as none:
    /// everything is read in any case.
    pub(super) fn of(cursor: Option<&Cursor>) -> Option<Self> {
        let position: Self = serde_json::from_str(&cursor?.0).ok()?;
        (position.version == VERSION).then_some(position)
    }

    pub(super) fn cursor(&self) -> Option<Cursor> {
        serde_json::to_string(self).ok().map(Cursor)
    }

    /// Whether anybody had this.
    pub(super) fn has(&self, name: &str) -> bool {
        self.told.get(name).is_some_and(|count| *count > 0)
    }

    /// What many had in the read before, and nobody has now. What is not asked any more is
    /// not counted any more either.
    pub(super) fn vanished(&self, before: Option<&Position>) -> Vec<(String, u64)> {
        let before = before.filter(|before| before.selection == self.selection);
        let told = before.into_iter().flat_map(|before| &before.told);
        told.filter(|(name, count)| **count >= MANY && self.told.get(*name) == Some(&0))
            .map(|(name, count)| (name.clone(), *count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(selection: &str, count: u64) -> Position {
        let told = BTreeMap::from([("nsAccountLock".to_owned(), count)]);
        Position::new(selection.to_owned(), told)
    }

    #[test]
    fn what_many_had_and_nobody_has_is_named() {
        let named = vec![("nsAccountLock".to_owned(), 20)];
        assert_eq!(position("a", 0).vanished(Some(&position("a", 20))), named);
        for (before, now) in [(19, 0), (20, 1), (0, 0)] {
            let vanished = position("a", now).vanished(Some(&position("a", before)));
            assert_eq!(vanished, [], "{before} {now}");
        }
        let silent = Position::new("a".to_owned(), BTreeMap::new());
        assert_eq!(silent.vanished(Some(&position("a", 20))), []);
        assert_eq!(position("b", 0).vanished(Some(&position("a", 20))), []);
        assert_eq!(position("a", 0).vanished(None), []);
    }

    #[test]
    fn a_read_of_changes_keeps_what_only_a_full_read_counts() {
        let mut before = position("a", 3);
        let names = BTreeSet::from(["mail".to_owned()]);
        before.common.insert(Kind::User, names);
        let mark = Mark {
            at: chrono::DateTime::UNIX_EPOCH,
            selection: [1, 2],
            judged: [3, 4],
            spot: serde_json::from_str(
                r#"{"syncrepl": {"server": "ldap://s", "cookies": ["eA=="], "containers": []}}"#,
            )
            .unwrap(),
        };
        let after = before
            .clone()
            .after_changes(before.told.clone(), mark.clone());
        assert_eq!(after.mark, Some(mark));
        assert_eq!((&after.told, &after.common), (&before.told, &before.common));
        assert_eq!(Position::of(after.cursor().as_ref()), Some(after));
    }

    #[test]
    fn a_cursor_is_read_back_and_any_other_text_is_none() {
        let before = position("a", 3);
        let cursor = before.cursor().unwrap();
        assert_eq!(Position::of(Some(&cursor)), Some(before));
        for text in ["", "{}", "7", &cursor.0.replace("1", "2")] {
            assert_eq!(Position::of(Some(&Cursor(text.to_owned()))), None, "{text}");
        }
    }
}
