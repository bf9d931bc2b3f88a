//! The plan and what came of it, for people. Meaning never depends on colour.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Effects, Style};
use serde_json::Value;

use super::{Counts, Mode, count_requests, outcome_of, word_of};
use crate::apply::report::{Outcome, TargetReport};
use crate::plan::action::{Action, Change, Held, Limit, Listed, Plan, Subject, Write};

/// How many lines of each sort are printed before the rest is only counted.
const SHOWN: usize = 200;
/// Where the lines below an action begin.
const INDENT: &str = "           ";

/// How to print one target's report.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Look<'a> {
    pub(in crate::cli) mode: Mode,
    pub(in crate::cli) colour: bool,
    /// The target's rate, for saying how long the requests take.
    pub(in crate::cli) requests_per_second: Option<f64>,
    /// What a printed command begins with.
    pub(in crate::cli) again: &'a str,
}

/// The command that releases a held set.
pub(in crate::cli) fn approve_command(again: &str, target: &str, held_id: &str) -> String {
    format!("{again} approve {} {held_id}", printable(target))
}

/// Prints one target's report; ends with a newline.
pub(in crate::cli) fn target(report: &TargetReport, look: Look<'_>) -> String {
    let name = printable(&report.target);
    let Some(plan) = &report.plan else {
        return format!("{name}: failed\n");
    };
    let counts = Counts::planned(report);
    let mut text = String::new();
    if plan.actions.is_empty() && plan.held.is_empty() {
        listed_lines(&mut text, plan, look);
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{name}: nothing to do ({} unchanged)", plan.unchanged);
        return text;
    }
    heading(&mut text, &name, &counts);
    text.push('\n');
    action_lines(&mut text, report, plan, look);
    held_lines(&mut text, plan, look);
    listed_lines(&mut text, plan, look);
    requests_line(&mut text, plan, look.requests_per_second);
    text.push('\n');
    last_line(&mut text, &name, report, look.mode);
    text
}

/// What several targets came to together, in one line.
pub(in crate::cli) fn totals(reports: &[&TargetReport], mode: Mode) -> String {
    let failed = reports.iter().filter(|it| it.error.is_some()).count();
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {failed} with an error"),
    };
    let count = reports.len();
    let endings = reports.iter().map(|report| Ending::of(report, mode));
    let ending = endings.fold(Ending::default(), Ending::plus);
    let idle = |plan: &Plan| plan.actions.is_empty() && plan.held.is_empty();
    let came_to =
        if failed.is_empty() && reports.iter().all(|it| it.plan.as_ref().is_some_and(idle)) {
            format!("nothing to do ({} unchanged)", ending.planned.unchanged)
        } else {
            ending.describe(mode)
        };
    format!("{count} targets{failed}: {came_to}\n")
}

/// Only what is planned, held and listed, a line each; empty when that is nothing.
pub(in crate::cli) fn plan_lines(report: &TargetReport, look: Look<'_>) -> String {
    let mut text = String::new();
    if let Some(plan) = &report.plan {
        action_lines(&mut text, report, plan, look);
        held_lines(&mut text, plan, look);
        listed_lines(&mut text, plan, look);
    }
    text
}

/// Text from elsewhere (a directory, a server) with everything escaped that could steer a
/// terminal: control characters, and the marks that turn the direction of writing.
pub(in crate::cli) fn printable(text: &str) -> String {
    let steers = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .fold(String::with_capacity(text.len()), |mut out, character| {
            if steers(character) {
                out.extend(character.escape_unicode());
            } else {
                out.push(character);
            }
            out
        })
}

fn heading(text: &mut String, name: &str, counts: &Counts) {
    let Counts {
        create,
        adopt,
        patch,
        deactivate,
        reactivate,
        delete,
        held,
        listed,
        failed: _,
        unchanged,
    } = counts;
    let _ = write!(
        text,
        "{name}: {create} to create, {adopt} to adopt, {patch} to patch, \
         {deactivate} to deactivate, {reactivate} to reactivate, {delete} to delete, {held} held"
    );
    if *listed > 0 {
        let _ = write!(text, ", {listed} listed");
    }
    let _ = writeln!(text, " ({unchanged} unchanged)");
}

