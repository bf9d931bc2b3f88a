//! Exit codes: every way this program can end, in one place.

use std::process::ExitCode;

use crate::apply::report::{FailureKind, Outcome, TargetReport};

/// How the program ended. When several apply, the one that asks most of the reader wins:
/// 2, 1, 3, 4, 5, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, nothing failed. A plain dry run is this, whatever it plans.
    Done,
    /// 1: a source could not be read or was empty, a target could not be reached, the state
    /// is unusable, or the run was interrupted.
    Failed,
    /// 2: a usage or configuration error, or a secret that is not set. Trying again without
    /// changing something cannot help.
    Usage,
    /// 3: some changes failed or are still to be made; the rest were applied.
    SomeFailed,
    /// 4: something is held and waits for a person.
    Held,
    /// 5: `--check` found at least one action.
    Changes,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::SomeFailed => 3,
            Exit::Held => 4,
            Exit::Changes => 5,
        }
    }

    /// The exit code when both this and another apply.
    #[must_use]
    pub fn and(self, other: Exit) -> Exit {
        if self.urgency() >= other.urgency() {
            self
        } else {
            other
        }
    }

    fn urgency(self) -> u8 {
        match self {
            Exit::Usage => 5,
            Exit::Failed => 4,
            Exit::SomeFailed => 3,
            Exit::Held => 2,
            Exit::Changes => 1,
            Exit::Done => 0,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl From<FailureKind> for Exit {
    fn from(kind: FailureKind) -> Exit {
        match kind {
            FailureKind::Failed => Exit::Failed,
            FailureKind::Configuration => Exit::Usage,
        }
    }
}

/// What one target's cycle means for the exit code. `--check` is not known here.
pub fn of_report(report: &TargetReport) -> Exit {
    let mut exit = Exit::Done;
    if let Some(failure) = &report.error {
        exit = exit.and(failure.kind.into());
    }
    if report
        .outcomes
        .iter()
        .any(|outcome| !matches!(outcome, Outcome::Done))
    {
        exit = exit.and(Exit::SomeFailed);
    }
    if report
        .plan
        .as_ref()
        .is_some_and(|plan| !plan.held.is_empty())
    {
        exit = exit.and(Exit::Held);
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::super::render::samples;
    use super::*;
    use crate::apply::report::Failure;

    const BY_URGENCY: [Exit; 6] = [
        Exit::Usage,
        Exit::Failed,
        Exit::SomeFailed,
        Exit::Held,
        Exit::Changes,
        Exit::Done,
    ];

    #[test]
    fn the_order_is_two_one_three_four_five_zero() {
        assert_eq!(BY_URGENCY.map(Exit::code), [2, 1, 3, 4, 5, 0]);
        for (position, first) in BY_URGENCY.into_iter().enumerate() {
            for second in &BY_URGENCY[position..] {
                assert_eq!(first.and(*second), first);
                assert_eq!(second.and(first), first);
            }
        }
    }

    #[test]
    fn a_preview_with_actions_is_done() {
        let report = samples::report(vec![samples::create("ana@example.com")]);
        assert_eq!(of_report(&report), Exit::Done);
    }

    #[test]
    fn a_failed_change_outranks_a_held_one() {
        let mut report = samples::report(vec![samples::create("ana@example.com")]);
        if let Some(plan) = &mut report.plan {
            plan.held.push(samples::ambiguous("fox@example.com"));
        }
        assert_eq!(of_report(&report), Exit::Held);
        report.outcomes = vec![Outcome::Failed("POST /Users: 409".to_owned())];
        assert_eq!(of_report(&report), Exit::SomeFailed);
    }

    #[test]
    fn a_change_that_was_not_tried_is_not_done() {
        let mut report = samples::report(vec![samples::create("ana@example.com")]);
        report.outcomes = vec![Outcome::Pending("the answer was lost".to_owned())];
        assert_eq!(of_report(&report), Exit::SomeFailed);
    }

    #[test]
    fn a_missing_secret_outranks_everything() {
        let mut report = samples::report(vec![]);
        report.outcomes = vec![Outcome::Failed(String::new())];
        report.error = Some(Failure {
            kind: FailureKind::Configuration,
            chain: vec!["the credential cannot be used".to_owned()],
        });
        assert_eq!(of_report(&report), Exit::Usage);
    }
}
