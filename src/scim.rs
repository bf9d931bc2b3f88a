//! SCIM's own shapes (RFC 7643, RFC 7644): attribute paths, resources, filters, PATCH
//! operations and protocol messages.
//!
//! Pure: no async, no I/O, no clock; imports nothing else of ours. Attribute names and
//! schema URNs are compared without regard to case (RFC 7643 §2.1).

pub mod change;
pub mod difference;
pub mod filter;
pub mod message;
pub mod path;
pub mod resource;

/// The core User schema (RFC 7643 §4.1).
pub const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The core Group schema (RFC 7643 §4.2).
pub const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The enterprise User extension (RFC 7643 §4.3).
pub const ENTERPRISE_SCHEMA: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The body of a PATCH request (RFC 7644 §3.5.2).
pub const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// A listing (RFC 7644 §3.4.2).
pub const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// An error body (RFC 7644 §3.12).
pub const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