fn last_line(text: &mut String, name: &str, report: &TargetReport, mode: Mode) {
    let ending = Ending::of(report, mode);
    let _ = writeln!(text, "{name}: {}", ending.describe(mode));
}

/// What a target's plan came to, or that of several.
#[derive(Default)]
struct Ending {
    planned: Counts,
    /// In a preview, what would be done.
    done: Counts,
    pending: u64,
}

impl Ending {
    fn of(report: &TargetReport, mode: Mode) -> Self {
        let planned = Counts::planned(report);
        let Some(plan) = report.plan.as_ref().filter(|_| mode == Mode::Applied) else {
            return Self {
                planned,
                done: planned,
                pending: 0,
            };
        };
        let (mut done, mut pending) = (Vec::new(), 0);
        for (position, action) in plan.actions.iter().enumerate() {
            match outcome_of(report, position) {
                Outcome::Done => done.push(action),
                Outcome::Failed(_) => {}
                Outcome::Pending(_) => pending += 1,
            }
        }
        Self {
            planned,
            done: Counts::of_actions(done.into_iter()),
            pending,
        }
    }

    fn plus(self, other: Self) -> Self {
        let Self {
            planned,
            done,
            pending,
        } = other;
        Self {
            planned: self.planned.plus(planned),
            done: self.done.plus(done),
            pending: self.pending + pending,
        }
    }

    fn describe(&self, mode: Mode) -> String {
        let Self {
            planned,
            done,
            pending,
        } = self;
        let lead = match mode {
            Mode::Preview => "would be ",
            Mode::Applied => "",
        };
        let pending = match pending {
            0 => String::new(),
            pending => format!("{pending} pending, "),
        };
        format!(
            "{lead}{} created, {} adopted, {} patched, {} deactivated, {} reactivated, \
         {} deleted, {} failed, {pending}{} held ({} unchanged)",
            done.create,
            done.adopt,
            done.patch,
            done.deactivate,
            done.reactivate,
            done.delete,
            planned.failed,
            planned.held,
            planned.unchanged
        )
    }
}

fn action_lines(text: &mut String, report: &TargetReport, plan: &Plan, look: Look<'_>) {
    for (position, action) in plan.actions.iter().enumerate().take(SHOWN) {
        let (sign, style) = sign(action.change);
        let line = subject_line(sign, &action.subject, &word_of(&action.reason));
        push_styled(text, &line, style, look.colour);
        difference_lines(text, action);
        members_line(text, action);
        if look.mode == Mode::Applied {
            match outcome_of(report, position) {
                Outcome::Done => {}
                Outcome::Failed(why) => {
                    let _ = writeln!(text, "{INDENT}failed: {}", printable(&why));
                }
                Outcome::Pending(why) => {
                    let _ = writeln!(text, "{INDENT}pending: {}", printable(&why));
                }
            }
        }
    }
    rest_line(text, plan.actions.len());
}

fn held_lines(text: &mut String, plan: &Plan, look: Look<'_>) {
    let style = AnsiColor::Magenta.on_default().effects(Effects::BOLD);
    for held in plan.held.iter().take(SHOWN) {
        let Held {
            subject,
            change: _,
            reason,
            limit,
            detail,
            action,
        } = held;
        let limit = limit
            .map(Limit::name)
            .map_or_else(String::new, |name| format!(" ({name})"));
        let why = format!("held: {}{limit}: {}", word_of(reason), printable(detail));
        push_styled(text, &subject_line('!', subject, &why), style, look.colour);
        // What a person is asked to release has to be seen.
        if let Some(action) = action {
            difference_lines(text, action);
            members_line(text, action);
        }
    }
    rest_line(text, plan.held.len());
    if let Some(held_id) = &plan.held_id {
        let _ = writeln!(
            text,
            "  release with: {}",
            approve_command(look.again, &plan.target, held_id)
        );
    }
}

