//! How fast one target is asked: a rate, a number of requests at once, and a gate.
//!
//! All clones of a client share one of these, and every attempt, retries included, passes
//! it. When the server says 429 or 503 with Retry-After, the gate closes for everybody.
//!
//! The rate is a promise: R requests a second are never exceeded in any second, wherever that
//! second starts. A limiter that lets a request leave every T seconds, and one that is late
//! catch up by at most L, lets through fewer than 1 + (1 + L + J) / T of them in any second of
//! a server that sees each with a delay that varies by J. With T = (1 + L + J) / R these are
//! fewer than R + 1, thus at most R. The price is a pace of R / (1 + L + J): with L and J
//! of 10 ms, 98 % of R, which timers that are late by less than L do not lessen.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::client::Pace;
use super::error::TargetError;
use provisor_connectors::retry::LONGEST_WAIT;

/// By how many seconds a request that is late may be caught up with (L above).
const LATENESS: f64 = 0.01;
/// By how many seconds the way to the server may vary (J above).
const JITTER: f64 = 0.01;
/// A request is this many of the limiter's cells, because it counts whole cells only, and
/// [`LATENESS`] is a part of a request's period unless the rate is high.
const CELLS: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");

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
                let quota = quota(rate).ok_or_else(|| TargetError::Configuration {
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
                let turn = limiter.until_n_ready(CELLS).await;
                turn.expect("a quota has room for a request's cells");
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

/// How many cells a second, and how many at once: those of one request, and those of
/// [`LATENESS`]. `None` when the rate is not a positive number.
fn quota(rate: f64) -> Option<Quota> {
    let period = (1.0 + LATENESS + JITTER) / rate;
    // Rounded up, so that no rate is exceeded by the nanosecond.
    let cell = (period / f64::from(CELLS.get()) * 1e9).ceil() / 1e9;
    let cell = Duration::try_from_secs_f64(cell).ok()?;
    let spare = Duration::from_secs_f64(LATENESS)
        .as_nanos()
        .checked_div(cell.as_nanos())?;
    let burst = CELLS.saturating_add(u32::try_from(spare).unwrap_or(u32::MAX));
    Some(Quota::with_period(cell)?.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use governor::clock::{Clock, FakeRelativeClock};

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

    /// When requests arrive in five minutes at `rate`, if a timer is late, and the way to the
    /// server takes, up to 10 ms.
    fn arrivals(rate: f64, seed: u64) -> Vec<Duration> {
        let mut random = fastrand::Rng::with_seed(seed);
        let clock = FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(quota(rate).unwrap(), clock.clone());
        let mut now = Duration::ZERO;
        let mut arrivals = Vec::new();
        while now < Duration::from_secs(300) {
            let wait = match limiter.check_n(CELLS).unwrap() {
                Ok(()) => {
                    arrivals.push(now + Duration::from_secs_f64(0.01 * random.f64()));
                    continue;
                }
                Err(not_yet) => not_yet.wait_time_from(clock.now()),
            };
            let late = Duration::from_secs_f64(0.0099 * random.f64());
            clock.advance(wait + late);
            now += wait + late;
        }
        arrivals.sort();
        arrivals
    }

    // Fails when the period is made without `JITTER`, and with more room than `LATENESS` to spare.
    #[test]
    fn no_second_sees_more_than_the_rate() {
        for (seed, rate) in [
            (1, 1.0),
            (2, 2.5),
            (3, 10.0),
            (4, 33.0),
            (5, 100.0),
            (6, 1_000.0),
        ] {
            let arrivals = arrivals(rate, seed);
            let most = (0..arrivals.len())
                .map(|first| {
                    let end = arrivals[first] + Duration::from_secs(1);
                    arrivals[first..].partition_point(|it| *it < end)
                })
                .max();
            assert!(most.unwrap() as f64 <= rate.ceil(), "{most:?} at {rate}");
        }
    }

    // Fails with a LATENESS of 0.
    #[test]
    fn late_timers_do_not_lessen_the_pace() {
        for (seed, rate) in [(1, 10.0), (2, 33.0), (3, 100.0), (4, 1_000.0)] {
            let share = arrivals(rate, seed).len() as f64 / (300.0 * rate);
            assert!(share >= 0.97, "{share} of {rate}");
        }
    }

    #[test]
    fn a_very_high_rate_is_still_one() {
        assert!(quota(1e12).is_some());
    }

    #[tokio::test]
    async fn whoever_exceeds_the_rate_waits_for_the_next_second() {
        let pacing = pacing(Some(20.0), 4).unwrap();
        let start = Instant::now();
        for _ in 0..21 {
            drop(pacing.admit().await.unwrap());
        }
        assert!(start.elapsed() >= Duration::from_secs(1));
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
