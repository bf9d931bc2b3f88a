//! The faults at work: counts requests and writes, and says which go wrong and how. No clock
//! and no chance: the same requests go wrong every time.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::deviation::Deviation;
use super::fault::Fault;
use super::refusal::Refusal;

/// Faults and what they have counted since the start.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    faults: Vec<Fault>,
    requests: u64,
    throttled: u64,
    errors: u64,
    /// What a fault counts of its own, for each in `faults`: successful writes whose answers may be
    /// lost, or requests for one resource that may not be found.
    counted: Vec<u64>,
}

/// What a request meets before it is looked at.
#[derive(Debug, PartialEq)]
pub(super) enum Fate {
    /// Nothing.
    Served,
    /// It is refused; `retry_after` goes into the header of that name.
    Refused {
        refusal: Refusal,
        retry_after: Option<String>,
    },
    /// Its connection is dropped.
    Dropped,
}

impl Trouble {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self {
            counted: vec![0; faults.len()],
            faults,
            ..Self::default()
        }
    }

    /// The lasting deviations among the faults.
    pub(super) fn deviations(&self) -> BTreeSet<Deviation> {
        let lasting = self.faults.iter().filter_map(|fault| match fault {
            Fault::Deviates(deviation) => Some(*deviation),
            _ => None,
        });
        lasting.collect()
    }

    /// How long every answer waits.
    pub(super) fn delay(&self) -> Option<Duration> {
        let delays = self.faults.iter().filter_map(|fault| match fault {
            Fault::Slow { delay } => Some(*delay),
            _ => None,
        });
        delays.max()
    }

    /// The Date of every answer, where it is wrong.
    pub(super) fn wrong_date(&self, now: DateTime<Utc>) -> Option<String> {
        let clocks = self.faults.iter().filter_map(|fault| match fault {
            Fault::WrongClock { ahead } => TimeDelta::from_std(*ahead).ok(),
            _ => None,
        });
        let wrong = now + clocks.max()?;
        Some(httpdate::fmt_http_date(wrong.into()))
    }

    /// Counts a request of a method, perhaps for one resource, and says what it meets.
    pub(super) fn meet(&mut self, method: &str, names_one: bool, now: DateTime<Utc>) -> Fate {
        if self.is_down() {
            return Fate::Dropped;
        }
        self.requests += 1;
        let hits = |every: u64| self.requests.is_multiple_of(every);
        let throttled = |fault: &Fault| matches!(fault, Fault::Throttle { every } if hits(*every));
        let fails = |fault: &Fault| matches!(fault, Fault::ServerErrors { every } if hits(*every));
        if self.faults.iter().any(throttled) {
            self.throttled += 1;
            return Fate::Refused {
                refusal: Refusal::plain(429, "too many requests"),
                retry_after: Some(retry_after(self.throttled, now)),
            };
        }
        if self.faults.iter().any(fails) {
            self.errors += 1;
            let status = if self.errors % 2 == 1 { 500 } else { 503 };
            return Fate::Refused {
                refusal: Refusal::plain(status, "a fault was asked for"),
                retry_after: (status == 503).then(|| "1".to_owned()),
            };
        }
        if names_one && self.does_not_find(method) {
            return Fate::Refused {
                refusal: Refusal::plain(404, "a fault was asked for"),
                retry_after: None,
            };
        }
        Fate::Served
    }

    /// Counts a request for one resource and says whether that is not found.
    fn does_not_find(&mut self, method: &str) -> bool {
        self.hits(method, |fault| match fault {
            Fault::NotFound { every, method } => Some((*every, method.as_deref())),
            _ => None,
        })
    }

    /// Counts a write that succeeded and says whether its answer is lost.
    pub(super) fn loses_answer(&mut self, method: &str) -> bool {
        self.hits(method, |fault| match fault {
            Fault::LostAnswers { every, method } => Some((*every, method.as_deref())),
            _ => None,
        })
    }

    /// Counts what is of a method, for each fault that `counts` gives an interval, and perhaps the
    /// only method of; and says whether it is the turn of one.
    fn hits(
        &mut self,
        method: &str,
        counts: impl Fn(&Fault) -> Option<(u64, Option<&str>)>,
    ) -> bool {
        let mut hit = false;
        for (fault, counted) in self.faults.iter().zip(&mut self.counted) {
            if let Some((every, only)) = counts(fault)
                && only.is_none_or(|only| only == method)
            {
                *counted += 1;
                hit |= counted.is_multiple_of(every);
            }
        }
        hit
    }

    /// Whether connections are refused from now on.
    pub(super) fn is_down(&self) -> bool {
        self.faults.iter().any(
            |fault| matches!(fault, Fault::DownAfter { requests } if self.requests >= *requests),
        )
    }
}

/// The forms of `Retry-After` that are met: RFC 9110 §10.2.3 has whole seconds and a date,
/// some servers write fractions.
fn retry_after(turn: u64, now: DateTime<Utc>) -> String {
    match turn % 3 {
        1 => "1".to_owned(),
        2 => "0.2".to_owned(),
        // Dates have whole seconds: at least one second ahead, at most two.
        _ => httpdate::fmt_http_date((now + TimeDelta::milliseconds(1999)).into()),
    }
}
