//! The narrow door to the kernel: post an operation, collect completions, park, wake.
//!
//! The shard's pump is generic over [`Driver`], so the choice costs nothing at run time. The trait
//! is safe: an operation *owns* its buffers from [`submit`](Driver::submit) until its
//! [`Completion`] hands them back, whatever happens to the future, connection or shard that asked.
//!
//! Rules every driver keeps, and the engine relies on:
//! - one completion per operation with `more == false`; multishot operations may have any number
//!   with `more == true` before it;
//! - cancelling an operation does not complete it early: its completion still comes, with
//!   `-ECANCELED` or with what it had achieved;
//! - operations may complete *short* (a file send only where the file ends); continuing is the
//!   engine's work;
//! - a socket is closed by the engine only when none of its operations is outstanding.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::buf::{Gather, LeaseMut, Pool};

use super::socket::{Addr, ListenSpec, Listener, SocketError, SocketSpec};

/// A socket of one driver, which alone makes them and knows what they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sock(pub(crate) i32);

/// Names one outstanding operation; stale keys are harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpKey(pub u64);

/// An operation and the memory it works on.
#[derive(Debug)]
pub enum Op {
    /// Accept connections until cancelled (multishot). Completes with [`Payload::Accepted`].
    Accept {
        /// A socket from [`Driver::listen`].
        listener: Sock,
    },
    /// Connect a socket from [`Driver::socket`].
    Connect {
        /// The socket.
        sock: Sock,
        /// The peer.
        addr: Addr,
    },
    /// Receive until cancelled into buffers given by [`Driver::refill`] (multishot). Completes
    /// with [`Payload::Received`]; ends with `-ENOBUFS` when no buffer is left, and with 0 at the
    /// end of the stream.
    RecvMulti {
        /// The socket.
        sock: Sock,
    },
    /// Receive into `buf[at..at + len]`. Completes with [`Payload::Buffer`].
    Recv {
        /// The socket.
        sock: Sock,
        /// The destination of the bytes.
        buf: LeaseMut,
        /// Offset of the first byte to fill.
        at: usize,
        /// Number of bytes wanted.
        len: usize,
        /// The driver tries to fill it all; where not, what is there suffices. A linked one waits for
        /// all.
        whole: bool,
        /// The next call to the driver submits a receive on the same socket, not linked itself. It
        /// begins when this one has all its bytes and completes after it; where this one ends
        /// short, it completes with `-ECANCELED`. Before it begins, no cancel reaches it.
        linked: bool,
    },
    /// Send what remains of a gather. Completes with [`Payload::Gather`], not yet advanced.
    Send {
        /// The socket.
        sock: Sock,
        /// The data to send.
        gather: Gather,
        /// More follows at once: the kernel may hold back a partial segment (`MSG_MORE`).
        more: bool,
    },
    /// Send what remains of `head`, then `len` bytes of the file without a user-space copy. The
    /// result counts both. Short only where the file ends early, and then without the padding; an
    /// error says nothing of what went before it. Completes with [`Payload::Gather`], not yet
    /// advanced.
    SendFile {
        /// The socket.
        sock: Sock,
        /// The data sent before the file.
        head: Gather,
        /// The file; its own position is not used.
        file: Arc<File>,
        /// Offset of the first file byte.
        offset: u64,
        /// Bytes of the file to send.
        len: usize,
        /// Number of zero bytes sent after it (less than 16), included in the result.
        padding: usize,
    },
    /// Read `len` bytes of a file into `buf[at..]`, off this thread where the disk is needed.
    /// Completes with [`Payload::Buffer`].
    Read {
        /// The file; its own position is not used.
        file: Arc<File>,
        /// Offset of the first file byte.
        offset: u64,
        /// The destination of the bytes.
        buf: LeaseMut,
        /// Offset of the first byte to fill.
        at: usize,
        /// Number of bytes wanted.
        len: usize,
    },
}

