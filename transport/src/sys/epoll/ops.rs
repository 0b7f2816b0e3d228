//! Operations in progress, kept in the [table](crate::sys::table) until they complete.

use crate::buf::{Gather, LeaseMut};
use crate::sys::driver::{Payload, Sock};
use crate::sys::files::FileSend;
use crate::sys::scratch::MsgScratch;
use crate::sys::socket::SockAddr;

/// A receive into a buffer of the caller's.
#[derive(Debug)]
pub(super) struct Exact {
    pub(super) buf: LeaseMut,
    pub(super) at: usize,
    pub(super) len: usize,
    /// Bytes received so far.
    pub(super) got: usize,
    /// Completes with its last byte, not with its first.
    pub(super) whole: bool,
    /// The next receive of this socket waits for this one.
    pub(super) linked: bool,
    /// Waits for the receive before it, and is reached by no cancel until then.
    pub(super) waits: bool,
}

/// The resources that an operation owns while it is in progress.
#[derive(Debug)]
pub(super) enum State {
    Accept,
    Connect {
        addr: SockAddr,
        /// The kernel is at it: the next readiness tells the outcome.
        began: bool,
    },
    RecvMulti,
    Recv(Exact),
    /// `more` is `MSG_MORE` or nothing.
    Send {
        gather: Gather,
        scratch: Box<MsgScratch>,
        more: libc::c_int,
        sent: usize,
    },
    SendFile {
        send: FileSend,
        scratch: Box<MsgScratch>,
    },
    /// A reader thread has its buffer.
    Read,
}

/// An operation of a socket.
#[derive(Debug)]
pub(super) struct Pending {
    /// Its socket; [`NO_SOCK`] for reads of files.
    pub(super) sock: Sock,
    pub(super) state: State,
}

/// The socket of an operation that has none.
pub(super) const NO_SOCK: Sock = Sock(-1);

impl State {
    /// True where the operation waits for the socket to become writable.
    pub(super) fn is_output(&self) -> bool {
        matches!(
            self,
            State::Connect { .. } | State::Send { .. } | State::SendFile { .. }
        )
    }

    /// The memory that goes back to the caller, and the scratch to be used again.
    pub(super) fn into_payload(self) -> (Payload, Option<Box<MsgScratch>>) {
        match self {
            State::Recv(exact) => (Payload::Buffer(exact.buf), None),
            State::Send {
                gather, scratch, ..
            } => (Payload::Gather(gather), Some(scratch)),
            State::SendFile { send, scratch } => (Payload::Gather(send.head), Some(scratch)),
            State::Accept | State::Connect { .. } | State::RecvMulti | State::Read => {
                (Payload::None, None)
            }
        }
    }

    /// The result of an operation that ends before its time: the bytes that it moved, or `errno`.
    pub(super) fn cut_short(&self, errno: i32) -> i32 {
        let moved = match self {
            State::Recv(exact) => exact.got,
            State::Send { sent, .. } => *sent,
            _ => 0,
        };
        match moved {
            0 => -errno,
            _ => moved as i32,
        }
    }
}
