//! Writing a resource in the form that the target understands, and making sure that it took.
//!
//! Each other form is tried once a request, and only after a refusal of the form itself or
//! after a yes that changed nothing; what helped is remembered. Never turns a change into a
//! DELETE, and never repeats after 401, 403, 404, 409, 412 (but for reading again), 429, 5xx.

mod confirm;
mod send;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use provisor_connectors::Kind;
use serde_json::Value;

use self::confirm::Verdict;
use super::client::{Client, Sent};
use super::dialect::{Change, Dialect, Form, Learned, Manner, create_body, finish};
use super::endpoint::{resource_url, shown_resource};
use super::error::TargetError;
use super::profile::Profile;
use super::verify::Seen;
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId, read_path};

/// One resource to be written, and what is known of it.
pub struct Subject<'a> {
    /// What the target can do.
    pub profile: &'a Profile,
    /// User or group.
    pub kind: Kind,
    /// The values that the target last acknowledged.
    pub before: &'a AttributeMap,
    /// Members that are groups; all others are people.
    pub nested: &'a BTreeSet<String>,
    /// The members that provisor put into this group, as the snapshot has them.
    pub owned: &'a (dyn Fn() -> BTreeSet<ResourceId> + Sync),
}

impl Client {
    /// What the target has taught so far.
    pub fn dialect(&self) -> Dialect {
        let dialect = self.inner.dialect.lock();
        dialect.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts from what an earlier run has learnt.
    pub fn remember(&self, dialect: Dialect) {
        *self
            .inner
            .dialect
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = dialect;
    }

    /// POST of a resource in the target's dialect. A value that is refused is sent once more
    /// in the other form; 400 proves that nothing was made.
    ///
    /// # Errors
    ///
    /// As [`Client::create`].
    pub async fn create_resource(
        &self,
        subject: &Subject<'_>,
        attributes: &AttributeMap,
        members: &[String],
    ) -> Result<Sent, TargetError> {
        let kind = subject.kind;
        let change = Change {
            active: (kind == Kind::User).then_some(true),
            operations: &[],
            add: members,
            remove: &[],
        };
        let first = self.manner(subject);
        let mut manner = first;
        let sent = loop {
            let mut body = create_body(kind, attributes, members);
            self.finish(subject, &mut body, manner);
            let error = match self.create(kind, &body).await {
                Ok(sent) => break sent,
                Err(error) => error,
            };
            match manner.after_refused_value(&error, &change) {
                Some(next) => manner = next,
                None => return Err(error),
            }
        };
        self.learn(kind, |learned| {
            if manner != first {
                learned.note_manner(manner);
            }
            if let Some(resource) = &sent.resource {
                learned.note_shown(resource);
            }
        });
        Ok(sent)
    }

    /// Changes a resource in the target's dialect, and makes sure that it took: from the
    /// answer where that shows the resource, else by reading it back, the first time each
    /// attribute is changed at this target. Costs nothing more later.
    ///
    /// # Errors
    ///
    /// As any call; [`TargetError::Ignored`] when the target says yes in every form
    /// and goes on to show what was there before: nothing is done then.
    pub async fn update(
        &self,
        subject: &Subject<'_>,
        id: &ResourceId,
        change: &Change<'_>,
    ) -> Result<Sent, TargetError> {
        let kind = subject.kind;
        let first = self.manner(subject);
        let mut manner = first;
        let mut tried = BTreeSet::new();
        let mut lasting = true;
        let mut first_error = None;
        let mut doubtful = None;
        loop {
            tried.insert(manner);
            let next = match self.send_as(manner, subject, id, change).await {
                Ok(sent) => match self.confirm(subject, id, change, sent).await? {
                    Verdict::Done(sent, seen) => {
                        // A form that was no fallback has taught nothing: meanwhile another may have.
                        let learnt = (lasting && manner != first).then_some(manner);
                        self.note(kind, learnt, &seen, &sent);
                        return Ok(sent);
                    }
                    Verdict::Doubtful(sent, seen) => {
                        doubtful.get_or_insert((sent, seen));
                        manner.after_nothing(change)
                    }
                    Verdict::Ignored(points, promised) => {
                        first_error.get_or_insert_with(|| TargetError::Ignored {
                            method: method_of(manner),
                            path: shown_resource(kind),
                            attributes: points.join("`, `"),
                        });
                        // What is only promised may come yet: no other form would be better.
                        manner.after_nothing(change).filter(|_| !promised)
                    }
                },
                Err(error) => {
                    let next = manner.after_refusal(&error, change);
                    let about_form = matches!(error.status(), Some(400 | 405 | 501));
                    if !about_form && doubtful.is_none() {
                        return Err(error);
                    }
                    first_error.get_or_insert(error);
                    next.map(|(next, remembered)| {
                        lasting &= remembered;
                        next
                    })
                }
            };
            match next.filter(|next| !tried.contains(next)) {
                Some(next) => manner = next,
                None => break,
            }
        }
        if let Some((sent, seen)) = doubtful {
            // No form shows it: the target does not show such a thing, whatever it keeps.
            self.note(kind, None, &seen, &sent);
            return Ok(sent);
        }
        Err(first_error.unwrap_or_else(|| TargetError::Ignored {
            method: method_of(manner),
            path: shown_resource(kind),
            attributes: String::new(),
        }))
    }

    fn manner(&self, subject: &Subject<'_>) -> Manner {
        self.learned(subject.kind, |learned| learned.manner)
            .unwrap_or_else(|| Manner::of(subject.profile))
    }

    /// Reads what was learnt, without copying it for every call.
    fn learned<T>(&self, kind: Kind, read: impl FnOnce(&Learned) -> T) -> T {
        let dialect = self.inner.dialect.lock();
        read(dialect.unwrap_or_else(PoisonError::into_inner).of(kind))
    }

    /// Whether ids of a kind were seen to be names, which may pass to somebody else.
    pub fn doubts_ids(&self, kind: Kind) -> bool {
        self.learned(kind, |learned| learned.ids_are_names)
    }

    fn learn(&self, kind: Kind, change: impl FnOnce(&mut Learned)) {
        let dialect = self.inner.dialect.lock();
        let mut dialect = dialect.unwrap_or_else(PoisonError::into_inner);
        change(dialect.of_mut(kind));
    }

    /// Remembers the manner that helped, and what was seen of it.
    fn note(&self, kind: Kind, manner: Option<Manner>, seen: &BTreeMap<String, Seen>, sent: &Sent) {
        self.learn(kind, |learned| {
            if let Some(manner) = manner {
                learned.note_manner(manner);
            }
            for (point, seen) in seen {
                if *seen == Seen::Took {
                    learned.verified.insert(point.clone());
                    learned.unseen.remove(point);
                } else if !learned.verified.contains(point) {
                    learned.unseen.insert(point.clone());
                }
            }
            if let Some(resource) = &sent.resource {
                learned.note_shown(resource);
            }
        });
    }

    /// Writes booleans and members as the target wants them.
    fn finish(&self, subject: &Subject<'_>, body: &mut Value, manner: Manner) {
        let base = &self.inner.connection.base_url;
        finish(body, manner, |id| {
            let kind = if subject.nested.contains(id) {
                Kind::Group
            } else {
                Kind::User
            };
            let id = ResourceId(id.to_owned());
            let url = resource_url(base, "PATCH", kind, &id).ok()?;
            Some(url.to_string())
        });
    }
}

impl Manner {
    /// What to try when a create's value was refused.
    fn after_refused_value(self, error: &TargetError, change: &Change<'_>) -> Option<Self> {
        match error {
            TargetError::Refused {
                status: 400,
                scim_type: Some(scim_type),
                ..
            } if scim_type.eq_ignore_ascii_case("invalidValue") => self.with_other_values(change),
            _ => None,
        }
    }
}

impl Learned {
    fn note_shown(&mut self, resource: &Listed) {
        let members = resource.members.as_ref();
        self.members_shown |= members.is_some_and(|members| !members.is_empty());
        let name = AttributePath::user_name();
        let named = read_path(&resource.json, &name).and_then(Value::as_str);
        self.ids_are_names |= named.is_some_and(|it| it.eq_ignore_ascii_case(&resource.id.0));
    }
}

fn method_of(manner: Manner) -> &'static str {
    match manner.form {
        Form::Paths | Form::NoPaths => "PATCH",
        Form::Whole => "PUT",
    }
}

/// Ids are case-exact (RFC 7643 §3.1), but some servers spell a UUID in upper case in one
/// answer and in lower case in another.
pub(super) fn is_same(one: &ResourceId, other: &ResourceId) -> bool {
    one.0.eq_ignore_ascii_case(&other.0)
}

#[cfg(test)]
mod tests;
