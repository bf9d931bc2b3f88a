//! What can go wrong at a target, and whether it is worth trying again.

use std::time::Duration;

use super::auth::SecretError;

/// A call that did not end well. Messages name the target's endpoint, never a secret and
/// never a personal value.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The secret cannot be read.
    #[error("the credential cannot be used")]
    Secret(#[from] SecretError),
    /// The connection could not be made, or broke before an answer.
    #[error("{method} {path}: {problem}")]
    Unreachable {
        /// The method.
        method: &'static str,
        /// The endpoint, without query or host.
        path: String,
        /// In words: refused, timed out, certificate …
        problem: String,
        /// Whether the request may have reached the server (a create is then in doubt).
        in_doubt: bool,
        /// What the HTTP library said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The server answered, but not with success.
    #[error("{method} {path}: {status}{}", detail_suffix(scim_type, detail))]
    Refused {
        /// The method.
        method: &'static str,
        /// The endpoint.
        path: String,
        /// The HTTP status.
        status: u16,
        /// `scimType`, if any.
        scim_type: Option<String>,
        /// The server's own words, shortened to 200 characters, control characters removed.
        detail: Option<String>,
        /// `Retry-After`, already bounded.
        retry_after: Option<Duration>,
    },
    /// The answer cannot be used: too large, too deep, not JSON, no id, another host.
    #[error("{method} {path}: {problem}")]
    Unusable {
        /// The method.
        method: &'static str,
        /// The endpoint.
        path: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// A listing that did not end as its own `totalResults` says.
    #[error("the listing of {path} is partial: {seen} of {total} arrived")]
    Partial {
        /// The endpoint.
        path: String,
        /// How many arrived.
        seen: u64,
        /// How many were announced.
        total: u64,
    },
}

fn detail_suffix(scim_type: &Option<String>, detail: &Option<String>) -> String {
    match (scim_type, detail) {
        (Some(scim_type), Some(detail)) => format!(" {scim_type}: {detail}"),
        (Some(scim_type), None) => format!(" {scim_type}"),
        (None, Some(detail)) => format!(": {detail}"),
        (None, None) => String::new(),
    }
}

/// What an error means for the work that remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only this resource: go on with the others.
    Resource,
    /// The whole target: stop, nothing else will work now (unreachable, 401).
    Target,
}

impl TargetError {
    /// Whether the rest of the plan can go on.
    pub fn scope(&self) -> Scope {
        unimplemented!()
    }

    /// The HTTP status, where the server answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            TargetError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether a create may have happened although no success was seen.
    pub fn in_doubt(&self) -> bool {
        unimplemented!()
    }
}
