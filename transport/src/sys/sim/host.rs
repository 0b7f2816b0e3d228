//! One simulated shard: its operations, its queues, and the handle by which a test looks at it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::buf::{Gather, LeaseMut};
use crate::sys::driver::{Completion, DriverStats, LINGER_COMPLETIONS, OpKey, Sock};
use crate::sys::socket::Addr;
use crate::sys::table::OpTable;

use super::conn::Lane;
use super::faults::Kind;
use super::world::World;

/// Number of a host in its world, in the order of making.
pub(super) type HostId = usize;

/// Sizes of one simulated driver, as those of a ring.
#[derive(Clone, Copy, Debug)]
pub struct SimSpec {
    /// Operations in flight at most.
    pub max_ops: usize,
    /// Completion entries; what comes beyond waits for the next enter and is counted.
    pub cq_entries: usize,
    /// Places in the receive group.
    pub recv_buffers: u16,
    /// Bytes of each receive buffer.
    pub recv_buffer_len: usize,
}

impl Default for SimSpec {
    fn default() -> Self {
        Self {
            max_ops: 4096,
            cq_entries: 8192,
            recv_buffers: 64,
            recv_buffer_len: 64 << 10,
        }
    }
}

/// An operation's own part.
#[derive(Debug)]
pub(super) enum Work {
    Accept,
    Connect {
        addr: Addr,
    },
    RecvMulti,
    Recv {
        buf: LeaseMut,
        at: usize,
        whole: bool,
    },
    Send {
        gather: Gather,
    },
    SendFile {
        head: Gather,
        file: Arc<File>,
        offset: u64,
        /// Offset, among the bytes of this send, at which the file ends and the padding begins.
        file_end: usize,
    },
    Read {
        file: Arc<File>,
        offset: u64,
        buf: LeaseMut,
        at: usize,
    },
    /// Its last completion is on its way to the engine.
    Over,
}

#[derive(Debug)]
pub(super) struct SimOp {
    pub(super) kind: Kind,
    /// `None` for reads of files.
    pub(super) sock: Option<Sock>,
    pub(super) work: Work,
    /// Entered; before that it only waits in the submission queue.
    pub(super) started: bool,
    /// Linked behind a receive that has not ended yet.
    pub(super) waits: bool,
    /// Bytes wanted in all.
    pub(super) len: usize,
    /// Bytes after which it completes: `len`, or less where it is to be short.
    pub(super) limit: usize,
    pub(super) done: usize,
    /// Completions before this time would overtake one that was held back.
    pub(super) floor_ns: u64,
}

impl SimOp {
    pub(super) fn lane(&self) -> Lane {
        match self.kind {
            Kind::Accept | Kind::Connect => Lane::Open,
            Kind::RecvMulti | Kind::Recv | Kind::Read => Lane::Recv,
            Kind::Send | Kind::SendFile => Lane::Send,
        }
    }

    /// True while it can still do something.
    pub(super) fn is_live(&self) -> bool {
        self.started && !matches!(self.work, Work::Over)
    }
}

/// An entry of the submission queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Posted {
    Start(OpKey),
    Cancel(OpKey),
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) spec: SimSpec,
    pub(super) ops: OpTable<SimOp>,
    pub(super) posted: VecDeque<Posted>,
    pub(super) completed: VecDeque<Completion>,
    pub(super) overflow: VecDeque<Completion>,
    pub(super) collected: VecDeque<Completion>,
    pub(super) group: VecDeque<LeaseMut>,
    pub(super) forced: Vec<(Kind, i32)>,
    /// The socket of a linked receive whose second half is to be submitted next.
    pub(super) link_open: Option<Sock>,
    pub(super) woken: Arc<AtomicBool>,
    pub(super) parked_until: Option<u64>,
    /// Minimum duration of the next park, in nanoseconds.
    pub(super) linger_ns: u64,
    /// Parked with that minimum: a small number of completions does not end the park early.
    pub(super) lingers: bool,
    pub(super) stats: DriverStats,
    pub(super) open_sockets: usize,
    /// Until when its thread handles what it took: it is given no turn before.
    pub(super) busy_until_ns: u64,
    /// Its driver was dropped.
    pub(super) gone: bool,
    pub(super) unplugged: bool,
}

impl Host {
    pub(super) fn new(spec: SimSpec) -> Self {
        Self {
            spec,
            ops: OpTable::new(spec.max_ops),
            posted: VecDeque::new(),
            completed: VecDeque::new(),
            overflow: VecDeque::new(),
            collected: VecDeque::new(),
            group: VecDeque::new(),
            forced: Vec::new(),
            link_open: None,
            woken: Arc::new(AtomicBool::new(false)),
            parked_until: None,
            linger_ns: 0,
            lingers: false,
            stats: DriverStats::default(),
            open_sockets: 0,
            busy_until_ns: 0,
            gone: false,
            unplugged: false,
        }
    }

