//! What the engine knows of one record: for a source that reads only changes, and has to tell
//! what follows from them.
//!
//! Must not be asked about everybody: whoever wants that reads everything.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::source::{Attributes, Lifecycle, MemberKey, SourceId};

/// What the last published read left of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownRecord {
    /// `None`: no such record, or it is gone.
    pub lifecycle: Option<Lifecycle>,
    /// Its attributes in use. Of who is gone, none.
    pub attributes: Attributes,
    /// The groups that have it as a direct member.
    pub groups: BTreeSet<SourceId>,
}

/// The engine could not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is known of a record cannot be read")]
pub struct NotReadable;

/// Asks the engine what it knows of a record.
#[derive(Clone)]
pub struct Known {
    ask: Arc<Ask>,
    members: Arc<AskMembers>,
}

type Ask = dyn Fn(&MemberKey) -> Result<KnownRecord, NotReadable> + Send + Sync;
type AskMembers = dyn Fn(&SourceId) -> Result<BTreeSet<MemberKey>, NotReadable> + Send + Sync;

impl Known {
    /// `ask` answers by the last published read, and so does `members` for a group's direct
    /// members.
    pub fn new(
        ask: impl Fn(&MemberKey) -> Result<KnownRecord, NotReadable> + Send + Sync + 'static,
        members: impl Fn(&SourceId) -> Result<BTreeSet<MemberKey>, NotReadable> + Send + Sync + 'static,
    ) -> Self {
        Self {
            ask: Arc::new(ask),
            members: Arc::new(members),
        }
    }

    /// What is known of the record.
    ///
    /// # Errors
    ///
    /// [`NotReadable`]: that nobody could look is not to say that there is nothing.
    pub fn of(&self, record: &MemberKey) -> Result<KnownRecord, NotReadable> {
        (self.ask)(record)
    }

    /// The direct members that a group is known to have; none of a group that is not known.
    ///
    /// # Errors
    ///
    /// [`NotReadable`]: that nobody could look is not to say that there is nobody.
    pub fn members(&self, group: &SourceId) -> Result<BTreeSet<MemberKey>, NotReadable> {
        (self.members)(group)
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Known")
    }
}