fn listed_lines(text: &mut String, plan: &Plan, look: Look<'_>) {
    let style = Style::new().dimmed();
    for listed in plan.listed.iter().take(SHOWN) {
        let Listed {
            subject,
            reason,
            detail,
        } = listed;
        let why = format!("listed: {}: {}", word_of(reason), printable(detail));
        push_styled(text, &subject_line('*', subject, &why), style, look.colour);
    }
    rest_line(text, plan.listed.len());
}

fn requests_line(text: &mut String, plan: &Plan, requests_per_second: Option<f64>) {
    let requests = count_requests(plan);
    if requests == 0 {
        return;
    }
    let noun = if requests == 1 { "request" } else { "requests" };
    let _ = write!(text, "\n  {requests} {noun}");
    if let Some(rate) = requests_per_second.filter(|rate| *rate > 0.0) {
        let noun = if rate == 1.0 { "request" } else { "requests" };
        let duration = Duration::try_from_secs_f64(requests as f64 / rate);
        let _ = write!(
            text,
            ", about {} at {rate} {noun} a second",
            rough(duration.unwrap_or(Duration::MAX))
        );
    }
    text.push('\n');
}

/// A duration in its largest useful unit, rounded up.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

fn difference_lines(text: &mut String, action: &Action) {
    if matches!(action.change, Change::Create | Change::Delete) {
        return;
    }
    let mut differences: Vec<_> = action
        .differences
        .iter()
        .map(|difference| (difference.path.to_string(), difference))
        .filter(|(path, difference)| path != "active" && difference.old != difference.new)
        .collect();
    differences.sort_by(|(first, _), (second, _)| first.cmp(second));
    for (path, difference) in differences {
        let _ = writeln!(
            text,
            "{INDENT}{}  {} -> {}",
            printable(&path),
            value_or(difference.old.as_ref(), "(none)"),
            value_or(difference.new.as_ref(), "(cleared)"),
        );
    }
}

fn value_or(value: Option<&Value>, absent: &str) -> String {
    value.map_or_else(|| absent.to_owned(), |value| printable(&value.to_string()))
}

fn members_line(text: &mut String, action: &Action) {
    let (mut added, mut removed) = (0, 0);
    for request in &action.requests {
        match &request.write {
            Write::Create { members, .. } => added += members.len(),
            Write::Patch { add, remove, .. } => {
                added += add.len();
                removed += remove.len();
            }
            Write::Delete => {}
        }
    }
    let change = match (added, removed) {
        (0, 0) => return,
        (added, 0) => format!("+{added}"),
        (0, removed) => format!("-{removed}"),
        (added, removed) => format!("+{added} -{removed}"),
    };
    let _ = writeln!(text, "{INDENT}members  {change}");
}

fn subject_line(sign: char, subject: &Subject, why: &str) -> String {
    format!(
        "{sign} {:6} {}  {why}",
        subject.kind.to_string(),
        printable(&subject.name)
    )
}

fn push_styled(text: &mut String, line: &str, style: Style, colour: bool) {
    let _ = if colour {
        writeln!(text, "  {style}{line}{style:#}")
    } else {
        writeln!(text, "  {line}")
    };
}

fn rest_line(text: &mut String, total: usize) {
    if let Some(more) = total.checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(text, "  … and {more} more (use --format json for all)");
    }
}

fn sign(change: Change) -> (char, Style) {
    let (sign, colour) = match change {
        Change::Create => ('+', AnsiColor::Green),
        Change::Adopt => ('=', AnsiColor::Cyan),
        Change::Patch => ('~', AnsiColor::Yellow),
        Change::Deactivate => ('-', AnsiColor::Red),
        Change::Reactivate => ('^', AnsiColor::Green),
        Change::Delete => ('x', AnsiColor::Red),
    };
    (sign, colour.on_default())
}

#[cfg(test)]
mod tests;
