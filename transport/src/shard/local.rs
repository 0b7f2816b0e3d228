//! State of a shard's thread that everything on it shares: memory, connections, timers.
//!
//! Not generic over the driver: connections, handlers and futures change this state and mark the
//! connections that have data to send; the pump, which owns the driver, then posts the sends.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringrail_codec::archive::Arena;
use slab::Slab;

use crate::buf::Pool;
use crate::conf::TransportConf;
use crate::conn::file_sums::FileSums;
use crate::metrics::ShardMetrics;
use crate::shard::conn::Conn;

use super::command::Command;
use super::executor::{Executor, Sleepers};
use super::handle::ShardHandle;
use super::memory_waiters::{MemoryWaiters, Need};
use super::remote_overflow::RemoteOverflow;
use super::remote_sink::Deliveries;
use super::task::ShardTask;
use super::timer::{TimerKey, TimerWheel};

/// Names a connection of a shard; a stale key matches none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnKey {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl ConnKey {
    /// The key as a number.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

/// The purpose of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerFor {
    /// The earliest deadline among a connection's requests.
    Calls(ConnKey),
    /// Connecting and the handshake.
    Opening(ConnKey),
    /// Keepalive of a connection.
    Keepalive(ConnKey),
    /// The time limit of a drain.
    Drain(ConnKey),
    /// A future that sleeps.
    Sleep {
        /// Its place among the sleepers.
        slot: u32,
    },
    /// Retry of a listener whose accept failed: its slot in the shard's table.
    Accept(u32),
    /// A task's own.
    Task {
        /// The slot of the task.
        slot: u32,
        /// The token that the task chose.
        token: u32,
    },
}

const KIND_SHIFT: u32 = 60;
const SLOT_SHIFT: u32 = 32;
const SLOT_MASK: u64 = (1 << 24) - 1;

impl TimerFor {
    fn pack(self) -> u64 {
        let (kind, slot, low) = match self {
            TimerFor::Calls(key) => (0, key.slot, key.generation),
            TimerFor::Opening(key) => (1, key.slot, key.generation),
            TimerFor::Keepalive(key) => (2, key.slot, key.generation),
            TimerFor::Drain(key) => (3, key.slot, key.generation),
            TimerFor::Task { slot, token } => (4, slot, token),
            TimerFor::Sleep { slot } => (5, 0, slot),
            TimerFor::Accept(at) => (6, at, 0),
        };
        kind << KIND_SHIFT | (u64::from(slot) & SLOT_MASK) << SLOT_SHIFT | u64::from(low)
    }

    pub(crate) fn unpack(token: u64) -> Self {
        let slot = (token >> SLOT_SHIFT & SLOT_MASK) as u32;
        let low = token as u32;
        let key = ConnKey {
            slot,
            generation: low,
        };
        match token >> KIND_SHIFT {
            0 => TimerFor::Calls(key),
            1 => TimerFor::Opening(key),
            2 => TimerFor::Keepalive(key),
            3 => TimerFor::Drain(key),
            5 => TimerFor::Sleep { slot: low },
            6 => TimerFor::Accept(key.slot),
            _ => TimerFor::Task { slot, token: low },
        }
    }
}

/// The shard's own state; see the module.
pub(crate) struct ShardLocal {
    pub(crate) handle: ShardHandle,
    pub(crate) conf: Arc<TransportConf>,
    pub(crate) pool: Pool,
    /// Scratch memory of serialisations.
    pub(crate) arena: RefCell<Arena>,
    pub(crate) metrics: Arc<ShardMetrics>,
    /// Time at the beginning of the turn, in ns.
    now_ns: Cell<u64>,
    /// Start of the present idle spinning, in ns; `u64::MAX` while there is work.
    pub(super) idle_since_ns: Cell<u64>,
    /// Reads the time between turns; without it the time is constant there, as in a simulation.
    clock: Cell<Option<fn() -> u64>>,
    timers: RefCell<TimerWheel>,
    conns: RefCell<Slab<Rc<Conn>>>,
    generation: Cell<u32>,
    dirty: RefCell<Vec<ConnKey>>,
    pub(crate) memory_waiters: RefCell<MemoryWaiters>,
    /// Work that code on the shard leaves for the pump.
    pub(crate) local_commands: RefCell<VecDeque<Command>>,
    /// Messages to other shards whose inboxes were full.
    pub(crate) remote_overflow: RefCell<RemoteOverflow>,
    /// Tasks of embedders, run in the shard's turns.
    pub(super) tasks: RefCell<Slab<Rc<dyn ShardTask>>>,
    /// Callers on other threads that this turn has answers for.
    pub(super) deliveries: RefCell<Deliveries>,
    /// Futures that run in the shard's turns.
    pub(crate) executor: Executor,
    pub(super) sleepers: RefCell<Sleepers>,
    /// The shard takes nothing new on.
    pub(super) stopping: Cell<bool>,
    pub(crate) draining: Cell<bool>,
    /// Bodies on their way out, on all connections.
    pub(crate) transfers: Rc<Cell<usize>>,
    /// Its turn is being run: what is marked now is looked at before it ends.
    pub(crate) in_turn: Cell<bool>,
    /// Checksums of the files that are sent.
    pub(crate) file_sums: RefCell<FileSums>,
}

