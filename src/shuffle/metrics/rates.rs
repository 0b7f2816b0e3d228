//! Rates as Dropwizard's `Meter` has them: moving averages that forget exponentially.

use std::time::{Duration, Instant};

use super::ShuffleMetrics;

/// How often the averages are brought up to date, as Dropwizard does.
pub(in crate::shuffle) const TICK: Duration = Duration::from_secs(5);

/// Events per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// Number of events so far.
    pub count: u64,
    /// Since the start.
    pub mean: f64,
    /// Over about a minute.
    pub one_minute: f64,
    /// Over about five minutes.
    pub five_minutes: f64,
    /// Over about fifteen minutes.
    pub fifteen_minutes: f64,
}

impl Rate {
    /// `count` as of now, one [`TICK`] after the last time.
    fn tick(&mut self, count: u64, first: bool) {
        let recent = count.saturating_sub(self.count) as f64 / TICK.as_secs_f64();
        self.count = count;
        let averages = [
            (&mut self.one_minute, 1.0),
            (&mut self.five_minutes, 5.0),
            (&mut self.fifteen_minutes, 15.0),
        ];
        for (average, minutes) in averages {
            let weight = 1.0 - (-TICK.as_secs_f64() / 60.0 / minutes).exp();
            *average = if first {
                recent
            } else {
                *average + weight * (recent - *average)
            };
        }
    }

    fn now(self, count: u64, elapsed: Duration) -> Self {
        Self {
            count,
            mean: count as f64 / elapsed.as_secs_f64().max(1e-9),
            ..self
        }
    }
}

/// The rates of a service.
#[derive(Debug)]
pub(super) struct Rates {
    since: Instant,
    ticked: bool,
    blocks: Rate,
    chunks: Rate,
    bytes: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            ticked: false,
            blocks: Rate::default(),
            chunks: Rate::default(),
            bytes: Rate::default(),
        }
    }
}

impl Rates {
    pub(super) fn tick(&mut self, now: &ShuffleMetrics) {
        let first = !std::mem::replace(&mut self.ticked, true);
        self.blocks.tick(now.blocks, first);
        self.chunks.tick(now.chunks(), first);
        self.bytes.tick(now.chunk_bytes(), first);
    }

    pub(super) fn fill(&self, sum: &mut ShuffleMetrics) {
        let elapsed = self.since.elapsed();
        sum.block_rate = self.blocks.now(sum.blocks, elapsed);
        sum.chunk_rate = self.chunks.now(sum.chunks(), elapsed);
        sum.byte_rate = self.bytes.now(sum.chunk_bytes(), elapsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_begin_with_the_first_rate_and_forget_by_their_time() {
        let mut rate = Rate::default();
        rate.tick(500, true);
        assert_eq!((rate.one_minute, rate.fifteen_minutes), (100.0, 100.0));
        // A minute of nothing leaves 1/e of it in the average over one minute, and e^-0.2 in that over five.
        for _ in 0..12 {
            rate.tick(500, false);
        }
        assert!((rate.one_minute - 100.0 / std::f64::consts::E).abs() < 1e-9);
        assert!((rate.five_minutes - 100.0 * (-0.2f64).exp()).abs() < 1e-9);
        assert_eq!(rate.now(500, Duration::from_secs(10)).mean, 50.0);
    }
}
