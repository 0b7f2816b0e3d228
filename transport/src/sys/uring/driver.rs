//! The io_uring implementation of [`Driver`].

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use io_uring::{IoUring, opcode, squeue, types};
use rustix::event::EventfdFlags;

use crate::buf::Pool;
use crate::sys::driver::{
    Completion, Driver, DriverStats, FileState, Listening, Moved, Op, OpKey, Park, Sock, Waker,
};
use crate::sys::socket::{self, Addr, Listener, SocketError, SocketSpec};
use crate::sys::table::OpTable;

use super::enter::Entry;
use super::ops::State;
use super::provided::{GROUP, Group};
use super::setup::{event_fd, place_workers};
use super::spec::{UringError, UringSpec};
use super::wait::{MAX_TIMEOUTS, Timeout, completions_wanted};
use crate::sys::files::{self, FileSend};
use crate::sys::scratch::MsgScratch;
use crate::sys::socks::Socks;

/// `user_data` of the wake-up read.
pub(super) const WAKE: u64 = u64::MAX;
/// `user_data` of entries whose completion needs no handling.
const IGNORED: u64 = u64::MAX - 1;
/// `user_data` of the first timeout of a park; the timeout's index is added.
pub(super) const TIMEOUTS: u64 = u64::MAX - 64;
/// Bytes of files that leave between two calls of [`Driver::enter`]: some 200 µs of copying, which is
/// what everything else on the shard waits for.
pub(super) const FILE_BUDGET: usize = 2 << 20;

/// The hot ring of one shard.
///
/// Must be made on the thread that uses it: the kernel binds the ring to its first issuer.
pub struct UringDriver {
    // Dropped before `group` and `ops`: the kernel must let go of the memory first.
    pub(super) ring: Option<IoUring>,
    pub(super) entry: Entry,
    pub(super) group: Group,
    pub(super) ops: OpTable<State>,
    #[expect(
        clippy::vec_box,
        reason = "the kernel holds the scratch's address: it must not move"
    )]
    pub(super) scratch: Vec<Box<MsgScratch>>,
    pub(super) harvested: VecDeque<(u64, i32, u32)>,
    pub(super) immediate: VecDeque<Completion>,
    /// File sends that go on after the next call, for the budget of this one is used up.
    pub(super) deferred: VecDeque<OpKey>,
    /// The unused part of [`FILE_BUDGET`], in bytes.
    pub(super) file_budget: usize,
    pub(super) wake_fd: Arc<OwnedFd>,
    pub(super) wake_count: Box<u64>,
    pub(super) wake_armed: bool,
    /// Watched by another runtime: wake-ups are written straight to it. (A wake-up by way of a ring
    /// read does not reach it in time: the kernel puts off an eventfd signal that an eventfd causes.)
    pub(super) notify_fd: Option<Arc<OwnedFd>>,
    pub(super) timeouts: Box<[Timeout; MAX_TIMEOUTS]>,
    /// Quick sends posted since the last call: each completes in the next one.
    pub(super) quick_posted: u32,
    /// The next park returns with its first completion.
    at_first: bool,
    /// How long the next park lasts at least; 0 where nothing was said.
    pub(super) linger_us: u32,
    can_linger: bool,
    /// The last reading of the clock, in nanoseconds.
    pub(super) last_ns: Cell<u64>,
    /// Cached results of residency checks of files.
    residency: files::Residency,
    /// Being dropped: no further wake-up is wanted.
    pub(super) closing: bool,
    pub(super) listeners: Vec<Listener>,
    pub(super) socks: Socks,
    /// Given up for a moment where no other descriptor is left; see [`Driver::shed`].
    spare: Option<OwnedFd>,
    pub(super) stats: DriverStats,
}

