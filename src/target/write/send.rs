//! Sending a change in one form. A form that writes back what it does not change is made from
//! what the target shows at that moment, and only where it shows all of it.

use tokio::time::sleep;

use super::super::client::{Client, Sent};
use super::super::dialect::{
    Change, Form, Manner, Removal, current_members, patch_body, patch_with_list, pathless_body,
    pathless_needs_current, whole_body,
};
use super::super::endpoint::shown_resource;
use super::super::error::TargetError;
use super::super::exchange::{ATTEMPTS, Verb};
use super::{Subject, method_of};
use crate::scim::resource::{Listed, ResourceId};
use provisor_connectors::Kind;

impl Client {
    pub(super) async fn send_as(
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
    pub(super) fn shows_all_members(
        &self,
        subject: &Subject<'_>,
        change: &Change<'_>,
        shown: &Listed,
    ) -> bool {
        if !subject.profile.members_listed {
            return false;
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
}