/// Timers of one shard at most: a few per connection.
const MAX_TIMERS: u32 = 1 << 22;

impl ShardLocal {
    pub(crate) fn new(
        handle: ShardHandle,
        conf: Arc<TransportConf>,
        metrics: Arc<ShardMetrics>,
        now_ns: u64,
    ) -> Rc<Self> {
        // As much as the group again, for buffers that are kept while they are parsed; where the reserve is
        // hardly more than that, half of it.
        let group = usize::from(conf.recv_buffers) * conf.recv_buffer_len;
        let receive = group.min(conf.pool_reserve / 2);
        let pool = Pool::with_receive_part(conf.pool_budget, conf.pool_reserve, receive);
        Rc::new(Self {
            handle,
            pool,
            arena: RefCell::new(Arena::new()),
            metrics,
            now_ns: Cell::new(now_ns),
            idle_since_ns: Cell::new(u64::MAX),
            clock: Cell::new(None),
            timers: RefCell::new(TimerWheel::new(now_ns, MAX_TIMERS)),
            conns: RefCell::new(Slab::new()),
            generation: Cell::new(0),
            dirty: RefCell::new(Vec::new()),
            memory_waiters: RefCell::default(),
            local_commands: RefCell::new(VecDeque::new()),
            remote_overflow: RefCell::default(),
            tasks: RefCell::new(Slab::new()),
            deliveries: RefCell::default(),
            executor: Executor::new(conf.max_futures),
            sleepers: RefCell::default(),
            stopping: Cell::new(false),
            draining: Cell::new(false),
            transfers: Rc::default(),
            in_turn: Cell::new(false),
            file_sums: RefCell::new(FileSums::new(conf.checksum_cache)),
            conf,
        })
    }

