//! A read of only what has changed: those whom the server names, those whom the clock alone has
//! switched off, and what follows from both for others.
//!
//! What it leaves has to be what a full read would leave. Wherever that is in doubt it ends with
//! [`Stop::Everything`], before anything was handed on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Reading, Stop, WITH_MEMBERS, moved};
use crate::known::{Known, NotReadable};
use crate::ldap::config::Referrals;
use crate::ldap::entry::Entry;
use crate::ldap::filter::Filter;
use crate::ldap::flavor::{Flavor, Part};
use crate::ldap::lifecycle::Due;
use crate::ldap::position::{MANY, Position};
use crate::ldap::search::Search;
use crate::ldap::tracking::{self, Deleted, IDS, MOST, Mark, Touched};
use crate::ldap::walk::Walk;
use crate::source::{
    Batch, Change, Coverage, Kind, Lifecycle, MemberKey, Record, SourceError, SourceId,
};

/// Entries by their ids.
pub(super) type Entries = BTreeMap<SourceId, Entry>;

impl From<NotReadable> for Stop {
    fn from(error: NotReadable) -> Self {
        Stop::unclear(&error.to_string())
    }
}

impl Reading<'_> {
    /// Reads what has changed since the mark.
    pub(super) async fn read_changes(
        mut self,
        before: Position,
        mark: Mark,
        known: &Known,
    ) -> Result<Batch, Stop> {
        let settings = self.place.settings;
        self.only_changes = true;
        self.check_mark(&mark)?;
        self.told = before.told.clone();
        self.find_inactive().await?;
        self.find_answers().await?;
        if self.judged() != mark.judged {
            return Err(Stop::unclear("a filter matches others, or a place is gone"));
        }
        // Reading people counts them, too, and counts only some.
        let told = self.told.clone();
        self.check_common(&before).await?;
        self.check_stamps().await?;
        let touched = tracking::touched(&self.place, &self.wanted, &mark.spot).await?;
        let (there, elsewhere, deleted, spot) = match touched {
            Touched::Records {
                there,
                elsewhere,
                deleted,
                spot,
            } => (there, elsewhere, deleted, spot),
            Touched::Unclear(why) => return Err(Stop::unclear(why)),
            Touched::Refused(words) => {
                return Err(Stop::Everything {
                    why: format!("the server refuses to go on from the last read: {words}"),
                    refused: true,
                });
            }
        };
        let mut touched = there;
        for id in elsewhere {
            if !touched.contains(&id) && is_known(known, &id)? {
                touched.insert(id);
            }
        }
        touched.extend(self.find_due(&mark).await?);
        if touched.len() > MOST {
            return Err(Stop::unclear("much has changed"));
        }
        let deleted = self.find_deleted_of_changes(&deleted).await?;

        let mut people = self.fetch(Kind::User, &touched).await?;
        let mut groups = self.fetch(Kind::Group, &touched).await?;
        let gone = gone(known, Kind::User, &touched, &people)?;
        if !gone.is_empty() && self.uses_references() {
            return Err(Stop::unclear("somebody is gone whom others may name"));
        }
        let concerned = self.find_concerned(known, &people, &groups).await?;
        touched.extend(concerned);
        for kind in Kind::ALL {
            let found = match kind {
                Kind::User => &people,
                Kind::Group => &groups,
            };
            for id in self::gone(known, kind, &touched, found)? {
                touched.extend(known.of(&key(kind, &id))?.groups);
            }
        }
        let naming = self.find_naming(known, &people).await?;
        people.extend(self.fetch(Kind::User, &missing(naming, &people)).await?);
        groups.extend(
            self.fetch(Kind::Group, &missing(touched.clone(), &groups))
                .await?,
        );

        for entry in people.values() {
            self.take_person(entry).await?;
        }
        self.take_groups(&mut groups).await?;
        self.find_missing_of_changes().await?;
        self.send_waiting().await?;
        if self.unstamped {
            return Err(Stop::unclear("what tells changes is hidden of somebody"));
        }
        let mut soft_deleted = BTreeSet::new();
        for record in deleted {
            if !self.index.has(record.kind, &record.id) {
                soft_deleted.insert(record.id.clone());
                self.outbox.push(Change::Upsert(record)).await?;
            }
        }
        for id in gone.difference(&soft_deleted) {
            let removal = Change::Removal(Kind::User, id.clone());
            self.outbox.push(removal).await?;
        }
        for id in self::gone(known, Kind::Group, &touched, &groups)? {
            self.outbox.push(Change::Removal(Kind::Group, id)).await?;
        }

        let position = before.after_changes(told, self.mark(spot));
        self.check_told(&position)?;
        self.outbox.flush().await?;
        let mut coverage = BTreeMap::from([(Kind::User, Coverage::Changes)]);
        if settings.groups.is_some() {
            coverage.insert(Kind::Group, Coverage::Changes);
        }
        tracing::debug!(
            server = self.place.connection.server,
            touched = touched.len(),
            people = people.len(),
            groups = groups.len(),
            "read what has changed"
        );
        Ok(Batch {
            coverage,
            tells_lifecycle: self.tells_lifecycle(&position),
            cursor: position.cursor(),
            voided: false,
            unanswered: self.unanswered,
            warnings: Vec::new(),
        })
    }

    fn check_mark(&self, mark: &Mark) -> Result<(), Stop> {
        if mark.selection != tracking::selection(self.place.settings, &self.wanted) {
            return Err(Stop::unclear("something else is asked for than before"));
        }
        if self.request.now < mark.at {
            return Err(Stop::unclear("the clock was ahead at the last read"));
        }
        Ok(())
    }

    /// What many had can still be seen of somebody: otherwise a full read says what is wrong.
    async fn check_common(&self, before: &Position) -> Result<(), Stop> {
        let settings = self.place.settings;
        let rules = settings.rules.iter().map(|rule| rule.attribute());
        let rules = rules.filter(|name| before.told.get(*name).is_some_and(|count| *count >= MANY));
        let common = before.common.iter();
        let common = common.flat_map(|(kind, names)| names.iter().map(|name| (*kind, name)));
        let mut names: BTreeSet<(Kind, &str)> = rules.map(|name| (Kind::User, name)).collect();
        names.extend(common.map(|(kind, name)| (kind, name.as_str())));
        for (kind, name) in names {
            let asked = vec![name.to_owned()];
            if !self.is_visible(kind, &asked).await? {
                return Err(Stop::unclear("nothing is to be seen of what many had"));
            }
        }
        let members = before.told.get(WITH_MEMBERS);
        if members.is_some_and(|count| *count >= MANY)
            && !self
                .is_visible(Kind::Group, &settings.member_attributes)
                .await?
        {
            return Err(Stop::unclear("members are not to be seen"));
        }
        Ok(())
    }

    /// What tells changes can be seen of somebody below each base: hidden since the last full
    /// read, it would be said that nothing has changed.
    async fn check_stamps(&self) -> Result<(), Stop> {
        let Some(stamp) = self.stamp else {
            return Ok(());
        };
        for part in self.place.settings.parts() {
            for base in &part.bases {
                let asked = vec![stamp.to_owned()];
                let search = Search::below(base, part.filter.clone(), asked, 1);
                let place = &self.place;
                let home = &place.connection;
                let mut walk = Walk::new(place.connector, home, Referrals::Ignore, [search]);
                let chunk = walk.next_chunk().await?.unwrap_or_default();
                if !chunk.iter().all(|entry| entry.has(stamp)) {
                    return Err(Stop::unclear("what tells changes is not to be seen"));
                }
            }
        }
        Ok(())
    }

    /// Those who were deleted since.
    async fn find_deleted_of_changes(&self, deleted: &Deleted) -> Result<Vec<Record>, Stop> {
        let ids = match deleted {
            Deleted::Nobody => return Ok(Vec::new()),
            Deleted::Matching(filter) => return Ok(self.find_deleted(Some(filter)).await?),
            Deleted::These(ids) => Vec::from_iter(ids),
        };
        if ids.len() > MOST {
            return Err(Stop::unclear("much was deleted"));
        }
        let mut found = Vec::new();
        for ids in ids.chunks(IDS) {
            let filter = self.place.settings.any_of(ids.iter().copied());
            let filter = filter.ok_or_else(|| Stop::unclear("an id cannot be asked for"))?;
            found.extend(self.find_deleted(Some(&filter)).await?);
        }
        Ok(found)
    }

    /// Whether anybody is seen to have one of these attributes.
    async fn is_visible(&self, kind: Kind, names: &[String]) -> Result<bool, SourceError> {
        let Some(part) = self.part(kind) else {
            return Ok(true);
        };
        let any: Vec<Filter> = names.iter().map(|name| Filter::present(name)).collect();
        let filter = part.filter.and(&Filter::any(&any));
        for base in &part.bases {
            let search = Search::below(base, filter.clone(), names.to_vec(), 1);
            let place = &self.place;
            let home = &place.connection;
            let mut walk = Walk::new(place.connector, home, Referrals::Ignore, [search]);
            let chunk = walk.next_chunk().await?.unwrap_or_default();
            let has = |entry: &Entry| names.iter().any(|name| entry.has_any(name));
            if chunk.iter().any(has) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Those whom the clock alone has switched off since.
    async fn find_due(&self, mark: &Mark) -> Result<BTreeSet<SourceId>, Stop> {
        let mut due = BTreeSet::new();
        for rule in &self.place.settings.rules {
            match rule.due(mark.at, self.request.now) {
                Due::Nobody => {}
                Due::Those(filter) => due.extend(self.find_ids(Kind::User, &filter).await?),
                Due::Unclear => return Err(Stop::unclear("the last read was long ago")),
            }
        }
        Ok(due)
    }

    /// The ids of the records that a filter matches.
    pub(super) async fn find_ids(
        &self,
        kind: Kind,
        filter: &Filter,
    ) -> Result<BTreeSet<SourceId>, SourceError> {
        let mut ids = BTreeSet::new();
        let Some(part) = self.part(kind) else {
            return Ok(ids);
        };
        let asked = vec![self.place.settings.id_attribute.clone()];
        let mut walk = self.walk(&part.bases, &part.filter.and(filter), &asked);
        while let Some(chunk) = walk.next_chunk().await? {
            for entry in chunk {
                ids.insert(self.id(&entry)?);
            }
        }
        Ok(ids)
    }

    /// Those of these records that are there, read anew.
    async fn fetch(&self, kind: Kind, ids: &BTreeSet<SourceId>) -> Result<Entries, Stop> {
        let Some(part) = self.part(kind) else {
            return Ok(Entries::new());
        };
        let asked = match kind {
            Kind::User => &self.wanted.of_people,
            Kind::Group => &self.wanted.of_groups,
        };
        let ids = Vec::from_iter(ids);
        let bases = moved::twice(&part.bases);
        let mut entries = Entries::new();
        for ids in ids.chunks(IDS) {
            let filter = self.place.settings.any_of(ids.iter().copied());
            let filter = filter.ok_or_else(|| Stop::unclear("an id cannot be asked for"))?;
            let filter = part.filter.and(&filter);
            let mut walk = self.walk(&bases, &filter, asked);
            while let Some(chunk) = walk.next_chunk().await? {
                for entry in chunk {
                    entries.insert(self.id(&entry)?, entry);
                }
            }
        }
        Ok(entries)
    }

    pub(super) fn part(&self, kind: Kind) -> Option<&Part> {
        let settings = self.place.settings;
        match kind {
            Kind::User => Some(&settings.users),
            Kind::Group => settings.groups.as_ref(),
        }
    }

    fn uses_references(&self) -> bool {
        let references = &self.place.settings.references;
        match &self.wanted.requested {
            None => !references.is_empty(),
            Some(names) => names.iter().any(|name| {
                let mut references = references.iter();
                references.any(|reference| reference.eq_ignore_ascii_case(name))
            }),
        }
    }

    /// The people who name somebody that has come, or may have another name.
    async fn find_naming(
        &self,
        known: &Known,
        people: &Entries,
    ) -> Result<BTreeSet<SourceId>, Stop> {
        let settings = self.place.settings;
        let mut naming = BTreeSet::new();
        if !self.uses_references() {
            return Ok(naming);
        }
        let mut filters = Vec::new();
        for (id, entry) in people {
            let was_there = is_living(known, Kind::User, id)?;
            // Names follow by themselves there.
            if was_there && settings.flavor == Flavor::ActiveDirectory {
                continue;
            }
            let dn = entry.dn.as_str().as_bytes();
            let references = settings.references.iter();
            filters.extend(references.map(|name| Filter::equals(name, dn)));
        }
        // Together: where the attribute has no index, each search looks at everybody.
        for filters in filters.chunks(IDS) {
            naming.extend(self.find_ids(Kind::User, &Filter::any(filters)).await?);
        }
        Ok(naming)
    }
}

/// Those of the ids that were not found yet.
fn missing(ids: BTreeSet<SourceId>, found: &Entries) -> BTreeSet<SourceId> {
    let missing = ids.into_iter().filter(|id| !found.contains_key(id));
    missing.collect()
}

/// Whether a record of this id is known.
fn is_known(known: &Known, id: &SourceId) -> Result<bool, NotReadable> {
    for kind in Kind::ALL {
        if known.of(&key(kind, id))?.lifecycle.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the record could be named by others.
fn is_living(known: &Known, kind: Kind, id: &SourceId) -> Result<bool, NotReadable> {
    let lifecycle = known.of(&key(kind, id))?.lifecycle;
    Ok(lifecycle.is_some_and(|it| !matches!(it, Lifecycle::SoftDeleted { .. })))
}

/// Those of the touched records that are known and were not found any more.
fn gone(
    known: &Known,
    kind: Kind,
    touched: &BTreeSet<SourceId>,
    found: &Entries,
) -> Result<BTreeSet<SourceId>, NotReadable> {
    let mut gone = BTreeSet::new();
    for id in touched.iter().filter(|id| !found.contains_key(id)) {
        if known.of(&key(kind, id))?.lifecycle.is_some() {
            gone.insert(id.clone());
        }
    }
    Ok(gone)
}

pub(super) fn key(kind: Kind, id: &SourceId) -> MemberKey {
    MemberKey {
        kind,
        id: id.clone(),
    }
}
