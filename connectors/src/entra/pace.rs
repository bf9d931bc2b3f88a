//! How fast Graph is asked: well below what it allows the smallest tenant.
//!
//! Graph counts resource units: 3,500 in ten seconds for an app in a tenant of fewer than 50
//! people, more in larger ones (Graph, "Microsoft Graph service-specific throttling limits").
//! Pure; the time is handed in.

use std::time::Duration;

use tokio::time::Instant;

/// Units a second. With the burst, 2,750 in any ten seconds.
const RATE: f64 = 250.0;
/// Units that may be spent at once.
const BURST: f64 = 250.0;
/// What is left of the rate after Graph has said that the limit is near.
const CAREFUL: f64 = 0.25;
/// How long that lasts: Graph's limits are for ten seconds.
const CAREFUL_FOR: Duration = Duration::from_secs(10);

/// What may be spent, and since when that is so.
#[derive(Debug)]
pub(super) struct Pace {
    units: f64,
    at: Option<Instant>,
    careful_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            units: BURST,
            at: None,
            careful_until: None,
        }
    }

    /// Spends the units of a request, and says how long to wait before it is sent.
    pub(super) fn spend(&mut self, units: f64, now: Instant) -> Duration {
        let is_careful = self.careful_until.is_some_and(|until| now < until);
        let rate = match is_careful {
            true => RATE * CAREFUL,
            false => RATE,
        };
        let passed = self
            .at
            .map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.at = Some(now);
        self.units = (self.units + passed * rate).min(BURST) - units;
        match self.units < 0.0 {
            true => Duration::from_secs_f64(-self.units / rate),
            false => Duration::ZERO,
        }
    }

    /// Graph says which part of the limit is used (`x-ms-throttle-limit-percentage`; it does so
    /// from 0.8 on).
    pub(super) fn note_limit(&mut self, part: f64, now: Instant) {
        if part >= 0.8 {
            self.careful_until = Some(now + CAREFUL_FOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ten_seconds_hold_more_than_the_smallest_tenant_is_allowed() {
        let start = Instant::now();
        let mut pace = Pace::new();
        let mut now = start;
        let mut sent = Vec::new();
        while now < start + Duration::from_secs(60) {
            now += pace.spend(60.0, now);
            sent.push(now);
        }
        for (at, first) in sent.iter().enumerate() {
            let within = sent[at..]
                .iter()
                .take_while(|it| **it < *first + Duration::from_secs(10));
            let units = within.count() * 60;
            assert!(units <= 3_500, "{units} units in ten seconds");
        }
        assert!(sent.len() > 200, "{}", sent.len());
    }

    #[test]
    fn near_the_limit_it_slows_down_for_ten_seconds() {
        let start = Instant::now();
        let mut pace = Pace::new();
        assert_eq!(pace.spend(BURST, start), Duration::ZERO);
        pace.note_limit(0.7, start);
        assert_eq!(pace.spend(RATE, start), Duration::from_secs(1));
        let mut pace = Pace::new();
        pace.spend(BURST, start);
        pace.note_limit(0.8, start);
        assert_eq!(pace.spend(RATE, start), Duration::from_secs(4));
    }
}
