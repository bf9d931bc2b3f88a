//! The command line: reads arguments, runs one command, prints, and ends with an exit code.
//!
//! The only part of the engine that prints, that uses `anyhow`, and that knows what a
//! preview is. Must not decide anything about people: it calls `cycle` and shows what came
//! back.

mod accounts;
mod approve;
mod args;
mod check;
pub mod exit;
mod explain;
mod generate;
mod history;
mod progress;
mod reference;
mod render;
mod sandbox;
mod schema;
mod session;
mod status;
mod sync;
mod terminal;

pub use accounts::read_account_rows;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::telemetry;
use args::{Arguments, Command};
use exit::Exit;
use terminal::{Stop, Terminal};

/// How long work that cannot be interrupted (a flush of the snapshot) may go on after an
/// interrupt. What is lost after that is what any crash may lose: nothing that matters.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the program with its arguments, the first of which is its own name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match args::parse(arguments) {
        Ok(arguments) => arguments,
        // Help and version arrive here too; `clap` knows which stream and which code.
        Err(message) => {
            let printed = message.print();
            return match (message.exit_code(), printed) {
                (0, Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    Exit::Failed.into()
                }
                (0, _) => Exit::Done.into(),
                _ => Exit::Usage.into(),
            };
        }
    };
    let mut terminal = Terminal::new(&arguments);
    let exit = execute(&arguments, &mut terminal).unwrap_or_else(|stop| terminal.stop(&stop));
    terminal.finish(exit).into()
}

fn execute(arguments: &Arguments, terminal: &mut Terminal) -> Result<Exit, Stop> {
    telemetry::start(telemetry::Verbosity::new(
        arguments.quiet,
        arguments.verbose,
    ))
    .map_err(|error| Stop::usage(error.into()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads that do the work")
        .map_err(Stop::failed)?;
    let result = runtime.block_on(dispatch(arguments, terminal));
    runtime.shutdown_timeout(GRACE);
    result
}

async fn dispatch(arguments: &Arguments, terminal: &mut Terminal) -> Result<Exit, Stop> {
    match &arguments.command {
        Command::Sandbox(sandbox) => return sandbox::run(sandbox, terminal).await,
        Command::Generate(generate) => return generate::run(generate, terminal),
        _ => {}
    }
    let path = Config::find(arguments.config.as_deref());
    let config = Config::load(&path).map_err(|error| Stop::configuration(&error))?;
    for warning in &config.warnings {
        terminal.warn(warning);
    }
    match &arguments.command {
        Command::Check => check::run(&config, terminal).await,
        Command::Sync(sync) => sync::run(sync, &config, terminal).await,
        Command::Status(status) => status::run(status, &config, terminal),
        Command::Approve(approve) => approve::run(approve, &config, terminal).await,
        Command::Explain(explain) => explain::run(explain, &config, terminal),
        Command::Accounts(accounts) => accounts::run(accounts, &config, terminal).await,
        Command::History(history) => history::run(history, &config, terminal),
        Command::Sandbox(_) | Command::Generate(_) => {
            unreachable!("served above, because they need no configuration")
        }
    }
}

/// Returns when the process is asked to end: Ctrl-C, or SIGTERM.
async fn interrupted() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            // Without a listener the signal keeps its default: it ends the process.
            Err(_) => std::future::pending().await,
        }
    };
    let pressed = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = terminated => {}
        () = pressed => {}
    }
}
