//! The epoll implementation of [`Driver`].

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::buf::{LeaseMut, Pool};
use crate::sys::driver::{
    Completion, Driver, DriverStats, FileState, Listening, Moved, Op, OpKey, Park, Payload, Sock,
    Waker,
};
use crate::sys::files::{self, FileSend, Residency};
use crate::sys::scratch::MsgScratch;
use crate::sys::socket::{self, Addr, Listener, SocketError, SocketSpec};
use crate::sys::socks::Socks;
use crate::sys::table::OpTable;

use super::ops::{Exact, NO_SOCK, Pending, State};
use super::poll::Poll;
use super::ports::Ports;
use super::readers::{Job, Readers};

/// Bytes of files that leave between two calls of [`Driver::enter`]; as in the ring driver.
const FILE_BUDGET: usize = 2 << 20;
/// Sends up to this size do not end a park where their socket takes them whole; as in the ring driver.
const QUICK_SEND_LEN: usize = 16 << 10;
/// Before a connect that a full backlog has refused is tried again, in ns.
const CONNECT_AGAIN_NS: u64 = 1_000_000;

/// Sizes of an epoll driver.
#[derive(Clone, Debug)]
pub struct EpollSpec {
    /// Receive buffers that are held ready.
    pub recv_buffers: u16,
    /// Bytes of each receive buffer.
    pub recv_buffer_len: usize,
    /// Operations in flight at most.
    pub max_ops: usize,
}

impl Default for EpollSpec {
    fn default() -> Self {
        Self {
            recv_buffers: 64,
            recv_buffer_len: 64 << 10,
            max_ops: 1 << 18,
        }
    }
}

/// The driver of one shard on a system without io_uring.
pub struct EpollDriver {
    pub(super) poll: Poll,
    pub(super) ops: OpTable<Pending>,
    pub(super) ports: Ports,
    pub(super) socks: Socks,
    pub(super) listeners: Vec<Listener>,
    /// Sockets with operations that may move on, each once.
    pub(super) work: VecDeque<Sock>,
    pub(super) immediate: VecDeque<Completion>,
    /// Completions since the last wait that a park returns for.
    pub(super) notable: usize,
    /// Connects that wait for room in a backlog.
    pub(super) again: Vec<Sock>,
    /// Buffers for multishot receives.
    pub(super) group: Vec<LeaseMut>,
    group_len: usize,
    /// Buffers of the group in completions that the engine has not taken yet. They count as the group's, so that the
    /// engine, which takes a part of the completions per turn, is not given ever more of them.
    pub(super) untaken: usize,
    /// The group was empty when this call began: the pool had no memory for it.
    pub(super) group_was_dry: bool,
    pub(super) buffer_len: usize,
    /// The unused part of [`FILE_BUDGET`], in bytes.
    pub(super) file_budget: usize,
    #[expect(
        clippy::vec_box,
        reason = "an operation takes a box along: a scratch is a kilobyte"
    )]
    scratch: Vec<Box<MsgScratch>>,
    readers: Readers,
    residency: Residency,
    at_first: bool,
    last_ns: Cell<u64>,
    /// Given up for a moment where no other descriptor is left; see [`Driver::shed`].
    spare: Option<OwnedFd>,
    pub(super) stats: DriverStats,
}

impl std::fmt::Debug for EpollDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EpollDriver")
            .field("in_flight", &self.ops.in_flight())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

fn spare() -> Option<OwnedFd> {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).ok()
}

impl EpollDriver {
    /// Opens an epoll descriptor and its eventfd.
    ///
    /// # Errors
    /// The kernel's: descriptors are used up (`ulimit -n`).
    pub fn new(spec: &EpollSpec) -> io::Result<Self> {
        let poll = Poll::new()?;
        let readers = Readers::new(Arc::clone(poll.wake()));
        Ok(Self {
            poll,
            ops: OpTable::new(spec.max_ops),
            ports: Ports::default(),
            socks: Socks::default(),
            listeners: Vec::new(),
            work: VecDeque::new(),
            immediate: VecDeque::new(),
            notable: 0,
            again: Vec::new(),
            group: Vec::with_capacity(usize::from(spec.recv_buffers)),
            group_len: usize::from(spec.recv_buffers),
            untaken: 0,
            group_was_dry: false,
            buffer_len: spec.recv_buffer_len,
            file_budget: FILE_BUDGET,
            scratch: Vec::new(),
            readers,
            residency: Residency::new(),
            at_first: false,
            last_ns: Cell::new(0),
            spare: spare(),
            stats: DriverStats::default(),
        })
    }

