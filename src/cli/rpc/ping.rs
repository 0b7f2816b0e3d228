//! `ringrail rpc ping`.

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use hdrhistogram::Histogram;
use ringrail::rpc::{Ping as Message, RpcAddress, RpcEndpointRef, RpcEnv, RpcError};
use serde::Serialize;

use crate::cli::failure::{FAILED, Outcome};
use crate::cli::output;
use crate::cli::size::Size;

/// Upper bound of the histogram of round trips, in nanoseconds.
const LONGEST_NS: u64 = 600_000_000_000;

/// Measure round trips to an environment: asks of its inspector, one after the other
#[derive(Debug, Args)]
pub(super) struct Ping {
    /// Address of the env: rail://host:port
    address: RpcAddress,
    /// Round trips
    #[arg(long, short = 'c', value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Wait between them, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    interval_ms: u64,
    /// Bytes that go there and come back
    #[arg(long, value_name = "SIZE", default_value = "64")]
    size: Size,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    address: String,
    size: u64,
    sent: u32,
    answered: u64,
    min_us: f64,
    mean_us: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

impl Ping {
    pub(super) fn run(&self, env: &RpcEnv) -> Outcome {
        let inspector = super::inspector(env, &self.address)?;
        let mut times =
            Histogram::new_with_bounds(1, LONGEST_NS, 3).context("making a histogram")?;
        // The first one connects.
        self.once(&inspector, &mut None)
            .map_err(super::unanswered)?;
        let mut failed = None;
        for at in 0..self.count {
            if at > 0 && self.interval_ms > 0 {
                std::thread::sleep(Duration::from_millis(self.interval_ms));
            }
            if let Err(error) = self.once(&inspector, &mut Some(&mut times)) {
                eprintln!("ping {}: {error}", at + 1);
                failed = Some(error);
            }
        }
        let report = self.report(&times);
        if self.json {
            output::json(&report)?;
        } else {
            output::line(&report)?;
        }
        match failed {
            Some(error) if times.is_empty() => Err(super::unanswered(error)),
            Some(_) => Ok(ExitCode::from(FAILED)),
            None => Ok(ExitCode::SUCCESS),
        }
    }

    fn once(
        &self,
        inspector: &RpcEndpointRef,
        times: &mut Option<&mut Histogram<u64>>,
    ) -> Result<(), RpcError> {
        let payload = vec![0x5a; usize::try_from(self.size.0).unwrap_or(usize::MAX)];
        let asked = Instant::now();
        let answer = inspector.ask_blocking(Message { payload })?;
        let took = asked.elapsed();
        if answer.len() as u64 != self.size.0 || answer.iter().any(|&byte| byte != 0x5a) {
            return Err(RpcError::other("the answer is not what was sent"));
        }
        if let Some(times) = times {
            times.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn report(&self, times: &Histogram<u64>) -> Report {
        let us = |ns: u64| ns as f64 / 1000.0;
        Report {
            address: self.address.url(),
            size: self.size.0,
            sent: self.count,
            answered: times.len(),
            min_us: us(times.min()),
            mean_us: times.mean() / 1000.0,
            p50_us: us(times.value_at_quantile(0.5)),
            p90_us: us(times.value_at_quantile(0.9)),
            p99_us: us(times.value_at_quantile(0.99)),
            p999_us: us(times.value_at_quantile(0.999)),
            max_us: us(times.max()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} of {} answered, {} bytes each way",
            self.address, self.answered, self.sent, self.size
        )?;
        write!(
            f,
            "round trip in us: min {:.1}  mean {:.1}  p50 {:.1}  p90 {:.1}  p99 {:.1}  p99.9 {:.1}  max {:.1}",
            self.min_us,
            self.mean_us,
            self.p50_us,
            self.p90_us,
            self.p99_us,
            self.p999_us,
            self.max_us
        )
    }
}
