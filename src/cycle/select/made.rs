//! Groups that no source has: made from what people have in common (`group_by`).
//!
//! One group for each value of an attribute, and one for those who have none. Their keys are
//! of no source: which sources a target has, and in what order, is no matter to them. A cycle
//! that looks at a few people moves those between the groups; otherwise everybody is sorted anew.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::{Attributes, Kind, Lifecycle, RecordKey, SourceId, Value};

use super::person::Said;
use super::{Selector, key};
use crate::mapping::MappingError;
use crate::plan::input::{Candidate, Standing};
use crate::scim::resource::AttributeMap;
use crate::scope::Verdict;
use crate::snapshot::SnapshotError;
use crate::text;

/// What the source ids of all made groups begin with: `group_by:department=Sales`, and
/// `group_by:department` for those without a value.
const PREFIX: &str = "group_by:";

/// What stands for the source in the keys of made groups: no source can be called so, and it
/// sorts after all that can.
const MADE: &str = "~made";

/// Those who have one value in common.
#[derive(Default)]
struct Gathering {
    /// In the source and in scope.
    people: BTreeSet<RecordKey>,
    /// One of them is entitled: reason enough for a group.
    wanted: bool,
}

/// Whether a group is made, not read; now, or by an earlier configuration.
pub(super) fn is_made(record: &RecordKey) -> bool {
    record.kind == Kind::Group && record.source == MADE
}