    /// The descriptor of a socket or listener of this driver.
    pub(super) fn fd(&self, sock: Sock) -> Option<BorrowedFd<'_>> {
        let listener = || {
            let mut all = self.listeners.iter();
            all.find(|it| it.as_fd().as_raw_fd() == sock.0)
        };
        let open = self.socks.get(sock);
        open.or_else(|| listener().map(AsFd::as_fd))
    }

    /// Has epoll watch a socket, once.
    pub(super) fn register(&mut self, sock: Sock) -> io::Result<()> {
        let no_socket = || io::Error::from_raw_os_error(libc::EBADF);
        let port = self.ports.get(sock).ok_or_else(no_socket)?;
        if std::mem::replace(&mut port.registered, true) {
            return Ok(());
        }
        let fd = self.fd(sock).ok_or_else(no_socket)?;
        let added = self.poll.add(fd, sock);
        if added.is_err()
            && let Some(port) = self.ports.get(sock)
        {
            port.registered = false;
        }
        added
    }

    /// Looks at a socket in the next call, if an operation of its may move on.
    pub(super) fn queue(&mut self, sock: Sock) {
        if let Some(port) = self.ports.get(sock)
            && port.has_work()
            && !std::mem::replace(&mut port.queued, true)
        {
            self.work.push_back(sock);
        }
    }

    fn scratch(&mut self) -> Box<MsgScratch> {
        self.scratch.pop().unwrap_or_else(MsgScratch::new)
    }

    /// Ends an operation and queues its completion.
    pub(super) fn finish(&mut self, key: OpKey, result: i32) {
        let Some((token, pending)) = self.ops.remove(key) else {
            return;
        };
        let port = self.ports.get(pending.sock);
        if let Some(port) = port {
            port.forget(key);
        }
        let quick = matches!(&pending.state, State::Send { gather, .. }
            if gather.remaining() <= QUICK_SEND_LEN && usize::try_from(result) == Ok(gather.remaining()));
        self.notable += usize::from(self.at_first || !quick);
        let linked =
            matches!(&pending.state, State::Recv(exact) if exact.linked).then_some(pending.sock);
        let complete = matches!(&pending.state, State::Recv(exact) if exact.got == exact.len);
        let (payload, scratch) = pending.state.into_payload();
        self.scratch.extend(scratch);
        self.immediate.push_back(Completion {
            token,
            key,
            result,
            more: false,
            payload,
        });
        if let Some(sock) = linked {
            self.end_link(sock, complete);
        }
    }

    /// The receive behind a linked one begins, or ends with it.
    fn end_link(&mut self, sock: Sock, complete: bool) {
        let Some(port) = self.ports.get(sock) else {
            return;
        };
        let Some(&next) = port.input.front() else {
            return;
        };
        let Some((_, pending)) = self.ops.get(next) else {
            return;
        };
        let State::Recv(exact) = &mut pending.state else {
            return;
        };
        if !std::mem::replace(&mut exact.waits, false) {
            return;
        }
        match complete {
            true => self.queue(sock),
            false => self.finish(next, -libc::ECANCELED),
        }
    }

    /// A step of an operation that goes on.
    pub(super) fn step(&mut self, key: OpKey, token: u64, result: i32, payload: Payload) {
        self.notable += 1;
        self.untaken += usize::from(matches!(payload, Payload::Received(_)));
        self.immediate.push_back(Completion {
            token,
            key,
            result,
            more: true,
            payload,
        });
    }

    /// Takes an operation of a socket in.
    fn add(&mut self, token: u64, sock: Sock, state: State) -> OpKey {
        let output = state.is_output();
        // A socket that is being connected is registered when the kernel is at it: before, it counts as hung up.
        let connects = matches!(state, State::Connect { .. });
        let key = self.ops.insert(token, Pending { sock, state });
        let Some(port) = self.ports.get(sock) else {
            self.finish(key, -libc::EBADF);
            return key;
        };
        match output {
            true => port.output.push_back(key),
            false => port.input.push_back(key),
        }
        if connects {
            port.writable = true;
        } else if let Err(error) = self.register(sock) {
            self.finish(key, -error.raw_os_error().unwrap_or(libc::EIO));
            return key;
        }
        self.queue(sock);
        key
    }

    fn add_receive(&mut self, token: u64, sock: Sock, mut exact: Exact) -> OpKey {
        if let Some(port) = self.ports.get(sock) {
            exact.waits = port.link_open && !port.input.is_empty();
            port.link_open = exact.linked;
        }
        self.add(token, sock, State::Recv(exact))
    }

    /// Moves on every socket that may move, once.
    fn work(&mut self) {
        self.file_budget = FILE_BUDGET;
        for _ in 0..self.work.len() {
            let Some(sock) = self.work.pop_front() else {
                break;
            };
            if let Some(port) = self.ports.get(sock) {
                port.queued = false;
            }
            self.advance_input(sock);
            self.advance_output(sock);
            self.queue(sock);
        }
        while let Some(done) = self.readers.next() {
            if let Some((token, _)) = self.ops.remove(done.key) {
                self.notable += 1;
                self.immediate.push_back(Completion {
                    token,
                    key: done.key,
                    result: done.result,
                    more: false,
                    payload: Payload::Buffer(done.buf),
                });
            }
        }
    }

    fn note_events(&mut self) {
        for at in 0..self.poll.count() {
            let Some((sock, ready)) = self.poll.event(at) else {
                continue;
            };
            if let Some(port) = self.ports.get(sock) {
                port.note(ready);
                self.queue(sock);
            }
        }
    }

    fn retry_connects(&mut self) {
        for sock in std::mem::take(&mut self.again) {
            if let Some(port) = self.ports.get(sock) {
                port.writable = true;
                self.queue(sock);
            }
        }
    }

    /// How long a park may wait, in ns: not at all while something can be done, for ever where only an event
    /// ends it.
    fn patience(&self, park: Park, idle: bool) -> Option<u64> {
        let Park::Until(until) = park else {
            return Some(0);
        };
        if !idle || self.notable > 0 || !self.work.is_empty() || self.readers.has_done() {
            return Some(0);
        }
        let left = until.map(|at| at.saturating_sub(self.now_ns()));
        match self.again.is_empty() {
            true => left,
            false => Some(left.map_or(CONNECT_AGAIN_NS, |left| left.min(CONNECT_AGAIN_NS))),
        }
    }
}

