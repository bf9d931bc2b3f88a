//! How fast one target is asked: a rate, a number of requests at once, and a gate.
//!
//! All clones of a client share one of these, and every attempt, retries included, passes
//! it. When the server says 429 or 503 with Retry-After, the gate closes for everybody.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::client::Pace;
use super::error::TargetError;
use super::retry::LONGEST_WAIT;

/// By how much the rate stays below the limit: requests are not all equally long on their way,
/// and two of them may come closer together than they were sent.
const MARGIN: f64 = 0.02;
/// How far the pace may fall behind, because the disk or the machine was busy, and catch up.
const CATCH_UP: Duration = Duration::from_millis(250);

/// Of a limit above this, shorter spans than a second are looked at.
const MOST_REMEMBERED: f64 = 100_000.0;

/// One target's pace.
pub(super) struct Pacing {
    rate: Option<Rate>,
    slots: Semaphore,
    concurrency: usize,
    gate: Mutex<Option<Closed>>,
}

/// Requests a second: evenly spread, and in no second more than the limit.
struct Rate {
    /// From one request to the next.
    period: Duration,
    /// No more than `most` requests within any `window`.
    window: Duration,
    most: usize,
    turns: tokio::sync::Mutex<Turns>,
}

/// What was sent, as far as it still matters. Whoever holds it is next.
#[derive(Default)]
struct Turns {
    /// When the next request is due.
    due: Option<Instant>,
    /// When the last `most` requests were sent, the oldest first.
    sent: VecDeque<Instant>,
}

impl Rate {
    /// `None` for a rate that is not a positive number.
    fn new(per_second: f64) -> Option<Self> {
        let period = Duration::try_from_secs_f64((1.0 + MARGIN) / per_second).ok()?;
        // Of a broken number, such as 2.5, two requests within four fifths of a second.
        let most = per_second.floor().clamp(1.0, MOST_REMEMBERED) as u32;
        (!period.is_zero()).then(|| Self {
            period,
            window: period.saturating_mul(most),
            most: most as usize,
            turns: tokio::sync::Mutex::default(),
        })
    }

    /// Waits until one more request may be sent, and counts it. In the order of asking.
    async fn next(&self) {
        let mut turns = self.turns.lock().await;
        sleep_until(turns.next(self, Instant::now())).await;
        // What counts is when it really went: a timer may be late.
        turns.count(self, Instant::now());
    }
}

impl Turns {
    /// When the next request may go.
    fn next(&self, rate: &Rate, now: Instant) -> Instant {
        let due = self.due_at(now);
        let is_full = self.sent.len() >= rate.most;
        let oldest = self.sent.front().filter(|_| is_full);
        oldest.map_or(due, |oldest| due.max(*oldest + rate.window))
    }

    /// One went.
    fn count(&mut self, rate: &Rate, now: Instant) {
        self.due = Some(self.due_at(now) + rate.period);
        if self.sent.len() >= rate.most {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }

    /// When the pace alone would have the next one go.
    fn due_at(&self, now: Instant) -> Instant {
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.due.map_or(now, |due| due.max(earliest))
    }
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
        let rate = match pace.requests_per_second {
            None => None,
            Some(rate) => Some(Rate::new(rate).ok_or_else(|| TargetError::Configuration {
                problem: format!("`requests_per_second` is {rate}; it must be a number above 0"),
                source: None,
            })?),
        };
        let concurrency = pace.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            rate,
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
            if let Some(rate) = &self.rate {
                rate.next().await;
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

    /// The milliseconds from the start at which requests go of somebody who is held up for
    /// `pause` milliseconds before each turn that is a multiple of `every`, and whose timers are
    /// up to 3 ms late.
    fn times(per_second: f64, turns: u64, every: u64, pause: u64) -> Vec<u128> {
        let rate = Rate::new(per_second).unwrap();
        let start = Instant::now();
        let (mut now, mut taken, mut times) = (start, Turns::default(), Vec::new());
        for turn in 0..turns {
            if turn % every == 0 {
                now += Duration::from_millis(pause);
            }
            let late = Duration::from_millis(turn * 7 % 4);
            now = taken.next(&rate, now).max(now) + late;
            taken.count(&rate, now);
            times.push(now.duration_since(start).as_millis());
        }
        times
    }

    // Fails without `window`: what is caught up would then exceed the limit.
    #[test]
    fn no_second_sees_more_than_the_limit_whatever_was_late() {
        let cases = [
            (20.0, 7, 110),
            (100.0, 32, 60),
            (2.5, 3, 240),
            (20.0, 50, 2_000),
        ];
        for (limit, every, pause) in cases {
            let times = times(limit, 1_000, every, pause);
            for (position, first) in times.iter().enumerate() {
                let second = times[position..]
                    .iter()
                    .take_while(|it| **it < first + 1_000);
                assert!(second.count() as f64 <= limit.ceil(), "{limit}: {first} ms");
            }
        }
    }

    // Fails without `CATCH_UP`, as with any limiter that counts from when a timer fired.
    #[test]
    fn short_delays_cost_nothing_of_the_rate() {
        let times = times(100.0, 6_200, 32, 60);
        let in_a_minute = times.iter().filter(|time| **time < 60_000).count();
        assert!(in_a_minute >= 5_820, "{in_a_minute}");
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
