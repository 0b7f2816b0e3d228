//! The loop of a shard: the only part that knows the driver.
//!
//! ```text
//!   ┌─► enter the kernel: submit what the last turn posted, wait if nothing is left to do (park)
//!   │   completions ─► accepted, connected, received, sent, read: handlers run here, inline
//!   │   backlog     ─► parses that the last turn broke off
//!   │   inbox       ─► commands of other threads, 1,024 at most
//!   │   timers      ─► deadlines, keepalive, drains, retries
//!   │   tasks, futures that are ready
//!   │   waiters     ─► memory, receive buffers
//!   └── dirty connections: compose, post one send each; post receives
//! ```
//!
//! Sends are posted last, so all that a turn causes on a connection leaves in one. A turn ends early after
//! [`TURN_FRAMES`] frames, so that answers leave and sleeping peers get work. [`park`](super::park) decides how
//! a turn enters the kernel.
//!
//! One file per part of a turn: `commands` (the inbox), `listen` and `open` (connections come), `receive`,
//! `send`, `files` (slices of files, for which the composer asks), `waiters` (memory), `end` (connections go).

mod commands;
mod end;
mod files;
mod idle;
mod listen;
mod open;
mod receive;
mod send;
mod token;
mod waiters;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::CloseReason;
use crate::shard::conn::user::{HandlerFactory, RpcHandler};
use crate::sys::driver::{Completion, Driver, Park};

use super::coalesce::Coalescer;
use super::handle::Turn;
use super::link::Link;
use super::local::{ConnKey, ShardLocal, TimerFor};
use super::remote_overflow::RETRY_NS;
use files::ReadOrder;
use listen::{ListenerLogs, ListenerState};
use token::For;
use waiters::Retries;

/// Frames after which a turn takes no further completions, so that answers leave, and sleeping
/// peers get work, before all connections have been served.
const TURN_FRAMES: u64 = 128;

/// The state of the loop.
pub(crate) struct Pump<D> {
    pub(crate) driver: D,
    pub(crate) local: Rc<ShardLocal>,
    links: Vec<Option<Link>>,
    listeners: Vec<Option<ListenerState>>,
    listener_logs: ListenerLogs,
    handlers: HashMap<usize, (Arc<HandlerFactory>, Rc<dyn RpcHandler>)>,
    reads: Vec<ReadOrder>,
    /// Until then files are read by workers alone; see `files`.
    disk_busy_until_ns: u64,
    waiters: Retries,
    /// Connections whose parse continues in the next turn.
    backlog: VecDeque<ConnKey>,
    drained: Vec<oneshot::Sender<()>>,
    pub(super) stopping: bool,
    /// See [`TURN_FRAMES`].
    turn_frames: u64,
    /// Minimum length of sleeps in the ring, and the frames counted since the last one.
    coalescer: Coalescer,
    frames_seen: u64,
    /// Number of sleeps so far.
    pub(super) sleeps: u64,
    pub(super) publish_due_ns: u64,
}

impl<D: Driver> Pump<D> {
    pub(crate) fn new(driver: D, local: Rc<ShardLocal>) -> Self {
        let coalesce_ns = u64::from(local.conf.coalesce_us) * 1000;
        Self {
            driver,
            local,
            links: Vec::new(),
            listeners: Vec::new(),
            listener_logs: ListenerLogs::default(),
            handlers: HashMap::new(),
            reads: Vec::new(),
            disk_busy_until_ns: 0,
            waiters: Retries::default(),
            backlog: VecDeque::new(),
            drained: Vec::new(),
            stopping: false,
            turn_frames: TURN_FRAMES,
            coalescer: Coalescer::new(coalesce_ns),
            frames_seen: 0,
            sleeps: 0,
            publish_due_ns: 0,
        }
    }

    /// The shard spins, and so, likely, do its peers: turns may take all completions.
    pub(super) fn take_all(&mut self) {
        self.turn_frames = u64::MAX;
        self.coalescer.turn_off();
    }

    /// One round; true if there was work.
    pub(crate) fn turn(&mut self, park: Park) -> io::Result<bool> {
        if matches!(park, Park::Until(_)) {
            self.let_gather();
        }
        self.driver.enter(park)?;
        if matches!(park, Park::Until(_)) {
            // At once: threads that post during the turn need not wake an awake shard.
            self.local.handle.inbox().finish_sleep();
        }
        self.local.set_now_ns(self.driver.now_ns());
        let _turn = Turn::of(&self.local);
        let mut worked = false;
        let backlog = self.backlog.len();
        let frames = self.local.metrics.frames_in.get();
        while let Some(done) = self.driver.next() {
            worked = true;
            self.complete(done);
            if self.local.metrics.frames_in.get() - frames >= self.turn_frames {
                // The rest is processed in the next turn; `has_work` reports it.
                break;
            }
        }
        if backlog > 0 {
            worked = true;
            self.work_off(backlog);
        }
        worked |= self.take_commands();
        while let Some(what) = self.local.pop_due_timer() {
            worked = true;
            self.local.metrics.timers_fired.increment();
            self.timer(what);
        }
        self.local.wake_overdue_callers();
        worked |= self.local.run_tasks();
        worked |= self.local.run_futures();
        worked |= self.retry_waiters();
        worked |= self.refill();
        while let Some(key) = self.local.pop_dirty() {
            worked = true;
            self.service(key);
        }
        if !self.drained.is_empty() && self.local.conn_count() == 0 {
            for done in self.drained.drain(..) {
                let _ = done.send(());
            }
        }
        Ok(worked)
    }

