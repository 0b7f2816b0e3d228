//! Receives: completions go to the parser, and the next fitting receive is posted.

use std::rc::Rc;

use crate::buf::LeaseMut;
use crate::conn::lifecycle::Phase;
use crate::conn::liveness::SocketStatus;
use crate::error::CloseReason;
use crate::shard::conn::rx::{Next, PORTION_LEN, Rx};
use crate::shard::link::Receiving;
use crate::shard::local::ConnKey;
use crate::sys::driver::{Completion, Driver, Op, Payload, Sock, is_passing};

use super::token::For;
use super::{Pump, ring_full};

impl<D: Driver> Pump<D> {
    pub(super) fn received(&mut self, key: ConnKey, done: Completion) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let conn = Rc::clone(&link.conn);
        let outcome = done.outcome();
        let of_header = matches!(link.recv, Some((_, Receiving::Header)));
        let of_portion = matches!(link.recv, Some((_, Receiving::Portion)));
        if !done.more {
            let header = link.recv_header.take();
            link.recv = header.map(|op| (op, Receiving::Header));
        }
        if conn.phase() == Phase::Closed {
            conn.mark_dirty();
            return;
        }
        let frames = conn.local.metrics.frames_in.get();
        let exact = matches!(done.payload, Payload::Buffer(_)) && !of_portion;
        let parsed = match (done.payload, outcome) {
            (Payload::Buffer(mut buf), Ok(count)) if of_portion && count > 0 => {
                conn.note_received();
                conn.local.metrics.bytes_in.add(count as u64);
                conn.local.metrics.bytes_in_portions.add(count as u64);
                buf.set_len(count);
                link.rx.received(&conn, buf)
            }
            (Payload::Buffer(_), Err(error)) if of_portion && is_passing(&error) => Ok(()),
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
            // The body before it was received short: its buffer is filled first.
            (Payload::Buffer(_), Err(error)) if of_header && is_passing(&error) => Ok(()),
            (Payload::Buffer(buf), Err(error)) if is_passing(&error) => {
                link.rx.filled(&conn, buf, 0)
            }
            (_, Ok(_)) if done.more => Ok(()),
            (_, Ok(_)) => Err(Box::new(CloseReason::Peer)),
            (_, Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                return self.wait_for_buffer(key);
            }
            (_, Err(error)) if is_passing(&error) => Ok(()),
            (_, Err(error)) => Err(Box::new(CloseReason::Io(error))),
        };
        if of_portion {
            link.rx.portion_came();
        }
        let yielded = link.rx.has_yielded();
        let frames = conn.local.metrics.frames_in.get() - frames;
        self.note_frames(key, frames, exact);
        if conn.phase() == Phase::Flushing
            && matches!(&parsed, Err(reason) if matches!(**reason, CloseReason::Peer))
        {
            if let Some(link) = self.link_of(key) {
                link.peer_ended = true;
            }
            return conn.mark_dirty();
        }
        if yielded {
            self.put_off(key);
        }
        if let Err(reason) = parsed {
            conn.fail(*reason);
            return;
        }
        self.post_receive(key);
    }

    /// Feeds the moderation: bulk data, and a peer that sends one request at a time, are not delayed.
    fn note_frames(&mut self, key: ConnKey, frames: u64, exact: bool) {
        let sleeps = self.sleeps;
        let Some(link) = self.link_of(key) else {
            return;
        };
        if exact || (frames > 0 && link.batch.is_one_at_a_time(frames, sleeps)) {
            self.suppress_moderation();
        }
    }

    /// Continues the parses that the previous turn interrupted.
    pub(super) fn work_off(&mut self, count: usize) {
        for _ in 0..count {
            let Some(key) = self.backlog.pop_front() else {
                break;
            };
            if let Some(link) = self.link_of(key) {
                link.put_off = false;
                self.resume(key);
            }
        }
    }

    /// Schedules the rest of a connection's parse for the next turn.
    fn put_off(&mut self, key: ConnKey) {
        if let Some(link) = self.link_of(key)
            && !std::mem::replace(&mut link.put_off, true)
        {
            self.backlog.push_back(key);
        }
    }

    /// Posts the receive that fits the connection's state, or cancels a multishot receive that does
    /// not.
    pub(super) fn post_receive(&mut self, key: ConnKey) {
        let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
            return;
        };
        let state = link.conn.phase();
        if link.conn.key != key || state == Phase::Closed || link.peer_ended {
            return;
        }
        if state == Phase::Flushing {
            // The connection is closed: later bytes are dropped.
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
            if link.rx.waits_for_memory() {
                self.wait_for_lease(key);
            }
            return;
        }
        let next = link.rx.next(conn);
        if matches!(next, Next::Nothing) && link.rx.waits_for_memory() {
            return self.wait_for_lease(key);
        }
        if matches!(next, Next::Multi) && link.waits_for_buffer {
            return;
        }
        let Some((op, receiving, header)) = operation(link.sock, next) else {
            return;
        };
        assert!(
            link.recv_header.is_none(),
            "two receives would share the bytes"
        );
        self.local.metrics.recvs.increment();
        match self.driver.submit(For::Receive(key).token(), op) {
            Ok(op) => link.recv = Some((op, receiving)),
            Err(_) => return conn.close(ring_full()),
        }
        let Some(buf) = header else { return };
        let header = conn.wire().next_header();
        let op = Op::Recv {
            sock: link.sock,
            buf,
            at: 0,
            len: header.len,
            whole: header.whole,
            linked: false,
        };
        self.local.metrics.recvs.increment();
        match self.driver.submit(For::Receive(key).token(), op) {
            Ok(op) => {
                link.recv_header = Some(op);
                link.rx.header_posted(&link.conn);
            }
            Err(_) => conn.close(ring_full()),
        }
    }

    /// A connection's keepalive timer has fired.
    pub(super) fn keep_alive(&mut self, key: ConnKey) {
        let Some(Some(link)) = self.links.get(key.slot as usize) else {
            return;
        };
        if link.conn.key != key {
            return;
        }
        let sight = SocketStatus {
            moved: self.driver.moved(link.sock),
            within_a_frame: link.rx.is_within_a_frame(),
            body_id: link.rx.body_id(),
            stuck: link.rx.is_stuck(),
            sending: link.send.is_some(),
        };
        Rc::clone(&link.conn).on_keepalive_timer(&sight);
    }

    pub(super) fn resume(&mut self, key: ConnKey) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let conn = Rc::clone(&link.conn);
        let waits = link.rx.is_stuck() || link.rx.has_yielded() || conn.can_serve_queued();
        if waits && let Err(reason) = link.rx.resume(&conn) {
            conn.fail(*reason);
            return;
        }
        if link.rx.has_yielded() {
            self.put_off(key);
        }
        self.post_receive(key);
    }
}

/// The operation for the next receive, its kind, and the destination of the header after it; `None`
/// for none.
fn operation(sock: Sock, next: Next) -> Option<(Op, Receiving, Option<LeaseMut>)> {
    match next {
        Next::Nothing => None,
        Next::Multi => {
            let receiving = Receiving::Multi { cancelled: false };
            Some((Op::RecvMulti { sock }, receiving, None))
        }
        Next::Portion(buf) => {
            let op = Op::Recv {
                sock,
                buf,
                at: 0,
                len: PORTION_LEN,
                whole: false,
                linked: false,
            };
            Some((op, Receiving::Portion, None))
        }
        Next::Fill {
            buf,
            at,
            len,
            whole,
            header,
        } => {
            let op = Op::Recv {
                sock,
                buf,
                at,
                len,
                whole,
                linked: header.is_some(),
            };
            Some((op, Receiving::Fill, header))
        }
    }
}
