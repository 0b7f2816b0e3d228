//! Expired work: requests whose deadline, which arrived with the request, has passed.
//!
//! The deadline of a request that was held back, or that arrived in slices, is checked before its
//! handler gets it; that of an answer before it is written; that of a body before each slice. A
//! transfer that makes no progress at its deadline (a body without credit, a request half received)
//! is removed by the keepalive timer: its peer should have cancelled it.

use super::Conn;

impl Conn {
    /// True if the deadline of a peer's request has passed; counts it then.
    #[inline]
    pub(crate) fn is_overdue(&self, deadline_ns: u64) -> bool {
        let overdue = deadline_ns <= self.local.now_ns();
        if overdue {
            self.local.metrics.requests_timed_out.increment();
        }
        overdue
    }

    /// True if a request has expired and must not be handled; removes it from the count then,
    /// without an answer.
    #[inline]
    pub(super) fn drops_overdue(&self, deadline_ns: u64) -> bool {
        let overdue = self.is_overdue(deadline_ns);
        if overdue {
            self.answered();
        }
        overdue
    }

    /// Drops overdue transfers and requests that make no progress.
    pub(super) fn sweep_overdue(&self) {
        let now_ns = self.local.now_ns();
        let transfers = self.tx.borrow_mut().transfers.take_overdue(now_ns);
        for transfer in transfers {
            self.local.metrics.requests_timed_out.increment();
            self.end_transfer(&transfer, None);
        }
        let (requests, uploads) = self.inbound.borrow_mut().overdue(now_ns);
        for _ in 0..requests {
            self.local.metrics.requests_timed_out.increment();
            self.answered();
        }
        for id in uploads {
            self.local.metrics.requests_timed_out.increment();
            self.drop_upload(id);
        }
    }
}
