//! The receiving direction: connections that are accepted, bytes that are received.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{RecvFlags, SocketFlags};

use crate::sys::driver::{OpKey, Payload, Sock};
use crate::sys::socket;

use super::driver::EpollDriver;
use super::ops::{Exact, State};

/// Receives of one socket before others have their turn.
const RECEIVES: usize = 2;
/// Connections that one listener accepts before others have their turn.
const ACCEPTS: usize = 64;

/// How a call on a socket went.
enum Tried {
    /// It may go on at once.
    GoesOn,
    /// It went, and the socket has nothing more for now.
    Drained,
    /// The operation is over.
    Over,
    /// Others first: again in the next call.
    Later,
}

impl EpollDriver {
    /// Serves the receives, or the accept, of a socket while it is readable.
    pub(super) fn advance_input(&mut self, sock: Sock) {
        for turn in 0..ACCEPTS {
            let Some(port) = self.ports.get(sock) else {
                return;
            };
            let (true, Some(&key)) = (port.readable, port.input.front()) else {
                return;
            };
            let ended = port.ended;
            let Some((token, pending)) = self.ops.get(key) else {
                return;
            };
            let tried = match &mut pending.state {
                State::Accept => self.accept(sock, key, token),
                State::RecvMulti if turn < RECEIVES => self.receive(sock, key, token, ended),
                State::Recv(exact) if turn < RECEIVES => {
                    let fd = self.socks.get(sock);
                    let outcome = receive_exact(fd, exact, ended);
                    self.received_exact(key, outcome)
                }
                _ => return,
            };
            match tried {
                Tried::Drained => {
                    if let Some(port) = self.ports.get(sock) {
                        port.readable = false;
                    }
                }
                Tried::Later => return,
                Tried::GoesOn | Tried::Over => {}
            }
        }
    }

    fn accept(&mut self, sock: Sock, key: OpKey, token: u64) -> Tried {
        let Some(listener) = self.fd(sock) else {
            self.finish(key, -libc::EBADF);
            return Tried::Over;
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::accept_with(listener, flags) {
            Ok(fd) => {
                self.accepted(key, token, fd);
                Tried::GoesOn
            }
            Err(error) => match io::Error::from(error).kind() {
                io::ErrorKind::WouldBlock => Tried::Drained,
                // Gone before we looked, or a signal.
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => Tried::GoesOn,
                _ => {
                    self.finish(key, -error.raw_os_error());
                    Tried::Over
                }
            },
        }
    }

    fn accepted(&mut self, key: OpKey, token: u64, fd: OwnedFd) {
        // One that is gone before we looked is closed here.
        if let Ok(peer) = socket::peer_addr(fd.as_fd()) {
            let sock = self.socks.insert(fd);
            self.ports.open(sock);
            if let Some(port) = self.ports.get(sock) {
                port.writable = true;
            }
            self.step(key, token, 0, Payload::Accepted { sock, peer });
        }
    }

    /// Receives into a buffer of the group.
    fn receive(&mut self, sock: Sock, key: OpKey, token: u64, ended: bool) -> Tried {
        let Some(mut lease) = self.group.pop() else {
            // Buffers that went in this call are replaced before the next one, if the pool has memory.
            if !self.group_was_dry {
                return Tried::Later;
            }
            self.stats.no_buffers += 1;
            self.finish(key, -libc::ENOBUFS);
            return Tried::Over;
        };
        let want = self.buffer_len;
        let got = match self.socks.get(sock) {
            Some(fd) => receive_into(fd, &mut lease.buffer_mut()[..want]),
            None => Err(io::Error::from_raw_os_error(libc::EBADF)),
        };
        match got {
            Ok(0) => {
                self.group.push(lease);
                self.finish(key, 0);
                Tried::Over
            }
            Ok(len) => {
                lease.set_len(len);
                self.step(key, token, len as i32, Payload::Received(lease));
                drained(len < want && !ended)
            }
            Err(error) => {
                self.group.push(lease);
                self.refused(key, &error)
            }
        }
    }

    fn received_exact(&mut self, key: OpKey, outcome: io::Result<Received>) -> Tried {
        match outcome {
            Ok(Received::Done(len)) => {
                self.finish(key, len as i32);
                Tried::Over
            }
            Ok(Received::DoneAndDrained(len)) => {
                self.finish(key, len as i32);
                Tried::Drained
            }
            Ok(Received::Part) => Tried::Drained,
            Err(error) => self.refused(key, &error),
        }
    }

    /// A call that the socket refused: nothing is there, or the operation is over.
    fn refused(&mut self, key: OpKey, error: &io::Error) -> Tried {
        match error.kind() {
            io::ErrorKind::WouldBlock => Tried::Drained,
            io::ErrorKind::Interrupted => Tried::GoesOn,
            _ => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let result = self
                    .ops
                    .get(key)
                    .map_or(-errno, |(_, pending)| pending.state.cut_short(errno));
                self.finish(key, result);
                Tried::Over
            }
        }
    }
}

fn drained(is: bool) -> Tried {
    match is {
        true => Tried::Drained,
        false => Tried::GoesOn,
    }
}

/// How far an exact receive came.
enum Received {
    /// It is over, with so many bytes.
    Done(usize),
    /// The same, and the socket has nothing more for now.
    DoneAndDrained(usize),
    /// The rest has not arrived.
    Part,
}

/// Receives once into what is missing of a buffer.
fn receive_exact(
    fd: Option<BorrowedFd<'_>>,
    exact: &mut Exact,
    ended: bool,
) -> io::Result<Received> {
    let fd = fd.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
    let missing = exact.at + exact.got..exact.at + exact.len;
    let want = missing.len();
    let got = receive_into(fd, &mut exact.buf.buffer_mut()[missing])?;
    exact.got += got;
    let done = got == 0 || got == want || !exact.whole;
    let drained = got < want && !ended;
    Ok(match (done, drained && got > 0) {
        (true, true) => Received::DoneAndDrained(exact.got),
        (true, false) => Received::Done(exact.got),
        (false, true) => Received::Part,
        // The end of the stream follows: the next receive tells it.
        (false, false) => return receive_exact(Some(fd), exact, ended),
    })
}

fn receive_into(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let (_, got) = rustix::net::recv(fd, into, RecvFlags::DONTWAIT)?;
    Ok(got)
}
