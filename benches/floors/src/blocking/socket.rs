//! The socket calls of the blocking floors, by their own names: what `std` offers lacks the flags.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// Whether a send may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum May {
    /// Until the socket has room for everything.
    Sleep,
    /// Take what fits now; [`io::ErrorKind::WouldBlock`] if nothing does.
    NotSleep,
}

/// One gathered send. Returns the bytes taken, which can be fewer than there are.
pub(crate) fn send(socket: &TcpStream, pieces: &[IoSlice<'_>], may: May) -> io::Result<usize> {
    let flags = match may {
        May::Sleep => libc::MSG_NOSIGNAL,
        May::NotSleep => libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
    };
    if let [one] = pieces {
        // SAFETY: the slice is live and as long as stated for the whole call.
        return again(|| unsafe {
            libc::send(socket.as_raw_fd(), one.as_ptr().cast(), one.len(), flags)
        });
    }
    // SAFETY: all-zero is a valid msghdr: no name, no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = pieces.as_ptr().cast_mut().cast();
    message.msg_iovlen = pieces.len();
    // SAFETY: `IoSlice` is an iovec by its documentation; sendmsg only reads what it points to.
    again(|| unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) })
}

/// Sends everything, sleeping as often as it takes.
pub(crate) fn send_all(socket: &TcpStream, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !pieces.is_empty() {
        let sent = send(socket, pieces, May::Sleep)?;
        IoSlice::advance_slices(&mut pieces, sent);
    }
    Ok(())
}

/// The readiness of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Can {
    /// Bytes or an error can be received.
    Receive,
    /// Bytes can be sent; none can be received.
    Send,
}

/// Sleeps until the socket is ready for something.
pub(crate) fn wait(socket: &TcpStream) -> io::Result<Can> {
    let mut ready = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLIN | libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one live pollfd, as stated.
    again(|| unsafe { libc::poll(&raw mut ready, 1, -1) } as isize)?;
    Ok(if ready.revents == libc::POLLOUT {
        Can::Send
    } else {
        Can::Receive
    })
}

/// Receives what there is, sleeping until there is something. 0 is the end of the stream.
pub(crate) fn recv(socket: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is live, ours alone and as long as stated for the whole call.
    again(|| unsafe { libc::recv(socket.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), 0) })
}

/// Fills every piece, sleeping in the kernel until the last byte is there (MSG_WAITALL).
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] if the stream ends before.
pub(crate) fn recv_exact(socket: &TcpStream, mut pieces: &mut [IoSliceMut<'_>]) -> io::Result<()> {
    while !pieces.is_empty() {
        // SAFETY: all-zero is a valid msghdr: no name, no control data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = pieces.as_mut_ptr().cast();
        message.msg_iovlen = pieces.len();
        // SAFETY: `IoSliceMut` is an iovec by its documentation; the pieces are live and ours alone
        // for the whole call.
        let got = again(|| unsafe {
            libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_WAITALL)
        })?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        IoSliceMut::advance_slices(&mut pieces, got);
    }
    Ok(())
}

/// Repeats a call that a signal interrupted.
pub(crate) fn again(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        let got = call();
        if let Ok(got) = usize::try_from(got) {
            return Ok(got);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
