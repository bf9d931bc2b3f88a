//! What can go wrong at a target, and whether it is worth trying again.

use std::time::Duration;

use super::SecretError;
use provisor_connectors::retry::LONGEST_WAIT;

/// A call that did not end well. Messages name the target's endpoint, never a secret and
/// never a personal value, unless the server names one in its own words: those are for reports
/// (see [`TargetError::for_log`]).
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The secret cannot be read.
    #[error("the credential cannot be used")]
    Secret(#[from] SecretError),
    /// What is configured cannot work: plain http to another host, an unreadable certificate.
    #[error("{problem}")]
    Configuration {
        /// What is wrong, and what to do.
        problem: String,
        /// What the system or the HTTP library said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The connection could not be made, or broke before an answer.
    #[error("{method} {path}: {problem}")]
    Unreachable {
        /// The method.
        method: &'static str,
        /// The endpoint, without query or host: `/Users`, `/Users/{id}`. The id itself stays
        /// out, because at some servers it is the person's e-mail address.
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
    /// The server says yes, and what was to be changed is shown as it was.
    #[error("{method} {path}: the target answers yes and does not change `{attributes}`")]
    Ignored {
        /// The method.
        method: &'static str,
        /// The endpoint.
        path: String,
        /// Which attributes, between backquotes.
        attributes: String,
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
    /// The message without the server's own words, which may name a person.
    pub fn for_log(&self) -> String {
        match self {
            TargetError::Refused {
                method,
                path,
                status,
                scim_type,
                ..
            } => format!(
                "{method} {path}: {status}{}",
                detail_suffix(scim_type, &None)
            ),
            other => other.to_string(),
        }
    }

    /// Whether the rest of the plan can go on.
    ///
    /// A refusal is about one resource, so that one bad record never blocks the others;
    /// except 401, and a server that wants to be left alone for longer than a cycle waits.
    /// A create whose answer was lost did reach the server, so others are still tried; every
    /// other failure to get an answer has been retried before and means the server is away.
    pub fn scope(&self) -> Scope {
        let whole_target = match self {
            TargetError::Secret(_) | TargetError::Configuration { .. } => true,
            TargetError::Unreachable { .. } => !self.in_doubt(),
            TargetError::Refused {
                status,
                retry_after,
                ..
            } => {
                *status == 401
                    || (matches!(status, 429 | 503)
                        && retry_after.is_some_and(|wait| wait > LONGEST_WAIT))
            }
            TargetError::Unusable { .. }
            | TargetError::Ignored { .. }
            | TargetError::Partial { .. } => false,
        };
        if whole_target {
            Scope::Target
        } else {
            Scope::Resource
        }
    }

    /// The HTTP status, where the server answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            TargetError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether a create may have happened although no success was seen: the answer was lost
    /// or unreadable, or the server failed on the way. 501 and a 503 with Retry-After say
    /// that the server did not even begin. Always false for what can simply be repeated.
    pub fn in_doubt(&self) -> bool {
        match self {
            TargetError::Unreachable {
                method, in_doubt, ..
            } => *method == "POST" && *in_doubt,
            TargetError::Refused {
                method,
                status,
                retry_after,
                ..
            } => {
                *method == "POST"
                    && match status {
                        501 => false,
                        503 => retry_after.is_none(),
                        408 | 500..=599 => true,
                        _ => false,
                    }
            }
            TargetError::Unusable { method, .. } => *method == "POST",
            TargetError::Secret(_)
            | TargetError::Configuration { .. }
            | TargetError::Ignored { .. }
            | TargetError::Partial { .. } => false,
        }
    }

    /// Whether a write of any method may have happened although no success was seen.
    pub(super) fn may_have_happened(&self) -> bool {
        match self {
            TargetError::Unreachable { in_doubt, .. } => *in_doubt,
            TargetError::Refused { status, .. } => matches!(status, 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &'static str, status: u16, retry_after: Option<u64>) -> TargetError {
        TargetError::Refused {
            method,
            path: "/Users".to_owned(),
            status,
            scim_type: None,
            detail: None,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn unreachable(method: &'static str, in_doubt: bool) -> TargetError {
        TargetError::Unreachable {
            method,
            path: "/Users".to_owned(),
            problem: "timed out".to_owned(),
            in_doubt,
            source: None,
        }
    }

    #[test]
    fn what_a_server_says_is_not_for_the_log() {
        let error = TargetError::Refused {
            method: "GET",
            path: "/Users/{id}".to_owned(),
            status: 500,
            scim_type: Some("tooMany".to_owned()),
            detail: Some("ana@example.com is odd".to_owned()),
            retry_after: None,
        };
        assert_eq!(error.for_log(), "GET /Users/{id}: 500 tooMany");
        assert!(error.to_string().contains("ana@example.com"));
    }

    #[test]
    fn a_create_is_in_doubt_unless_the_answer_proves_that_nothing_happened() {
        let doubtful = [
            refused("POST", 500, None),
            refused("POST", 503, None),
            refused("POST", 504, Some(1)),
            refused("POST", 408, None),
            unreachable("POST", true),
        ];
        for error in doubtful {
            assert!(error.in_doubt(), "{error}");
        }
        let certain = [
            refused("POST", 400, None),
            refused("POST", 409, None),
            refused("POST", 429, None),
            refused("POST", 501, None),
            refused("POST", 503, Some(1)),
            refused("PATCH", 500, None),
            unreachable("POST", false),
            unreachable("PATCH", true),
        ];
        for error in certain {
            assert!(!error.in_doubt(), "{error}");
        }
    }

    #[test]
    fn one_bad_record_does_not_stop_the_target() {
        let only_this = [
            refused("PATCH", 400, None),
            refused("PATCH", 403, None),
            refused("PATCH", 500, None),
            refused("PATCH", 429, Some(60)),
            unreachable("POST", true),
        ];
        for error in only_this {
            assert_eq!(error.scope(), Scope::Resource, "{error}");
        }
        let all = [
            refused("PATCH", 401, None),
            refused("PATCH", 429, Some(301)),
            unreachable("POST", false),
            unreachable("PATCH", true),
        ];
        for error in all {
            assert_eq!(error.scope(), Scope::Target, "{error}");
        }
    }
}
