//! Looking again at what could have changed: which records a cycle has to judge, and what
//! the snapshot knows of each.
//!
//! Reads the mirror and the links, never the target. The cost follows the change: rows newer
//! than `seen`, open rows, and what a changed edge, key or verdict touches.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use provisor_connectors::{Attributes, Kind, Lifecycle, MemberKey, RecordKey, SourceId, Value};

use super::Target;
use super::known::Known;
use super::read::Readings;
use crate::plan::input::{Candidate, GroupCandidate, OwnedEdge, Standing};
use crate::plan::matching::{key_values, keys_for};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, ResourceId, fold};
use crate::scope::{ScopeGroup, Verdict};
use crate::snapshot::{Due, Intent, Open, SnapshotError, View};

/// Why an open row waits, where the next cycle must know it again.
pub(super) const SUSPENDED: &str = "SuspendedAtTarget";

/// What a cycle looks at.
#[derive(Default)]
pub(super) struct Selection {
    pub(super) people: BTreeMap<RecordKey, Candidate>,
    pub(super) groups: BTreeMap<RecordKey, GroupCandidate>,
    /// Scope groups that could not be found or read, in words.
    pub(super) unresolved: Vec<String>,
    /// Scope groups as resolved, to pin them.
    pub(super) pins: BTreeMap<String, RecordKey>,
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
    let mut selector = Selector {
        known,
        readings,
        target,
        everything,
        full,
        now,
        open: known.open()?,
        intents: known.intents()?,
        scope_groups: Vec::new(),
        scope_members: BTreeMap::new(),
        selection: Selection::default(),
    };
    selector.resolve_scope()?;
    let changed = selector.changed()?;
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
    Ok(selector.selection)
}

