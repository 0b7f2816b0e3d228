//! Listeners: start, stop and accepted connections.
//!
//! When the process or the system is out of file descriptors, an accept fails at once, whether or
//! not a connection is pending. It is posted again when a connection closes and after every
//! [`RETRY`], never immediately. Pending connections are served if a descriptor becomes free within
//! [`SHED_AFTER_NS`], and closed after that, so that their peers can try another server.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::shard::command::{ListenOrder, ListenerId};
use crate::shard::conn::user::Connection;
use crate::shard::conn::user::{HandlerFactory, ServerBootstrap};
use crate::shard::conn::{Conn, Protocol};
use crate::shard::local::TimerFor;
use crate::shard::log_gate::LogGate;
use crate::shard::timer::TimerKey;
use crate::sys::driver::{Completion, Driver, Op, OpKey, Payload, Sock};
use crate::sys::socket::{Addr, SocketError};

use super::Pump;
use super::token::For;

/// Interval at which a failed accept is posted again, unless a connection closes before.
const RETRY: Duration = Duration::from_millis(100);

/// Time that pending connections wait for a descriptor before they are closed, in ns.
const SHED_AFTER_NS: u64 = 1_000_000_000;

/// Limit of connections closed at a time.
const SHED_MOST: usize = 256;

/// Log lines that peers can cause at will, limited in rate.
#[derive(Debug, Default)]
pub(super) struct ListenerLogs {
    blocked: LogGate,
    refused: LogGate,
    options: LogGate,
}

/// The reason why no accept is posted.
#[derive(Clone, Copy, Debug)]
struct Blocked {
    since_ns: u64,
    /// The retry timer; `None` if the wheel is full or the timer has fired.
    timer: Option<TimerKey>,
}

/// A listener and its accept.
pub(super) struct ListenerState {
    pub(super) id: ListenerId,
    sock: Sock,
    addr: Addr,
    op: Option<OpKey>,
    blocked: Option<Blocked>,
    handlers: Arc<HandlerFactory>,
    bootstraps: Arc<[Arc<dyn ServerBootstrap>]>,
    speaks: Protocol,
    closing: bool,
}

