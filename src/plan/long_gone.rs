//! When only time decides about somebody, and whether a resource still is theirs by then.
//!
//! Values only. What is done at that moment is decided with the rest of the table, in `people`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use provisor_connectors::Kind;

use super::rules::Rules;
use crate::scim::path::AttributePath;
use crate::scim::resource::{Listed, read_path};
use crate::snapshot::link::Link;
use crate::target::profile::name_path;

/// The moments from which on time decides about a link. `None`: never, as far as is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moments {
    /// The resource is to be deleted.
    pub delete: Option<DateTime<Utc>>,
    /// The link is to be forgotten.
    pub forget: Option<DateTime<Utc>>,
}

impl Moments {
    /// Those of a link whose record is gone. They count from when provisor deactivated the
    /// resource, or found the record gone, whichever came later.
    pub fn of(link: &Link, rules: &Rules) -> Self {
        let deactivated = link.deactivated.as_ref().filter(|_| !link.active);
        let since = deactivated.and_then(|it| it.gone_since.map(|gone| gone.max(it.at)));
        let after = |duration: Option<Duration>| {
            let delta = TimeDelta::from_std(duration?).ok()?;
            since?.checked_add_signed(delta)
        };
        Self {
            delete: after(rules.delete_after),
            forget: after(rules.forget_after),
        }
    }

    /// The first of them.
    pub fn first(self) -> Option<DateTime<Utc>> {
        self.delete.into_iter().chain(self.forget).min()
    }
}

/// Whether a moment has come.
pub fn has_come(moment: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    moment.is_some_and(|moment| moment <= now)
}

/// Whether what was found carries the externalId that a link's resource got from us. A name alone
/// would not tell: where it is the id as well, somebody may have got both since.
pub fn carries_our_id(listed: &Listed, link: &Link) -> bool {
    let path = AttributePath::external_id();
    let known = link.acknowledged.get(&path);
    known.is_some() && known == read_path(&listed.json, &path)
}

/// Whether a resource still is the one that the link was made to: no key is another one, and
/// at least one is seen to be the same.
///
/// # Errors
///
/// Why it may be another one, in words.
pub fn is_the_same(kind: Kind, listed: &Listed, link: &Link) -> Result<(), String> {
    let external_id = AttributePath::external_id();
    let name = name_path(kind);
    let foreign = link.foreign_external_id.clone().map(Into::into);
    let acknowledged = &link.acknowledged;
    let keys = [
        (
            &external_id,
            foreign.or_else(|| acknowledged.get(&external_id).cloned()),
        ),
        (&name, acknowledged.get(&name).cloned()),
    ];
    let mut agrees = false;
    for (path, known) in keys {
        let (Some(known), Some(found)) = (known, read_path(&listed.json, path)) else {
            continue;
        };
        if !link.may_have(path, &known, found) {
            return Err(format!(
                "its {path} at the target is another one by now, so it may be somebody else"
            ));
        }
        agrees = true;
    }
    match agrees {
        true => Ok(()),
        false => Err(format!(
            "the target shows neither its {name} nor its externalId, so it may be somebody else"
        )),
    }
}
