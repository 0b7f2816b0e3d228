//! Listeners: begun and ended by command, and what they accept.

use std::rc::Rc;
use std::sync::Arc;

use crate::client::Connection;
use crate::conn::{Conn, Speaks};
use crate::server::{HandlerFactory, ServerBootstrap};
use crate::shard::command::{ListenOrder, ListenerId};
use crate::sys::driver::{Completion, Driver, Op, OpKey, Payload, Sock};
use crate::sys::socket::Addr;

use super::Pump;
use super::token::For;

/// A listener and its accept.
pub(super) struct ListenerState {
    pub(super) id: ListenerId,
    sock: Sock,
    op: Option<OpKey>,
    handlers: Arc<HandlerFactory>,
    bootstraps: Arc<[Arc<dyn ServerBootstrap>]>,
    speaks: Speaks,
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
                op: None,
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
    }

    pub(super) fn unlisten(&mut self, which: impl Fn(&ListenerState) -> bool) {
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

    pub(super) fn accepted(&mut self, at: usize, done: Completion) {
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
            tracing::warn!(target: "ringrail::server", %peer, %error, "socket options refused");
        }
        let local = Rc::clone(&self.local);
        let made = self
            .local
            .add_conn(|key| Conn::new(key, peer.clone(), (false, speaks), &local, handler, None));
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
}