    /// True where the next enter has completions to collect, or a wake-up.
    pub(super) fn is_ready(&self) -> bool {
        let queues = [&self.collected, &self.completed, &self.overflow];
        let count: usize = queues.iter().map(|queue| queue.len()).sum();
        let enough = match self.lingers {
            true => LINGER_COMPLETIONS as usize,
            false => 1,
        };
        count >= enough || self.woken.load(Ordering::Acquire)
    }

    /// True where nothing is left from before, and little has completed.
    pub(super) fn may_linger(&self) -> bool {
        let count = self.completed.len() + self.overflow.len();
        self.collected.is_empty() && count < LINGER_COMPLETIONS as usize
    }

    pub(super) fn is_idle(&self) -> bool {
        self.gone || (self.posted.is_empty() && !self.is_ready())
    }

    /// The error that a test has ordered for the next operation of this kind.
    pub(super) fn take_forced(&mut self, kind: Kind) -> Option<i32> {
        let at = self.forced.iter().position(|(wanted, _)| *wanted == kind)?;
        Some(self.forced.remove(at).1)
    }

    /// Puts a completion into the queue, or behind it where it is full.
    pub(super) fn complete(&mut self, done: Completion, entries: usize) {
        if self.overflow.is_empty() && self.completed.len() < entries {
            self.completed.push_back(done);
        } else {
            self.stats.cq_overflows += 1;
            self.overflow.push_back(done);
        }
    }

    /// Collects the queue, then moves up what had overflowed.
    pub(super) fn collect(&mut self, entries: usize) {
        self.collected.append(&mut self.completed);
        let count = self.overflow.len().min(entries);
        self.completed.extend(self.overflow.drain(..count));
    }
}

/// A look at one host of a [`SimWorld`](super::SimWorld), while the engine owns its driver.
#[derive(Clone)]
pub struct SimHost {
    pub(super) world: Rc<RefCell<World>>,
    pub(super) id: HostId,
}

impl fmt::Debug for SimHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimHost({})", self.id)
    }
}

impl SimHost {
    /// The time that the last [`enter`](crate::sys::driver::Driver::enter) wanted to sleep until;
    /// `None` where it found something to do, or wanted to sleep until woken.
    pub fn parked_until(&self) -> Option<u64> {
        self.world.borrow().hosts[self.id].parked_until
    }

    /// True where a turn of this shard would find nothing: nothing posted, nothing completed, no
    /// wake-up.
    pub fn is_idle(&self) -> bool {
        self.world.borrow().hosts[self.id].is_idle()
    }

    /// Charges `ns` of virtual time for what this shard has just handled. Until that is over the shard
    /// is to be given no turn ([`is_busy`](Self::is_busy)), while the network goes on: it fills the
    /// receive buffers that the shard has left armed, as the kernel does behind a busy thread.
    pub fn charge(&self, ns: u64) {
        let mut world = self.world.borrow_mut();
        let now_ns = world.now_ns;
        let host = &mut world.hosts[self.id];
        host.busy_until_ns = host.busy_until_ns.max(now_ns) + ns;
    }

    /// True while the time that was [charged](Self::charge) is not over.
    pub fn is_busy(&self) -> bool {
        let world = self.world.borrow();
        world.hosts[self.id].busy_until_ns > world.now_ns
    }

    /// The end of the [charged](Self::charge) time; `None` if it has passed.
    pub fn busy_until(&self) -> Option<u64> {
        let world = self.world.borrow();
        let at = world.hosts[self.id].busy_until_ns;
        (at > world.now_ns).then_some(at)
    }

    /// Operations in flight: submitted, and their last completion not yet taken.
    pub fn in_flight(&self) -> usize {
        self.world.borrow().hosts[self.id].ops.in_flight()
    }

    /// Sockets and listeners that are open.
    pub fn open_sockets(&self) -> usize {
        self.world.borrow().hosts[self.id].open_sockets
    }

    /// Makes the next operation of this kind that starts (an accept: that would give a
    /// connection) end with an errno such as [`libc::EMFILE`]. Several orders queue up.
    pub fn fail_next(&self, kind: Kind, errno: i32) {
        self.world.borrow_mut().hosts[self.id]
            .forced
            .push((kind, errno));
    }

    /// Pulls the plug: every connection of this host goes silent for good, and connects to it get
    /// no answer. The host itself runs on.
    pub fn unplug(&self) {
        self.world.borrow_mut().unplug(self.id);
    }

    /// Checks that a clean shutdown left nothing behind: no operation, no completion, no socket.
    ///
    /// # Panics
    /// If something is left; the message has the seed and the trace.
    pub fn assert_quiescent(&self) {
        self.world.borrow().assert_quiescent(self.id);
    }
}
