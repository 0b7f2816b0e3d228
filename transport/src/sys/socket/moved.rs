//! The number of bytes a TCP connection has moved, including those of receives and sends in flight.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::driver::Moved;

/// Offset of `tcpi_bytes_acked`, and of `tcpi_bytes_received` behind it, in Linux's `struct tcp_info` (since
/// 4.2): eight bytes of flags, 24 numbers of four bytes, two of eight. The structure only grows at its end.
const BYTES_ACKED_AT: usize = 8 + 24 * 4 + 2 * 8;

/// `tcpi_unacked`: segments on their way.
const UNACKED_AT: usize = 8 + 4 * 4;

/// `tcpi_notsent_bytes`, since 4.6.
const NOTSENT_AT: usize = BYTES_ACKED_AT + 16 + 8;

/// Bytes of the structure up to there.
const INFO_LEN: usize = NOTSENT_AT + 4;

/// Bytes that a connected socket has moved; `None` for sockets other than TCP's, and on kernels that do not
/// tell.
pub(crate) fn moved(sock: BorrowedFd<'_>) -> Option<Moved> {
    let mut info = [0u8; INFO_LEN];
    let mut len = INFO_LEN as libc::socklen_t;
    // SAFETY: `info` is writable for `len` bytes, and the kernel writes no more than that.
    let done = unsafe {
        libc::getsockopt(
            sock.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if done != 0 || (len as usize) < INFO_LEN {
        return None;
    }
    let number = |at: usize| {
        let bytes = info.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_ne_bytes(*bytes))
    };
    let is_some = |at: usize| info[at..at + 4] != [0; 4];
    Some(Moved {
        acknowledged: number(BYTES_ACKED_AT)?,
        received: number(BYTES_ACKED_AT + 8)?,
        pending: is_some(UNACKED_AT) || is_some(NOTSENT_AT),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn tcp_tells_what_came_and_what_was_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut near = TcpStream::connect(listener.local_addr().expect("bound")).expect("a peer");
        let (mut far, _) = listener.accept().expect("a connection");
        let before = [&near, &far].map(|it| moved(it.as_fd()).expect("TCP"));
        near.write_all(&[7; 1000]).expect("room");
        far.read_exact(&mut [0; 1000]).expect("it comes");
        far.write_all(&[7; 10]).expect("room");
        near.read_exact(&mut [0; 10]).expect("it comes");
        let after = [&near, &far].map(|it| moved(it.as_fd()).expect("TCP"));
        assert_eq!(after[0].acknowledged - before[0].acknowledged, 1000);
        assert_eq!(after[0].received - before[0].received, 10);
        assert_eq!(after[1].received - before[1].received, 1000);
    }

    #[test]
    fn what_the_peer_does_not_take_is_pending() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut near = TcpStream::connect(listener.local_addr().expect("bound")).expect("a peer");
        let _far = listener.accept().expect("a connection");
        assert!(!moved(near.as_fd()).expect("TCP").pending);
        near.set_nonblocking(true).expect("a socket");
        while near.write(&[7; 1 << 20]).is_ok() {}
        assert!(moved(near.as_fd()).expect("TCP").pending);
    }

    #[test]
    fn other_sockets_do_not_tell() {
        let (near, _far) = UnixStream::pair().expect("two sockets");
        assert_eq!(moved(near.as_fd()), None);
    }
}
