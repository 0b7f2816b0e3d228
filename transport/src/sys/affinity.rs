//! Processors: which ones this process may use, and pinning a shard to one.
//!
//! A shard pins itself as it starts; the spinner asks whether more threads would
//! spin than there are processors for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use core_affinity::CoreId;
use rustix::thread::{CpuSet, Pid, sched_getaffinity};

/// The processors that this process may use.
///
/// # Example
///
/// ```
/// use ringrail_transport::sys::affinity::{CpuBudget, pin_current_thread};
///
/// let budget = CpuBudget::of_process();
/// std::thread::spawn(move || pin_current_thread(budget.cpu_for_shard(0).unwrap(), budget))
///     .join()
///     .unwrap()
///     .unwrap();
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CpuBudget {
    /// The numbers of the processors in the affinity mask, ascending.
    pub allowed: Vec<usize>,
    /// How many processors' worth of time the control group grants, if it sets a
    /// limit (`cpu.max`).
    pub quota: Option<f64>,
}

/// A thread could not be pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The processor is not in the process's affinity mask.
    #[error(
        "processor {cpu} is not allowed to this process; it may use {allowed:?} (see taskset, cpuset or AllowedCPUs=)"
    )]
    NotAllowed {
        /// The processor.
        cpu: usize,
        /// Those that are allowed.
        allowed: Vec<usize>,
    },
    /// The kernel refused.
    #[error("the kernel refused to pin the thread to processor {cpu}; did it go offline?")]
    Refused {
        /// The processor.
        cpu: usize,
    },
}

impl CpuBudget {
    /// The budget of this process, read once: at the first call, before any
    /// thread has been pinned by us.
    pub fn of_process() -> &'static Self {
        static BUDGET: OnceLock<CpuBudget> = OnceLock::new();
        BUDGET.get_or_init(|| Self {
            allowed: process_cpus(),
            quota: cgroup_quota(),
        })
    }

    /// The processor for the shard of this index: shards are dealt over the
    /// allowed processors in turn. `None` if none is known.
    pub fn cpu_for_shard(&self, index: usize) -> Option<usize> {
        let turn = index.checked_rem(self.allowed.len())?;
        self.allowed.get(turn).copied()
    }

    /// The processors that no shard of `first..first + count` is pinned to: where what may keep a
    /// processor busy for long belongs. Empty where the shards take them all.
    pub fn beside_shards(&self, first: usize, count: usize) -> Vec<usize> {
        let taken: Vec<_> = (first..first.saturating_add(count))
            .take(self.allowed.len())
            .filter_map(|index| self.cpu_for_shard(index))
            .collect();
        let free = self.allowed.iter().copied();
        free.filter(|cpu| !taken.contains(cpu)).collect()
    }

    /// How many threads can run all the time: the allowed processors, or fewer
    /// if the control group grants less.
    pub fn parallelism(&self) -> usize {
        let cpus = self.allowed.len().max(1);
        match self.quota {
            Some(quota) => cpus.min((quota.floor() as usize).max(1)),
            None => cpus,
        }
    }

    /// Whether `spinning` threads are more than can run all the time. A quota of
    /// less than one processor is too little for even one.
    pub fn is_oversubscribed(&self, spinning: usize) -> bool {
        let starved = self.quota.is_some_and(|quota| quota < spinning as f64);
        spinning > self.allowed.len().max(1) || starved
    }
}

/// The mask of the process's first thread, which the shards' own pins leave
/// alone.
fn process_cpus() -> Vec<usize> {
    let pid = rustix::process::getpid();
    match sched_getaffinity(Some(pid)) {
        Ok(mask) => cpus_of(&mask),
        // Without the call (seccomp) the standard library's count must do.
        Err(_) => (0..std::thread::available_parallelism().map_or(1, usize::from)).collect(),
    }
}

fn cpus_of(mask: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| mask.is_set(cpu))
        .collect()
}

/// Pins the calling thread to one processor of the budget.
///
/// # Errors
///
/// The processor is not in the budget, or the kernel refused.
pub fn pin_current_thread(cpu: usize, budget: &CpuBudget) -> Result<(), PinError> {
    if !budget.allowed.contains(&cpu) {
        return Err(PinError::NotAllowed {
            cpu,
            allowed: budget.allowed.clone(),
        });
    }
    if core_affinity::set_for_current(CoreId { id: cpu }) {
        Ok(())
    } else {
        Err(PinError::Refused { cpu })
    }
}

/// Whether the calling thread may run on one processor only.
pub fn is_current_thread_pinned() -> bool {
    sched_getaffinity(None::<Pid>).is_ok_and(|mask| mask.count() == 1)
}

