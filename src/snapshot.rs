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
mod lock;
mod sled;

pub use link::{Deactivation, Due, Intent, Link, MemberEdge, Open, Origin};
pub use mirror::{MirrorRow, Stage, Staged, View};
pub use store::{Condition, Opened, SnapshotError, Store};
pub use target::{Progress, TargetChange, TargetStore, Totals};
