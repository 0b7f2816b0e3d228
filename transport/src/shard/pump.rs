//! The loop of a shard: the only part that knows the driver.
//!
//! One [`turn`](Pump::turn): enter the kernel (submitting what the last turn posted) → collect
//! completions and dispatch them → inbox → timers → post sends and receives. Handlers run inside,
//! inline. [`park`](super::park) decides how a turn enters the kernel.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::client::Connection;
use crate::conn::compose::{Outgoing, ReadOrder};
use crate::conn::rx::{Next, Rx};
use crate::conn::sink::Sink;
use crate::conn::{Conn, State};
use crate::error::{CloseReason, ConnectError, RequestError};
use crate::server::{HandlerFactory, RpcHandler, ServerBootstrap};
use crate::sys::driver::{Completion, Driver, Op, OpKey, Park, Payload, Sock, is_passing};
use crate::sys::socket::Addr;

use super::command::{Ask, Command, ConnectOrder, ListenOrder, ListenerId, Waiter};
use super::handle::Turn;
use super::link::{Link, Receiving};
use super::local::{ConnKey, ShardLocal, TimerFor};

/// Commands taken from the inbox per turn, so that completions are not kept waiting.
const INBOX_BUDGET: usize = 1024;

/// How often those who wait for memory look again.
const MEMORY_RETRY_NS: u64 = 1_000_000;

/// What a completion belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Listener(u32),
    Connect(ConnKey),
    Receive(ConnKey),
    Send(ConnKey),
    Read(ConnKey),
}

impl For {
    fn token(self) -> u64 {
        let (kind, slot, low) = match self {
            For::Listener(at) => (0, at, 0),
            For::Connect(key) => (1, key.slot, key.generation),
            For::Receive(key) => (2, key.slot, key.generation),
            For::Send(key) => (3, key.slot, key.generation),
            For::Read(key) => (4, key.slot, key.generation),
        };
        kind << 56 | u64::from(slot) << 32 | u64::from(low)
    }

    fn of(token: u64) -> Self {
        let slot = (token >> 32 & 0xff_ffff) as u32;
        let key = ConnKey {
            slot,
            generation: token as u32,
        };
        match token >> 56 {
            0 => For::Listener(slot),
            1 => For::Connect(key),
            2 => For::Receive(key),
            3 => For::Send(key),
            _ => For::Read(key),
        }
    }
}

struct ListenerState {
    id: ListenerId,
    sock: Sock,
    op: Option<OpKey>,
    handlers: Arc<HandlerFactory>,
    bootstraps: Arc<[Arc<dyn ServerBootstrap>]>,
    closing: bool,
}

/// The loop's state.
pub(crate) struct Pump<D> {
    pub(crate) driver: D,
    pub(crate) local: Rc<ShardLocal>,
    links: Vec<Option<Link>>,
    listeners: Vec<Option<ListenerState>>,
    handlers: HashMap<usize, (Arc<HandlerFactory>, Rc<dyn RpcHandler>)>,
    reads: Vec<ReadOrder>,
    /// Connections whose receive ended for want of buffers, or whose parse for want of memory.
    thirsty: Vec<ConnKey>,
    /// Connections whose parse goes on next turn.
    backlog: Vec<ConnKey>,
    drained: Vec<oneshot::Sender<()>>,
    pub(super) stopping: bool,
    pub(super) publish_due_ns: u64,
}

impl<D: Driver> Pump<D> {
    pub(crate) fn new(driver: D, local: Rc<ShardLocal>) -> Self {
        Self {
            driver,
            local,
            links: Vec::new(),
            listeners: Vec::new(),
            handlers: HashMap::new(),
            reads: Vec::new(),
            thirsty: Vec::new(),
            backlog: Vec::new(),
            drained: Vec::new(),
            stopping: false,
            publish_due_ns: 0,
        }
    }

