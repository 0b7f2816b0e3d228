//! Shutdown of a driver: memory given to the kernel is freed only after its operation has
//! completed.

use std::os::fd::AsRawFd;

use io_uring::types::{CancelBuilder, Timespec};

use crate::sys::driver::{Driver, Park, Payload};
use crate::sys::socket::Addr;
use crate::sys::table::OpTable;

use super::driver::UringDriver;
use super::ops::State;

/// How long the drop of a driver waits for its operations, all rounds together, in ns. One that runs on
/// a worker and hangs in a dead disk does not end for longer than that; its memory is given up then.
const PATIENCE_NS: u64 = 2_000_000_000;
/// How long each round of cancelling waits, in ns.
const ROUND_NS: u64 = 1_000_000;
/// How long the kernel may take in each round to stop those that run on workers, in ns.
const CANCEL_NS: u32 = 100_000_000;

impl UringDriver {
    /// Cancels all operations in flight and waits until they have completed; false if the kernel
    /// does not complete them.
    pub(super) fn end_operations(&mut self, patience_ns: u64) -> bool {
        self.closing = true;
        for state in self.ops.states_mut() {
            if let State::SendFile { cancelled, .. } | State::Send { cancelled, .. } = state {
                *cancelled = true;
            }
        }
        let over_ns = self.now_ns().saturating_add(patience_ns);
        while self.now_ns() < over_ns {
            if self.ops.in_flight() == 0 && !self.wake_armed {
                return true;
            }
            // Operations still in the submission queue cannot be cancelled yet.
            if self.enter(Park::No).is_err() {
                return false;
            }
            if let Some(ring) = &self.ring {
                let patience = Timespec::new().nsec(CANCEL_NS);
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

    /// Has connects refused from now on. Sockets of the Unix domain are shared by all shards: there the
    /// others go on.
    fn stop_listening(&mut self) {
        for listener in self.listeners.drain(..) {
            if matches!(listener.addr(), Addr::Tcp(_)) {
                // Not listening any more is as good.
                let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
            }
        }
    }

    /// Drops completions whose owners are gone.
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
        self.stop_listening();
        // Peers learn of the end at once, and most operations complete by it.
        self.socks.shut_down_all();
        let ended = self.end_operations(PATIENCE_NS);
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
