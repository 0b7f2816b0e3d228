//! Requests that wait until answers have left, or until their handler has what it needs.
//!
//! Answers to a peer that sends many requests and reads slowly accumulate here. Once more of them
//! are queued than `ringrail.transport.sendQueue` allows, its further requests are queued in order
//! and handled as answers leave. All other frames are still processed: two sides that both hold
//! back requests must still get each other's replies, credits and cancellations, or neither makes
//! progress.
//!
//! A handler may [pause](super::pause) its connection, which holds requests in the same way.
//!
//! The queue of held requests is bounded as well. Beyond that bound, a side with no pending request
//! to this peer stops reading, so that TCP backpressure reaches the peer. A side with pending
//! requests goes on reading and refuses requests, because the reply that resolves the deadlock may
//! follow them.

use std::rc::Rc;

use ringrail_codec::native::FailureCode;

use crate::buf::Lease;
use crate::conn::backpressure::{Accumulated, Place, is_backpressured, place, stops_reading};
use crate::conn::request_queue::Queued;
use crate::error::{CloseReason, RpcFailure};

use super::Conn;
use super::received::ReceivedBytes;

impl Conn {
    /// Holds a request whose handler has paused the connection, before all others.
    #[cold]
    pub(crate) fn queue_first(&self, held: Queued) {
        self.inbound.borrow_mut().waiting.push_first(held);
    }

    /// True if too many answers are queued for requests to be handled.
    #[inline(always)]
    fn is_backpressured(&self) -> bool {
        let answers = self.tx.borrow().answers();
        is_backpressured(answers, || self.local.send_queue_limit())
    }

    /// True if a new request has to be held.
    #[inline(always)]
    pub(crate) fn queues_requests(&self) -> bool {
        self.is_paused() || self.is_backpressured() || !self.inbound.borrow().waiting.is_empty()
    }

    /// True if the peer is not to be read.
    #[inline(always)]
    pub(crate) fn is_blocked(&self) -> bool {
        ((self.is_backpressured() || self.is_paused()) && self.is_overfull())
            || self.has_all_it_may_ask()
    }

    /// True if a peer of Spark's protocol, which is told no limit, has reached the limit of
    /// requests.
    #[inline]
    fn has_all_it_may_ask(&self) -> bool {
        let limit = self.local.conf.limits.max_outstanding as usize;
        !self.wire().announces_limits() && self.inbound.borrow().active >= limit
    }

    #[cold]
    fn is_overfull(&self) -> bool {
        stops_reading(&self.accumulated())
    }

    fn accumulated(&self) -> Accumulated {
        Accumulated {
            answers: self.tx.borrow().answers(),
            limit: self.local.send_queue_limit(),
            request_queue: self.local.conf.request_queue,
            queued_bytes: self.inbound.borrow().waiting.bytes(),
            waits_for_peer: self.calls.borrow().len() > 0,
        }
    }

    /// Holds a request that is in `source`.
    #[cold]
    pub(crate) fn queue_request(self: &Rc<Self>, held: Queued, source: &Lease) {
        // Spark's protocol announces no limit and has no refusals: beyond the limit the peer is not
        // read.
        let full = self.wire().has_refusals() && place(&self.accumulated()) == Place::Refuse;
        match (held, full) {
            // A one-way message has no answer, so it cannot be refused; it adds none to the queue
            // either.
            (Queued::OneWay { body }, true) => {
                self.handle_one_way(ReceivedBytes::new(&body, &body))
            }
            (held, true) => self.refuse_queued(&held),
            (held, false) => self.inbound.borrow_mut().waiting.push(held, source),
        }
    }

    fn refuse_queued(&self, held: &Queued) {
        let text = "too many answers wait for this peer to read them \
                    (ringrail.transport.sendQueue); ask again later";
        let failure = RpcFailure::new(FailureCode::Busy, text).with_retryable(true);
        if let Some(id) = held.id() {
            self.answer_failure_as(held.refusal(), id, &failure);
        }
    }

    /// True if held requests could be handled now.
    pub(crate) fn can_serve_queued(&self) -> bool {
        !self.inbound.borrow().waiting.is_empty() && !self.is_backpressured() && !self.is_paused()
    }

    /// Handles held requests while there is space for the answers.
    pub(crate) fn serve_queued(self: &Rc<Self>) -> Result<(), Box<CloseReason>> {
        while self.is_open() && !self.is_backpressured() && !self.is_paused() {
            let next = self.inbound.borrow_mut().waiting.pop();
            match next {
                None => break,
                Some(Queued::Rpc {
                    id,
                    deadline_ns,
                    body,
                }) => {
                    if !self.drops_overdue(deadline_ns) {
                        self.handle_rpc(id, deadline_ns, ReceivedBytes::new(&body, &body));
                    }
                }
                Some(Queued::Spark { id }) => self.serve_spark(id),
                Some(Queued::Merged { id, asked }) => self.serve_merged(id, &asked),
                Some(Queued::OneWay { body }) => {
                    self.handle_one_way(ReceivedBytes::new(&body, &body))
                }
                Some(Queued::Frame {
                    header,
                    body,
                    arrived_ns,
                }) => self.serve_frame(&header, ReceivedBytes::new(&body, &body), arrived_ns)?,
            }
        }
        Ok(())
    }
}
