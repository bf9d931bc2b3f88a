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
    let target = sync::find_target(config, &arguments.target).inspect_err(|_| {
        sync::print_document(arguments.format, Vec::new(), terminal);
    })?;
    if !target.enabled {
        sync::print_document(arguments.format, Vec::new(), terminal);
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
    let Some(report) = reports.first().filter(|report| report.plan.is_some()) else {
        return Ok(exit);
    };
    let held_now = report
        .plan
        .as_ref()
        .and_then(|plan| plan.held_id.as_deref());
    let released = !report.outcomes.is_empty();
    match explain(arguments, held_now, released) {
        Explanation::Nothing => Ok(exit),
        Explanation::Warning(warning) => {
            terminal.warn(&warning);
            Ok(exit)
        }
        Explanation::NoSuchThing(problem) => {
            Err(Stop::usage(anyhow::anyhow!(problem)).hint("nothing was sent"))
        }
    }
}

/// What to say of a release that left something held, or freed nothing.
#[derive(Debug, PartialEq)]
enum Explanation {
    Nothing,
    Warning(String),
    NoSuchThing(String),
}

fn explain(arguments: &ApproveArguments, held_now: Option<&str>, released: bool) -> Explanation {
    let ApproveArguments {
        target,
        held_id,
        only,
        format: _,
    } = arguments;
    let Some(held_now) = held_now else {
        return if released {
            Explanation::Nothing
        } else {
            Explanation::NoSuchThing(format!("`{target}` holds nothing that could be released"))
        };
    };
    if let Some(key) = only.as_ref().filter(|_| !released) {
        return Explanation::NoSuchThing(format!(
            "nobody that `{target}` holds as `{held_now}` is called `{key}`: name a source id, \
             a resource id or a name"
        ));
    }
    Explanation::Warning(if !released {
        format!("`{held_id}` is not what `{target}` holds: look at `{held_now}`; nothing was sent")
    } else if let Some(key) = only {
        format!("`{key}` is released; `{target}` still holds the rest, as `{held_now}`")
    } else {
        format!(
            "what `{target}` holds has changed since `{held_id}`: what is still planned as it \
             was then is released; look at `{held_now}` before releasing the rest"
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

    fn warning(only: Option<&str>, held_now: &str, released: bool) -> String {
        match explain(&arguments(only), Some(held_now), released) {
            Explanation::Warning(said) => said,
            other => panic!("no warning: {other:?}"),
        }
    }

    #[test]
    fn a_changed_set_is_named_and_never_released_blindly() {
        for released in [true, false] {
            let said = warning(None, "bbbb", released);
            assert!(said.contains("aaaa") && said.contains("bbbb"), "{said}");
        }
        assert!(warning(None, "bbbb", false).contains("nothing was sent"));
    }

    #[test]
    fn a_complete_release_needs_no_words() {
        assert_eq!(explain(&arguments(None), None, true), Explanation::Nothing);
    }

    #[test]
    fn the_rest_of_a_partly_released_set_is_named() {
        let said = warning(Some("s-1"), "bbbb", true);
        assert!(said.contains("s-1") && said.contains("bbbb"), "{said}");
    }

    #[test]
    fn what_nobody_holds_cannot_be_released() {
        for (only, held_now) in [(None, None), (Some("nobody"), Some("bbbb"))] {
            let said = explain(&arguments(only), held_now, false);
            assert!(matches!(said, Explanation::NoSuchThing(_)), "{said:?}");
        }
    }
}
