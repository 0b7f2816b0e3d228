//! Options of connected and connecting sockets.

use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, getpeername, getsockname, socket_with, sockopt,
};

use super::{Addr, SocketError};

/// How sockets are set up. The default suits RPCs and bulk data alike: no
/// Nagle delay, keep-alive on, everything else as the kernel tunes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSpec {
    /// `TCP_NODELAY`: small frames leave at once. `ringrail.transport.tcpNoDelay`, on.
    pub nodelay: bool,
    /// `SO_KEEPALIVE`: a peer that vanished is noticed in the end.
    /// `ringrail.transport.tcpKeepAlive`, on.
    pub keepalive: bool,
    /// `SO_SNDBUF` in bytes, which ends the kernel's own tuning; it grants at most
    /// `net.core.wmem_max`. `ringrail.transport.sendBuffer`, the kernel's.
    pub send_buffer_len: Option<usize>,
    /// `SO_RCVBUF` in bytes, which ends the kernel's own tuning; it grants at most
    /// `net.core.rmem_max`. `ringrail.transport.receiveBuffer`, the kernel's.
    pub recv_buffer_len: Option<usize>,
    /// `TCP_CONGESTION`, by name. `ringrail.transport.congestion`, the system's.
    pub congestion: Option<String>,
    /// `TCP_NOTSENT_LOWAT` in bytes: a socket counts as writable only while it
    /// holds less unsent data. It bounds what a small frame waits behind.
    /// `ringrail.transport.notSentLowat`, none.
    pub notsent_lowat_len: Option<u32>,
}

impl Default for SocketSpec {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: true,
            send_buffer_len: None,
            recv_buffer_len: None,
            congestion: None,
            notsent_lowat_len: None,
        }
    }
}

impl SocketSpec {
    /// Opens a socket that can connect to `addr`; non-blocking, close-on-exec,
    /// with every option set.
    ///
    /// # Errors
    ///
    /// No descriptor left, or an option was refused.
    pub fn open(&self, addr: &Addr) -> Result<OwnedFd, SocketError> {
        let fd = open_stream(addr)?;
        self.apply(&fd, addr)?;
        Ok(fd)
    }

    /// Sets every option on a socket of `addr`'s family.
    ///
    /// Connections that a TCP listener accepts have inherited its options; those
    /// of a Unix-domain listener have not.
    ///
    /// # Errors
    ///
    /// An option was refused.
    pub fn apply(&self, fd: impl AsFd, addr: &Addr) -> Result<(), SocketError> {
        let fd = fd.as_fd();
        if let Some(len) = self.send_buffer_len {
            check(
                "SO_SNDBUF",
                len,
                sockopt::set_socket_send_buffer_size(fd, len),
            )?;
        }
        if let Some(len) = self.recv_buffer_len {
            check(
                "SO_RCVBUF",
                len,
                sockopt::set_socket_recv_buffer_size(fd, len),
            )?;
        }
        if addr.family() == AddressFamily::UNIX {
            return Ok(());
        }
        self.apply_tcp(fd)
    }

    fn apply_tcp(&self, fd: BorrowedFd<'_>) -> Result<(), SocketError> {
        let nodelay = sockopt::set_tcp_nodelay(fd, self.nodelay);
        check("TCP_NODELAY", self.nodelay, nodelay)?;
        let keepalive = sockopt::set_socket_keepalive(fd, self.keepalive);
        check("SO_KEEPALIVE", self.keepalive, keepalive)?;
        if let Some(len) = self.notsent_lowat_len {
            check("TCP_NOTSENT_LOWAT", len, set_notsent_lowat(fd, len))?;
        }
        match &self.congestion {
            Some(name) => set_congestion(fd, name),
            None => Ok(()),
        }
    }
}

pub(super) fn open_stream(addr: &Addr) -> Result<OwnedFd, SocketError> {
    // io_uring arms its poll for a non-blocking socket too, so O_NONBLOCK costs
    // nothing there, and plain calls on the descriptor can never block a shard.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(addr.family(), SocketType::STREAM, flags, None)
        .map_err(|errno| SocketError::from_errno("open a socket for", addr, errno))
}

pub(super) fn check(
    option: &'static str,
    value: impl ToString,
    result: rustix::io::Result<()>,
) -> Result<(), SocketError> {
    result.map_err(|errno| SocketError::Option {
        option,
        value: value.to_string(),
        source: errno.into(),
    })
}

fn set_congestion(fd: BorrowedFd<'_>, name: &str) -> Result<(), SocketError> {
    match sockopt::set_tcp_congestion(fd, name) {
        Err(Errno::NOENT | Errno::PERM) => Err(SocketError::Congestion {
            name: name.into(),
            available: fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control")
                .map_or_else(|_| "unknown".into(), |names| names.trim().to_owned()),
        }),
        result => check("TCP_CONGESTION", name, result),
    }
}

/// `TCP_NOTSENT_LOWAT`, which rustix does not wrap.
fn set_notsent_lowat(fd: BorrowedFd<'_>, len: u32) -> rustix::io::Result<()> {
    // SAFETY: the option takes an int-sized value, which the pointer and the
    // length describe; the kernel copies it before the call returns.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const len).cast(),
            mem::size_of_val(&len) as libc::socklen_t,
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

/// The address that a socket is bound to.
///
/// # Errors
///
/// The descriptor is no socket, or of a family that is not ours.
pub fn local_addr(fd: impl AsFd) -> io::Result<Addr> {
    Addr::from_kernel(getsockname(fd)?).ok_or_else(|| Errno::AFNOSUPPORT.into())
}

/// The address of the peer that a socket is connected to.
///
/// # Errors
///
/// The socket is not connected, or of a family that is not ours.
pub fn peer_addr(fd: impl AsFd) -> io::Result<Addr> {
    match getpeername(fd)? {
        Some(any) => Addr::from_kernel(any).ok_or_else(|| Errno::AFNOSUPPORT.into()),
        None => Ok(Addr::Unix(super::UnixAddr::Unnamed)),
    }
}
