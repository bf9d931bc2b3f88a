//! How fast one target is asked: a rate, a number of requests at once, and a gate.
//!
//! All clones of a client share one of these, and every attempt, retries included, passes
//! it. When the server says 429 or 503 with Retry-After, the gate closes for everybody.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::client::Pace;
use super::error::TargetError;
use super::retry::LONGEST_WAIT;

/// One target's pace.
pub(super) struct Pacing {
    limiter: Option<DefaultDirectRateLimiter>,
    slots: Semaphore,
    concurrency: usize,
    gate: Mutex<Option<Closed>>,
}

/// Why and until when nothing may be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closed {
    until: Instant,
    /// The status that closed the gate.
    pub(super) status: u16,
}

impl Closed {
    /// How long the gate stays closed from now.
    pub(super) fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Pacing {
    /// Fails on a rate that is not a positive number.
    pub(super) fn new(pace: Pace) -> Result<Self, TargetError> {
        let limiter = match pace.requests_per_second {
            None => None,
            Some(rate) => {
                let quota = Duration::try_from_secs_f64(1.0 / rate)
                    .ok()
                    // One at a time, evenly spread: no second ever sees more than the rate.
                    .and_then(Quota::with_period)
                    .ok_or_else(|| TargetError::Configuration {
                        problem: format!(
                            "`requests_per_second` is {rate}; it must be a number above 0"
                        ),
                        source: None,
                    })?;
                Some(RateLimiter::direct(quota))
            }
        };
        let concurrency = pace.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            limiter,
            slots: Semaphore::new(concurrency),
            concurrency,
            gate: Mutex::new(None),
        })
    }

    /// How many requests may be under way at once.
    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Waits for a turn. The permit is kept until the answer has been read. Fails at once
    /// when the gate stays closed for longer than a cycle waits.
    pub(super) async fn admit(&self) -> Result<SemaphorePermit<'_>, Closed> {
        let permit = self
            .slots
            .acquire()
            .await
            .expect("the semaphore is never closed");
        loop {
            while let Some(closed) = self.closed() {
                if closed.remaining() > LONGEST_WAIT {
                    return Err(closed);
                }
                sleep_until(closed.until).await;
            }
            if let Some(limiter) = &self.limiter {
                limiter.until_ready().await;
            }
            // The gate may have closed while this one waited for its turn.
            if self.closed().is_none() {
                return Ok(permit);
            }
        }
    }

    /// Closes the gate for everybody. A gate that is already closed for longer stays so.
    pub(super) fn close(&self, wait: Duration, status: u16) {
        let until = Instant::now() + wait;
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.is_none_or(|closed| closed.until < until) {
            *gate = Some(Closed { until, status });
        }
    }

    fn closed(&self) -> Option<Closed> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.filter(|closed| closed.until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacing(rate: Option<f64>, concurrency: usize) -> Result<Pacing, TargetError> {
        Pacing::new(Pace {
            requests_per_second: rate,
            concurrency,
        })
    }

    #[test]
    fn a_rate_must_be_a_positive_number() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(pacing(Some(rate), 1).is_err(), "{rate}");
        }
        assert!(pacing(Some(0.1), 1).is_ok());
    }

    #[tokio::test]
    async fn turns_are_spread_over_time() {
        let pacing = pacing(Some(50.0), 4).unwrap();
        let start = Instant::now();
        for _ in 0..11 {
            drop(pacing.admit().await.unwrap());
        }
        assert!(start.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn a_closed_gate_holds_everybody_and_a_long_one_turns_them_away() {
        let pacing = pacing(None, 4).unwrap();
        let start = Instant::now();
        pacing.close(Duration::from_millis(80), 429);
        pacing.close(Duration::from_millis(10), 429);
        drop(pacing.admit().await.unwrap());
        assert!(start.elapsed() >= Duration::from_millis(80));

        pacing.close(LONGEST_WAIT + Duration::from_secs(60), 503);
        let closed = pacing.admit().await.unwrap_err();
        assert_eq!(closed.status, 503);
        assert!(closed.remaining() > LONGEST_WAIT);
    }

    #[tokio::test]
    async fn no_more_than_the_configured_number_are_under_way() {
        let pacing = pacing(None, 2).unwrap();
        let first = pacing.admit().await.unwrap();
        let _second = pacing.admit().await.unwrap();
        let third = tokio::time::timeout(Duration::from_millis(30), pacing.admit()).await;
        assert!(third.is_err());
        drop(first);
        assert!(pacing.admit().await.is_ok());
    }
}