    /// Time as of the beginning of this turn of the loop; between turns, where futures run, now.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        if !self.in_turn.get() {
            self.tick();
        }
        self.now_ns.get()
    }

    /// Time as of the beginning of the last turn.
    #[inline]
    pub(crate) fn turn_ns(&self) -> u64 {
        self.now_ns.get()
    }

    #[cold]
    fn tick(&self) {
        if let Some(clock) = self.clock.get() {
            self.now_ns.set(clock());
        }
    }

    /// Installs the clock read between turns.
    pub(crate) fn set_clock(&self, clock: fn() -> u64) {
        self.clock.set(Some(clock));
    }

    /// True in a turn before which the shard has spun for at least this long.
    pub(crate) fn has_waited(&self, ns: usize) -> bool {
        let since = self.idle_since_ns.get();
        since != u64::MAX && self.turn_ns().saturating_sub(since) >= ns as u64
    }

    pub(crate) fn set_now_ns(&self, now_ns: u64) {
        self.now_ns.set(now_ns);
    }

    /// Sets a timer; `None` if the wheel is full, and then the caller runs without a timer.
    #[inline]
    pub(crate) fn set_timer(&self, after: Duration, what: TimerFor) -> Option<(TimerKey, u64)> {
        let deadline = self.now_ns().saturating_add(after.as_nanos() as u64);
        let key = self
            .timers
            .borrow_mut()
            .insert(deadline, what.pack())
            .ok()?;
        Some((key, deadline))
    }

    #[inline]
    pub(crate) fn cancel_timer(&self, key: TimerKey) {
        self.timers.borrow_mut().cancel(key);
    }

    pub(crate) fn pop_due_timer(&self) -> Option<TimerFor> {
        self.timers
            .borrow_mut()
            .pop_due(self.now_ns())
            .map(TimerFor::unpack)
    }

    /// Number of timers set.
    #[cfg(test)]
    pub(crate) fn timer_count(&self) -> usize {
        self.timers.borrow().len()
    }

    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.timers.borrow().next_deadline()
    }

    /// Creates a connection with a key of its own; `None` if the table is full.
    pub(crate) fn add_conn(&self, make: impl FnOnce(ConnKey) -> Rc<Conn>) -> Option<Rc<Conn>> {
        let mut conns = self.conns.borrow_mut();
        if conns.len() >= self.conf.max_connections {
            return None;
        }
        let generation = self.generation.get().wrapping_add(1);
        self.generation.set(generation);
        let entry = conns.vacant_entry();
        assert!(
            entry.key() as u64 <= SLOT_MASK,
            "a slot has more bits than timers and tokens keep of it"
        );
        let conn = make(ConnKey {
            slot: entry.key() as u32,
            generation,
        });
        entry.insert(Rc::clone(&conn));
        self.metrics.connection_opened();
        Some(conn)
    }

    #[inline]
    pub(crate) fn conn(&self, key: ConnKey) -> Option<Rc<Conn>> {
        let conns = self.conns.borrow();
        let conn = conns
            .get(key.slot as usize)
            .filter(|conn| conn.key == key)?;
        Some(Rc::clone(conn))
    }

    pub(crate) fn all_conns(&self) -> Vec<Rc<Conn>> {
        self.conns
            .borrow()
            .iter()
            .map(|(_, conn)| Rc::clone(conn))
            .collect()
    }

    pub(crate) fn conn_count(&self) -> usize {
        self.conns.borrow().len()
    }

    pub(crate) fn remove_conn(&self, key: ConnKey) {
        let mut conns = self.conns.borrow_mut();
        if conns
            .get(key.slot as usize)
            .is_some_and(|conn| conn.key == key)
        {
            conns.remove(key.slot as usize);
            self.metrics.connection_closed();
        }
    }

    /// Code on the shard's thread has left work: between turns the shard itself may be asleep.
    #[inline]
    pub(crate) fn wake_between_turns(&self) {
        if !self.in_turn.get() {
            self.handle.wake_local();
        }
    }

    /// Marks this connection for the pump: it has data to send, or is to be closed.
    pub(crate) fn push_dirty(&self, key: ConnKey) {
        self.wake_between_turns();
        self.dirty.borrow_mut().push(key);
    }

    pub(crate) fn pop_dirty(&self) -> Option<ConnKey> {
        self.dirty.borrow_mut().pop()
    }

    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.borrow().is_empty() || !self.local_commands.borrow().is_empty()
    }

    /// Queues a connection behind all others that wait for memory.
    pub(crate) fn wait_for_memory(&self, key: ConnKey, need: Need) {
        self.memory_waiters.borrow_mut().push(key, need);
    }

    /// Limit of memory that the unfinished requests of one peer may hold, in bytes.
    pub(crate) fn connection_share(&self) -> usize {
        let conf = &self.conf;
        let data = conf.pool_budget - conf.pool_reserve;
        conf.connection_share.min(data / 3 * 2)
    }

    /// Bytes of answers that may be queued on one connection before its requests are no longer
    /// read: fewer, the more of the pool is in use, so that many slow readers cannot exhaust it.
    #[inline]
    pub(crate) fn send_queue_limit(&self) -> usize {
        match self.pool.is_filled(2) {
            false => self.conf.send_queue,
            true => self.pressed_queue_limit(),
        }
    }

    #[cold]
    fn pressed_queue_limit(&self) -> usize {
        let most = match self.pool.is_filled(3) {
            false => 16 << 10,
            true => 2 << 10,
        };
        self.conf.send_queue.min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_tokens_keep_what_they_are_for() {
        let key = ConnKey {
            slot: 0xff_fffe,
            generation: u32::MAX,
        };
        for what in [
            TimerFor::Calls(key),
            TimerFor::Opening(key),
            TimerFor::Keepalive(key),
            TimerFor::Drain(key),
            TimerFor::Sleep { slot: u32::MAX },
            TimerFor::Accept(7),
            TimerFor::Task {
                slot: 0xff_fffe,
                token: u32::MAX,
            },
        ] {
            assert_eq!(TimerFor::unpack(what.pack()), what);
        }
    }
}
