//! Rounds in turns, medians, and ratios to the best floor.

use super::candidate::Candidate;
use super::cores::Cores;
use super::error::HarnessError;
use super::load::{DISTURBED, wait_for_quiet};
use super::process::{Run, run_once};
use super::sample::{Sample, ratio};
use crate::workload::Workload;
use serde::Serialize;
use std::time::Duration;

/// How a comparison is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How often each candidate runs; the median of these counts. Odd numbers have a true middle.
    pub rounds: usize,
    /// How long to wait before each run for the cores to be quiet.
    pub wait_for_quiet: Duration,
    /// How often a run that others disturbed is repeated; the least disturbed counts.
    pub repeats: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: 5,
            wait_for_quiet: Duration::from_secs(10),
            repeats: 3,
        }
    }
}

/// One candidate's part of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The candidate's name.
    pub name: String,
    /// Whether others are measured against it.
    pub is_floor: bool,
    /// Median of all rounds, number by number.
    pub median: Sample,
    /// Every round, in order.
    pub rounds: Vec<Sample>,
    /// Additional values that the client reported in its last round.
    pub client_extra: serde_json::Map<String, serde_json::Value>,
    /// Additional values that the server reported in its last round.
    pub server_extra: serde_json::Map<String, serde_json::Value>,
    /// Its medians divided by those of the best floor, if there was one.
    pub of_best_floor: Option<Ratios>,
}

/// One candidate's medians divided by another's. More is better for `throughput`, less for
/// everything else; 0 stands for a number that the other does not have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratios {
    /// Answers per second.
    pub throughput: f64,
    /// Median latency.
    pub p50: f64,
    /// 99th percentile of the latency.
    pub p99: f64,
    /// The server's CPU time per answer, which is also its CPU time per byte.
    pub server_cpu: f64,
    /// The client's CPU time per answer, which is also its CPU time per byte.
    pub client_cpu: f64,
}

impl Ratios {
    /// `a` over `b`.
    #[must_use]
    pub fn between(a: &Sample, b: &Sample) -> Self {
        Self {
            throughput: ratio(a.ops_per_s, b.ops_per_s),
            p50: ratio(a.p50_us, b.p50_us),
            p99: ratio(a.p99_us, b.p99_us),
            server_cpu: ratio(a.server_us_per_op, b.server_us_per_op),
            client_cpu: ratio(a.client_us_per_op, b.client_us_per_op),
        }
    }
}

/// The results of measuring several candidates at the same work in the same sitting.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The workload's name.
    pub name: String,
    /// The work.
    pub workload: Workload,
    /// The candidates that can do it, in the order given.
    pub entries: Vec<Entry>,
    /// Name of the best floor: the lowest median latency of a ping-pong, the highest throughput
    /// otherwise.
    pub best_floor: Option<String>,
}

impl Comparison {
    /// The entry of that name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The medians of `name` over those of `other`, be that a floor or not.
    #[must_use]
    pub fn ratios(&self, name: &str, other: &str) -> Option<Ratios> {
        Some(Ratios::between(
            &self.entry(name)?.median,
            &self.entry(other)?.median,
        ))
    }

    fn new(workload: &Workload, entries: Vec<Entry>) -> Self {
        let mut comparison = Self {
            name: workload.to_string(),
            workload: workload.clone(),
            entries,
            best_floor: None,
        };
        let floors = comparison.entries.iter().filter(|entry| entry.is_floor);
        let best = floors.max_by(|a, b| {
            if workload.is_ping_pong() {
                b.median.p50_us.total_cmp(&a.median.p50_us)
            } else {
                a.median.ops_per_s.total_cmp(&b.median.ops_per_s)
            }
        });
        let Some((name, median)) = best.map(|best| (best.name.clone(), best.median)) else {
            return comparison;
        };
        for entry in &mut comparison.entries {
            entry.of_best_floor = Some(Ratios::between(&entry.median, &median));
        }
        comparison.best_floor = Some(name);
        comparison
    }
}

