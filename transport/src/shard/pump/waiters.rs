//! Connections that wait: for a receive buffer, or for memory of the pool.
//!
//! There is one queue for each of the two. The pool signals no release of memory, so waiters are retried when the
//! pool has more room than at the last check, and after [`MEMORY_RETRY_NS`] at the latest. First come, first
//! served. No waiter is retried twice in a turn: with an empty group of receive buffers a receive fails before
//! the kernel looks at its socket, and a shard that posted it again at once would do nothing else.
//!
//! ```text
//! received ─ ENOBUFS ─► buffers ── refill found a buffer ──► post_receive
//! parse ─── no lease ─┐
//! chunk ─── no lease ─┼► memory_waiters ── room, or time ──► resume, grant, service
//! send ──── no lease ─┘
//! ```

use std::collections::VecDeque;

use crate::shard::local::ConnKey;
use crate::shard::memory_waiters::{Need, Waiter};
use crate::sys::driver::Driver;

use super::Pump;

/// Interval of retries without an event, in ns.
const MEMORY_RETRY_NS: u64 = 1_000_000;

/// Waiters retried in one turn, so that a long queue costs no more than a short one.
const RETRIES_PER_TURN: usize = 64;

/// Connections that wait for a receive buffer, and the time of the next retry.
#[derive(Default)]
pub(super) struct Retries {
    /// Connections whose receive ended for lack of a receive buffer.
    buffers: VecDeque<ConnKey>,
    /// Grants that found no memory in this pass.
    ungranted: Vec<Waiter>,
    /// There were waiters at the last check.
    armed: bool,
    due_ns: u64,
    /// Bytes that the pool could have leased at the last look.
    room: usize,
}

/// Removes connections that have ended, once they may outnumber the others.
fn purge<D: Driver>(pump: &mut Pump<D>) {
    let local = std::rc::Rc::clone(&pump.local);
    let limit = 2 * local.conn_count() + RETRIES_PER_TURN;
    if pump.waiters.buffers.len() > limit {
        pump.waiters
            .buffers
            .retain(|key| local.conn(*key).is_some());
    }
    let mut waiters = local.memory_waiters.borrow_mut();
    if waiters.is_worth_a_look() {
        waiters.retain(|key| local.conn(key).is_some());
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
            self.local.wait_for_memory(key, Need::Parse);
            purge(self);
        }
    }

    /// The time of the next retry, in ns; `None` without waiters.
    pub(super) fn memory_retry_ns(&self) -> Option<u64> {
        let waits = self.has_waiters();
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
        let waits = self.has_waiters();
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
        self.retry_memory();
        self.waiters.room = self.local.pool.available();
        true
    }

    fn has_waiters(&self) -> bool {
        !self.waiters.buffers.is_empty() || !self.local.memory_waiters.borrow().is_empty()
    }

    /// Retries those that wait for memory, in order. A grant that finds none keeps its turn before later grants.
    fn retry_memory(&mut self) {
        assert!(
            self.waiters.ungranted.is_empty(),
            "waiters of an earlier pass"
        );
        let waiting = self.local.memory_waiters.borrow().len();
        let mut parses = 0;
        for _ in 0..waiting {
            if parses == RETRIES_PER_TURN {
                break;
            }
            let Some(waiter) = self.local.memory_waiters.borrow_mut().pop() else {
                break;
            };
            match waiter.need {
                Need::Parse => {
                    parses += 1;
                    if let Some(link) = self.link_of(waiter.key) {
                        link.waits_for_lease = false;
                        self.resume(waiter.key);
                    }
                }
                Need::Send => {
                    if let Some(conn) = self.local.conn(waiter.key) {
                        conn.retry_send();
                    }
                }
                Need::Grant { call } => self.retry_grant(waiter, call),
            }
        }
        let mut waiters = self.local.memory_waiters.borrow_mut();
        for waiter in self.waiters.ungranted.drain(..).rev() {
            waiters.put_back(waiter);
        }
    }

    fn retry_grant(&mut self, waiter: Waiter, call: u64) {
        let Some(conn) = self.local.conn(waiter.key) else {
            return;
        };
        // Those behind one that needs more would take what comes free, over and over.
        let is_next = self.waiters.ungranted.is_empty();
        if !is_next || !conn.try_grant_chunk(call) {
            self.waiters.ungranted.push(waiter);
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
