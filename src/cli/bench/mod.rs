//! `ringrail bench`: what the transport reaches, against floors that do the same work with nothing
//! between them and the kernel.
//!
//! Floors and product run in turns, in two processes each, pinned, with the same congestion control;
//! every answer is checked. `worker` is the product's side, `mixed` measures RPCs beside bulk data.

mod candidate;
mod local;
mod mixed;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use ringrail_floors::harness::{Candidate, FloorCandidate, PatternFile, Plan, measure, suite};
use ringrail_floors::workload::{Length, Placement, Source, Wait, Work, Workload};

use super::failure::{Failure, Outcome};
use super::output;
use super::settings::{self, Settings};
use super::size::Size;
use candidate::Product;

use worker::Caller;
pub(crate) use worker::Worker;

/// Measure this machine: RPCs and chunk fetches, beside floors that do the same work on bare sockets
///
/// Prints ratios to the best floor of the same sitting; absolute figures say little on a shared
/// machine. Close other programs first: with two processors, anything else that runs is measured too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringrail bench rpc                                     64-byte ping-pong, sleeping
  ringrail bench rpc --spin --in-flight 256              pipelined, spinning
  ringrail bench rpc --from callback,future,tokio,thread the same by each kind of caller
  ringrail bench fetch --size 4MiB --in-flight 8         chunks from memory
  ringrail bench fetch --size 64KiB --source file        chunks from a page-cached file
  ringrail bench mixed                                   RPC latency beside 16 MiB chunks
  ringrail bench local                                   asks that leave no process
  ringrail bench suite --json > figures.jsonl            everything, for scripts")]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Requests and answers
    Rpc(Rpc),
    /// Chunks from memory or from a file
    Fetch(Fetch),
    /// RPCs on a connection that carries chunks at full speed, or while cold files are read
    Mixed(mixed::Mixed),
    /// Asks within the process: on one shard, across shards, from a thread, of 10,000 endpoints at once
    Local(local::Local),
    /// Every workload that the project is judged by
    Suite(Common),
}

#[derive(Debug, Args)]
struct Rpc {
    /// Bytes of a request and of its answer
    #[arg(long, value_name = "SIZE", default_value = "64")]
    size: Size,
    #[command(flatten)]
    width: Width,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Fetch {
    /// Bytes of a chunk
    #[arg(long, value_name = "SIZE", default_value = "4MiB")]
    size: Size,
    /// Source of the server's chunks
    #[arg(long, value_enum, default_value_t = From::Memory)]
    source: From,
    #[command(flatten)]
    width: Width,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum From {
    Memory,
    File,
}

#[derive(Debug, Args)]
struct Width {
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 1)]
    conns: u32,
    /// Requests in flight on each
    #[arg(long, value_name = "N", default_value_t = 1)]
    in_flight: u32,
    /// Put server and client on the same processor
    #[arg(long)]
    same_core: bool,
    /// Leave it to the scheduler where the threads of both run
    #[arg(long, conflicts_with_all = ["same_core", "spin"])]
    unpinned: bool,
    /// Look for work without ever sleeping
    #[arg(long)]
    spin: bool,
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// Length of a measured run
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
    /// Runs of each, taken in turns; the median counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Directory for the file that chunks come from
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Kinds of callers, in measurements of requests
    #[arg(long, value_enum, value_delimiter = ',', default_value = "callback")]
    from: Vec<Caller>,
    /// Wait at most so long before each run for other programs to leave the processors alone
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait_for_quiet: u64,
    /// Measure ringrail alone, without floors
    #[arg(long)]
    no_floors: bool,
    /// Print one line of JSON per workload instead of a table
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(crate) fn run(self) -> Outcome {
        let conf = self.settings.load(&[])?;
        conf.validate()?;
        let more = settings::arguments(&conf);
        match self.what {
            What::Rpc(rpc) => rpc.run(&more)?,
            What::Fetch(fetch) => fetch.run(&more)?,
            What::Mixed(mixed) => mixed.run(&more)?,
            What::Local(local) => local.run()?,
            What::Suite(common) => common.suite(&more)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Rpc {
    fn run(&self, more: &[String]) -> Result<(), Failure> {
        let size = narrow(self.size)?;
        let work = Work::Rpc { size, reply: size };
        let workload = self.width.workload(work, self.common.length());
        self.common.measure_all(&[workload], more)
    }
}

impl Fetch {
    fn run(&self, more: &[String]) -> Result<(), Failure> {
        let bytes = suite::MEMORY_BYTES;
        // Kept until the end: dropping it removes the file.
        let file = match self.source {
            From::Memory => None,
            From::File => Some(self.common.file(suite::FILE_BYTES)?),
        };
        let source = file
            .as_ref()
            .map_or(Source::Memory { bytes }, PatternFile::source);
        let size = narrow(self.size)?;
        let work = Work::Chunks { size, source };
        let workload = self.width.workload(work, self.common.length());
        self.common.measure_all(&[workload], more)
    }
}

impl Width {
    fn workload(&self, work: Work, length: Length) -> Workload {
        Workload {
            work,
            conns: self.conns,
            in_flight: self.in_flight,
            placement: match (self.same_core, self.unpinned) {
                (true, _) => Placement::SameCore,
                (false, true) => Placement::NotPinned,
                (false, false) => Placement::TwoCores,
            },
            wait: if self.spin {
                Wait::Spinning
            } else {
                Wait::Parked
            },
            length,
        }
    }
}

impl Common {
    fn length(&self) -> Length {
        Length::Seconds(self.seconds)
    }

    fn file(&self, bytes: u64) -> anyhow::Result<PatternFile> {
        PatternFile::create(&self.dir, bytes)
            .with_context(|| format!("writing {bytes} bytes to {}", self.dir.display()))
    }

    fn suite(&self, more: &[String]) -> Result<(), Failure> {
        let file = self.file(suite::FILE_BYTES)?;
        self.measure_all(&suite::standard(self.length(), Some(&file.source())), more)
    }

    fn measure_all(&self, workloads: &[Workload], more: &[String]) -> Result<(), Failure> {
        let floors = if self.no_floors {
            Vec::new()
        } else {
            FloorCandidate::all().context("finding this program")?
        };
        let products = Product::all(&self.from, more).context("finding this program")?;
        let floors = floors.iter().map(|floor| floor as &dyn Candidate);
        let products = products.iter().map(|product| product as &dyn Candidate);
        let candidates: Vec<&dyn Candidate> = floors.chain(products).collect();
        let plan = Plan {
            rounds: self.rounds,
            wait_for_quiet: Duration::from_secs(self.wait_for_quiet),
            ..Plan::default()
        };
        for workload in workloads {
            let comparison = measure(&candidates, workload, plan).context("measuring")?;
            if self.json {
                output::line(serde_json::to_string(&comparison).context("cannot write JSON")?)?;
            } else {
                output::line(&comparison)?;
            }
        }
        Ok(())
    }
}

/// A size as the workloads have it.
fn narrow(size: Size) -> anyhow::Result<u32> {
    let bytes = size.0;
    ensure!(
        bytes <= 1 << 30,
        "a size of {bytes} bytes is too large to measure"
    );
    Ok(bytes as u32)
}
