//! A comparison for people to read.

use super::compare::{Comparison, Entry};
use super::sample::Sample;
use std::fmt;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.entries.first().map_or(0, |entry| entry.rounds.len());
        let units = Units::of(self);
        writeln!(
            f,
            "{} (median of {rounds}; CPU in {}; last columns: divided by the best floor's)",
            self.name, units.cpu_name
        )?;
        writeln!(
            f,
            "  {:<12} {:>10} {:>21} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} | {:>5} {:>5} {:>7} {:>7}",
            "",
            units.rate_name,
            "min .. max",
            "p50 µs",
            "p99",
            "p99.9",
            "srv CPU",
            "cli CPU",
            "others",
            "rate",
            "p50",
            "srv CPU",
            "cli CPU"
        )?;
        self.entries
            .iter()
            .try_for_each(|entry| row(f, entry, &units))
    }
}

/// Chunks are reported in bytes, RPCs in calls.
struct Units {
    rate_name: &'static str,
    cpu_name: &'static str,
    rate: fn(&Sample) -> f64,
    server_cpu: fn(&Sample) -> f64,
    client_cpu: fn(&Sample) -> f64,
}

impl Units {
    fn of(comparison: &Comparison) -> Self {
        if comparison.workload.source().is_some() {
            Self {
                rate_name: "GB/s",
                cpu_name: "s/GB",
                rate: |sample| sample.gb_per_s,
                server_cpu: |sample| sample.server_s_per_gb,
                client_cpu: |sample| sample.client_s_per_gb,
            }
        } else {
            Self {
                rate_name: "k calls/s",
                cpu_name: "µs/call",
                rate: |sample| sample.ops_per_s / 1e3,
                server_cpu: |sample| sample.server_us_per_op,
                client_cpu: |sample| sample.client_us_per_op,
            }
        }
    }
}

fn row(f: &mut fmt::Formatter<'_>, entry: &Entry, units: &Units) -> fmt::Result {
    let lowest = entry
        .rounds
        .iter()
        .map(units.rate)
        .fold(f64::INFINITY, f64::min);
    let highest = entry.rounds.iter().map(units.rate).fold(0.0, f64::max);
    let median = &entry.median;
    write!(
        f,
        "  {:<12} {:>10.2} {:>21} {:>8.1} {:>8.1} {:>8.1} {:>8.3} {:>8.3} {:>6.0}% |",
        entry.name,
        (units.rate)(median),
        format!("{lowest:.2} .. {highest:.2}"),
        median.p50_us,
        median.p99_us,
        median.p999_us,
        (units.server_cpu)(median),
        (units.client_cpu)(median),
        median.used_by_others * 100.0,
    )?;
    if let Some(ratios) = &entry.of_best_floor {
        write!(
            f,
            " {:>5.2} {:>5.2} {:>7.2} {:>7.2}",
            ratios.throughput, ratios.p50, ratios.server_cpu, ratios.client_cpu
        )?;
    }
    writeln!(f)
}
