//! What the sources say of one person: one row, or those of several sources joined.
//!
//! Only reads the mirror. The first source that has the person says whether they are active;
//! of each attribute, the first that has a value gives it. What a source that cannot be read
//! said last need not be all that is asked now.

use std::collections::BTreeMap;

use provisor_connectors::{Attributes, Kind, Lifecycle, RecordKey};

use super::{Selector, key};
use crate::plan::joined::{Claimant, Joined, Presence};
use crate::scope::Verdict;
use crate::snapshot::{MirrorRow, SnapshotError};

/// What is said of a record, or of the person that it speaks for.
pub(super) struct Said {
    /// What the deciding source says of its life.
    pub(super) lifecycle: Lifecycle,
    /// No source has it any more, or none ever had.
    pub(super) gone: bool,
    /// The attributes; of who is gone, the last that were known.
    pub(super) attributes: Option<Attributes>,
    /// Why nothing may be concluded in this cycle.
    pub(super) unreadable: Option<String>,
    /// Something of it is newer than the target's last look.
    pub(super) news: bool,
    /// The living rows, the most trusted first.
    pub(super) living: Vec<(RecordKey, MirrorRow)>,
}

impl Said {
    /// The attributes of who is not gone.
    pub(super) fn living_attributes(&self) -> Option<&Attributes> {
        self.attributes.as_ref().filter(|_| !self.gone)
    }
}

impl Selector<'_> {
    /// Finds out who is one person in several sources. Reads every person of every source, so
    /// it is only asked when somebody is to be looked at.
    pub(super) fn join_people(&mut self) -> Result<(), SnapshotError> {
        let Some(join_key) = &self.target.rules.join_key else {
            return Ok(());
        };
        let mut by_value: BTreeMap<String, Vec<(RecordKey, Presence)>> = BTreeMap::new();
        let mut doubts = BTreeMap::new();
        for view in self.views() {
            for row in view.rows(Kind::User) {
                let row = row?;
                let record = key(view, Kind::User, row.id);
                let presence = match (row.gone_since, row.lifecycle) {
                    (Some(_), _) => Presence::Gone,
                    (None, Lifecycle::Active) => Presence::Active,
                    (None, _) => Presence::Inactive,
                };
                match join_key.text(&row.attributes) {
                    Ok(None) => {}
                    Ok(Some(value)) => {
                        by_value.entry(value).or_default().push((record, presence));
                    }
                    Err(_) if presence == Presence::Gone => {}
                    Err(why) => {
                        doubts.insert(record, format!("`join_key`: {why}"));
                    }
                }
            }
        }
        let mut sharing = Vec::new();
        for records in by_value.into_values().filter(|records| records.len() > 1) {
            let mut claimants = Vec::new();
            for (record, presence) in records {
                let linked =
                    self.intents.contains_key(&record) || self.known.link(&record)?.is_some();
                claimants.push(Claimant {
                    record,
                    presence,
                    linked,
                });
            }
            sharing.push(claimants);
        }
        self.selection.joined = Joined::new(&self.target.sources, &sharing, doubts);
        Ok(())
    }

    /// Puts together what the sources say of a record.
    pub(super) fn said_of(&self, record: &RecordKey) -> Result<Said, SnapshotError> {
        let mut rows = Vec::new();
        let records = self.selection.joined.records(record);
        for each in records {
            if let Some(view) = self.view(&each.source)
                && let Some(row) = view.row(each.kind, &each.id)?
            {
                rows.push((each.clone(), row));
            }
        }
        let news = rows.iter().any(|(each, row)| self.is_new(each, row));
        let own = rows.iter().position(|(each, _)| each == record);
        let last = rows.get(own.unwrap_or(0)).map(|(_, row)| row);
        let last_lifecycle = last.map(|row| row.lifecycle);
        // Of who is not gone, the living rows say more.
        let last_attributes = last
            .filter(|_| rows.iter().all(|(_, row)| row.gone_since.is_some()))
            .map(|row| row.attributes.clone());
        let mut living = rows;
        living.retain(|(_, row)| row.gone_since.is_none());
        let deciding = living.first();
        // Who is switched off by the first that has them needs no other's word. Whoever is not
        // may be something else by what another one says.
        let decided = deciding.filter(|(_, row)| row.lifecycle != Lifecycle::Active);
        let witnesses: Vec<&RecordKey> = match decided {
            Some((each, _)) => vec![each],
            None if living.is_empty() => records.iter().collect(),
            None => living.iter().map(|(each, _)| each).collect(),
        };
        let mut witnesses = witnesses.into_iter();
        let unreadable = witnesses.find_map(|each| self.unreadable(&each.source));
        let unreadable =
            unreadable.or_else(|| self.never_read(record.kind, decided.map(|(each, _)| each)));
        let lifecycle = deciding.map(|(_, row)| row.lifecycle);
        let gone = deciding.is_none();
        Ok(Said {
            lifecycle: lifecycle.or(last_lifecycle).unwrap_or(Lifecycle::Active),
            gone,
            attributes: if gone {
                last_attributes
            } else {
                merge(&living)
            },
            unreadable,
            news,
            living,
        })
    }

    /// Where people are joined, a source that was never read may have somebody: it may know
    /// more of them than the others, and say that they left, if it is more trusted than the one
    /// that `decided` it.
    fn never_read(&self, kind: Kind, decided: Option<&RecordKey>) -> Option<String> {
        if kind == Kind::Group || self.target.rules.join_key.is_none() {
            return None;
        }
        let sources = self.target.sources.iter();
        let mut asked = sources.take_while(|source| decided.is_none_or(|it| it.source != **source));
        asked
            .find(|source| self.view(source).is_none_or(|view| view.generation() == 0))
            .map(|source| {
                format!("the source {source} was never read, and `join_key` gives it a say")
            })
    }

    /// Judges a person by what is said of them.
    pub(super) fn judge_said(&self, record: &RecordKey, said: &Said) -> Verdict {
        match self.selection.joined.doubt(record) {
            Some(why) => Verdict::Unknown(why.to_owned()),
            None => self.judge(record, said.living_attributes()),
        }
    }
}

/// Of each attribute the values of the first row that has any.
fn merge(rows: &[(RecordKey, MirrorRow)]) -> Option<Attributes> {
    let (first, others) = rows.split_first()?;
    let mut merged = first.1.attributes.clone();
    for (_, row) in others {
        for (name, values) in &row.attributes.0 {
            merged
                .0
                .entry(name.clone())
                .or_insert_with(|| values.clone());
        }
    }
    Some(merged)
}
