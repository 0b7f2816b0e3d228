//! Idle behaviour of a shard: it spins for a short time, then sleeps.
//!
//! *Bare*: the shard sleeps in the ring itself. One system call both submits and waits; no futures
//! run on the shard. *Hosted*: the shard's loop is a task of a `tokio_uring` runtime, so that
//! handlers may spawn futures, use timers and files; the ring's eventfd wakes it.

use std::io;
use std::time::Duration;

use crate::sys::driver::{Driver, Park};
use crate::sys::notify::Notify;

use super::pump::Pump;
use super::spin::Spinner;

/// Interval at which a busy shard copies the counters of its parts into its metrics, in ns.
const PUBLISH_EVERY_NS: u64 = 1_000_000;

/// Busy turns of a hosted shard before the runtime's other tasks run.
const HOSTED_TURNS: u32 = 16;

/// Turns without work before a hosted shard that spins lets the runtime poll: that costs a
/// system call, and a turn costs none. Tasks that a turn has woken run at once in any case.
const HOSTED_SPINS: u32 = 16;

/// Frames in one turn from which a shard polls once more before it sleeps in its ring.
const BUSY_FRAMES: u64 = 96;

/// Copies the counters of the shard's parts into its metrics, unless that was done recently.
fn publish<D: Driver>(pump: &mut Pump<D>) {
    let now = pump.local.turn_ns();
    if now >= pump.publish_due_ns {
        pump.publish_due_ns = now + PUBLISH_EVERY_NS;
        pump.publish_metrics();
    }
}

/// The idle state of the loop.
struct Idle {
    spinner: Spinner,
    since_ns: Option<u64>,
}

impl Idle {
    fn new(spinner: Spinner) -> Self {
        Self {
            spinner,
            since_ns: None,
        }
    }

    /// A turn found work.
    fn worked<D: Driver>(&mut self, pump: &mut Pump<D>) {
        if self.since_ns.take().is_some() && self.spinner.is_enabled() {
            self.spinner.hit();
            pump.local.metrics.spin_hits.increment();
            pump.local.idle_since_ns.set(u64::MAX);
        }
        publish(pump);
    }

    /// A turn found no work; returns whether to continue spinning.
    fn spin<D: Driver>(&mut self, pump: &Pump<D>) -> bool {
        if !self.spinner.is_enabled() {
            return false;
        }
        let now = pump.local.turn_ns();
        let since = *self.since_ns.get_or_insert_with(|| {
            pump.local.metrics.spins.increment();
            pump.local.idle_since_ns.set(now);
            now
        });
        if !self.spinner.should_spin(since, now) {
            return false;
        }
        std::hint::spin_loop();
        true
    }

    /// The shard slept.
    fn slept<D: Driver>(&mut self, pump: &Pump<D>, worked: bool) {
        let now = pump.local.turn_ns();
        if !self.spinner.is_enabled() {
            return self.spinner.rested(now);
        }
        pump.local.idle_since_ns.set(u64::MAX);
        let since = self.since_ns.take().unwrap_or(now);
        if !worked {
            self.spinner.miss();
        }
        self.spinner.parked(since, now, worked);
    }
}

/// Runs a shard that sleeps in its ring, until it is asked to stop.
pub(super) fn run_bare<D: Driver>(pump: &mut Pump<D>, spinner: Spinner) -> io::Result<()> {
    if spinner.is_enabled() {
        pump.take_all();
    }
    let mut idle = Idle::new(spinner);
    while !pump.stopping {
        // A shard that does not spin polls and sleeps in one system call.
        if idle.spinner.is_enabled() {
            if pump.turn(Park::No)? {
                idle.worked(pump);
                continue;
            }
            if idle.spin(pump) {
                continue;
            }
        }
        let frames = pump.local.metrics.frames_in.get();
        let worked = sleep_in_ring(pump)?;
        idle.slept(pump, worked);
        // Under load, more frames have arrived by now: sleeping first would make the peer wake this
        // shard.
        let handled = pump.local.metrics.frames_in.get() - frames;
        if handled >= BUSY_FRAMES && !pump.stopping {
            while pump.turn(Park::No)? && !pump.stopping {
                publish(pump);
            }
        }
    }
    pump.shut_down()
}

/// Announces that the shard will sleep; false if there is work to do first.
fn may_sleep<D: Driver>(pump: &mut Pump<D>) -> bool {
    if pump.has_work() || !pump.local.handle.inbox().prepare_sleep() {
        return false;
    }
    // Work given to a task before the announcement did not wake the shard.
    if pump.local.tasks_have_work() {
        pump.local.handle.inbox().finish_sleep();
        return false;
    }
    true
}

fn sleep_in_ring<D: Driver>(pump: &mut Pump<D>) -> io::Result<bool> {
    if !may_sleep(pump) {
        return pump.turn(Park::No);
    }
    publish(pump);
    pump.local.metrics.parks.increment();
    let until = pump.next_timer();
    pump.turn(Park::Until(until))
}

/// Runs a shard as a task of a `tokio_uring` runtime, until it is asked to stop.
pub(super) async fn run_hosted<D: Driver>(pump: &mut Pump<D>, spinner: Spinner) -> io::Result<()> {
    let fd = pump
        .driver
        .notify_fd()
        .ok_or_else(|| io::Error::other("the driver has no eventfd"))?;
    let notify = Notify::new(fd)?;
    let mut idle = Idle::new(spinner);
    let (mut busy, mut spins) = (0, 0);
    while !pump.stopping {
        if pump.turn(Park::No)? {
            idle.worked(pump);
            spins = 0;
            busy += 1;
            if busy < HOSTED_TURNS {
                continue;
            }
            busy = 0;
            give_way(pump, &notify, &mut idle).await?;
            continue;
        }
        busy = 0;
        if idle.spin(pump) {
            if spins == 0 {
                give_way(pump, &notify, &mut idle).await?;
            }
            spins = (spins + 1) % HOSTED_SPINS;
            continue;
        }
        let worked = sleep_in_runtime(pump, &notify).await?;
        idle.slept(pump, worked);
    }
    pump.shut_down()
}

/// Lets the runtime's other tasks run, and its timers and files when that is due: the runtime polls
/// those only while all its tasks wait, if only for an instant.
async fn give_way<D: Driver>(pump: &Pump<D>, notify: &Notify, idle: &mut Idle) -> io::Result<()> {
    let now = pump.local.turn_ns();
    if !idle.spinner.park_due(now) {
        tokio::task::yield_now().await;
        return Ok(());
    }
    idle.spinner.rested(now);
    pump.driver.waker().wake();
    notify.wait().await
}

async fn sleep_in_runtime<D: Driver>(pump: &mut Pump<D>, notify: &Notify) -> io::Result<bool> {
    let handle = pump.local.handle.clone();
    // Only a turn submits the operations posted by the last one, and a turn without work may have
    // posted some.
    if pump.driver.has_posted() || !may_sleep(pump) {
        tokio::task::yield_now().await;
        return pump.turn(Park::No);
    }
    publish(pump);
    pump.local.metrics.parks.increment();
    let wait = pump
        .next_timer()
        .map(|at| at.saturating_sub(pump.driver.now_ns()));
    match wait {
        None => notify.wait().await?,
        // An expired time is as good as a completion: the turn finds the timer.
        Some(ns) => tokio::time::timeout(Duration::from_nanos(ns), notify.wait())
            .await
            .unwrap_or(Ok(()))?,
    }
    handle.inbox().finish_sleep();
    pump.turn(Park::No)
}
