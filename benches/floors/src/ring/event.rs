//! Identity of a completion: the operation and its connection, packed into the 64 bits that the
//! kernel returns with it.

use io_uring::cqueue;
use std::io;

/// The operations that the loops post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    /// Multishot accept.
    Accept,
    /// Multishot receive into provided buffers.
    Recv,
    /// Exact receive of a header.
    Header,
    /// Exact receive of a body.
    Body,
    /// A send.
    Send,
    /// The other end of the stop descriptor closed.
    Stop,
    /// A cancellation at the end.
    Cancel,
}

const OPS: [Op; 7] = [
    Op::Accept,
    Op::Recv,
    Op::Header,
    Op::Body,
    Op::Send,
    Op::Stop,
    Op::Cancel,
];

/// The user data of an operation on connection number `conn`.
pub(super) fn tag(op: Op, conn: usize) -> u64 {
    (conn as u64) << 8 | op as u64
}

/// A completion, copied out of the queue so that handling it may post more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    /// The operation.
    pub(super) op: Op,
    /// Its connection.
    pub(super) conn: usize,
    /// Its result: a count, or a negative errno.
    pub(super) result: i32,
    /// The provided buffer that it used.
    pub(super) buffer: Option<u16>,
    /// Whether the same operation will complete again.
    pub(super) more: bool,
}

impl Event {
    pub(super) fn new(entry: &cqueue::Entry) -> Self {
        let data = entry.user_data();
        Self {
            op: OPS[(data & 0xff) as usize],
            conn: (data >> 8) as usize,
            result: entry.result(),
            buffer: cqueue::buffer_select(entry.flags()),
            more: cqueue::more(entry.flags()),
        }
    }

    /// The result as a count (or a descriptor).
    ///
    /// # Errors
    /// The operation's own.
    pub(super) fn count(&self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_finds_its_way_back() {
        for op in OPS {
            let data = tag(op, 1023);
            assert_eq!((OPS[(data & 0xff) as usize], data >> 8), (op, 1023));
        }
    }
}
