//! When to try again: Retry-After in its three forms, and growing, jittered delays.
//!
//! Pure: the time and the jitter are passed in.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The longest wait that a server can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The longest wait that a running cycle sits through; a longer one ends the call, and a later
/// cycle takes it up.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Reads `Retry-After`: whole seconds, a fraction, or an HTTP date (RFC 9110 §10.2.3; the
/// fraction is not in the RFC but was seen). Bounded to an hour; nonsense is `None`.
pub fn read_retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = header.trim();
    let is_number = text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let wait = if is_number {
        // More digits than a duration holds are still a wait, the longest one.
        Duration::try_from_secs_f64(text.parse().ok()?).unwrap_or(LONGEST_RETRY_AFTER)
    } else {
        let date = DateTime::<Utc>::from(httpdate::parse_http_date(text).ok()?);
        // A date that has passed: now.
        (date - now).to_std().unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// The delay before the attempt after `attempt` (from 1): doubling from half a second to 30
/// seconds, `jitter` in 0..1 spreads it over its upper half.
pub fn backoff(attempt: u32, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let longest = (0.5 * f64::from(1_u32 << doublings)).min(30.0);
    Duration::from_secs_f64(longest * (0.5 + 0.5 * jitter.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn retry_after_has_three_forms() {
        let now = Utc.with_ymd_and_hms(2026, 11, 6, 8, 49, 37).unwrap();
        let cases = [
            ("2", Some(Duration::from_secs(2))),
            (" 0 ", Some(Duration::ZERO)),
            ("0.25", Some(Duration::from_millis(250))),
            (
                "Fri, 06 Nov 2026 08:50:07 GMT",
                Some(Duration::from_secs(30)),
            ),
            ("Fri, 06 Nov 2026 08:00:00 GMT", Some(Duration::ZERO)),
            ("86400", Some(LONGEST_RETRY_AFTER)),
            ("99999999999999999999999999", Some(LONGEST_RETRY_AFTER)),
            ("Sat, 06 Nov 2027 08:50:07 GMT", Some(LONGEST_RETRY_AFTER)),
            ("-1", None),
            ("inf", None),
            ("NaN", None),
            ("1e3", None),
            ("1.2.3", None),
            ("soon", None),
            ("", None),
        ];
        for (header, expected) in cases {
            assert_eq!(read_retry_after(header, now), expected, "{header:?}");
        }
    }

    #[test]
    fn delays_double_and_stay_within_their_upper_half() {
        for (attempt, longest) in [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (60, 30.0)] {
            assert_eq!(backoff(attempt, 1.0).as_secs_f64(), longest);
            assert_eq!(backoff(attempt, 0.0).as_secs_f64(), longest / 2.0);
        }
    }
}
