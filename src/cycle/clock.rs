//! Whether the time can be relied on. What only time decides waits while it cannot.
//!
//! Pure: the clocks are read by others. One clock alone cannot be seen to be wrong, so it is
//! compared with the last cycle's, and with what the target says of the time.

use chrono::{DateTime, TimeDelta, Utc};

use crate::snapshot::Progress;

/// More than this between two clocks is not the way of an answer, nor a clock being set right
/// by a little.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Why the time of a cycle is not to be relied on, in words. `skew` is by how much the target's
/// clock is ahead, where it has told its time in this run.
pub(super) fn doubt(
    progress: &Progress,
    now: DateTime<Utc>,
    skew: Option<TimeDelta>,
) -> Option<String> {
    let last = progress.last_cycle.as_ref().map(|(at, _)| *at);
    if last.is_some_and(|last| last - now > TOLERANCE) {
        let words = "this machine's clock is more than 5 minutes behind the last cycle's";
        return Some(words.to_owned());
    }
    skewed(progress.clock_doubt.clone(), skew)
}

/// What the target's clock says, or else what it said `before`: without an answer nothing has
/// become clear.
pub(super) fn skewed(before: Option<String>, skew: Option<TimeDelta>) -> Option<String> {
    let Some(skew) = skew else {
        return before;
    };
    let how = if skew > TOLERANCE {
        "ahead of"
    } else if skew < -TOLERANCE {
        "behind"
    } else {
        return None;
    };
    Some(format!(
        "the target's clock is more than 5 minutes {how} this machine's"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    #[test]
    fn a_clock_is_doubted_by_the_last_cycle_and_by_the_targets_clock() {
        let known = "said before".to_owned();
        // The last cycle, what was said before, the target's clock; and why it is doubted.
        let table = [
            (None, None, None, None),
            (Some(100), None, None, None),
            (Some(105), None, Some(0), None),
            (Some(106), None, Some(0), Some("behind the last cycle's")),
            (Some(99), None, Some(5), None),
            (Some(99), None, Some(6), Some("ahead of this machine's")),
            (Some(99), None, Some(-6), Some("behind this machine's")),
            (Some(99), Some(&known), None, Some("said before")),
            (Some(99), Some(&known), Some(1), None),
        ];
        for (last, before, skew, expected) in table {
            let progress = Progress {
                last_cycle: last.map(|at| (minutes(at), String::new())),
                clock_doubt: before.cloned(),
                ..Progress::default()
            };
            let doubt = doubt(&progress, minutes(100), skew.map(TimeDelta::minutes));
            let agrees = match (&doubt, expected) {
                (Some(doubt), Some(expected)) => doubt.contains(expected),
                (None, None) => true,
                _ => false,
            };
            assert!(agrees, "{last:?} {before:?} {skew:?}: {doubt:?}");
        }
    }
}
