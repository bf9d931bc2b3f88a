//! `check`: is the configuration good, can every source and target be reached, and what can
//! each of them do. Changes nothing anywhere; of the state it reads only what was learnt of
//! the targets, and does without where another process uses it.

mod found;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use provisor_connectors::{Question, Source, SourceFacts};

use super::exit::Exit;
use super::render::text::printable;
use super::session;
use super::terminal::{Stop, Terminal};
use crate::apply::report::{Failure, FailureKind};
use crate::config::{self, Config, Endpoint, TargetConfig};
use crate::cycle;
use crate::scim::message::Capabilities;
use crate::target::dialect::{Dialect, Removal};
use crate::target::survey::Survey;
use crate::target::{Client, Paging, Profile, TargetError};

/// Runs `provisor check`.
pub(super) async fn run(config: &Config, terminal: &mut Terminal) -> Result<Exit, Stop> {
    terminal.print(&format!("configuration {}: ok\n", config.path.display()));
    let mut exit = Exit::Done;
    let every_target: Vec<&TargetConfig> = config.targets.values().collect();
    let used = session::build_sources(config, &every_target);
    let (facts, sources_exit) = check_sources(config, &used, terminal).await;
    exit = exit.and(sources_exit);
    for unused in config
        .sources
        .keys()
        .filter(|name| !used.contains_key(*name))
    {
        terminal.warn(&format!("no target uses the source `{unused}`"));
    }
    let learnt = recall(config, terminal);
    for (name, target) in &config.targets {
        if let Err(error) = config::check_names(target, &facts) {
            exit = exit.and(terminal.stop(&Stop::configuration(&error)));
        }
        exit = exit.and(check_target(target, learnt.get(name), terminal).await);
    }
    Ok(exit)
}

/// What earlier runs have learnt of each target. A state that cannot be read is a warning
/// only: it is not what is checked.
fn recall(config: &Config, terminal: &mut Terminal) -> BTreeMap<String, Dialect> {
    let store = match session::open_to_read(config, terminal) {
        Ok(Some(store)) => store,
        Ok(None) => return BTreeMap::new(),
        Err(_) => {
            terminal.warn(
                "the state cannot be read now, so what was learnt of the targets is not shown",
            );
            return BTreeMap::new();
        }
    };
    let of = |(name, target): (&String, &TargetConfig)| {
        let progress = store.target(name).progress().ok()?;
        let same = progress.fingerprint == target.target.fingerprint;
        same.then(|| (name.clone(), progress.dialect))
    };
    config.targets.iter().filter_map(of).collect()
}

async fn check_sources(
    config: &Config,
    sources: &BTreeMap<String, Box<dyn Source>>,
    terminal: &mut Terminal,
) -> (BTreeMap<String, SourceFacts>, Exit) {
    let mut facts = BTreeMap::new();
    let mut exit = Exit::Done;
    for (name, source) in sources {
        let targets = config.targets.values().map(|target| &target.target);
        let names = cycle::attributes_in_use(name, targets);
        let questions = names.iter().filter_map(|name| Question::asked(name));
        match source.check(&questions.collect()).await {
            Ok(found) => {
                terminal.print(&block(&format!("source {name}: ok"), &found.lines));
                facts.insert(name.clone(), found);
            }
            Err(error) => {
                terminal.print(&block(&format!("source {name}: failed"), &[]));
                let failure = cycle::source_failure(&error);
                terminal.error(Some(&format!("source {name}")), &failure.chain, None);
                exit = exit.and(failure.kind.into());
            }
        }
    }
    (facts, exit)
}

async fn check_target(
    target: &TargetConfig,
    learnt: Option<&Dialect>,
    terminal: &mut Terminal,
) -> Exit {
    let name = &target.target.name;
    if !target.enabled {
        terminal.print(&block(&format!("target {name}: not enabled"), &[]));
        return Exit::Done;
    }
    // Starting the sandbox would touch its folder, perhaps under a running sync.
    if let Endpoint::Sandbox { folder } = &target.endpoint {
        let line = format!(
            "embedded sandbox, served from {} while a sync runs",
            folder.display()
        );
        terminal.print(&block(&format!("target {name}: ok"), &[line]));
        return Exit::Done;
    }
    match discover(target).await {
        Ok((capabilities, found, protocol)) => {
            let mut lines = vec![describe_preset(target)];
            lines.extend(protocol.map(|protocol| format!("speaks {protocol}")));
            lines.extend(describe(
                &target.target.profile,
                &capabilities,
                pushes_groups(target),
            ));
            lines.extend(found::describe(&found));
            let learnt = learnt.map(Dialect::describe).unwrap_or_default();
            lines.extend(learnt.iter().map(|words| format!("learnt {words}")));
            terminal.print(&block(&format!("target {name}: ok"), &lines));
            Exit::Done
        }
        Err(failure) => {
            terminal.print(&block(&format!("target {name}: failed"), &[]));
            terminal.error(Some(name), &failure.chain, None);
            failure.kind.into()
        }
    }
}

/// What a target says of itself, how it answers when it is asked, and what was negotiated
/// with it.
async fn discover(
    target: &TargetConfig,
) -> Result<(Capabilities, Survey, Option<String>), Failure> {
    let connected = session::connect(target).await?;
    let found = look(&connected.client, &target.target.profile).await;
    let protocol = connected.client.protocol();
    connected.close().await?;
    found
        .map(|(capabilities, survey)| (capabilities, survey, protocol))
        .map_err(|error| Failure::new(FailureKind::Failed, &error))
}

