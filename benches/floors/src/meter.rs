//! The client's stopwatch: which answers count, and how long each took.
//!
//! Clock reads are per batch, never per answer. Requests that leave in one send share a start time,
//! and answers that a receive completes share an end time, so a batch of equal latencies is
//! recorded at once.

use crate::usage::{self, Who};
use crate::workload::Length;
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Upper bound of the histogram of latencies, in nanoseconds.
const MAX_LATENCY_NS: u64 = 60_000_000_000;

/// The measurements of one client loop.
#[derive(Debug)]
pub struct Metered {
    /// Number of answers inside the window.
    pub ops: u64,
    /// Number of all answers, including those of the warm-up and of the drain.
    pub ops_in_all: u64,
    /// The window.
    pub elapsed: Duration,
    /// CPU seconds inside the window.
    pub cpu_s: f64,
    /// Latency of each of those answers.
    pub latency_ns: Histogram<u64>,
}

impl Metered {
    /// Adds what another thread measured at the same time.
    ///
    /// # Errors
    /// Never for meters of this module, whose histograms are alike.
    pub fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        self.ops += other.ops;
        self.ops_in_all += other.ops_in_all;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.cpu_s += other.cpu_s;
        self.latency_ns.add(&other.latency_ns)?;
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measuring,
    Done,
}

/// Counts answers of one client loop: warm-up first, then the window, then the drain.
#[derive(Debug)]
pub struct Meter {
    who: Who,
    length: Length,
    phase: Phase,
    started: Instant,
    cpu_at_start: f64,
    /// Answers in the current phase.
    ops: u64,
    measured: Metered,
}

impl Meter {
    /// A meter whose warm-up begins at `start`. Loops that share a workload share `start` and split
    /// the `Ops`.
    ///
    /// # Errors
    /// Never: the histogram's bounds are fixed and good.
    pub fn new(length: Length, who: Who, start: Instant) -> anyhow::Result<Self> {
        Ok(Self {
            who,
            length,
            phase: Phase::WarmUp,
            started: start,
            cpu_at_start: 0.0,
            ops: 0,
            measured: Metered {
                ops: 0,
                ops_in_all: 0,
                elapsed: Duration::ZERO,
                cpu_s: 0.0,
                latency_ns: Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3)?,
            },
        })
    }

    /// Whether the window has ended: issue nothing more, wait for the requests in flight.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Counts the answers that arrived at `now`, oldest first out of `sent`.
    #[inline]
    pub fn answered(&mut self, mut answers: u64, now: Instant, sent: &mut SendLog) {
        self.measured.ops_in_all += answers;
        if self.phase == Phase::Measuring {
            self.ops += answers;
            while let Some((count, at)) = sent.pop(answers) {
                let ns = now.duration_since(at).as_nanos() as u64;
                self.measured
                    .latency_ns
                    .saturating_record_n(ns.min(MAX_LATENCY_NS), count);
                answers -= count;
            }
        } else {
            self.ops += answers;
            sent.discard(answers);
        }
        self.advance(now);
    }

    #[inline]
    fn advance(&mut self, now: Instant) {
        let length = match self.phase {
            Phase::WarmUp => self.length.warm_up(),
            Phase::Measuring => self.length,
            Phase::Done => return,
        };
        let over = match length {
            Length::Ops(ops) => self.ops >= ops,
            Length::Seconds(seconds) => now.duration_since(self.started).as_secs_f64() >= seconds,
        };
        if over {
            self.next_phase(now);
        }
    }

    #[cold]
    fn next_phase(&mut self, now: Instant) {
        let cpu = usage::cpu_seconds(self.who);
        if self.phase == Phase::WarmUp {
            self.phase = Phase::Measuring;
            self.cpu_at_start = cpu;
        } else {
            self.phase = Phase::Done;
            self.measured.ops = self.ops;
            self.measured.elapsed = now.duration_since(self.started);
            self.measured.cpu_s = cpu - self.cpu_at_start;
        }
        self.started = now;
        self.ops = 0;
    }

    /// The measurements, once the window has ended.
    pub fn finish(self) -> Metered {
        self.measured
    }
}

