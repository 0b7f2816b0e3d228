//! [`Driver`] over a simulated world.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::buf::Pool;
use crate::sys::driver::{
    Completion, Driver, DriverStats, FileState, Listening, Moved, Op, OpKey, Park, Sock, Waker,
};
use crate::sys::socket::{Addr, DEFAULT_BACKLOG, SocketError, SocketSpec};

use super::conn::{self, Lane, Role};
use super::faults::Kind;
use super::host::{Posted, SimHost, SimOp, Work};
use super::net::Place;
use super::queue::Event;
use super::world::World;

/// A spurious wake-up comes within this time of the park.
const SPURIOUS_WITHIN_NS: u64 = 1_000_000;

/// The driver of one simulated shard; made by [`SimWorld::driver`](super::SimWorld::driver).
///
/// It never sleeps: [`enter`](Driver::enter) with [`Park::Until`] notes the wanted time
/// ([`parked_until`](Self::parked_until)) and returns, and the test moves the clock.
///
/// # Panics
/// Every method panics, with the seed and the last events, where the engine breaks a rule: it
/// uses a closed socket, closes one that has an operation outstanding, or has two sends, or two
/// receives, in flight on one socket.
#[derive(Debug)]
pub struct SimDriver {
    host: SimHost,
}

impl SimDriver {
    pub(super) fn of(host: SimHost) -> Self {
        Self { host }
    }

    /// A handle to this host that stays with the test when the engine takes the driver.
    pub fn host(&self) -> SimHost {
        self.host.clone()
    }

    /// As [`SimHost::parked_until`].
    pub fn parked_until(&self) -> Option<u64> {
        self.host.parked_until()
    }

    /// As [`SimHost::assert_quiescent`].
    ///
    /// # Panics
    /// If something is left.
    pub fn assert_quiescent(&self) {
        self.host.assert_quiescent();
    }

    fn with<T>(&self, act: impl FnOnce(&mut World, usize) -> T) -> T {
        act(&mut self.host.world.borrow_mut(), self.host.id)
    }
}

impl World {
    /// Takes an operation apart, into what is kept of it.
    fn taken(&mut self, op: Op) -> SimOp {
        let (kind, sock, work, len) = match op {
            Op::Accept { listener } => (Kind::Accept, Some(listener), Work::Accept, 0),
            Op::Connect { sock, addr } => (Kind::Connect, Some(sock), Work::Connect { addr }, 0),
            Op::RecvMulti { sock } => (Kind::RecvMulti, Some(sock), Work::RecvMulti, 0),
            Op::Recv {
                sock,
                buf,
                at,
                len,
                whole,
                ..
            } => (Kind::Recv, Some(sock), Work::Recv { buf, at, whole }, len),
            Op::Send { sock, gather, .. } => {
                let len = gather.remaining();
                (Kind::Send, Some(sock), Work::Send { gather }, len)
            }
            Op::SendFile {
                sock,
                head,
                file,
                offset,
                len,
                padding,
            } => {
                let file_end = head.remaining() + len;
                let len = file_end + padding;
                let work = Work::SendFile {
                    head,
                    file,
                    offset,
                    file_end,
                };
                (Kind::SendFile, Some(sock), work, len)
            }
            Op::Read {
                file,
                offset,
                buf,
                at,
                len,
            } => {
                let work = Work::Read {
                    file,
                    offset,
                    buf,
                    at,
                };
                (Kind::Read, None, work, len)
            }
        };
        let (what, short) = match kind {
            Kind::Recv => ("short_recv", self.faults.short_recv),
            Kind::Send => ("short_send", self.faults.short_send),
            Kind::Read => ("short_read", self.faults.short_read),
            Kind::Accept | Kind::Connect | Kind::RecvMulti | Kind::SendFile => ("none", 0.0),
        };
        let limit = if self.strikes(what, short) {
            self.rng.cut(len)
        } else {
            len
        };
        SimOp {
            kind,
            sock,
            work,
            started: false,
            waits: false,
            len,
            limit,
            done: 0,
            floor_ns: 0,
        }
    }

    /// The receive that `key` is has ended; the one linked behind it begins, or is cancelled.
    pub(super) fn go_on_behind(&mut self, host: usize, key: OpKey, whole: bool) {
        let sock = self.hosts[host].ops.get(key).and_then(|(_, op)| op.sock);
        let Some(sock) = sock else { return };
        let socket = self.socket(sock);
        let Some(behind) = socket
            .behind
            .filter(|_| socket.lanes[Lane::Recv as usize] == Some(key))
        else {
            return;
        };
        let floor_ns = self.hosts[host]
            .ops
            .get(key)
            .map_or(0, |(_, op)| op.floor_ns);
        if let Some((_, op)) = self.hosts[host].ops.get(behind) {
            op.waits = false;
            op.floor_ns = floor_ns;
            op.started = !whole;
        }
        if whole {
            self.start(host, behind);
        } else {
            self.end(host, behind, -libc::ECANCELED);
        }
    }

