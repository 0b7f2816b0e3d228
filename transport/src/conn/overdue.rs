//! Work that nobody waits for any more: its deadline, which came with the request, is over.
//!
//! Requests that were held back, or that arrived in slices, are looked at before their handler gets
//! them; answers before they are written; bodies before each slice. What stands still at its deadline
//! (a body without credit, a request half received) is swept up with the timer of silence: its peer
//! should have retracted it.

use super::Conn;

impl Conn {
    /// True where the deadline of a request of the peer is over; counted then.
    #[inline]
    pub(crate) fn is_overdue(&self, deadline_ns: u64) -> bool {
        let overdue = deadline_ns <= self.local.now_ns();
        if overdue {
            self.local.metrics.requests_timed_out.increment();
        }
        overdue
    }

    /// True where a request is not to be handled; it is counted out then, without an answer.
    #[inline]
    pub(super) fn drops_overdue(&self, deadline_ns: u64) -> bool {
        let overdue = self.is_overdue(deadline_ns);
        if overdue {
            self.answered();
        }
        overdue
    }

    /// Drops what stands still and is overdue.
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
