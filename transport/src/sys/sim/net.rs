//! Sockets: opened, listening, connecting, accepted, shut down, closed. And the rules that the
//! engine must keep with them.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::sys::driver::{Op, OpKey, Payload, Sock};
use crate::sys::socket::{Addr, FileLimit, Listener, SocketError, SocketSpec, UnixAddr};

use super::conn::{Conn, End, Lane, Listening, Role, Side, Socket};
use super::faults::{Injury, Kind, When};
use super::host::{HostId, Work};
use super::queue::Event;
use super::world::World;

/// The first port that is given out.
pub(super) const FIRST_PORT: u16 = 32_768;
/// First socket number. No number is used twice, so a stale one matches no socket.
const FIRST_SOCK: i32 = 1_000_000;
/// Time after which the kernel aborts a connect without an answer (six retries).
const CONNECT_TIMEOUT_NS: u64 = 127_000_000_000;
/// Time after which a connect is retried that found the backlog full.
const CONNECT_RETRY_NS: u64 = 1_000_000_000;
/// How often it is.
const CONNECT_RETRIES: usize = 6;

/// The position of an operation on its socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) sock: Sock,
    pub(super) lane: Lane,
    /// Linked behind the receive that is in the lane.
    pub(super) behind: bool,
}

impl World {
    /// A socket the engine names. It must be this host's, and open.
    pub(super) fn checked(&mut self, host: HostId, sock: Sock, what: &str) -> &mut Socket {
        let index = sock.0.wrapping_sub(FIRST_SOCK) as usize;
        match self.sockets.get(index) {
            None => self.fail(format_args!("{what}: no such socket: {sock:?}")),
            Some(socket) if socket.host != host => self.fail(format_args!(
                "{what}: {sock:?} is host {}'s, not host {host}'s",
                socket.host
            )),
            Some(socket) if matches!(socket.role, Role::Closed) => {
                self.fail(format_args!("{what}: use of a closed socket: {sock:?}"))
            }
            Some(_) => &mut self.sockets[index],
        }
    }

    /// A socket that the network knows to exist.
    pub(super) fn socket(&mut self, sock: Sock) -> &mut Socket {
        &mut self.sockets[sock.0.wrapping_sub(FIRST_SOCK) as usize]
    }

    pub(super) fn open_socket(
        &mut self,
        host: HostId,
        role: Role,
        local: Option<Addr>,
        spec: SocketSpec,
    ) -> Sock {
        self.sockets.push(Socket {
            host,
            role,
            local,
            spec,
            lanes: [None; 3],
            behind: None,
        });
        self.hosts[host].open_sockets += 1;
        Sock(FIRST_SOCK + self.sockets.len() as i32 - 1)
    }

    pub(super) fn fresh_socket(
        &mut self,
        host: HostId,
        spec: &SocketSpec,
    ) -> Result<Sock, SocketError> {
        let p = self.faults.socket_error;
        if self.strikes("socket_error", p) {
            let limit = FileLimit::Process { limit: 1024 };
            return Err(SocketError::TooManyFiles(limit));
        }
        Ok(self.open_socket(host, Role::Fresh, None, spec.clone()))
    }

    pub(super) fn listen(
        &mut self,
        host: HostId,
        addr: Addr,
        listening: Listening,
        spec: &SocketSpec,
    ) -> Result<(Sock, Addr), SocketError> {
        let addr = match addr {
            Addr::Tcp(addr) if addr.port() == 0 => self.with_free_port(addr.ip()),
            addr => addr,
        };
        let taken = self.sockets.iter().any(|socket| {
            let shared = |other: &Listening| listening.shared && other.shared;
            match &socket.role {
                Role::Listening(other) => socket.local.as_ref() == Some(&addr) && !shared(other),
                _ => false,
            }
        });
        if taken {
            return Err(SocketError::InUse { addr });
        }
        let role = Role::Listening(listening);
        let sock = self.open_socket(host, role, Some(addr.clone()), spec.clone());
        Ok((sock, addr))
    }

    fn with_free_port(&mut self, ip: IpAddr) -> Addr {
        loop {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            let addr = Addr::Tcp(SocketAddr::new(ip, port));
            let taken = |socket: &Socket| {
                !matches!(socket.role, Role::Closed)
                    && socket.local.as_ref().and_then(Addr::port) == Some(port)
            };
            if !self.sockets.iter().any(taken) {
                return addr;
            }
        }
    }

