//! The backend that shards run on: a simulated world, or the kernel.

use std::marker::PhantomData;

use crate::conf::TransportConf;
use crate::sys::driver::{Driver, Park};
use crate::sys::epoll::{EpollDriver, EpollSpec};
use crate::sys::sim::{SimDriver, SimHost, SimSpec, SimWorld};
use crate::sys::uring::{UringDriver, UringSpec};

use super::shard::Shard;

/// Makes drivers, gives shards their turns, lets time pass.
pub(super) trait Ground: 'static {
    type D: Driver;
    /// The address that servers listen on.
    const ADDRESS: &'static str;
    /// Time after which a scenario is considered hung.
    const PATIENCE_NS: u64;

    fn driver(&mut self, conf: &TransportConf) -> Self::D;
    fn now_ns(&self) -> u64;
    /// Gives a shard its turn, unless it sleeps; true where it was awake.
    fn step(&mut self, shard: &mut Shard<Self::D>) -> bool;
    /// Enters a driver that no shard owns; true where there was something to do.
    fn poke(&mut self, index: usize, driver: &mut Self::D) -> bool;
    /// Everybody sleeps: moves on to what happens next, but not beyond `until_ns`. False where
    /// nothing will ever happen.
    fn pass(&mut self, shards: &mut [Shard<Self::D>], until_ns: Option<u64>) -> bool;
    /// Nothing is left of this shard in the kernel.
    fn assert_quiescent(&self, index: usize);
}

/// A simulated network.
pub(super) struct Simulated {
    pub(super) world: SimWorld,
    hosts: Vec<SimHost>,
    /// Virtual time that a shard is charged for each frame it handles, by its number; 0 where none is set.
    frame_cost_ns: Vec<u64>,
}

impl Simulated {
    pub(super) fn new(world: SimWorld) -> Self {
        Self {
            world,
            hosts: Vec::new(),
            frame_cost_ns: Vec::new(),
        }
    }

    /// Has a shard's handling of each frame take so long.
    pub(super) fn charge_frames(&mut self, index: usize, ns: u64) {
        self.frame_cost_ns[index] = ns;
    }

    fn turn(&self, shard: &mut Shard<SimDriver>, park: Park) -> bool {
        let frames = shard.frames_handled();
        let worked = shard.turn(park);
        let handled = shard.frames_handled() - frames;
        let cost_ns = self.frame_cost_ns[shard.index] * handled;
        if cost_ns > 0 {
            self.hosts[shard.index].charge(cost_ns);
        }
        worked
    }

    pub(super) fn host(&self, index: usize) -> &SimHost {
        &self.hosts[index]
    }
}

impl Ground for Simulated {
    type D = SimDriver;
    const ADDRESS: &'static str = "10.0.0.1:0";
    const PATIENCE_NS: u64 = 3_600_000_000_000;

    fn driver(&mut self, conf: &TransportConf) -> SimDriver {
        let driver = self.world.driver(SimSpec {
            max_ops: 4096,
            cq_entries: 256,
            recv_buffers: conf.recv_buffers,
            recv_buffer_len: conf.recv_buffer_len,
        });
        self.hosts.push(driver.host());
        self.frame_cost_ns.push(0);
        driver
    }

    fn now_ns(&self) -> u64 {
        self.world.now_ns()
    }

    /// As the loop of a shard that sleeps in its ring, which runs only when something wakes it:
    /// what a shard forgets to look at, or to be woken for, stays undone here too.
    fn step(&mut self, shard: &mut Shard<SimDriver>) -> bool {
        let host = &self.hosts[shard.index];
        if host.is_busy() {
            return false;
        }
        let inbox = shard.handle();
        if shard.asleep {
            let due = host
                .parked_until()
                .is_some_and(|at| at <= self.world.now_ns());
            if host.is_idle() && !due {
                return false;
            }
            inbox.inbox().finish_sleep();
            shard.asleep = false;
        }
        if shard.pump.has_work() || !inbox.inbox().prepare_sleep() {
            self.turn(shard, Park::No);
            return true;
        }
        let until = shard.pump.next_timer();
        let worked = self.turn(shard, Park::Until(until));
        // A simulated turn does not wait: it announces the end of a sleep that goes on.
        shard.asleep = !worked && !shard.pump.has_work() && inbox.inbox().prepare_sleep();
        true
    }

    fn poke(&mut self, index: usize, driver: &mut SimDriver) -> bool {
        if self.hosts[index].is_idle() {
            return false;
        }
        driver
            .enter(Park::No)
            .expect("a simulated ring is never refused");
        true
    }

    fn pass(&mut self, _: &mut [Shard<SimDriver>], until_ns: Option<u64>) -> bool {
        let parked = self.hosts.iter().filter_map(SimHost::parked_until);
        let busy = self.hosts.iter().filter_map(SimHost::busy_until);
        let next = parked.chain(busy).chain(self.world.next_event_ns()).min();
        match (next, until_ns) {
            (None, None) => false,
            (next, Some(until)) if next.is_none_or(|next| until < next) => {
                self.world.advance_to(until);
                true
            }
            _ => self.world.advance(),
        }
    }

    fn assert_quiescent(&self, index: usize) {
        self.hosts[index].assert_quiescent();
    }
}

/// The kernel: sockets of loopback, all on the test's thread, by one of its drivers.
pub(super) struct Kernel<D>(PhantomData<D>);

impl<D> Kernel<D> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

/// A driver of the kernel.
pub(super) trait KernelDriver: Driver + 'static {
    fn with(conf: &TransportConf) -> Self;
}

impl KernelDriver for UringDriver {
    fn with(conf: &TransportConf) -> Self {
        Self::new(&UringSpec {
            recv_buffers: conf.recv_buffers,
            recv_buffer_len: conf.recv_buffer_len,
            notify: false,
            ..UringSpec::default()
        })
        .expect("this kernel has io_uring")
    }
}

impl KernelDriver for EpollDriver {
    fn with(conf: &TransportConf) -> Self {
        Self::new(&EpollSpec {
            recv_buffers: conf.recv_buffers,
            recv_buffer_len: conf.recv_buffer_len,
            ..EpollSpec::default()
        })
        .expect("every kernel has epoll")
    }
}

/// How long a wait for the kernel is at most.
const NAP_NS: u64 = 200_000;

impl<D: KernelDriver> Ground for Kernel<D> {
    type D = D;
    const ADDRESS: &'static str = "127.0.0.1:0";
    const PATIENCE_NS: u64 = 60_000_000_000;

    fn driver(&mut self, conf: &TransportConf) -> D {
        D::with(conf)
    }

    fn now_ns(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    fn step(&mut self, shard: &mut Shard<D>) -> bool {
        shard.turn(Park::No) || shard.pump.has_work()
    }

    fn poke(&mut self, _: usize, driver: &mut D) -> bool {
        driver.enter(Park::No).expect("the driver works");
        driver.ready()
    }

    fn pass(&mut self, shards: &mut [Shard<D>], until_ns: Option<u64>) -> bool {
        for shard in shards {
            let nap = self.now_ns() + NAP_NS;
            let until = until_ns.map_or(nap, |until| until.min(nap));
            shard.turn(Park::Until(Some(until)));
        }
        true
    }

    fn assert_quiescent(&self, _: usize) {}
}