    /// The kernel takes an operation from the submission queue.
    fn start(&mut self, host: usize, key: OpKey) {
        let Some((_, op)) = self.hosts[host].ops.get(key) else {
            return;
        };
        if op.started || op.waits {
            return;
        }
        op.started = true;
        let (kind, sock) = (op.kind, op.sock);
        self.hosts[host].stats.submitted += 1;
        if kind != Kind::Accept
            && let Some(errno) = self.forced(host, kind)
        {
            return self.end(host, key, -errno);
        }
        let p = self.faults.interrupted;
        if !matches!(kind, Kind::Connect | Kind::SendFile) && self.strikes("interrupted", p) {
            return self.end(host, key, -libc::EINTR);
        }
        match (kind, sock) {
            (Kind::Accept, Some(listener)) => self.accept(listener),
            (Kind::Read, _) => self.read(host, key),
            (Kind::Connect, _) => self.start_connect(host, key),
            _ => self.start_flow(host, key, kind),
        }
    }

    fn start_connect(&mut self, host: usize, key: OpKey) {
        let Some(SimOp {
            work: Work::Connect { addr },
            ..
        }) = self.live(host, key)
        else {
            return;
        };
        let addr = addr.clone();
        self.connect(host, key, &addr);
    }

    fn start_flow(&mut self, host: usize, key: OpKey, kind: Kind) {
        if kind == Kind::SendFile {
            self.file_sent(host, key);
        }
        let Some((conn, side)) = self.end_of(host, key) else {
            return;
        };
        match kind {
            // The kernel looks for a buffer before it looks at the socket.
            Kind::RecvMulti if self.hosts[host].group.is_empty() => {
                self.hosts[host].stats.no_buffers += 1;
                self.end(host, key, -libc::ENOBUFS);
            }
            Kind::Recv | Kind::RecvMulti => self.receive(conn, side),
            _ => self.send(conn, side),
        }
    }

    fn cancel_soon(&mut self, host: usize, key: OpKey) {
        let (p, most_ns) = (self.faults.late_cancel, self.faults.late_cancel_ns);
        let late_ns = if self.strikes("late_cancel", p) {
            self.rng.below(most_ns)
        } else {
            0
        };
        self.schedule_in(late_ns, Event::Cancel { host, key });
    }

    fn enter(&mut self, host: usize, park: Park) {
        self.check_link(host, "enter");
        self.hosts[host].stats.enters += 1;
        self.hosts[host].parked_until = None;
        self.hosts[host].lingers = false;
        let linger_ns = std::mem::take(&mut self.hosts[host].linger_ns);
        let woken = self.hosts[host].woken.swap(false, Ordering::AcqRel);
        while let Some(posted) = self.hosts[host].posted.pop_front() {
            match posted {
                Posted::Start(key) => self.start(host, key),
                Posted::Cancel(key) => self.cancel_soon(host, key),
            }
        }
        self.run_until(self.now_ns);
        let entries = self.cq_entries(host);
        let lingers = linger_ns > 0 && park != Park::No && !woken && self.hosts[host].may_linger();
        if !lingers {
            self.hosts[host].collect(entries);
        }
        let Park::Until(until_ns) = park else {
            return;
        };
        if woken || !self.hosts[host].collected.is_empty() {
            return;
        }
        let least_ns = lingers.then(|| self.now_ns + linger_ns);
        self.hosts[host].lingers = lingers;
        self.hosts[host].parked_until = until_ns.into_iter().chain(least_ns).min();
        let p = self.faults.spurious_wake;
        if self.strikes("spurious_wake", p) {
            let within_ns = self.rng.below(SPURIOUS_WITHIN_NS);
            self.schedule_in(within_ns, Event::Wake { host });
        }
    }
}

impl Driver for SimDriver {
    fn listen(&mut self, on: Listening) -> Result<(Sock, Addr), SocketError> {
        self.with(|world, host| match on {
            Listening::Bound(bound) => {
                let (addr, spec) = (bound.addr().clone(), SocketSpec::default());
                let listening = conn::Listening::new(DEFAULT_BACKLOG, true, Some(bound));
                world.listen(host, addr, listening, &spec)
            }
            Listening::Spec(spec) => {
                let listening = conn::Listening::new(spec.backlog, spec.reuse_port, None);
                world.listen(host, spec.addr, listening, &spec.socket)
            }
        })
    }

    fn socket(&mut self, _addr: &Addr, spec: &SocketSpec) -> Result<Sock, SocketError> {
        self.with(|world, host| world.fresh_socket(host, spec))
    }

    fn configure(
        &mut self,
        sock: Sock,
        _addr: &Addr,
        spec: &SocketSpec,
    ) -> Result<(), SocketError> {
        self.with(|world, host| {
            let socket = world.checked(host, sock, "configure");
            socket.spec = spec.clone();
            if let Role::Connected { conn, side } = socket.role {
                world.conns[conn].set_buffers(side, spec);
            }
        });
        Ok(())
    }

