//! The SCIM client: what is sent to a target, how fast, and what its answers mean.
//!
//! A struct, not a trait: its test double is a server. Must not import the planner's
//! decisions, the snapshot or the connectors' sources; it does what it is told and reports.

mod answer;
pub mod auth;
pub mod client;
mod connect;
pub mod dialect;
mod endpoint;
pub mod error;
mod exchange;
pub mod listing;
pub mod lookup;
mod pacing;
pub mod profile;
pub mod survey;
#[cfg(test)]
pub(crate) mod test_server;
mod verify;
mod write;

pub use auth::Auth;
pub use client::{Client, Connection, Pace, Sent};
pub use error::TargetError;
pub use listing::{Listing, Paging};
pub use profile::Profile;
pub use provisor_connectors::secret::{GeneratedSecret, Secret, SecretError};
pub use write::Subject;
