//! `ringrail rpc watch`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ringrail::rpc::{EnvReport, RpcAddress, RpcEnv};
use serde::Serialize;

use crate::cli::failure::Outcome;
use crate::cli::output;

use super::table::Time;

/// Watch what an environment handles per second, and what waits, until it is interrupted
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Address of the env: rail://host:port
    address: RpcAddress,
    /// Time between two reports, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(10..))]
    interval_ms: u64,
    /// Looks before it ends by itself
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print one line of JSON per look
    #[arg(long)]
    json: bool,
}

/// All instances of an endpoint together, between two looks.
#[derive(Debug, Default, Serialize)]
struct Row {
    handled: u64,
    handled_per_s: f64,
    failed: u64,
    refused: u64,
    waiting: u64,
    waiting_for_ns: u64,
}

#[derive(Serialize)]
struct Look<'a> {
    name: &'a str,
    endpoints: &'a BTreeMap<String, Row>,
}

impl Watch {
    pub(super) fn run(&self, env: &RpcEnv) -> Outcome {
        let inspector = super::inspector(env, &self.address)?;
        let every = Duration::from_millis(self.interval_ms);
        let mut before = (super::inspect(&inspector)?, Instant::now());
        let mut looks = 0;
        while self.count.is_none_or(|count| looks < count) {
            looks += 1;
            std::thread::sleep(every);
            let report = super::inspect(&inspector)?;
            let now = Instant::now();
            let rows = rows(&report, &before.0, now - before.1);
            self.show(&report, &rows)?;
            before = (report, now);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn show(
        &self,
        report: &EnvReport,
        rows: &BTreeMap<String, Row>,
    ) -> Result<(), crate::cli::failure::Failure> {
        if self.json {
            let look = Look {
                name: &report.name,
                endpoints: rows,
            };
            return output::line(serde_json::to_string(&look)?);
        }
        let width = rows.keys().map(String::len).max().unwrap_or(0).max(8);
        let mut text = String::new();
        if std::io::stdout().is_terminal() {
            // Home, and away with what stood there.
            text.push_str("\x1b[H\x1b[2J");
        }
        text.push_str(&format!(
            "{} at {}\n{:width$} {:>12} {:>14} {:>8} {:>8} {:>8} {:>10}",
            report.name,
            self.address,
            "endpoint",
            "per second",
            "handled",
            "failed",
            "refused",
            "waiting",
            "for"
        ));
        for (name, row) in rows {
            text.push_str(&format!(
                "\n{name:width$} {:>12.1} {:>14} {:>8} {:>8} {:>8} {:>10}",
                row.handled_per_s,
                row.handled,
                row.failed,
                row.refused,
                row.waiting,
                Time(row.waiting_for_ns)
            ));
        }
        output::line(text)
    }
}

/// Differences between two reports, by endpoint.
fn rows(now: &EnvReport, before: &EnvReport, passed: Duration) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for it in &now.endpoints {
        let row = rows.entry(it.name.clone()).or_default();
        row.handled += it.handled;
        row.failed += it.failed;
        row.refused += it.refused;
        row.waiting += it.depth;
        row.waiting_for_ns = row.waiting_for_ns.max(it.age_ns);
    }
    for (name, row) in &mut rows {
        let earlier = before.endpoints.iter().filter(|it| it.name == *name);
        let earlier: u64 = earlier.map(|it| it.handled).sum();
        let handled = row.handled.saturating_sub(earlier);
        row.handled_per_s = handled as f64 / passed.as_secs_f64().max(1e-9);
    }
    rows
}
