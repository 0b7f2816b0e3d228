//! The sockets that a driver owns, by descriptor.
//!
//! `driver` adds a socket when it opens or accepts one, and removes it to close it. Sockets left when
//! the driver is dropped are closed with it, so the peers of a dead shard see the end of their
//! connections. A number that is not in the table names no descriptor of this driver and cannot be
//! closed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::Shutdown;

use crate::sys::driver::Sock;

/// The table. Descriptors are small numbers, so it is as long as the largest.
#[derive(Debug, Default)]
pub(super) struct Socks {
    open: Vec<Option<OwnedFd>>,
}

impl Socks {
    /// Takes a socket over.
    pub(super) fn insert(&mut self, fd: OwnedFd) -> Sock {
        let number = fd.as_raw_fd();
        let at = usize::try_from(number).expect("an open descriptor is not negative");
        if self.open.len() <= at {
            self.open.resize_with(at + 1, || None);
        }
        let before = self.open[at].replace(fd);
        assert!(before.is_none(), "descriptor {number} is open twice");
        Sock(number)
    }

    /// The socket of that number, if it is one of this driver's.
    pub(super) fn get(&self, sock: Sock) -> Option<BorrowedFd<'_>> {
        let at = usize::try_from(sock.0).ok()?;
        self.open.get(at)?.as_ref().map(AsFd::as_fd)
    }

    /// Takes the socket of that number out, to be closed.
    pub(super) fn remove(&mut self, sock: Sock) -> Option<OwnedFd> {
        let at = usize::try_from(sock.0).ok()?;
        self.open.get_mut(at)?.take()
    }

    /// Ends every connection without closing its socket: operations on them complete.
    pub(super) fn shut_down_all(&self) {
        for fd in self.open.iter().flatten() {
            // One that is not connected is ended as it is.
            let _ = rustix::net::shutdown(fd, Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_sockets_of_the_table_are_found_and_all_of_them_close_with_it() {
        let (mut peer, own) = UnixStream::pair().unwrap();
        let (stranger, _other) = UnixStream::pair().unwrap();
        let mut socks = Socks::default();
        let sock = socks.insert(own.into());
        assert!(socks.get(sock).is_some());
        let foreign = Sock(stranger.as_raw_fd());
        assert!(socks.get(foreign).is_none() && socks.remove(foreign).is_none());
        assert!(socks.remove(Sock(-1)).is_none() && socks.remove(Sock(i32::MAX)).is_none());
        drop(socks);
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "the peer sees the end");
    }
}