impl<D: Driver> Pump<D> {
    pub(super) fn listen(&mut self, order: ListenOrder) {
        let ListenOrder {
            id,
            on,
            handlers,
            bootstraps,
            speaks,
            done,
        } = order;
        let listened = self.driver.listen(on);
        let answer = listened.map(|(sock, addr)| {
            let closing = false;
            let state = ListenerState {
                id,
                sock,
                addr: addr.clone(),
                op: None,
                blocked: None,
                handlers,
                bootstraps,
                speaks,
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

    pub(super) fn accept(&mut self, at: usize) {
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
        if listener.op.is_none() {
            self.accept_later(at);
        }
    }

    /// Schedules a retry for a listener whose accept failed.
    fn accept_later(&mut self, at: usize) {
        let now_ns = self.local.now_ns();
        let Some(listener) = self.listeners[at].as_mut() else {
            return;
        };
        let blocked = listener.blocked.get_or_insert(Blocked {
            since_ns: now_ns,
            timer: None,
        });
        if blocked.timer.is_none() {
            let timer = self.local.set_timer(RETRY, TimerFor::Accept(at as u32));
            blocked.timer = timer.map(|(key, _)| key);
        }
    }

    /// The retry timer has fired.
    pub(super) fn accept_again(&mut self, at: usize) {
        let now_ns = self.local.now_ns();
        let Some(listener) = self.listeners.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        let Some(blocked) = &mut listener.blocked else {
            return;
        };
        blocked.timer = None;
        if listener.op.is_some() {
            // It has been posted meanwhile, and found a descriptor.
            listener.blocked = None;
            return;
        }
        if listener.closing {
            return;
        }
        if now_ns.saturating_sub(blocked.since_ns) >= SHED_AFTER_NS {
            let shed = self.driver.shed(listener.sock, SHED_MOST) as u64;
            self.local.metrics.connections_refused.add(shed);
        }
        self.accept(at);
    }

    /// A descriptor has become free.
    pub(super) fn accept_where_blocked(&mut self) {
        for at in 0..self.listeners.len() {
            let waits = |it: &ListenerState| it.blocked.is_some() && it.op.is_none() && !it.closing;
            if self.listeners[at].as_ref().is_some_and(waits) {
                self.accept(at);
            }
        }
    }

    /// An accept has failed: posted again at once only if the error concerned the one connection that
    /// it took from the queue.
    fn accept_failed(&mut self, at: usize, error: io::Error) {
        if matches!(
            error.raw_os_error(),
            Some(libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::ECANCELED)
        ) {
            return self.accept(at);
        }
        let now_ns = self.local.now_ns();
        if let Some(listener) = &self.listeners[at]
            && let Some(held_back) = self.listener_logs.blocked.pass(now_ns)
        {
            let error = SocketError::from_io("accept on", &listener.addr, error);
            tracing::warn!(
                target: "ringrail::server", %error, held_back,
                "cannot accept: connections wait, and are closed after a second"
            );
        }
        self.accept_later(at);
    }

    /// Closes a listener that has no accept in flight.
    fn remove_listener(&mut self, at: usize) {
        let Some(listener) = self.listeners[at].take() else {
            return;
        };
        if let Some(timer) = listener.blocked.and_then(|it| it.timer) {
            self.local.cancel_timer(timer);
        }
        self.driver.close(listener.sock);
    }

    pub(super) fn unlisten(&mut self, which: impl Fn(&ListenerState) -> bool) {
        for at in 0..self.listeners.len() {
            let Some(listener) = self.listeners[at].as_mut().filter(|state| which(state)) else {
                continue;
            };
            listener.closing = true;
            match listener.op {
                Some(op) => self.driver.cancel(op),
                None => self.remove_listener(at),
            }
        }
    }

    pub(super) fn accepted(&mut self, at: usize, done: Completion) {
        let Some(listener) = self.listeners.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        if !done.more {
            listener.op = None;
        }
        let closing = listener.closing;
        let outcome = done.outcome();
        match done.payload {
            Payload::Accepted { sock, peer } if !closing => {
                listener.blocked = listener.blocked.filter(|it| it.timer.is_some());
                if let Some(blocked) = &mut listener.blocked {
                    blocked.since_ns = self.local.now_ns();
                }
                self.adopt(at, sock, peer);
            }
            Payload::Accepted { sock, .. } => self.driver.close(sock),
            _ => {}
        }
        if done.more {
            return;
        }
        if closing {
            return self.remove_listener(at);
        }
        match outcome {
            Ok(_) => self.accept(at),
            Err(error) => self.accept_failed(at, error),
        }
    }

    pub(super) fn adopt(&mut self, at: usize, sock: Sock, peer: Addr) {
        let peer = Arc::new(peer);
        let Some(listener) = self.listeners[at].as_ref() else {
            return;
        };
        let (factory, bootstraps) = (
            Arc::clone(&listener.handlers),
            Arc::clone(&listener.bootstraps),
        );
        let speaks = listener.speaks.clone();
        self.local.metrics.connections_accepted.increment();
        let handler = self.handler_of(&factory);
        if let Err(error) = self.driver.configure(sock, &peer, &self.local.conf.socket) {
            let now_ns = self.local.now_ns();
            if let Some(held_back) = self.listener_logs.options.pass(now_ns) {
                tracing::warn!(
                    target: "ringrail::server", %peer, %error, held_back, "socket options refused"
                );
            }
        }
        let local = Rc::clone(&self.local);
        let made = self
            .local
            .add_conn(|key| Conn::new(key, peer.clone(), (false, speaks), &local, handler, None));
        let Some(conn) = made else {
            self.local.metrics.connections_refused.increment();
            let now_ns = self.local.now_ns();
            if let Some(held_back) = self.listener_logs.refused.pass(now_ns) {
                tracing::warn!(
                    target: "ringrail::server",
                    %peer, limit = self.local.conf.max_connections, held_back,
                    "connection refused: the shard has as many as ringrail.transport.maxConnections \
                     allows"
                );
            }
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
}
