//! Progress of the peer: a body that has begun and does not grow is dropped.
//!
//! A peer that announces a body and never sends it occupies memory, an entry of a table, or the connection's
//! parser. Pongs do not count as progress, nor does other traffic of its connection. Time in which this side
//! does not read is not counted.

use std::rc::Rc;

use ringrail_codec::native::{FailureCode, Kind};

use crate::conn::liveness::SocketStatus;
use crate::error::{Reached, RequestError, RpcFailure};

use super::Conn;

/// The key that limits the time without progress of a body.
const KEY: &str = "ringrail.transport.progressTimeout";

impl Conn {
    /// Some bytes of a send have been moved.
    pub(crate) fn note_sent(&self) {
        let now_ns = self.local.turn_ns();
        self.liveness.borrow_mut().sent(now_ns);
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
