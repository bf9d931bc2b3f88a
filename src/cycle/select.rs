//! Looking again at what could have changed: which records a cycle has to judge, and what
//! the snapshot knows of each.
//!
//! Reads the mirror and the links, never the target. The cost follows the change: rows newer
//! than `seen`, open rows, and what a changed edge, key or verdict touches.

mod assigned;
mod groups;
mod made;
pub(super) mod one;
mod person;
mod references;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use provisor_connectors::{Kind, RecordKey, SourceId, Value};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::Target;
use super::closing::LONGEST_DELAY;
use super::known::Known;
use super::read::Readings;
use crate::plan::input::{Candidate, GroupCandidate, Standing};
use crate::plan::joined::Joined;
use crate::plan::matching::{claimed_keys, key_values};
use crate::scim::resource::{AttributeMap, ResourceId, fold};
use crate::scope::ScopeGroup;
use crate::snapshot::{Due, Intent, MirrorRow, Open, SnapshotError, View};
use crate::text;

/// Why an open row waits, where the next cycle must know it again.
pub(super) const SUSPENDED: &str = "SuspendedAtTarget";

/// What a cycle looks at.
#[derive(Default)]
pub(super) struct Selection {
    pub(super) people: BTreeMap<RecordKey, Candidate>,
    pub(super) groups: BTreeMap<RecordKey, GroupCandidate>,
    /// Scope groups and places that could not be found or read, in words.
    pub(super) unresolved: Vec<String>,
    /// Scope groups as resolved, to pin them.
    pub(super) pins: BTreeMap<String, RecordKey>,
    /// Open rows of records that are neither in a source nor linked any more.
    pub(super) forgotten: BTreeSet<RecordKey>,
    /// Whose resource was taken for gone, and is seen to be there; its id.
    pub(super) found_again: BTreeMap<RecordKey, ResourceId>,
    /// Who is one person in several sources. Of each, one record is among the people.
    pub(super) joined: Joined,
}

impl Selection {
    /// A resource that is confirmed to be gone from the target is in no group any more, or its id
    /// is there without anybody behind it.
    pub(super) fn orphan_edges_of_the_missing(&mut self) {
        let people = self.people.values();
        let groups = self.groups.values().map(|group| &group.group);
        let missing: BTreeSet<ResourceId> = people
            .chain(groups)
            .filter(|candidate| candidate.missing)
            .filter_map(|candidate| Some(candidate.link.as_ref()?.resource.clone()))
            .collect();
        for group in self.groups.values_mut() {
            for (resource, edge) in &mut group.owned {
                edge.orphaned |= missing.contains(resource);
            }
            group
                .member_resources
                .retain(|_, resource| !missing.contains(resource));
        }
    }
}

/// Selects what could have changed, or everything.
pub(super) fn select(
    known: &Known,
    readings: &Readings,
    target: &Target,
    everything: bool,
    full: bool,
    now: DateTime<Utc>,
) -> Result<Selection, SnapshotError> {
    let mut selector = Selector::new(known, readings, target, everything, full, now)?;
    let mut changed = selector.changed(everything)?;
    if !changed.is_empty() && target.rules.join_key.is_some() {
        selector.join_people()?;
        // Who is one person with whom may change with any value, on both sides.
        changed = selector.changed(true)?;
    }
    selector.resolve_scope()?;
    selector.take_people(
        changed
            .iter()
            .filter(|key| key.kind == Kind::User)
            .cloned()
            .collect(),
    )?;
    let mut groups: BTreeSet<RecordKey> = changed
        .into_iter()
        .filter(|key| key.kind == Kind::Group)
        .collect();
    groups.extend(selector.groups_touched()?);
    selector.take_groups(groups)?;
    selector.forget();
    Ok(selector.selection)
}

/// Who is one person in several sources, at one target.
pub(super) fn join(
    known: &Known,
    readings: &Readings,
    target: &Target,
) -> Result<Joined, SnapshotError> {
    let mut selector = Selector::new(
        known,
        readings,
        target,
        false,
        false,
        DateTime::<Utc>::MIN_UTC,
    )?;
    selector.join_people()?;
    Ok(selector.selection.joined)
}

struct Selector<'a> {
    known: &'a Known,
    readings: &'a Readings,
    target: &'a Target,
    everything: bool,
    full: bool,
    now: DateTime<Utc>,
    open: BTreeMap<RecordKey, Open>,
    /// Who waits for somebody to come to the target.
    awaited: BTreeMap<RecordKey, BTreeSet<RecordKey>>,
    intents: BTreeMap<RecordKey, Intent>,
    scope_groups: Vec<ScopeGroup>,
    /// The groups that answer who is assigned, of each source.
    assigned: Vec<ScopeGroup>,
    scope_members: BTreeMap<RecordKey, BTreeSet<RecordKey>>,
    selection: Selection,
}

