//! `accounts apply`: shows what the rows come to, then does it, target by target.
//!
//! Nothing is done anywhere while a row of any target cannot be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use tokio_util::sync::CancellationToken;

use anyhow::anyhow;
use chrono::Utc;

use super::super::exit::Exit;
use super::super::progress::Bars;
use super::super::render::Mode;
use super::super::render::text::{Look, plan_lines, printable};
use super::super::session::{self, Connected};
use super::super::terminal::{Stop, Terminal};
use super::{Desk, file};
use crate::apply::report::{Outcome, TargetReport};
use crate::config::{Config, TargetConfig};
use crate::cycle::accounts::{Chosen, Refused, Row, Step, Wish};

/// Runs `provisor accounts apply`.
pub(super) async fn run(
    path: &Path,
    dry_run: bool,
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Exit, Stop> {
    let rows = file::read(path, config)?;
    if rows.is_empty() {
        terminal.warn(&format!("no row of {} has an action", super::shown(path)));
        return Ok(Exit::Done);
    }
    let targets: Vec<&TargetConfig> = rows.keys().map(|name| &config.targets[name]).collect();
    if let Some(paused) = targets.iter().find(|target| !target.enabled) {
        return Err(Stop::usage(anyhow!(
            "the target `{}` is not enabled",
            paused.target.name
        )));
    }
    let mut desk = Desk::open(config, targets.clone(), terminal).await?;
    if desk.exit != Exit::Done {
        return Err(Stop::failed(anyhow!("a source could not be read"))
            .hint("whom a row is about cannot be told without it; nothing was done"));
    }
    let mut connections = Vec::new();
    let done = execute(
        &mut desk,
        &targets,
        rows,
        path,
        dry_run,
        &mut connections,
        config,
        terminal,
    )
    .await;
    for connected in connections {
        connected
            .close()
            .await
            .map_err(|failure| Stop::from(&failure))?;
    }
    done
}

#[expect(
    clippy::too_many_arguments,
    reason = "one command's parts; the connections are closed by the caller, however it ends"
)]
async fn execute(
    desk: &mut Desk,
    targets: &[&TargetConfig],
    mut rows: BTreeMap<String, Vec<Row>>,
    path: &Path,
    dry_run: bool,
    connections: &mut Vec<Connected>,
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Exit, Stop> {
    let mut all = Vec::new();
    let mut refused: Vec<Refused> = Vec::new();
    for target in targets {
        let connected = session::connect(target)
            .await
            .map_err(|failure| Stop::from(&failure))?;
        let survey = desk.survey(target, &connected, terminal).await;
        connections.push(connected);
        let survey = survey.map_err(|failure| Stop::from(&failure))?;
        survey.ready().map_err(|failure| Stop::from(&failure))?;
        let rows = rows.remove(&target.target.name).unwrap_or_default();
        match survey.choose(&rows) {
            Ok(chosen) => all.push(chosen),
            Err(problems) => refused.extend(problems),
        }
    }
    if !refused.is_empty() {
        refused.sort_by_key(|refused| refused.line);
        for Refused { line, problem } in &refused {
            let place = format!("{}:{line}: {problem}", super::shown(path));
            terminal.error(None, &[place], None);
        }
        let count = refused.len();
        let rows = if count == 1 { "row" } else { "rows" };
        return Err(Stop::usage(anyhow!(
            "{count} {rows} cannot be done, so none was"
        )));
    }
    let mut exit = Exit::Done;
    for chosen in all {
        if !chosen.plan.held.is_empty() {
            exit = exit.and(Exit::Held);
            terminal.warn(&format!(
                "{}: a limit holds what these rows would switch off; apply fewer of them, or \
                 raise the limit",
                chosen.plan.target
            ));
        }
        exit = exit.and(one_target(chosen, dry_run, desk, config, terminal).await);
    }
    Ok(exit)
}

async fn one_target(
    chosen: Chosen,
    dry_run: bool,
    desk: &Desk,
    config: &Config,
    terminal: &mut Terminal,
) -> Exit {
    let mode = if dry_run {
        Mode::Preview
    } else {
        Mode::Applied
    };
    let again = terminal.again.clone();
    let look = Look {
        mode,
        colour: terminal.colour,
        requests_per_second: None,
        again: &again,
    };
    let mut report = TargetReport {
        target: chosen.plan.target.clone(),
        error: None,
        plan: Some(chosen.plan.clone()),
        outcomes: Vec::new(),
        warnings: Vec::new(),
    };
    let steps = chosen.steps.clone();
    let mut noted = steps.len();
    if !dry_run {
        let bars = Bars::new(terminal.bars);
        let applied = chosen
            .apply(
                &desk.session.audit,
                config.audit_values,
                &Utc::now,
                &CancellationToken::new(),
                &bars,
            )
            .await;
        bars.clear();
        match applied {
            Ok(outcomes) => report.outcomes = outcomes,
            Err(failure) => {
                terminal.error(Some(&report.target), &failure.chain, None);
                report.error = Some(failure);
                noted = 0;
            }
        }
    }
    terminal.print(&render(&steps, noted, &report, look));
    let mut exit = Exit::Done;
    if let Some(failure) = &report.error {
        exit = exit.and(failure.kind.into());
    }
    if report
        .outcomes
        .iter()
        .any(|outcome| *outcome != Outcome::Done)
    {
        exit = exit.and(Exit::SomeFailed);
    }
    exit
}

fn render(steps: &[Step], noted: usize, report: &TargetReport, look: Look) -> String {
    let name = printable(&report.target);
    let (planned, held) = report
        .plan
        .as_ref()
        .map_or((0, 0), |plan| (plan.actions.len(), plan.held.len()));
    let mut text = format!("{name}: {}, {held} held\n\n", counts(steps, planned));
    for step in steps {
        let record = step.record.as_ref();
        let record = record.map_or_else(|| "-".to_owned(), |it| format!("{}/{}", it.source, it.id));
        let _ = writeln!(
            text,
            "  {:10}  {}  {} -> {}",
            step.wish.name(),
            printable(&step.name),
            printable(&record),
            printable(&step.resource.0)
        );
    }
    text.push_str(&plan_lines(report, look));
    let done = match look.mode {
        Mode::Preview => steps.len() + planned,
        Mode::Applied => {
            let done = |outcome: &&Outcome| **outcome == Outcome::Done;
            noted + report.outcomes.iter().filter(done).count()
        }
    };
    let would = match look.mode {
        Mode::Preview => "would be ",
        Mode::Applied => "",
    };
    let failed = match look.mode {
        Mode::Preview => 0,
        Mode::Applied => steps.len() + planned - done,
    };
    let _ = writeln!(
        text,
        "\n{name}: {would}{done} done, {failed} failed, {held} held"
    );
    text
}

/// `1 to link, 0 to unlink …`: zero counts are printed too, for scripts.
fn counts(steps: &[Step], deactivations: usize) -> String {
    let counts: Vec<String> = Wish::ALL
        .into_iter()
        .map(|wish| {
            let count = match wish {
                Wish::Deactivate => deactivations,
                _ => steps.iter().filter(|step| step.wish == wish).count(),
            };
            format!("{count} to {}", wish.name())
        })
        .collect();
    counts.join(", ")
}
