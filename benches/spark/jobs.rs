//! The same PySpark job with Spark's shuffle service and with ringrail's, in turns.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use anyhow::{Context, ensure};
use ringrail_floors::usage::cpu_seconds_of;
use ringrail_spark_peers::{Install, Job, ServiceKind, ServiceProcess, expected};
use serde::Serialize;
use serde_json::Value;

const MAPS: u32 = 8;
const REDUCES: u32 = 64;

/// One run of the job with one service.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Round {
    service: &'static str,
    /// The DataFrame's step, executors alive.
    plain_s: f64,
    /// From the moment when the executors that wrote the blocks are gone to the result.
    remote_s: f64,
    /// The service's CPU seconds.
    cpu_s: f64,
    /// Its resident memory at the end, and at its largest, in MiB.
    resident_mib: f64,
    peak_mib: f64,
    /// Bytes that the job read from it.
    bytes: u64,
}

/// Every round of both.
#[derive(Debug, Serialize)]
pub(crate) struct Jobs {
    records: u64,
    rounds: Vec<Round>,
}

/// Runs the job `rounds` times with each service and checks every result.
pub(crate) fn measure(install: &Install, rounds: usize, records: u64) -> anyhow::Result<Jobs> {
    let right = expected(records);
    let ours = ServiceKind::Ringrail(env!("CARGO_BIN_EXE_ringrail").into());
    let sparks = ServiceKind::SparkDaemon(install.clone());
    let mut done = Vec::new();
    for _ in 0..rounds {
        for (name, kind) in [("Spark", &sparks), ("ringrail", &ours)] {
            let round = run(install, name, kind.clone(), records, &right);
            done.push(round.with_context(|| format!("the job with {name}'s service"))?);
        }
    }
    Ok(Jobs {
        records,
        rounds: done,
    })
}

fn run(
    install: &Install,
    service: &'static str,
    kind: ServiceKind,
    records: u64,
    right: &Value,
) -> anyhow::Result<Round> {
    let dir = tempfile::tempdir().context("a temporary directory")?;
    let process = ServiceProcess::start(kind, &BTreeMap::new(), dir.path())?;
    let job = Job {
        steps: vec!["sql", "remote"],
        records,
        maps: MAPS,
        reduces: REDUCES,
        conf: BTreeMap::new(),
        short: false,
    };
    let outcomes = job.run(install, process.port(), dir.path(), |_| ())?;
    let mut bytes = 0;
    for outcome in &outcomes {
        ensure!(
            outcome.rows == *right,
            "{} has a wrong result",
            outcome.step
        );
        ensure!(
            outcome.read("failed_tasks") == 0,
            "tasks failed: {outcome:?}"
        );
        bytes += outcome.read("remote_bytes") + outcome.read_before("remote_bytes");
    }
    let pid = process.id().context("the service has ended")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(Round {
        service,
        plain_s: outcomes[0].seconds,
        remote_s: outcomes[1].reading_seconds,
        cpu_s: cpu_seconds_of(pid)?,
        resident_mib: mib(&status, "VmRSS:"),
        peak_mib: mib(&status, "VmHWM:"),
        bytes,
    })
}

/// A line of `/proc/PID/status`, which counts in KiB.
fn mib(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

impl Jobs {
    fn median(&self, service: &str, of: fn(&Round) -> f64) -> f64 {
        let rounds = self.rounds.iter().filter(|round| round.service == service);
        let mut numbers: Vec<_> = rounds.map(of).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or_default()
    }
}

impl fmt::Display for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.rounds.len() / 2;
        writeln!(
            f,
            "PySpark job, {} records (median of {rounds})",
            self.records
        )?;
        writeln!(
            f,
            "  {:<10} {:>9} {:>9} {:>14} {:>9} {:>9}",
            "service", "plain s", "remote s", "service CPU s", "RSS MiB", "peak MiB"
        )?;
        let numbers: [fn(&Round) -> f64; 5] = [
            |round| round.plain_s,
            |round| round.remote_s,
            |round| round.cpu_s,
            |round| round.resident_mib,
            |round| round.peak_mib,
        ];
        let of = |service| numbers.map(|number| self.median(service, number));
        let (sparks, ours) = (of("Spark"), of("ringrail"));
        let ratios = std::array::from_fn(|at| ours[at] / sparks[at]);
        for (name, row) in [("Spark", sparks), ("ringrail", ours), ("ratio", ratios)] {
            let [plain, remote, cpu, resident, peak] = row;
            writeln!(
                f,
                "  {name:<10} {plain:>9.2} {remote:>9.2} {cpu:>14.3} {resident:>9.2} {peak:>9.2}"
            )?;
        }
        Ok(())
    }
}
