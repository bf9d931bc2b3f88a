//! The SCIM client: what is sent to a target, how fast, and what its answers mean.
//!
//! A struct, not a trait: its test double is a server. Must not import the planner's
//! decisions, the snapshot or the connectors' sources; it does what it is told and reports.

pub mod auth;
pub mod client;
pub mod dialect;
pub mod error;
pub mod listing;
pub mod lookup;
pub mod profile;
pub mod retry;

pub use auth::{Auth, Secret, SecretError};
pub use client::{Client, Connection, Pace, Sent};
pub use error::TargetError;
pub use listing::Listing;
pub use profile::Profile;
