//! Who is below a group and above a record, and the scope groups among them.

use std::collections::BTreeSet;

use provisor_connectors::{Attributes, Kind, MemberKey, RecordKey, SourceId};

use super::{Selector, key};
use crate::scim::path::AttributePath;
use crate::scope::{ScopeGroup, Verdict};
use crate::snapshot::SnapshotError;
use crate::spelling;
use crate::text;

impl Selector<'_> {
    /// Resolves the configured scope groups, by pin first, and flattens their members; and notes
    /// which places of the scope are not there.
    pub(super) fn resolve_scope(&mut self) -> Result<(), SnapshotError> {
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
        let scope = &self.target.scope;
        for question in scope.below.iter().chain(&scope.matches) {
            let sources = self.target.sources.iter();
            let reasons = sources.filter_map(|it| self.readings.unanswered(it, question));
            self.selection.unresolved.extend(reasons.cloned());
        }
        self.resolve_assigned()
    }

    fn resolve_scope_group(&mut self, name: &str) -> Result<ScopeGroup, SnapshotError> {
        let mut hits = BTreeSet::new();
        let pinned = self.known.progress().scope_pins.get(name).cloned();
        let pinned = pinned.filter(|pin| self.view(&pin.source).is_some());
        match pinned.clone() {
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
                // While a source cannot be read, a group of that name may be there as well.
                for source in &self.target.sources {
                    if let Some(why) = self.unreadable(source) {
                        return Ok(ScopeGroup::Unresolved(format!(
                            "the scope group `{name}` cannot be looked for: {why}"
                        )));
                    }
                }
                hits = self.groups_called(name)?;
            }
        }
        let unresolved = |why: String| Ok(ScopeGroup::Unresolved(why));
        let found = hits.len();
        let (Some(group), 1) = (hits.into_iter().next(), found) else {
            return unresolved(match found {
                0 => match pinned {
                    Some(gone) => self.not_that_group(name, &gone)?,
                    None => self.no_such_group(name)?,
                },
                _ => format!(
                    "{found} groups are called `{name}`: name the scope group by its source id"
                ),
            });
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

    /// The groups of this id, or with this displayName.
    fn groups_called(&self, name: &str) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        // What a group is called is in this form, its id is as it is.
        let composed = text::nfc(name);
        let mut hits = BTreeSet::new();
        for view in self.views() {
            for row in view.rows(Kind::Group) {
                let row = row?;
                let called = self.display_name(&row.id, &row.attributes);
                let named = row.id.as_str() == name || called.as_deref() == Some(&*composed);
                if named && row.gone_since.is_none() {
                    hits.insert(key(view, Kind::Group, row.id));
                }
            }
        }
        Ok(hits)
    }

    /// A group that was made again under its name need not be the same one.
    fn not_that_group(&self, name: &str, gone: &RecordKey) -> Result<String, SnapshotError> {
        let others = self.groups_called(name)?.into_iter();
        let others: Vec<String> = others
            .map(|it| format!("{} of {}", it.id, it.source))
            .collect();
        let hint = match &others[..] {
            [] => "name another one, or take it out of the scope".to_owned(),
            others => format!(
                "if the one of that name that is there now is meant, name it by its id: {}",
                others.join(", ")
            ),
        };
        Ok(format!(
            "the scope group `{name}` (id {} of {}) is gone; {hint}",
            gone.id, gone.source
        ))
    }

    fn no_such_group(&self, name: &str) -> Result<String, SnapshotError> {
        let mut names = BTreeSet::new();
        for view in self.views() {
            for row in view.rows(Kind::Group) {
                let row = row?;
                names.extend(self.display_name(&row.id, &row.attributes));
            }
        }
        let nearest = spelling::closest(name, names.iter().map(String::as_str));
        let hint = nearest.map_or_else(String::new, |nearest| {
            format!("; did you mean `{nearest}`?")
        });
        Ok(format!("there is no group `{name}` for the scope{hint}"))
    }

    pub(super) fn display_name(&self, id: &SourceId, attributes: &Attributes) -> Option<String> {
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
    pub(super) fn flatten(
        &self,
        group: &RecordKey,
    ) -> Result<(BTreeSet<RecordKey>, bool), SnapshotError> {
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
                        let record = key(view, Kind::User, member.id);
                        people.insert(self.selection.joined.speaker(&record).clone());
                    }
                    Kind::Group if entered.insert(member.id.clone()) => waiting.push(member.id),
                    Kind::Group => {}
                }
            }
        }
        Ok((people, complete))
    }

    /// Groups that contain a record, directly or through nested groups.
    pub(super) fn ancestors(
        &self,
        record: &RecordKey,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
        let mut found = BTreeSet::new();
        for each in self.selection.joined.records(record) {
            found.extend(self.ancestors_in_source(each)?);
        }
        Ok(found)
    }

    fn ancestors_in_source(
        &self,
        record: &RecordKey,
    ) -> Result<BTreeSet<RecordKey>, SnapshotError> {
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

    /// Judges a person by scope groups, and by these attributes where there is a condition.
    pub(super) fn judge(&self, record: &RecordKey, attributes: Option<&Attributes>) -> Verdict {
        let memberships = self
            .scope_members
            .iter()
            .filter(|(_, members)| members.contains(record))
            .map(|(group, _)| group.clone())
            .collect();
        self.target
            .scope
            .judge(&self.scope_groups, &self.assigned, &memberships, attributes)
    }

    /// Why nothing may happen to somebody, if that is so. Their row is only read where it is
    /// needed for that.
    pub(super) fn doubt(&self, record: &RecordKey) -> Result<Option<String>, SnapshotError> {
        if let Some(why) = self.selection.joined.contested(record) {
            return Ok(Some(why.to_owned()));
        }
        let by_row = self.target.scope.depends_on_values() || self.target.rules.join_key.is_some();
        let (unreadable, verdict) = if by_row && record.kind == Kind::User {
            let said = self.said_of(record)?;
            let verdict = self.judge_said(record, &said);
            (said.unreadable, verdict)
        } else {
            (self.unreadable(&record.source), self.judge(record, None))
        };
        Ok(unreadable.or(match verdict {
            Verdict::Unknown(why) => Some(why),
            Verdict::In | Verdict::Out => None,
        }))
    }
}
