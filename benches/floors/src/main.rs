//! Runs the floors alone; as a child process, one side of a floor.

use clap::Parser;
use ringrail_floors::{cli::Cli, role};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = role::run_if_asked() {
        return code;
    }
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringrail-floors: {error:#}");
            ExitCode::FAILURE
        }
    }
}
