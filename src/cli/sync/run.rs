//! One run: the sources read once for all targets, then a cycle of each target, side by side,
//! shown in the configuration's order.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::super::args::Format;
use super::super::exit::{self, Exit};
use super::super::explain;
use super::super::progress::Bars;
use super::super::render::text::Look;
use super::super::render::{Mode, text};
use super::super::session::{self, Session};
use super::super::terminal::{Stop, Terminal};
use super::Order;
use super::task::{Common, Task, Tasks};
use crate::apply::report::{Failure, TargetReport};
use crate::config::Config;
use crate::cycle::explain::Person;
use crate::cycle::{self, Readings};
use crate::snapshot::Store;

/// How many targets are worked on at once. A bound for memory and connections, far above what
/// is usual: with so many targets that do not answer, a further one would wait.
const AT_ONCE: usize = 64;

/// One run under way.
pub(super) struct Run<'a> {
    pub(super) order: &'a Order<'a>,
    pub(super) config: &'a Config,
    /// A report for each target that is over, at the target's place in the order.
    pub(super) reports: Vec<Option<TargetReport>>,
    /// How many of them were shown.
    pub(super) shown: usize,
    pub(super) exit: Exit,
    /// Cancelled when the process is told to end.
    pub(super) stop: CancellationToken,
    /// Whether what was printed last takes more than a line.
    last_was_block: Option<bool>,
}

impl<'a> Run<'a> {
    pub(super) fn new(order: &'a Order<'a>, config: &'a Config) -> Self {
        Self {
            order,
            config,
            reports: order.targets.iter().map(|_| None).collect(),
            shown: 0,
            exit: Exit::Done,
            stop: CancellationToken::new(),
            last_was_block: None,
        }
    }

    /// Reads the sources once, then does the targets' cycles and prints each in its turn.
    pub(super) async fn cycle(&mut self, terminal: &mut Terminal) -> Result<(), Stop> {
        let (order, config) = (self.order, self.config);
        if order.targets.is_empty() {
            terminal.warn("no target is enabled: there is nothing to do");
            return Ok(());
        }
        let session = Session::open(config)?;
        for warning in &session.warnings {
            terminal.warn(warning);
        }
        let sources = session::build_sources(config, &order.targets);
        session::check_names(&order.targets, &sources).await?;

        let bars = Bars::new(terminal.bars);
        let now = Utc::now();
        // Every configured target says which attributes are in use, also one that this run
        // leaves out: else the mirror would forget what that one needs.
        let in_use: Vec<_> = config
            .targets
            .values()
            .map(|target| target.target.clone())
            .collect();
        let full = order.full || order.release.is_some();
        let running = order.targets.iter().map(|target| &target.target);
        let whole = cycle::read_whole(&session.store, running, full, now)
            .map_err(|failure| Stop::from(&failure))?;
        let mut readings =
            cycle::read_sources(&session.store, &sources, &in_use, &whole, now, &bars)
                .await
                .map_err(|failure| Stop::from(&failure))?;
        bars.clear();
        self.show_readings(&readings, terminal);
        if order.mode == Mode::Applied {
            readings
                .publish()
                .await
                .map_err(|failure| Stop::from(&failure))?;
        }

        let person = match &order.user {
            Some(wanted) => Some(self.find_person(wanted, &session.store, &readings, terminal)?),
            None => None,
        };
        let steps = match &person {
            Some((person, name)) => self.steps(person, name, &session.store, &readings)?,
            None => BTreeMap::new(),
        };
        let Session { store, audit, .. } = session;
        let common = Common {
            store: store.clone(),
            audit,
            audit_values: config.audit_values,
            readings,
            mode: order.mode,
            full: order.full,
            only: person.map(|(person, _)| person),
            release: order.release.clone(),
            now,
            stop: self.stop.clone(),
            room: Semaphore::new(AT_ONCE),
        };
        self.do_targets(common, &steps, &bars, terminal).await;
        if order.mode == Mode::Applied {
            cycle::forget_tombstones(&store, in_use)
                .await
                .map_err(|failure| Stop::from(&failure))?;
        }
        Ok(())
    }

    /// Starts every target's cycle, and shows each as soon as all before it are shown. When
    /// it returns nobody looks at the readings any more.
    async fn do_targets(
        &mut self,
        common: Common,
        steps: &BTreeMap<usize, String>,
        bars: &Bars,
        terminal: &mut Terminal,
    ) {
        let common = Arc::new(common);
        let mut tasks = Tasks::default();
        let mut last_at: BTreeMap<&str, CancellationToken> = BTreeMap::new();
        for (place, target) in self.order.targets.iter().enumerate() {
            let over = CancellationToken::new();
            let task = Task {
                common: Arc::clone(&common),
                target: (*target).clone(),
                progress: bars.lane(),
                after: last_at.insert(&target.target.fingerprint, over.clone()),
                over,
            };
            tasks.start(place, task.run());
        }
        for place in 0..self.order.targets.len() {
            if let Some(steps) = steps.get(&place) {
                bars.make_way(|| print_apart(&mut self.last_was_block, steps, terminal));
            }
            while self.reports[place].is_none() {
                let Some((ended, report)) = tasks.next().await else {
                    break;
                };
                let target = self.order.targets[ended];
                let report = report.unwrap_or_else(|why| common.note(target, why));
                self.reports[ended] = Some(report);
            }
            bars.make_way(|| self.show_report(place, terminal));
        }
        self.show_totals(terminal);
    }