    /// One round; true where something happened.
    pub(crate) fn turn(&mut self, park: Park) -> io::Result<bool> {
        self.driver.enter(park)?;
        self.local.set_now_ns(self.driver.now_ns());
        let _turn = Turn::of(&self.local);
        let mut worked = false;
        let backlog = self.backlog.len();
        while let Some(done) = self.driver.next() {
            worked = true;
            self.complete(done);
        }
        if backlog > 0 {
            worked = true;
            self.work_off(backlog);
        }
        worked |= self.take_commands();
        while let Some(what) = self.local.pop_due_timer() {
            worked = true;
            self.local.metrics.timers_fired.increment();
            self.timer(what);
        }
        if !self.thirsty.is_empty() || self.local.has_hungry() {
            self.quench();
        }
        self.driver.refill(&self.local.pool);
        while let Some(key) = self.local.pop_dirty() {
            worked = true;
            self.service(key);
        }
        if !self.drained.is_empty() && self.local.conn_count() == 0 {
            for done in self.drained.drain(..) {
                let _ = done.send(());
            }
        }
        Ok(worked)
    }

    /// Copies what others count into the shard's metrics.
    pub(crate) fn publish_metrics(&self) {
        let metrics = &self.local.metrics;
        let driver = self.driver.stats();
        let pool = self.local.pool.stats();
        let inbox = self.local.handle.inbox().stats();
        let set = |counter: &crate::metrics::Counter, value: u64| {
            counter.add(value.wrapping_sub(counter.get()));
        };
        set(&metrics.enters, driver.enters);
        set(&metrics.cq_overflows, driver.cq_overflows);
        set(&metrics.enobufs, driver.no_buffers);
        metrics.pool_bytes_used.set(pool.leased_bytes as u64);
        metrics
            .pool_bytes_high_water
            .set(pool.high_water_bytes as u64);
        metrics.pool_bytes_budget.set(pool.budget_bytes as u64);
        set(&metrics.pool_misses, pool.fresh);
        set(&metrics.pool_exhausted, pool.exhausted);
        set(&metrics.inbox_messages, inbox.pushed);
        set(&metrics.inbox_full, inbox.full);
        set(&metrics.wakeups, inbox.wakes);
        metrics.inbox_depth_max.raise_to(inbox.depth_max);
    }

