//! Arguments of the benchmark, and the order of its parts.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use ringrail_floors::harness::PatternFile;
use ringrail_floors::workload::{Length, Placement, Source, Wait, Work, Workload};
use ringrail_spark_peers::{Install, Version};

use crate::{blocks, jobs, namespace, rounds};

/// Bytes of the source of chunks, in memory and on disk, as in `ringrail bench`.
const SOURCE_BYTES: u64 = 64 << 20;
const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

/// Measure ringrail beside Spark: calls, chunks, and a job with either shuffle service.
///
/// Needs `eval "$(.ci/spark)"` before, and the right to make a network namespace. Close other
/// programs: with two processors, anything else that runs is measured too.
#[derive(Debug, Parser)]
pub(crate) struct Cli {
    /// Runs of each pair, in turns; the median counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Length of a measured run
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// Length of the first run of each pair, which is not counted: Java compiles meanwhile
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    warm_up: f64,
    /// How long to wait before each run for the processors to be quiet
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    patience: f64,
    /// Only workloads whose name contains this; `blocks` are those of the shuffle services, `job` is the PySpark job
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Measure against Spark 4.1 instead of 3.5
    #[arg(long)]
    newest: bool,
    /// Let ringrail's sides and the floors spin instead of sleep (Spark's cannot)
    #[arg(long)]
    spin: bool,
    /// Records of the job, in thousands
    #[arg(long, value_name = "N", default_value_t = 400)]
    job_records: u64,
    /// Print one line of JSON per workload instead of a table
    #[arg(long)]
    json: bool,
    /// Be one side of a floor
    #[arg(long, hide = true, num_args = 1..)]
    pub(crate) floor: Option<Vec<String>>,
    /// Be our client of a shuffle service
    #[arg(long, hide = true)]
    pub(crate) block_client: Option<String>,
}

impl Cli {
    /// Runs the selected measurements.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let version = if self.newest {
            Version::V4_1
        } else {
            Version::V3_5
        };
        let install = match Install::find(version) {
            Ok(install) => install,
            Err(error) if std::env::var_os("RINGRAIL_SPARK").is_none() => {
                // `cargo bench` runs every benchmark, and few machines have Spark.
                eprintln!("skipped: {error}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if !namespace::entered()? {
            return namespace::enter();
        }
        let file = PatternFile::create(&std::env::temp_dir(), SOURCE_BYTES)
            .context("writing the file that chunks come from")?;
        let workloads = self.workloads(&file.source());
        if !workloads.is_empty() {
            let plan = rounds::Plan {
                rounds: self.rounds,
                warm_up: self.warm_up,
                patience: Duration::from_secs_f64(self.patience),
            };
            let mut field = rounds::Field::new(&install)?;
            for workload in workloads {
                let result = field.measure(&workload, &plan)?;
                self.show(&result, &result)?;
            }
        }
        for shuffle in blocks::Shuffle::ALL {
            if shuffle.name().contains(&self.only) {
                let plan = blocks::Plan {
                    rounds: self.rounds,
                    seconds: self.seconds,
                    warm_up: self.warm_up,
                    patience: Duration::from_secs_f64(self.patience),
                };
                let result = blocks::measure(&install, shuffle, plan)?;
                self.show(&result, &result)?;
            }
        }
        if "job".contains(&self.only) {
            let result = jobs::measure(&install, self.rounds, self.job_records * 1000)?;
            self.show(&result, &result)?;
        }
        Ok(())
    }

    fn show(
        &self,
        table: &impl std::fmt::Display,
        json: &impl serde::Serialize,
    ) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(json)?)?;
        } else {
            writeln!(out, "{table}")?;
        }
        Ok(())
    }

    fn workloads(&self, file: &Source) -> Vec<Workload> {
        let memory = Source::Memory {
            bytes: SOURCE_BYTES,
        };
        let rpc = |conns, in_flight| {
            let work = Work::Rpc {
                size: 64,
                reply: 64,
            };
            self.workload(work, conns, in_flight)
        };
        let mut all = vec![rpc(1, 1), rpc(1, 64), rpc(1, 256), rpc(8, 64)];
        for source in [&memory, file] {
            for (size, conns, in_flight) in [(4 * MIB, 1, 8), (MIB, 4, 4), (64 * KIB, 1, 8)] {
                let source = source.clone();
                all.push(self.workload(Work::Chunks { size, source }, conns, in_flight));
            }
        }
        all.retain(|workload| workload.to_string().contains(&self.only));
        all
    }

    fn workload(&self, work: Work, conns: u32, in_flight: u32) -> Workload {
        Workload {
            work,
            conns,
            in_flight,
            placement: Placement::TwoCores,
            wait: match self.spin {
                true => Wait::Spinning,
                false => Wait::Parked,
            },
            length: Length::Seconds(self.seconds),
        }
    }
}
