//! Reports as people read them, and as programs do.

use std::fmt;
use std::time::Duration;

use ringrail::rpc::{EndpointReport, EnvReport};
use serde::Serialize;

/// An endpoint, for `--json`; times in ns.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    name: &'a str,
    host: &'a str,
    handled: u64,
    failed: u64,
    refused: u64,
    depth: u64,
    depth_max: u64,
    age_ns: u64,
    age_max_ns: u64,
}

/// An env, for `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    name: &'a str,
    shards: u32,
    endpoints: Vec<Row<'a>>,
}

impl<'a> From<&'a EnvReport> for Document<'a> {
    fn from(report: &'a EnvReport) -> Self {
        Self {
            name: &report.name,
            shards: report.shards,
            endpoints: report.endpoints.iter().map(Row::from).collect(),
        }
    }
}

impl<'a> From<&'a EndpointReport> for Row<'a> {
    fn from(report: &'a EndpointReport) -> Self {
        Self {
            name: &report.name,
            host: &report.host,
            handled: report.handled,
            failed: report.failed,
            refused: report.refused,
            depth: report.depth,
            depth_max: report.depth_max,
            age_ns: report.age_ns,
            age_max_ns: report.age_max_ns,
        }
    }
}

/// A time in the unit that fits it.
pub(super) struct Time(pub(super) u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("-");
        }
        f.pad(&format!("{:.1?}", Duration::from_nanos(self.0)))
    }
}

/// The endpoints of an env, a line each.
pub(super) struct Endpoints<'a>(pub(super) &'a EnvReport);

impl fmt::Display for Endpoints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let count = report.endpoints.len();
        writeln!(
            f,
            "{}: {} shards, {count} endpoints (one line per instance)",
            report.name, report.shards
        )?;
        let names = report.endpoints.iter().map(|it| it.name.len());
        let width = names.max().unwrap_or(0).max("endpoint".len());
        write!(
            f,
            "{:width$}  {:20} {:>12} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10}",
            "endpoint",
            "thread",
            "handled",
            "failed",
            "refused",
            "waiting",
            "at most",
            "for",
            "at most"
        )?;
        for it in &report.endpoints {
            write!(
                f,
                "\n{:width$}  {:20} {:>12} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10}",
                it.name,
                it.host,
                it.handled,
                it.failed,
                it.refused,
                it.depth,
                it.depth_max,
                Time(it.age_ns),
                Time(it.age_max_ns)
            )?;
        }
        Ok(())
    }
}