    /// The second half of a linked receive must follow at once.
    pub(super) fn check_link(&self, host: HostId, what: &str) {
        if let Some(sock) = self.hosts[host].link_open {
            self.fail(format_args!(
                "{what} behind a linked receive on {sock:?}, where another receive is due"
            ));
        }
    }

    /// Checks what the engine promises about an operation it submits; its place.
    pub(super) fn admit(&mut self, host: HostId, op: &Op) -> Option<Place> {
        let linked_on = self.hosts[host].link_open.take();
        if linked_on.is_some()
            && !matches!(op, Op::Recv { sock, linked: false, .. } if Some(*sock) == linked_on)
        {
            self.hosts[host].link_open = linked_on;
            self.check_link(host, "another operation");
        }
        let behind = linked_on.is_some();
        let (sock, lane, kind) = match op {
            Op::Accept { listener } => (*listener, Lane::Open, Kind::Accept),
            Op::Connect { sock, .. } => (*sock, Lane::Open, Kind::Connect),
            Op::RecvMulti { sock } => (*sock, Lane::Recv, Kind::RecvMulti),
            Op::Recv { sock, .. } => (*sock, Lane::Recv, Kind::Recv),
            Op::Send { sock, .. } => (*sock, Lane::Send, Kind::Send),
            Op::SendFile { sock, .. } => (*sock, Lane::Send, Kind::SendFile),
            Op::Read { .. } => return None,
        };
        let socket = self.checked(host, sock, kind.name());
        let fits = match (kind, &socket.role) {
            (Kind::Accept, role) => matches!(role, Role::Listening(_)),
            (Kind::Connect, role) => matches!(role, Role::Fresh),
            (_, role) => {
                matches!(role, Role::Connected { .. })
                    && socket.lanes[Lane::Open as usize].is_none()
            }
        };
        let busy = socket.lanes[lane as usize];
        if !fits {
            self.fail(format_args!(
                "{} on a socket that is not ready for it",
                kind.name()
            ));
        }
        if let Some(other) = busy
            && !behind
        {
            let other = self.hosts[host].ops.get(other).map(|(_, op)| op.kind);
            let other = other.map_or("operation", Kind::name);
            self.fail(format_args!(
                "two operations of one kind in flight on {sock:?}: {} beside {other}",
                kind.name()
            ));
        }
        Some(Place { sock, lane, behind })
    }

    pub(super) fn connect(&mut self, host: HostId, key: OpKey, addr: &Addr) {
        let delay_ns = self.link_to(addr).delay_ns;
        let (refused, hang) = (self.faults.connect_refused, self.faults.connect_hang);
        let refuse = |errno| Event::Refused { host, key, errno };
        if self.strikes("connect_refused", refused) {
            self.schedule_in(2 * delay_ns, refuse(libc::ECONNREFUSED));
        } else if self.hosts[host].unplugged || self.strikes("connect_hang", hang) {
            self.schedule_in(CONNECT_TIMEOUT_NS, refuse(libc::ETIMEDOUT));
        } else {
            self.schedule_in(delay_ns, Event::Syn { host, key });
        }
    }

    pub(super) fn syn(&mut self, host: HostId, key: OpKey) {
        let Some(addr) = self.dialled(host, key) else {
            return;
        };
        let delay_ns = self.link_to(&addr).delay_ns;
        let mut found = self.listeners_of(&addr);
        if found.is_empty() {
            let errno = match addr {
                Addr::Unix(UnixAddr::Path(_)) => libc::ENOENT,
                _ => libc::ECONNREFUSED,
            };
            return self.schedule_in(delay_ns, Event::Refused { host, key, errno });
        }
        found.retain(|(_, owner)| !self.hosts[*owner].unplugged);
        let pick = self.rng.below(found.len() as u64) as usize;
        let Some((listener, _)) = found.get(pick).copied() else {
            let errno = libc::ETIMEDOUT;
            return self.schedule_in(CONNECT_TIMEOUT_NS, Event::Refused { host, key, errno });
        };
        if let Role::Listening(at) = &mut self.socket(listener).role
            && at.queue.len() + at.coming < at.backlog
        {
            at.coming += 1;
            let ack = Event::SynAck {
                host,
                key,
                listener,
            };
            return self.schedule_in(delay_ns, ack);
        }
        self.try_again(host, key);
    }

