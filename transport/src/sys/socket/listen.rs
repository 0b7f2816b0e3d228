//! Listeners: one, or one per shard on the same address.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{bind, connect, listen, sockopt};

use super::options::{check, open_stream};
use super::{Addr, SocketError, SocketSpec, UnixAddr, local_addr};

/// How many connections may wait to be accepted, unless told otherwise. The
/// kernel grants at most `net.core.somaxconn`.
pub const DEFAULT_BACKLOG: u32 = 4096;

/// The address and options of a listener.
///
/// # Example
///
/// ```
/// use ringrail_transport::sys::socket::ListenSpec;
///
/// let listeners = ListenSpec::new("127.0.0.1:0".parse().unwrap())
///     .bind_group(2)
///     .unwrap();
/// assert_eq!(listeners[0].addr(), listeners[1].addr(), "both share one port");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSpec {
    /// The address. The kernel chooses a port for 0.
    pub addr: Addr,
    /// Limit of connections that wait to be accepted.
    pub backlog: u32,
    /// `SO_REUSEPORT`: other sockets, of any process of this user, may share the
    /// port. Without it the port is ours alone; the listeners of one
    /// [group](Self::bind_group) share it in either case.
    pub reuse_port: bool,
    /// The options of the listener, which TCP connections inherit.
    pub socket: SocketSpec,
}

impl ListenSpec {
    /// Listens on `addr`, with the default backlog and options.
    pub fn new(addr: Addr) -> Self {
        Self {
            addr,
            backlog: DEFAULT_BACKLOG,
            reuse_port: false,
            socket: SocketSpec::default(),
        }
    }

    /// Binds one listener.
    ///
    /// A stale socket file, without a listener, is replaced.
    ///
    /// # Errors
    ///
    /// [`SocketError`] says what is in the way and what to do about it.
    pub fn bind(&self) -> Result<Listener, SocketError> {
        self.bind_first(false)
    }

    /// Binds `count` listeners on one address, one for each shard. With TCP the
    /// kernel spreads connections over them; a Unix-domain listener is one queue
    /// that all of them accept from.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind); then none is left behind.
    pub fn bind_group(&self, count: usize) -> Result<Vec<Listener>, SocketError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut group = Vec::with_capacity(count);
        group.push(self.bind_first(count > 1)?);
        let sibling = Self {
            addr: group[0].addr.clone(),
            reuse_port: true,
            ..self.clone()
        };
        for _ in 1..count {
            group.push(match self.addr {
                Addr::Tcp(_) => sibling.bind()?,
                Addr::Unix(_) => group[0].try_clone()?,
            });
        }
        Ok(group)
    }

    fn bind_first(&self, siblings_follow: bool) -> Result<Listener, SocketError> {
        match &self.addr {
            Addr::Tcp(_) => self.bind_tcp(siblings_follow),
            Addr::Unix(name) => self.bind_unix(name),
        }
    }

    fn bind_tcp(&self, siblings_follow: bool) -> Result<Listener, SocketError> {
        let fd = open_stream(&self.addr)?;
        check("SO_REUSEADDR", 1, sockopt::set_socket_reuseaddr(&fd, true))?;
        let share = || check("SO_REUSEPORT", 1, sockopt::set_socket_reuseport(&fd, true));
        if self.reuse_port {
            share()?;
        }
        self.socket.apply(&fd, &self.addr)?;
        self.bind_to_addr(&fd)?;
        // Shared only once it is bound: had the first bind allowed sharing, a
        // port that another server of this user shares would be taken for free,
        // and the two would split its connections.
        if siblings_follow {
            share()?;
        }
        self.start(fd, None)
    }

    fn bind_unix(&self, name: &UnixAddr) -> Result<Listener, SocketError> {
        let fd = open_stream(&self.addr)?;
        self.socket.apply(&fd, &self.addr)?;
        let UnixAddr::Path(path) = name else {
            self.bind_to_addr(&fd)?;
            return self.start(fd, None);
        };
        match self.bind_to_addr(&fd) {
            Err(SocketError::InUse { .. }) if self.remove_if_stale(path)? => {
                self.bind_to_addr(&fd)?;
            }
            bound => bound?,
        }
        let file = SocketFile::created(path);
        self.start(fd, file)
    }

    fn bind_to_addr(&self, fd: &OwnedFd) -> Result<(), SocketError> {
        let sockaddr = self.addr.to_sockaddr()?;
        bind(fd, sockaddr.as_arg()).map_err(|errno| self.error("bind to", errno))
    }

    fn start(&self, fd: OwnedFd, file: Option<SocketFile>) -> Result<Listener, SocketError> {
        let backlog = i32::try_from(self.backlog).unwrap_or(i32::MAX);
        listen(&fd, backlog).map_err(|errno| self.error("listen on", errno))?;
        let addr = local_addr(&fd).map_err(|source| SocketError::Os {
            action: "read the bound address of",
            addr: self.addr.clone(),
            source,
        })?;
        Ok(Listener {
            file: file.map(Arc::new),
            fd,
            addr,
        })
    }

    /// Removes a socket file without a listener; true if it is gone.
    fn remove_if_stale(&self, path: &Path) -> Result<bool, SocketError> {
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return Ok(true);
        };
        if !metadata.file_type().is_socket() {
            return Err(SocketError::NotASocket { path: path.into() });
        }
        let probe = open_stream(&self.addr)?;
        let sockaddr = self.addr.to_sockaddr()?;
        // A living listener accepts, or its backlog is full (EAGAIN).
        if connect(&probe, sockaddr.as_arg()) != Err(Errno::CONNREFUSED) {
            return Ok(false);
        }
        fs::remove_file(path).map_err(|source| SocketError::Os {
            action: "remove the stale socket file of",
            addr: self.addr.clone(),
            source,
        })?;
        Ok(true)
    }

    fn error(&self, action: &'static str, errno: Errno) -> SocketError {
        SocketError::from_errno(action, &self.addr, errno)
    }
}

/// A bound, listening, non-blocking socket. The file of a Unix-domain listener
/// is removed when the last listener of its group is dropped.
#[derive(Debug)]
pub struct Listener {
    /// Dropped before the descriptor, so that the name vanishes before
    /// connections are refused.
    file: Option<Arc<SocketFile>>,
    fd: OwnedFd,
    addr: Addr,
}

impl Listener {
    /// The address it is bound to, with the port that the kernel chose.
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    /// Closes up to `most` connections that wait to be accepted; how many. For a process that has no descriptor
    /// but the one that it accepts with here, so that its peers learn of it.
    pub(in crate::sys) fn shed(&self, most: usize) -> usize {
        let accept = || {
            let flags = rustix::net::SocketFlags::CLOEXEC;
            // Closed at once; connections that cannot be accepted now are shed by a later call.
            rustix::net::accept_with(&self.fd, flags).is_ok()
        };
        (0..most).take_while(|_| accept()).count()
    }

    /// Another descriptor of the same queue of connections.
    fn try_clone(&self) -> Result<Self, SocketError> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0)
            .map_err(|errno| SocketError::from_errno("share the listener of", &self.addr, errno))?;
        Ok(Self {
            file: self.file.clone(),
            fd,
            addr: self.addr.clone(),
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The file of a Unix-domain listener, removed on drop if it is still ours.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn created(path: &Path) -> Option<Self> {
        // Absolute, for the process may change its directory meanwhile.
        let path = std::path::absolute(path).ok()?;
        let metadata = fs::symlink_metadata(&path).ok()?;
        Some(Self {
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another server may have replaced the file; then it is not ours.
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (self.device, self.inode));
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket file");
        }
    }
}
