//! Groups of which something was said: what became of each, and who moved by that.
//!
//! A group that is gone may go on being listed in another one, and one that came back says
//! nothing of its members: both are looked up. Must not say what becomes of a person.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use uuid::Uuid;

use super::Place;
use crate::entra::answer::id;
use crate::entra::apps::App;
use crate::entra::error::{GraphError, What, not_known};
use crate::entra::group::{self, Member};
use crate::entra::person::{Absent, source_id};
use crate::entra::properties::VISIBILITY;
use crate::entra::round::{Ends, Pages};
use crate::known::KnownRecord;
use crate::source::{Change, Kind, Members, SourceError};

/// Who is in other groups than before, and in which, and whether in or out.
#[derive(Default)]
pub(super) struct Moved {
    pub(super) people: BTreeMap<Uuid, BTreeMap<Uuid, bool>>,
    lists: BTreeMap<Uuid, BTreeMap<Uuid, bool>>,
    /// Groups that are gone.
    gone: BTreeSet<Uuid>,
    /// Groups whose members were listed.
    listed: BTreeSet<Uuid>,
    /// Groups of which nobody can tell who is in them, or what they are in.
    pub(super) unclear: BTreeSet<Uuid>,
}

impl Moved {
    fn note(&mut self, group: Uuid, member: Member, there: bool) {
        if let (Kind::User, person) = member {
            let groups = self.people.entry(person).or_default();
            groups.insert(group, there);
            self.lists.entry(group).or_default().insert(person, there);
        }
    }

    /// The groups that somebody is directly in now.
    pub(super) fn groups_of(&self, person: Uuid, known: &KnownRecord) -> BTreeSet<Uuid> {
        let known = known.groups.iter();
        let mut groups: BTreeSet<Uuid> = known
            .filter_map(|id| Uuid::try_parse(id.as_str()).ok())
            .filter(|id| !self.gone.contains(id))
            .collect();
        for (group, there) in self.people.get(&person).into_iter().flatten() {
            match there {
                true => groups.insert(*group),
                false => groups.remove(group),
            };
        }
        groups
    }
}

