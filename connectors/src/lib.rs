//! What provisor knows about particular outside systems, and nothing about syncing.
//!
//! A connector reads one directory completely or fails; it never decides what happens to
//! whom. The contract is in [`source`] and, in prose, in this crate's `README.md`.

pub mod csv;
mod digest;
pub mod entra;
pub mod keys;
pub mod known;
pub mod ldap;
mod outbox;
pub mod presets;
pub mod question;
pub mod retry;
pub mod secret;
pub mod source;
pub mod unchanged;

pub use known::{Known, KnownRecord, NotReadable};
pub use question::Question;
pub use source::{
    Attributes, Batch, Change, Coverage, Cursor, Kind, Lifecycle, MemberKey, Members, ReadRequest,
    Record, RecordKey, Source, SourceConfig, SourceError, SourceFacts, SourceId, Value, Warning,
};
pub use unchanged::{Content, Unchanged};
