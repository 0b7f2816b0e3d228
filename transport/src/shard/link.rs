//! A connection with its socket, and the operations that the pump has posted for it.

use std::rc::Rc;

use crate::conn::body_queue::BodyKey;
use crate::shard::conn::Conn;
use crate::shard::conn::rx::Rx;
use crate::sys::driver::{OpKey, Sock};

use super::coalesce::Batch;

/// The kind of the outstanding receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    Multi {
        cancelled: bool,
    },
    Fill,
    /// At most [`PORTION_LEN`](crate::shard::conn::rx::PORTION_LEN) bytes into a buffer of its own.
    Portion,
    /// The receive of a header that follows a body.
    Header,
}

/// A connection's socket and its operations in flight.
pub(super) struct Link {
    pub(super) conn: Rc<Conn>,
    pub(super) sock: Sock,
    pub(super) rx: Rx,
    pub(super) recv: Option<(OpKey, Receiving)>,
    /// The frames received between two sleeps of the shard.
    pub(super) batch: Batch,
    /// The receive of the header after the body that `recv` is for; moves to `recv` when that
    /// completes.
    pub(super) recv_header: Option<OpKey>,
    /// Parsing continues in the next turn.
    pub(super) put_off: bool,
    /// Queued among the waiters for a receive buffer.
    pub(super) waits_for_buffer: bool,
    /// Queued among the waiters for memory to parse into.
    pub(super) waits_for_lease: bool,
    pub(super) send: Option<OpKey>,
    /// Bytes that the file send in flight must move; a smaller result means a truncated file.
    pub(super) file_send_len: Option<usize>,
    pub(super) connect: Option<OpKey>,
    /// File reads in flight, with the transfer each is for.
    pub(super) reads: Vec<(OpKey, BodyKey)>,
    pub(super) cancelled: bool,
    /// The peer has shut down its direction of the stream.
    pub(super) peer_ended: bool,
    /// This side has shut down its direction.
    pub(super) write_closed: bool,
}

impl Link {
    pub(super) fn new(conn: Rc<Conn>, sock: Sock) -> Self {
        Self {
            conn,
            sock,
            rx: Rx::default(),
            recv: None,
            batch: Batch::default(),
            recv_header: None,
            put_off: false,
            waits_for_buffer: false,
            waits_for_lease: false,
            send: None,
            file_send_len: None,
            connect: None,
            reads: Vec::new(),
            cancelled: false,
            peer_ended: false,
            write_closed: false,
        }
    }

    /// All operations in flight.
    pub(super) fn operations(&self) -> impl Iterator<Item = OpKey> {
        let recv = self.recv.map(|(key, _)| key);
        let reads = self.reads.iter().map(|&(key, _)| key);
        [recv, self.recv_header, self.send, self.connect]
            .into_iter()
            .flatten()
            .chain(reads)
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.operations().next().is_none()
    }
}
