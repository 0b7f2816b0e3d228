//! Time limits of this side's requests: one timer per connection, set for the earliest deadline.

use std::rc::Rc;
use std::time::Duration;

use crate::error::{Reached, RequestError};
use crate::shard::local::TimerFor;

use super::Conn;
use crate::conn::deadlines::Timeout;
use crate::conn::pending::Due;

impl Conn {
    #[inline]
    pub(super) fn timeout(&self, timeout: Option<Duration>) -> Timeout {
        let known = self.deadlines.get().known(timeout);
        known.unwrap_or_else(|| self.convert_timeout(timeout.unwrap_or_default()))
    }

    #[cold]
    fn convert_timeout(&self, timeout: Duration) -> Timeout {
        let mut deadlines = self.deadlines.get();
        let converted = deadlines.convert(timeout);
        self.deadlines.set(deadlines);
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
        if self.deadlines.get().is_late_for(deadline_ns) {
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
        let mut deadlines = self.deadlines.get();
        deadlines.armed(timer.map(|(_, at)| at));
        self.deadlines.set(deadlines);
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
