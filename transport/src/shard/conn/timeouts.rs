//! Time limits of this side's requests: one timer per connection, set for the earliest deadline.

use std::rc::Rc;
use std::time::Duration;

use ringrail_codec::native::deadline_us;

use crate::error::{Reached, RequestError};
use crate::shard::local::TimerFor;

use super::Conn;
use crate::conn::pending::Due;

/// A timeout, converted to the units that a request needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    pub(super) ns: u64,
    pub(super) us: u32,
    pub(super) ms: u32,
}

impl Timeout {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            ns: u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
            us: deadline_us(Some(timeout)),
            ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        }
    }
}

impl Conn {
    #[inline]
    pub(super) fn timeout(&self, timeout: Option<Duration>) -> Timeout {
        let Some(timeout) = timeout else {
            return self.default_timeout;
        };
        let (last, converted) = self.last_timeout.get();
        match last == timeout {
            true => converted,
            false => self.convert_timeout(timeout),
        }
    }

    /// Cached, because callers repeat the same timeout and its conversion takes long divisions.
    #[cold]
    fn convert_timeout(&self, timeout: Duration) -> Timeout {
        let converted = Timeout::new(timeout);
        self.last_timeout.set((timeout, converted));
        converted
    }

    #[inline]
    pub(super) fn due(&self, timeout: Timeout) -> Due {
        let deadline_ns = self.local.now_ns().saturating_add(timeout.ns);
        Due {
            deadline_ns,
            timeout_ms: timeout.ms,
        }
    }

    /// Ensures that a timer fires no later than `deadline_ns`. One timer serves all requests of a
    /// connection: with equal timeouts it is set once per timeout, not once per request.
    #[inline]
    pub(super) fn expect_by(&self, deadline_ns: u64) {
        if deadline_ns < self.call_timer_ns.get() {
            self.set_call_timer(Some(deadline_ns));
        }
    }

    #[cold]
    fn set_call_timer(&self, deadline_ns: Option<u64>) {
        if let Some(timer) = self.call_timer.take() {
            self.local.cancel_timer(timer);
        }
        let after =
            deadline_ns.map(|at| Duration::from_nanos(at.saturating_sub(self.local.now_ns())));
        let timer = after.and_then(|after| self.local.set_timer(after, TimerFor::Calls(self.key)));
        self.call_timer_ns.set(timer.map_or(u64::MAX, |(_, at)| at));
        self.call_timer.set(timer.map(|(key, _)| key));
    }

    /// The timer fired: some requests may have expired.
    pub(crate) fn on_call_timer(self: &Rc<Self>) {
        self.call_timer.set(None);
        let (expired, next) = self.calls.borrow().expired(self.local.now_ns());
        self.set_call_timer(next);
        for id in expired {
            self.time_out(id);
        }
    }

    fn time_out(&self, id: u64) {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get(id) else { return };
        let after = Duration::from_millis(u64::from(call.timeout_ms));
        let has_bulk = call.bulk.is_some();
        let progress = if has_bulk {
            calls.bulk(id).map(|bulk| bulk.progress())
        } else {
            None
        };
        drop(calls);
        self.retract(id);
        self.local.metrics.requests_timed_out.increment();
        let error = RequestError::TimedOut {
            peer: self.peer.clone(),
            after,
            reached: progress.unwrap_or(Reached::Sent),
            key: "ringrail.transport.requestTimeout",
        };
        self.resolve_failure(id, error);
    }
}