impl std::fmt::Debug for UringDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UringDriver")
            .field("in_flight", &self.ops.in_flight())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl UringDriver {
    /// Sets up a ring for the calling thread.
    ///
    /// # Errors
    /// Says which step the kernel refused and how to mend it.
    pub fn new(spec: &UringSpec) -> Result<Self, UringError> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(spec.cq_entries)
            .build(spec.sq_entries)
            .map_err(UringError::at("io_uring_setup"))?;
        let entry = Entry::register(ring.as_raw_fd());
        let group = Group::register(&ring, spec.recv_buffers, spec.recv_buffer_len)
            .map_err(UringError::at("registering the receive buffers"))?;
        place_workers(&ring, &spec.worker_cpus);
        let wake_fd = event_fd(EventfdFlags::empty()).map_err(UringError::at("eventfd"))?;
        let notify_fd = if spec.notify {
            let fd = event_fd(EventfdFlags::NONBLOCK).map_err(UringError::at("eventfd"))?;
            ring.submitter()
                .register_eventfd(fd.as_raw_fd())
                .map_err(UringError::at("registering the eventfd"))?;
            Some(Arc::new(fd))
        } else {
            None
        };
        let ring_can_linger = ring.params().is_feature_min_timeout();
        Ok(Self {
            ring: Some(ring),
            entry,
            group,
            ops: OpTable::new(spec.max_ops),
            scratch: Vec::new(),
            harvested: VecDeque::with_capacity(spec.cq_entries as usize),
            immediate: VecDeque::new(),
            deferred: VecDeque::new(),
            file_budget: FILE_BUDGET,
            wake_fd: Arc::new(wake_fd),
            wake_count: Box::new(0),
            wake_armed: false,
            closing: false,
            notify_fd,
            timeouts: Box::new([Timeout::default(); MAX_TIMEOUTS]),
            quick_posted: 0,
            at_first: false,
            linger_us: 0,
            can_linger: ring_can_linger,
            last_ns: Cell::new(0),
            residency: files::Residency::new(),
            listeners: Vec::new(),
            socks: Socks::default(),
            spare: event_fd(EventfdFlags::empty()).ok(),
            stats: DriverStats::default(),
        })
    }

    #[inline]
    pub(super) fn ring(&mut self) -> &mut IoUring {
        self.ring.as_mut().expect("the ring lives until drop")
    }
}

impl Driver for UringDriver {
    fn listen(&mut self, on: Listening) -> Result<(Sock, Addr), SocketError> {
        let listener = match on {
            Listening::Bound(listener) => listener,
            Listening::Spec(spec) => spec.bind()?,
        };
        let sock = Sock(listener.as_fd().as_raw_fd());
        let addr = listener.addr().clone();
        self.listeners.push(listener);
        Ok((sock, addr))
    }

    fn socket(&mut self, addr: &Addr, spec: &SocketSpec) -> Result<Sock, SocketError> {
        Ok(self.socks.insert(spec.open(addr)?))
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
        let (entry, state) = match op {
            Op::Send { sock, gather, more } => {
                return Ok(self.post_send(token, sock, gather, more));
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
                return Ok(self.post_send_file(token, sock, send));
            }
            Op::RecvMulti { sock } => (
                opcode::RecvMulti::new(types::Fd(sock.0), GROUP).build(),
                State::RecvMulti,
            ),
            Op::Recv {
                sock,
                mut buf,
                at,
                len,
                whole,
                linked,
            } => {
                let at = &raw mut buf.buffer_mut()[at..at + len];
                let recv = opcode::Recv::new(types::Fd(sock.0), at.cast(), len as u32);
                let flags = if whole { libc::MSG_WAITALL } else { 0 };
                let recv = recv.flags(flags).build();
                (
                    if linked { self.linked(recv) } else { recv },
                    State::Recv { buf },
                )
            }
            Op::Read {
                file,
                offset,
                mut buf,
                at,
                len,
            } => {
                let at = &raw mut buf.buffer_mut()[at..at + len];
                let read = opcode::Read::new(types::Fd(file.as_raw_fd()), at.cast(), len as u32);
                // Straight to a worker: even to start reading ahead may block this thread.
                let read = read.offset(offset).build().flags(squeue::Flags::ASYNC);
                (read, State::Read { buf, _file: file })
            }
            Op::Accept { listener } => {
                let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
                (
                    opcode::AcceptMulti::new(types::Fd(listener.0))
                        .flags(flags)
                        .build(),
                    State::Accept,
                )
            }
            Op::Connect { sock, addr } => {
                // Addresses come parsed; one the kernel cannot take ends the operation at once.
                let Ok(raw) = addr.to_sockaddr() else {
                    return Err(Op::Connect { sock, addr });
                };
                let connect = opcode::Connect::new(types::Fd(sock.0), raw.as_ptr(), raw.len());
                (connect.build(), State::Connect { _addr: raw })
            }
        };
        let key = self.ops.insert(token, state);
        self.push(&entry.user_data(key.0));
        Ok(key)
    }