struct Selector<'a> {
    known: &'a Known,
    readings: &'a Readings,
    target: &'a Target,
    everything: bool,
    full: bool,
    now: DateTime<Utc>,
    open: BTreeMap<RecordKey, Open>,
    intents: BTreeMap<RecordKey, Intent>,
    scope_groups: Vec<ScopeGroup>,
    scope_members: BTreeMap<RecordKey, BTreeSet<RecordKey>>,
    selection: Selection,
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

    /// Resolves the configured scope groups, by pin first, and flattens their members.
    fn resolve_scope(&mut self) -> Result<(), SnapshotError> {
        for name in &self.target.scope.groups {
            let resolved = self.resolve_scope_group(name)?;
            match &resolved {
                ScopeGroup::Resolved(group) => {
                    self.selection.pins.insert(name.clone(), group.clone());
                }
                ScopeGroup::Unresolved(why) => self.selection.unresolved.push(why.clone()),
            }
            self.scope_groups.push(resolved);
        }
        Ok(())
    }

    fn resolve_scope_group(&mut self, name: &str) -> Result<ScopeGroup, SnapshotError> {
        let mut hits = BTreeSet::new();
        let pinned = self.known.progress().scope_pins.get(name).cloned();
        match pinned.filter(|pin| self.view(&pin.source).is_some()) {
            Some(pin) => {
                let row = self
                    .view(&pin.source)
                    .map(|view| view.row(Kind::Group, &pin.id));
                if row
                    .transpose()?
                    .flatten()
                    .is_some_and(|row| row.gone_since.is_none())
                {
                    hits.insert(pin);
                }
            }
            None => {
                for view in self.views() {
                    for row in view.rows(Kind::Group) {
                        let row = row?;
                        let named = row.id.as_str() == name
                            || self.display_name(&row.id, &row.attributes).as_deref() == Some(name);
                        if named && row.gone_since.is_none() {
                            hits.insert(key(view, Kind::Group, row.id));
                        }
                    }
                }
            }
        }
        let unresolved = |why: String| Ok(ScopeGroup::Unresolved(why));
        let mut hits = hits.into_iter();
        let (Some(group), None) = (hits.next(), hits.next()) else {
            return unresolved(format!("the scope group `{name}` is not exactly one group"));
        };
        if let Some(why) = self.unreadable(&group.source) {
            return unresolved(why);
        }
        let (members, complete) = self.flatten(&group)?;
        if !complete {
            return unresolved(format!(
                "the members of the scope group `{name}` are not known"
            ));
        }
        self.scope_members.insert(group.clone(), members);
        Ok(ScopeGroup::Resolved(group))
    }

    fn display_name(&self, id: &SourceId, attributes: &Attributes) -> Option<String> {
        let mapped = self
            .target
            .mapping
            .apply(Kind::Group, id, attributes)
            .ok()?;
        mapped
            .get(&AttributePath::display_name())?
            .as_str()
            .map(str::to_owned)
    }

    /// The people in a group, nested groups included, and whether every list on the way is
    /// known. Cycles end by themselves: no group is entered twice.
    fn flatten(&self, group: &RecordKey) -> Result<(BTreeSet<RecordKey>, bool), SnapshotError> {
        let Some(view) = self.view(&group.source) else {
            return Ok((BTreeSet::new(), false));
        };
        let mut people = BTreeSet::new();
        let mut complete = true;
        let mut entered = BTreeSet::from([group.id.clone()]);
        let mut waiting = vec![group.id.clone()];
        while let Some(id) = waiting.pop() {
            let row = view.row(Kind::Group, &id)?;
            complete &= row.is_some_and(|row| row.members_known);
            for member in view.members(&id)? {
                match member.kind {
                    Kind::User => {
                        people.insert(key(view, Kind::User, member.id));
                    }
                    Kind::Group if entered.insert(member.id.clone()) => waiting.push(member.id),
                    Kind::Group => {}
                }
            }
        }
        Ok((people, complete))
    }

    /// Groups that contain a record, directly or through nested groups.
    fn ancestors(&self, record: &RecordKey) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut found = BTreeSet::new();
        let Some(view) = self.view(&record.source) else {
            return Ok(found);
        };
        let mut waiting = vec![MemberKey {
            kind: record.kind,
            id: record.id.clone(),
        }];
        while let Some(member) = waiting.pop() {
            for group in view.groups_of(&member)? {
                if found.insert(key(view, Kind::Group, group.clone())) {
                    waiting.push(MemberKey {
                        kind: Kind::Group,
                        id: group,
                    });
                }
            }
        }
        Ok(found)
    }

    /// Keys of everything to look at, before what it touches.
    fn changed(&self) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut changed: BTreeSet<RecordKey> = BTreeSet::new();
        changed.extend(self.open.keys().cloned());
        changed.extend(self.intents.keys().cloned());
        if self.everything {
            for view in self.views() {
                for kind in Kind::ALL {
                    for row in view.rows(kind) {
                        changed.insert(key(view, kind, row?.id));
                    }
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
            if several && !self.target.scope.groups.is_empty() {
                changed.extend(self.flatten(&group)?.0);
            }
        }
        Ok(())
    }

    /// Judges people, and then whoever owns a key that one of them wants.
    fn take_people(&mut self, mut keys: BTreeSet<RecordKey>) -> Result<(), SnapshotError> {
        while !keys.is_empty() {
            let mut owners = BTreeSet::new();
            for record in std::mem::take(&mut keys) {
                let Some(candidate) = self.candidate(&record)? else {
                    continue;
                };
                owners.extend(self.rivals(&record, &candidate)?);
                self.selection.people.insert(record, candidate);
            }
            owners.retain(|owner| !self.selection.people.contains_key(owner));
            keys = owners;
        }
        Ok(())
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
        let mut keys = keys_for(record.kind, &self.target.rules.match_on);
        keys.push(AttributePath::user_name());
        for path in keys {
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
        let row = match self.view(&record.source) {
            Some(view) => view.row(record.kind, &record.id)?,
            None => None,
        };
        let unreadable = self.unreadable(&record.source);
        let gone = row.as_ref().is_none_or(|row| row.gone_since.is_some());
        if link.is_none() && intent.is_none() && gone {
            return Ok(None);
        }
        let attributes = row.as_ref().map(|row| &row.attributes);
        let desired = attributes.filter(|_| !gone).map(|attributes| {
            self.target
                .mapping
                .apply(record.kind, &record.id, attributes)
        });
        let lifecycle = row.as_ref().map_or(Lifecycle::Active, |row| row.lifecycle);
        let verdict = match record.kind {
            Kind::User => self.judge(record, attributes.filter(|_| !gone)),
            Kind::Group => self.judge_pushed(record, &desired),
        };
        let rehire_key = self
            .target
            .rules
            .rehire_key
            .as_ref()
            .and_then(|name| attributes?.values(name).first().map(Value::to_string));
        let open = self.open.get(record);
        let changed_since =
            self.view(&record.source)
                .zip(row.as_ref())
                .is_some_and(|(view, row)| {
                    let seen = self
                        .known
                        .progress()
                        .seen
                        .get(view.source())
                        .copied()
                        .unwrap_or(0);
                    row.generation > seen
                });
        let due = match open.map(|open| open.due) {
            None | Some(Due::Now) => true,
            Some(Due::At(moment)) => moment <= self.now,
            Some(Due::FullCycle) => false,
        };
        Ok(Some(Candidate {
            standing: Standing::settle(lifecycle, gone, unreadable.as_deref(), verdict),
            desired,
            link,
            missing: false,
            intent,
            due: unreadable.is_none() && (due || self.full || self.everything || changed_since),
            suspended: open.is_some_and(|open| open.why == SUSPENDED),
            rehire_key,
        }))
    }

    /// Judges a person by scope groups, and by these attributes where there is a condition.
    fn judge(&self, record: &RecordKey, attributes: Option<&Attributes>) -> Verdict {
        let memberships = self
            .scope_members
            .iter()
            .filter(|(_, members)| members.contains(record))
            .map(|(group, _)| group.clone())
            .collect();
        self.target
            .scope
            .judge(&self.scope_groups, &memberships, attributes)
    }

    /// The same for somebody whose row was not read yet; it is only read for a condition.
    fn judge_unread(&self, record: &RecordKey) -> Result<Verdict, SnapshotError> {
        let row = match (&self.target.scope.when, self.view(&record.source)) {
            (Some(_), Some(view)) => view.row(record.kind, &record.id)?,
            _ => None,
        };
        let living = row.filter(|row| row.gone_since.is_none());
        Ok(self.judge(record, living.as_ref().map(|row| &row.attributes)))
    }

    /// Whether a group is one of those that are pushed, by name or source id.
    fn judge_pushed(
        &self,
        record: &RecordKey,
        desired: &Option<Result<AttributeMap, crate::mapping::MappingError>>,
    ) -> Verdict {
        let Some(push) = &self.target.rules.groups.push else {
            return Verdict::Out;
        };
        let name = match desired {
            Some(Ok(desired)) => desired.get(&AttributePath::display_name()),
            _ => None,
        };
        let named = name
            .and_then(|name| name.as_str())
            .is_some_and(|name| push.is_match(name));
        if self.target.profile.groups && (named || push.is_match(record.id.as_str())) {
            Verdict::In
        } else {
            Verdict::Out
        }
    }

    /// Groups whose membership at the target may change because a person's place there does.
    fn groups_touched(&self) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut groups = BTreeSet::new();
        for (record, person) in &self.selection.people {
            let settled = person.standing.is_entitled()
                && person
                    .link
                    .as_ref()
                    .is_some_and(|link| link.active && !link.missing);
            if settled && self.target.scope.when.is_none() {
                continue;
            }
            let has = match &person.link {
                Some(link) => self.known.store().groups_with(&link.resource)?,
                None => Default::default(),
            };
            let should_have = self.ancestors(record)?;
            if settled {
                // While the condition could not be told of them, their memberships waited.
                groups.extend(should_have.symmetric_difference(&has).cloned());
            } else {
                groups.extend(should_have);
                groups.extend(has);
            }
        }
        Ok(groups)
    }

    fn take_groups(&mut self, keys: BTreeSet<RecordKey>) -> Result<(), SnapshotError> {
        for record in keys {
            let Some(mut group) = self.candidate(&record)? else {
                continue;
            };
            let pushed = group.standing.is_entitled();
            if group.link.is_none() && group.intent.is_none() && !pushed && !self.full {
                continue;
            }
            let mut members = BTreeSet::new();
            if pushed {
                let (people, complete) = self.flatten(&record)?;
                if complete {
                    members = self.in_scope(people)?;
                } else {
                    let why = "the member list could not be read to its end".to_owned();
                    group.standing = Standing::Unknown(why);
                }
            }
            let mut member_resources = BTreeMap::new();
            for member in &members {
                if let Some(link) = self.known.link(member)?.filter(|link| !link.missing) {
                    member_resources.insert(member.clone(), link.resource);
                }
            }
            let owned = self.owned_edges(&record)?;
            let group = GroupCandidate {
                group,
                members,
                member_resources,
                owned,
            };
            self.selection.groups.insert(record, group);
        }
        Ok(())
    }

    fn in_scope(&self, people: BTreeSet<RecordKey>) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut members = BTreeSet::new();
        for person in people {
            let Some(view) = self.view(&person.source) else {
                continue;
            };
            let row = view.row(Kind::User, &person.id)?;
            let living = row.filter(|row| row.gone_since.is_none());
            if living.is_some_and(|row| self.judge(&person, Some(&row.attributes)) == Verdict::In) {
                members.insert(person);
            }
        }
        Ok(members)
    }

    fn owned_edges(
        &self,
        group: &RecordKey,
    ) -> Result<BTreeMap<ResourceId, OwnedEdge>, SnapshotError> {
        let mut owned = BTreeMap::new();
        for resource in self.known.members(group)?.into_keys() {
            let record = self.known.owner(Kind::User, &resource)?;
            let mut edge = OwnedEdge {
                record: record.clone(),
                unknown: false,
                protected: None,
            };
            if let Some(record) = record {
                edge.unknown = self.unreadable(&record.source).is_some()
                    || matches!(self.judge_unread(&record)?, Verdict::Unknown(_));
                edge.protected = self.protected(&record, &resource)?;
            }
            owned.insert(resource, edge);
        }
        Ok(owned)
    }

    fn protected(
        &self,
        record: &RecordKey,
        resource: &ResourceId,
    ) -> Result<Option<String>, SnapshotError> {
        let protect = &self.target.rules.protect;
        if protect.is_empty() {
            return Ok(None);
        }
        let Some(link) = self.known.link(record)? else {
            return Ok(None);
        };
        let name = link.acknowledged.get(&AttributePath::user_name());
        let subject = crate::plan::action::Subject {
            kind: Kind::User,
            record: Some(record.clone()),
            resource: Some(resource.clone()),
            name: name
                .and_then(|name| name.as_str())
                .unwrap_or_default()
                .to_owned(),
        };
        Ok(crate::plan::protected_by(
            &subject,
            &link.acknowledged,
            protect,
        ))
    }
}

fn key(view: &View, kind: Kind, id: SourceId) -> RecordKey {
    RecordKey {
        source: view.source().to_owned(),
        kind,
        id,
    }
}
