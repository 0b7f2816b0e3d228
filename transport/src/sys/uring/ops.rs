//! Operations that the kernel works on, kept in the [table](crate::sys::table) until they complete.

use std::fs::File;
use std::os::fd::RawFd;
use std::sync::Arc;

use crate::buf::{Gather, LeaseMut};
use crate::sys::files::FileSend;
use crate::sys::scratch::MsgScratch;
use crate::sys::socket::SockAddr;

/// The resources that an operation owns while the kernel works on it.
#[derive(Debug)]
pub(super) enum State {
    Accept,
    /// The address is only kept alive: the kernel reads it through the pointer it was given.
    Connect {
        _addr: SockAddr,
    },
    RecvMulti,
    Recv {
        buf: LeaseMut,
    },
    /// `quick`: is done, one way or the other, when the call that submits it returns. `more` is
    /// `MSG_MORE` or nothing.
    Send {
        gather: Gather,
        scratch: Box<MsgScratch>,
        socket: RawFd,
        more: libc::c_int,
        quick: bool,
        cancelled: bool,
    },
    SendFile {
        send: FileSend,
        scratch: Box<MsgScratch>,
        socket: RawFd,
        cancelled: bool,
    },
    Read {
        buf: LeaseMut,
        _file: Arc<File>,
    },
}
