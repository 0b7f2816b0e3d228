//! The comparison of the services for people to read.

use std::fmt;

use super::{Blocks, Entry, Round};

impl Entry {
    fn median(&self, of: fn(&Round) -> f64) -> f64 {
        let mut numbers: Vec<_> = self.rounds.iter().map(of).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or_default()
    }

    fn medians(&self) -> [f64; 3] {
        let of: [fn(&Round) -> f64; 3] = [
            |round| round.gb_per_s,
            |round| round.server_s_per_gb,
            |round| round.client_s_per_gb,
        ];
        of.map(|of| self.median(of))
    }
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.entries.first().map_or(0, |entry| entry.rounds.len());
        writeln!(f, "{} (median of {rounds}; CPU in s/GB)", self.name)?;
        writeln!(
            f,
            "  {:<20} {:>7} {:>15} {:>8} {:>8} | of Spark < Spark: {:>5} {:>8} {:>8}",
            "service < client",
            "GB/s",
            "min .. max",
            "srv CPU",
            "cli CPU",
            "rate",
            "srv CPU",
            "cli CPU"
        )?;
        let reference = self.entries.first().map(Entry::medians).unwrap_or_default();
        for entry in &self.entries {
            let [rate, server, client] = entry.medians();
            let rates = || entry.rounds.iter().map(|round| round.gb_per_s);
            let range = format!(
                "{:.2} .. {:.2}",
                rates().fold(f64::INFINITY, f64::min),
                rates().fold(0.0, f64::max)
            );
            writeln!(
                f,
                "  {:<20} {rate:>7.2} {range:>15} {server:>8.3} {client:>8.3} | {:>22.2} {:>8.2} {:>8.2}",
                entry.name,
                rate / reference[0],
                server / reference[1],
                client / reference[2]
            )?;
        }
        Ok(())
    }
}