    /// The shard is about to sleep: if requests arrive in a stream, the sleep gets a minimum
    /// length.
    fn let_gather(&mut self) {
        let seen = self.local.metrics.frames_in.get();
        let frames = seen - std::mem::replace(&mut self.frames_seen, seen);
        self.sleeps += 1;
        let least_ns = self.coalescer.park(self.local.turn_ns(), frames);
        if least_ns > 0 && self.driver.linger(least_ns) {
            self.local.metrics.parks_coalescing.increment();
        }
    }

    /// Urgent work is under way: disables the minimum sleep.
    pub(super) fn suppress_moderation(&mut self) {
        self.coalescer.suppress_moderation(self.local.turn_ns());
    }

    /// Copies the counters of the shard's parts into its metrics.
    pub(crate) fn publish_metrics(&self) {
        let metrics = &self.local.metrics;
        let driver = self.driver.stats();
        let pool = self.local.pool.stats();
        let inbox = self.local.handle.inbox().stats();
        let set = |counter: &crate::metrics::Counter, value: u64| {
            counter.add(value.wrapping_sub(counter.get()));
        };
        set(&metrics.enters, driver.enters);
        set(&metrics.coalesce_trials, self.coalescer.trials());
        set(&metrics.cq_overflows, driver.cq_overflows);
        set(&metrics.enobufs, driver.no_buffers);
        metrics.pool_bytes_used.set(pool.leased_bytes as u64);
        metrics
            .pool_bytes_high_water
            .set(pool.high_water_bytes as u64);
        metrics.pool_bytes_budget.set(pool.budget_bytes as u64);
        set(&metrics.pool_misses, pool.fresh);
        set(&metrics.pool_exhausted, pool.exhausted);
        set(&metrics.inbox_messages, inbox.pushed);
        set(&metrics.inbox_full, inbox.full);
        set(&metrics.wakeups, inbox.wakes);
        metrics.inbox_depth_max.raise_to(inbox.depth_max);
    }

    fn timer(&mut self, what: TimerFor) {
        match what {
            TimerFor::Calls(key) => {
                if let Some(conn) = self.local.conn(key) {
                    conn.on_call_timer();
                }
            }
            TimerFor::Opening(key) => {
                if let Some(conn) = self.local.conn(key) {
                    conn.on_opening_timer();
                }
            }
            TimerFor::Keepalive(key) => {
                self.keep_alive(key);
                self.give_back_header(key);
            }
            TimerFor::Drain(key) => {
                if let Some(conn) = self.local.conn(key) {
                    conn.on_end_timer();
                }
            }
            TimerFor::Sleep { slot } => self.local.end_sleep(slot),
            TimerFor::Accept(at) => self.accept_again(at as usize),
            TimerFor::Task { slot, token } => self.local.task_timer(slot, token),
        }
    }

    fn complete(&mut self, done: Completion) {
        match For::of(done.token) {
            For::Listener(at) => self.accepted(at as usize, done),
            For::Connect(key) => self.connected(key, done),
            For::Receive(key) => self.received(key, done),
            For::Send(key) => self.sent(key, done),
            For::Read(key) => self.read(key, done),
        }
    }

    /// The time of the next timer, in ns.
    pub(crate) fn next_timer(&self) -> Option<u64> {
        let overflow = self.local.remote_overflow.borrow();
        // The other shard does not signal free places in its inbox.
        let overflow = (!overflow.is_empty()).then(|| self.local.now_ns() + RETRY_NS);
        [
            self.local.next_timer(),
            self.local.deliveries_due_ns(),
            self.memory_retry_ns(),
            overflow,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// True if a turn would find work without entering the kernel.
    pub(crate) fn has_work(&mut self) -> bool {
        self.local.has_dirty()
            || self.local.tasks_have_work()
            || !self.backlog.is_empty()
            || !self.local.handle.inbox().is_empty()
            || self.driver.ready()
    }
}

fn ring_full() -> CloseReason {
    CloseReason::Limit {
        what: "the ring's table of operations",
        limit: 4,
        key: "ringrail.transport.maxConnections",
    }
}
