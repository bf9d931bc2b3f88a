//! Bars for long steps, on stderr, on a terminal only.
//!
//! A step is drawn once it has lasted a second or has more than two hundred parts; short
//! runs stay silent. Must never be the only place where something is said.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cycle::Progress;

/// A step longer than this is drawn.
const PATIENCE: Duration = Duration::from_secs(1);
/// A step with more parts than this is drawn at once.
const MANY: u64 = 200;

/// Draws one bar at a time: the step that was reported last.
pub(super) struct Bars {
    enabled: bool,
    current: Mutex<Option<Step>>,
}

struct Step {
    name: String,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Bars {
    /// Draws nothing unless enabled.
    pub(super) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            current: Mutex::new(None),
        }
    }

    /// Removes the bar, so that something can be printed.
    pub(super) fn clear(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Step { bar: Some(bar), .. }) = current.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bars {
    fn report(&self, step: &str, done: u64, total: Option<u64>) {
        if !self.enabled {
            return;
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_none_or(|known| known.name != step) {
            if let Some(Step { bar: Some(bar), .. }) = current.take() {
                bar.finish_and_clear();
            }
            *current = Some(Step {
                name: step.to_owned(),
                began: Instant::now(),
                bar: None,
            });
        }
        let Some(Step { name, began, bar }) = current.as_mut() else {
            return;
        };
        if bar.is_none() && worth_drawing(began.elapsed(), done, total) {
            *bar = Some(draw(name, total.filter(|total| *total > 0)));
        }
        if let Some(bar) = bar {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
    }
}

fn worth_drawing(elapsed: Duration, done: u64, total: Option<u64>) -> bool {
    elapsed > PATIENCE || total.unwrap_or(done) > MANY
}

fn draw(name: &str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{msg} {wide_bar} {human_pos} of {human_len}",
        ),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {human_pos}"),
    };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_message(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_small_steps_are_not_drawn() {
        assert!(!worth_drawing(Duration::from_millis(900), 200, None));
        assert!(!worth_drawing(Duration::from_millis(900), 5, Some(200)));
        assert!(worth_drawing(Duration::from_millis(1100), 1, Some(2)));
        assert!(worth_drawing(Duration::ZERO, 0, Some(201)));
        assert!(worth_drawing(Duration::ZERO, 201, None));
    }

    #[test]
    fn a_disabled_bar_keeps_nothing() {
        let bars = Bars::new(false);
        bars.report("listing demo", 1000, Some(2000));
        assert!(bars.current.lock().unwrap().is_none());
    }
}