impl Op {
    /// Places of a driver's table that it must have free: a linked receive's second half counts.
    #[inline]
    pub(super) fn places(&self) -> usize {
        1 + usize::from(matches!(self, Op::Recv { linked: true, .. }))
    }
}

/// The resource that a completion returns.
#[derive(Debug)]
pub enum Payload {
    /// Nothing.
    None,
    /// A new connection.
    Accepted {
        /// Its socket.
        sock: Sock,
        /// Its peer.
        peer: Addr,
    },
    /// Bytes of a multishot receive: the filled part of a buffer of the group.
    Received(LeaseMut),
    /// The buffer of a receive or read.
    Buffer(LeaseMut),
    /// The gather of a send.
    Gather(Gather),
}

/// The end, or one step, of an operation.
#[derive(Debug)]
pub struct Completion {
    /// The caller's own number, as given to [`Driver::submit`].
    pub token: u64,
    /// The operation.
    pub key: OpKey,
    /// Bytes moved, or a negative errno.
    pub result: i32,
    /// True if the operation continues (multishot).
    pub more: bool,
    /// Memory coming back.
    pub payload: Payload,
}

impl Completion {
    /// The result as bytes or an error.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn outcome(&self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

/// Errors after which the same operation is posted again.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINTR | libc::EAGAIN | libc::ECANCELED | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// How shards reach the kernel. `ringrail.transport.driver`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoDriver {
    /// io_uring; epoll on a system that lacks it or forbids it, as the default profiles of containers do. A log line says
    /// so once.
    #[default]
    Auto,
    /// io_uring (Linux 6.1): one system call submits, collects and waits.
    IoUring,
    /// epoll and calls that do not block (Linux 5.10).
    Epoll,
}

/// How long [`Driver::enter`] may stay in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Park {
    /// Submit, collect what is there, return.
    No,
    /// Submit and wait for a completion or until this time of [`Driver::now_ns`].
    Until(Option<u64>),
}

/// Wakes a parked driver from any thread.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that calls `wake`.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Makes the driver's current or next park return.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

/// Completions that end a park that [lingers](Driver::linger): with them half of the receive buffers
/// would be full.
pub(crate) const LINGER_COMPLETIONS: u32 = 32;

/// The counters of a driver; see [`Driver::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverStats {
    /// Calls into the kernel to submit or wait.
    pub enters: u64,
    /// Operations submitted.
    pub submitted: u64,
    /// Times the completion queue overflowed (nothing is lost; it costs time).
    pub cq_overflows: u64,
    /// Multishot receives that ended for lack of a buffer.
    pub no_buffers: u64,
}

/// Bytes that a connection has moved since it was made; see [`Driver::moved`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes that have arrived here, whether they were received or not.
    pub received: u64,
    /// Bytes that have arrived at the peer.
    pub acknowledged: u64,
    /// More is on its way there.
    pub pending: bool,
}

/// The socket or address to listen on.
#[derive(Debug)]
pub enum Listening {
    /// A socket that is bound already: one of a group that several shards share.
    Bound(Listener),
    /// An address for the driver to bind.
    Spec(ListenSpec),
}

/// Identity, length and times of a regular file; see [`Driver::file_state`]. Two states that are equal are of the same
/// content, as far as its times tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// The device.
    pub dev: u64,
    /// The number on that device.
    pub ino: u64,
    /// Bytes.
    pub len: u64,
    /// When its content changed last: seconds and nanoseconds.
    pub modified: (i64, i64),
    /// When anything of it changed last, which no program can set back.
    pub changed: (i64, i64),
}

