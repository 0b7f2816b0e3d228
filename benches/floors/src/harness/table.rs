//! A comparison for people to read.

use super::compare::{Comparison, Entry};
use std::fmt;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.entries.first().map_or(0, |entry| entry.rounds.len());
        let by_byte = self.workload.source().is_some();
        let (rate, cpu) = if by_byte {
            ("GB/s", "s/GB")
        } else {
            ("k calls/s", "µs/call")
        };
        writeln!(f, "{} (median of {rounds})", self.name)?;
        writeln!(
            f,
            "  {:<14} {:>10} {:>21} {:>9} {:>9} {:>9} {:>9} {:>9}  of the best floor: rate, p50, server, client CPU",
            "", rate, "min .. max", "p50 µs", "p99 µs", "p99.9 µs", "srv", "cli"
        )?;
        writeln!(
            f,
            "  {:<14} {:>10} {:>21} {:>9} {:>9} {:>9} {cpu:>9} {cpu:>9}",
            "", "", "", "", "", ""
        )?;
        self.entries
            .iter()
            .try_for_each(|entry| self.row(f, entry, by_byte))
    }
}

impl Comparison {
    fn row(&self, f: &mut fmt::Formatter<'_>, entry: &Entry, by_byte: bool) -> fmt::Result {
        let rate = |sample: &super::Sample| {
            if by_byte {
                sample.gb_per_s
            } else {
                sample.ops_per_s / 1e3
            }
        };
        let lowest = entry.rounds.iter().map(rate).fold(f64::INFINITY, f64::min);
        let highest = entry.rounds.iter().map(rate).fold(0.0, f64::max);
        let median = &entry.median;
        let (server, client) = if by_byte {
            (median.server_s_per_gb, median.client_s_per_gb)
        } else {
            (median.server_us_per_op, median.client_us_per_op)
        };
        write!(
            f,
            "  {:<14} {:>10.2} {:>21} {:>9.1} {:>9.1} {:>9.1} {server:>9.3} {client:>9.3}",
            entry.name,
            rate(median),
            format!("{lowest:.2} .. {highest:.2}"),
            median.p50_us,
            median.p99_us,
            median.p999_us,
        )?;
        match (&entry.of_best_floor, &self.best_floor) {
            (Some(_), Some(best)) if *best == entry.name => writeln!(f, "  best floor"),
            (Some(r), _) => writeln!(
                f,
                "  {:.2}, {:.2}, {:.2}, {:.2}",
                r.throughput, r.p50, r.server_cpu, r.client_cpu
            ),
            (None, _) => writeln!(f),
        }
    }
}
