//! Rounds in turns: every pair once, then again, so that all share the machine's good and bad
//! moments; medians, and ratios to Spark with itself and to the best floor.

use std::time::{Duration, Instant};

use anyhow::Context;
use ringrail_floors::harness::{Cores, HarnessError, Run, Sample, Watch, wait_for_quiet};
use ringrail_floors::report::ServerReport;
use ringrail_floors::usage::cpu_seconds_of;
use ringrail_floors::workload::{Length, Placement, Workload};
use ringrail_spark_peers::Install;
use serde::Serialize;

use crate::pairs::{Client, Pair, Server};
use crate::side::{Listening, Processes};

/// How often and how long.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) warm_up: f64,
    /// How long to wait for quiet cores before a run.
    pub(crate) patience: Duration,
}

/// The results of one pair.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_floor: bool,
    pub(crate) median: Sample,
    pub(crate) rounds: Vec<Sample>,
}

/// The results of all pairs.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) name: String,
    #[serde(skip)]
    pub(crate) workload: Workload,
    pub(crate) entries: Vec<Entry>,
}

/// The processes under measurement: the Java processes live as long as this value.
pub(crate) struct Field {
    processes: Processes,
}

impl Field {
    /// Starts Java.
    pub(crate) fn new(install: &Install) -> anyhow::Result<Self> {
        let cores = Cores::choose(Placement::TwoCores)?;
        Ok(Self {
            processes: Processes::start(install, cores)?,
        })
    }

    /// Measures every pair at `workload`.
    pub(crate) fn measure(
        &mut self,
        workload: &Workload,
        plan: &Plan,
    ) -> anyhow::Result<Comparison> {
        let pairs = Pair::all(workload);
        let mut servers: Vec<(Server, Listening)> = Vec::new();
        for pair in &pairs {
            if servers.iter().all(|(server, _)| *server != pair.server) {
                let listening = self.processes.serve(pair.server, workload)?;
                servers.push((pair.server, listening));
            }
        }
        let mut entries: Vec<_> = pairs.iter().map(|pair| Entry::new(*pair)).collect();
        let mut warm_up = workload.clone();
        warm_up.length = Length::Seconds(plan.warm_up);
        for round in 0..=plan.rounds {
            for (pair, entry) in pairs.iter().zip(&mut entries) {
                let work = if round == 0 { &warm_up } else { workload };
                let server = servers.iter().find(|(server, _)| *server == pair.server);
                let (_, server) = server.context("every server has been started")?;
                wait_for_quiet(self.processes.cores, plan.patience);
                let sample = self
                    .run(*pair, server, work)
                    .with_context(|| format!("{}, {workload}", entry.name))?;
                if round > 0 {
                    entry.rounds.push(sample);
                }
            }
        }
        self.processes.stop_java()?;
        for entry in &mut entries {
            entry.median = Sample::median(&entry.rounds);
        }
        Ok(Comparison {
            name: workload.to_string(),
            workload: workload.clone(),
            entries,
        })
    }

    /// One run. The server's CPU time is read from outside, before and after, so that no process
    /// measures itself; it is divided by all answers, those of the warm-up included.
    fn run(
        &self,
        pair: Pair,
        server: &Listening,
        workload: &Workload,
    ) -> Result<Sample, anyhow::Error> {
        let processes = &self.processes;
        let watch = Watch::start(processes.cores);
        let started = Instant::now();
        let mut java = 0.0;
        if pair.client == Client::Spark {
            java -= cpu_seconds_of(processes.java_client.id())?;
        }
        let before = cpu_seconds_of(server.pid())?;
        let client = processes.load(pair.client, workload, server.port())?;
        let cpu_s = cpu_seconds_of(server.pid())? - before;
        if pair.client == Client::Spark {
            java += cpu_seconds_of(processes.java_client.id())?;
        }
        // The CPU time of processes that have ended is not part of the others' time.
        let whole = started.elapsed().as_secs_f64() * 2.0;
        let used_by_others = (watch.used_by_others() - (cpu_s + java) / whole).max(0.0);
        let ops = client.extra["ops_in_all"].as_u64();
        let run = Run {
            server: ServerReport {
                cpu_s,
                ops,
                bytes: ops.map(|ops| ops * u64::from(workload.answer_size())),
                ..ServerReport::default()
            },
            client,
            used_by_others,
        };
        Sample::new(&pair.name(), &run).map_err(|error: HarnessError| error.into())
    }
}

impl Entry {
    fn new(pair: Pair) -> Self {
        Self {
            name: pair.name(),
            is_floor: pair.is_floor(),
            median: Sample::default(),
            rounds: Vec::new(),
        }
    }
}