impl Driver for EpollDriver {
    fn listen(&mut self, on: Listening) -> Result<(Sock, Addr), SocketError> {
        let listener = match on {
            Listening::Bound(listener) => listener,
            Listening::Spec(spec) => spec.bind()?,
        };
        let sock = Sock(listener.as_fd().as_raw_fd());
        let addr = listener.addr().clone();
        self.listeners.push(listener);
        self.ports.open(sock);
        Ok((sock, addr))
    }

    fn socket(&mut self, addr: &Addr, spec: &SocketSpec) -> Result<Sock, SocketError> {
        let sock = self.socks.insert(spec.open(addr)?);
        self.ports.open(sock);
        Ok(sock)
    }

    fn configure(&mut self, sock: Sock, addr: &Addr, spec: &SocketSpec) -> Result<(), SocketError> {
        let Some(fd) = self.socks.get(sock) else {
            return Err(SocketError::Os {
                action: "set the options of",
                addr: addr.clone(),
                source: io::Error::from_raw_os_error(libc::EBADF),
            });
        };
        spec.apply(fd, addr)
    }

    fn local_addr(&self, sock: Sock) -> Option<Addr> {
        socket::local_addr(self.socks.get(sock)?).ok()
    }

    fn submit(&mut self, token: u64, op: Op) -> Result<OpKey, Op> {
        if !self.ops.has_room(op.places()) {
            return Err(op);
        }
        self.stats.submitted += 1;
        Ok(match op {
            Op::Accept { listener } => self.add(token, listener, State::Accept),
            Op::Connect { sock, addr } => {
                // Addresses come parsed; one the kernel cannot take ends the operation at once.
                let Ok(raw) = addr.to_sockaddr() else {
                    return Err(Op::Connect { sock, addr });
                };
                let state = State::Connect {
                    addr: raw,
                    began: false,
                };
                self.add(token, sock, state)
            }
            Op::RecvMulti { sock } => self.add(token, sock, State::RecvMulti),
            Op::Recv {
                sock,
                buf,
                at,
                len,
                whole,
                linked,
            } => {
                let exact = Exact {
                    buf,
                    at,
                    len,
                    got: 0,
                    whole: whole || linked,
                    linked,
                    waits: false,
                };
                self.add_receive(token, sock, exact)
            }
            Op::Send { sock, gather, more } => {
                let state = State::Send {
                    scratch: self.scratch(),
                    gather,
                    more: if more { libc::MSG_MORE } else { 0 },
                    sent: 0,
                };
                self.add(token, sock, state)
            }
            Op::SendFile {
                sock,
                head,
                file,
                offset,
                len,
                padding,
            } => {
                let send = FileSend {
                    head,
                    file,
                    offset,
                    left: len,
                    padding,
                    sent: 0,
                };
                let scratch = self.scratch();
                self.add(token, sock, State::SendFile { send, scratch })
            }
            Op::Read {
                file,
                offset,
                buf,
                at,
                len,
            } => {
                let (sock, state) = (NO_SOCK, State::Read);
                let key = self.ops.insert(token, Pending { sock, state });
                self.readers.read(Job {
                    key,
                    file,
                    offset,
                    buf,
                    at,
                    len,
                });
                key
            }
        })
    }