    /// The backlog is full: the request was dropped, and is repeated some times.
    fn try_again(&mut self, host: HostId, key: OpKey) {
        let Some(op) = self.live(host, key) else {
            return;
        };
        op.done += 1;
        let event = if op.done > CONNECT_RETRIES {
            let errno = libc::ETIMEDOUT;
            Event::Refused { host, key, errno }
        } else {
            Event::Syn { host, key }
        };
        self.schedule_in(CONNECT_RETRY_NS, event);
    }

    fn dialled(&mut self, host: HostId, key: OpKey) -> Option<Addr> {
        match &self.live(host, key)?.work {
            Work::Connect { addr } => Some(addr.clone()),
            _ => None,
        }
    }

    fn listeners_of(&self, addr: &Addr) -> Vec<(Sock, HostId)> {
        let all = self.sockets.iter().enumerate();
        all.filter(|(_, socket)| {
            matches!(socket.role, Role::Listening(_))
                && socket
                    .local
                    .as_ref()
                    .is_some_and(|local| covers(local, addr))
        })
        .map(|(index, socket)| (Sock(FIRST_SOCK + index as i32), socket.host))
        .collect()
    }

    pub(super) fn refused(&mut self, host: HostId, key: OpKey, errno: i32) {
        self.end(host, key, -errno);
    }

    pub(super) fn syn_ack(&mut self, host: HostId, key: OpKey, listener: Sock) {
        let Some(addr) = self.dialled(host, key) else {
            if let Role::Listening(at) = &mut self.socket(listener).role {
                at.coming -= 1;
            }
            return;
        };
        let Some(sock) = self.live(host, key).and_then(|op| op.sock) else {
            return;
        };
        let number = self.conns.len();
        let local = match &addr {
            Addr::Tcp(peer) => self.with_free_port(peer.ip()),
            Addr::Unix(_) => Addr::Unix(UnixAddr::Unnamed),
        };
        let link = self.link_to(&addr);
        let (server, delay_ns) = (self.socket(listener).host, link.delay_ns);
        let ends = [
            End::new(Some(sock), Some(host), local.clone()),
            End::new(None, Some(server), addr),
        ];
        let scripts = self
            .scripts
            .iter()
            .filter(|script| script.connection == number);
        let mut conn = Conn::new(ends, link, scripts.copied().collect());
        conn.set_buffers(Side::Client, &self.socket(sock).spec);
        conn.set_buffers(Side::Server, &self.socket(listener).spec);
        conn.vanished = self.hosts[host].unplugged || self.hosts[server].unplugged;
        self.conns.push(conn);
        let socket = self.socket(sock);
        socket.local = Some(local);
        socket.role = Role::Connected {
            conn: number,
            side: Side::Client,
        };
        self.note(Some(host), "connected", number as u64, 0);
        self.schedule_in(
            delay_ns,
            Event::Established {
                conn: number,
                listener,
            },
        );
        self.schedule_scripts(number);
        self.end(host, key, 0);
        // An injury before the first byte.
        self.transmit(number, Side::Client);
        self.transmit(number, Side::Server);
    }

    fn schedule_scripts(&mut self, conn: usize) {
        let timed: Vec<_> = self
            .scripts
            .iter()
            .filter(|script| script.connection == conn)
            .filter_map(|script| match script.when {
                When::Time(at_ns) => Some((at_ns, script.injury)),
                When::Byte(..) => None,
            })
            .collect();
        for (at_ns, injury) in timed {
            self.schedule(at_ns, Event::Injure { conn, injury });
        }
    }

    pub(super) fn established(&mut self, conn: usize, listener: Sock) {
        if let Role::Listening(at) = &mut self.socket(listener).role {
            at.coming -= 1;
            at.queue.push_back(conn);
            self.accept(listener);
        } else {
            self.conns[conn].end(Side::Server).closed = true;
            self.injure(conn, Injury::Reset);
        }
    }

    /// Gives waiting connections to the listener's accept.
    pub(super) fn accept(&mut self, listener: Sock) {
        while let Some((host, key)) = self.live_in(listener, Lane::Open) {
            let Role::Listening(at) = &mut self.socket(listener).role else {
                return;
            };
            let Some(&conn) = at.queue.front() else {
                return;
            };
            let p = self.faults.accept_error;
            let forced = self.forced(host, Kind::Accept);
            let failed = forced.or_else(|| self.strikes("accept_error", p).then_some(libc::EMFILE));
            if let Some(errno) = failed {
                return self.end(host, key, -errno);
            }
            if let Role::Listening(at) = &mut self.socket(listener).role {
                at.queue.pop_front();
            }
            let payload = self.accepted(host, listener, conn);
            let p = self.faults.multishot_end;
            let more = !self.strikes("multishot_end", p);
            self.post(host, key, 0, more, payload);
        }
    }

