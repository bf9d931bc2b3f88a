//! When to try again: Retry-After in its three forms, and growing, jittered delays.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Reads `Retry-After`: whole seconds, a fraction, or an HTTP date. Bounded to an hour;
/// nonsense is `None`.
pub fn read_retry_after(_header: &str, _now: DateTime<Utc>) -> Option<Duration> {
    unimplemented!()
}

/// The delay before attempt `attempt` (from 1): doubling from half a second to 30 seconds,
/// `jitter` in 0..1 spreads it over its upper half.
pub fn backoff(_attempt: u32, _jitter: f64) -> Duration {
    unimplemented!()
}
