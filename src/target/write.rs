//! Writing a resource in the form that the target understands, and making sure that it took.
//!
//! Each other form is tried once a request, and only after a refusal of the form itself or
//! after a yes that changed nothing; what helped is remembered. Never turns a change into a
//! DELETE, and never repeats after 401, 403, 404, 409, 412 (but for reading again), 429, 5xx.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use provisor_connectors::Kind;
use serde_json::Value;
use tokio::time::sleep;

use super::client::{Client, Sent};
use super::dialect::{
    Change, Dialect, Form, Learned, Manner, Removal, create_body, current_members, finish,
    patch_body, patch_with_list, pathless_body, pathless_needs_current, whole_body,
};
use super::endpoint::{resource_url, shown_resource};
use super::error::TargetError;
use super::exchange::{ATTEMPTS, Verb};
use super::profile::Profile;
use super::verify::{self, Known, Seen, active_point};
use crate::scim::path::AttributePath;
use crate::scim::resource::{AttributeMap, Listed, ResourceId, fold, read_path};

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

/// How a write that was answered with yes turned out.
enum Verdict {
    /// It took, as far as that can be known: what was seen, and what was not shown.
    Done(Sent, BTreeMap<String, Seen>),
    /// Nothing of it is shown, and nothing else says that such changes take.
    Doubtful(Sent, BTreeMap<String, Seen>),
    /// What was there before is still there.
    Ignored(Vec<String>),
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
        let mut manner = self.manner(subject);
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
            learned.note_manner(manner, Manner::of(subject.profile));
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
        let mut manner = self.manner(subject);
        let mut tried = BTreeSet::new();
        let mut lasting = true;
        let mut first_error = None;
        let mut doubtful = None;
        loop {
            tried.insert(manner);
            let next = match self.send_as(manner, subject, id, change).await {
                Ok(sent) => match self.verify(subject, id, change, sent).await? {
                    Verdict::Done(sent, seen) => {
                        self.note(subject, lasting.then_some(manner), &seen, &sent);
                        return Ok(sent);
                    }
                    Verdict::Doubtful(sent, seen) => {
                        doubtful.get_or_insert((sent, seen));
                        manner.after_nothing(change)
                    }
                    Verdict::Ignored(points) => {
                        first_error.get_or_insert_with(|| TargetError::Ignored {
                            method: method_of(manner),
                            path: shown_resource(kind),
                            attributes: points.join("`, `"),
                        });
                        manner.after_nothing(change)
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
            self.note(subject, None, &seen, &sent);
            return Ok(sent);
        }
        Err(first_error.unwrap_or_else(|| TargetError::Ignored {
            method: method_of(manner),
            path: shown_resource(kind),
            attributes: verify::points(change).join("`, `"),
        }))
    }

    fn manner(&self, subject: &Subject<'_>) -> Manner {
        self.dialect().manner(subject.profile, subject.kind)
    }

    fn learned(&self, kind: Kind) -> Learned {
        self.dialect().of(kind).clone()
    }

    fn learn(&self, kind: Kind, change: impl FnOnce(&mut Learned)) {
        let dialect = self.inner.dialect.lock();
        let mut dialect = dialect.unwrap_or_else(PoisonError::into_inner);
        change(dialect.of_mut(kind));
    }

    /// Remembers the manner that helped, and what was seen of it.
    fn note(
        &self,
        subject: &Subject<'_>,
        manner: Option<Manner>,
        seen: &BTreeMap<String, Seen>,
        sent: &Sent,
    ) {
        self.learn(subject.kind, |learned| {
            if let Some(manner) = manner {
                learned.note_manner(manner, Manner::of(subject.profile));
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

    async fn send_as(
        &self,
        manner: Manner,
        subject: &Subject<'_>,
        id: &ResourceId,
        change: &Change<'_>,
    ) -> Result<Sent, TargetError> {
        let kind = subject.kind;
        match manner.form {
            Form::Paths if change.remove.is_empty() || manner.removal != Removal::List => {
                return self.patch_members(manner, subject, id, change).await;
            }
            Form::NoPaths if !pathless_needs_current(change) => {
                return self.patch_members(manner, subject, id, change).await;
            }
            Form::Paths | Form::NoPaths | Form::Whole => {}
        }
        let mut again = true;
        loop {
            let (shown, etag) = self.current(subject, id, change, manner).await?;
            let mut body = match manner.form {
                Form::Paths => patch_with_list(change, &shown),
                Form::NoPaths => pathless_body(change, Some(&shown)),
                Form::Whole => whole_body(kind, change, &shown),
            };
            self.finish(subject, &mut body, manner);
            let verb = match manner.form {
                Form::Paths | Form::NoPaths => Verb::Patch,
                Form::Whole => Verb::Put,
            };
            match self.write(verb, kind, id, &body, etag, false).await {
                // Somebody else was quicker: read again, once.
                Err(error) if error.status() == Some(412) && again => again = false,
                other => return other,
            }
        }
    }

    /// What is there now, for a form that writes back what it does not change.
    async fn current(
        &self,
        subject: &Subject<'_>,
        id: &ResourceId,
        change: &Change<'_>,
        manner: Manner,
    ) -> Result<(Listed, Option<String>), TargetError> {
        let found = self.get_with_tag(subject.kind, id).await?;
        let method = method_of(manner);
        let (shown, etag) = found.ok_or_else(|| TargetError::Refused {
            method,
            path: shown_resource(subject.kind),
            status: 404,
            scim_type: None,
            detail: None,
            retry_after: None,
        })?;
        self.learn(subject.kind, |learned| learned.note_shown(&shown));
        let writes_members = manner.form == Form::Whole || !change.remove.is_empty();
        if subject.kind == Kind::Group
            && writes_members
            && !self.shows_all_members(subject, change, &shown)
        {
            // Writing back what is shown would remove whoever is not.
            return Err(TargetError::Unusable {
                method,
                path: shown_resource(subject.kind),
                problem: "the target does not show all members, so those that it does not \
                          show would be removed; nothing was sent"
                    .to_owned(),
            });
        }
        Ok((shown, etag))
    }

    /// Whether everybody whom provisor put into the group is shown, but for whom this change
    /// is about: then the list is not cut short.
    fn shows_all_members(
        &self,
        subject: &Subject<'_>,
        change: &Change<'_>,
        shown: &Listed,
    ) -> bool {
        if !subject.profile.members_listed {
            return false;
        }
        if shown.members.is_none() && self.learned(subject.kind).members_shown {
            return true;
        }
        let members = current_members(shown);
        (subject.owned)().iter().all(|id| {
            members.contains(&id.0.to_ascii_lowercase())
                || change.remove.contains(id)
                || change.add.contains(&id.0)
        })
    }

    /// A PATCH that needs no reading. Some servers list a member twice that is added twice, so
    /// one with additions is not blindly repeated when its answer is lost: who is there by
    /// then is left out.
    async fn patch_members(
        &self,
        manner: Manner,
        subject: &Subject<'_>,
        id: &ResourceId,
        change: &Change<'_>,
    ) -> Result<Sent, TargetError> {
        let mut add = change.add.to_vec();
        let mut number = 1;
        loop {
            let rest = Change {
                add: &add,
                ..*change
            };
            let mut body = match manner.form {
                Form::Paths => patch_body(&rest, manner.removal),
                Form::NoPaths | Form::Whole => pathless_body(&rest, None),
            };
            self.finish(subject, &mut body, manner);
            let once = !add.is_empty();
            let error = match self
                .write(Verb::Patch, subject.kind, id, &body, None, once)
                .await
            {
                Err(error) if once && error.may_have_happened() && number < ATTEMPTS => error,
                other => return other,
            };
            sleep(self.delay(number)).await;
            number += 1;
            let Ok(Some(shown)) = self.get(subject.kind, id).await else {
                return Err(error);
            };
            let members = current_members(&shown);
            add.retain(|id| !members.contains(&id.to_ascii_lowercase()));
            let only_additions =
                change.active.is_none() && change.operations.is_empty() && change.remove.is_empty();
            if add.is_empty() && only_additions {
                return Ok(Sent {
                    method: "PATCH",
                    status: 200,
                    resource: Some(shown),
                    request_id: String::new(),
                });
            }
        }
    }

    /// Looks whether a write that was answered with yes has taken.
    async fn verify(
        &self,
        subject: &Subject<'_>,
        id: &ResourceId,
        change: &Change<'_>,
        mut sent: Sent,
    ) -> Result<Verdict, TargetError> {
        let kind = subject.kind;
        sent.resource = sent
            .resource
            .filter(|it| is_same(&it.id, id) || is_renamed(kind, change, it));
        let learned = self.learned(kind);
        let is_new =
            |point: &String| !learned.verified.contains(point) && !learned.unseen.contains(point);
        let mut wanted: BTreeSet<String> =
            verify::points(change).into_iter().filter(is_new).collect();
        // A leaver inside is the worst that a false yes can leave behind. Where the answer
        // shows it, it is looked at every time; and a 202 has only promised it.
        if let Some(active) = change.active
            && (sent.resource.is_some() || sent.status == 202)
        {
            wanted.insert(active_point(active));
        }
        if wanted.is_empty() {
            return Ok(Verdict::Done(sent, BTreeMap::new()));
        }
        let look = |shown: &Listed| {
            let known = Known {
                before: subject.before,
                members_shown: kind == Kind::Group && self.tells_members(subject, change, shown),
            };
            let mut seen = verify::look(change, shown, known);
            seen.retain(|point, _| wanted.contains(point));
            seen
        };
        if let Some(shown) = &sent.resource {
            let seen = look(shown);
            if seen
                .values()
                .all(|it| matches!(it, Seen::Took | Seen::Hidden))
            {
                return Ok(Verdict::Done(sent, seen));
            }
        }
        let place = sent.resource.as_ref().map_or(id, |it| &it.id).clone();
        let Some(shown) = self.get(kind, &place).await? else {
            // Somebody switched off may be hidden; anything else is found out by the next call.
            return Ok(Verdict::Done(sent, BTreeMap::new()));
        };
        let seen = look(&shown);
        sent.resource = Some(shown);
        let points_that = |what: Seen| {
            let points = seen.iter().filter(move |(_, seen)| **seen == what);
            points.map(|(point, _)| point.clone())
        };
        let ignored: Vec<String> = points_that(Seen::Not).collect();
        if !ignored.is_empty() {
            return Ok(Verdict::Ignored(ignored));
        }
        let proven = points_that(Seen::Took).next().is_some() || !learned.verified.is_empty();
        if points_that(Seen::Unshown).next().is_some() && !proven {
            return Ok(Verdict::Doubtful(sent, seen));
        }
        Ok(Verdict::Done(sent, seen))
    }

    /// Whether the members that an answer shows can be held against what was sent.
    fn tells_members(&self, subject: &Subject<'_>, change: &Change<'_>, shown: &Listed) -> bool {
        let told = shown.members.as_ref().is_some_and(|all| !all.is_empty());
        let learned = told || self.learned(subject.kind).members_shown;
        learned && self.shows_all_members(subject, change, shown)
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

/// Whether an answer shows the resource under another id because its name is another: some
/// servers use the name as id.
fn is_renamed(kind: Kind, change: &Change<'_>, shown: &Listed) -> bool {
    let path = match kind {
        Kind::User => AttributePath::user_name(),
        Kind::Group => AttributePath::display_name(),
    };
    let name = path.to_string();
    let mut given = change.operations.iter().filter(|it| it.path == name);
    let given = given.next().and_then(|it| it.value.as_ref());
    let found = read_path(&shown.json, &path);
    given.zip(found).is_some_and(|(given, found)| {
        fold(&path, given) == fold(&path, found)
            && found
                .as_str()
                .is_some_and(|it| it.eq_ignore_ascii_case(&shown.id.0))
    })
}
