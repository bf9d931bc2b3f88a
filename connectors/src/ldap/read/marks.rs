//! What a read leaves for the next one, and whether that can rest on it.

use super::Reading;
use crate::digest::{Digest, digest};
use crate::ldap::answers::push_digests;
use crate::ldap::entry::Entry;
use crate::ldap::tracking::{self, Mark, Spot};

impl Reading<'_> {
    /// Whether what tells changes was seen of everybody.
    pub(super) fn note_stamp(&mut self, entry: &Entry) {
        self.unstamped |= self.stamp.is_some_and(|stamp| !entry.has(stamp));
    }

    /// What the next read goes on from; nothing where changes of somebody would not be told.
    pub(super) fn mark_if_told(&self, spot: Option<Spot>) -> Option<Mark> {
        let (spot, stamp) = (spot?, self.stamp.unwrap_or_default());
        if self.unstamped {
            tracing::info!(
                server = self.place.connection.server,
                "this account may not see everybody's `{stamp}`: changes are found by comparing"
            );
            return None;
        }
        Some(self.mark(spot))
    }

    /// What the next read goes on from.
    pub(super) fn mark(&self, spot: Spot) -> Mark {
        Mark {
            at: self.request.now,
            selection: tracking::selection(self.place.settings, &self.wanted),
            judged: self.judged(),
            spot,
        }
    }

    /// What the filters and places that people are judged by came to.
    pub(super) fn judged(&self) -> Digest {
        let mut told = Vec::new();
        push_digests(&mut told, &self.inactive);
        self.answers.push_to(&mut told);
        digest(&told)
    }
}
