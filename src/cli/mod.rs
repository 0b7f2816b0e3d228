//! The command line: one file per subcommand. Parses, calls the library, prints.
//!
//! Results go to stdout, everything else (logs, progress, errors) to stderr.

mod bench;
mod conf;
mod demo;
mod doctor;
mod engine;
mod failure;
mod fetch;
mod log;
mod output;
mod rpc;
mod serve;
mod settings;
mod shuffle_service;
mod signals;
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
  ringrail conf list transport                     the configuration keys, with their meanings
  ringrail rpc list rail://host:7077               the endpoints of an RPC environment
  ringrail shuffle-service --host 0.0.0.0          Spark's external shuffle service
  ringrail bench rpc                               how fast it is here, beside bare sockets")]
struct Cli {
    /// Messages to log to stderr: a level (error, warn, info, debug, trace) or a filter such as
    /// `warn,ringrail::block=debug`; a server logs warnings by default, other commands errors, and warnings of
    /// configuration
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
    Conf(conf::Command),
    Rpc(rpc::Command),
    ShuffleService(shuffle_service::ShuffleService),
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
    // Other commands print the causes of such warnings themselves. A misspelt key is still logged
    // everywhere, because nothing else reports it. `conf` prints all of it on stdout.
    let quiet = match cli.command {
        Command::Serve(_) | Command::ShuffleService(_) => "warn",
        Command::Conf(_) => "error",
        _ => "error,ringrail::conf=warn",
    };
    let outcome =
        log::start(cli.log.as_deref().unwrap_or(quiet)).and_then(|()| match cli.command {
            Command::Serve(serve) => serve.run(),
            Command::Fetch(fetch) => fetch.run(),
            Command::Demo(demo) => demo.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Conf(conf) => conf.run(),
            Command::Rpc(rpc) => rpc.run(),
            Command::ShuffleService(service) => service.run(),
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
    use ringrail::Conf;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }

    /// Helps name keys with their defaults: `[key: KEY, default 4]`.
    #[test]
    fn the_keys_and_defaults_that_helps_name_are_those_of_the_table() {
        let command = Cli::command();
        let mut seen = 0;
        for (name, own) in [
            ("serve", &[][..]),
            ("shuffle-service", &shuffle_service::DEFAULTS),
            ("fetch", &fetch::DEFAULTS),
        ] {
            let command = command.find_subcommand(name).unwrap();
            for help in command.get_arguments().filter_map(|arg| arg.get_help()) {
                let help = help.to_string();
                let Some((_, named)) = help.split_once("[key: ") else {
                    continue;
                };
                let (key, said) = named
                    .trim_end_matches(']')
                    .split_once(", default ")
                    .unwrap();
                let entry = ringrail::conf::keys::find(key).unwrap();
                let set = Conf::new().with(key, said);
                let mut default = Conf::new();
                default.set_all(own.iter().copied());
                let (set, default) = (entry.value_in(&set), entry.value_in(&default));
                assert_eq!(set.unwrap(), default.unwrap(), "{name}: {help}");
                seen += 1;
            }
        }
        assert!(seen > 15, "{seen}");
    }
}
