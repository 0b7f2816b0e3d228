//! The end of a driver: nothing it gave to the kernel may be freed before the kernel lets go.

use std::os::fd::AsRawFd;

use io_uring::types::{CancelBuilder, Timespec};

use crate::sys::driver::{Driver, Park, Payload};
use crate::sys::table::OpTable;

use super::driver::UringDriver;
use super::ops::State;

/// Rounds of cancelling and waiting.
const MAX_ROUNDS: u32 = 1_000;
/// How long each of them waits.
const ROUND_NS: u64 = 1_000_000;
/// How long the kernel may take to stop one that runs on a worker.
const CANCEL_SECS: u64 = 1;

impl UringDriver {
    /// Cancels whatever is in flight and waits until it has completed; false where the kernel
    /// does not let go.
    fn end_operations(&mut self) -> bool {
        self.closing = true;
        for state in self.ops.states_mut() {
            if let State::SendFile { cancelled, .. } = state {
                *cancelled = true;
            }
        }
        for _ in 0..MAX_ROUNDS {
            if self.ops.in_flight() == 0 && !self.wake_armed {
                return true;
            }
            // What waits in the submission queue cannot be cancelled yet.
            if self.enter(Park::No).is_err() {
                return false;
            }
            if let Some(ring) = &self.ring {
                let patience = Timespec::new().sec(CANCEL_SECS);
                // Nothing to cancel is an error too, and what comes of it shows in the queue.
                let _ = ring
                    .submitter()
                    .register_sync_cancel(Some(patience), CancelBuilder::any());
            }
            let until_ns = self.now_ns() + ROUND_NS;
            if self.enter(Park::Until(Some(until_ns))).is_err() {
                return false;
            }
            self.discard();
        }
        false
    }

    /// Takes completions that nobody waits for any more.
    fn discard(&mut self) {
        while let Some(done) = self.next() {
            if let Payload::Accepted { sock, .. } = done.payload {
                self.close(sock);
            }
        }
    }
}

impl Drop for UringDriver {
    fn drop(&mut self) {
        let ended = self.end_operations();
        if let Some(ring) = self.ring.take() {
            self.entry.unregister(ring.as_raw_fd());
        }
        if !ended {
            tracing::error!(
                target: "ringrail::sys",
                operations = self.ops.in_flight(),
                "operations did not end with their ring; their buffers are given up"
            );
            std::mem::forget(std::mem::replace(&mut self.ops, OpTable::new(0)));
            std::mem::forget(std::mem::take(&mut self.wake_count));
            self.group.give_up();
        }
    }
}
