//! Listing all of one endpoint, with every stopping rule of DESIGN §10.

use std::collections::BTreeMap;

use provisor_connectors::Kind;

use super::client::Client;
use super::error::TargetError;
use crate::scim::resource::{Listed, ResourceId};

/// A listing that provably reached its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// What is there, by id.
    pub resources: BTreeMap<ResourceId, Listed>,
}

impl Client {
    /// Lists `/Users` or `/Groups` to the end. Advances by what arrived; stops on an empty
    /// page, on `totalResults` seen, or on a page of nothing but ids seen before; fewer than
    /// `totalResults` is [`TargetError::Partial`]. Follows `nextCursor` when one is given.
    /// `progress` is told how many have arrived, and of how many.
    pub async fn list(
        &self,
        _kind: Kind,
        _page_size: u64,
        _progress: &(dyn Fn(u64, Option<u64>) + Sync),
    ) -> Result<Listing, TargetError> {
        unimplemented!()
    }
}
