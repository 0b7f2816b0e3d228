//! Commands from other threads: taken from the inbox, a bounded number per turn.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tokio::sync::oneshot;

use crate::conn::lifecycle::Phase;
use crate::error::{CloseReason, RequestError};
use crate::shard::command::{Ask, Command, StreamOrder};
use crate::shard::conn::Conn;
use crate::shard::conn::reply_to::ReplyTo;
use crate::shard::local::ConnKey;
use crate::shard::remote_sink::RemoteSink;
use crate::sys::driver::Driver;

use super::Pump;

/// Commands taken from the inbox per turn, so that completions are not delayed.
const INBOX_BUDGET: usize = 1024;

impl<D: Driver> Pump<D> {
    pub(super) fn take_commands(&mut self) -> bool {
        let mut worked = false;
        if !self.local.remote_overflow.borrow().is_empty() {
            let mut dead = Vec::new();
            worked |= self.local.remote_overflow.borrow_mut().post(&mut dead);
            drop(dead);
        }
        if self.local.local_commands.borrow().is_empty() && self.local.handle.inbox().is_empty() {
            return worked;
        }
        self.local.handle.inbox().note_depth();
        for _ in 0..INBOX_BUDGET {
            let errand = self.local.local_commands.borrow_mut().pop_front();
            let Some(command) = errand.or_else(|| self.local.handle.inbox().pop()) else {
                break;
            };
            worked = true;
            self.command(command);
        }
        // Commands of other threads are not delayed by moderation.
        self.suppress_moderation();
        worked
    }

    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Connect(order) => self.connect(*order),
            Command::Listen(order) => self.listen(*order),
            Command::Unlisten(id) => self.unlisten(|listener| listener.id == id),
            Command::Ask { key, sink } => {
                let Some(conn) = self.local.conn(key) else {
                    sink.send(Err(RequestError::NotConnected));
                    return;
                };
                ask_on(&conn, sink);
            }
            Command::OneWay { key, body } => {
                let sent = self
                    .local
                    .conn(key)
                    .map(|conn| conn.send_one_way(crate::shard::conn::RpcBody::Shared(body)));
                if let Some(Err(error)) = sent {
                    tracing::warn!(target: "ringrail::client", %error, "one-way message dropped");
                }
            }
            Command::Stream { key, order } => self.open_stream(key, *order),
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
            Command::Resume { key } => {
                if let Some(conn) = self.local.conn(key) {
                    conn.resume();
                }
            }
            Command::Run(run) => {
                let handle = self.local.handle.clone();
                // The caller sees that no result was returned; the shard continues.
                let ran = catch_unwind(AssertUnwindSafe(|| run(&handle)));
                if ran.is_err() {
                    self.local.metrics.handler_panics.increment();
                }
            }
            Command::Drain { done } => self.drain(done),
            Command::Stop => self.stopping = true,
        }
    }

    fn open_stream(&self, key: ConnKey, order: StreamOrder) {
        let Some(conn) = self.local.conn(key) else {
            // The caller may be gone too.
            let _ = order.begun.send(Err(RequestError::NotConnected));
            return;
        };
        let sink = || ReplyTo::Stream(order.feed);
        let opened = conn.open_stream(
            &order.name,
            (order.offset, order.credit),
            order.timeout,
            sink,
        );
        let id = opened.as_ref().ok().copied();
        if let (Err(_), Some(id)) = (order.begun.send(opened), id) {
            conn.cancel(id);
        }
    }

    pub(super) fn drain(&mut self, done: oneshot::Sender<()>) {
        self.unlisten(|_| true);
        self.local.draining.set(true);
        for conn in self.local.all_conns() {
            match conn.phase() {
                Phase::Open => conn.drain("this side is shutting down"),
                Phase::Opening => conn.close(CloseReason::Shutdown),
                Phase::Flushing | Phase::Closed => {}
            }
        }
        self.drained.push(done);
    }
}

/// Passes a request from another thread on to its connection.
fn ask_on(conn: &Rc<Conn>, mut sink: RemoteSink) {
    if sink.is_retracted() {
        return;
    }
    let Some((ask, timeout)) = sink.question() else {
        return;
    };
    let mut done = Some(sink);
    let mut sink = || done.take().map_or(ReplyTo::Future(None), ReplyTo::Remote);
    let sent = match ask {
        Ask::Rpc { body } => conn.send_rpc(
            crate::shard::conn::RpcBody::Shared(body),
            timeout,
            &mut sink,
        ),
        Ask::Chunk { chunk, range, wish } => {
            conn.fetch_chunk(chunk, range, wish, timeout, &mut sink)
        }
        Ask::Upload { meta, data } => conn.upload(&meta, data, timeout, &mut sink),
    };
    match sent {
        Ok(id) => conn.tell_id(id),
        Err(error) => {
            if let Some(done) = done {
                done.send(Err(error));
            }
        }
    }
}
