//! Making sure that a write which was answered with yes has taken.

use std::collections::{BTreeMap, BTreeSet};

use provisor_connectors::Kind;

use super::super::client::{Client, Sent};
use super::super::dialect::Change;
use super::super::error::TargetError;
use super::super::profile::name_path;
use super::super::verify::{self, Known, Seen, active_point};
use super::{Subject, is_same};
use crate::scim::resource::{Listed, ResourceId, fold, read_path};

/// How a write that was answered with yes turned out.
pub(super) enum Verdict {
    /// It took, as far as that can be known: what was seen, and what was not shown.
    Done(Sent, BTreeMap<String, Seen>),
    /// Nothing of it is shown, and nothing else says that such changes take.
    Doubtful(Sent, BTreeMap<String, Seen>),
    /// What was there before is still there, of these attributes. The second value: whether
    /// the answer was a promise (202) rather than a yes.
    Ignored(Vec<String>, bool),
}

impl Client {
    /// Looks whether a write that was answered with yes has taken.
    pub(super) async fn confirm(
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
        let (mut wanted, any_verified) = self.learned(kind, |learned| {
            let mut points = verify::points(change);
            points.retain(|it| !learned.verified.contains(it) && !learned.unseen.contains(it));
            let points: BTreeSet<String> = points.into_iter().collect();
            (points, !learned.verified.is_empty())
        });
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
        let found = match self.get(kind, &place).await {
            // Nobody may look: then nobody can tell, and asking again would not help.
            Err(error) if matches!(error.status(), Some(403 | 405 | 501)) => {
                let hidden = wanted.into_iter().map(|point| (point, Seen::Hidden));
                return Ok(Verdict::Done(sent, hidden.collect()));
            }
            found => found?,
        };
        let Some(shown) = found else {
            // Somebody switched off may be hidden; anything else is found out by the next call.
            return Ok(Verdict::Done(sent, BTreeMap::new()));
        };
        let seen = look(&shown);
        sent.resource = Some(shown);
        let points_that = |what: Seen| {
            let points = seen.iter().filter(move |(_, seen)| **seen == what);
            points.map(|(point, _)| point.clone())
        };
        let ignored: Vec<String> = points_that(Seen::Not)
            .map(|point| verify::attribute_of(&point).to_owned())
            .collect();
        if !ignored.is_empty() {
            return Ok(Verdict::Ignored(ignored, sent.status == 202));
        }
        let proven = points_that(Seen::Took).next().is_some() || any_verified;
        if points_that(Seen::Unshown).next().is_some() && !proven {
            return Ok(Verdict::Doubtful(sent, seen));
        }
        Ok(Verdict::Done(sent, seen))
    }

    /// Whether the members that an answer shows can be held against what was sent.
    fn tells_members(&self, subject: &Subject<'_>, change: &Change<'_>, shown: &Listed) -> bool {
        let told = shown.members.as_ref().is_some_and(|all| !all.is_empty());
        let learned = told || self.learned(subject.kind, |learned| learned.members_shown);
        learned && self.shows_all_members(subject, change, shown)
    }
}

/// Whether an answer shows the resource under another id because its name is another: some
/// servers use the name as id.
fn is_renamed(kind: Kind, change: &Change<'_>, shown: &Listed) -> bool {
    let path = name_path(kind);
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