async fn look(client: &Client, profile: &Profile) -> Result<(Capabilities, Survey), TargetError> {
    let capabilities = client.discover().await?;
    let paging = Paging::new(profile, Some(&capabilities));
    let survey = client.survey(paging, profile.groups).await?;
    Ok((capabilities, survey))
}

fn pushes_groups(target: &TargetConfig) -> bool {
    target.target.rules.groups.any()
}

fn describe_preset(target: &TargetConfig) -> String {
    match target.target.profile.description.trim() {
        "" => format!("preset {}", target.preset),
        description => format!("preset {}: {description}", target.preset),
    }
}

/// What a target can do and what it lacks, each with what provisor does about it. What the
/// target says of itself is a hint; the profile is what is acted on.
fn describe(profile: &Profile, capabilities: &Capabilities, pushes_groups: bool) -> Vec<String> {
    let Profile {
        description: _,
        required,
        filter,
        groups,
        members_listed,
        patch,
        patch_paths,
        text_booleans,
        member_refs: _,
        member_removal,
        keeps_external_id,
        soft_deletes,
        members_per_request,
        page_size: _,
        deactivation_drops_memberships,
        deactivation_destroys,
        ids_doubtful,
    } = profile;
    let can = |text: &str| format!("can    {text}");
    let lacks = |text: &str| format!("lacks  {text}");
    let mut lines = Vec::new();

    lines.push(match capabilities.patch {
        _ if !patch => lacks("PATCH: whole resources are read, changed and PUT"),
        _ if !patch_paths => lacks("paths in PATCH: whole attributes are replaced"),
        Some(false) => lacks("PATCH, by its own word; it is sent all the same"),
        Some(true) => can("PATCH, by its own word"),
        None => can("PATCH, as far as it says"),
    });
    lines.push(if *filter && capabilities.filter != Some(false) {
        can("filter: a few unknown people are looked up one by one, and compared here again")
    } else {
        lacks("filter: unknown people are looked for by listing everyone")
    });
    lines.push(match (*groups, pushes_groups) {
        (true, true) => can(&format!(
            "groups, {members_per_request} members in a request"
        )),
        (true, false) => can("groups; `groups.push` is not set, so none are pushed"),
        (false, true) => lacks("groups, although some are to be pushed: none are"),
        (false, false) => lacks("groups"),
    });
    if *groups && !members_listed {
        lines.push(lacks(
            "members in listings: what was pushed is taken to be there",
        ));
    }
    if *groups && *member_removal != Removal::Filter {
        lines.push(lacks(
            "removal of members by filter: it is done as the preset says",
        ));
    }
    if *text_booleans {
        lines.push(lacks("booleans: \"True\" and \"False\" are sent as text"));
    }
    if !keeps_external_id {
        lines.push(lacks("externalId: people are found by their other keys"));
    }
    if *soft_deletes {
        lines.push(lacks(
            "deletion: it only switches off, and who comes back is switched on again",
        ));
    }
    if *deactivation_destroys {
        lines.push(lacks(
            "deactivation: it destroys, so it counts against the limit for deletions",
        ));
    }
    if *deactivation_drops_memberships {
        lines.push(lacks(
            "memory of memberships after deactivation: they are sent again on return",
        ));
    }
    if *ids_doubtful {
        lines.push(lacks(
            "stable ids: the key is compared before anyone is deactivated",
        ));
    }
    let required: Vec<String> = required.iter().map(ToString::to_string).collect();
    lines.push(format!("needs  {}", required.join(", ")));
    lines.push(format!(
        "pages  of {}",
        Paging::new(profile, Some(capabilities)).size
    ));
    lines
}

fn block(heading: &str, lines: &[String]) -> String {
    lines.iter().fold(format!("{heading}\n"), |mut text, line| {
        let _ = writeln!(text, "  {}", printable(line));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        serde_json::from_str(r#"{"required": []}"#).unwrap()
    }

    #[test]
    fn a_target_without_filters_is_listed() {
        let says_no = Capabilities {
            filter: Some(false),
            ..Capabilities::default()
        };
        let lines = describe(&profile(), &says_no, false);
        assert!(
            lines.iter().any(|line| line.starts_with("lacks  filter")),
            "{lines:?}"
        );

        // The other way round, the preset's word stands against the server's.
        let never = Profile {
            filter: false,
            ..profile()
        };
        let says_yes = Capabilities {
            filter: Some(true),
            ..Capabilities::default()
        };
        let lines = describe(&never, &says_yes, false);
        assert!(
            lines.iter().any(|line| line.starts_with("lacks  filter")),
            "{lines:?}"
        );
    }

    #[test]
    fn pushing_groups_where_there_are_none_is_said() {
        let without = Profile {
            groups: false,
            ..profile()
        };
        let lines = describe(&without, &Capabilities::default(), true);
        assert!(
            lines.contains(&"lacks  groups, although some are to be pushed: none are".to_owned()),
            "{lines:?}"
        );
    }

    #[test]
    fn the_smallest_page_wins() {
        let capabilities = Capabilities {
            filter_max_results: Some(50),
            max_page_size: Some(200),
            ..Capabilities::default()
        };
        let lines = describe(&profile(), &capabilities, false);
        assert_eq!(lines.last().map(String::as_str), Some("pages  of 50"));
    }
}
