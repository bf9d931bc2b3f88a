//! `generate`: what packages and editors want: manual pages, completions, the schema of the
//! configuration and its reference; and a preset as it is shipped. Needs no configuration and
//! no state.

use std::path::Path;

use anyhow::{Context, anyhow};
use clap_complete::Shell;
use provisor_connectors::presets;

use super::args::{self, GenerateArguments, Generated};
use super::exit::Exit;
use super::terminal::{Stop, Terminal};
use super::{reference, schema};
use crate::spelling;

/// Runs `provisor generate`.
pub(super) fn run(arguments: &GenerateArguments, terminal: &mut Terminal) -> Result<Exit, Stop> {
    let text = match &arguments.what {
        Generated::Man { dir: None } => man().map_err(Stop::failed)?,
        Generated::Man { dir: Some(folder) } => {
            write_man(folder).map_err(Stop::failed)?;
            return Ok(Exit::Done);
        }
        Generated::Completions { shell } => completions(*shell),
        Generated::Schema => {
            let schema = serde_json::to_string_pretty(&schema::schema())
                .expect("the document has only text keys");
            format!("{schema}\n")
        }
        Generated::Reference => reference::reference(),
        Generated::Preset { name } => preset(name)?.to_owned(),
    };
    terminal.print(&text);
    Ok(Exit::Done)
}

/// The page `provisor.1`.
fn man() -> anyhow::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(args::command()).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}

/// One page a command, each named as it is looked for: `provisor-sync.1`.
fn write_man(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(args::command(), folder))
        .with_context(|| format!("cannot write the pages to {}", folder.display()))
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = args::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8(script).expect("scripts are made of the command line's own words")
}

fn preset(name: &str) -> Result<&'static str, Stop> {
    presets::find(name).ok_or_else(|| {
        let hint = match spelling::closest(name, presets::names()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => {
                let names: Vec<String> = presets::names().map(|name| format!("`{name}`")).collect();
                format!("the presets are: {}", names.join(", "))
            }
        };
        Stop::usage(anyhow!("there is no preset `{name}`")).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands as the definition has them.
    fn commands() -> Vec<String> {
        let command = args::command();
        command
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .collect()
    }

    #[test]
    fn the_page_names_every_command_and_the_exit_codes() {
        let page = man().unwrap();
        for command in commands() {
            assert!(
                page.contains(&format!("provisor\\-{command}(1)")),
                "{command}"
            );
        }
        assert!(page.contains("waits for a person"), "{page}");
    }

    #[test]
    fn every_command_gets_a_page_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("man");
        write_man(&pages).unwrap();
        for command in commands() {
            let page = pages.join(format!("provisor-{command}.1"));
            assert!(page.is_file(), "{}", page.display());
        }
    }

    #[test]
    fn every_shell_completes_every_command() {
        use clap::ValueEnum;
        for shell in Shell::value_variants() {
            let script = completions(*shell);
            for command in commands() {
                assert!(script.contains(&command), "{shell}: {command}");
            }
        }
    }

    /// What a shell completes, and what the README has, is what can be generated.
    #[test]
    fn everything_that_can_be_generated_is_completed_and_in_the_readme() {
        use clap::ValueEnum;
        let readme = include_str!("../../README.md");
        let row = "| `provisor generate` |";
        let row = readme.lines().find(|line| line.starts_with(row)).unwrap();
        let mut command = args::command();
        let generate = command.find_subcommand_mut("generate").unwrap();
        let names = generate.get_subcommands().map(clap::Command::get_name);
        let names: Vec<String> = names.map(str::to_owned).collect();
        let help = generate.render_help().to_string();
        for what in &names {
            assert!(row.contains(&format!("`{what}")), "the README lacks {what}");
            assert!(help.contains(&format!("  {what} ")), "{help}");
            for shell in Shell::value_variants() {
                assert!(
                    completions(*shell).contains(what.as_str()),
                    "{shell}: {what}"
                );
            }
        }
    }

    #[test]
    fn a_misspelt_preset_is_a_usage_error_with_a_hint() {
        assert!(preset("generic").unwrap().contains("[profile]"));
        let stop = preset("sandpox").unwrap_err();
        assert_eq!(stop.exit, Exit::Usage);
        assert!(format!("{:?}", stop.message).contains("`sandbox`"));
    }
}
