//! `ringrail doctor`: what this kernel offers, what it means, how to mend it.

mod cost;

use std::process::ExitCode;

use clap::Args;
use ringrail::IoDriver;
use ringrail::transport::sys::probe::{Features, Finding, Needs, ProbeReport, probe};
use serde::Serialize;

use super::failure::{FAILED, Outcome};
use super::output;

/// Look at what this kernel and this process's limits offer
///
/// Tries what the engine needs (io_uring and its features, locked memory, descriptors, socket
/// settings), says what each thing means and how to mend what is missing. It says which driver shards would use, and
/// measures what io_uring saves over epoll here.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringrail doctor                                as `ringrail serve` would run by default
  ringrail doctor --shards 8 --connections 5000  for a server of that size
  ringrail doctor --json                         the findings as JSON

Exit codes: 0 the engine can run here, 1 it cannot, 2 wrong arguments.")]
pub(crate) struct Doctor {
    /// Shards to run; 0 means one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    shards: u32,
    /// Connections to hold
    #[arg(long, value_name = "N", default_value_t = 1024)]
    connections: u32,
    /// Do not measure the drivers, which takes about a second
    #[arg(long)]
    no_measure: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// The output of `--json`.
#[derive(Debug, Serialize)]
struct Diagnosis<'a> {
    ok: bool,
    kernel: Option<String>,
    worst: String,
    /// The driver that shards would use: `io_uring` or `epoll`.
    driver: &'static str,
    /// Measured on this machine; absent with `--no-measure`.
    drivers: Vec<cost::Cost>,
    features: Vec<&'static str>,
    findings: Vec<Item<'a>>,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    name: &'a str,
    state: String,
    detail: &'a str,
    meaning: &'a str,
    remedy: Option<&'a str>,
}

impl Doctor {
    pub(crate) fn run(self) -> Outcome {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = if self.shards == 0 {
            cpus as u32
        } else {
            self.shards
        };
        let needs = Needs {
            shards,
            connections: self.connections,
            ..Needs::default()
        };
        let report = probe(&needs);
        let costs = match self.no_measure || !report.minimum_met() {
            true => Vec::new(),
            false => cost::measure(report.driver)?,
        };
        if self.json {
            output::json(&diagnosis(&report, costs))?;
        } else {
            output::line(&report)?;
            output::line(format_args!("driver: {}", name_of(report.driver)))?;
            for cost in &costs {
                output::line(cost)?;
            }
        }
        Ok(if report.minimum_met() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    }
}

/// The word of a driver, as its key takes it.
fn name_of(driver: IoDriver) -> &'static str {
    match driver {
        IoDriver::Auto => "auto",
        IoDriver::IoUring => "io_uring",
        IoDriver::Epoll => "epoll",
    }
}

fn diagnosis(report: &ProbeReport, drivers: Vec<cost::Cost>) -> Diagnosis<'_> {
    Diagnosis {
        ok: report.minimum_met(),
        kernel: report.kernel.map(|kernel| kernel.to_string()),
        worst: report.worst().to_string(),
        driver: name_of(report.driver),
        drivers,
        features: names(&report.features),
        findings: report.findings.iter().map(item).collect(),
    }
}

fn item(finding: &Finding) -> Item<'_> {
    Item {
        name: finding.name,
        state: finding.state.to_string(),
        detail: &finding.detail,
        meaning: &finding.meaning,
        remedy: finding.remedy.as_deref(),
    }
}

/// The features that are there, by name.
fn names(features: &Features) -> Vec<&'static str> {
    let all = [
        ("registered_ring_fd", features.registered_ring_fd),
        ("incremental_buffers", features.incremental_buffers),
        ("msg_ring", features.msg_ring),
        ("splice", features.splice),
        ("fadvise", features.fadvise),
        ("socket", features.socket),
        ("send_zc", features.send_zc),
        ("cachestat", features.cachestat),
        ("nowait_reads", features.nowait_reads),
    ];
    all.into_iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| name)
        .collect()
}
