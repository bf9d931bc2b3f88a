//! What provisor remembers: the mirror of each source, and per target its links, members,
//! intents, open rows and guards' spending. One database, one writer.
//!
//! Only `sled.rs` names the database; everything above it speaks of [`Store`]. Must not
//! import the planner or the SCIM client: it keeps values and decides nothing.

pub mod link;
pub mod mirror;
pub mod store;
pub mod target;

mod codec;
mod compact;
mod generation;
mod key;
mod lock;
mod open;
mod sled;
mod table;
#[cfg(test)]
mod tests;

pub use link::{Deactivation, Due, Intent, Link, MemberEdge, Open, Origin};
pub use lock::Lock;
pub use mirror::{MirrorRow, Stage, Staged, View};
pub use store::{Condition, Opened, SnapshotError, Store};
pub use target::{
    Approval, BasePoint, Contested, Progress, Spent, TargetChange, TargetStore, Totals,
};
