//! What each action of a plan came to.

use crate::plan::action::Plan;

/// What one target's cycle came to: planned only, or planned and applied.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetReport {
    /// The target's name.
    pub target: String,
    /// Why the cycle could not be planned, or ended early.
    pub error: Option<Failure>,
    /// The plan; `None` when it came to none.
    pub plan: Option<Plan>,
    /// What each of the plan's actions came to, in the plan's order. Empty when nothing was
    /// applied (a preview).
    pub outcomes: Vec<Outcome>,
    /// What an operator should see although nothing failed.
    pub warnings: Vec<String>,
}

/// Why a whole target, or a source, failed: the error and its causes, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure decides the exit code.
    pub kind: FailureKind,
    /// The error chain, outermost first; no secret, and no personal data but in the server's own
    /// words.
    pub chain: Vec<String>,
}

/// Which exit code a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Exit 1: a source or target could not be reached or read, the state is unusable.
    Failed,
    /// Exit 2: a configuration error, a secret that is not set.
    Configuration,
}

/// Told how far a long step is. Called from any thread, often.
pub trait Progress: Send + Sync {
    /// `done` of `total` (if known) in this step, e.g. "reading staff", "listing demo",
    /// "applying demo".
    fn report(&self, step: &str, done: u64, total: Option<u64>);
}

/// What one action came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All its requests were acknowledged.
    Done,
    /// A request failed; the rest of the action was not tried.
    Failed(String),
    /// Not tried, or in doubt: the next cycle goes on.
    Pending(String),
}

impl Failure {
    /// Takes an error with its causes.
    pub fn new(kind: FailureKind, error: &dyn std::error::Error) -> Self {
        let mut chain = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            chain.push(cause.to_string());
            source = cause.source();
        }
        Self { kind, chain }
    }
}
