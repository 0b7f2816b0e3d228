//! The shard's end of a request of another thread: sees that the caller gets exactly one outcome, and
//! that its wake-up waits for the end of the turn.

use std::fmt;

use crate::conn::Outcome;
use crate::error::RequestError;

use super::handle::with_current;
use super::local::ShardLocal;
use super::remote::{Answerer, Deliveries, Delivery, Ticket};

/// Answers one caller. Dropped without an answer, it says that the shard has stopped.
pub(crate) struct RemoteSink(Option<Answerer<Outcome>>);

impl RemoteSink {
    pub(crate) fn new(answerer: Answerer<Outcome>) -> Self {
        Self(Some(answerer))
    }

    /// Gives the caller its outcome.
    pub(crate) fn send(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    /// Whether the caller has let go already.
    pub(crate) fn is_retracted(&self) -> bool {
        self.0.as_ref().is_none_or(Answerer::is_retracted)
    }

    /// Ties the request that is being sent to its caller.
    pub(crate) fn ticket(&self) -> Option<Ticket<Outcome>> {
        self.0.as_ref().map(Answerer::ticket)
    }

    fn settle(&mut self, outcome: Outcome) {
        let answerer = self.0.take();
        if let Some(delivery) = answerer.and_then(|answerer| answerer.publish(outcome)) {
            deliver(delivery);
        }
    }
}

impl Drop for RemoteSink {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.settle(Err(RequestError::ShardStopped));
        }
    }
}

impl fmt::Debug for RemoteSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteSink")
    }
}

/// Wakes a caller: in a turn, with the others at its end.
fn deliver(delivery: Delivery<Outcome>) {
    let mut delivery = Some(delivery);
    with_current(|local| {
        if local.in_turn.get()
            && let Some(delivery) = delivery.take()
        {
            local.deliveries.borrow_mut().push(delivery);
        }
    });
    if let Some(delivery) = delivery {
        delivery.wake();
    }
}

impl ShardLocal {
    /// Wakes the callers that the turn has answers for.
    pub(super) fn flush_deliveries(&self) {
        if self.deliveries.borrow().is_empty() {
            return;
        }
        self.wake_callers(Deliveries::flush);
    }

    /// Wakes those whose leader has not run in its time.
    pub(super) fn wake_overdue_callers(&self) {
        let due_ns = self.deliveries.borrow().due_ns();
        if due_ns.is_none_or(|due| due > self.turn_ns()) {
            return;
        }
        self.wake_callers(Deliveries::wake_overdue);
    }

    /// Takes the deliveries out while wakers run, which are embedders' code and may answer other callers.
    fn wake_callers(&self, wake: impl FnOnce(&mut Deliveries<Outcome>, u64)) {
        let mut deliveries = self.deliveries.take();
        wake(&mut deliveries, self.turn_ns());
        let newer = self.deliveries.replace(deliveries);
        self.deliveries.borrow_mut().append(newer);
    }

    /// When a leader has to have run, in ns of the turn's clock.
    pub(super) fn deliveries_due_ns(&self) -> Option<u64> {
        self.deliveries.borrow().due_ns()
    }
}
