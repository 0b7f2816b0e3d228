//! `ringrail serve`: a directory, read-only, until a signal comes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use ringrail::block::{BlockId, BlockServer, DirStore, RailUri};
use ringrail::conf::keys::{block, transport};
use ringrail::conf::{Conf, block_server_conf, transport_conf};
use ringrail::{Addr, Checksum, Pin};

use super::engine;
use super::failure::{Failure, Outcome};
use super::output;
use super::settings::{Settings, flag};
use super::signals::watch_signals;

/// Serve a directory, read-only, to `ringrail fetch`
///
/// The first line on stdout is `listening on rail://HOST:PORT`, once connections are taken. Names
/// never lead out of DIR: symbolic links are followed only as long as they stay inside. Every peer
/// that can connect can read everything in DIR; there is no authentication, so by default only this
/// machine can connect.
///
/// SIGTERM and SIGINT drain: no further requests are taken, chunks under way are sent, then it
/// exits with 0. A second signal ends it at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringrail serve /srv/data                             on 127.0.0.1, port 7337
  ringrail serve /srv/data --listen 0.0.0.0:7337       for other machines too
  ringrail serve /srv/data --listen '[::]:0'           IPv6, any free port
  ringrail serve . --listen unix:/run/ringrail.sock    a Unix-domain socket

Exit codes: 0 drained after a signal, 1 failed, 2 wrong arguments.")]
pub(crate) struct Serve {
    /// The directory to serve
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Listen address: HOST:PORT, [IPV6]:PORT, unix:PATH or unix:@NAME; port 0 means any free one
    #[arg(long, short, value_name = "ADDR", default_value = "127.0.0.1:7337")]
    listen: String,
    /// Shards (threads with a ring each); 0 means one per processor
    /// [key: ringrail.transport.shards, default 0]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Leave it to the kernel which processor runs which shard
    /// [key: ringrail.transport.pin, default auto]
    #[arg(long)]
    no_pin: bool,
    /// Send no checksums (CRC32C). Chunks that `fetch` verifies by their digests have none anyway
    /// [key: ringrail.transport.checksum, default auto]
    #[arg(long)]
    no_checksum: bool,
    /// How long an idle shard spins before it sleeps, in µs: lower latency for a busy processor
    /// [key: ringrail.transport.spinUs, default 0]
    #[arg(long, value_name = "US")]
    spin_us: Option<u32>,
    /// Threads that open, list and hash files; 0 means one per processor, up to four
    /// [key: ringrail.block.serverThreads, default 0]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Seconds that a drain may take before what is left is cut off
    /// [key: ringrail.transport.drainTimeout, default 10]
    #[arg(long, value_name = "SECONDS")]
    drain_timeout: Option<u64>,
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(crate) fn run(self) -> Outcome {
        let signals = watch_signals()?;
        let conf = self.conf()?;
        let store = DirStore::open_root(&self.dir)
            .with_context(|| format!("cannot serve {}", self.dir.display()))?
            .with_max_open_files(conf.get_entry(&block::MAX_OPEN_FILES)?);
        let shards = conf.get_entry(&transport::SHARDS)?;
        let engine = engine::start(transport_conf(&conf)?, shards)?;
        let blocks = BlockServer::new(Arc::new(store), &block_server_conf(&conf)?)?;
        let server = blocks.context(engine).create_server(self.address()?)?;
        let uri = RailUri::new(server.local_addr().to_string(), BlockId::ROOT);
        output::line(format_args!("listening on {uri}"))?;
        let signal = signals
            .recv()
            .map_err(|_| anyhow!("no signals can be received"))?;
        tracing::info!(signal, "draining; a second signal ends at once");
        server.drain()?;
        Ok(ExitCode::SUCCESS)
    }

    fn conf(&self) -> Result<Conf, Failure> {
        let mut conf = self.settings.load(&[])?;
        let spin = self.spin_us.map(|us| Duration::from_micros(us.into()));
        let drain = self.drain_timeout.map(Duration::from_secs);
        flag(&mut conf, &transport::SHARDS, self.shards)?;
        flag(
            &mut conf,
            &transport::PIN,
            self.no_pin.then_some(Pin::Never),
        )?;
        flag(
            &mut conf,
            &transport::CHECKSUM,
            self.no_checksum.then_some(Checksum::Never),
        )?;
        flag(&mut conf, &transport::SPIN, spin)?;
        flag(&mut conf, &transport::DRAIN_TIMEOUT, drain)?;
        flag(&mut conf, &block::SERVER_THREADS, self.threads)?;
        conf.validate()?;
        Ok(conf)
    }

    fn address(&self) -> Result<Addr, Failure> {
        let text = &self.listen;
        let found = Addr::resolve(text).with_context(|| format!("cannot listen on {text}"))?;
        let first = found.into_iter().next();
        Ok(first.ok_or_else(|| anyhow!("cannot listen on {text}: it has no address"))?)
    }
}
