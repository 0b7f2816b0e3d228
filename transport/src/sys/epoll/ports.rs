//! The readiness of each socket, and the operations that wait for it.

use std::collections::VecDeque;

use crate::sys::driver::{OpKey, Sock};

use super::poll::Ready;

/// A socket as the driver sees it.
#[derive(Debug, Default)]
pub(super) struct Port {
    /// Known to epoll.
    pub(super) registered: bool,
    /// A receive or accept may find something.
    pub(super) readable: bool,
    /// A send may find room.
    pub(super) writable: bool,
    /// The peer has ended its direction, or the connection is over: a short receive does not mean that
    /// nothing more is to be told.
    pub(super) ended: bool,
    /// In the queue of sockets to be looked at.
    pub(super) queued: bool,
    /// The last receive that was submitted is linked: the next one waits for it.
    pub(super) link_open: bool,
    pub(super) input: VecDeque<OpKey>,
    pub(super) output: VecDeque<OpKey>,
}

impl Port {
    /// Takes in what epoll told of this socket.
    pub(super) fn note(&mut self, ready: Ready) {
        self.readable |= ready.input;
        self.writable |= ready.output;
        self.ended |= ready.ended;
    }

    /// True where an operation could move on now.
    pub(super) fn has_work(&self) -> bool {
        (self.readable && !self.input.is_empty()) || (self.writable && !self.output.is_empty())
    }

    /// Takes an operation out of its queue.
    pub(super) fn forget(&mut self, key: OpKey) {
        self.input.retain(|other| *other != key);
        self.output.retain(|other| *other != key);
    }
}

/// The ports, by the number of the descriptor.
#[derive(Debug, Default)]
pub(super) struct Ports {
    by_number: Vec<Option<Port>>,
}

impl Ports {
    /// A socket that was just opened.
    pub(super) fn open(&mut self, sock: Sock) {
        let at = usize::try_from(sock.0).expect("an open descriptor is not negative");
        if self.by_number.len() <= at {
            self.by_number.resize_with(at + 1, || None);
        }
        let before = self.by_number[at].replace(Port::default());
        assert!(before.is_none(), "descriptor {at} is open twice");
    }

    pub(super) fn get(&mut self, sock: Sock) -> Option<&mut Port> {
        let at = usize::try_from(sock.0).ok()?;
        self.by_number.get_mut(at)?.as_mut()
    }

    /// A socket that is being closed.
    pub(super) fn close(&mut self, sock: Sock) -> Option<Port> {
        let at = usize::try_from(sock.0).ok()?;
        let port = self.by_number.get_mut(at)?.take()?;
        debug_assert!(
            port.input.is_empty() && port.output.is_empty(),
            "a socket is closed when none of its operations is outstanding"
        );
        Some(port)
    }
}
