//! From operations to entries of the submission queue.
//!
//! The [`Driver`](crate::sys::driver::Driver) of `driver` posts the engine's operations by these
//! functions; `complete` posts continuations.

use std::os::fd::{AsRawFd, RawFd};

use io_uring::{opcode, squeue, types};

use crate::buf::Gather;
use crate::sys::driver::{OpKey, Sock};

use super::driver::{UringDriver, WAKE};
use super::ops::State;
use crate::sys::files::FileSend;
use crate::sys::scratch::MsgScratch;

/// Sends up to this size are tried without waiting, and so complete in the call that submits them.
const QUICK_SEND_LEN: usize = 16 << 10;

impl UringDriver {
    pub(super) fn push(&mut self, entry: &squeue::Entry) {
        self.stats.submitted += 1;
        // SAFETY: the entry's memory belongs to `ops` (or to fields of this driver) and stays
        // there until its completion is harvested.
        while unsafe { self.ring().submission().push(entry) }.is_err() {
            let queued = self.ring().submission().len() as u32;
            self.stats.enters += 1;
            if self.entry.poll(queued).is_err() {
                // The ring itself failed: `enter` will say so; the entry is lost with the ring.
                return;
            }
        }
    }

    /// Links an entry to the next one; both must go into the kernel by the same call.
    pub(super) fn linked(&mut self, entry: squeue::Entry) -> squeue::Entry {
        let queue = self.ring().submission();
        let (queued, room) = (queue.len(), queue.capacity() - queue.len());
        drop(queue);
        if room < 2 {
            self.stats.enters += 1;
            // A ring that fails here fails in the next `enter` as well, which says so.
            let _ = self.entry.poll(queued as u32);
        }
        entry.flags(squeue::Flags::IO_LINK)
    }

    fn scratch(&mut self) -> Box<MsgScratch> {
        self.scratch.pop().unwrap_or_else(MsgScratch::new)
    }

    pub(super) fn arm_wake(&mut self) {
        if self.wake_armed || self.closing || self.notify_fd.is_some() {
            return;
        }
        self.wake_armed = true;
        let count = (&raw mut *self.wake_count).cast();
        let read = opcode::Read::new(types::Fd(self.wake_fd.as_raw_fd()), count, 8);
        self.push(&read.build().user_data(WAKE));
    }

    pub(super) fn post_send(
        &mut self,
        token: u64,
        sock: Sock,
        gather: Gather,
        more: bool,
    ) -> OpKey {
        let mut scratch = self.scratch();
        let more = if more { libc::MSG_MORE } else { 0 };
        let quick = gather.remaining() <= QUICK_SEND_LEN;
        // The kernel tries the quick ones once: what does not go comes back at once, and waits then.
        let wait = if quick {
            libc::MSG_DONTWAIT
        } else {
            libc::MSG_WAITALL
        };
        self.quick_posted += u32::from(quick);
        let entry = send_entry(sock.0, &gather, &mut scratch, more | wait);
        let state = State::Send {
            gather,
            scratch,
            socket: sock.0,
            more,
            quick,
            cancelled: false,
        };
        let key = self.ops.insert(token, state);
        self.push(&entry.user_data(key.0));
        key
    }

    pub(super) fn post_send_file(&mut self, token: u64, sock: Sock, send: FileSend) -> OpKey {
        let scratch = self.scratch();
        let state = State::SendFile {
            send,
            scratch,
            socket: sock.0,
            cancelled: false,
        };
        let key = self.ops.insert(token, state);
        if self.deferred.is_empty() {
            self.advance_send_file(key);
        } else {
            self.deferred.push_back(key);
        }
        key
    }
}

/// Sends what remains of a gather; one part needs no message.
pub(super) fn send_entry(
    socket: RawFd,
    gather: &Gather,
    scratch: &mut MsgScratch,
    flags: libc::c_int,
) -> squeue::Entry {
    let flags = flags | libc::MSG_NOSIGNAL;
    let message = scratch.describe(gather, 0);
    if scratch.iov_count() == 1 {
        let part = scratch.first();
        let (at, len) = (part.iov_base.cast(), part.iov_len as u32);
        let send = opcode::Send::new(types::Fd(socket), at, len);
        return send.flags(flags).build();
    }
    opcode::SendMsg::new(types::Fd(socket), message)
        .flags(flags as u32)
        .build()
}