    fn accepted(&mut self, host: HostId, listener: Sock, conn: usize) -> Payload {
        let end = self.conns[conn].end(Side::Server);
        if end.dead {
            // Reset while it waited: the kernel cannot name the peer any more.
            end.closed = true;
            return Payload::None;
        }
        let (local, spec) = (end.local.clone(), self.socket(listener).spec.clone());
        let side = Side::Server;
        let sock = self.open_socket(host, Role::Connected { conn, side }, Some(local), spec);
        self.conns[conn].end(side).sock = Some(sock);
        let peer = self.conns[conn].end(Side::Client).local.clone();
        self.note(Some(host), "accepted", conn as u64, 0);
        Payload::Accepted { sock, peer }
    }

    pub(super) fn shutdown(&mut self, host: HostId, sock: Sock, both: bool) {
        let Role::Connected { conn, side } = self.checked(host, sock, "shutdown").role else {
            return;
        };
        let at = &mut self.conns[conn];
        at.end(side).mute = true;
        at.end(side).deaf |= both;
        at.from(side).finish();
        self.note(Some(host), "shutdown", conn as u64, i64::from(both));
        self.transmit(conn, side);
        self.progress(conn, side);
    }

    /// The engine closes a socket.
    pub(super) fn close(&mut self, host: HostId, sock: Sock) {
        let mut outstanding = self.checked(host, sock, "close").outstanding();
        if let Some(key) = outstanding.next() {
            let kind = self.hosts[host].ops.get(key).map(|(_, op)| op.kind);
            let kind = kind.map_or("operation", Kind::name);
            self.fail(format_args!(
                "{sock:?} closed while its {kind} is outstanding"
            ));
        }
        self.close_now(sock);
    }

    fn close_now(&mut self, sock: Sock) {
        let socket = self.socket(sock);
        let (host, role) = (
            socket.host,
            std::mem::replace(&mut socket.role, Role::Closed),
        );
        self.hosts[host].open_sockets -= 1;
        match role {
            Role::Connected { conn, side } => self.close_end(conn, side),
            Role::Listening(at) => {
                for conn in at.queue {
                    self.conns[conn].end(Side::Server).closed = true;
                    self.injure(conn, Injury::Reset);
                }
            }
            Role::Fresh | Role::Closed => {}
        }
    }

    fn close_end(&mut self, conn: usize, side: Side) {
        let at = &mut self.conns[conn];
        at.end(side).closed = true;
        at.end(side).sock = None;
        let (unread, host) = (at.to(side).readable(), at.end(side).host);
        self.note(host, "closed", conn as u64, unread as i64);
        if unread > 0 {
            // As the kernel does: the peer must learn that not everything was taken.
            self.injure(conn, Injury::Reset);
        } else {
            self.conns[conn].from(side).finish();
            self.transmit(conn, side);
        }
        let at = &mut self.conns[conn];
        if at.ends.iter().all(|end| end.closed) {
            at.to(Side::Client).clear();
            at.to(Side::Server).clear();
        }
    }

    /// The driver of a host is dropped: what its process held is closed.
    pub(super) fn remove(&mut self, host: HostId) {
        for index in 0..self.sockets.len() {
            let socket = &mut self.sockets[index];
            if socket.host == host && !matches!(socket.role, Role::Closed) {
                socket.lanes = [None; 3];
                socket.behind = None;
                self.close_now(Sock(FIRST_SOCK + index as i32));
            }
        }
    }

    pub(super) fn unplug(&mut self, host: HostId) {
        self.hosts[host].unplugged = true;
        self.note(Some(host), "unplugged", 0, 0);
        for conn in &mut self.conns {
            conn.vanished |= conn.ends.iter().any(|end| end.host == Some(host));
        }
    }
}

/// Whether a listener at `local` gets connections to `wanted`.
fn covers(local: &Addr, wanted: &Addr) -> bool {
    match (local, wanted) {
        (Addr::Tcp(local), Addr::Tcp(wanted)) if local.port() == wanted.port() => {
            local == wanted
                || local.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                || (local.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED) && wanted.is_ipv4())
        }
        _ => local == wanted,
    }
}

impl Listening {
    pub(super) fn new(backlog: u32, shared: bool, bound: Option<Listener>) -> Self {
        Self {
            queue: VecDeque::new(),
            coming: 0,
            backlog: backlog.max(1) as usize,
            shared,
            _bound: bound,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
