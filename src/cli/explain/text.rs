//! An explained person as text. Pure; the caller prints.

mod reasons;

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use provisor_connectors::RecordKey;

use super::super::history;
use super::super::render::Mode;
use super::super::render::text::{Look, approve_command, plan_lines, printable};
use super::{Answer, AtTarget};
use crate::apply::report::TargetReport;
use crate::cycle::explain::{Explained, describe_lifecycle};
use crate::plan::input::Standing;
use crate::plan::long_gone::Moments;
use crate::scim::path::AttributePath;
use crate::snapshot::{Due, Link, MirrorRow, Open, Origin};
use reasons::{mapped_line, membership_line, scope_lines, standing_line, values_of};

/// The whole answer.
pub(super) fn answer(answer: &Answer<'_>, colour: bool, again: &str) -> String {
    let mut block = Block::default();
    let Answer {
        record,
        name,
        row,
        targets,
    } = answer;
    let _ = writeln!(block.text, "{}", printable(name));
    block.line("record", &format!("{}/{}", record.source, record.id));
    match row {
        None => block.line("", "not in the source any more; only links are left"),
        Some(row) => {
            block.line("life", &life_of(row));
            for (name, values) in &row.attributes.0 {
                block.line("attribute", &format!("{name}  {}", values_of(values)));
            }
        }
    }
    if targets.is_empty() {
        block.line("targets", "no target reads this source");
    }
    for at in targets {
        block.text.push('\n');
        block.text.push_str(&target(at, colour, again));
    }
    block.text
}

fn life_of(row: &MirrorRow) -> String {
    match row.gone_since {
        Some(since) => format!("gone from the source since {}", stamp(since)),
        None => describe_lifecycle(row.lifecycle).to_owned(),
    }
}

/// One target's part.
fn target(at: &AtTarget<'_>, colour: bool, again: &str) -> String {
    let explained = &at.explained;
    let mut block = Block::default();
    let paused = if at.config.enabled {
        ""
    } else {
        " (not enabled)"
    };
    let _ = writeln!(block.text, "{}{paused}", explained.target);
    let cycle = explained
        .last_cycle
        .map_or_else(|| "never".to_owned(), stamp);
    block.line("last cycle", &cycle);
    judged(&mut block, explained);
    link_lines(&mut block, explained);
    for membership in &explained.memberships {
        block.line("group", &membership_line(membership));
    }
    waiting(&mut block, explained, again);
    for record in &at.writes {
        let mut line = String::new();
        history::line(&mut line, record);
        block.line("write", line.trim_end());
    }
    now_lines(&mut block, explained, colour, again);
    block.text
}

/// The steps of one person's cycle up to its plan.
pub(in crate::cli) fn steps(
    name: &str,
    record: &RecordKey,
    row: Option<&MirrorRow>,
    explained: &Explained,
    match_on: &[AttributePath],
) -> String {
    let mut block = Block::default();
    let _ = writeln!(block.text, "{}: {}", explained.target, printable(name));
    let life = row.map_or_else(|| "not in the source any more".to_owned(), life_of);
    block.line("read", &format!("{}/{}, {life}", record.source, record.id));
    judged(&mut block, explained);
    link_lines(&mut block, explained);
    let linked = explained.link.as_ref().is_some_and(|link| !link.missing);
    if !linked && explained.standing == Some(Standing::Entitled) {
        let keys: Vec<String> = match_on.iter().map(ToString::to_string).collect();
        block.line("match", &format!("looked for by {}", keys.join(", ")));
    }
    block.text
}

fn judged(block: &mut Block, explained: &Explained) {
    for other in &explained.joined {
        let line = format!("with {}/{} (`join_key`)", other.source, other.id);
        block.line("joined", &line);
    }
    for line in scope_lines(explained) {
        block.line("scope", &line);
    }
    block.line("so", &standing_line(explained.standing.as_ref()));
    for mapped in &explained.mapped {
        block.line("map", &mapped_line(mapped));
    }
    if let Some(error) = &explained.mapping_error {
        block.line("map", &format!("fails: {error}"));
    }
}

