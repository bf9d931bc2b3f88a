//! The `provisor` program: everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    provisor::cli::run(std::env::args_os())
}
