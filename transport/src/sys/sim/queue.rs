//! Future events by time; ties keep the order of scheduling.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::sys::driver::{Completion, OpKey, Sock};

use super::conn::Side;
use super::faults::Injury;
use super::host::HostId;

#[derive(Debug)]
pub(super) enum Event {
    /// A connection request reaches the listening side.
    Syn { host: HostId, key: OpKey },
    /// Its acceptance reaches the side that asked.
    SynAck {
        host: HostId,
        key: OpKey,
        listener: Sock,
    },
    /// A connect ends with an error.
    Refused {
        host: HostId,
        key: OpKey,
        errno: i32,
    },
    /// The listening side knows the connection.
    Established { conn: usize, listener: Sock },
    /// The oldest segment under way reaches the other side.
    Arrive { conn: usize, from: Side },
    /// A reset reaches this side.
    Reset { conn: usize, at: Side },
    /// A scripted injury is due.
    Injure { conn: usize, injury: Injury },
    /// A cancel takes effect.
    Cancel { host: HostId, key: OpKey },
    /// A completion that was held back.
    Post { host: HostId, done: Completion },
    /// The disk has the data of a read.
    Disk { host: HostId, key: OpKey },
    /// A wake-up for nothing.
    Wake { host: HostId },
}

#[derive(Debug)]
struct Entry {
    at_ns: u64,
    number: u64,
    event: Event,
}

impl Entry {
    fn rank(&self) -> (u64, u64) {
        (self.at_ns, self.number)
    }
}

// Reversed: the heap's greatest is the earliest.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.rank().cmp(&self.rank())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Entry {}

#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    pushed: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at_ns: u64, event: Event) {
        let number = self.pushed;
        self.pushed += 1;
        self.heap.push(Entry {
            at_ns,
            number,
            event,
        });
    }

    pub(super) fn next_ns(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.at_ns)
    }

    /// The next event, where it is due by `until_ns`.
    pub(super) fn pop(&mut self, until_ns: u64) -> Option<(u64, Event)> {
        if self.next_ns()? > until_ns {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at_ns, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(queue: &mut Queue, until_ns: u64) -> Vec<(u64, HostId)> {
        std::iter::from_fn(|| match queue.pop(until_ns)? {
            (at, Event::Wake { host }) => Some((at, host)),
            other => panic!("{other:?}"),
        })
        .collect()
    }

    #[test]
    fn events_come_by_time_and_ties_by_scheduling() {
        let mut queue = Queue::default();
        for (host, at) in [5, 3, 5, 3, 9].into_iter().enumerate() {
            queue.push(at, Event::Wake { host });
        }
        assert_eq!(order(&mut queue, 5), [(3, 1), (3, 3), (5, 0), (5, 2)]);
        assert_eq!(queue.next_ns(), Some(9));
    }
}