/// Runs every candidate that can do `workload`, in turns, and compares their medians.
///
/// # Errors
/// See [`HarnessError`]; the first run that fails ends the comparison.
pub fn measure(
    candidates: &[&dyn Candidate],
    workload: &Workload,
    plan: Plan,
) -> Result<Comparison, HarnessError> {
    measure_with(candidates, workload, plan, |candidate, workload| {
        wait_for_quiet(Cores::choose(workload.placement)?, plan.wait_for_quiet);
        run_once(candidate, workload)
    })
}

/// Repeats a run that others disturbed, and keeps the least disturbed.
fn run_undisturbed(
    repeats: usize,
    mut run: impl FnMut() -> Result<Run, HarnessError>,
) -> Result<Run, HarnessError> {
    let mut best = run()?;
    for _ in 0..repeats {
        if best.used_by_others <= DISTURBED {
            break;
        }
        let next = run()?;
        if next.used_by_others < best.used_by_others {
            best = next;
        }
    }
    Ok(best)
}

fn measure_with(
    candidates: &[&dyn Candidate],
    workload: &Workload,
    plan: Plan,
    mut run: impl FnMut(&dyn Candidate, &Workload) -> Result<Run, HarnessError>,
) -> Result<Comparison, HarnessError> {
    workload.validate()?;
    if plan.rounds == 0 {
        return Err(HarnessError::NoRounds);
    }
    let able: Vec<_> = candidates
        .iter()
        .filter(|candidate| candidate.supports(workload))
        .collect();
    if able.is_empty() {
        return Err(HarnessError::NoCandidates {
            workload: workload.to_string(),
        });
    }
    let mut entries: Vec<_> = able
        .iter()
        .map(|candidate| Entry::of(**candidate))
        .collect();
    for _ in 0..plan.rounds {
        for (candidate, entry) in able.iter().zip(&mut entries) {
            let run = run_undisturbed(plan.repeats, || run(**candidate, workload))?;
            entry.rounds.push(Sample::new(&entry.name, &run)?);
            entry.client_extra = run.client.extra;
            entry.server_extra = run.server.extra;
        }
    }
    for entry in &mut entries {
        entry.median = Sample::median(&entry.rounds);
    }
    Ok(Comparison::new(workload, entries))
}

