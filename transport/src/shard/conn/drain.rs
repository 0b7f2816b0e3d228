//! Graceful shutdown without loss: the side that drains, and its peer.
//!
//! The draining side announces the drain, refuses further requests and lets requests under way in
//! both directions complete. It then flushes its send queue, shuts down its write half and waits
//! until the peer shuts down the other: only then has the peer received everything. (Closing at
//! once would reset the connection while requests are still in flight to this side, and the reset
//! could overtake the last answers.) The peer sends no further requests, and closes when the stream
//! ends.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use ringrail_codec::native::{Drain, DrainReason, FailureCode, Kind};

use crate::conn::lifecycle::{Lifecycle, UnderWay};
use crate::error::{CloseReason, RequestError, RpcFailure};
use crate::shard::local::TimerFor;

use super::Conn;

impl Conn {
    /// Takes no further requests, answers those under way, then closes. The peer is notified.
    pub(crate) fn drain(&self, text: &str) {
        if !self.step(Lifecycle::begin_drain) {
            return;
        }
        let drain = Drain {
            last_id: self.inbound.borrow().last_id,
            reason: DrainReason::Shutdown,
            text,
        };
        self.control(&drain.header(), text.as_bytes());
        if !self.arm_end_timer() {
            self.close(CloseReason::Shutdown);
        }
    }

    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.life.get().is_draining()
    }

    /// Some work has completed: the drain may be complete, too.
    #[inline]
    pub(crate) fn note_end(&self) {
        if self.is_draining() {
            self.mark_dirty();
        }
    }

    /// Closes a draining connection once nothing is under way.
    pub(crate) fn finish_drain(&self) {
        if !self.is_draining() {
            return;
        }
        let under_way = UnderWay {
            of_peer: self.inbound.borrow().active,
            of_ours: self.calls.borrow().waiting(),
            bodies: self.tx.borrow().transfers.len(),
        };
        if self.life.get().is_drained(under_way) {
            self.close_after_flush(CloseReason::Shutdown);
        }
    }

    /// Limits the time of a drain, or of the last send; false if no timer is available
    /// for it.
    pub(super) fn arm_end_timer(&self) -> bool {
        if self.end_timer.get().is_none() {
            let timeout = self.local.conf.drain_timeout;
            let timer = self.local.set_timer(timeout, TimerFor::Drain(self.key));
            self.end_timer.set(timer.map(|(key, _)| key));
        }
        self.end_timer.get().is_some()
    }

    /// The time limit of a drain, or of the last send, has expired.
    pub(crate) fn on_end_timer(&self) {
        self.end_timer.set(None);
        self.close(CloseReason::Shutdown);
    }

    /// The peer takes no further requests.
    pub(super) fn on_drain(&self, drain: &Drain<'_>) {
        tracing::debug!(target: "ringrail::conn", peer = %self.peer, text = drain.text, "peer drains");
        *self.peer_drain_text.borrow_mut() = Some(drain.text.into());
        self.step(Lifecycle::peer_begins_drain);
        self.active.store(false, Ordering::Release);
    }

    /// The close reason that the end of the stream stands for, if a drain was announced.
    pub(super) fn end_reason(&self) -> Option<CloseReason> {
        if self.is_draining() {
            return Some(CloseReason::Shutdown);
        }
        let text = self.peer_drain_text.borrow().as_deref()?.to_owned();
        Some(CloseReason::Drained { text })
    }

    #[cold]
    pub(super) fn draining_error(&self, text: &str) -> RequestError {
        let text = text.to_owned();
        let reason = std::sync::Arc::new(CloseReason::Drained { text });
        RequestError::Closed {
            peer: self.peer.clone(),
            reason,
        }
    }

    #[cold]
    pub(super) fn refuse_draining(self: &Rc<Self>, kind: Kind, id: u64) {
        if !self.wire().has_refusals() {
            return self.drop_request(id);
        }
        let text = "this side is draining; ask elsewhere or again";
        let failure = RpcFailure::new(FailureCode::ShuttingDown, text);
        self.answer_failure_as(kind, id, &failure);
    }
}