fn link_lines(block: &mut Block, explained: &Explained) {
    match &explained.link {
        None => block.line("link", "none"),
        Some(link) => {
            for line in describe_link(link) {
                block.line("link", &line);
            }
        }
    }
    let Moments { delete, forget } = explained.moments;
    for (what, moment) in [("deleted at the target", delete), ("forgotten", forget)] {
        if let Some(moment) = moment {
            let line = format!("{what} from {} on, unless they return", stamp(moment));
            block.line("link", &line);
        }
    }
    if let Some(intent) = &explained.intent {
        block.line(
            "in doubt",
            &format!(
                "a create was sent at {}, and its answer was lost",
                stamp(intent.at)
            ),
        );
    }
    if let Some(key) = &explained.protected {
        block.line(
            "protected",
            &format!("by `protect` or `accounts apply`, which names {key}"),
        );
    }
}

fn waiting(block: &mut Block, explained: &Explained, again: &str) {
    for held in &explained.held {
        block.line("held", held);
    }
    if let Some(held_id) = &explained.held_id {
        block.line(
            "release",
            &approve_command(again, &explained.target, held_id),
        );
    }
    if let Some(open) = &explained.open {
        block.line("open", &open_line(open));
    }
}

fn now_lines(block: &mut Block, explained: &Explained, colour: bool, again: &str) {
    let report = TargetReport {
        target: explained.target.clone(),
        error: None,
        plan: Some(explained.plan.clone()),
        outcomes: Vec::new(),
        warnings: Vec::new(),
    };
    let look = Look {
        mode: Mode::Preview,
        colour,
        requests_per_second: None,
        again,
    };
    let planned = plan_lines(&report, look);
    match (&explained.unsaid, planned.is_empty()) {
        (Some(unsaid), true) => block.line("now", unsaid),
        (None, true) => block.line("now", "nothing to send"),
        (unsaid, false) => {
            let idle = explained.plan.actions.is_empty() && explained.plan.held.is_empty();
            let sent = if idle {
                "nothing to send, but listed:"
            } else {
                "would be sent:"
            };
            block.line("now", sent);
            block.text.push_str(&planned);
            if let Some(unsaid) = unsaid {
                block.line("", unsaid);
            }
        }
    }
}

fn describe_link(link: &Link) -> Vec<String> {
    let Link {
        resource,
        origin,
        acknowledged: _,
        active,
        deactivated,
        foreign_external_id,
        unsettled,
        missing,
        own_forms,
        sent,
        keys_sent,
    } = link;
    let origin = match origin {
        Origin::Created => "created by provisor",
        Origin::Adopted => "adopted",
    };
    let state = if *active { "active" } else { "inactive" };
    let mut lines = vec![format!("{}, {origin}, {state}", resource.0)];
    if let Some(deactivated) = deactivated {
        lines.push(format!(
            "deactivated by provisor at {}: {}",
            stamp(deactivated.at),
            deactivated.reason
        ));
    } else if !*active {
        lines.push("deactivated by somebody else".to_owned());
    }
    if let Some(foreign) = foreign_external_id {
        lines.push(format!(
            "carries a foreign externalId, which is kept: {foreign}"
        ));
    }
    if *unsettled {
        lines.push("adopted, and what differs was not patched yet".to_owned());
    }
    if *missing {
        lines.push("no longer at the target".to_owned());
    }
    if !own_forms.is_empty() {
        let paths: Vec<String> = own_forms.keys().map(ToString::to_string).collect();
        lines.push(format!(
            "the target has shown another value than the one it acknowledged at {}",
            paths.join(", ")
        ));
    }
    let sent = sent.iter().chain(keys_sent.keys());
    let sent: Vec<String> = sent.map(ToString::to_string).collect();
    if !sent.is_empty() {
        let paths = sent.join(", ");
        lines.push(format!("sent, and not acknowledged yet: {paths}"));
    }
    lines
}

fn open_line(open: &Open) -> String {
    let due = match open.due {
        Due::Now => "the next cycle".to_owned(),
        Due::At(moment) | Due::Moment(moment) => stamp(moment),
        Due::FullCycle => "the next full cycle".to_owned(),
    };
    let tried = match (open.failed, open.attempts) {
        (false, _) => String::new(),
        (true, 1) => "failed once; ".to_owned(),
        (true, attempts) => format!("failed {attempts} times; "),
    };
    format!("{} ({tried}looked at again: {due})", open.why)
}

fn stamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Lines of a label and a value; a label that repeats is said once.
#[derive(Default)]
struct Block {
    text: String,
    last: String,
}

impl Block {
    fn line(&mut self, label: &str, value: &str) {
        let shown = if label == self.last { "" } else { label };
        let _ = writeln!(self.text, "  {shown:10}  {}", printable(value));
        label.clone_into(&mut self.last);
    }
}
