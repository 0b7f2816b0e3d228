//! Sockets as every floor wants them: loopback TCP, no Nagle delay, and the same congestion control
//! on both sides.

use anyhow::{Context, Result, ensure};
use std::ffi::c_void;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// The congestion control that both sides of every comparison use. A system's default may pace (as
/// BBR does), which on loopback measures the pacing and not the program.
pub(crate) const CONGESTION: &str = "cubic";

/// Gives a socket [`CONGESTION`].
///
/// # Errors
/// The kernel's refusal, with what to do about it: `cubic` is built into most kernels, but may be
/// missing.
pub(crate) fn set_congestion(fd: RawFd) -> Result<()> {
    // SAFETY: the pointer and length name the bytes of a live string; the kernel copies them during
    // the call.
    let rc = unsafe {
        libc::setsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            CONGESTION.as_ptr().cast::<c_void>(),
            CONGESTION.len() as libc::socklen_t,
        )
    };
    if rc == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error()).with_context(|| {
        format!("setting TCP_CONGESTION to {CONGESTION}: see sysctl net.ipv4.tcp_available_congestion_control")
    })
}

/// A listener on a free port of 127.0.0.1. Connections accepted from it inherit its options.
pub(crate) fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening on 127.0.0.1")?;
    set_congestion(listener.as_raw_fd())?;
    set_no_delay(listener.as_raw_fd())?;
    Ok(listener)
}

/// A connection to a floor's server.
pub(crate) fn connect(addr: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(addr).with_context(|| format!("connecting to {addr}"))?;
    set_congestion(stream.as_raw_fd())?;
    set_no_delay(stream.as_raw_fd())?;
    Ok(stream)
}

fn set_no_delay(fd: RawFd) -> Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and length name a live integer; the kernel copies it during the call.
    let rc = unsafe {
        libc::setsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast::<c_void>(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    ensure!(
        rc == 0,
        "setting TCP_NODELAY: {}",
        io::Error::last_os_error()
    );
    Ok(())
}

/// Wakes a thread blocked on a socket, a listener included: its next call ends at once.
pub(crate) fn shut_down(socket: &impl AsRawFd) {
    // SAFETY: a plain system call on a descriptor that the borrow keeps open. Failure means that it
    // is shut already.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Sleeps until the other end of `stop` is closed. Bytes that arrive before are dropped.
pub(crate) fn wait_for_end(stop: BorrowedFd<'_>) -> io::Result<()> {
    let mut scratch = [0_u8; 64];
    loop {
        // SAFETY: the buffer is live and as long as stated for the whole call.
        let got =
            unsafe { libc::read(stop.as_raw_fd(), scratch.as_mut_ptr().cast(), scratch.len()) };
        match got {
            0 => return Ok(()),
            n if n > 0 => {}
            _ => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => {}
                e => return Err(e),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn congestion_of(fd: RawFd) -> String {
        let mut name = [0_u8; 16];
        let mut len = name.len() as libc::socklen_t;
        // SAFETY: buffer and length are live and agree.
        let rc = unsafe {
            libc::getsockopt(
                fd,
                libc::IPPROTO_TCP,
                libc::TCP_CONGESTION,
                name.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        assert_eq!(rc, 0);
        String::from_utf8_lossy(&name)
            .trim_end_matches('\0')
            .to_owned()
    }

    #[test]
    fn both_ends_of_a_connection_have_the_options() {
        let listener = listen().expect("a free port");
        let client = connect(listener.local_addr().expect("bound")).expect("listening");
        let (server, _) = listener.accept().expect("connected");
        for end in [&client, &server] {
            assert_eq!(congestion_of(end.as_raw_fd()), CONGESTION);
            assert!(end.nodelay().expect("a TCP socket"));
        }
    }

    #[test]
    fn waiting_ends_when_the_other_end_closes_and_not_before() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        io::Write::write_all(&mut writer, b"not yet").expect("room");
        drop(writer);
        wait_for_end(reader.as_fd()).expect("end of file");
        let mut rest = Vec::new();
        io::Read::read_to_end(&mut &reader, &mut rest).expect("readable");
        assert!(rest.is_empty(), "everything before the end is consumed");
    }
}
