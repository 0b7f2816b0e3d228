//! The product's side of a measurement: a server process and a client process that do the same
//! work as the floors, by ringrail's public interface, and speak the harness's line protocol.
//!
//! The harness starts them; see `ringrail_floors::harness::Candidate` for the protocol.

mod chunks;
mod client;
mod mixed;
mod rpc;
mod server;

use std::io::Write;

use anyhow::Context;
use ringrail_floors::workload::{Wait, Workload};
use ringrail_transport::{Engine, ParkMode, TransportConf};
use serde::{Deserialize, Serialize};

pub(super) use mixed::MixedReport;

use crate::cli::failure::Outcome;

/// One side of a measurement; the harness starts it.
#[derive(Debug, clap::Args)]
pub(crate) struct Worker {
    /// Which side.
    #[arg(value_enum)]
    role: Role,
    /// The workload, as JSON.
    workload: String,
    /// The set-up, as JSON.
    setup: String,
    /// The server's address, for clients.
    addr: Option<String>,
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
        match self.role {
            Role::Server => server::run(&workload, setup)?,
            Role::Client => client::run(&workload, setup, &addr)?,
            Role::Mixed => mixed::run(&workload, setup, &addr)?,
        }
        Ok(std::process::ExitCode::SUCCESS)
    }
}

/// What the harness tells both processes besides the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// CRC32C on every slice.
    pub(crate) checksum: bool,
    /// Sleep inside a `tokio_uring` runtime instead of in the ring.
    pub(crate) hosted: bool,
}

/// One shard on the processor that the harness pinned this process to.
fn engine(workload: &Workload, setup: Setup) -> anyhow::Result<Engine> {
    let mut conf = TransportConf {
        checksum: setup.checksum,
        ..TransportConf::default()
    };
    conf.pool_budget = 1 << 30;
    conf.socket.congestion = Some("cubic".into());
    conf.spin_us = match workload.wait {
        Wait::Spinning => 1_000_000,
        Wait::Parked => 0,
    };
    let park = if setup.hosted {
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

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
