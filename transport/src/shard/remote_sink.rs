//! The shard's end of a request of another thread: sees that the caller gets exactly one outcome, and
//! that its wake-up waits for the end of the turn.

use std::fmt;
use std::time::Duration;

use crate::error::RequestError;
use crate::shard::conn::Outcome;

use super::command::Ask;
use super::handle::with_current;
use super::local::ShardLocal;
use super::remote;

/// A request of another thread to a connection, and the time that it may take.
pub(crate) type Question = (Ask, Option<Duration>);

type Answerer = remote::Answerer<Question, Outcome>;
type Delivery = remote::Delivery<Question, Outcome>;

/// The callers of other threads that a turn has answers for.
pub(super) type Deliveries = remote::Deliveries<Question, Outcome>;

/// Answers one caller. Dropped without an answer, it says that the shard has stopped.
pub(crate) struct RemoteSink(Option<Answerer>);

impl RemoteSink {
    pub(crate) fn new(answerer: Answerer) -> Self {
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

    /// The question; `None` where it has been taken before.
    pub(crate) fn question(&mut self) -> Option<Question> {
        self.0.as_mut()?.question()
    }

    /// The request has got its id; false where the caller has retracted it.
    pub(crate) fn sent_as(&self, id: u64) -> bool {
        self.0.as_ref().is_some_and(|answerer| answerer.sent_as(id))
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
fn deliver(delivery: Delivery) {
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
    fn wake_callers(&self, wake: impl FnOnce(&mut Deliveries, u64)) {
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