    fn cancel(&mut self, key: OpKey) {
        let Some((_, pending)) = self.ops.get(key) else {
            return;
        };
        let sock = pending.sock;
        match &pending.state {
            // A reader thread is at it, or the receive has not begun.
            State::Read => return,
            State::Recv(exact) if exact.waits => return,
            _ => {}
        }
        let result = pending.state.cut_short(libc::ECANCELED);
        self.finish(key, result);
        self.queue(sock);
    }

    fn shutdown(&mut self, sock: Sock, both: bool) {
        use rustix::net::Shutdown;
        let how = if both {
            Shutdown::Both
        } else {
            Shutdown::Write
        };
        if let Some(fd) = self.socks.get(sock) {
            // A socket that is not connected any more is shut down as it is.
            let _ = rustix::net::shutdown(fd, how);
        }
    }

    fn close(&mut self, sock: Sock) {
        let Some(port) = self.ports.close(sock) else {
            return;
        };
        if port.registered
            && let Some(fd) = self.fd(sock)
        {
            self.poll.remove(fd);
        }
        self.again.retain(|other| *other != sock);
        let is_it = |listener: &Listener| listener.as_fd().as_raw_fd() == sock.0;
        if let Some(at) = self.listeners.iter().position(is_it) {
            self.listeners.swap_remove(at);
            return;
        }
        drop(self.socks.remove(sock));
    }

    fn shed(&mut self, listener: Sock, most: usize) -> usize {
        let is_it = |it: &&Listener| it.as_fd().as_raw_fd() == listener.0;
        let Some(listener) = self.listeners.iter().find(is_it) else {
            return 0;
        };
        drop(self.spare.take());
        let shed = listener.shed(most);
        self.spare = spare();
        shed
    }

    fn return_at_first(&mut self) {
        self.at_first = true;
    }

    fn has_posted(&mut self) -> bool {
        !self.work.is_empty()
    }

    fn linger(&mut self, _least_ns: u64) -> bool {
        false
    }

    fn enter(&mut self, park: Park) -> io::Result<()> {
        let idle = self.immediate.is_empty();
        self.notable = 0;
        self.group_was_dry = self.group.is_empty() && self.untaken == 0;
        self.work();
        let patience = self.patience(park, idle);
        self.at_first = false;
        self.stats.enters += 1;
        self.poll.wait(patience)?;
        self.note_events();
        self.retry_connects();
        self.work();
        Ok(())
    }

    #[inline]
    fn ready(&mut self) -> bool {
        !self.immediate.is_empty() || !self.work.is_empty() || self.readers.has_done()
    }

    #[inline]
    fn next(&mut self) -> Option<Completion> {
        let done = self.immediate.pop_front()?;
        if matches!(done.payload, Payload::Received(_)) {
            self.untaken -= 1;
        }
        Some(done)
    }

    fn refill(&mut self, pool: &Pool) -> usize {
        while self.group.len() + self.untaken < self.group_len {
            let Some(lease) = pool.lease_receive(self.buffer_len) else {
                break;
            };
            self.group.push(lease);
        }
        self.group.len() + self.untaken
    }

    fn moved(&self, sock: Sock) -> Option<Moved> {
        socket::moved(self.socks.get(sock)?)
    }

    fn is_resident(&self, file: &File, offset: u64, len: usize) -> Option<bool> {
        self.residency.ask(file, offset, len, self.last_ns.get())
    }

    fn file_state(&self, file: &File) -> Option<FileState> {
        files::state(file)
    }

    fn read_resident(&self, file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        files::read_resident(file, offset, into)
    }

    #[inline]
    fn now_ns(&self) -> u64 {
        let now = crate::sys::monotonic_ns();
        self.last_ns.set(now);
        now
    }

    fn waker(&self) -> Waker {
        let wake = Arc::clone(self.poll.wake());
        Waker::new(move || {
            // A full counter means that a wake-up is already due.
            let _ = rustix::io::write(&wake, &1u64.to_ne_bytes());
        })
    }

    fn notify_fd(&self) -> Option<OwnedFd> {
        self.poll.try_clone().ok()
    }

    fn stats(&self) -> DriverStats {
        self.stats
    }
}

impl Drop for EpollDriver {
    /// Has connects refused, and peers learn of the end of their connections. Sockets of the Unix domain are shared by
    /// all shards: there the others go on listening.
    fn drop(&mut self) {
        for listener in self.listeners.drain(..) {
            if matches!(listener.addr(), Addr::Tcp(_)) {
                // Not listening any more is as good.
                let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
            }
        }
        self.socks.shut_down_all();
    }
}
