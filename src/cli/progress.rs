//! Bars for long steps, on stderr, on a terminal only: one for each step under way.
//!
//! A step is drawn once it has lasted a second or has more than two hundred parts; short
//! runs stay silent. Must never be the only place where something is said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cycle::Progress;

/// A step longer than this is drawn.
const PATIENCE: Duration = Duration::from_secs(1);
/// A step with more parts than this is drawn at once.
const MANY: u64 = 200;

/// A bar for each step that was reported, below each other. Clones draw on the same place.
#[derive(Clone)]
pub(super) struct Bars {
    enabled: bool,
    place: MultiProgress,
    steps: Arc<Mutex<BTreeMap<String, Step>>>,
}

/// The steps of one thing that is worked on, one after another: the next takes the place of
/// the one before.
pub(super) struct Lane {
    bars: Bars,
    current: Mutex<Option<String>>,
}

struct Step {
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Bars {
    /// Draws nothing unless enabled.
    pub(super) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            place: MultiProgress::new(),
            steps: Arc::default(),
        }
    }

    /// A lane of its own for something that is worked on beside others.
    pub(super) fn lane(&self) -> Lane {
        Lane {
            bars: self.clone(),
            current: Mutex::default(),
        }
    }

    /// Removes the bars, so that something can be printed.
    pub(super) fn clear(&self) {
        for step in std::mem::take(&mut *self.steps()).into_values() {
            step.end();
        }
    }

    /// Takes the bars away while something is printed, and puts them back.
    pub(super) fn make_way<T>(&self, print: impl FnOnce() -> T) -> T {
        self.place.suspend(print)
    }

    fn end(&self, step: &str) {
        if let Some(step) = self.steps().remove(step) {
            step.end();
        }
    }

    fn steps(&self) -> MutexGuard<'_, BTreeMap<String, Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn report(&self, step: &str, done: u64, total: Option<u64>) {
        if !self.enabled {
            return;
        }
        let mut steps = self.steps();
        let Step { began, bar } = steps.entry(step.to_owned()).or_insert_with(|| Step {
            began: Instant::now(),
            bar: None,
        });
        if bar.is_none() && worth_drawing(began.elapsed(), done, total) {
            *bar = Some(self.place.add(draw(step, total.filter(|total| *total > 0))));
        }
        if let Some(bar) = bar {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
    }
}

impl Progress for Lane {
    fn report(&self, step: &str, done: u64, total: Option<u64>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_deref() != Some(step)
            && let Some(before) = current.replace(step.to_owned())
        {
            self.bars.end(&before);
        }
        self.bars.report(step, done, total);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let current = self
            .current
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(step) = current.take() {
            self.bars.end(&step);
        }
    }
}

impl Step {
    fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
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
        bars.lane().report("listing wiki", 1000, Some(2000));
        assert!(bars.steps().is_empty());
    }

    #[test]
    fn a_lane_has_one_step_at_a_time_beside_those_of_others() {
        let bars = Bars::new(true);
        let names = || bars.steps().keys().cloned().collect::<Vec<_>>();
        let (demo, wiki) = (bars.lane(), bars.lane());
        demo.report("listing demo", 1, Some(2));
        wiki.report("listing wiki", 1, Some(2));
        demo.report("applying demo", 1, Some(2));
        assert_eq!(names(), ["applying demo", "listing wiki"]);
        drop(demo);
        assert_eq!(names(), ["listing wiki"]);
        bars.clear();
        assert!(names().is_empty());
    }
}
