//! `sync`: one cycle of the selected targets, and the shape that `approve` shares.
//!
//! A preview stops after planning. That is the whole of it: nothing below this module knows
//! whether its plan will be applied.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use chrono::Utc;
use provisor_connectors::RecordKey;
use tokio_util::sync::CancellationToken;

use super::args::{Format, SyncArguments};
use super::exit::{self, Exit};
use super::explain;
use super::progress::Bars;
use super::render::text::Look;
use super::render::{Mode, json, text};
use super::session::{self, Connected, Session};
use super::terminal::{Stop, Terminal};
use crate::apply::report::{Failure, FailureKind, TargetReport};
use crate::config::{Config, TargetConfig};
use crate::cycle::{self, Progress, Readings, Release};
use crate::spelling;

/// What to do with which targets.
pub(super) struct Order<'a> {
    /// In the configuration's order; enabled ones only.
    pub(super) targets: Vec<&'a TargetConfig>,
    pub(super) mode: Mode,
    /// `--check`: an action is worth an exit code of its own.
    pub(super) changes_matter: bool,
    pub(super) full: bool,
    /// One person only, by any of their keys.
    pub(super) user: Option<String>,
    pub(super) release: Option<Release>,
    pub(super) format: Format,
}

impl Order<'_> {
    /// A release that freed nothing is shown as what it came to: a preview.
    fn mode_of(&self, report: &TargetReport) -> Mode {
        let nothing_done = self.release.is_some() && report.outcomes.is_empty();
        if nothing_done {
            Mode::Preview
        } else {
            self.mode
        }
    }
}

/// Runs `provisor sync`.
pub(super) async fn run(
    arguments: &SyncArguments,
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Exit, Stop> {
    let mut targets: Vec<&TargetConfig> = match &arguments.target {
        Some(name) => vec![find_target(config, name).inspect_err(|_| {
            print_document(arguments.format, Vec::new(), terminal);
        })?],
        None => config.targets.values().collect(),
    };
    targets.retain(|target| {
        if !target.enabled {
            let skipped = format!(
                "the target `{}` is not enabled: skipped",
                target.target.name
            );
            // Somebody who names it wants to know; otherwise it is the usual state of things.
            if arguments.target.is_some() {
                terminal.warn(&skipped);
            } else {
                tracing::info!("{skipped}");
            }
        }
        target.enabled
    });
    let order = Order {
        targets,
        mode: if arguments.dry_run || arguments.check {
            Mode::Preview
        } else {
            Mode::Applied
        },
        changes_matter: arguments.check,
        full: arguments.full,
        user: arguments.user.clone(),
        release: None,
        format: arguments.format,
    };
    Ok(execute(&order, config, terminal).await.0)
}

/// Runs the cycles and prints them. Returns the exit code and what became of each target.
pub(super) async fn execute(
    order: &Order<'_>,
    config: &Config,
    terminal: &mut Terminal,
) -> (Exit, Vec<TargetReport>) {
    let mut run = Run {
        order,
        config,
        reports: Vec::new(),
        exit: Exit::Done,
        stop: CancellationToken::new(),
    };
    let stop = run.stop.clone();
    let ended = tokio::select! {
        ended = run.cycle(terminal) => ended,
        () = interrupted_for_long(&stop) => Err(Stop::failed(anyhow!("interrupted"))
            .hint("nothing is lost: the next run goes on from what was acknowledged; what was \
                   under way is looked for first")),
    };
    if let Err(stop) = ended {
        run.exit = run.exit.and(terminal.stop(&stop));
        let failure = Failure {
            kind: match stop.exit {
                Exit::Usage => FailureKind::Configuration,
                _ => FailureKind::Failed,
            },
            chain: stop.chain(),
        };
        for target in &order.targets[run.reports.len()..] {
            run.reports.push(failed(target, failure.clone()));
        }
    }
    if order.format == Format::Json {
        let targets = order
            .targets
            .iter()
            .zip(&run.reports)
            .map(|(target, report)| {
                json::target(report, &target.target.profile, order.mode_of(report))
            })
            .collect();
        print_document(order.format, targets, terminal);
    }
    (run.exit, run.reports)
}

/// Asks the run to stop between two calls when the process is told to end; ends when that
/// takes longer than anyone waits, or at the second time of telling.
async fn interrupted_for_long(stop: &CancellationToken) {
    super::interrupted().await;
    stop.cancel();
    tokio::select! {
        () = super::interrupted() => {}
        () = tokio::time::sleep(PATIENCE) => {}
    }
}

/// How long calls under way may take to end after the process is told to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints the document, if one was asked for: there is one whenever the configuration loaded.
pub(super) fn print_document(
    format: Format,
    targets: Vec<json::TargetDocument>,
    terminal: &mut Terminal,
) {
    if format == Format::Json {
        let document = serde_json::to_string_pretty(&json::document(targets))
            .expect("the document has only text keys");
        terminal.print(&format!("{document}\n"));
    }
}

/// A target by its name, or what was probably meant.
pub(super) fn find_target<'a>(config: &'a Config, name: &str) -> Result<&'a TargetConfig, Stop> {
    config.targets.get(name).ok_or_else(|| {
        let stop = Stop::usage(anyhow!("there is no target `{name}` in the configuration"));
        match spelling::closest(name, config.targets.keys().map(String::as_str)) {
            Some(nearest) => stop.hint(format!("did you mean `{nearest}`?")),
            None => stop,
        }
    })
}

