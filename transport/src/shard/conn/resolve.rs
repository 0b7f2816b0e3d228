//! Completion of this side's requests: answered, failed or cancelled.

use std::rc::Rc;

use ringrail_codec::native::Cancel;

use crate::buf::Lease;
use crate::error::RequestError;

use super::Conn;
use super::received::{ReceivedBytes, Reply};
use super::reply_to::{Outcome, ReplyTo};
use crate::conn::pending::CallKind;
use crate::conn::transfer::TransferKey;

impl Conn {
    /// Removes a request from the table.
    #[inline]
    pub(crate) fn forget(&self, id: u64) -> Option<ReplyTo> {
        let (sink, kind) = self.calls.borrow_mut().remove(id)?;
        // A request whose answer waits for its future was counted when the answer arrived.
        if !matches!(sink, ReplyTo::Ready(_)) {
            self.note_call_over(kind);
        }
        Some(sink)
    }

    #[inline(always)]
    fn note_call_over(&self, kind: CallKind) {
        self.note_end();
        if matches!(kind, CallKind::Chunk | CallKind::Stream) {
            self.forecast.borrow_mut().end();
        }
    }

    /// Returns the sink for the answer to request `id` and removes the request from the table. If a
    /// future on the shard awaits the request, the entry stays and `ready` is stored in it instead.
    #[inline(always)]
    fn resolve(
        &self,
        id: u64,
        ready: impl FnOnce() -> Result<Lease, Box<RequestError>>,
    ) -> Option<ReplyTo> {
        let mut calls = self.calls.borrow_mut();
        let call = calls.get(id)?;
        let kind = call.kind;
        let wakeup = match &mut call.sink {
            ReplyTo::Future(wakeup) => wakeup,
            // It has its answer; later ones are ignored.
            ReplyTo::Ready(_) => return None,
            _ => {
                let sink = calls.remove_found(id);
                drop(calls);
                self.note_call_over(kind);
                return Some(sink);
            }
        };
        let wakeup = wakeup.take();
        call.sink = ReplyTo::Ready(ready());
        drop(calls);
        self.note_call_over(kind);
        if let Some(wakeup) = wakeup {
            self.local.wake(wakeup);
        }
        None
    }

    /// A reply that is in a receive buffer.
    #[inline(always)]
    pub(crate) fn resolve_received(self: &Rc<Self>, id: u64, body: ReceivedBytes<'_>) {
        if let Some(sink) = self.resolve(id, || Ok(self.keep(body))) {
            self.guarded(|| sink.deliver(self, body, || self.keep(body)));
        }
    }

    /// An answer in a lease of its own.
    pub(crate) fn resolve_lease(&self, id: u64, lease: Lease) {
        let mut lease = Some(lease);
        let gone = || Box::new(RequestError::Cancelled);
        let sink = self.resolve(id, || lease.take().ok_or_else(gone));
        if let (Some(sink), Some(lease), Some(this)) = (sink, lease, self.this.upgrade()) {
            self.guarded(|| sink.deliver_lease(&this, lease));
        }
    }

    /// A failure.
    pub(crate) fn resolve_failure(&self, id: u64, error: RequestError) {
        let mut error = Some(error);
        let sink = self.resolve(id, || {
            Err(Box::new(error.take().unwrap_or(RequestError::Cancelled)))
        });
        if let (Some(sink), Some(error), Some(this)) = (sink, error, self.this.upgrade()) {
            self.guarded(|| sink.fail(&this, error));
        }
    }

    /// Gives a caller on another thread the id of its request, for cancellation; cancels the request
    /// if the caller has dropped it meanwhile.
    #[inline]
    pub(crate) fn tell_id(&self, id: u64) {
        let is_wanted = match self.calls.borrow_mut().get(id) {
            Some(call) => match &call.sink {
                ReplyTo::Remote(sink) => sink.sent_as(id),
                _ => true,
            },
            // The request was refused, and the caller has the error.
            None => true,
        };
        if !is_wanted {
            self.cancel(id);
        }
    }

    /// The caller has stopped waiting: cancels the request at the peer and drops its answer.
    pub(crate) fn cancel(&self, id: u64) {
        let Some(sink) = self.forget(id) else { return };
        if matches!(sink, ReplyTo::Ready(_)) {
            return;
        }
        self.retract(id);
        self.local.metrics.requests_cancelled.increment();
        drop(sink);
    }

    /// Stops sending the body of this side's request and notifies the peer.
    pub(super) fn retract(&self, id: u64) {
        let unsent = self
            .tx
            .borrow_mut()
            .transfers
            .take(TransferKey::of_ours(id));
        drop(unsent);
        if self.is_open() {
            self.control(&Cancel { id }.header(), &[]);
        }
    }

    /// A future on the shard polls for its answer.
    pub(crate) fn poll_call(&self, id: u64, waker: &std::task::Waker) -> Option<Outcome> {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get(id) else {
            return Some(Err(RequestError::Cancelled));
        };
        if let ReplyTo::Future(place) = &mut call.sink {
            let executor = &self.local.executor;
            if !place
                .as_ref()
                .is_some_and(|have| executor.is_kept(have, waker))
            {
                *place = Some(executor.wakeup(waker));
            }
            return None;
        }
        match calls.remove(id)?.0 {
            ReplyTo::Ready(outcome) => Some(outcome.map(Reply::new).map_err(|error| *error)),
            _ => unreachable!("a future polls a request of a callback, or of another thread"),
        }
    }
}