    fn local_addr(&self, sock: Sock) -> Option<Addr> {
        self.with(|world, host| world.checked(host, sock, "local_addr").local.clone())
    }

    fn submit(&mut self, token: u64, op: Op) -> Result<OpKey, Op> {
        self.with(|world, host| {
            if !world.hosts[host].ops.has_room(op.places()) {
                return Err(op);
            }
            let linked = matches!(op, Op::Recv { linked: true, .. });
            let place = world.admit(host, &op);
            let mut op = world.taken(op);
            op.waits = place.is_some_and(|place| place.behind);
            let (what, len) = (op.kind.name(), op.len);
            let key = world.hosts[host].ops.insert(token, op);
            if let Some(Place { sock, lane, behind }) = place {
                let socket = world.socket(sock);
                if behind {
                    socket.behind = Some(key);
                } else {
                    socket.lanes[lane as usize] = Some(key);
                }
                world.hosts[host].link_open = linked.then_some(sock);
            }
            world.hosts[host].posted.push_back(Posted::Start(key));
            world.note(Some(host), what, key.0, len as i64);
            Ok(key)
        })
    }

    fn cancel(&mut self, key: OpKey) {
        self.with(|world, host| {
            world.check_link(host, "cancel");
            world.note(Some(host), "cancel", key.0, 0);
            world.hosts[host].posted.push_back(Posted::Cancel(key));
        });
    }

    fn shutdown(&mut self, sock: Sock, both: bool) {
        self.with(|world, host| world.shutdown(host, sock, both));
    }

    fn close(&mut self, sock: Sock) {
        self.with(|world, host| world.close(host, sock));
    }

    fn linger(&mut self, least_ns: u64) -> bool {
        self.with(|world, host| world.hosts[host].linger_ns = least_ns);
        true
    }

    fn enter(&mut self, park: Park) -> io::Result<()> {
        self.with(|world, host| world.enter(host, park));
        Ok(())
    }

    fn ready(&mut self) -> bool {
        self.with(|world, host| world.hosts[host].is_ready())
    }

    fn next(&mut self) -> Option<Completion> {
        self.with(|world, host| {
            let done = world.hosts[host].collected.pop_front()?;
            if !done.more
                && let Some((_, op)) = world.hosts[host].ops.remove(done.key)
                && let Some(sock) = op.sock
            {
                world.socket(sock).release(done.key, op.lane());
            }
            Some(done)
        })
    }

    fn refill(&mut self, pool: &Pool) -> usize {
        self.with(|world, host| {
            let host = &mut world.hosts[host];
            let places = usize::from(host.spec.recv_buffers);
            while host.group.len() < places {
                let Some(lease) = pool.lease_receive(host.spec.recv_buffer_len) else {
                    break;
                };
                host.group.push_back(lease);
            }
            host.group.len()
        })
    }

    fn moved(&self, sock: Sock) -> Option<Moved> {
        self.with(
            |world, host| match world.checked(host, sock, "moved").role {
                Role::Connected { conn, side } => Some(Moved {
                    received: world.conns[conn].to(side).arrived(),
                    acknowledged: world.conns[conn].from(side).arrived(),
                    pending: world.conns[conn].from(side).is_pending(),
                }),
                _ => None,
            },
        )
    }

    fn is_resident(&self, file: &File, offset: u64, len: usize) -> Option<bool> {
        self.with(|world, _| {
            let cold = world.faults.cold;
            Some(world.disk.is_resident(file, offset, len, cold))
        })
    }

    fn file_state(&self, file: &File) -> Option<FileState> {
        FileState::of(file)
    }

    fn read_resident(&self, file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.with(|world, _| {
            let cold = world.faults.cold;
            world.disk.read_resident(file, offset, into, cold)
        })
    }

    fn now_ns(&self) -> u64 {
        self.with(|world, _| world.now_ns)
    }

    fn waker(&self) -> Waker {
        let woken = self.with(|world, host| Arc::clone(&world.hosts[host].woken));
        Waker::new(move || woken.store(true, Ordering::Release))
    }

    fn notify_fd(&self) -> Option<OwnedFd> {
        None
    }

    fn stats(&self) -> DriverStats {
        self.with(|world, host| world.hosts[host].stats)
    }
}

impl Drop for SimDriver {
    fn drop(&mut self) {
        // While a failed test unwinds, the world may be in any state: its report matters now.
        if std::thread::panicking() {
            return;
        }
        let left = self.with(|world, host| {
            world.hosts[host].gone = true;
            world.remove(host);
            let fresh = super::host::Host::new(world.hosts[host].spec);
            let left = std::mem::replace(&mut world.hosts[host], fresh);
            world.hosts[host].gone = true;
            world.hosts[host].stats = left.stats;
            left
        });
        // Outside the world's borrow: memory of an embedder may run code when it is dropped.
        drop(left);
    }
}
