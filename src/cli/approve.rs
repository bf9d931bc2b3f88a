//! `approve`: one cycle of one target that may do what a person released.
//!
//! It reads and plans again, and releases what is still planned exactly so, never more.

use super::args::ApproveArguments;
use super::exit::Exit;
use super::render::Mode;
use super::sync::{self, Order};
use super::terminal::{Stop, Terminal};
use crate::config::Config;
use crate::cycle::Release;

/// Runs `provisor approve`.
pub(super) async fn run(
    arguments: &ApproveArguments,
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Exit, Stop> {
    let target = sync::find_target(config, &arguments.target)?;
    if !target.enabled {
        return Err(Stop::usage(anyhow::anyhow!(
            "the target `{}` is not enabled",
            arguments.target
        ))
        .hint("set `enabled = true` before approving anything there"));
    }
    let order = Order {
        targets: vec![target],
        mode: Mode::Applied,
        changes_matter: false,
        full: false,
        user: None,
        release: Some(Release {
            held_id: arguments.held_id.clone(),
            only: arguments.only.clone(),
        }),
        format: arguments.format,
    };
    let (exit, reports) = sync::execute(&order, config, terminal).await;
    let held_now = reports
        .first()
        .and_then(|report| report.plan.as_ref())
        .and_then(|plan| plan.held_id.as_deref());
    if let Some(warning) = explain(arguments, held_now) {
        terminal.warn(&warning);
    }
    Ok(exit)
}

/// What to say when something is still held after a release.
fn explain(arguments: &ApproveArguments, held_now: Option<&str>) -> Option<String> {
    let ApproveArguments {
        target,
        held_id,
        only,
        format: _,
    } = arguments;
    let held_now = held_now?;
    if let Some(key) = only {
        return Some(format!(
            "`{target}` still holds the rest, apart from what was released for `{key}`, as `{held_now}`"
        ));
    }
    Some(if held_now == held_id {
        format!("`{target}` still holds `{held_id}`: nothing of it could be released")
    } else {
        format!(
            "what `{target}` holds has changed since `{held_id}`: only what is still planned as \
             it was then is released; look at `{held_now}` before releasing the rest"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::args::Format;
    use super::*;

    fn arguments(only: Option<&str>) -> ApproveArguments {
        ApproveArguments {
            target: "demo".to_owned(),
            held_id: "aaaa".to_owned(),
            only: only.map(str::to_owned),
            format: Format::Text,
        }
    }

    #[test]
    fn a_changed_set_is_named_and_never_released_blindly() {
        let said = explain(&arguments(None), Some("bbbb")).unwrap();
        assert!(said.contains("aaaa") && said.contains("bbbb"), "{said}");
    }

    #[test]
    fn a_complete_release_needs_no_words() {
        assert_eq!(explain(&arguments(None), None), None);
    }

    #[test]
    fn the_rest_of_a_partly_released_set_is_named() {
        let said = explain(&arguments(Some("s-1")), Some("bbbb")).unwrap();
        assert!(said.contains("s-1") && said.contains("bbbb"), "{said}");
    }
}