impl FileState {
    /// The state of a file, however short a time ago it changed; `None` where it is no regular file.
    pub(super) fn of(file: &File) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata().ok().filter(|it| it.is_file())?;
        Some(Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// The IO backend of one shard. See the module's documentation for the rules.
pub trait Driver {
    /// Opens a listening socket and returns its address (port 0 resolved).
    ///
    /// # Errors
    /// Names the address, the reason and the remedy.
    fn listen(&mut self, on: Listening) -> Result<(Sock, Addr), SocketError>;

    /// Opens a socket to be connected by [`Op::Connect`].
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    fn socket(&mut self, addr: &Addr, spec: &SocketSpec) -> Result<Sock, SocketError>;

    /// Sets the options of an accepted socket whose peer is at `addr`.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    fn configure(&mut self, sock: Sock, addr: &Addr, spec: &SocketSpec) -> Result<(), SocketError>;

    /// The local address of a socket, where it has one.
    fn local_addr(&self, sock: Sock) -> Option<Addr>;

    /// Takes over an operation.
    ///
    /// # Errors
    /// Gives the operation back where the table of operations is full; a linked receive also where
    /// it has no room for the one behind it.
    fn submit(&mut self, token: u64, op: Op) -> Result<OpKey, Op>;

    /// Asks for an operation to end soon; its completion still comes.
    fn cancel(&mut self, key: OpKey);

    /// Ends the sending direction, or both, without closing the socket.
    fn shutdown(&mut self, sock: Sock, both: bool);

    /// Closes a socket that has no outstanding operation; a socket that this driver has not opened,
    /// or has closed, is left alone. Sockets still open when the driver is dropped are closed then.
    fn close(&mut self, sock: Sock);

    /// Closes up to `most` connections that wait to be accepted, by a descriptor that is kept for this:
    /// for a process that has no other left, so that its peers learn of it. How many it closed.
    fn shed(&mut self, listener: Sock, most: usize) -> usize {
        let _ = (listener, most);
        0
    }

    /// Makes the next park return at its first completion of any kind: a caller waits for a send
    /// that a driver may count as done when it is submitted.
    fn return_at_first(&mut self) {}

    /// True where operations have been posted that no [`enter`](Self::enter) has submitted yet.
    fn has_posted(&mut self) -> bool {
        false
    }

    /// Submits the posted operations and collects completions; parks as `park` says.
    ///
    /// # Errors
    /// The kernel's error for the ring itself: fatal for the shard.
    fn enter(&mut self, park: Park) -> io::Result<()>;

    /// The next [`enter`](Self::enter) that has to wait does so for at least `least_ns`, unless
    /// `LINGER_COMPLETIONS` completions arrive before. (A wake-up may count as one completion.) It may
    /// return after that time without a completion. False if this kernel cannot.
    fn linger(&mut self, least_ns: u64) -> bool;

    /// True where [`enter`](Self::enter) would find something to do, told without a system call.
    fn ready(&mut self) -> bool;

    /// The next completion collected.
    fn next(&mut self) -> Option<Completion>;

    /// Fills the receive group up with buffers of the pool; how many it has then.
    fn refill(&mut self, pool: &Pool) -> usize;

    /// How many bytes a connection has moved, be they part of an operation that is still in flight; `None`
    /// where its kind of socket cannot tell. A system call on a real one.
    fn moved(&self, sock: Sock) -> Option<Moved>;

    /// Whether the whole range lies in the page cache; `None` where this kernel cannot tell. A range
    /// that reaches beyond the end of the file does not.
    fn is_resident(&self, file: &File, offset: u64, len: usize) -> Option<bool>;

    /// Names the content of a file, for what is known of it to be believed as long as this stays the same. `None`
    /// where that is no regular file, or where it changed so lately that a further change might not show.
    fn file_state(&self, file: &File) -> Option<FileState>;

    /// Reads into `into` only what is in the page cache: `WouldBlock` where the disk is needed.
    ///
    /// # Errors
    /// `WouldBlock`, or what the kernel says of the file.
    fn read_resident(&self, file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Monotonic time in nanoseconds.
    fn now_ns(&self) -> u64;

    /// Wakes this driver from anywhere.
    fn waker(&self) -> Waker;

    /// A descriptor that becomes readable when completions wait, for a park inside another
    /// runtime; `None` where the driver has none.
    fn notify_fd(&self) -> Option<OwnedFd>;

    /// Counters.
    fn stats(&self) -> DriverStats;
}