impl Place<'_> {
    /// Graph may never say that a group which is gone is not a member any more.
    pub(super) fn leave_parents(
        &self,
        groups: &mut BTreeMap<Uuid, group::Heard>,
    ) -> Result<(), SourceError> {
        let gone = groups.iter().filter(|(_, group)| group.removed.is_some());
        let gone: Vec<Uuid> = gone.map(|(id, _)| *id).collect();
        for id in gone {
            for parent in self.known(Kind::Group, id)?.groups {
                if let Ok(parent) = Uuid::try_parse(parent.as_str()) {
                    let heard = groups.entry(parent).or_default();
                    heard.members.insert((Kind::Group, id), false);
                }
            }
        }
        Ok(())
    }

    /// Nor that one which came back from the deleted items is a member again: who has it is asked.
    /// Groups that are not known will say it themselves.
    pub(super) async fn join_parents(
        &self,
        groups: &mut BTreeMap<Uuid, group::Heard>,
        moved: &mut Moved,
    ) -> Result<(), SourceError> {
        let there = groups.iter().filter(|(_, group)| group.removed.is_none());
        let there: Vec<Uuid> = there.map(|(id, _)| *id).collect();
        for id in there {
            let is_known = self.known(Kind::Group, id)?.lifecycle.is_some();
            if is_known && !self.before.unclear.contains(&id) {
                continue;
            }
            let Some(parents) = self.related(id, "memberOf").await? else {
                moved.unclear.insert(id);
                continue;
            };
            for (kind, parent) in parents {
                let is_known = self.known(Kind::Group, parent)?.lifecycle.is_some();
                if kind == Kind::Group && is_known {
                    let heard = groups.entry(parent).or_default();
                    heard.members.entry((Kind::Group, id)).or_insert(true);
                }
            }
        }
        Ok(())
    }

    /// Graph goes on naming a group that is gone as a member. One that is only not told yet asks
    /// for its place when it is.
    pub(super) fn drop_the_gone(
        &self,
        groups: &mut BTreeMap<Uuid, group::Heard>,
    ) -> Result<(), SourceError> {
        let mut named = BTreeSet::new();
        for group in groups.values() {
            let members = group.those(true).into_iter();
            named.extend(members.filter(|(kind, _)| *kind == Kind::Group));
        }
        for member in named {
            if self.is_there(member.1, groups)? {
                continue;
            }
            for group in groups.values_mut() {
                group
                    .members
                    .entry(member)
                    .and_modify(|there| *there = false);
            }
        }
        Ok(())
    }

    /// Nothing says that somebody who comes back is in a group whose members were listed without
    /// them: that list is read again. To ask what they are in would take a permission to read
    /// everything (Graph, "List a user's direct memberships"). So is one that nobody could
    /// understand.
    pub(super) fn list_again(
        &self,
        groups: &mut BTreeMap<Uuid, group::Heard>,
        somebody_returns: bool,
    ) -> Result<(), SourceError> {
        let listed = self.before.listed.iter().filter(|_| somebody_returns);
        for id in self.before.unclear.iter().chain(listed) {
            if self.is_there(*id, groups)? {
                groups.entry(*id).or_default().is_unclear = true;
            }
        }
        Ok(())
    }

    /// The groups whose members were listed since everything was read.
    pub(super) fn listed_since(&self, moved: &Moved) -> BTreeSet<Uuid> {
        let mut listed = moved.listed.clone();
        listed.extend(&self.before.listed);
        listed.retain(|id| !moved.gone.contains(id));
        listed
    }

    fn is_there(
        &self,
        id: Uuid,
        groups: &BTreeMap<Uuid, group::Heard>,
    ) -> Result<bool, SourceError> {
        Ok(match groups.get(&id) {
            Some(heard) => heard.removed.is_none(),
            None => self.known(Kind::Group, id)?.lifecycle.is_some(),
        })
    }

    /// Those of an app's groups that are there.
    pub(super) fn there(
        &self,
        app: &App,
        groups: &BTreeMap<Uuid, group::Heard>,
    ) -> Result<BTreeSet<Uuid>, SourceError> {
        let mut there = BTreeSet::new();
        for id in app.groups() {
            if self.is_there(id, groups)? {
                there.insert(id);
            }
        }
        Ok(there)
    }

    /// What became of a group. The whole list is read of one that is new here, which may have come
    /// back from the deleted items with members of whom nothing is said, and of one with changes
    /// that nobody understands, which are not told again.
    pub(super) async fn group(
        &self,
        id: Uuid,
        heard: &group::Heard,
        groups: &BTreeMap<Uuid, group::Heard>,
        moved: &mut Moved,
    ) -> Result<Change, SourceError> {
        let key = source_id(id);
        if heard.removed.is_some() {
            moved.gone.insert(id);
            for member in self.known.members(&key).map_err(not_known)? {
                if let Ok(person) = Uuid::try_parse(member.id.as_str()) {
                    moved.note(id, (member.kind, person), false);
                }
            }
            return Ok(Change::Removal(Kind::Group, key));
        }
        let known = self.known(Kind::Group, id)?;
        let members = match known.lifecycle {
            Some(_) if !heard.is_unclear => heard.changed(),
            _ => {
                let members = self.listed(id, heard, &known, groups).await?;
                match members {
                    Members::Unknown => moved.unclear.insert(id),
                    _ => moved.listed.insert(id),
                };
                members
            }
        };
        if let Members::Complete(now) = &members {
            let before = self.known.members(&key).map_err(not_known)?;
            let gone = before.difference(now).map(|member| (member, false));
            for (member, there) in now.iter().map(|member| (member, true)).chain(gone) {
                if let Ok(person) = Uuid::try_parse(member.id.as_str()) {
                    moved.note(id, (member.kind, person), there);
                }
            }
        }
        for (member, there) in &heard.members {
            moved.note(id, *member, *there);
        }
        let wanted = &self.wanted.of_groups;
        let record = heard.record(id, wanted, &known.attributes, Absent::Unchanged, members);
        Ok(Change::Upsert(record))
    }

    /// The whole list of a group's members, with what this round says of them.
    async fn listed(
        &self,
        id: Uuid,
        heard: &group::Heard,
        known: &KnownRecord,
        groups: &BTreeMap<Uuid, group::Heard>,
    ) -> Result<Members, SourceError> {
        let Some(members) = self.related(id, "members").await? else {
            return Ok(Members::Unknown);
        };
        // Changes do not repeat that a group hides its members, which looks like an empty one.
        let may_hide = known.lifecycle.is_some() && !heard.item.contains_key(VISIBILITY);
        if members.is_empty() && may_hide {
            return Ok(Members::Unknown);
        }
        let mut whole = heard.clone();
        whole.is_unclear = false;
        for member in members {
            let is_there = member.0 == Kind::User || self.is_there(member.1, groups)?;
            whole.members.entry(member).or_insert(is_there);
        }
        Ok(whole.complete())
    }

    /// The users and groups that are directly in a group, or that it is in. `None`: nobody can
    /// tell. Graph may know nothing yet of a group that has just come back, and one that went
    /// meanwhile is told of by the next round.
    async fn related(
        &self,
        group: Uuid,
        relation: &str,
    ) -> Result<Option<BTreeSet<Member>>, SourceError> {
        let url = self.graph.url(
            &["groups", &group.to_string(), relation],
            &[("$select", "id"), ("$top", "999")],
        );
        let mut pages = Pages::new(self.graph, What::Members, url, Ends::Plainly);
        let mut members = BTreeSet::new();
        loop {
            let page = match pages.next().await {
                Ok(page) => page,
                Err(GraphError::Missing) => {
                    tracing::warn!(%group, relation, "Graph does not show the list of a group");
                    return Ok(None);
                }
                Err(error) => return Err(error.into_source(&What::Members, &self.graph.server)),
            };
            let Some(items) = page else {
                return Ok(Some(members));
            };
            for item in items {
                let of_type = item.get("@odata.type").and_then(Json::as_str);
                let kind = match of_type {
                    Some("#microsoft.graph.user") => Kind::User,
                    Some("#microsoft.graph.group") => Kind::Group,
                    Some(_) => continue,
                    None => {
                        tracing::warn!(%group, relation, "a member does not say what it is");
                        return Ok(None);
                    }
                };
                let problem = "a member has no id";
                let missing = || What::Members.failed(&self.graph.server, problem, None);
                members.insert((kind, id(&item).ok_or_else(missing)?));
            }
        }
    }

    /// The people whom a change of a principal's roles concerns.
    pub(super) fn people_of(
        &self,
        (kind, principal): Member,
        moved: &Moved,
    ) -> Result<BTreeSet<Uuid>, SourceError> {
        if kind == Kind::User {
            return Ok(BTreeSet::from([principal]));
        }
        let members = self
            .known
            .members(&source_id(principal))
            .map_err(not_known)?;
        let known = members.into_iter().filter(|it| it.kind == Kind::User);
        let mut people: BTreeSet<Uuid> = known
            .filter_map(|member| Uuid::try_parse(member.id.as_str()).ok())
            .collect();
        let moved = moved.lists.get(&principal).into_iter().flatten();
        people.extend(moved.map(|(person, _)| *person));
        Ok(people)
    }
}
