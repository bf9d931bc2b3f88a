//! One run: the sources read once for all targets, then a cycle of each target, printed as
//! soon as it is over.

use std::collections::BTreeMap;

use chrono::Utc;
use provisor_connectors::RecordKey;
use tokio_util::sync::CancellationToken;

use super::super::args::Format;
use super::super::exit::{self, Exit};
use super::super::explain;
use super::super::progress::Bars;
use super::super::render::text::Look;
use super::super::render::{Mode, text};
use super::super::session::{self, Connected, Session};
use super::super::terminal::{Stop, Terminal};
use super::{Order, failed};
use crate::apply::report::{Failure, TargetReport};
use crate::config::{Config, TargetConfig};
use crate::cycle::{self, Progress, Readings};

/// One run under way. `reports` has one report per finished target, in the order's order.
pub(super) struct Run<'a> {
    pub(super) order: &'a Order<'a>,
    pub(super) config: &'a Config,
    pub(super) reports: Vec<TargetReport>,
    pub(super) exit: Exit,
    /// Cancelled when the process is told to end.
    pub(super) stop: CancellationToken,
}

impl Run<'_> {
    /// Reads the sources once, then does each target's cycle and prints it.
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

/// Closes the connection; what goes wrong there is the target's failure, unless it already
/// has one.
async fn close(connected: Connected, mut report: TargetReport) -> TargetReport {
    if let Err(failure) = connected.close().await {
        report.error.get_or_insert(failure);
    }
    report
}