    fn take_commands(&mut self) -> bool {
        let mut worked = false;
        if !self.local.letters.borrow().is_empty() {
            let letters = std::mem::take(&mut *self.local.letters.borrow_mut());
            for (to, command) in letters {
                to.post_surely(command);
            }
        }
        if self.local.errands.borrow().is_empty() && self.local.handle.inbox().is_empty() {
            return false;
        }
        for _ in 0..INBOX_BUDGET {
            let errand = self.local.errands.borrow_mut().pop_front();
            let Some(command) = errand.or_else(|| self.local.handle.inbox().pop()) else {
                break;
            };
            worked = true;
            self.command(command);
        }
        worked
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Connect(order) => self.connect(*order),
            Command::Listen(order) => self.listen(*order),
            Command::Unlisten(id) => self.unlisten(|listener| listener.id == id),
            Command::Ask {
                key,
                ask,
                timeout,
                waiter,
            } => {
                let Some(conn) = self.local.conn(key) else {
                    let _ = waiter.done.send(Err(RequestError::NotConnected));
                    return;
                };
                ask_on(&conn, ask, timeout, waiter);
            }
            Command::OneWay { key, body } => {
                let sent = self
                    .local
                    .conn(key)
                    .map(|conn| conn.send_one_way(crate::conn::RpcBody::Shared(body)));
                if let Some(Err(error)) = sent {
                    tracing::warn!(target: "ringrail::client", %error, "one-way message dropped");
                }
            }
            Command::Stream {
                key,
                name,
                offset,
                credit,
                timeout,
                feed,
                begun,
            } => {
                let Some(conn) = self.local.conn(key) else {
                    // Whoever asked may have gone too.
                    let _ = begun.send(Err(RequestError::NotConnected));
                    return;
                };
                let sink = || Sink::Stream(feed);
                let opened = conn.open_stream(&name, offset, credit, timeout, sink);
                let id = opened.as_ref().ok().copied();
                if let (Err(_), Some(id)) = (begun.send(opened), id) {
                    conn.cancel(id);
                }
            }
            Command::Answer {
                key,
                id,
                deadline_ns,
                answer,
            } => {
                if let Some(conn) = self.local.conn(key) {
                    conn.deferred_answer(id, deadline_ns, answer);
                }
            }
            Command::Grant { key, id, bytes } => {
                if let Some(conn) = self.local.conn(key) {
                    conn.grant_stream(id, bytes);
                }
            }
            Command::Cancel { key, id } => {
                if let Some(conn) = self.local.conn(key) {
                    conn.cancel(id);
                }
            }
            Command::Close { key } => {
                if let Some(conn) = self.local.conn(key) {
                    conn.close_after_flush(CloseReason::Local);
                }
            }
            Command::Run(run) => {
                let handle = self.local.handle.clone();
                // Whoever posted it finds that nothing came back; the shard goes on.
                let ran = catch_unwind(AssertUnwindSafe(|| run(&handle)));
                if ran.is_err() {
                    self.local.metrics.handler_panics.increment();
                }
            }
            Command::Drain { done } => self.drain(done),
            Command::Stop => self.stopping = true,
        }
    }

    fn drain(&mut self, done: oneshot::Sender<()>) {
        self.unlisten(|_| true);
        self.local.draining.set(true);
        for conn in self.local.all_conns() {
            match conn.state() {
                State::Open => conn.drain("this side is shutting down"),
                State::Opening => conn.close(CloseReason::Shutdown),
                State::Flushing | State::Closed => {}
            }
        }
        self.drained.push(done);
    }

    fn timer(&mut self, what: TimerFor) {
        match what {
            TimerFor::Calls(key) => {
                if let Some(conn) = self.local.conn(key) {
                    conn.on_call_timer();
                }
            }
            TimerFor::Opening(key) => {
                if let Some(conn) = self.local.conn(key) {
                    conn.on_opening_timer();
                }
            }
            TimerFor::Silence(key) => {
                if let Some(conn) = self.local.conn(key) {
                    conn.on_silence_timer();
                }
            }
            TimerFor::Drain(key) => {
                if let Some(conn) = self.local.conn(key) {
                    conn.on_end_timer();
                }
            }
        }
    }

    /// The handler of a context on this shard, made on first use.
    fn handler_of(&mut self, factory: &Arc<HandlerFactory>) -> Rc<dyn RpcHandler> {
        let address = Arc::as_ptr(factory).cast::<()>() as usize;
        let (_, handler) = self
            .handlers
            .entry(address)
            .or_insert_with(|| (Arc::clone(factory), factory()));
        Rc::clone(handler)
    }

    fn listen(&mut self, order: ListenOrder) {
        let ListenOrder {
            id,
            on,
            handlers,
            bootstraps,
            done,
        } = order;
        let listened = self.driver.listen(on);
        let answer = listened.map(|(sock, addr)| {
            let closing = false;
            let state = ListenerState {
                id,
                sock,
                op: None,
                handlers,
                bootstraps,
                closing,
            };
            let at = self
                .listeners
                .iter()
                .position(Option::is_none)
                .unwrap_or_else(|| {
                    self.listeners.push(None);
                    self.listeners.len() - 1
                });
            self.listeners[at] = Some(state);
            self.accept(at);
            addr
        });
        let _ = done.send(answer);
    }

    fn accept(&mut self, at: usize) {
        let Some(listener) = self.listeners[at].as_mut() else {
            return;
        };
        let op = Op::Accept {
            listener: listener.sock,
        };
        listener.op = self
            .driver
            .submit(For::Listener(at as u32).token(), op)
            .ok();
    }

    fn unlisten(&mut self, which: impl Fn(&ListenerState) -> bool) {
        for at in 0..self.listeners.len() {
            let Some(listener) = self.listeners[at].as_mut().filter(|state| which(state)) else {
                continue;
            };
            listener.closing = true;
            match listener.op {
                Some(op) => self.driver.cancel(op),
                None => {
                    self.driver.close(listener.sock);
                    self.listeners[at] = None;
                }
            }
        }
    }

    fn accepted(&mut self, at: usize, done: Completion) {
        let Some(listener) = self.listeners.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        if !done.more {
            listener.op = None;
        }
        let (closing, sock) = (listener.closing, listener.sock);
        match done.payload {
            Payload::Accepted { sock, peer } if !closing => self.adopt(at, sock, peer),
            Payload::Accepted { sock, .. } => self.driver.close(sock),
            _ => {
                if let Err(error) = done.outcome()
                    && !closing
                {
                    tracing::warn!(
                        target: "ringrail::server", %error,
                        "cannot accept: at the limit of descriptors raise `ulimit -n`"
                    );
                }
            }
        }
        if done.more {
            return;
        }
        if closing {
            self.driver.close(sock);
            self.listeners[at] = None;
        } else {
            self.accept(at);
        }
    }

    fn adopt(&mut self, at: usize, sock: Sock, peer: Addr) {
        let peer = Arc::new(peer);
        let Some(listener) = self.listeners[at].as_ref() else {
            return;
        };
        let (factory, bootstraps) = (
            Arc::clone(&listener.handlers),
            Arc::clone(&listener.bootstraps),
        );
        self.local.metrics.connections_accepted.increment();
        let handler = self.handler_of(&factory);
        if let Err(error) = self.driver.configure(sock, &peer, &self.local.conf.socket) {
            tracing::warn!(target: "ringrail::server", %peer, %error, "socket options refused");
        }
        let local = Rc::clone(&self.local);
        let made = self
            .local
            .add_conn(|key| Conn::new(key, peer.clone(), false, &local, handler, None));
        let Some(conn) = made else {
            self.local.metrics.connections_refused.increment();
            tracing::warn!(
                target: "ringrail::server", %peer, limit = self.local.conf.max_connections,
                "connection refused: the shard has as many as ringrail.transport.maxConnections allows"
            );
            self.driver.close(sock);
            return;
        };
        for bootstrap in bootstraps.iter() {
            let connection = Connection::new(Rc::clone(&conn));
            conn.set_handler(bootstrap.bootstrap(&connection, conn.handler()));
        }
        self.link(&conn, sock);
        conn.begin_handshake();
        self.post_receive(conn.key);
    }

    fn link(&mut self, conn: &Rc<Conn>, sock: Sock) {
        let slot = conn.key.slot as usize;
        if self.links.len() <= slot {
            self.links.resize_with(slot + 1, || None);
        }
        self.links[slot] = Some(Link::new(Rc::clone(conn), sock));
    }

    fn link_of(&mut self, key: ConnKey) -> Option<&mut Link> {
        self.links
            .get_mut(key.slot as usize)?
            .as_mut()
            .filter(|link| link.conn.key == key)
    }

    fn connect(&mut self, order: ConnectOrder) {
        let ConnectOrder {
            addr,
            handlers,
            opened,
        } = order;
        if self.stopping || self.local.draining.get() {
            let _ = opened.send(Err(ConnectError::Stopped));
            return;
        }
        let handler = self.handler_of(&handlers);
        let sock = match self.driver.socket(&addr, &self.local.conf.socket) {
            Ok(sock) => sock,
            Err(error) => {
                let _ = opened.send(Err(ConnectError::Io {
                    peer: Arc::new(addr),
                    detail: error.to_string(),
                }));
                return;
            }
        };
        let local = Rc::clone(&self.local);
        let mut opened = Some(opened);
        let made = self.local.add_conn(|key| {
            Conn::new(
                key,
                Arc::new(addr.clone()),
                true,
                &local,
                handler,
                opened.take(),
            )
        });
        let Some(conn) = made else {
            self.driver.close(sock);
            let limit = self.local.conf.max_connections as u64;
            if let Some(opened) = opened {
                let key = "ringrail.transport.maxConnections";
                let what = "the shard's table of connections";
                let _ = opened.send(Err(ConnectError::Busy { what, limit, key }));
            }
            return;
        };
        self.link(&conn, sock);
        conn.arm_opening_timer(self.local.conf.connect_timeout);
        let op = Op::Connect { sock, addr };
        match self.driver.submit(For::Connect(conn.key).token(), op) {
            Ok(op) => {
                if let Some(link) = self.link_of(conn.key) {
                    link.connect = Some(op);
                }
            }
            Err(_) => conn.close(CloseReason::Limit {
                what: "the ring's table of operations",
                limit: 0,
                key: "ringrail.transport.maxConnections",
            }),
        }
    }

    fn complete(&mut self, done: Completion) {
        match For::of(done.token) {
            For::Listener(at) => self.accepted(at as usize, done),
            For::Connect(key) => self.connected(key, done),
            For::Receive(key) => self.received(key, done),
            For::Send(key) => self.sent(key, done),
            For::Read(key) => self.read(key, done),
        }
    }

    fn connected(&mut self, key: ConnKey, done: Completion) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        link.connect = None;
        let conn = Rc::clone(&link.conn);
        match done.outcome() {
            Ok(_) if conn.state() == State::Opening => {
                conn.begin_handshake();
                self.post_receive(key);
            }
            Ok(_) => conn.mark_dirty(),
            Err(error) => {
                conn.close(CloseReason::Io(error));
                conn.mark_dirty();
            }
        }
    }

    fn received(&mut self, key: ConnKey, done: Completion) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let conn = Rc::clone(&link.conn);
        let outcome = done.outcome();
        let of_header = matches!(link.recv, Some((_, Receiving::Header)));
        if !done.more {
            let header = link.recv_header.take();
            link.recv = header.map(|op| (op, Receiving::Header));
        }
        if conn.state() == State::Closed {
            conn.mark_dirty();
            return;
        }
        let had_yielded = link.rx.has_yielded();
        let parsed = match (done.payload, outcome) {
            (Payload::Received(data), Ok(count)) if count > 0 => {
                conn.note_received();
                conn.local.metrics.bytes_in.add(count as u64);
                conn.local.metrics.bytes_in_multishot.add(count as u64);
                link.rx.received(&conn, data)
            }
            (Payload::Buffer(buf), Ok(count)) if count > 0 => {
                conn.note_received();
                conn.local.metrics.bytes_in.add(count as u64);
                link.rx.filled(&conn, buf, count)
            }
            // The body before it came short: its buffer is what is to be filled first.
            (Payload::Buffer(_), Err(error)) if of_header && is_passing(&error) => Ok(()),
            (Payload::Buffer(buf), Err(error)) if is_passing(&error) => {
                link.rx.filled(&conn, buf, 0)
            }
            (_, Ok(_)) if done.more => Ok(()),
            (_, Ok(_)) => Err(Box::new(CloseReason::Peer)),
            (_, Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.thirsty.push(key);
                return;
            }
            (_, Err(error)) if is_passing(&error) => Ok(()),
            (_, Err(error)) => Err(Box::new(CloseReason::Io(error))),
        };
        if conn.state() == State::Flushing
            && matches!(&parsed, Err(reason) if matches!(**reason, CloseReason::Peer))
        {
            link.peer_ended = true;
            return conn.mark_dirty();
        }
        if !had_yielded && link.rx.has_yielded() {
            self.backlog.push(key);
        }
        if let Err(reason) = parsed {
            conn.fail(*reason);
            return;
        }
        self.post_receive(key);
    }

    /// Goes on with the parses that the turn before broke off.
    fn work_off(&mut self, count: usize) {
        let keys: Vec<ConnKey> = self.backlog.drain(..count).collect();
        for key in keys {
            self.resume(key);
        }
    }

    /// Posts the receive that fits the connection's state, or has a multishot end that does not.
    fn post_receive(&mut self, key: ConnKey) {
        let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
            return;
        };
        let state = link.conn.state();
        if link.conn.key != key || state == State::Closed || link.peer_ended {
            return;
        }
        if state == State::Flushing {
            // Whatever comes now is for nobody.
            link.rx = Rx::default();
        }
        let conn = &link.conn;
        if let Some((op, receiving)) = &mut link.recv {
            if let Receiving::Multi { cancelled } = receiving
                && !*cancelled
                && (link.rx.is_stuck() || link.rx.wants_exact(conn))
            {
                *cancelled = true;
                self.driver.cancel(*op);
            }
            if link.rx.is_starved() {
                self.thirsty.push(key);
            }
            return;
        }
        let mut header = None;
        let (op, receiving) = match link.rx.next(conn) {
            Next::Nothing => {
                if link.rx.is_starved() {
                    self.thirsty.push(key);
                }
                return;
            }
            Next::Multi => (
                Op::RecvMulti { sock: link.sock },
                Receiving::Multi { cancelled: false },
            ),
            Next::Fill {
                buf,
                at,
                len,
                header: behind,
            } => {
                header = behind;
                let linked = header.is_some();
                (
                    Op::Recv {
                        sock: link.sock,
                        buf,
                        at,
                        len,
                        linked,
                    },
                    Receiving::Fill,
                )
            }
        };
        self.local.metrics.recvs.increment();
        match self.driver.submit(For::Receive(key).token(), op) {
            Ok(op) => link.recv = Some((op, receiving)),
            Err(_) => return conn.close(ring_full()),
        }
        let Some(buf) = header else { return };
        let len = ringrail_codec::native::HEADER_LEN;
        let op = Op::Recv {
            sock: link.sock,
            buf,
            at: 0,
            len,
            linked: false,
        };
        self.local.metrics.recvs.increment();
        match self.driver.submit(For::Receive(key).token(), op) {
            Ok(op) => {
                link.recv_header = Some(op);
                link.rx.header_posted();
            }
            Err(_) => conn.close(ring_full()),
        }
    }

    /// Connections that waited for memory or receive buffers try again.
    fn quench(&mut self) {
        while let Some((key, call)) = self.local.pop_hungry() {
            let Some(conn) = self.local.conn(key) else {
                continue;
            };
            if !conn.try_grant_chunk(call) {
                self.local.unpop_hungry(key, call);
                break;
            }
        }
        for key in self.local.take_parched() {
            if let Some(conn) = self.local.conn(key) {
                conn.mark_dirty();
            }
        }
        self.driver.refill(&self.local.pool);
        let mut thirsty = std::mem::take(&mut self.thirsty);
        thirsty.sort_unstable_by_key(|key| (key.slot, key.generation));
        thirsty.dedup();
        for key in thirsty {
            self.resume(key);
        }
    }

    fn resume(&mut self, key: ConnKey) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let conn = Rc::clone(&link.conn);
        let waits = link.rx.is_stuck() || link.rx.has_yielded() || conn.can_serve_held();
        if waits && let Err(reason) = link.rx.resume(&conn) {
            conn.fail(*reason);
            return;
        }
        if link.rx.has_yielded() && !self.backlog.contains(&key) {
            self.backlog.push(key);
        }
        self.post_receive(key);
    }

    /// Posts what a connection has to send; takes it down where it is over.
    fn service(&mut self, key: ConnKey) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let conn = Rc::clone(&link.conn);
        conn.clear_dirty();
        conn.finish_drain();
        if conn.state() == State::Flushing && link.connect.is_some() {
            conn.close(CloseReason::Local);
        }
        if conn.state() == State::Closed {
            return self.take_down(key);
        }
        if link.connect.is_some() {
            return;
        }
        if link.send.is_none() {
            self.post_send(key, &conn);
        }
        if conn.state() == State::Flushing && conn.is_flushed() {
            return self.linger(key, &conn);
        }
        let link = self.link_of(key);
        let unclogged = link.is_some_and(|link| link.rx.is_clogged()) && !conn.is_blocked();
        if unclogged || conn.can_serve_held() {
            return self.resume(key);
        }
        self.post_receive(key);
    }

    /// Nothing is left to be sent: once it has gone, the peer is told that it was all, and the
    /// connection waits for the peer's own end.
    fn linger(&mut self, key: ConnKey, conn: &Rc<Conn>) {
        let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
            return;
        };
        if link.send.is_none() {
            if link.peer_ended {
                conn.close(CloseReason::Local);
                return self.take_down(key);
            }
            if !std::mem::replace(&mut link.muted, true) {
                self.driver.shutdown(link.sock, false);
            }
        }
        self.post_receive(key);
    }

    fn post_send(&mut self, key: ConnKey, conn: &Rc<Conn>) {
        let outgoing = conn.compose(&self.driver, &mut self.reads);
        self.post_reads(key);
        let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
            return;
        };
        let op = match outgoing {
            Outgoing::Nothing => return,
            Outgoing::Gather(gather) => Op::Send {
                sock: link.sock,
                gather,
                more: false,
            },
            Outgoing::File {
                head,
                range,
                padding,
            } => {
                link.file_send_len = Some(head.remaining() + range.len + padding);
                let (offset, len) = (range.offset, range.len);
                Op::SendFile {
                    sock: link.sock,
                    head,
                    file: range.file,
                    offset,
                    len,
                    padding,
                }
            }
        };
        self.local.metrics.sends.increment();
        match self.driver.submit(For::Send(key).token(), op) {
            Ok(op) => link.send = Some(op),
            Err(_) => conn.close(ring_full()),
        }
    }

    fn post_reads(&mut self, key: ConnKey) {
        for order in std::mem::take(&mut self.reads) {
            let ReadOrder {
                transfer,
                range,
                into,
            } = order;
            let (file, offset, len) = (range.file, range.offset, range.len);
            let op = Op::Read {
                file,
                offset,
                buf: into,
                at: 0,
                len,
            };
            let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
                return;
            };
            match self.driver.submit(For::Read(key).token(), op) {
                Ok(op) => link.reads.push((op, transfer)),
                Err(_) => link.conn.close(ring_full()),
            }
        }
    }

    fn sent(&mut self, key: ConnKey, done: Completion) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        link.send = None;
        let file_len = link.file_send_len.take();
        let conn = Rc::clone(&link.conn);
        let outcome = done.outcome();
        let Payload::Gather(mut gather) = done.payload else {
            return;
        };
        if conn.state() == State::Closed {
            conn.mark_dirty();
            return;
        }
        match outcome {
            Ok(count) => {
                conn.local.metrics.bytes_out.add(count as u64);
                if let Some(expected) = file_len {
                    return self.file_sent(key, &conn, gather, count, expected);
                }
                gather.advance(count.min(gather.remaining()));
                if gather.remaining() > 0 {
                    return self.continue_send(key, &conn, gather);
                }
                conn.gather_sent(gather);
            }
            // A file that was being sent cannot be continued: nobody knows how far it came.
            Err(error) if is_passing(&error) && file_len.is_none() => {
                return self.continue_send(key, &conn, gather);
            }
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                conn.close(CloseReason::FileShortened);
                return;
            }
            Err(error) => {
                conn.fail(CloseReason::Io(error));
                return;
            }
        }
        self.service(key);
    }

    /// The rest of a short send.
    fn continue_send(&mut self, key: ConnKey, conn: &Rc<Conn>, gather: crate::buf::Gather) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let op = Op::Send {
            sock: link.sock,
            gather,
            more: false,
        };
        match self.driver.submit(For::Send(key).token(), op) {
            Ok(op) => {
                if let Some(link) = self.link_of(key) {
                    link.send = Some(op);
                }
            }
            Err(_) => conn.close(ring_full()),
        }
    }

    fn file_sent(
        &mut self,
        key: ConnKey,
        conn: &Rc<Conn>,
        gather: crate::buf::Gather,
        count: usize,
        expected: usize,
    ) {
        if count < expected {
            // The header has promised more than the file has now: nothing sensible can follow.
            conn.close(CloseReason::FileShortened);
            return;
        }
        let body = count - gather.total();
        conn.local.metrics.bytes_out_sendfile.add(body as u64);
        conn.gather_sent(gather);
        self.after_send(key, conn);
    }

    fn after_send(&mut self, key: ConnKey, conn: &Rc<Conn>) {
        // The common case: an answer has left, nothing else is to be said, and nobody waited for it.
        let clogged = self.link_of(key).is_some_and(|link| link.rx.is_clogged());
        let done = conn.state() == State::Open && conn.is_flushed();
        if !done || clogged || conn.can_serve_held() {
            self.service(key);
        }
    }

    fn read(&mut self, key: ConnKey, done: Completion) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let Some(at) = link.reads.iter().position(|&(op, _)| op == done.key) else {
            return;
        };
        let (_, transfer) = link.reads.swap_remove(at);
        let conn = Rc::clone(&link.conn);
        let outcome = done.outcome();
        let Payload::Buffer(buf) = done.payload else {
            return;
        };
        conn.file_read(transfer, buf, outcome);
        conn.mark_dirty();
    }

    /// Ends what is in flight, then the socket, then the connection.
    fn take_down(&mut self, key: ConnKey) {
        let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
            return;
        };
        if !link.cancelled {
            link.cancelled = true;
            let operations: Vec<OpKey> = link.operations().collect();
            for op in operations {
                self.driver.cancel(op);
            }
            self.driver.shutdown(link.sock, true);
        }
        if !link.is_quiet() {
            return;
        }
        self.driver.close(link.sock);
        self.links[key.slot as usize] = None;
        self.local.remove_conn(key);
    }

    /// Ends everything at once: nothing more is taken on, every connection closes.
    pub(crate) fn begin_shut_down(&mut self) {
        self.local.handle.inbox().close();
        let _turn = Turn::of(&self.local);
        self.unlisten(|_| true);
        for conn in self.local.all_conns() {
            conn.close(CloseReason::Shutdown);
        }
    }

    /// True where no socket is left.
    pub(crate) fn is_down(&self) -> bool {
        self.links.iter().all(Option::is_none) && self.listeners.iter().all(Option::is_none)
    }

    /// Ends everything and waits until the kernel has let go: the shard stops.
    pub(super) fn shut_down(&mut self) -> io::Result<()> {
        self.begin_shut_down();
        let patience = self.driver.now_ns() + 2_000_000_000;
        loop {
            self.turn(Park::No)?;
            if self.is_down() || self.driver.now_ns() > patience {
                return Ok(());
            }
            let until = self.driver.now_ns() + 1_000_000;
            self.turn(Park::Until(Some(until)))?;
        }
    }

    /// When the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<u64> {
        let timer = self.local.next_timer();
        if self.thirsty.is_empty() && !self.local.has_hungry() {
            return timer;
        }
        // Memory comes back without a word; whoever waits for it looks again soon.
        let soon = self.local.now_ns() + MEMORY_RETRY_NS;
        Some(timer.map_or(soon, |at| at.min(soon)))
    }

    /// True where a turn would find something without entering the kernel.
    pub(crate) fn has_work(&mut self) -> bool {
        self.local.has_dirty()
            || !self.backlog.is_empty()
            || !self.local.letters.borrow().is_empty()
            || !self.local.handle.inbox().is_empty()
            || self.driver.ready()
    }
}