    fn cancel(&mut self, key: OpKey) {
        match self.ops.get(key) {
            None => return,
            Some((_, State::SendFile { cancelled, .. } | State::Send { cancelled, .. })) => {
                *cancelled = true;
            }
            Some(_) => {}
        }
        let cancel = opcode::AsyncCancel::new(key.0).build().user_data(IGNORED);
        self.push(&cancel);
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
        self.spare = event_fd(EventfdFlags::empty()).ok();
        shed
    }

    fn return_at_first(&mut self) {
        self.at_first = true;
    }

    fn has_posted(&mut self) -> bool {
        !self.ring().submission().is_empty()
    }

    fn linger(&mut self, least_ns: u64) -> bool {
        if self.can_linger {
            self.linger_us = u32::try_from(least_ns / 1000).unwrap_or(u32::MAX);
        }
        self.can_linger
    }

    fn enter(&mut self, park: Park) -> io::Result<()> {
        self.arm_wake();
        let linger_us = std::mem::take(&mut self.linger_us);
        let idle =
            self.immediate.is_empty() && self.harvested.is_empty() && self.deferred.is_empty();
        let quick_posted = std::mem::take(&mut self.quick_posted);
        let at_first = std::mem::take(&mut self.at_first);
        // A timeout that cannot be put into the ring is passed to the system call.
        let until = match park {
            Park::Until(Some(at)) if idle => (!self.wake_by(at)).then_some(at),
            _ => None,
        };
        let (want, least_us) = match park {
            Park::Until(_) if idle && at_first => (1, 0),
            Park::Until(_) if idle => completions_wanted(quick_posted, linger_us),
            _ => (0, 0),
        };
        let queue = self.ring().submission();
        let to_submit = queue.len() as u32;
        let pending = queue.taskrun() || queue.cq_overflow();
        drop(queue);
        match park {
            Park::Until(_) if idle => {
                self.stats.enters += 1;
                let timeout = until.map(|at| at.saturating_sub(self.now_ns()));
                self.entry.wait(to_submit, want, timeout, least_us)?;
            }
            _ if to_submit > 0 || pending => {
                self.stats.enters += 1;
                self.entry.poll(to_submit)?;
            }
            _ => {}
        }
        self.harvest();
        self.advance_deferred();
        Ok(())
    }

    #[inline]
    fn ready(&mut self) -> bool {
        if !self.immediate.is_empty() || !self.harvested.is_empty() || !self.deferred.is_empty() {
            return true;
        }
        let ring = self.ring();
        let queue = ring.submission();
        let due = queue.taskrun() || queue.cq_overflow();
        drop(queue);
        due || !ring.completion().is_empty()
    }

    #[inline]
    fn next(&mut self) -> Option<Completion> {
        while let Some((user_data, result, flags)) = self.harvested.pop_front() {
            if let Some(done) = self.complete(user_data, result, flags) {
                return Some(done);
            }
        }
        // Last: what handling one posts may complete at once too, and others were here before.
        self.immediate.pop_front()
    }

    fn refill(&mut self, pool: &Pool) -> usize {
        self.group.refill(pool)
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
        let fd = Arc::clone(self.notify_fd.as_ref().unwrap_or(&self.wake_fd));
        Waker::new(move || {
            // A full counter means that a wake-up is already due.
            let _ = rustix::io::write(&fd, &1u64.to_ne_bytes());
        })
    }

    fn notify_fd(&self) -> Option<OwnedFd> {
        self.notify_fd.as_ref().and_then(|fd| fd.try_clone().ok())
    }

    fn stats(&self) -> DriverStats {
        self.stats
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
