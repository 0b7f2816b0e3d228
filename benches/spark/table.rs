//! A comparison for people to read.

use std::fmt;

use ringrail_floors::harness::Sample;

use crate::rounds::{Comparison, Entry};

/// The pair that the others are compared with.
const REFERENCE: &str = "Spark < Spark";

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunks = self.workload.source().is_some();
        let (rate, cpu) = if chunks {
            ("GB/s", "s/GB")
        } else {
            ("k calls/s", "us/call")
        };
        let rounds = self.entries.first().map_or(0, |entry| entry.rounds.len());
        writeln!(f, "{} (median of {rounds}; CPU in {cpu})", self.name)?;
        writeln!(
            f,
            "  {:<19} {rate:>9} {:>17} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6} | of {REFERENCE}: {:>5} {:>6} {:>6} {:>7} | of floor: {:>5} {:>7}",
            "server < client",
            "min .. max",
            "p50 us",
            "p99",
            "p99.9",
            "srv CPU",
            "cli CPU",
            "others",
            "rate",
            "p99",
            "p99.9",
            "srv CPU",
            "rate",
            "srv CPU"
        )?;
        let reference = self.entries.iter().find(|entry| entry.name == REFERENCE);
        for entry in &self.entries {
            row(f, chunks, entry, reference, self.best_floor())?;
        }
        Ok(())
    }
}

impl Comparison {
    /// The floor that costs its server least: throughput is mostly the client's.
    fn best_floor(&self) -> Option<&Entry> {
        let floors = self.entries.iter().filter(|entry| entry.is_floor);
        floors.min_by(|a, b| {
            let cpu = |entry: &Entry| entry.median.server_us_per_op;
            cpu(a).total_cmp(&cpu(b))
        })
    }
}

fn row(
    f: &mut fmt::Formatter<'_>,
    chunks: bool,
    entry: &Entry,
    reference: Option<&Entry>,
    floor: Option<&Entry>,
) -> fmt::Result {
    let rate = |sample: &Sample| match chunks {
        true => sample.gb_per_s,
        false => sample.ops_per_s / 1e3,
    };
    let cpu = |per_gb: f64, per_op: f64| if chunks { per_gb } else { per_op };
    let least = entry.rounds.iter().map(rate).fold(f64::INFINITY, f64::min);
    let most = entry.rounds.iter().map(rate).fold(0.0, f64::max);
    let median = &entry.median;
    write!(
        f,
        "  {:<19} {:>9.2} {:>17} {:>8.1} {:>8.1} {:>8.1} {:>8.3} {:>8.3} {:>5.0}%",
        entry.name,
        rate(median),
        format!("{least:.2} .. {most:.2}"),
        median.p50_us,
        median.p99_us,
        median.p999_us,
        cpu(median.server_s_per_gb, median.server_us_per_op),
        cpu(median.client_s_per_gb, median.client_us_per_op),
        median.used_by_others * 100.0,
    )?;
    if let Some(Entry { median: other, .. }) = reference {
        write!(
            f,
            " | {:>20.2} {:>6.2} {:>6.2} {:>7.2}",
            median.ops_per_s / other.ops_per_s,
            median.p99_us / other.p99_us,
            median.p999_us / other.p999_us,
            median.server_us_per_op / other.server_us_per_op,
        )?;
    }
    if let Some(Entry { median: other, .. }) = floor {
        write!(
            f,
            " | {:>15.2} {:>7.2}",
            median.ops_per_s / other.ops_per_s,
            median.server_us_per_op / other.server_us_per_op,
        )?;
    }
    writeln!(f)
}
