//! One round's numbers, and the medians of several.

use super::error::HarnessError;
use super::process::Run;
use serde::{Deserialize, Serialize};

/// The measurements of one run, or the median of several runs, number by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Answers per second.
    pub ops_per_s: f64,
    /// Payload of those answers, in units of 10⁹ bytes per second.
    pub gb_per_s: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: f64,
    /// 99.9th percentile of the latency in microseconds.
    pub p999_us: f64,
    /// The server's CPU time per answer, in microseconds.
    pub server_us_per_op: f64,
    /// The client's CPU time per answer, in microseconds.
    pub client_us_per_op: f64,
    /// The server's CPU seconds per 10⁹ payload bytes; 0 if there were none.
    pub server_s_per_gb: f64,
    /// The client's CPU seconds per 10⁹ payload bytes; 0 if there were none.
    pub client_s_per_gb: f64,
    /// The fraction of the cores' time that others used meanwhile.
    pub used_by_others: f64,
}

impl Sample {
    /// The numbers of one run.
    ///
    /// # Errors
    /// [`HarnessError::NotMeasured`] if the client did not verify its answers, or got none, or took
    /// no time.
    pub fn new(candidate: &str, run: &Run) -> Result<Self, HarnessError> {
        let Run { client, server, .. } = run;
        let refuse = |what| {
            Err(HarnessError::NotMeasured {
                candidate: candidate.to_owned(),
                what,
            })
        };
        if !client.verified {
            return refuse("unverified answers");
        }
        if client.ops == 0 {
            return refuse("no answers");
        }
        if client.elapsed_s.is_nan() || client.elapsed_s <= 0.0 {
            return refuse("no time");
        }
        let server_ops = server.ops.unwrap_or(client.ops) as f64;
        let server_bytes = server.bytes.unwrap_or(client.bytes) as f64;
        Ok(Self {
            ops_per_s: client.ops as f64 / client.elapsed_s,
            gb_per_s: client.bytes as f64 / client.elapsed_s / 1e9,
            p50_us: client.p50_us,
            p99_us: client.p99_us,
            p999_us: client.p999_us,
            server_us_per_op: ratio(server.cpu_s * 1e6, server_ops),
            client_us_per_op: ratio(client.cpu_s * 1e6, client.ops as f64),
            server_s_per_gb: ratio(server.cpu_s * 1e9, server_bytes),
            client_s_per_gb: ratio(client.cpu_s * 1e9, client.bytes as f64),
            used_by_others: run.used_by_others,
        })
    }

    /// The median of each number by itself; all zero if there are no samples.
    #[must_use]
    pub fn median(samples: &[Self]) -> Self {
        let of = |number: fn(&Self) -> f64| median(samples.iter().map(number).collect());
        Self {
            ops_per_s: of(|s| s.ops_per_s),
            gb_per_s: of(|s| s.gb_per_s),
            p50_us: of(|s| s.p50_us),
            p99_us: of(|s| s.p99_us),
            p999_us: of(|s| s.p999_us),
            server_us_per_op: of(|s| s.server_us_per_op),
            client_us_per_op: of(|s| s.client_us_per_op),
            server_s_per_gb: of(|s| s.server_s_per_gb),
            client_s_per_gb: of(|s| s.client_s_per_gb),
            used_by_others: of(|s| s.used_by_others),
        }
    }
}

/// `a / b`, and 0 where nothing was done.
pub(super) fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// The middle number; the mean of the two middle ones if their count is even.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => 0.0,
        n if n % 2 == 1 => numbers[middle],
        _ => f64::midpoint(numbers[middle - 1], numbers[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ClientReport, ServerReport};

    fn run(server: ServerReport) -> Run {
        let client = ClientReport {
            ops: 1000,
            bytes: 64_000,
            elapsed_s: 0.5,
            cpu_s: 0.2,
            p50_us: 10.0,
            p99_us: 20.0,
            p999_us: 30.0,
            verified: true,
            ..ClientReport::default()
        };
        Run {
            client,
            server,
            used_by_others: 0.25,
        }
    }

    #[test]
    fn rates_and_costs_follow_from_the_reports() {
        let server = ServerReport {
            cpu_s: 0.3,
            ops: Some(1500), // the warm-up's are the server's work too
            bytes: Some(96_000),
            ..ServerReport::default()
        };
        let sample = Sample::new("x", &run(server)).expect("a good run");
        assert_eq!((sample.ops_per_s, sample.used_by_others), (2000.0, 0.25));
        assert!((sample.gb_per_s - 0.000_128).abs() < 1e-12);
        assert!((sample.server_us_per_op - 200.0).abs() < 1e-9);
        assert!((sample.client_us_per_op - 200.0).abs() < 1e-9);
        assert!((sample.server_s_per_gb - 3125.0).abs() < 1e-9);
        assert!((sample.client_s_per_gb - 3125.0).abs() < 1e-9);
    }

    #[test]
    fn the_clients_count_stands_in_for_the_servers() {
        let server = ServerReport {
            cpu_s: 0.3,
            ..ServerReport::default()
        };
        let sample = Sample::new("x", &run(server)).expect("a good run");
        assert!((sample.server_us_per_op - 300.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_that_measured_nothing_is_refused() {
        let refused = |change: fn(&mut ClientReport)| {
            let mut run = run(ServerReport::default());
            change(&mut run.client);
            match Sample::new("x", &run) {
                Err(HarnessError::NotMeasured { what, .. }) => what,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(|c| c.verified = false), "unverified answers");
        assert_eq!(refused(|c| c.ops = 0), "no answers");
        assert_eq!(refused(|c| c.elapsed_s = 0.0), "no time");
        assert_eq!(refused(|c| c.elapsed_s = f64::NAN), "no time");
    }

    #[test]
    fn the_median_ignores_the_one_bad_round() {
        assert_eq!(median(vec![3.0, 1.0, 1000.0, 2.0, 2.5]), 2.5);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(vec![7.0]), 7.0);
        assert_eq!(median(vec![]), 0.0);
        let at = |p50_us, p99_us| Sample {
            p50_us,
            p99_us,
            ..Sample::default()
        };
        let middle = Sample::median(&[at(1.0, 9.0), at(2.0, 7.0), at(3.0, 8.0)]);
        assert_eq!(
            (middle.p50_us, middle.p99_us),
            (2.0, 8.0),
            "each number by itself"
        );
    }
}
