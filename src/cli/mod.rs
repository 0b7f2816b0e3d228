//! The command line: one file per subcommand. Parses, calls the library, prints.
//!
//! Results go to stdout, everything else (logs, progress, errors) to stderr.

mod bench;
mod demo;
mod doctor;
mod failure;
mod fetch;
mod log;
mod output;
mod serve;
mod size;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Moves files and messages between Linux processes at the speed of the kernel, over io_uring.
#[derive(Debug, Parser)]
#[command(
    name = "ringrail",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(after_help = "\
Examples:
  ringrail demo                                    see it work, with figures, on this machine
  ringrail serve /srv/data --listen 0.0.0.0:7337   serve a directory
  ringrail fetch rail://host:7337 -o /data/copy    fetch it, from another machine
  ringrail doctor                                  what this kernel offers, and how to mend it
  ringrail bench rpc                               how fast it is here, beside bare sockets")]
struct Cli {
    /// What to log, to stderr: a level (error, warn, info, debug, trace) or a filter such as
    /// `warn,ringrail::block=debug`; a server logs warnings by default, other commands errors
    #[arg(long, global = true, env = "RINGRAIL_LOG", value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Fetch(fetch::Fetch),
    Demo(demo::Demo),
    Doctor(doctor::Doctor),
    Bench(bench::Bench),
    #[command(hide = true)]
    BenchWorker(bench::Worker),
}

/// Runs the command that the arguments ask for.
pub(crate) fn main() -> ExitCode {
    // Floors of `bench` are this program started again.
    if let Some(code) = ringrail_floors::role::run_if_asked() {
        return code;
    }
    let cli = Cli::parse();
    // What other commands could warn of, they say in their own words.
    let quiet = if matches!(cli.command, Command::Serve(_)) {
        "warn"
    } else {
        "error"
    };
    let outcome =
        log::start(cli.log.as_deref().unwrap_or(quiet)).and_then(|()| match cli.command {
            Command::Serve(serve) => serve.run(),
            Command::Fetch(fetch) => fetch.run(),
            Command::Demo(demo) => demo.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Bench(bench) => bench.run(),
            Command::BenchWorker(worker) => worker.run(),
        });
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }
}
