//! `sync`: one cycle of the selected targets, side by side, and the shape that `approve` shares.
//!
//! A preview stops after planning. That is the whole of it: nothing below this module knows
//! whether its plan will be applied.

mod run;
mod task;

use std::time::Duration;

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;

use super::args::{Format, SyncArguments};
use super::exit::Exit;
use super::render::{Mode, json};
use super::terminal::{Stop, Terminal};
use crate::apply::report::{Failure, FailureKind, TargetReport};
use crate::config::{Config, TargetConfig};
use crate::cycle::Release;
use crate::spelling;
use run::Run;

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
    let mut run = Run::new(order, config);
    let stop = run.stop.clone();
    let ended = tokio::select! {
        ended = run.cycle(terminal) => ended,
        () = interrupted_for_long(&stop) => Err(Stop::failed(anyhow!("interrupted"))
            .hint("nothing is lost: the next run goes on from what was acknowledged; what was \
                   under way is looked for first")),
    };
    if let Err(stop) = ended {
        run.show_the_rest(terminal);
        run.exit = run.exit.and(terminal.stop(&stop));
        let failure = Failure {
            kind: match stop.exit {
                Exit::Usage => FailureKind::Configuration,
                _ => FailureKind::Failed,
            },
            chain: stop.chain(),
        };
        for (report, target) in run.reports.iter_mut().zip(&order.targets) {
            report.get_or_insert_with(|| failed(target, failure.clone()));
        }
    }
    let exit = run.exit;
    let reports: Vec<_> = run.reports.into_iter().flatten().collect();
    if order.format == Format::Json {
        let targets = order
            .targets
            .iter()
            .zip(&reports)
            .map(|(target, report)| {
                json::target(report, &target.target.profile, order.mode_of(report))
            })
            .collect();
        print_document(order.format, targets, terminal);
    }
    (exit, reports)
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
