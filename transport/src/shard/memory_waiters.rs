//! The queue of everything that waits for memory of the shard's pool.
//!
//! One queue, in order of arrival, whatever the memory is for. The pump retries it when the pool has more room
//! (`pump/waiters.rs`). Its length is bounded: a connection has at most one waiter to parse and one to send, and
//! one grant per request outstanding.

use std::collections::VecDeque;

use super::local::ConnKey;

/// Waiters among which nobody looks for connections that have ended.
const LEAST_LOOK: usize = 64;

/// The purpose that memory is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// To go on with received bytes.
    Parse,
    /// To go on with sending.
    Send,
    /// To receive the rest of a chunk: the request that it answers.
    Grant { call: u64 },
}

/// A connection that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) key: ConnKey,
    pub(crate) need: Need,
}

/// The queue. See the module.
#[derive(Debug, Default)]
pub(crate) struct MemoryWaiters {
    queue: VecDeque<Waiter>,
    /// Length from which it is worth looking for connections that have ended: twice that of the last look, so that
    /// looking costs no more than waiting.
    look_at: usize,
}

impl MemoryWaiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// True if connections that have ended may outnumber the others.
    pub(crate) fn is_worth_a_look(&self) -> bool {
        self.queue.len() > self.look_at
    }

    /// Adds a waiter behind all others.
    pub(crate) fn push(&mut self, key: ConnKey, need: Need) {
        self.queue.push_back(Waiter { key, need });
    }

    /// Takes the waiter that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<Waiter> {
        self.queue.pop_front()
    }

    /// Gives a waiter its turn back: what it needs must not be overtaken for ever by what needs less.
    pub(crate) fn put_back(&mut self, waiter: Waiter) {
        self.queue.push_front(waiter);
    }

    /// Removes those of connections that have ended.
    pub(crate) fn retain(&mut self, is_there: impl Fn(ConnKey) -> bool) {
        self.queue.retain(|waiter| is_there(waiter.key));
        self.look_at = 2 * self.queue.len().max(LEAST_LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> ConnKey {
        let generation = 1;
        ConnKey { slot, generation }
    }

    #[test]
    fn whoever_waits_longest_is_first_whatever_the_need_is() {
        let mut waiters = MemoryWaiters::default();
        let needs = [Need::Send, Need::Grant { call: 7 }, Need::Parse];
        for (slot, need) in needs.into_iter().enumerate() {
            waiters.push(key(slot as u32), need);
        }
        let first = waiters.pop().unwrap();
        assert_eq!((first.key, first.need), (key(0), Need::Send));
        let grant = waiters.pop().unwrap();
        waiters.put_back(grant);
        assert_eq!(waiters.pop(), Some(grant));
        assert!(waiters.is_worth_a_look());
        waiters.retain(|key| key.slot != 2);
        assert!(!waiters.is_worth_a_look(), "it has been looked at");
        assert!(waiters.is_empty());
        assert_eq!(waiters.pop(), None);
    }
}
