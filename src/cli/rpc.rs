//! `ringrail rpc`: looking at the RPC environments of other processes.

mod check;
mod list;
mod ping;
mod table;
mod watch;

use anyhow::Context;
use clap::{Args, Subcommand};
use ringrail::rpc::{EnvReport, INSPECTOR_NAME, Inspect, RpcAddress, RpcEndpointRef, RpcEnv};

use super::failure::{Failure, NO_SERVER, Outcome};
use super::settings::Settings;

/// Look at an RPC environment: its endpoints, whether one exists, how fast it answers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringrail rpc list rail://host:7077               every endpoint, with its counters
  ringrail rpc check rail://Master@host:7077       exit code 0 where there is such an endpoint
  ringrail rpc ping rail://host:7077 --count 1000  round trips, with percentiles
  ringrail rpc watch rail://host:7077              what it handles per second, live

Addresses may begin with spark:// as well, or with the host. Exit codes: 0 done; 1 failed, or no such
endpoint; 2 wrong arguments; 4 nobody answers there.")]
pub(crate) struct Command {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum What {
    List(list::List),
    Check(check::Check),
    Ping(ping::Ping),
    Watch(watch::Watch),
}

/// Defaults of the sub-commands: short timeouts, because a user waits for the answer.
const DEFAULTS: [(&str, &str); 3] = [
    ("ringrail.network.timeout", "10s"),
    ("ringrail.transport.poolBudget", "64m"),
    ("ringrail.transport.poolReserve", "16m"),
];

impl Command {
    pub(crate) fn run(self) -> Outcome {
        let conf = self.settings.load(&DEFAULTS)?;
        conf.validate()?;
        let env = RpcEnv::builder("ringrail-rpc")
            .conf(conf)
            .shards(1)
            .client_mode()
            .build()
            .context("starting")?;
        match self.what {
            What::List(list) => list.run(&env),
            What::Check(check) => check.run(&env),
            What::Ping(ping) => ping.run(&env),
            What::Watch(watch) => watch.run(&env),
        }
    }
}

/// The inspector of the env at an address. That it exists is for the first ask to find out.
fn inspector(env: &RpcEnv, at: &RpcAddress) -> Result<RpcEndpointRef, Failure> {
    Ok(env.ref_at(at, INSPECTOR_NAME)?)
}

/// Fetches the report of the env.
fn inspect(inspector: &RpcEndpointRef) -> Result<EnvReport, Failure> {
    inspector.ask_blocking(Inspect).map_err(unanswered)
}

/// No server at the address, or no answer.
fn unanswered(error: ringrail::rpc::RpcError) -> Failure {
    Failure::with(NO_SERVER, error)
}
