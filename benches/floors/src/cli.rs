//! The command line of `ringrail-floors`.

use crate::floor::Floor;
use crate::harness::{Candidate, FloorCandidate, PatternFile, Plan, measure, suite};
use crate::workload::{Length, Placement, Source, Wait, Work, Workload};
use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::io::{self, Write};
use std::path::PathBuf;

/// Measures what blocking sockets, a bare io_uring loop and sendfile reach on this machine.
#[derive(Debug, Parser)]
#[command(name = "ringrail-floors", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure one workload
    #[command(subcommand)]
    Run(Run),
    /// Measure every workload that the project is judged by
    All(Common),
}

#[derive(Debug, Subcommand)]
enum Run {
    /// Requests and answers with a payload
    Rpc {
        /// Payload of a request, such as 64 or 1K
        #[arg(long, default_value = "64", value_parser = parse_size)]
        size: u64,
        /// Payload of an answer; the request's if not given
        #[arg(long, value_parser = parse_size)]
        reply: Option<u64>,
        #[command(flatten)]
        width: Width,
        #[command(flatten)]
        common: Common,
    },
    /// Chunks from memory or from a page-cached file
    Chunks {
        /// Size of a chunk, such as 64K or 4M
        #[arg(long, default_value = "64K", value_parser = parse_size)]
        size: u64,
        /// Source of the server's chunks
        #[arg(long, value_enum, default_value_t = From::Memory)]
        source: From,
        /// Size of that, such as 64M
        #[arg(long, default_value = "64M", value_parser = parse_size)]
        source_bytes: u64,
        #[command(flatten)]
        width: Width,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    Memory,
    File,
}

#[derive(Debug, Args)]
struct Width {
    /// Connections
    #[arg(long, default_value_t = 1)]
    conns: u32,
    /// Requests in flight on each
    #[arg(long, default_value_t = 1)]
    in_flight: u32,
    /// Put server and client on the same core
    #[arg(long)]
    same_core: bool,
    /// Look for work without ever sleeping
    #[arg(long)]
    spin: bool,
}

#[derive(Debug, Args)]
struct Common {
    /// Length of a measured run
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Measure this many answers per run instead
    #[arg(long)]
    ops: Option<u64>,
    /// Runs of each floor, taken in turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only these floors
    #[arg(long, value_delimiter = ',')]
    floor: Vec<Floor>,
    /// Directory for the file that chunks come from; the system's for temporary files if not given
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print one line of JSON per workload instead of a table
    #[arg(long)]
    json: bool,
}

impl Cli {
    /// Does what the command line asks for; results go to stdout.
    ///
    /// # Errors
    /// A workload outside its limits, a floor that failed, or a closed stdout.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::All(common) => {
                let file = common.file(suite::FILE_BYTES)?;
                common.measure_all(&suite::standard(common.length(), Some(&file.source())))
            }
            Command::Run(Run::Rpc {
                size,
                reply,
                width,
                common,
            }) => {
                let (size, reply) = (narrow(size)?, narrow(reply.unwrap_or(size))?);
                common.measure_all(&[width.workload(Work::Rpc { size, reply }, common.length())])
            }
            Command::Run(Run::Chunks {
                size,
                source,
                source_bytes,
                width,
                common,
            }) => {
                let size = narrow(size)?;
                // Kept until the end: dropping it removes the file.
                let file = match source {
                    From::Memory => None,
                    From::File => Some(common.file(source_bytes)?),
                };
                let memory = Source::Memory {
                    bytes: source_bytes,
                };
                let source = file.as_ref().map_or(memory, PatternFile::source);
                common
                    .measure_all(&[width.workload(Work::Chunks { size, source }, common.length())])
            }
        }
    }
}

impl Width {
    fn workload(&self, work: Work, length: Length) -> Workload {
        Workload {
            work,
            conns: self.conns,
            in_flight: self.in_flight,
            placement: if self.same_core {
                Placement::SameCore
            } else {
                Placement::TwoCores
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
        self.ops.map_or(Length::Seconds(self.seconds), Length::Ops)
    }

    fn file(&self, bytes: u64) -> Result<PatternFile> {
        let dir = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        PatternFile::create(&dir, bytes)
            .with_context(|| format!("writing {bytes} bytes to a file in {}", dir.display()))
    }

    fn measure_all(&self, workloads: &[Workload]) -> Result<()> {
        let exe = std::env::current_exe().context("finding this program")?;
        let wanted = if self.floor.is_empty() {
            &Floor::ALL[..]
        } else {
            &self.floor
        };
        let floors: Vec<_> = wanted
            .iter()
            .map(|&floor| FloorCandidate::new(floor, &exe))
            .collect();
        let candidates: Vec<&dyn Candidate> = floors.iter().map(|floor| floor as _).collect();
        let plan = Plan {
            rounds: self.rounds,
            ..Plan::default()
        };
        for workload in workloads {
            let comparison = measure(&candidates, workload, plan)?;
            let mut out = io::stdout().lock();
            if self.json {
                writeln!(out, "{}", serde_json::to_string(&comparison)?)?;
            } else {
                writeln!(out, "{comparison}")?;
            }
        }
        Ok(())
    }
}

/// Reads a size in bytes with an optional binary unit: `64`, `64K`, `4M`, `1G`.
fn parse_size(text: &str) -> Result<u64> {
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits
        .parse()
        .with_context(|| format!("{text:?} is not a size like 64, 64K or 4M"))?;
    ensure!(number <= u64::MAX >> shift, "{text} is too large");
    Ok(number << shift)
}

/// Sizes of payloads are limited far below this; the workload's own check names the limit.
fn narrow(size: u64) -> Result<u32> {
    u32::try_from(size).with_context(|| format!("a payload of {size} bytes is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_binary_units() {
        let size = |text| parse_size(text).ok();
        assert_eq!(size("64"), Some(64));
        assert_eq!(size("64K"), Some(65_536));
        assert_eq!(size("4m"), Some(4 << 20));
        assert_eq!(size("1G"), Some(1 << 30));
        for bad in ["", "K", "-1", "1.5K", "1T", "99999999999G"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