/// When the requests in flight on one connection left, as runs of equal times.
#[derive(Debug)]
pub struct SendLog {
    runs: VecDeque<(u64, Instant)>,
}

impl SendLog {
    /// A log for `in_flight` requests at most.
    pub fn new(in_flight: u32) -> Self {
        Self {
            runs: VecDeque::with_capacity(in_flight as usize),
        }
    }

    /// `count` requests left at `at`.
    #[inline]
    pub fn push(&mut self, count: u64, at: Instant) {
        self.runs.push_back((count, at));
    }

    /// The oldest requests that left together, but at most `most` of them; nothing once `most` is 0
    /// or the log is empty.
    #[inline]
    fn pop(&mut self, most: u64) -> Option<(u64, Instant)> {
        match self.runs.front_mut() {
            _ if most == 0 => None,
            Some((count, at)) if *count > most => {
                *count -= most;
                Some((most, *at))
            }
            _ => self.runs.pop_front(),
        }
    }

    fn discard(&mut self, mut count: u64) {
        while let Some((popped, _)) = self.pop(count) {
            count -= popped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(length: Length, start: Instant) -> Meter {
        Meter::new(length, Who::Thread, start).expect("fixed bounds")
    }

    fn after(start: Instant, us: u64) -> Instant {
        start + Duration::from_micros(us)
    }

    #[test]
    fn warm_up_and_drain_are_not_counted() {
        let start = Instant::now();
        let mut meter = meter(Length::Ops(20), start);
        let mut log = SendLog::new(64);
        log.push(64, start);
        meter.answered(3, after(start, 10), &mut log); // the warm-up's two, and one more
        assert!(!meter.is_done());
        meter.answered(15, after(start, 20), &mut log);
        meter.answered(6, after(start, 30), &mut log);
        assert!(meter.is_done());
        meter.answered(40, after(start, 1000), &mut log);
        let measured = meter.finish();
        assert_eq!(measured.ops, 21);
        assert_eq!(measured.elapsed, Duration::from_micros(20));
        assert_eq!(measured.latency_ns.len(), 21);
        assert!(measured.latency_ns.max() < 31_000);
    }

    #[test]
    fn seconds_run_by_the_clock() {
        let start = Instant::now();
        let mut meter = meter(Length::Seconds(1.0), start);
        let mut log = SendLog::new(8);
        for (at_us, done) in [
            (50_000, false),
            (100_000, false),
            (1_099_999, false),
            (1_100_000, true),
        ] {
            log.push(1, start);
            meter.answered(1, after(start, at_us), &mut log);
            assert_eq!(meter.is_done(), done, "{at_us}");
        }
        let measured = meter.finish();
        assert_eq!(
            (measured.ops, measured.elapsed),
            (2, Duration::from_secs(1))
        );
    }

    #[test]
    fn each_answer_is_timed_from_its_own_send() {
        let start = Instant::now();
        let mut meter = meter(Length::Ops(1), start); // no warm-up
        let mut log = SendLog::new(8);
        meter.answered(0, start, &mut log);
        log.push(2, start);
        log.push(3, after(start, 100));
        meter.answered(4, after(start, 300), &mut log);
        let latency = meter.finish().latency_ns;
        let near = |us: u64| latency.count_between(us * 990, us * 1010);
        assert_eq!((near(300), near(200)), (2, 2));
        assert_eq!(log.pop(9), Some((1, after(start, 100))));
        assert_eq!(log.pop(9), None);
    }

    #[test]
    fn merging_adds_work_and_keeps_the_longest_window() {
        let start = Instant::now();
        let run = |us| {
            let mut meter = meter(Length::Ops(1), start);
            let mut log = SendLog::new(1);
            meter.answered(0, start, &mut log);
            log.push(1, start);
            meter.answered(1, after(start, us), &mut log);
            meter.finish()
        };
        let mut total = run(100);
        total.merge(&run(300)).expect("alike");
        assert_eq!((total.ops, total.elapsed), (2, Duration::from_micros(300)));
        assert_eq!(total.latency_ns.len(), 2);
    }
}
