//! `ringrail demo`: the main job, on this machine, with real data and figures.
//!
//! A directory is filled, served by one process, fetched by another, compared byte for byte; then
//! requests are sent back and forth. Everything goes through the same commands and calls that users
//! have.

mod compare;
mod data;
mod latency;
mod process;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use ringrail::block::RailUri;
use serde::Serialize;

use super::failure::Outcome;
use super::output;
use super::size::Size;
use latency::Latency;
use process::{Fetched, Server};

/// See it work: serve a directory, fetch it from another process, verify, measure
///
/// Fills a temporary directory with data, runs `ringrail serve` and `ringrail fetch` as processes
/// of their own over loopback, compares the two trees byte for byte, then measures how long requests
/// take. Everything is removed afterwards.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringrail demo                   1 GiB, about a minute with the generation of the data
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
    /// Where to make the temporary directory; twice the size must fit
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What came out.
#[derive(Debug, Serialize)]
struct Results {
    uri: String,
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
        let base = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        check_room(&base, self.size)?;
        let temp = tempfile::Builder::new()
            .prefix("ringrail-demo-")
            .tempdir_in(&base);
        let temp =
            temp.with_context(|| format!("cannot make a directory in {}", base.display()))?;
        let (from, to) = (temp.path().join("served"), temp.path().join("fetched"));
        self.say(format_args!(
            "writing {} of data to {}",
            self.size,
            from.display()
        ))?;
        data::fill(&from, self.size.0).context("cannot write the data")?;

        let listen = if self.unix {
            format!("unix:{}", temp.path().join("demo.sock").display())
        } else {
            String::from("127.0.0.1:0")
        };
        let server = Server::start(&from, &listen, self.no_verify)?;
        self.say(format_args!("one process serves it: {}", server.uri()))?;
        let fetched = process::fetch(server.uri(), &to, self.connections, self.no_verify)?;
        self.say("another process has fetched it; comparing the two trees byte for byte")?;
        if let Some(difference) = compare::difference(&from, &to)? {
            bail_with(&difference)?;
        }
        let uri: RailUri = server.uri().parse()?;
        let (thread, shard) = latency::measure(&uri, self.pings)?;
        let address = server.uri().to_owned();
        server.stop()?;
        self.print(&results(address, fetched, !self.no_verify, thread, shard))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Tells people what is going on.
    fn say(&self, text: impl std::fmt::Display) -> Result<(), super::failure::Failure> {
        if self.json {
            Ok(())
        } else {
            output::line(text)
        }
    }

    fn print(&self, results: &Results) -> Result<(), super::failure::Failure> {
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
        output::line(format_args!(
            "\n{files} files, {} in {fetch_seconds:.3} s: {gb_per_s:.2} GB/s, every byte as it was\n\
             64-byte request and reply, one at a time:\n  \
               from a plain thread   {}\n  \
               on the shard itself   {}",
            Size(*bytes),
            results.rpc_from_thread,
            results.rpc_on_shard,
        ))
    }
}

fn results(
    uri: String,
    fetched: Fetched,
    verified: bool,
    rpc_from_thread: Latency,
    rpc_on_shard: Latency,
) -> Results {
    let Fetched {
        files,
        bytes,
        seconds: fetch_seconds,
        gb_per_s,
    } = fetched;
    let identical = true;
    Results {
        uri,
        files,
        bytes,
        fetch_seconds,
        gb_per_s,
        verified,
        identical,
        rpc_from_thread,
        rpc_on_shard,
    }
}

fn bail_with(difference: &str) -> anyhow::Result<()> {
    bail!("what was fetched is not what was served: {difference}")
}

fn check_room(base: &Path, size: Size) -> anyhow::Result<()> {
    let stat = rustix::fs::statvfs(base)
        .map_err(|errno| anyhow!("cannot use {}: {errno}", base.display()))?;
    let (free, need) = (
        stat.f_bavail.saturating_mul(stat.f_frsize),
        size.0.saturating_mul(2),
    );
    if free < need {
        bail!(
            "{} has {} free, and {} are needed: give a smaller --size or another --dir",
            base.display(),
            Size(free),
            Size(need)
        );
    }
    Ok(())
}