    /// The one person that was asked for, as the sources were just read, with their name.
    fn find_person(
        &self,
        wanted: &str,
        store: &Store,
        readings: &Readings,
        terminal: &mut Terminal,
    ) -> Result<(Person, String), Stop> {
        let targets: Vec<_> = self
            .order
            .targets
            .iter()
            .map(|target| target.target.clone())
            .collect();
        let search = tokio::task::block_in_place(|| {
            cycle::explain::find_person(store, readings, &targets, wanted)
        })
        .map_err(|failure| Stop::from(&failure))?;
        match explain::one_of(&search, wanted) {
            Ok(record) => {
                let person =
                    tokio::task::block_in_place(|| Person::new(store, readings, &targets, &record))
                        .map_err(|failure| Stop::from(&failure))?;
                Ok((person, search.found[&record].clone()))
            }
            Err(stop) => {
                if self.order.format == Format::Text {
                    explain::show_others(&search, Format::Text, terminal);
                }
                Err(stop)
            }
        }
    }

    /// How one person comes to their plan at each target that reads one of their sources, by
    /// the target's place.
    fn steps(
        &self,
        person: &Person,
        name: &str,
        store: &Store,
        readings: &Readings,
    ) -> Result<BTreeMap<usize, String>, Stop> {
        if self.order.format == Format::Json {
            return Ok(BTreeMap::new());
        }
        let targets = self.order.targets.iter().copied().enumerate();
        tokio::task::block_in_place(|| {
            targets
                .filter_map(|(place, target)| Some((place, target, person.at(&target.target)?)))
                .map(|(place, target, record)| {
                    let built = &target.target;
                    let row = cycle::explain::record_of(readings, record)?;
                    let explained =
                        cycle::explain::explain(store, readings, built, record, Utc::now())?;
                    let match_on = &built.rules.match_on;
                    let steps =
                        explain::text::steps(name, record, row.as_ref(), &explained, match_on);
                    Ok((place, steps))
                })
                .collect::<Result<_, Failure>>()
        })
        .map_err(|failure: Failure| Stop::from(&failure))
    }

    fn show_readings(&mut self, readings: &Readings, terminal: &mut Terminal) {
        for (source, warnings) in readings.warnings() {
            for warning in warnings {
                terminal.warn(&format!("source {source}: {warning}"));
            }
        }
        for (source, failure) in readings.failures() {
            terminal.error(Some(&format!("source {source}")), &failure.chain, None);
            self.exit = self.exit.and(failure.kind.into());
        }
    }

    /// Shows every report that is there and was not shown yet: those that were over when the
    /// run was interrupted.
    pub(super) fn show_the_rest(&mut self, terminal: &mut Terminal) {
        for place in self.shown..self.reports.len() {
            self.show_report(place, terminal);
        }
    }

    fn show_report(&mut self, place: usize, terminal: &mut Terminal) {
        self.shown = place + 1;
        let Some(report) = &self.reports[place] else {
            return;
        };
        for warning in &report.warnings {
            terminal.warn(&format!("{}: {warning}", report.target));
        }
        if self.order.format == Format::Text {
            let again = terminal.again.clone();
            let look = Look {
                mode: self.order.mode_of(report),
                colour: terminal.colour,
                requests_per_second: self.order.targets[place].pace.requests_per_second,
                again: &again,
            };
            print_apart(
                &mut self.last_was_block,
                &text::target(report, look),
                terminal,
            );
        }
        if let Some(failure) = &report.error {
            terminal.error(Some(&report.target), &failure.chain, None);
        }
        self.exit = self.exit.and(exit::of_report(report));
        let has_actions = |plan: &crate::plan::action::Plan| !plan.actions.is_empty();
        if self.order.changes_matter && report.plan.as_ref().is_some_and(has_actions) {
            self.exit = self.exit.and(Exit::Changes);
        }
    }

    /// What several targets come to together, in a line.
    fn show_totals(&mut self, terminal: &mut Terminal) {
        if self.order.format == Format::Text && self.order.targets.len() > 1 {
            let reports: Vec<&TargetReport> = self.reports.iter().flatten().collect();
            let line = text::totals(&reports, self.order.mode);
            print_apart(&mut self.last_was_block, &line, terminal);
        }
    }
}

/// Prints a block or a line. Blocks are kept apart by a blank line; single lines stand
/// together.
fn print_apart(last_was_block: &mut Option<bool>, text: &str, terminal: &mut Terminal) {
    let is_block = text.lines().count() > 1;
    if last_was_block.is_some_and(|last| last || is_block) {
        terminal.print("\n");
    }
    terminal.print(text);
    *last_was_block = Some(is_block);
}
