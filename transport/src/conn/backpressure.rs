//! Backpressure: when a peer's requests are queued, when it is no longer read, and when it is refused.
//!
//! Answers to a peer that asks much and reads slowly accumulate. Once more of them are queued than
//! `ringrail.transport.sendQueue` allows, its further requests are queued in order
//! ([`RequestQueue`](super::request_queue::RequestQueue)) and handled as answers leave. The queue is bounded: a
//! side with no request of its own to this peer stops reading beyond the bound, so that TCP holds the peer back;
//! a side that waits for an answer goes on reading, for that answer may be what the other side waits with, and
//! refuses requests instead.

/// Answers may always be queued up to this size, in bytes, whatever the settings are.
const LEAST_ROOM: usize = 1024;

/// Additional limit for answers to frames that are never queued (pings, refused uploads), in bytes,
/// before the peer is no longer read.
const UNQUEUED_ROOM: usize = 64 << 10;

/// The reasons why a connection's received bytes are not parsed, as a set.
///
/// Each has an event that removes it; the shell parses on when all are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocked(u8);

impl Blocked {
    /// The peer has to read answers first, or a reader of this side has to take what has come, or the peer has as
    /// many requests here as it may. Removed by a send that ends, a grant, a resumed pause.
    pub(crate) const BACKPRESSURE: Blocked = Blocked(1);
    /// A body has found no memory. Removed by the queue of those that wait for memory.
    pub(crate) const MEMORY: Blocked = Blocked(2);
    /// The budget of this turn is used up. Removed by the next turn.
    pub(crate) const TURN: Blocked = Blocked(4);

    /// Adds a reason.
    #[inline]
    pub(crate) fn add(&mut self, reason: Blocked) {
        self.0 |= reason.0;
    }

    /// Takes a reason away.
    #[inline]
    pub(crate) fn remove(&mut self, reason: Blocked) {
        self.0 &= !reason.0;
    }

    /// True for one of these reasons.
    #[inline(always)]
    pub(crate) fn is_for(self, reasons: Blocked) -> bool {
        self.0 & reasons.0 != 0
    }

    /// True for no reason at all.
    #[inline(always)]
    pub(crate) fn is_clear(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOr for Blocked {
    type Output = Blocked;

    fn bitor(self, other: Blocked) -> Blocked {
        Blocked(self.0 | other.0)
    }
}

/// The work that has accumulated on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accumulated {
    /// Bytes of answers that wait to be sent.
    pub(crate) answers: usize,
    /// Limit of those before requests are queued (`ringrail.transport.sendQueue`, less under memory pressure).
    pub(crate) limit: usize,
    /// Room beyond the limit while this side waits for the peer (`ringrail.transport.requestQueue`).
    pub(crate) request_queue: usize,
    /// Bytes that queued requests retain.
    pub(crate) queued_bytes: usize,
    /// This side waits for an answer of the peer.
    pub(crate) waits_for_peer: bool,
}

/// The place of a request that is not handled at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Queue,
    /// The queue is full, and the peer must be read on.
    Refuse,
}

/// True if too many answers are queued for requests to be handled. The limit is computed only where it can
/// matter.
#[inline(always)]
pub(crate) fn is_backpressured(answers: usize, limit: impl FnOnce() -> usize) -> bool {
    answers > LEAST_ROOM && answers > limit()
}

/// True if the peer of a connection that queues its requests is not to be read at all.
pub(crate) fn stops_reading(have: &Accumulated) -> bool {
    if have.waits_for_peer {
        return have.answers > have.limit + have.request_queue;
    }
    have.answers > have.limit + UNQUEUED_ROOM || have.queued_bytes > have.limit
}

/// The place of a request that cannot be handled at once, where the protocol has refusals.
pub(crate) fn place(have: &Accumulated) -> Place {
    match have.queued_bytes > have.limit && have.waits_for_peer {
        true => Place::Refuse,
        false => Place::Queue,
    }
}

/// The pauses of a connection: while one exists, no request is handed to its handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pauses(u32);

impl Pauses {
    pub(crate) fn begin(&mut self) {
        self.0 = self
            .0
            .checked_add(1)
            .expect("fewer pauses than bytes of memory");
    }

    /// One has been dropped.
    pub(crate) fn end(&mut self) {
        assert!(self.0 > 0, "a pause ends once");
        self.0 -= 1;
    }

    #[inline(always)]
    pub(crate) fn is_paused(self) -> bool {
        self.0 > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn have(answers: usize, queued_bytes: usize, waits_for_peer: bool) -> Accumulated {
        Accumulated {
            answers,
            limit: 4096,
            request_queue: 1 << 20,
            queued_bytes,
            waits_for_peer,
        }
    }

    #[test]
    fn few_answers_never_block_whatever_the_limit_is() {
        assert!(!is_backpressured(LEAST_ROOM, || 0));
        assert!(is_backpressured(LEAST_ROOM + 1, || 0));
        assert!(!is_backpressured(10, || unreachable!("not asked for")));
    }

    #[test]
    fn a_set_of_reasons_is_clear_when_each_is_removed() {
        let mut blocked = Blocked::default();
        assert!(blocked.is_clear());
        blocked.add(Blocked::MEMORY);
        blocked.add(Blocked::TURN);
        blocked.add(Blocked::TURN);
        assert!(blocked.is_for(Blocked::MEMORY | Blocked::BACKPRESSURE));
        blocked.remove(Blocked::MEMORY);
        assert!(!blocked.is_for(Blocked::MEMORY) && !blocked.is_clear());
        blocked.remove(Blocked::TURN);
        assert!(blocked.is_clear());
    }

    proptest! {
        /// Two sides that wait for each other must go on reading, or neither gets its answer.
        #[test]
        fn a_side_that_waits_reads_on_and_refuses(
            answers in 0usize..1 << 20,
            queued in 0usize..1 << 21,
        ) {
            let waits = have(answers, queued, true);
            prop_assert!(!stops_reading(&waits), "the request queue bounds what it may ask for");
            let idle = have(answers, queued, false);
            prop_assert_eq!(place(&idle), Place::Queue);
            // A side that waits for nothing refuses nothing: beyond the bound it stops reading.
            prop_assert_eq!(place(&waits) == Place::Refuse, queued > idle.limit);
            if queued > idle.limit {
                prop_assert!(stops_reading(&idle));
            }
        }
    }
}