/// Passes a request from another thread on to its connection.
fn ask_on(conn: &Rc<Conn>, ask: Ask, timeout: Option<std::time::Duration>, waiter: Waiter) {
    if waiter.ticket.is_retracted() {
        return;
    }
    let mut done = Some(waiter.done);
    let mut sink = || done.take().map_or(Sink::Future(None), Sink::Remote);
    let sent = match ask {
        Ask::Rpc { body } => conn.send_rpc(crate::conn::RpcBody::Shared(body), timeout, &mut sink),
        Ask::Chunk {
            chunk,
            range,
            len_hint,
        } => conn.fetch_chunk(chunk, range, len_hint, timeout, &mut sink),
        Ask::Upload { meta, data } => conn.upload(&meta, data, timeout, &mut sink),
    };
    match sent {
        Ok(id) if waiter.ticket.sent_as(id) => {}
        Ok(id) => conn.cancel(id),
        Err(error) => {
            if let Some(done) = done {
                // Whoever asked may be gone.
                let _ = done.send(Err(error));
            }
        }
    }
}

fn ring_full() -> CloseReason {
    CloseReason::Limit {
        what: "the ring's table of operations",
        limit: 4,
        key: "ringrail.transport.maxConnections",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_what_they_are_for() {
        let key = ConnKey {
            slot: 0xff_ffff,
            generation: u32::MAX,
        };
        for what in [
            For::Listener(3),
            For::Connect(key),
            For::Receive(key),
            For::Send(key),
            For::Read(key),
        ] {
            assert_eq!(For::of(what.token()), what);
        }
    }
}