impl<'a> Selector<'a> {
    /// Nothing selected yet.
    fn new(
        known: &'a Known,
        readings: &'a Readings,
        target: &'a Target,
        everything: bool,
        full: bool,
        now: DateTime<Utc>,
    ) -> Result<Self, SnapshotError> {
        let open = known.open()?;
        Ok(Self {
            known,
            readings,
            target,
            everything,
            full,
            now,
            awaited: references::awaited(&open),
            open,
            intents: known.intents()?,
            scope_groups: Vec::new(),
            assigned: Vec::new(),
            scope_members: BTreeMap::new(),
            selection: Selection::default(),
        })
    }
}

impl Selector<'_> {
    fn view(&self, source: &str) -> Option<&View> {
        self.readings
            .view(source)
            .filter(|_| self.target.sources.iter().any(|name| name == source))
    }

    fn views(&self) -> impl Iterator<Item = &View> {
        self.target
            .sources
            .iter()
            .filter_map(|source| self.readings.view(source))
    }

    /// Why nothing may be concluded from a source in this cycle.
    fn unreadable(&self, source: &str) -> Option<String> {
        if self.readings.failures().contains_key(source) {
            Some(format!("the source {source} could not be read"))
        } else if self.view(source).is_none() {
            Some(format!("the source {source} is not one of this target's"))
        } else {
            None
        }
    }

    /// Keys of everything to look at, before what it touches.
    fn changed(&self, everything: bool) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut changed: BTreeSet<RecordKey> = BTreeSet::new();
        let open = self.open.iter();
        let open = open.filter(|(_, open)| is_worth_a_look(open, self.now));
        changed.extend(open.map(|(key, _)| key.clone()));
        changed.extend(self.intents.keys().cloned());
        if everything {
            for view in self.views() {
                for key in Kind::ALL.into_iter().flat_map(|kind| view.keys(kind)) {
                    changed.insert(key?);
                }
            }
            changed.extend(self.known.linked()?);
            return Ok(changed);
        }
        for view in self.views() {
            let seen = self
                .known
                .progress()
                .seen
                .get(view.source())
                .copied()
                .unwrap_or(0);
            changed.extend(view.changed_since(seen)?);
        }
        self.extend_by_nesting(&mut changed)?;
        Ok(changed)
    }

    /// A changed edge between groups touches everybody below it, where the scope or a pushed
    /// group above may depend on it. Such an edge has two changed groups as its ends.
    fn extend_by_nesting(&self, changed: &mut BTreeSet<RecordKey>) -> Result<(), SnapshotError> {
        let groups: Vec<RecordKey> = changed
            .iter()
            .filter(|key| key.kind == Kind::Group)
            .cloned()
            .collect();
        let several = groups.len() > 1;
        for group in groups {
            changed.extend(self.ancestors(&group)?);
            let scope = &self.target.scope;
            if several && (!scope.groups.is_empty() || scope.assigned.is_some()) {
                changed.extend(self.flatten(&group)?.0);
            }
        }
        Ok(())
    }

    /// Judges people, and then whoever owns a key that one of them wants, and whose reference to
    /// one of them may change.
    fn take_people(&mut self, mut keys: BTreeSet<RecordKey>) -> Result<(), SnapshotError> {
        while !keys.is_empty() {
            let mut owners = BTreeSet::new();
            // What is known of one person does not depend on what was found of another, and is
            // all that takes time.
            let speakers = self.selection.joined.speakers(&keys).into_par_iter();
            let known = speakers.map(|record| {
                let Some(candidate) = self.candidate(&record)? else {
                    return Ok(None);
                };
                let mut touched = self.rivals(&record, &candidate)?;
                touched.extend(self.reports(&record, &candidate)?);
                Ok(Some((record, candidate, touched)))
            });
            let known: Vec<_> = known.collect::<Result<_, SnapshotError>>()?;
            for (record, candidate, touched) in known.into_iter().flatten() {
                owners.extend(touched);
                self.selection.people.insert(record, candidate);
            }
            keys = self.selection.joined.speakers(&owners);
            keys.retain(|owner| !self.selection.people.contains_key(owner));
        }
        Ok(())
    }

    /// Finds open rows that nothing is behind any more: nobody would ever close them.
    fn forget(&mut self) {
        let selection = &mut self.selection;
        let behind = |record: &RecordKey| {
            selection.people.contains_key(record) || selection.groups.contains_key(record)
        };
        // Who awaits somebody, or a moment, was not even looked at.
        let (now, everything) = (self.now, self.everything);
        let looked_at = |open: &Open| is_worth_a_look(open, now) || everything;
        let forgotten = self.open.iter().filter(|(_, open)| looked_at(open));
        let forgotten = forgotten.map(|(record, _)| record);
        let forgotten = forgotten.filter(|record| !behind(record)).cloned();
        selection.forgotten = forgotten.collect();
    }

    /// Records that own a key which this record wants and does not have.
    fn rivals(
        &self,
        record: &RecordKey,
        candidate: &Candidate,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut rivals = BTreeSet::new();
        let Some(Ok(desired)) = &candidate.desired else {
            return Ok(rivals);
        };
        let empty = AttributeMap::new();
        let acknowledged = candidate
            .link
            .as_ref()
            .map_or(&empty, |link| &link.acknowledged);
        for path in claimed_keys(record.kind, &self.target.rules.match_on) {
            let held: Vec<String> = key_values(acknowledged, &path)
                .into_iter()
                .map(|value| fold(&path, value))
                .collect();
            for value in key_values(desired, &path) {
                let folded = fold(&path, value);
                if !held.contains(&folded) {
                    rivals.extend(self.known.owners_of(record.kind, &path, &folded)?);
                }
            }
        }
        rivals.remove(record);
        Ok(rivals)
    }

    /// Everything known of a record; `None` when there is nothing to say about it.
    fn candidate(&self, record: &RecordKey) -> Result<Option<Candidate>, SnapshotError> {
        let link = self.known.link(record)?;
        let intent = self.intents.get(record).cloned();
        let said = self.said_of(record)?;
        if link.is_none() && intent.is_none() && said.gone {
            return Ok(None);
        }
        let mut desired = said.living_attributes().map(|attributes| {
            self.target
                .mapping
                .apply(record.kind, &record.id, attributes)
        });
        let verdict = match record.kind {
            Kind::User => self.judge_said(record, &said),
            Kind::Group => self.judge_pushed(record, &desired, link.as_ref()),
        };
        let rehire_key = self.target.rules.rehire_key.as_ref().and_then(|name| {
            let attributes = said.attributes.as_ref()?;
            let value = attributes.values(name).first().map(Value::to_string)?;
            Some(text::nfc(&value).into_owned())
        });
        let open = self.open.get(record);
        let due = self.is_due(record);
        let manager = match &mut desired {
            Some(Ok(desired)) if record.kind == Kind::User => {
                self.take_manager(record, &said, desired)?
            }
            _ => None,
        };
        let unreadable = said.unreadable.as_deref();
        let joined = &self.selection.joined;
        let others = joined.records(record).iter().filter(|it| *it != record);
        Ok(Some(Candidate {
            standing: Standing::settle(said.lifecycle, said.gone, unreadable, verdict),
            desired: self.renamed(record, desired),
            link,
            missing: false,
            intent,
            due: unreadable.is_none() && (due || said.news),
            suspended: open.is_some_and(|open| open.why == SUSPENDED),
            rehire_key,
            manager,
            joined: others.cloned().collect(),
            contested: joined.contested(record).map(str::to_owned),
        }))
    }

    /// Whether it is a record's turn, as far as that does not depend on news of it.
    fn is_due(&self, record: &RecordKey) -> bool {
        let open = self.open.get(record);
        let now = match open.map(|open| open.due) {
            // Whether the moment has come is for the plan to say.
            None | Some(Due::Now | Due::Moment(_)) => true,
            // Nobody waits longer than the longest delay, whatever the clock once said.
            Some(Due::At(moment)) => moment <= self.now || moment > self.now + LONGEST_DELAY,
            // Somebody may have come for whom it waits.
            Some(Due::FullCycle) => open.is_some_and(|open| open.awaits.is_some()),
        };
        now || self.full || self.everything
    }

    /// Whether a row changed after this target last looked.
    fn is_new(&self, record: &RecordKey, row: &MirrorRow) -> bool {
        let seen = self.known.progress().seen.get(&record.source).copied();
        row.generation > seen.unwrap_or(0)
    }
}

/// Whether an open row is a reason to look at its record. Not so where it waits for somebody
/// who has not come, or for a moment that has not.
fn is_worth_a_look(open: &Open, now: DateTime<Utc>) -> bool {
    let early = matches!(open.due, Due::Moment(moment) if moment > now);
    open.awaits.is_none() && !early
}

fn key(view: &View, kind: Kind, id: SourceId) -> RecordKey {
    RecordKey {
        source: view.source().to_owned(),
        kind,
        id,
    }
}
