//! Detection of other load on the cores: a concurrent build makes a baseline look slow, and a
//! ratio arbitrary.

use super::cores::Cores;
use crate::usage::{Who, cpu_seconds};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long cores are watched to tell whether they are quiet.
const WATCH: Duration = Duration::from_millis(50);
/// Quiet cores are idle but for this fraction of the time.
const QUIET: f64 = 0.1;
/// A run is disturbed if others used more than this fraction of its cores' time.
pub(super) const DISTURBED: f64 = 0.04;
/// Ticks of the kernel's clock in `/proc/stat` per second; fixed for user space.
const TICKS_PER_S: f64 = 100.0;

/// Sleeps until the cores are quiet, but no longer than `limit`.
pub fn wait_for_quiet(cores: Cores, limit: Duration) {
    let started = Instant::now();
    while started.elapsed() < limit {
        let watch = Watch::start(cores);
        thread::sleep(WATCH);
        if watch.used_by_others() < QUIET {
            return;
        }
    }
}

/// The cores' time since some moment.
#[derive(Debug)]
pub struct Watch {
    cores: Cores,
    started: Instant,
    idle_s: Option<f64>,
    children_s: f64,
}

impl Watch {
    /// Starts to watch the cores.
    pub fn start(cores: Cores) -> Self {
        Self {
            cores,
            started: Instant::now(),
            idle_s: idle_seconds(cores),
            children_s: cpu_seconds(Who::Children),
        }
    }

    /// The fraction of the cores' time that was neither idle nor used by child processes that have
    /// ended meanwhile. 0 where the kernel does not tell.
    pub fn used_by_others(&self) -> f64 {
        let (Some(before), Some(now)) = (self.idle_s, idle_seconds(self.cores)) else {
            return 0.0;
        };
        let children = cpu_seconds(Who::Children) - self.children_s;
        let whole = self.started.elapsed().as_secs_f64() * self.cores.list().len() as f64;
        others(whole, now - before, children)
    }
}

fn others(whole_s: f64, idle_s: f64, ours_s: f64) -> f64 {
    ((whole_s - idle_s - ours_s) / whole_s).clamp(0.0, 1.0)
}

fn idle_seconds(cores: Cores) -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    cores
        .list()
        .into_iter()
        .map(|core| idle_in(&stat, core))
        .sum()
}

/// Idle and IO-wait time of one core, in seconds.
fn idle_in(stat: &str, core: usize) -> Option<f64> {
    let name = format!("cpu{core}");
    let line = stat
        .lines()
        .find(|line| line.split_whitespace().next() == Some(&name))?;
    let mut numbers = line.split_whitespace().skip(4).map(str::parse::<f64>);
    let (idle, io_wait) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((idle + io_wait) / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  30 0 30 900 100 0 0 0 0 0\ncpu0 10 0 10 400 50 0 0 0 0 0\ncpu1 20 0 20 500 50 7 0 0 0 0\nintr 5\n";

    #[test]
    fn idle_time_is_read_by_core() {
        assert_eq!(idle_in(STAT, 0), Some(4.5));
        assert_eq!(idle_in(STAT, 1), Some(5.5));
        assert_eq!(idle_in(STAT, 11), None);
        assert_eq!(idle_in("", 0), None);
    }

    #[test]
    fn what_is_neither_idle_nor_ours_is_others() {
        assert_eq!(others(2.0, 1.0, 0.5), 0.25);
        assert_eq!(others(2.0, 0.0, 2.0), 0.0);
        assert_eq!(
            others(2.0, 1.5, 0.6),
            0.0,
            "ticks are coarse: never below nothing"
        );
    }
}
