//! New connections: sockets, their links, and the handler that serves them.

use std::rc::Rc;
use std::sync::Arc;

use crate::conn::lifecycle::Phase;
use crate::error::{CloseReason, ConnectError};
use crate::shard::command::ConnectOrder;
use crate::shard::conn::Conn;
use crate::shard::conn::user::{HandlerFactory, RpcHandler};
use crate::shard::link::Link;
use crate::shard::local::ConnKey;
use crate::sys::driver::{Completion, Driver, Op, Sock};

use super::Pump;
use super::token::For;

impl<D: Driver> Pump<D> {
    /// The handler of a context on this shard, made on first use.
    pub(super) fn handler_of(&mut self, factory: &Arc<HandlerFactory>) -> Rc<dyn RpcHandler> {
        let address = Arc::as_ptr(factory).cast::<()>() as usize;
        let (_, handler) = self
            .handlers
            .entry(address)
            .or_insert_with(|| (Arc::clone(factory), factory()));
        Rc::clone(handler)
    }

    pub(super) fn link(&mut self, conn: &Rc<Conn>, sock: Sock) {
        let slot = conn.key.slot as usize;
        if self.links.len() <= slot {
            self.links.resize_with(slot + 1, || None);
        }
        self.links[slot] = Some(Link::new(Rc::clone(conn), sock));
    }

    pub(super) fn link_of(&mut self, key: ConnKey) -> Option<&mut Link> {
        self.links
            .get_mut(key.slot as usize)?
            .as_mut()
            .filter(|link| link.conn.key == key)
    }

    pub(super) fn connect(&mut self, order: ConnectOrder) {
        let ConnectOrder {
            addr,
            handlers,
            speaks,
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
                (true, speaks),
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

    pub(super) fn connected(&mut self, key: ConnKey, done: Completion) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        link.connect = None;
        let conn = Rc::clone(&link.conn);
        match done.outcome() {
            Ok(_) if conn.phase() == Phase::Opening => {
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
}
