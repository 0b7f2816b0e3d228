//! How long something took: counts in classes, four for each doubling from a microsecond on.

use std::time::Duration;

use ringrail_transport::metrics::{Counter, Gauge};

/// Classes: up to 2^32 µs, more than an hour; longer times count in the last.
const CLASSES: usize = 4 * 32;

/// Written by one thread, or under one lock.
#[derive(Debug)]
pub(in crate::shuffle) struct Latency {
    classes: [Counter; CLASSES],
    sum_ns: Counter,
    max_ns: Gauge,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            classes: std::array::from_fn(|_| Counter::default()),
            sum_ns: Counter::default(),
            max_ns: Gauge::default(),
        }
    }
}

impl Latency {
    /// Counts one that took so long.
    #[inline]
    pub(in crate::shuffle) fn record(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.classes[class_of(ns / 1000)].increment();
        self.sum_ns.add(ns);
        self.max_ns.raise_to(ns);
    }

    pub(super) fn add_to(&self, sum: &mut LatencySnapshot) {
        for (sum, class) in sum.classes.iter_mut().zip(&self.classes) {
            *sum += class.get();
        }
        sum.sum_ns += self.sum_ns.get();
        sum.max_ns = sum.max_ns.max(self.max_ns.get());
    }
}

fn class_of(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let doubling = us.ilog2() as usize;
    let quarter = (us >> (doubling - 2)) as usize & 3;
    (doubling * 4 + quarter - 4).min(CLASSES - 1)
}

/// The least time of a class, in µs.
fn begin_of(class: usize) -> u64 {
    if class < 4 {
        return class as u64;
    }
    let (doubling, quarter) = (class / 4 + 1, class as u64 % 4);
    (4 + quarter) << (doubling - 2)
}

/// How long something took, each time since the start.
#[derive(Clone, Debug)]
pub struct LatencySnapshot {
    classes: [u64; CLASSES],
    sum_ns: u64,
    max_ns: u64,
}

impl Default for LatencySnapshot {
    fn default() -> Self {
        Self {
            classes: [0; CLASSES],
            sum_ns: 0,
            max_ns: 0,
        }
    }
}

impl LatencySnapshot {
    /// How often.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// All of it together, in ms.
    pub fn sum_ms(&self) -> f64 {
        self.sum_ns as f64 / 1e6
    }

    /// The longest, in ms.
    pub fn max_ms(&self) -> f64 {
        self.max_ns as f64 / 1e6
    }

    /// The mean, in ms; 0 without samples.
    pub fn mean_ms(&self) -> f64 {
        self.sum_ms() / self.count().max(1) as f64
    }

    /// The quantile `part` (0 to 1) in ms: the upper bound of its class, at most a quarter too high, and never
    /// more than the maximum.
    pub fn percentile_ms(&self, part: f64) -> f64 {
        let rank = ((self.count() as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (class, count) in self.classes.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return (begin_of(class + 1) as f64 / 1e3).min(self.max_ms());
            }
        }
        self.max_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_class() {
        for us in (0..5000).chain((12..33).map(|shift| (1u64 << shift) - 1)) {
            let class = class_of(us);
            if class + 1 < CLASSES {
                assert!(
                    begin_of(class) <= us && us < begin_of(class + 1),
                    "{us} in {class}"
                );
            }
        }
        assert_eq!(class_of(u64::MAX), CLASSES - 1);
    }

    #[test]
    fn percentiles_are_at_most_a_quarter_too_much() {
        let latency = Latency::default();
        for us in 1..=1000 {
            latency.record(Duration::from_micros(us));
        }
        let mut sum = LatencySnapshot::default();
        latency.add_to(&mut sum);
        assert_eq!(sum.count(), 1000);
        assert!((sum.mean_ms() - 0.5005).abs() < 1e-9, "{}", sum.mean_ms());
        assert_eq!(sum.max_ms(), 1.0);
        for (part, exact) in [(0.5, 0.5), (0.95, 0.95), (0.999, 0.999)] {
            let found = sum.percentile_ms(part);
            assert!(
                found >= exact && found <= exact * 1.25 + 0.001,
                "{part}: {found}"
            );
        }
        assert_eq!(LatencySnapshot::default().percentile_ms(0.99), 0.0);
    }
}
