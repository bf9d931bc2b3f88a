//! Resources at the target that are nobody's: shown, and after a lost snapshot suspected.

use provisor_connectors::{Kind, RecordKey};

use super::Table;
use crate::plan::action::{ListedReason, Reason, Subject};
use crate::plan::build;
use crate::plan::input::Standing;
use crate::plan::protection;
use crate::scim::path::AttributePath;
use crate::scim::resource::{Listed, read_path};

impl Table<'_> {
    /// Resources of a complete listing that no link and no record's key finds. Only a full
    /// cycle has looked at every record.
    pub(super) fn unlinked(&mut self) {
        let observed = &self.input.observed_users;
        if !(observed.complete && self.input.full) {
            return;
        }
        for (id, listed) in &observed.resources {
            let named = observed.external_owners.get(id);
            // Whoever was not looked at in this cycle is not nobody.
            let unseen = named.is_some_and(|record| !self.input.people.contains_key(record));
            let owner = observed.owners.get(id);
            let former = owner.filter(|owner| self.has_lost(owner));
            let owned = owner.is_some() && former.is_none();
            if owned || self.claimed.contains(id) || unseen {
                continue;
            }
            let subject = build::unclaimed(Kind::User, listed);
            if let Some(former) = former {
                let detail = format!(
                    "was of {} {} until the target did not know it, and has other keys by now",
                    former.source, former.id
                );
                self.list(subject, ListedReason::Unlinked, detail);
                continue;
            }
            let remembered = observed.remembered.get(id).filter(|_| listed.active);
            // Whoever is still there has their own resource, or is looked for by their keys.
            let living = remembered.filter(|record| self.is_living(record));
            if let Some(record) = named.or(living) {
                let detail = format!(
                    "carries the externalId of {} {}, whose keys do not match it",
                    record.source, record.id
                );
                self.list(subject, ListedReason::Unlinked, detail);
            } else if let Some(record) = remembered {
                self.restore_link(record, subject, listed);
            } else if listed.active && !self.input.complete {
                let detail = "in no source, as far as that can be told; active";
                self.list(subject, ListedReason::Unlinked, detail);
            } else if listed.active && self.input.snapshot_lost && self.looks_like_ours(listed) {
                self.probable_leaver(subject, listed);
            } else if listed.active {
                self.list(subject, ListedReason::Unlinked, "in no source; active");
            } else {
                self.list(subject, ListedReason::Unlinked, "in no source; inactive");
            }
        }
    }

    /// Whether somebody's resource was taken for gone.
    fn has_lost(&self, record: &RecordKey) -> bool {
        let candidate = self.input.people.get(record);
        candidate.is_some_and(|it| it.link.is_some() && it.standing_link().is_none())
    }

    fn is_living(&self, record: &RecordKey) -> bool {
        let candidate = self.input.people.get(record);
        candidate.is_some_and(|candidate| candidate.standing != Standing::Gone)
    }

    /// After a lost snapshot, somebody who is known to have been ours and whom no source has.
    fn restore_link(&mut self, record: &RecordKey, unclaimed: Subject, listed: &Listed) {
        let keys = [AttributePath::user_name(), AttributePath::external_id()];
        let found = keys.into_iter().filter_map(|path| {
            let value = read_path(&listed.json, &path)?.clone();
            Some((path, value))
        });
        let subject = Subject {
            record: Some(record.clone()),
            ..unclaimed
        };
        let reason = Reason::GoneFromSource;
        let action = build::restore_link(subject, listed, found.collect(), reason);
        self.people.actions.push(action);
    }

    /// After a lost snapshot, somebody at the target whom no source has and whose externalId
    /// has the form of our own is probably a leaver whose link is lost. The guards hold it for
    /// a person to decide.
    fn probable_leaver(&mut self, subject: Subject, listed: &Listed) {
        let protect = &self.input.rules.protect;
        let named = protection::listed_protected_by(&subject, listed, protect).is_some();
        if named {
            let detail = "in no source, but protected";
            return self.list(subject, ListedReason::Protected, detail);
        }
        let action = build::deactivate(subject, Reason::ProbableLeaver, self.input.profile);
        self.people.actions.push(action);
    }

    fn looks_like_ours(&self, listed: &Listed) -> bool {
        let external_id = read_path(&listed.json, &AttributePath::external_id());
        let Some(external_id) = external_id.and_then(|value| value.as_str()) else {
            return false;
        };
        let form = form_of(external_id);
        let records = self.input.people.keys();
        records
            .map(|record| form_of(record.id.as_str()))
            .any(|ours| ours == form)
    }
}

/// The form of a key: runs of digits, of letters, and what is between them.
fn form_of(key: &str) -> String {
    let mut form = String::new();
    for character in key.chars() {
        let class = match character {
            '0'..='9' => '9',
            _ if character.is_alphabetic() => 'a',
            other => other,
        };
        if !form.ends_with(class) {
            form.push(class);
        }
    }
    form
}
