//! The sending direction: connects, memory, files.

use std::io;
use std::os::fd::AsRawFd;

use crate::sys::driver::{OpKey, Sock};
use crate::sys::files::Progress;

use super::driver::EpollDriver;
use super::ops::State;

/// Sends of one socket before others have their turn.
const SENDS: usize = 8;

/// How a call on a socket went.
enum Went {
    /// The operation is over with this result.
    Over(i32),
    /// The socket is full, or its connection is not made: wait for the next edge.
    Full,
    /// Others first: again in the next call.
    Later,
    /// The backlog of the peer is full: again after a while.
    Again,
}

impl EpollDriver {
    /// Serves the sends, or the connect, of a socket while it is writable.
    pub(super) fn advance_output(&mut self, sock: Sock) {
        for _ in 0..SENDS {
            let Some(port) = self.ports.get(sock) else {
                return;
            };
            let (true, Some(&key)) = (port.writable, port.output.front()) else {
                return;
            };
            match self.send(sock, key) {
                Went::Over(result) => self.finish(key, result),
                Went::Later => return,
                Went::Full => {
                    if let Some(port) = self.ports.get(sock) {
                        port.writable = false;
                    }
                    return;
                }
                Went::Again => {
                    if let Some(port) = self.ports.get(sock) {
                        port.writable = false;
                    }
                    self.again.push(sock);
                    return;
                }
            }
        }
    }

    fn send(&mut self, sock: Sock, key: OpKey) -> Went {
        let Some((_, pending)) = self.ops.get(key) else {
            return Went::Full;
        };
        let outcome = match &mut pending.state {
            State::Send {
                gather,
                scratch,
                more,
                sent,
            } => {
                let flags = *more | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
                let message = scratch.describe(gather, *sent);
                // SAFETY: the message describes live buffers of the gather; the descriptor is only a number to the
                // kernel, which refuses one that is not open.
                let done = unsafe { libc::sendmsg(sock.0, message, flags) };
                match usize::try_from(done) {
                    Ok(count) => {
                        *sent += count;
                        match gather.remaining() - *sent {
                            0 => return Went::Over(*sent as i32),
                            // A short send filled the socket; the next call tells.
                            _ => return Went::Later,
                        }
                    }
                    Err(_) => Err(io::Error::last_os_error()),
                }
            }
            State::SendFile { send, scratch } => {
                match send.advance(sock.0, scratch, &mut self.file_budget) {
                    Ok(Progress::Done) => return Went::Over(send.sent as i32),
                    Ok(Progress::Blocked) => return Went::Full,
                    Ok(Progress::OverBudget) => return Went::Later,
                    Err(error) => return Went::Over(-error.raw_os_error().unwrap_or(libc::EIO)),
                }
            }
            State::Connect { began, .. } if *began => return self.connected(sock),
            State::Connect { .. } => return self.connect(sock, key),
            _ => return Went::Full,
        };
        self.refused_send(key, outcome)
    }

    fn refused_send(&mut self, key: OpKey, outcome: io::Result<()>) -> Went {
        let Err(error) = outcome else {
            return Went::Later;
        };
        match error.kind() {
            io::ErrorKind::WouldBlock => Went::Full,
            io::ErrorKind::Interrupted => Went::Later,
            _ => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let pending = self.ops.get(key);
                Went::Over(pending.map_or(-errno, |(_, it)| it.state.cut_short(errno)))
            }
        }
    }

    fn connect(&mut self, sock: Sock, key: OpKey) -> Went {
        let Some((_, pending)) = self.ops.get(key) else {
            return Went::Full;
        };
        let State::Connect { addr, began } = &mut pending.state else {
            return Went::Full;
        };
        // SAFETY: the address is live and as long as it says; a number that is no open socket is refused.
        let done = unsafe { libc::connect(sock.0, addr.as_ptr(), addr.len()) };
        let error = match done {
            0 => None,
            _ => io::Error::last_os_error().raw_os_error(),
        };
        match error {
            None => self.watch(sock, Went::Over(0)),
            Some(libc::EINPROGRESS | libc::EINTR | libc::EALREADY) => {
                *began = true;
                self.watch(sock, Went::Full)
            }
            Some(libc::EAGAIN) => Went::Again,
            Some(errno) => Went::Over(-errno),
        }
    }

    /// Registers a socket whose connection is made, or under way.
    fn watch(&mut self, sock: Sock, went: Went) -> Went {
        match self.register(sock) {
            Ok(()) => went,
            Err(error) => Went::Over(-error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }

    /// The kernel has told of a socket that is being connected: made, or refused.
    fn connected(&mut self, sock: Sock) -> Went {
        let Some(fd) = self.socks.get(sock) else {
            return Went::Over(-libc::EBADF);
        };
        debug_assert_eq!(fd.as_raw_fd(), sock.0);
        match rustix::net::sockopt::socket_error(fd) {
            Ok(Ok(())) => Went::Over(0),
            Ok(Err(error)) | Err(error) => Went::Over(-error.raw_os_error()),
        }
    }
}
