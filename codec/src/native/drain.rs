//! The two sides of a graceful shutdown: [`Drainer`] announces it, [`DrainNotice`] derives its effect on
//! this side's requests.

use super::{Drain, DrainReason};

/// A responder that may come to drain. Tracks the requests that it has accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drainer {
    last_id: u64,
    serving: u64,
    draining: bool,
}

impl Drainer {
    /// A responder that serves everything.
    pub const fn new() -> Self {
        Self {
            last_id: 0,
            serving: 0,
            draining: false,
        }
    }

    /// A request has arrived. Returns whether it is to be served; otherwise answer it with
    /// [`FailureCode::ShuttingDown`](super::FailureCode::ShuttingDown), retryable.
    #[inline]
    pub const fn admit(&mut self, id: u64) -> bool {
        if self.draining {
            return false;
        }
        if id > self.last_id {
            self.last_id = id;
        }
        self.serving += 1;
        true
    }

    /// An admitted request has been answered in full, failed or was cancelled. Returns whether the drain is
    /// complete with it, so that the connection can close.
    ///
    /// # Panics
    /// If more requests finish than were admitted.
    #[inline]
    pub const fn finish(&mut self) -> bool {
        assert!(self.serving > 0, "a request finished that was not admitted");
        self.serving -= 1;
        self.is_drained()
    }

    /// Begins to drain and gives the frame to send; `None` if it has begun before.
    pub const fn begin<'a>(&mut self, reason: DrainReason, text: &'a str) -> Option<Drain<'a>> {
        if self.draining {
            return None;
        }
        self.draining = true;
        Some(Drain {
            last_id: self.last_id,
            reason,
            text,
        })
    }

    /// Whether the drain has begun.
    pub const fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether the drain has begun and nothing is left to serve.
    pub const fn is_drained(&self) -> bool {
        self.draining && self.serving == 0
    }

    /// The requests being served.
    pub const fn serving(&self) -> u64 {
        self.serving
    }
}

/// The peer's announcements in its Drain frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainNotice {
    last_id: Option<u64>,
}

impl DrainNotice {
    /// No Drain has come.
    pub const fn new() -> Self {
        Self { last_id: None }
    }

    /// A Drain has come. A further one can only take back more.
    pub const fn on_drain(&mut self, drain: &Drain<'_>) {
        self.last_id = match self.last_id {
            Some(last_id) if last_id < drain.last_id => Some(last_id),
            _ => Some(drain.last_id),
        };
    }

    /// Whether new requests may be sent on this connection.
    pub const fn may_send(&self) -> bool {
        self.last_id.is_none()
    }

    /// Whether the peer may have begun request `id`. If not, it can be sent again elsewhere at once,
    /// whatever it does. Only for an initiator whose ids grow from 1 on; any other waits for the
    /// [`FailureCode::ShuttingDown`](super::FailureCode::ShuttingDown) that each late request gets.
    pub const fn may_be_served(&self, id: u64) -> bool {
        match self.last_id {
            Some(last_id) => id <= last_id,
            None => true,
        }
    }
}