impl Selector<'_> {
    /// Takes the made groups among `keys`, and those that a selected person may come into.
    pub(super) fn take_made_groups(
        &mut self,
        keys: &BTreeSet<RecordKey>,
    ) -> Result<(), SnapshotError> {
        let made = keys.iter().filter(|record| is_made(record));
        let mut touched: BTreeSet<RecordKey> = made.cloned().collect();
        let selected = self.gather_selected(&mut touched)?;
        let anew = self.everything || self.is_any_unsettled(&touched)?;
        let gathered = if anew {
            self.gather_everybody()?
        } else {
            selected
        };
        if anew {
            touched.extend(gathered.keys().cloned());
        }
        for record in touched {
            let found = gathered.get(&record);
            let mut people = found.map_or_else(BTreeSet::new, |found| found.people.clone());
            let mut wanted = found.is_some_and(|found| found.wanted);
            let owned = self.owned_edges(&record)?;
            if !anew {
                // Whoever is not looked at stays where they are.
                let others = owned.values().filter_map(|edge| edge.record.clone());
                people.extend(others.filter(|other| !self.selection.people.contains_key(other)));
            }
            let link = self.known.link(&record)?;
            let intent = self.intents.get(&record).cloned();
            if link.is_none() && intent.is_none() && !wanted {
                continue;
            }
            wanted |= link.is_some() && (!people.is_empty() || self.is_fallback(&record));
            let unknown = owned.values().any(|edge| edge.unknown);
            let desired = self.made_values(&record);
            let group = Candidate {
                standing: self.made_standing(&record, wanted, unknown),
                desired: self.renamed(&record, desired),
                link,
                missing: false,
                intent,
                due: self.is_due(&record),
                suspended: false,
                rehire_key: None,
                manager: None,
                joined: Vec::new(),
                contested: None,
            };
            let members = match group.standing {
                Standing::Entitled => people,
                _ => BTreeSet::new(),
            };
            self.take_group(record, group, members, owned)?;
        }
        Ok(())
    }

    /// Sorts the selected people. Adds to `touched` where those of them belong who may move.
    fn gather_selected(
        &self,
        touched: &mut BTreeSet<RecordKey>,
    ) -> Result<BTreeMap<RecordKey, Gathering>, SnapshotError> {
        let mut gathered = BTreeMap::new();
        if self.target.rules.groups.group_by.is_none() {
            return Ok(gathered);
        }
        for (record, person) in &self.selection.people {
            let said = self.said_of(record)?;
            let belongs = self.gather(&mut gathered, record, &said);
            if !belongs.is_empty() && self.may_move(record, person)? {
                touched.extend(belongs);
            }
        }
        Ok(gathered)
    }

    fn gather_everybody(&self) -> Result<BTreeMap<RecordKey, Gathering>, SnapshotError> {
        let mut gathered = BTreeMap::new();
        if self.target.rules.groups.group_by.is_none() {
            return Ok(gathered);
        }
        for view in self.views() {
            for row in view.rows(Kind::User) {
                let record = key(view, Kind::User, row?.id);
                if self.selection.joined.speaker(&record) == &record {
                    let said = self.said_of(&record)?;
                    self.gather(&mut gathered, &record, &said);
                }
            }
        }
        Ok(gathered)
    }

    /// Puts one person where they belong, and tells where that is.
    fn gather(
        &self,
        gathered: &mut BTreeMap<RecordKey, Gathering>,
        record: &RecordKey,
        said: &Said,
    ) -> BTreeSet<RecordKey> {
        let attributes = match said.living_attributes() {
            Some(attributes) if said.unreadable.is_none() => attributes,
            _ => return BTreeSet::new(),
        };
        if self.judge_said(record, said) != Verdict::In {
            return BTreeSet::new();
        }
        let belongs = self.made_groups_of(attributes);
        for group in &belongs {
            let gathering: &mut Gathering = gathered.entry(group.clone()).or_default();
            gathering.people.insert(record.clone());
            gathering.wanted |= said.lifecycle == Lifecycle::Active;
        }
        belongs
    }

    /// The made groups that a person belongs in, whether or not they are there yet.
    pub(super) fn made_groups_for(
        &self,
        record: &RecordKey,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let said = self.said_of(record)?;
        Ok(self.gather(&mut BTreeMap::new(), record, &said))
    }

    /// The groups that are made of these attributes: one for each value.
    fn made_groups_of(&self, attributes: &Attributes) -> BTreeSet<RecordKey> {
        let rules = &self.target.rules.groups;
        let Some(group_by) = &rules.group_by else {
            return BTreeSet::new();
        };
        let attribute = &group_by.attribute;
        let values = attributes.values(attribute).iter();
        let mut ids: BTreeSet<String> = values
            .map(|value| text::nfc(value.to_string().trim()).into_owned())
            .filter(|value| !value.is_empty())
            .map(|value| format!("{PREFIX}{attribute}={value}"))
            .collect();
        if ids.is_empty() && group_by.fallback.is_some() {
            ids.insert(format!("{PREFIX}{attribute}"));
        }
        let group = |id: String| RecordKey {
            source: MADE.to_owned(),
            kind: Kind::Group,
            id: SourceId::new(id),
        };
        ids.into_iter().map(group).collect()
    }

    /// A made group's name, if the present configuration makes it.
    pub(super) fn made_name<'a>(&'a self, record: &'a RecordKey) -> Option<&'a str> {
        let group_by = self.target.rules.groups.group_by.as_ref()?;
        if record.source != MADE {
            return None;
        }
        let of_attribute = record.id.as_str().strip_prefix(PREFIX)?;
        let rest = of_attribute.strip_prefix(group_by.attribute.as_str())?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => group_by.fallback.as_deref(),
            None => None,
        }
    }

    /// Whether this is the group of those without a value. It does not vanish with the last
    /// of them: the next one may come at any time.
    fn is_fallback(&self, record: &RecordKey) -> bool {
        let rules = &self.target.rules.groups;
        let group_by = rules.group_by.as_ref();
        self.made_name(record).is_some()
            && group_by.is_some_and(|group_by| {
                record.id.as_str().strip_prefix(PREFIX) == Some(group_by.attribute.as_str())
            })
    }

    /// What a made group is to be: mapped like one that was read.
    fn made_values(&self, record: &RecordKey) -> Option<Result<AttributeMap, MappingError>> {
        let name = Value::Text(self.made_name(record)?.to_owned());
        let attributes = Attributes(BTreeMap::from([("displayName".to_owned(), vec![name])]));
        let mapping = &self.target.mapping;
        Some(mapping.apply(Kind::Group, &record.id, &attributes))
    }

    /// What is to become of a made group. `unknown`: somebody in it cannot be judged.
    fn made_standing(&self, record: &RecordKey, wanted: bool, unknown: bool) -> Standing {
        if self.made_name(record).is_none() {
            return Standing::Gone;
        }
        if !self.target.profile.groups {
            return Standing::OutOfScope;
        }
        if wanted {
            return Standing::Entitled;
        }
        let mut sources = self.target.sources.iter();
        if let Some(why) = sources.find_map(|source| self.unreadable(source)) {
            return Standing::Unknown(why);
        }
        if unknown {
            let why = "nobody is known to be in it, and somebody cannot be judged";
            return Standing::Unknown(why.to_owned());
        }
        Standing::Gone
    }

    /// Whether the edges that provisor owns do not tell who is in one of these groups.
    fn is_any_unsettled(&self, groups: &BTreeSet<RecordKey>) -> Result<bool, SnapshotError> {
        for group in groups {
            let link = self.known.link(group)?;
            let settled = link.is_some_and(|link| !link.missing);
            if !settled || self.open.contains_key(group) || self.intents.contains_key(group) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
