//! `ringrail bench mixed`: what bulk data does to the RPCs beside it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use clap::Args;
use ringrail_floors::harness::PatternFile;
use ringrail_floors::workload::{Length, Placement, Source, Wait, Work, Workload};
use serde::Serialize;

use super::candidate::Product;
use super::narrow;
use super::worker::{Caller, MixedReport};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::size::Size;

/// RPC latency alone, then beside chunks on the same connection (cold files: on the same shard)
#[derive(Debug, Args)]
pub(super) struct Mixed {
    /// Bytes of a chunk
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    size: Size,
    /// Chunks in flight
    #[arg(long, value_name = "N", default_value_t = 2)]
    in_flight: u32,
    /// Take chunks from a file whose pages are dropped from memory first; RPCs have a connection of
    /// their own
    #[arg(long)]
    cold: bool,
    /// Spin instead of sleeping
    #[arg(long)]
    spin: bool,
    /// Length of each phase
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// Runs; the median counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Directory for the file
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: std::path::PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Bytes of memory or of the file that chunks come from.
const SOURCE_BYTES: u64 = 256 << 20;
/// Bytes of a cold file: more than a run reads.
const COLD_BYTES: u64 = 2 << 30;

#[derive(Serialize)]
struct Summary {
    spin: bool,
    cold: bool,
    chunk_len: u64,
    median: MixedReport,
    /// 99th percentile beside chunks, as a multiple of the one alone.
    p99_ratio: f64,
    rounds: Vec<MixedReport>,
}

impl Mixed {
    /// `more` are further arguments of the product's processes.
    pub(super) fn run(&self, more: &[String]) -> Result<(), Failure> {
        let file = if self.cold {
            Some(PatternFile::create(&self.dir, COLD_BYTES).context("writing the file")?)
        } else {
            None
        };
        let memory = Source::Memory {
            bytes: SOURCE_BYTES,
        };
        let source = file.as_ref().map_or(memory, PatternFile::source);
        let workload = Workload {
            work: Work::Chunks {
                size: narrow(self.size)?,
                source,
            },
            conns: if self.cold { 2 } else { 1 },
            in_flight: self.in_flight,
            placement: Placement::TwoCores,
            wait: if self.spin {
                Wait::Spinning
            } else {
                Wait::Parked
            },
            length: Length::Seconds(self.seconds),
        };
        let mut rounds = Vec::new();
        for _ in 0..self.rounds.max(1) {
            rounds.push(one_round(&workload, more)?);
        }
        let summary = self.summary(rounds);
        if self.json {
            return output::json(&summary);
        }
        let MixedReport {
            alone,
            loaded,
            gb_per_s,
        } = summary.median;
        output::line(format_args!(
            "64-byte RPC, {}, median of {} rounds\n\
             \x20 alone            p50 {:8.1} us   p99 {:8.1} us\n\
             \x20 beside chunks    p50 {:8.1} us   p99 {:8.1} us   chunks at {gb_per_s:.2} GB/s\n\
             \x20 p99 beside chunks is {:.2} times that alone",
            if self.spin { "spinning" } else { "parked" },
            summary.rounds.len(),
            alone.p50_us,
            alone.p99_us,
            loaded.p50_us,
            loaded.p99_us,
            summary.p99_ratio,
        ))
    }

    fn summary(&self, mut rounds: Vec<MixedReport>) -> Summary {
        let ratio = |report: &MixedReport| report.loaded.p99_us / report.alone.p99_us.max(0.001);
        rounds.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let median = rounds[rounds.len() / 2];
        Summary {
            spin: self.spin,
            cold: self.cold,
            chunk_len: self.size.0,
            median,
            p99_ratio: ratio(&median),
            rounds,
        }
    }
}

/// A server that dies with this guard.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Its stdin ends, and with it the server; killing is for one that does not listen.
        drop(self.0.stdin.take());
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

fn one_round(workload: &Workload, more: &[String]) -> anyhow::Result<MixedReport> {
    if let Some(Source::File { path, .. }) = workload.source() {
        drop_pages(path).context("dropping the file from memory")?;
    }
    let product = Product::all(&[Caller::Callback], more)?
        .into_iter()
        .next()
        .context("no product to measure")?;
    let server = product.command("server", workload);
    // Reading from the disk, the server needs room for the ring's workers beside its shard, which
    // pins itself.
    let cold = matches!(workload.source(), Some(Source::File { .. }));
    let mut server = if cold { server } else { pinned(server, 0) };
    let mut server = Server(
        server
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the server")?,
    );
    let mut line = String::new();
    let out = server.0.stdout.take().context("the server has no stdout")?;
    BufReader::new(out)
        .read_line(&mut line)
        .context("waiting for the server")?;
    let addr = line.strip_prefix("ready ").map(str::trim);
    let addr = addr.with_context(|| format!("the server said {line:?}"))?;
    let mut client = product.command("mixed", workload);
    client.arg(addr);
    let mut client = pinned(client, 1)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the client")?;
    let mut text = String::new();
    if let Some(mut out) = client.stdout.take() {
        out.read_to_string(&mut text)
            .context("reading the client's result")?;
    }
    let status = client.wait().context("waiting for the client")?;
    ensure!(status.success(), "the client failed: {status}");
    serde_json::from_str(&text).context("reading the client's result")
}

/// Runs a command on one processor, by the tool that every Linux has.
fn pinned(command: Command, cpu: usize) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", &cpu.to_string()]);
    pinned.arg(command.get_program()).args(command.get_args());
    pinned
}

fn drop_pages(path: &std::path::Path) -> anyhow::Result<()> {
    let file = std::fs::File::open(path)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}
