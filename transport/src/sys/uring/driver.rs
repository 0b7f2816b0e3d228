//! The io_uring implementation of [`Driver`].

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use io_uring::{IoUring, opcode, squeue, types};
use rustix::event::EventfdFlags;

use crate::buf::{Gather, Pool};
use crate::sys::driver::{
    Completion, Driver, DriverStats, Listening, Moved, Op, OpKey, Park, Sock, Waker,
};
use crate::sys::socket::{self, Addr, Listener, SocketError, SocketSpec};
use crate::sys::table::OpTable;

use super::enter::Entry;
use super::files::{self, FileSend};
use super::ops::{MsgScratch, State};
use super::provided::{GROUP, Group};
use super::spec::{UringError, UringSpec};
use super::wait::{MAX_TIMEOUTS, Timeout};

/// `user_data` of the wake-up read.
pub(super) const WAKE: u64 = u64::MAX;
/// `user_data` of entries whose completion nobody needs.
const IGNORED: u64 = u64::MAX - 1;
/// `user_data` of the timeouts of parks; their number is added.
pub(super) const TIMEOUTS: u64 = u64::MAX - 64;
/// Sends up to this size are done at once unless the socket is full.
const QUICK_SEND_LEN: usize = 16 << 10;

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
    wake_fd: Arc<OwnedFd>,
    pub(super) wake_count: Box<u64>,
    pub(super) wake_armed: bool,
    /// Watched by another runtime: wake-ups are written straight to it. (A wake-up by way of a ring
    /// read does not reach it in time: the kernel puts off an eventfd signal that an eventfd causes.)
    notify_fd: Option<Arc<OwnedFd>>,
    pub(super) timeouts: Box<[Timeout; MAX_TIMEOUTS]>,
    /// Quick sends posted since the last call, and all that are not done.
    pub(super) quick_posted: u32,
    pub(super) quick_open: u32,
    pub(super) quick_pause: u32,
    /// How long the next park lasts at least; 0 where nothing was said.
    pub(super) linger_us: u32,
    can_linger: bool,
    /// What the clock said last.
    pub(super) last_ns: Cell<u64>,
    /// Being dropped: no further wake-up is wanted.
    pub(super) closing: bool,
    listeners: Vec<Listener>,
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
            wake_fd: Arc::new(wake_fd),
            wake_count: Box::new(0),
            wake_armed: false,
            closing: false,
            notify_fd,
            timeouts: Box::new([Timeout::default(); MAX_TIMEOUTS]),
            quick_posted: 0,
            quick_open: 0,
            quick_pause: 0,
            linger_us: 0,
            can_linger: ring_can_linger,
            last_ns: Cell::new(0),
            listeners: Vec::new(),
            stats: DriverStats::default(),
        })
    }

    #[inline]
    fn ring(&mut self) -> &mut IoUring {
        self.ring.as_mut().expect("the ring lives until drop")
    }

    pub(super) fn push(&mut self, entry: &squeue::Entry) {
        self.stats.submitted += 1;
        // SAFETY: the entry's memory belongs to `ops` (or to fields of this driver) and stays
        // there until its completion is harvested.
        while unsafe { self.ring().submission().push(entry) }.is_err() {
            let queued = self.ring().submission().len() as u32;
            self.stats.enters += 1;
            if self.entry.poll(queued).is_err() {
                // The ring itself failed: `enter` will say so; the entry is lost with the ring.
                return;
            }
        }
    }

    /// Links an entry to the next one; both must go into the kernel by the same call.
    fn linked(&mut self, entry: squeue::Entry) -> squeue::Entry {
        let queue = self.ring().submission();
        let (queued, room) = (queue.len(), queue.capacity() - queue.len());
        drop(queue);
        if room < 2 {
            self.stats.enters += 1;
            // A ring that fails here fails in the next `enter` as well, which says so.
            let _ = self.entry.poll(queued as u32);
        }
        entry.flags(squeue::Flags::IO_LINK)
    }

    fn scratch(&mut self) -> Box<MsgScratch> {
        self.scratch.pop().unwrap_or_else(MsgScratch::new)
    }

    fn arm_wake(&mut self) {
        if self.wake_armed || self.closing || self.notify_fd.is_some() {
            return;
        }
        self.wake_armed = true;
        let count = (&raw mut *self.wake_count).cast();
        let read = opcode::Read::new(types::Fd(self.wake_fd.as_raw_fd()), count, 8);
        self.push(&read.build().user_data(WAKE));
    }

    fn post_send(&mut self, token: u64, sock: Sock, gather: Gather, more: bool) -> OpKey {
        let mut scratch = self.scratch();
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | if more { libc::MSG_MORE } else { 0 };
        let message = scratch.describe(&gather, 0);
        let entry = if scratch.iov_count() == 1 {
            let part = scratch.first();
            opcode::Send::new(types::Fd(sock.0), part.iov_base.cast(), part.iov_len as u32)
                .flags(flags)
                .build()
        } else {
            opcode::SendMsg::new(types::Fd(sock.0), message)
                .flags(flags as u32)
                .build()
        };
        let quick = gather.remaining() <= QUICK_SEND_LEN;
        self.quick_posted += u32::from(quick);
        self.quick_open += u32::from(quick);
        let key = self.ops.insert(
            token,
            State::Send {
                gather,
                scratch,
                quick,
            },
        );
        self.push(&entry.user_data(key.0));
        key
    }

    fn post_send_file(&mut self, token: u64, sock: Sock, send: FileSend) -> OpKey {
        let scratch = self.scratch();
        let state = State::SendFile {
            send,
            scratch,
            socket: sock.0,
            cancelled: false,
        };
        let key = self.ops.insert(token, state);
        self.advance_send_file(key);
        key
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
        Ok(Sock(spec.open(addr)?.into_raw_fd()))
    }

    fn configure(&mut self, sock: Sock, addr: &Addr, spec: &SocketSpec) -> Result<(), SocketError> {
        spec.apply(borrow(&sock), addr)
    }

    fn local_addr(&self, sock: Sock) -> Option<Addr> {
        socket::local_addr(borrow(&sock)).ok()
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
            Some((_, State::SendFile { cancelled, .. })) => *cancelled = true,
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
        // A socket that is not connected any more is shut down as it is.
        let _ = rustix::net::shutdown(borrow(&sock), how);
    }

    fn close(&mut self, sock: Sock) {
        let is_it = |listener: &Listener| listener.as_fd().as_raw_fd() == sock.0;
        if let Some(at) = self.listeners.iter().position(is_it) {
            self.listeners.swap_remove(at);
            return;
        }
        // SAFETY: the engine closes a socket once, when none of its operations is outstanding.
        drop(unsafe { OwnedFd::from_raw_fd(sock.0) });
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
        let idle = self.immediate.is_empty() && self.harvested.is_empty();
        // What cannot be put into the ring goes along with the call.
        let until = match park {
            Park::Until(Some(at)) if idle => (!self.wake_by(at)).then_some(at),
            _ => None,
        };
        let (want, least_us) = match park {
            Park::Until(_) if idle => self.completions_wanted(linger_us),
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
                self.quick_posted = 0;
                self.entry.poll(to_submit)?;
            }
            _ => {}
        }
        self.harvest();
        Ok(())
    }

    #[inline]
    fn ready(&mut self) -> bool {
        if !self.immediate.is_empty() || !self.harvested.is_empty() {
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
        loop {
            if let Some(done) = self.immediate.pop_front() {
                return Some(done);
            }
            let (user_data, result, flags) = self.harvested.pop_front()?;
            if let Some(done) = self.complete(user_data, result, flags) {
                return Some(done);
            }
        }
    }

    fn refill(&mut self, pool: &Pool) -> usize {
        self.group.refill(pool)
    }

    fn moved(&self, sock: Sock) -> Option<Moved> {
        socket::moved(borrow(&sock))
    }

    fn is_resident(&self, file: &File, offset: u64, len: usize) -> Option<bool> {
        files::is_resident(file, offset, len)
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

/// Has the ring's workers run on these processors, if any are named. Where the kernel refuses (a
/// control group that allows others), they stay where the thread is, as without.
fn place_workers(ring: &IoUring, cpus: &[usize]) {
    if cpus.is_empty() {
        return;
    }
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus {
        // SAFETY: it writes within the set, and ignores a number beyond it.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    if let Err(error) = ring.submitter().register_iowq_aff(&set) {
        tracing::debug!(target: "ringrail::shard", %error, ?cpus, "the ring's workers are not placed");
    }
}

/// An eventfd. The one that the ring itself reads must block: the kernel answers reads of a
/// non-blocking file with `EAGAIN` where it would otherwise wait for data.
fn event_fd(flags: EventfdFlags) -> io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(0, flags | EventfdFlags::CLOEXEC)?)
}

fn borrow(sock: &Sock) -> std::os::fd::BorrowedFd<'_> {
    // SAFETY: the engine names only sockets that it has not closed.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(sock.0) }
}