/// The least `cpu.max` on the way from the process's control group to the root
/// (cgroup v2; v1 sets none that this sees).
fn cgroup_quota() -> Option<f64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let directory = cgroup_directory(&groups)?;
    directory
        .ancestors()
        .take_while(|directory| directory.starts_with(CGROUP_ROOT))
        .filter_map(|directory| fs::read_to_string(directory.join("cpu.max")).ok())
        .filter_map(|text| parse_cpu_max(&text))
        .min_by(f64::total_cmp)
}

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

fn cgroup_directory(groups: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(Path::new(CGROUP_ROOT).join(group.trim_start_matches('/')))
}

/// `cpu.max` holds a quota and a period in microseconds; `max` is no limit.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let mut fields = text.split_whitespace();
    let quota_us: f64 = fields.next()?.parse().ok()?;
    let period_us: f64 = fields.next()?.parse().ok()?;
    (quota_us > 0.0 && period_us > 0.0).then(|| quota_us / period_us)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::thread::sched_getcpu;

    use super::*;

    fn budget(allowed: impl IntoIterator<Item = usize>, quota: Option<f64>) -> CpuBudget {
        CpuBudget {
            allowed: allowed.into_iter().collect(),
            quota,
        }
    }

    #[test]
    fn a_pinned_thread_runs_where_it_was_pinned() {
        let budget = CpuBudget::of_process();
        for &cpu in &budget.allowed {
            let ran_on = thread::spawn(move || {
                pin_current_thread(cpu, budget).unwrap();
                assert!(is_current_thread_pinned());
                let mask = sched_getaffinity(None).unwrap();
                assert_eq!(cpus_of(&mask), [cpu]);
                sched_getcpu()
            });
            assert_eq!(ran_on.join().unwrap(), cpu);
        }
    }

    #[test]
    fn the_pins_of_threads_leave_the_budget_of_the_process_alone() {
        let before = process_cpus();
        let during = thread::spawn(|| {
            let budget = CpuBudget::of_process();
            pin_current_thread(budget.allowed[0], budget).unwrap();
            process_cpus()
        });
        assert_eq!(during.join().unwrap(), before);
        assert_eq!(CpuBudget::of_process().allowed, before);
    }

    #[test]
    fn a_processor_outside_the_budget_is_refused_with_those_inside() {
        let error = pin_current_thread(100_000, &budget([3, 5], None)).unwrap_err();
        assert_eq!(
            error,
            PinError::NotAllowed {
                cpu: 100_000,
                allowed: vec![3, 5]
            }
        );
        assert!(error.to_string().contains("[3, 5]"));
        assert!(!is_current_thread_pinned() || process_cpus().len() == 1);
    }

    #[test]
    fn shards_are_dealt_over_the_processors_in_turn() {
        let two = budget([4, 6], None);
        let dealt: Vec<_> = (0..5).map(|index| two.cpu_for_shard(index)).collect();
        assert_eq!(dealt, [4, 6, 4, 6, 4].map(Some));
        assert_eq!(budget([], None).cpu_for_shard(0), None);
    }

    #[test]
    fn what_shards_leave_is_for_others() {
        let budget = budget([2, 3, 5, 7], None);
        assert_eq!(budget.beside_shards(0, 2), [5, 7]);
        assert_eq!(budget.beside_shards(3, 2), [3, 5], "dealt in turn");
        assert_eq!(budget.beside_shards(0, 4), []);
        assert_eq!(budget.beside_shards(1, usize::MAX), []);
    }

    #[test]
    fn oversubscription_counts_processors_and_quota() {
        for (processors, quota, spinning, expected) in [
            (2, None, 2, false),
            (2, None, 3, true),
            (8, Some(2.0), 2, false),
            (8, Some(2.5), 3, true),
            (8, Some(0.5), 1, true),
            (8, Some(64.0), 9, true),
            (0, None, 1, false),
        ] {
            let budget = budget(0..processors, quota);
            let found = budget.is_oversubscribed(spinning);
            assert_eq!(found, expected, "{budget:?}, {spinning} spinning");
        }
        assert_eq!(budget(0..8, Some(2.5)).parallelism(), 2);
        assert_eq!(budget(0..8, Some(0.5)).parallelism(), 1);
        assert_eq!(budget(0..8, None).parallelism(), 8);
    }

    #[test]
    fn the_control_group_s_limit_is_read() {
        assert_eq!(parse_cpu_max("150000 100000\n"), Some(1.5));
        for unlimited in ["max 100000\n", "", "1000", "0 0", "x y"] {
            assert_eq!(parse_cpu_max(unlimited), None, "{unlimited:?}");
        }
        let groups = "12:cpu:/ignored\n0::/system.slice/x.service\n";
        assert_eq!(
            cgroup_directory(groups).unwrap(),
            Path::new("/sys/fs/cgroup/system.slice/x.service")
        );
        assert_eq!(
            cgroup_directory("0::/\n").unwrap(),
            Path::new("/sys/fs/cgroup/")
        );
        assert_eq!(cgroup_directory("1:cpu:/only-v1\n"), None);
    }
}