/// One run under way. `reports` has one report per finished target, in the order's order.
struct Run<'a> {
    order: &'a Order<'a>,
    config: &'a Config,
    reports: Vec<TargetReport>,
    exit: Exit,
    /// Cancelled when the process is told to end.
    stop: CancellationToken,
}

impl Run<'_> {
    async fn cycle(&mut self, terminal: &mut Terminal) -> Result<(), Stop> {
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

        let mut connections = BTreeMap::new();
        for target in &order.targets {
            let connected = session::connect(target).await;
            connections.insert(target.target.name.as_str(), connected);
        }
        let bars = Bars::new(terminal.bars);
        let now = Utc::now();
        // Every configured target says which attributes are in use, also one that this run
        // leaves out: else the mirror would forget what that one needs.
        let in_use: Vec<_> = config
            .targets
            .values()
            .map(|target| target.target.clone())
            .collect();
        let mut readings = cycle::read_sources(&session.store, &sources, &in_use, now, &bars)
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
            Some(wanted) => Some(self.find_person(wanted, &session, &readings, terminal)?),
            None => None,
        };
        for target in &order.targets {
            let only = person.as_ref().map(|(record, _)| record);
            if let Some((record, name)) = &person {
                self.show_steps(record, name, target, &session, &readings, terminal)?;
            }
            let report = match connections.remove(target.target.name.as_str()) {
                Some(Ok(connected)) => {
                    let report = self
                        .one_target(target, &session, &readings, &connected, only, now, &bars)
                        .await;
                    close(connected, report).await
                }
                Some(Err(failure)) => failed(target, failure),
                None => unreachable!("every selected target was connected above"),
            };
            bars.clear();
            self.show_report(target, &report, terminal);
            self.reports.push(report);
        }
        if order.mode == Mode::Applied {
            // Views of this cycle hold on to what they see.
            drop(readings);
            cycle::forget_tombstones(&session.store, in_use)
                .await
                .map_err(|failure| Stop::from(&failure))?;
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a cycle, named at the one call"
    )]
    async fn one_target(
        &self,
        target: &TargetConfig,
        session: &Session,
        readings: &Readings,
        connected: &Connected,
        only: Option<&RecordKey>,
        now: chrono::DateTime<Utc>,
        progress: &dyn Progress,
    ) -> TargetReport {
        let (store, client) = (&session.store, &connected.client);
        let prepared = match only {
            Some(record) => {
                cycle::plan_one(
                    store,
                    readings,
                    &target.target,
                    client,
                    record,
                    now,
                    progress,
                )
                .await
            }
            None => {
                cycle::plan_target(
                    store,
                    readings,
                    &target.target,
                    client,
                    self.order.full,
                    self.order.release.as_ref(),
                    now,
                    progress,
                )
                .await
            }
        };
        match (prepared, self.order.mode) {
            (Err(failure), Mode::Preview) => failed(target, failure),
            (Err(failure), Mode::Applied) => {
                let name = &target.target.name;
                // The failure itself is what matters; that it could not be noted is one more.
                if let Err(unnoted) = cycle::note_failure(&session.store, name, &failure) {
                    tracing::warn!("cannot note the failure of {name}: {:?}", unnoted.chain);
                }
                failed(target, failure)
            }
            (Ok(prepared), Mode::Preview) => prepared.into_preview(),
            // A release that frees nothing was meant for something else: nothing is done.
            (Ok(prepared), Mode::Applied)
                if self.order.release.is_some() && !prepared.releases_something() =>
            {
                prepared.into_preview()
            }
            (Ok(prepared), Mode::Applied) => {
                prepared
                    .apply(
                        &session.audit,
                        self.config.audit_values,
                        &self.stop,
                        progress,
                    )
                    .await
            }
        }
    }

    /// The one person that was asked for, as the sources were just read, with their name.
    fn find_person(
        &self,
        wanted: &str,
        session: &Session,
        readings: &Readings,
        terminal: &mut Terminal,
    ) -> Result<(RecordKey, String), Stop> {
        let targets: Vec<_> = self
            .order
            .targets
            .iter()
            .map(|target| target.target.clone())
            .collect();
        let search = tokio::task::block_in_place(|| {
            cycle::explain::find_person(&session.store, readings, &targets, wanted)
        })
        .map_err(|failure| Stop::from(&failure))?;
        match explain::one_of(&search, wanted) {
            Ok(record) => {
                let name = search.found[&record].clone();
                Ok((record, name))
            }
            Err(stop) => {
                if self.order.format == Format::Text {
                    explain::show_others(&search, Format::Text, terminal);
                }
                Err(stop)
            }
        }
    }

    /// Shows how one person comes to their plan at a target that reads their source.
    fn show_steps(
        &self,
        record: &RecordKey,
        name: &str,
        target: &TargetConfig,
        session: &Session,
        readings: &Readings,
        terminal: &mut Terminal,
    ) -> Result<(), Stop> {
        let built = &target.target;
        if self.order.format == Format::Json || !built.sources.contains(&record.source) {
            return Ok(());
        }
        let steps = tokio::task::block_in_place(|| {
            let row = cycle::explain::record_of(readings, record)?;
            let now = Utc::now();
            let explained = cycle::explain::explain(&session.store, readings, built, record, now)?;
            let match_on = &built.rules.match_on;
            Ok(explain::text::steps(
                name,
                record,
                row.as_ref(),
                &explained,
                match_on,
            ))
        })
        .map_err(|failure: Failure| Stop::from(&failure))?;
        terminal.print(&format!("{steps}\n"));
        Ok(())
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

    fn show_report(
        &mut self,
        target: &TargetConfig,
        report: &TargetReport,
        terminal: &mut Terminal,
    ) {
        for warning in &report.warnings {
            terminal.warn(&format!("{}: {warning}", report.target));
        }
        if self.order.format == Format::Text {
            let look = Look {
                mode: self.order.mode_of(report),
                colour: terminal.colour,
                requests_per_second: target.pace.requests_per_second,
            };
            let block = text::target(report, look);
            // Blocks are kept apart by a blank line; single lines stand together.
            let first = self.reports.is_empty();
            if !first && (block.lines().count() > 1 || self.last_was_block(look)) {
                terminal.print("\n");
            }
            terminal.print(&block);
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

    fn last_was_block(&self, look: Look) -> bool {
        self.reports
            .last()
            .is_some_and(|report| text::target(report, look).lines().count() > 1)
    }
}

/// The report of a target that came to no plan.
fn failed(target: &TargetConfig, failure: Failure) -> TargetReport {
    TargetReport {
        target: target.target.name.clone(),
        error: Some(failure),
        plan: None,
        outcomes: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Closes the connection; what goes wrong there is the target's failure, unless it already
/// has one.
async fn close(connected: Connected, mut report: TargetReport) -> TargetReport {
    if let Err(failure) = connected.close().await {
        report.error.get_or_insert(failure);
    }
    report
}
