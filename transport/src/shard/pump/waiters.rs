//! Connections that wait for memory: for a receive buffer, or for a lease.
//!
//! The pool signals no release of memory, so waiters are retried when the pool has more room than at the last
//! check, and after [`MEMORY_RETRY_NS`] at the latest. First come, first served; a waiter that finds none goes
//! to the end of its queue. No waiter is retried twice in a turn: with an empty group of receive buffers a
//! receive fails before the kernel looks at its socket, and a shard that posted it again at once would do
//! nothing else.
//!
//! ```text
//! received ─ ENOBUFS ─► buffer_waiters ── refill found a buffer ──► post_receive
//! parse ─── no lease ─► lease_waiters ─┐
//! chunk ─── no lease ─► grant_waiters ─┼─ room, or time ──────────► resume, grant, service
//! send ──── no lease ─► send_waiters ──┘
//! ```

use std::collections::VecDeque;

use crate::shard::local::ConnKey;
use crate::sys::driver::Driver;

use super::Pump;

/// Interval of retries without an event, in ns.
const MEMORY_RETRY_NS: u64 = 1_000_000;

/// Waiters retried in one turn, so that a long queue costs no more than a short one.
const RETRIES_PER_TURN: usize = 64;

/// Waiting connections, and the time of their retry.
#[derive(Default)]
pub(super) struct MemoryWaiters {
    /// Connections whose receive ended for lack of a receive buffer.
    buffers: VecDeque<ConnKey>,
    /// Connections whose parse stopped for lack of a lease.
    leases: VecDeque<ConnKey>,
    /// There were waiters at the last check.
    armed: bool,
    due_ns: u64,
    /// Bytes that the pool could have leased at the last look.
    room: usize,
}

impl MemoryWaiters {
    fn is_empty(&self) -> bool {
        self.buffers.is_empty() && self.leases.is_empty()
    }
}

/// Removes connections that have ended, once they may outnumber the others.
fn purge<D: Driver>(pump: &mut Pump<D>) {
    let limit = 2 * pump.local.conn_count() + RETRIES_PER_TURN;
    let local = std::rc::Rc::clone(&pump.local);
    for line in [&mut pump.waiters.buffers, &mut pump.waiters.leases] {
        if line.len() > limit {
            line.retain(|key| local.conn(*key).is_some());
        }
    }
}

impl<D: Driver> Pump<D> {
    /// Queues a connection whose receive found no buffer.
    pub(super) fn wait_for_buffer(&mut self, key: ConnKey) {
        if let Some(link) = self.link_of(key)
            && !std::mem::replace(&mut link.waits_for_buffer, true)
        {
            self.waiters.buffers.push_back(key);
            purge(self);
        }
    }

    /// Queues a connection whose parse found no memory.
    pub(super) fn wait_for_lease(&mut self, key: ConnKey) {
        if let Some(link) = self.link_of(key)
            && !std::mem::replace(&mut link.waits_for_lease, true)
        {
            self.waiters.leases.push_back(key);
            purge(self);
        }
    }

    /// The time of the next retry, in ns; `None` without waiters.
    pub(super) fn memory_retry_ns(&self) -> Option<u64> {
        let waits = !self.waiters.is_empty() || self.local.has_memory_waiters();
        waits.then(|| {
            let soon = self.local.turn_ns() + MEMORY_RETRY_NS;
            match self.waiters.armed {
                true => self.waiters.due_ns.min(soon),
                false => soon,
            }
        })
    }

    /// Retries the waiters that are due; true if there was one.
    pub(super) fn retry_waiters(&mut self) -> bool {
        let now_ns = self.local.turn_ns();
        let waits = !self.waiters.is_empty() || self.local.has_memory_waiters();
        if !waits {
            self.waiters.armed = false;
            return false;
        }
        let room = self.local.pool.available();
        let since_before = std::mem::replace(&mut self.waiters.armed, true);
        if !since_before {
            self.waiters.due_ns = now_ns + MEMORY_RETRY_NS;
            self.waiters.room = room;
            return false;
        }
        if now_ns < self.waiters.due_ns && room <= self.waiters.room {
            return false;
        }
        self.waiters.due_ns = now_ns + MEMORY_RETRY_NS;
        self.retry_grants();
        self.retry_sends();
        let leases = self.waiters.leases.len().min(RETRIES_PER_TURN);
        for _ in 0..leases {
            let Some(key) = self.waiters.leases.pop_front() else {
                break;
            };
            if let Some(link) = self.link_of(key) {
                link.waits_for_lease = false;
                self.resume(key);
            }
        }
        self.waiters.room = self.local.pool.available();
        true
    }

    fn retry_grants(&mut self) {
        while let Some((key, call)) = self.local.pop_grant_waiter() {
            let Some(conn) = self.local.conn(key) else {
                continue;
            };
            if !conn.try_grant_chunk(call) {
                self.local.return_grant_waiter(key, call);
                break;
            }
        }
    }

    fn retry_sends(&mut self) {
        for key in self.local.take_send_waiters() {
            if let Some(conn) = self.local.conn(key) {
                conn.mark_dirty();
            }
        }
    }

    /// Fills the group of receive buffers, and posts as many of the waiting receives as there are buffers;
    /// true if there were some.
    pub(super) fn refill(&mut self) -> bool {
        let buffers = self.driver.refill(&self.local.pool);
        let count = self.waiters.buffers.len().min(buffers);
        for _ in 0..count {
            let Some(key) = self.waiters.buffers.pop_front() else {
                break;
            };
            if let Some(link) = self.link_of(key) {
                link.waits_for_buffer = false;
                self.post_receive(key);
            }
        }
        count > 0
    }
}