impl Entry {
    fn of(candidate: &dyn Candidate) -> Self {
        Self {
            name: candidate.name().to_owned(),
            is_floor: candidate.is_floor(),
            median: Sample::default(),
            rounds: Vec::new(),
            client_extra: serde_json::Map::new(),
            server_extra: serde_json::Map::new(),
            of_best_floor: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ClientReport, ServerReport};
    use crate::workload::{Length, Placement, Wait, Work};
    use std::process::Command;

    struct Fake {
        name: &'static str,
        is_floor: bool,
        is_able: bool,
    }

    impl Candidate for Fake {
        fn name(&self) -> &str {
            self.name
        }
        fn is_floor(&self) -> bool {
            self.is_floor
        }
        fn supports(&self, _: &Workload) -> bool {
            self.is_able
        }
        fn server_cmd(&self, _: &Workload) -> Command {
            unreachable!("nothing is run")
        }
        fn client_cmd(&self, _: &Workload, _: &str) -> Command {
            unreachable!("nothing is run")
        }
    }

    fn fake(name: &'static str, is_floor: bool) -> Fake {
        Fake {
            name,
            is_floor,
            is_able: true,
        }
    }

    fn workload(in_flight: u32) -> Workload {
        let mut workload =
            Workload::ping_pong(64, Placement::TwoCores, Wait::Parked, Length::Ops(1));
        workload.work = Work::Rpc {
            size: 64,
            reply: 64,
        };
        workload.in_flight = in_flight;
        workload
    }

    fn plan(rounds: usize) -> Plan {
        Plan {
            rounds,
            ..Plan::default()
        }
    }

    fn report(ops: u64, p50_us: f64) -> Run {
        let client = ClientReport {
            ops,
            elapsed_s: 1.0,
            cpu_s: 1.0,
            p50_us,
            verified: true,
            ..ClientReport::default()
        };
        let server = ServerReport {
            cpu_s: 1.0,
            ..ServerReport::default()
        };
        Run {
            client,
            server,
            used_by_others: 0.0,
        }
    }

    /// Throughput and latency by candidate; the second round is a bad moment for all.
    fn run_fakes(in_flight: u32) -> (Comparison, Vec<String>) {
        let (fast, slow, product) = (
            fake("fast", true),
            fake("slow", true),
            fake("product", false),
        );
        let mut order = Vec::new();
        let comparison = measure_with(
            &[&fast, &slow, &product],
            &workload(in_flight),
            plan(3),
            |candidate, _| {
                order.push(candidate.name().to_owned());
                let weight = if (4..=6).contains(&order.len()) {
                    100
                } else {
                    1
                };
                let (ops, p50_us) = match candidate.name() {
                    "fast" => (4000, 20.0),
                    "slow" => (1000, 10.0),
                    _ => (2000, 15.0),
                };
                Ok(report(ops / weight, p50_us * weight as f64))
            },
        );
        (comparison.expect("fakes do not fail"), order)
    }

    #[test]
    fn candidates_take_turns() {
        let (_, order) = run_fakes(8);
        assert_eq!(order, ["fast", "slow", "product"].repeat(3));
    }

    #[test]
    fn ratios_are_of_medians_and_to_the_floor_with_the_most_throughput() {
        let (comparison, _) = run_fakes(8);
        assert_eq!(comparison.best_floor.as_deref(), Some("fast"));
        let product = comparison.entry("product").expect("it ran");
        assert_eq!(product.rounds.len(), 3);
        assert_eq!(product.median.ops_per_s, 2000.0);
        let ratios = product.of_best_floor.expect("there is a floor");
        assert_eq!((ratios.throughput, ratios.p50), (0.5, 0.75));
        assert_eq!((ratios.server_cpu, ratios.client_cpu), (2.0, 2.0));
        let to_slow = comparison.ratios("product", "slow").expect("both ran");
        assert_eq!((to_slow.throughput, to_slow.p50), (2.0, 1.5));
        assert!(comparison.ratios("product", "absent").is_none());
    }

    #[test]
    fn the_best_floor_of_a_ping_pong_is_the_quickest() {
        let (comparison, _) = run_fakes(1);
        assert_eq!(comparison.best_floor.as_deref(), Some("slow"));
    }

    #[test]
    fn who_cannot_do_the_work_is_left_out() {
        let unable = Fake {
            is_able: false,
            ..fake("unable", true)
        };
        let able = fake("able", false);
        let run = |_: &dyn Candidate, _: &Workload| Ok(report(1, 1.0));
        let one = measure_with(&[&unable, &able], &workload(1), Plan::default(), run)
            .expect("one is able");
        assert_eq!(one.entries.len(), 1);
        assert!(one.best_floor.is_none() && one.entries[0].of_best_floor.is_none());
        let none = measure_with(&[&unable], &workload(1), Plan::default(), run);
        assert!(matches!(none, Err(HarnessError::NoCandidates { .. })));
        let never = measure_with(&[&able], &workload(1), plan(0), run);
        assert!(matches!(never, Err(HarnessError::NoRounds)));
    }

    #[test]
    fn one_unverified_round_spoils_the_comparison() {
        let able = fake("able", false);
        let mut runs = 0;
        let result = measure_with(&[&able], &workload(1), plan(3), |_, _| {
            runs += 1;
            let mut run = report(1, 1.0);
            run.client.verified = runs != 2;
            Ok(run)
        });
        assert!(matches!(result, Err(HarnessError::NotMeasured { .. })));
        assert_eq!(runs, 2);
    }

    #[test]
    fn a_disturbed_run_is_repeated_and_the_least_disturbed_counts() {
        let kept = |others: &[f64]| {
            let mut runs = others.iter();
            let run = run_undisturbed(2, || {
                Ok(Run {
                    used_by_others: *runs.next().expect("no more runs than these"),
                    ..Run::default()
                })
            });
            (run.expect("no run fails").used_by_others, runs.len())
        };
        assert_eq!(kept(&[0.0, 0.5, 0.5]), (0.0, 2));
        assert_eq!(kept(&[0.5, 0.01, 0.5]), (0.01, 1));
        assert_eq!(kept(&[0.5, 0.3, 0.4]), (0.3, 0));
    }
}
