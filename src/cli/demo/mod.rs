//! `ringrail demo`: the main job, on this machine, with real data and figures.
//!
//! A directory is filled, served by one process, fetched by another, compared byte for byte; then
//! requests are sent back and forth. Everything goes through the same commands and calls that users
//! have.

mod compare;
mod data;
mod interrupt;
mod latency;
mod place;
mod process;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use ringrail::block::RailUri;
use ringrail::conf::{Conf, transport_conf};
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::output;
use super::settings::{self, Settings};
use super::size::Size;
use interrupt::Interrupt;
use latency::Latency;
use process::Server;

/// See it work: serve a directory, fetch it from another process, verify, measure
///
/// Fills a temporary directory with data, runs `ringrail serve` and `ringrail fetch` as processes
/// of their own over loopback, compares the two trees byte for byte, then measures how long requests
/// take. Everything is removed afterwards, also after Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringrail demo                   1 GiB, a few seconds
  ringrail demo --size 64MiB      a quick look
  ringrail demo --unix            over a Unix-domain socket
  ringrail demo --json            the figures as JSON

Exit codes: 0 everything arrived as it was, 1 failed, 2 wrong arguments.")]
pub(crate) struct Demo {
    /// Data to move, in files of all sizes
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    size: Size,
    /// Connections of the fetch
    #[arg(long, value_name = "N", default_value_t = 4)]
    connections: usize,
    /// Requests to time, of each kind
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pings: u32,
    /// Use a Unix-domain socket in place of TCP
    #[arg(long)]
    unix: bool,
    /// Send no checksums, compare no digests (the trees are compared byte for byte all the same)
    #[arg(long)]
    no_verify: bool,
    /// Directory for the temporary directory; twice the size must fit. By default in memory
    /// (/dev/shm) if there is plenty of it, else the directory of temporary files
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// The results of a demonstration.
#[derive(Debug, Serialize)]
struct Results {
    uri: String,
    in_memory: bool,
    files: u64,
    bytes: u64,
    fetch_seconds: f64,
    gb_per_s: f64,
    verified: bool,
    identical: bool,
    rpc_from_thread: Latency,
    rpc_on_shard: Latency,
}

impl Demo {
    pub(crate) fn run(self) -> Outcome {
        let interrupt = Interrupt::watch()?;
        let conf = self.settings.load(&[])?;
        conf.validate()?;
        let base = place::choose(self.dir.as_deref(), self.size.0)?;
        let temp = tempfile::Builder::new()
            .prefix("ringrail-demo-")
            .tempdir_in(&base);
        let temp =
            temp.with_context(|| format!("cannot make a directory in {}", base.display()))?;
        let results = self.demonstrate(temp.path(), &conf, &interrupt);
        // After an interrupt, the interrupt is the cause of any failure.
        interrupt.check()?;
        self.print(&results?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn demonstrate(
        &self,
        dir: &Path,
        conf: &Conf,
        interrupt: &Interrupt,
    ) -> Result<Results, Failure> {
        let more = settings::arguments(conf);
        let (from, to) = (dir.join("served"), dir.join("fetched"));
        self.say(format_args!(
            "writing {} of data to {}",
            self.size,
            from.display()
        ))?;
        data::fill(&from, self.size.0, || interrupt.check()).context("cannot write the data")?;
        let listen = if self.unix {
            format!("unix:{}", dir.join("demo.sock").display())
        } else {
            String::from("127.0.0.1:0")
        };
        let server = Server::start(&from, &listen, self.no_verify, &more)?;
        self.say(format_args!("one process serves it: {}", server.uri()))?;
        let fetched = process::fetch(server.uri(), &to, self.connections, self.no_verify, &more)?;
        interrupt.check()?;
        self.say("another process has fetched it; comparing the two trees byte for byte")?;
        if let Some(difference) = compare::difference(&from, &to)? {
            return Err(anyhow!("what was fetched is not what was served: {difference}").into());
        }
        let uri: RailUri = server.uri().parse()?;
        let (rpc_from_thread, rpc_on_shard) =
            latency::measure(&uri, self.pings, transport_conf(conf)?)?;
        server.stop()?;
        Ok(Results {
            uri: uri.to_string(),
            in_memory: place::is_in_memory(dir),
            files: fetched.files,
            bytes: fetched.bytes,
            fetch_seconds: fetched.seconds,
            gb_per_s: fetched.gb_per_s,
            verified: !self.no_verify,
            identical: true,
            rpc_from_thread,
            rpc_on_shard,
        })
    }

    /// Tells people what is going on.
    fn say(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        if self.json {
            Ok(())
        } else {
            output::line(text)
        }
    }

    fn print(&self, results: &Results) -> Result<(), Failure> {
        if self.json {
            return output::json(results);
        }
        let Results {
            files,
            bytes,
            fetch_seconds,
            gb_per_s,
            ..
        } = results;
        let place = if results.in_memory {
            "memory to memory"
        } else {
            "disk to disk"
        };
        let checks = if results.verified {
            "BLAKE3 checked"
        } else {
            "no checksums"
        };
        output::line(format_args!(
            "\n{files} files, {} in {fetch_seconds:.3} s: {gb_per_s:.2} GB/s, every byte as it was\n  \
               ({place}, {} connections, {checks})\n\
             64-byte request and reply, one at a time:\n  \
               from a plain thread   {}\n  \
               on the shard itself   {}",
            Size(*bytes),
            self.connections,
            results.rpc_from_thread,
            results.rpc_on_shard,
        ))
    }
}
