//! The product's side of a measurement: a server process and a client process that do the same
//! work as the floors, by ringrail's public interface, and speak the harness's line protocol.
//!
//! The harness starts them; see `ringrail_floors::harness::Candidate` for the protocol.

pub(in crate::cli::bench) mod asks;
mod book;
mod callers;
mod chunks;
mod client;
mod mixed;
mod rpc;
mod server;

use std::io::Write;

use anyhow::Context;
use ringrail::conf::{Conf, transport_conf};
use ringrail_floors::workload::{Wait, Workload};
use ringrail_transport::{Checksum, Engine, ParkMode};
use serde::{Deserialize, Serialize};

pub(super) use callers::Caller;
pub(super) use mixed::MixedReport;

use crate::cli::failure::Outcome;
use crate::cli::settings::Settings;

/// One side of a measurement; the harness starts it.
#[derive(Debug, clap::Args)]
pub(crate) struct Worker {
    /// The side to run.
    #[arg(value_enum)]
    role: Role,
    /// The workload, as JSON.
    workload: String,
    /// The set-up, as JSON.
    setup: String,
    /// The server's address, for clients.
    addr: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Role {
    Server,
    Client,
    Mixed,
}

impl Worker {
    pub(crate) fn run(self) -> Outcome {
        let workload = serde_json::from_str(&self.workload).context("reading the workload")?;
        let setup = serde_json::from_str(&self.setup).context("reading the set-up")?;
        let addr = self.addr.unwrap_or_default();
        let conf = self.settings.load(&DEFAULTS)?;
        let side = Side { setup, conf };
        match self.role {
            Role::Server if side.setup.asks => asks::serve(&workload, &side)?,
            Role::Client if side.setup.asks => asks::ask(&workload, &side, &addr)?,
            Role::Server => server::run(&workload, &side)?,
            Role::Client => client::run(&workload, &side, &addr)?,
            Role::Mixed => mixed::run(&workload, &side, &addr)?,
        }
        Ok(std::process::ExitCode::SUCCESS)
    }
}

/// Settings that the harness passes to both processes in addition to the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// CRC32C on every slice.
    pub(crate) checksum: bool,
    /// Sleep inside a `tokio_uring` runtime instead of in the ring.
    pub(crate) hosted: bool,
    /// In Spark's protocol instead of the native one.
    #[serde(default)]
    pub(crate) spark: bool,
    /// By `ask` through the RPC environment instead of bare requests.
    pub(crate) asks: bool,
    /// The kind of caller, where requests are bare.
    #[serde(default)]
    pub(crate) caller: Caller,
}

/// Defaults of measurements that differ from those of other programs: room for every workload, and
/// the congestion control that the baselines use.
const DEFAULTS: [(&str, &str); 2] = [
    ("ringrail.transport.poolBudget", "1g"),
    ("ringrail.transport.congestion", "cubic"),
];

/// How this process is set up.
struct Side {
    setup: Setup,
    conf: Conf,
}

impl Side {
    /// One shard on the processor that the harness pinned this process to. Checksums and spinning
    /// are what is compared, so the set-up and the workload decide them and not the configuration.
    fn engine(&self, workload: &Workload) -> anyhow::Result<Engine> {
        let mut conf = transport_conf(&self.conf)?;
        conf.checksum = match self.setup.checksum {
            true => Checksum::Always,
            false => Checksum::Auto,
        };
        conf.spin_us = match workload.wait {
            Wait::Spinning => 1_000_000,
            Wait::Parked => 0,
        };
        let park = if self.setup.hosted {
            ParkMode::Hosted
        } else {
            ParkMode::Bare
        };
        Engine::builder(conf)
            .shards(1)
            .park(park)
            .start()
            .context("starting the shard")
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
