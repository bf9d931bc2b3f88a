//! Looking for single resources by filter, trusting no answer that is not checked here.

use provisor_connectors::Kind;
use serde_json::Value;

use super::client::Client;
use super::error::TargetError;
use crate::scim::path::AttributePath;
use crate::scim::resource::Listed;

/// What a filter's answer is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// These carry the key, compared on our side. Empty is only a hint unless filters are
    /// proven at this target.
    Found(Vec<Listed>),
    /// The filter was not honoured (foreign hits, an error, several hits for a unique key):
    /// use a listing.
    NotHonoured,
}

impl Client {
    /// `GET /Users?filter=path eq "value"`. `emails` looks at every address.
    pub async fn look_up(
        &self,
        _kind: Kind,
        _path: &AttributePath,
        _value: &Value,
    ) -> Result<Lookup, TargetError> {
        unimplemented!()
    }
}
