//! Progress of the peer: a body that has begun and does not grow is dropped.
//!
//! A peer that announces a body and never sends it occupies memory, an entry of a table, or the connection's
//! parser. Pongs do not count as progress, nor does other traffic of its connection. Time in which this side
//! does not read is not counted.

use std::rc::Rc;

use ringrail_codec::native::{FailureCode, Kind};

use crate::error::{CloseReason, Reached, RequestError, RpcFailure};
use crate::sys::driver::Moved;

use super::Conn;

/// The key that limits the time without progress of a body.
const KEY: &str = "ringrail.transport.progressTimeout";

/// State of a connection's socket and parser when its keepalive timer fires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketStatus {
    /// Bytes that the socket has moved so far, if the system reports them.
    pub(crate) moved: Option<Moved>,
    /// A frame has begun to arrive.
    pub(crate) within_a_frame: bool,
    /// The request or message of that frame, if the frame is a slice of a body.
    pub(crate) body_id: Option<u64>,
    /// This side does not read at present.
    pub(crate) stuck: bool,
    /// A send is in flight.
    pub(crate) sending: bool,
}

impl Conn {
    /// Records the bytes moved since the last check: a receive of a whole body, or a send, completes only at
    /// its end, which on a slow link is long after its first bytes.
    pub(super) fn note_moved(&self, sight: &SocketStatus) {
        let now_ns = self.local.now_ns();
        if let Some(moved) = sight.moved {
            let before = self.moved.replace(moved);
            if moved.received > before.received {
                self.last_in_ns.set(now_ns);
            }
            if moved.acknowledged > before.acknowledged {
                self.last_out_ns.set(now_ns);
                // A peer that acknowledges bytes is alive. If nothing more is pending, an
                // acknowledgement proves little: the peer's kernel accepts some bytes for a hung
                // process.
                if moved.pending {
                    self.last_in_ns.set(now_ns);
                }
            }
        }
        if !sight.sending {
            self.last_out_ns.set(now_ns);
        }
        if sight.stuck || self.is_paused() {
            self.last_in_ns.set(now_ns);
            self.inbound.borrow_mut().excuse(now_ns);
        }
    }

    /// Some bytes of a send have been moved.
    pub(crate) fn note_sent(&self) {
        self.last_out_ns.set(self.local.turn_ns());
    }

    /// The reason to close the connection: no progress within a frame, or a peer that does not
    /// read.
    pub(super) fn standstill(&self, sight: &SocketStatus) -> Option<CloseReason> {
        let now_ns = self.local.now_ns();
        let over = |since_ns: u64, after: std::time::Duration| {
            u128::from(now_ns.saturating_sub(since_ns)) >= after.as_nanos()
        };
        let conf = &self.local.conf;
        if sight.within_a_frame && over(self.last_in_ns.get(), conf.progress_timeout) {
            let after = conf.progress_timeout;
            return Some(CloseReason::NoProgress { after });
        }
        if sight.sending && over(self.last_out_ns.get(), conf.connection_timeout) {
            let after = conf.connection_timeout;
            return Some(CloseReason::NotRead { after });
        }
        None
    }

    /// Drops bodies that have begun and make no progress between two slices.
    pub(super) fn sweep_stalled(self: &Rc<Self>, sight: &SocketStatus) {
        let after = self.local.conf.progress_timeout;
        let now_ns = self.local.now_ns();
        let Some(since_ns) = now_ns.checked_sub(after.as_nanos() as u64) else {
            return;
        };
        // A slice being received is checked as a frame.
        let growing = sight.body_id;
        let stalled = self.inbound.borrow().stalled(since_ns, growing);
        let metrics = &self.local.metrics;
        let text = format!("the body stood still for {after:?} ({KEY} there)");
        for id in stalled.requests {
            metrics.requests_timed_out.increment();
            self.inbound.borrow_mut().requests.remove(id);
            let failure =
                RpcFailure::new(FailureCode::DeadlineExceeded, &*text).with_retryable(true);
            self.answer_failure_as(Kind::RpcFailure, id, &failure);
        }
        for id in stalled.one_ways {
            metrics.requests_timed_out.increment();
            self.inbound.borrow_mut().one_ways.remove(id);
            tracing::warn!(target: "ringrail::conn", peer = %self.peer, text, "message dropped");
        }
        for id in stalled.uploads {
            metrics.requests_timed_out.increment();
            self.fail_upload(id, FailureCode::DeadlineExceeded, &text);
        }
        let answers = self.calls.borrow().stalled(since_ns, growing);
        for id in answers {
            metrics.requests_timed_out.increment();
            self.retract(id);
            let error = RequestError::TimedOut {
                peer: self.peer.clone(),
                after,
                reached: Reached::Receiving,
                key: KEY,
            };
            self.resolve_failure(id, error);
        }
    }
}
