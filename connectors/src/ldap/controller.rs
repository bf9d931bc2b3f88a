//! Which domain controller answers, and which copy of its database it has: what it says of
//! changes is its own story, and another one's goes on elsewhere.

use serde::{Deserialize, Serialize};

use super::dn::Dn;
use super::filter::Filter;
use super::read::Place;
use super::search::lookup;
use super::tracking::Touched;
use crate::source::SourceError;

/// The classes of what holds people and can be moved, with everybody in it.
const CONTAINERS: &[&str] = &[
    "organizationalUnit",
    "container",
    "organization",
    "locality",
];

/// A domain controller, as long as it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Controller {
    /// The entry of the controller's service.
    service: String,
    /// Which copy of its database it is, in hexadecimal digits.
    invocation: String,
}

impl Controller {
    /// The one that is connected to; `None` where it does not say, or not to this account.
    pub(super) async fn of(place: &Place<'_>) -> Result<Option<Self>, SourceError> {
        let connection = &place.connection;
        let Some(service) = &connection.root.ds_service_name else {
            return Ok(None);
        };
        let Ok(dn) = Dn::parse(service) else {
            return Ok(None);
        };
        let everything = Filter::constant("(objectClass=*)");
        let asked = vec!["invocationId".to_owned()];
        let found = lookup(connection, &dn, &everything, asked).await?;
        let invocation = found.and_then(|entry| {
            let values = entry.values("invocationId");
            let value = values.first()?;
            Some(value.iter().map(|byte| format!("{byte:02x}")).collect())
        });
        Ok(invocation.map(|invocation| Self {
            service: service.clone(),
            invocation,
        }))
    }

    /// Whether it is the same one with another copy of its database.
    pub(super) fn was_restored(&self, before: &Self) -> bool {
        self.service == before.service && self.invocation != before.invocation
    }

    /// Why this one cannot go on with the story of another; `None` where it is the same.
    pub(super) fn cannot_go_on(&self, before: &Self) -> Option<Touched> {
        if self == before {
            return None;
        }
        if !self.was_restored(before) {
            return Some(Touched::Unclear("another domain controller answers"));
        }
        // What it had to forget looks like people who left.
        let words = "the domain controller was restored from a copy, and begins anew";
        Some(Touched::Refused(words.to_owned()))
    }
}

/// Whether these are the classes of a container.
pub(super) fn is_container(classes: &[String]) -> bool {
    classes.iter().any(|class| {
        let mut containers = CONTAINERS.iter();
        containers.any(|container| container.eq_ignore_ascii_case(class))
    })
}

/// What every container matches.
pub(super) fn containers() -> Filter {
    let classes = CONTAINERS.iter();
    let classes: Vec<Filter> = classes
        .map(|class| Filter::equals("objectClass", class.as_bytes()))
        .collect();
    Filter::any(&classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(service: &str, invocation: &str) -> Controller {
        Controller {
            service: service.to_owned(),
            invocation: invocation.to_owned(),
        }
    }

    #[test]
    fn a_restored_controller_is_refused_and_another_one_only_begins_anew() {
        let before = controller("CN=one", "07");
        assert_eq!(before.cannot_go_on(&before), None);
        let other = controller("CN=two", "07").cannot_go_on(&before);
        assert!(matches!(other, Some(Touched::Unclear(_))), "{other:?}");
        let restored = controller("CN=one", "08").cannot_go_on(&before);
        assert!(
            matches!(restored, Some(Touched::Refused(_))),
            "{restored:?}"
        );
    }
}
